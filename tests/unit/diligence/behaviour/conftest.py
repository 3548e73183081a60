"""Contracts on trial: compiled once, deployed on a fresh engine, handed over as code."""

from __future__ import annotations

import sys
from pathlib import Path

# The rig compiles and deploys; it lives with the contracts' own tests.
sys.path.insert(0, str(Path(__file__).parents[3] / "contracts"))
