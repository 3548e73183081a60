"""The demo: its models and its story."""
