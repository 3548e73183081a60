"""Everything deployed, as production does it: at predicted addresses, arguments by their names."""

from __future__ import annotations

from dataclasses import dataclass

import rlp
from eth_utils.crypto import keccak

from bench.simulation.evm import NOBODY, Contract, Evm, deployed, interface
from tessera.chain.parameters import MARKET, Parameters
from tessera.errors import InvariantViolation

DAY = 86_400
WITHDRAW_DELAY = 3_600
SERVE_WINDOW = 2 * DAY
MIN_LOCK = DAY
VOTING_TIME = DAY
TIMELOCK = DAY // 2
EXIT_DELAY = DAY
EXECUTION_WINDOW = 2 * DAY


@dataclass(frozen=True, slots=True)
class System:
    """The contracts of which there is one."""

    currency: Contract
    registry: Contract
    channels: Contract
    launchpad: Contract
    exchange: Contract
    storefront: Contract
    orders: Contract
    governor: Contract


def address_of(name: str) -> str:
    """Address of a role: from its name alone, with a key that nobody needs."""
    return "0x" + keccak(text=f"tessera simulation: {name}")[12:].hex()


def deploy_system(evm: Evm) -> System:
    """Deploy what a deployment consists of."""
    deployer = address_of("deployer")
    at = {name: _created(deployer, nonce) for nonce, name in enumerate(MARKET)}
    values: dict[str, object] = {
        "currency": at["TestDollar"],
        "owner": address_of("network owner"),
        "commons": address_of("commons"),
        "withdraw_delay": WITHDRAW_DELAY,
        "terms_grace": 7 * DAY,
        "decimals": 6,
        "faucet_limit": 10**14,
        "min_lock": MIN_LOCK,
        "voting_time": VOTING_TIME,
        "timelock": TIMELOCK,
        "exit_delay": EXIT_DELAY,
        "execution_window": EXECUTION_WINDOW,
        **{f"{name.lower()}_implementation": address for name, address in at.items()},
        **{name.lower(): address for name, address in at.items()},
    }
    made = {}
    for name in MARKET:
        wanted = [field.rstrip("_") for field, _ in interface(name).constructor]
        known = [_value(values, field) for field in wanted]
        made[name] = deployed(evm, name, deployer, known)
        if made[name].address != at[name]:
            raise InvariantViolation(
                f"address of {name}", found=made[name].address, wanted=at[name]
            )
    return System(
        currency=made["TestDollar"],
        registry=made["Registry"],
        channels=made["Channels"],
        launchpad=made["Launchpad"],
        exchange=made["Exchange"],
        storefront=made["Storefront"],
        orders=made["Orders"],
        governor=made["Governor"],
    )


def _value(values: dict[str, object], field: str) -> object:
    """Return what a constructor gets: the market's own value, or what production deploys with."""
    if field in values:
        return values[field]
    return getattr(Parameters(owner=NOBODY, commons=NOBODY), f"{field}_s")


def _created(deployer: str, nonce: int) -> str:
    body = rlp.encode([bytes.fromhex(deployer[2:]), nonce])
    return "0x" + keccak(body)[12:].hex()
