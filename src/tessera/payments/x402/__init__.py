"""Paying by the x402 standard, version 2."""
