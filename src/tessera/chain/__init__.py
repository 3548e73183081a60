"""A chain: reading, sending, wallets, deployment, and an embedded node for one machine."""
