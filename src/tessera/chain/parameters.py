"""What a deployment is made with: settings, and what each contract's constructor is told.

Names of arguments mean what they say in one contract; two contracts may call different things by
one name (`token`, `window`, `delay`), so each has its own table where it needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tessera.units import NETWORK_DECIMALS

__all__ = ["ARTIFACTS", "ASKS", "CONTRACTS", "MARKET", "Parameters", "arguments_of"]

MARKET: Final = (
    "Access",
    "Allocation",
    "Auction",
    "Channels",
    "Curve",
    "Exchange",
    "Governor",
    "Launchpad",
    "Lens",
    "Offering",
    "Orders",
    "Registry",
    "Share",
    "Storefront",
    "TestDollar",
    "Till",
    "Vesting",
    "Workflows",
)
"""What is published, owned, sold and paid."""

VALIDATION: Final = (
    "NetworkToken",
    "Bond",
    "Conduct",
    "Scores",
    "Subnets",
    "EpochCourt",
    "Epochs",
    "SubnetToken",
    "SubnetPool",
    "NetworkMarket",
    "NetworkExchange",
    "NetworkPrice",
    "Emission",
    "Draws",
    "BadCounts",
    "Jury",
    "Court",
    "Approvals",
    "ApprovedSale",
)
"""Who says what it is worth, with money at stake."""

CONTRACTS: Final = (*MARKET, *VALIDATION)
"""What a deployment consists of, in the order of its transactions.

Addresses are known beforehand, so contracts can name each other in circles.
"""

ASKS: Final[Mapping[str, str]] = {"Approvals": "Bond", "Conduct": "Bond"}
"""Whose constructor asks which contract something: that one must be mined before."""

ARTIFACTS: Final[Mapping[str, str]] = {"NetworkExchange": "Exchange"}
"""What a contract is deployed from, where another of the same kind has that name already."""

_CLONED: Final = (
    "Access",
    "Allocation",
    "Auction",
    "Curve",
    "Offering",
    "Share",
    "Till",
    "Vesting",
)
"""Deployed once to be cloned: arguments call them `NAME_implementation`."""

_NAMED: Final = {
    "channels": "Channels",
    "exchange": "Exchange",
    "governor": "Governor",
    "launchpad": "Launchpad",
    "registry": "Registry",
    "storefront": "Storefront",
    "network_token": "NetworkToken",
    "network_exchange": "NetworkExchange",
    "bond": "Bond",
    "subnets": "Subnets",
    "scores": "Scores",
    "epochs": "Epochs",
    "subnet_pool": "SubnetPool",
    "subnet_token": "SubnetToken",
    "draws": "Draws",
    "bad_counts": "BadCounts",
    "jury": "Jury",
    "court": "Court",
    "approvals": "Approvals",
}
_TSR: Final = 10**NETWORK_DECIMALS
_FLOOR_PART: Final = 10
"""TSR is never taken to be worth less than this part of its first price when demand is counted."""
_DEPTH_PART: Final = 4
"""TSR has a price while the money side of what is locked in its pool is at least this part of what
it began with: down to a sixteenth of its first price."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment is made with.

    Parameters
    ----------
    owner
        Sets the network fee; a timelock in production.
    commons
        Receives the commons half of the network fee.
    withdraw_delay_s
        Seconds between a payer's wish to withdraw and the money.
    terms_grace_s
        Seconds in which an operator still settles with its cut after its terms were replaced.
    min_lock_s
        Seconds that shares stay locked at least, to vote or for a discount; at most `exit_delay_s`.
    voting_time_s, timelock_s, exit_delay_s, execution_window_s
        Of a proposal: how long it is voted on, how long it then waits, how much longer where it
        leaves less to the holders, and how long it may be executed.
    epoch_s
        Length of the Lens's epochs, by which revenue is told.
    currency
        Address of the ERC-20 that everything is paid in; empty: a test dollar is deployed.
    dollar_decimals, dollar_faucet
        Of the test dollar: its decimals, and the most base units that one call of its faucet
        gives.
    hour_s
        Seconds that stand for an hour in every window of validation: bonds, subnets, epochs,
        approvals.
    network_genesis
        Raw TSR that exist from the start, the deployer's.
    network_price, network_pool
        Base units of the currency: what a whole TSR costs when its pool is opened, and how much
        money is put into it.
    """

    owner: str
    commons: str
    withdraw_delay_s: int = 86_400
    terms_grace_s: int = 604_800
    min_lock_s: int = 259_200
    voting_time_s: int = 432_000
    timelock_s: int = 172_800
    exit_delay_s: int = 604_800
    execution_window_s: int = 1_209_600
    epoch_s: int = 86_400
    currency: str = ""
    dollar_decimals: int = 6
    dollar_faucet: int = 1_000_000_000_000
    hour_s: int = 3_600
    network_genesis: int = 1_000_000 * _TSR
    network_price: int = 1_000_000
    network_pool: int = 100_000_000_000


def arguments_of(
    name: str, parameters: Parameters, at: Callable[[str], str], *, currency: str, deployer: str
) -> dict[str, object]:
    """Return what a contract's constructor may be told, by the arguments' names.

    Parameters
    ----------
    name
        Of the contract in the deployment.
    parameters
        What the deployment is made with.
    at
        Gives the address of a contract of the deployment.
    currency, deployer
        Addresses.
    """
    values: dict[str, object] = {
        "currency": currency,
        "owner": parameters.owner,
        "commons": parameters.commons,
        "withdraw_delay": parameters.withdraw_delay_s,
        "terms_grace": parameters.terms_grace_s,
        "min_lock": parameters.min_lock_s,
        "voting_time": parameters.voting_time_s,
        "timelock": parameters.timelock_s,
        "exit_delay": parameters.exit_delay_s,
        "execution_window": parameters.execution_window_s,
        "epoch": parameters.epoch_s,
        "decimals": parameters.dollar_decimals,
        "faucet_limit": parameters.dollar_faucet,
        "hour": parameters.hour_s,
        "least_bond": 1_000 * _TSR,
        **{f"{contract.lower()}_implementation": at(contract) for contract in _CLONED},
        **{argument: at(contract) for argument, contract in _NAMED.items()},
    }
    return values | _own(name, parameters, at, deployer)


def _own(
    name: str, parameters: Parameters, at: Callable[[str], str], deployer: str
) -> dict[str, object]:
    """Return what one contract means by names that others use for something else."""
    hour, network_token = parameters.hour_s, at("NetworkToken")
    match name:
        case "NetworkToken":
            return {"genesis": parameters.network_genesis, "receiver": deployer}
        case "Bond":
            # Longer than the longest approval and its disputes; out before a new slasher counts.
            return {
                "token": network_token,
                "delay": 336 * hour,
                "notice": 720 * hour,
                "max_freeze": 288 * hour,
                "period": 168 * hour,
            }
        case "Conduct":
            return {"window": 72 * hour, "slash_bps": 1_000, "deposit": _TSR}
        case "Scores":
            return {"data_fee": _TSR}
        case "Subnets":
            # An epoch takes longer than its challenges, or results would fall behind for ever.
            return {
                "min_tempo": 24 * hour,
                "min_lock": 100 * _TSR,
                "lock_decay": 720 * hour,
                "contest_window": 24 * hour,
                "closing_window": 168 * hour,
                "idle_window": 720 * hour,
            }
        case "Epochs":
            bond, fee = 100 * _TSR, _TSR
            windows = (24 * hour, 12 * hour, hour, hour)
            return {
                "token": network_token,
                "court": at("EpochCourt"),
                "terms": (bond, fee, *windows),
            }
        case "SubnetPool":
            return {"mean_window": 24 * hour}
        case "NetworkExchange":
            # Its pools are those of one token, of which the listing knows everything.
            return dict.fromkeys(("registry", "launchpad", "storefront"), at("NetworkMarket"))
        case "NetworkPrice":
            return {
                "long_window": 24 * hour,
                "short_window": hour,
                "min_depth": _min_depth(parameters),
            }
        case "Emission":
            return {"terms": _emission(parameters)}
        case "Draws":
            return {"token": network_token, "window": hour, "deposit": 10 * _TSR}
        case "Court":
            return {"token": network_token, "cost": 4 * _TSR}
        case "Approvals":
            return {"token": network_token, "prices": at("NetworkPrice")}
        case "ApprovedSale":
            return {"prices": at("NetworkPrice")}
        case _:
            return {}


def _emission(parameters: Parameters) -> tuple[int, ...]:
    from tessera.spec.emission import EmissionTerms

    hour = parameters.hour_s
    return EmissionTerms(
        period=hour,
        long_window=24 * hour,
        short_window=hour,
        floor_price=max(1, parameters.network_price // _FLOOR_PART),
        min_depth=_min_depth(parameters),
    ).row()


def _min_depth(parameters: Parameters) -> int:
    return max(1, parameters.network_pool // _DEPTH_PART)
