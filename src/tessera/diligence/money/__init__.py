"""Step 1: what users pay, what of it is no real demand, what reaches holders, and who pays."""
