"""The servers of a local system: real ones, on loopback, started and stopped from one process.

They are for `certbus run` and for the tests. All of them keep their files in a folder that they are given,
write one log each, and die with the process that started them.
"""
