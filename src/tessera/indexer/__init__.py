"""From a chain to facts: blocks, transfers, calls and our own events, resumable and reorg-safe.

What a node says is checked as far as the chain allows: links of blocks, hashes, filters, and on
request a second node. What is committed is whole: a range of blocks with all that was asked of it.
"""
