"""What was observed on a chain: append-only, with known-at, and read as of a block."""
