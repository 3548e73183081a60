"""``python -m tessera.cli``: the program where its script is not on the path."""

from __future__ import annotations

from tessera.cli import main

main()
