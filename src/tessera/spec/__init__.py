"""The contracts' arithmetic and state transitions again in plain Python, bit for bit.

Nothing here does I/O, and nothing knows a clock: time arrives as an argument, as it does in a
block. Each module names the contract that it mirrors; fuzzing holds the two against each other.
"""
