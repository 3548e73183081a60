"""What a report alone proves, without a jury: items that were not assigned.

Whoever reports on items of its own choice (drawn by another seed, say, until they flatter) has
committed to the very leaves that show it.
"""

from __future__ import annotations

from tessera.app.judging import assignment
from tessera.app.world import World
from tessera.chain.sender import Sender
from tessera.validation.approving import Approval
from tessera.validation.canonical import list_proof
from tessera.validation.task import Benchmark

__all__ = ["convict_other_item", "other_items"]


async def other_items(
    world: World, round_: bytes, validator: str, said: Approval, task: Benchmark
) -> list[int]:
    """Return the places at which a report is about another item than the one assigned there."""
    numbers = (await assignment(world, round_, validator)).by_place(task.eligible)
    return [
        place for place, (item, _) in said.leaves.items() if item != task.digests[numbers[place]]
    ]


async def convict_other_item(
    world: World,
    sender: Sender,
    round_: bytes,
    validator: str,
    said: Approval,
    task: Benchmark,
    place: int,
) -> None:
    """Prove that a report is about another item than the one assigned to a place.

    No jury is asked: both are proved. The whole bond is gone, a fifth of it to the sender.
    """
    number = (await assignment(world, round_, validator)).by_place(task.eligible)[place]
    item, output, proof = said.shown(place)
    assigned, pool_proof = task.digests[number], list_proof(task.digests, number)
    await sender.send(
        world.deployment.court.punish_wrong_item(
            round_, validator, place, item, output, proof, assigned, pool_proof
        )
    )
