"""What each holder of a Share earned, by the twin of the contract, and what each of them took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tessera.bindings import share
from tessera.bindings.registry import Tokenized
from tessera.errors import NotFound
from tessera.facts import ZERO, Event
from tessera.spec.revenue import ShareModel
from tessera.spec.signatures import address_of

__all__ = ["Earned", "earned_by"]


@dataclass(frozen=True, slots=True)
class Earned:
    """One account's part of a Share's revenue, in base units of the currency.

    Attributes
    ----------
    claimed
        What it took, as the chain logged it.
    expected
        What it should have got at each of these claims, pro rata of what it held at every second.
    claimable
        What waits for it at the end.
    """

    claimed: int
    expected: int
    claimable: int

    @property
    def entitled(self) -> int:
        """All that is its own by the twin."""
        return self.expected + self.claimable


def earned_by(events: Iterable[Event], address: str, now: int) -> dict[str, Earned]:
    """Return what each account earned until a time.

    Parameters
    ----------
    events
        All of them, in the order of the chain.
    address
        Of the Share, lower case.
    now
        Unix seconds.

    Returns
    -------
    dict
        By account, in lower case: all that ever held a share.

    Raises
    ------
    NotFound
        No such Share was made.
    TransactionReverted
        The twin refuses what the events say: they are not whole.
    """
    ordered = list(events)
    made = next(
        (
            (event.event, event.time)
            for event in ordered
            if isinstance(event.event, Tokenized) and event.event.share.lower() == address
        ),
        None,
    )
    if made is None:
        raise NotFound(f"Share {address}", next_step="index from the first block of the deployment")
    said, born = made
    first = said.receiver.lower()
    model = ShareModel(said.supply, said.period, address_of(said.receiver), born)
    claimed, expected = Counter[str](), Counter[str]()
    accounts = {first}
    for event in ordered:
        if event.address != address:
            continue
        match event.event:
            # The first two transfers make the shares and hand them to the receiver.
            case share.Transfer(sender=sender) if sender.lower() in (ZERO, address):
                pass
            case share.Transfer() as moved:
                accounts.add(moved.receiver.lower())
                source, target = address_of(moved.sender), address_of(moved.receiver)
                model.transfer(source, target, moved.value, event.time)
            case share.RevenueDistributed() as came:
                model.absorb(model.obligations() + came.amount, event.time)
            case share.RevenueClaimed() as took:
                claimed[took.holder.lower()] += took.amount
                expected[took.holder.lower()] += model.claim(address_of(took.holder), event.time)
            case _:
                pass
    return {
        each: Earned(claimed[each], expected[each], model.claimable(address_of(each), now))
        for each in sorted(accounts)
    }
