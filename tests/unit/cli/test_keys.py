"""What a key is granted: every price of each of its models, or a refusal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tessera.cli.keys import _grants
from tessera.errors import InputError
from tessera.spec.signatures import Address, address_text

OPERATOR = Address(bytes(19) + b"7")


def grants(models: int) -> list[Any]:
    endpoint = SimpleNamespace(terms=1, discount=SimpleNamespace(terms=2))
    world = SimpleNamespace(
        clock=lambda: 100.0,
        directory=SimpleNamespace(
            find=lambda slug: SimpleNamespace(
                asset=int(slug), endpoints={address_text(OPERATOR): endpoint}
            )
        ),
    )
    payer = SimpleNamespace(operator=OPERATOR)
    slugs = {str(number): str(number) for number in range(models)}
    return _grants(world, payer, slugs, 5, "1h")[0]  # type: ignore[arg-type]


def test_every_price_of_each_model_is_granted_or_the_key_is_refused() -> None:
    """Beyond the sixteen lines of a channel grants were left out without a word, and the key failed
    on the models of the last ones."""
    assert [(g.asset, g.terms) for g in grants(8)] == [
        (asset, terms) for asset in range(8) for terms in (1, 2)
    ]
    with pytest.raises(InputError, match="18 prices of 9 models"):
        grants(9)
