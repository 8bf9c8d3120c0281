"""What an issuer must bear at a CA: scenarios that return figures.

`proofs/issuer` plays them at length, `integration/issuer/conformance/test_proofs_briefly.py` in short.
"""
