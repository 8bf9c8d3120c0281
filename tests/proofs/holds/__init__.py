"""It holds under growth, loss and bad neighbours: `make prove PART=holds SEED=n`, with `T=chaos` only one of them.

`N` is how many certificates are stored (500), `DURATION_S` how long chaos and load go on (600). Each prints a table:
what was done, its limit, what was seen; HOLDS_FIGURES names a file that gets the figures as JSON lines. Small
disks are mounted, which needs root on Linux.
"""
