"""The example of `docs/spec/workflows.md` is one that the contract pays."""

from __future__ import annotations

import re
from typing import Any

from rig.compiling import REPOSITORY
from rig.people import Person, key_of
from rig.system import DAY, World

from tessera.spec.signatures import Signer, keccak


def test_the_pages_example_is_paid(world: World, keeper: Person) -> None:
    page = (REPOSITORY / "docs" / "spec" / "workflows.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    payer, embedder, writer = (Signer(keccak(role)) for role in (b"payer", b"first", b"second"))
    payer_text = "0x" + payer.address.hex()
    names: dict[str, Any] = {
        "chain_id": world.engine.chain_id,
        "contract": key_of(world.workflows),
        "payer": payer,
        "embedder": embedder,
        "writer": writer,
        "embedder_till": embedder.address,
        "writer_till": writer.address,
        "deadline": world.now + DAY,
    }
    exec(found[1], names)
    workflows = world.workflows
    world.fund(keeper, 130_000, spender=workflows)
    workflows("deposit", payer_text, 130_000, by=keeper.address)
    assert workflows("pay", *names["arguments"], by=keeper.address) == names["digest"]
    assert workflows("owed_of", "0x" + embedder.address.hex()) == 40_000
    assert workflows("owed_of", "0x" + writer.address.hex()) == 90_000
