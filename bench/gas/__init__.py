"""Gas of each action, ours and the peers', from the receipts of one local chain."""
