"""Collusion about a bonded approval: leaks, and telling on oneself.

Sizes are those of the `Approvals` contract: a bond of 1, slashes in parts of it.
"""

from __future__ import annotations

from bench.adversaries.rows import Row

__all__ = ["approvals"]

_WHOLE, _LISTED = 1.0, 0.30
_WHISTLE_BLOWER = 0.20
_EARLY = 0.20
"""Of an approving bond: what may be withdrawn of a sale's proceeds before it is final."""


def approvals() -> list[Row]:
    """Compare what colluders gain per unit of bond with what an honest approval gains: nothing."""
    rows = [
        Row(
            strategy="has itself slashed by an account of its own",
            honest=0.0,
            earns=_WHISTLE_BLOWER * _WHOLE - _WHOLE,
            why="a fifth comes back as the whistle-blower's part, the rest is the commons'",
        )
    ]
    for found in (0.5, 0.9):
        for what, lost, why in (
            (
                "approves a bad model for its seller",
                _LISTED,
                (
                    "proceeds above a fifth of the bonds wait until the truth is out, the slash is "
                    "30 % where the model was listed, and nobody is paid for telling"
                ),
            ),
            (
                "leaks the hidden items to the seller",
                # The colluders tell on themselves before anybody else does.
                _WHOLE * (1 - _WHISTLE_BLOWER),
                "an item that was committed before it was revealed costs the whole bond",
            ),
        ):
            rows.append(
                Row(
                    strategy=f"{what}, found in {found:.0%} of cases",
                    honest=0.0,
                    earns=(1 - found) * _EARLY - found * lost,
                    why=why,
                )
            )
    return rows
