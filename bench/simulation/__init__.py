"""A market of many actors on the real contracts, with every unit of it accounted for."""
