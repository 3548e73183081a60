"""Contracts of other projects, on the same chain and with the same dollar as ours."""
