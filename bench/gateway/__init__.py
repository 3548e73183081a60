"""Paid calls through our gateway beside peers: `python -m bench.gateway`."""
