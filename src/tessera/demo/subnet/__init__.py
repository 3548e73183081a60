"""A subnet grows, on the demo's own chain: scores, epochs, emission, and a bonded approval."""
