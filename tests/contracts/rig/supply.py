"""Where every share of an asset is: what the Lens says, held against balances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rig.contract import Contract
from tessera.spec.lens import Supply


def every_share_is_somewhere(
    lens: Contract,
    asset: int,
    balances: Mapping[str, int],
    *,
    sales: Iterable[Contract],
    vestings: Iterable[Contract],
    pool: tuple[Contract, int],
    locks: tuple[Contract, int],
) -> int:
    """Hold the parts of `supply_of` against what lies in each place, by its own books.

    Parameters
    ----------
    balances
        By address, all of them: what the Transfer events add up to.
    sales, vestings
        Every first sale, and every vesting and allocation.
    pool, locks
        The Exchange and the Governor, each with the raw shares that it holds for others.

    Returns
    -------
    int
        Raw shares that lie in one of these places on top: sent there by mistake.
    """
    supply = Supply(*lens("supply_of", asset))
    in_sales = {sale.address: _kept(sale) for sale in sales}
    in_vestings = {vesting.address: vesting("left") for vesting in vestings}
    others = {contract.address: held for contract, held in (pool, locks)}
    kept = {**in_sales, **in_vestings, **others}
    # Each place counts once, and has at least what it keeps for others.
    assert len(kept) == len(in_sales) + len(in_vestings) + 2
    on_top = {address: balances.get(address, 0) - held for address, held in kept.items()}
    assert all(surplus >= 0 for surplus in on_top.values())
    assert supply.for_sale == sum(in_sales.values())
    assert supply.vesting == sum(in_vestings.values())
    assert (supply.pooled, supply.locked) == (pool[1], locks[1])
    assert supply.total == sum(balances.values())
    in_hand = sum(held for address, held in balances.items() if address not in kept)
    mistakes = sum(on_top.values())
    assert supply.circulating == in_hand + mistakes + supply.locked
    parts = supply.for_sale + supply.vesting + supply.pooled + supply.circulating
    assert parts == supply.total
    return mistakes


def _kept(sale: Contract) -> int:
    parts = ("unsold", "escrowed", "pooled")
    return sum(sale(part) for part in parts if (part, 0) in sale.interface.functions)
