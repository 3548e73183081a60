"""The stage: a world with short periods, an operator at work, and its gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tessera.app import Operator, World, open_world, operate
from tessera.config import Config
from tessera.demo.clock import StoryClock
from tessera.demo.telling import Narrator
from tessera.gateway.opening import open_gateway

__all__ = ["Stage", "demo_settings", "set_stage"]

_WITHDRAW_DELAY_S: Final = 8
_REVENUE_PERIOD_S: Final = 8
_VOTING_S: Final = 8
_NEVER: Final = 10**12


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story plays.

    Attributes
    ----------
    world, operator
        The chain with our contracts, and who serves the models.
    url
        Of the gateway.
    """

    world: World
    operator: Operator
    url: str


def demo_settings(config: Config) -> Config:
    """Return settings under which days pass in seconds, for a chain that is only played on."""
    return replace(
        config,
        withdraw_delay_s=_WITHDRAW_DELAY_S,
        revenue_period_s=_REVENUE_PERIOD_S,
        min_lock_s=1,
        voting_time_s=_VOTING_S,
        timelock_s=1,
        exit_delay_s=2,
        allow_python_runners=True,
    )


def theatre(data: Path) -> Config:
    """Return the settings of a demo that has a data folder and this machine for itself."""
    return replace(
        demo_settings(Config(data_dir=data)),
        node_port=0,
        gateway_port=0,
        # The story says when to settle, so that its pages can be told apart.
        settle_every_s=86_400,
        settle_at_risk_units=_NEVER,
    )


@asynccontextmanager
async def set_stage(config: Config, narrator: Narrator) -> AsyncIterator[Stage]:
    """Start a chain, deploy, and open the gateway; all of it ends with the context."""
    async with AsyncExitStack() as stack:
        with narrator.step("start a chain and deploy the contracts") as step:
            world = await stack.enter_async_context(
                open_world(config, announce=step.announce, clock=StoryClock())
            )
            height = await world.reader.block_number()
            step.note = f"chain {world.reader.chain_id} at block {height}"
        with narrator.step("open the operator's books and gateway") as step:
            operator = await stack.enter_async_context(operate(world))
            server = open_gateway(operator)
            await server.start()
            stack.push_async_callback(server.stop)
            step.note = server.url
        yield Stage(world, operator, server.url)
