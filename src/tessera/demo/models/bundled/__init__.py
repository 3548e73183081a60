"""Files that are copied into the demo bundles; each also runs alone, beside its data."""
