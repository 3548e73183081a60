"""Is this token worth anything? Metrics, red flags and a report, from facts alone.

Sees facts (code and storage slots among them) and an EVM of its own in the process; never a key, a
transaction or a node. So an analyst can run it on any token, from a file.
"""
