"""What a model is worth, measured so that anybody can measure it again.

A task is a hashed list of items with a scorer. A run asks a model each item as any consumer would,
and pays. Its report hashes every request and every output into one root: whoever runs it again on a
model that repeats itself gets the same root, and whoever does not believe it asks for a few items
himself. What the chain makes of reports is the business of rooms above.
"""
