"""Who holds how much, and whether the history that says so can be relied on.

Balances come from transfers alone. A history that begins late or has a gap shows in a balance
below zero, or in a total supply that the token itself answers otherwise. A token whose balances
change without transfers (rebasing), or by other amounts than its events say (a fee on transfers),
shows in what `balanceOf` answers. Neither is ever turned into numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.replay import Replay, replay
from tessera.diligence.results import (
    WHOLE,
    Coverage,
    Evidence,
    Metric,
    Status,
    Step,
    hash_inputs,
)
from tessera.diligence.view import View
from tessera.diligence.wording import shown_tokens
from tessera.facts import ZERO, Amounts, Facts, Transfers

__all__ = ["BALANCE_OF", "BURN", "Ledger", "ledger_of", "measure", "read_ledger"]

BURN: Final = (
    ZERO,
    "0x" + "00" * 19 + "01",
    "0x" + "00" * 18 + "dead",
    "0xdead000000000000000042069420694206942069",
)
"""Addresses that nobody can spend from, and that holders burn to."""

BALANCE_OF: Final = bytes.fromhex("70a08231")
TOTAL_SUPPLY: Final = bytes.fromhex("18160ddd")

_SAMPLES: Final = 16
# A replay up to each: answers are asked for at the head, so there is rarely more than one.
_MOST_BLOCKS: Final = 3
_WORD: Final = 32


@dataclass(frozen=True)
class Ledger:
    """Balances of one token at the facts' head.

    Attributes
    ----------
    transfers
        What was replayed.
    status
        `ok`; `unknown` where the history is incomplete; `not_applicable` where the token's
        balances do not follow from its transfers; `insufficient` where it never moved.
    why
        The status in a sentence.
    asked
        Answers of the token (`balanceOf`, `totalSupply`) that the history was compared with.
    coverage
        Whole where the token's answers agree, or the source says that nothing is missing.
    evidence
        What was compared, or what does not fit.
    """

    transfers: Transfers
    status: Status
    why: str
    asked: int
    coverage: Coverage
    evidence: tuple[Evidence, ...]
    _replay: Replay

    @property
    def held(self) -> Amounts:
        """The balance of each id of `transfers.addresses`; of the zero address nothing.

        Only where the status is `ok` are these what holders have.
        """
        return self._replay.held

    @cached_property
    def balances(self) -> list[int]:
        """The same, as integers."""
        return self.held.tolist()

    @property
    def minted(self) -> int:
        """All that ever came from the zero address, in base units."""
        return self._replay.minted

    @property
    def burned(self) -> int:
        """All that ever went to the zero address."""
        return self._replay.burned

    @property
    def supply(self) -> int:
        """Minted less burned: S_mint of the specification, and the sum of all balances."""
        return self._replay.supply

    @cached_property
    def burnt(self) -> int:
        """What lies where nobody can spend it: S_burn, without what went to the zero address."""
        ids = self.transfers.addresses.ids_of(BURN)
        return sum(self.held[int(each)] for each in ids if each >= 0)

    @property
    def total(self) -> int:
        """S_total: what can still move, in base units."""
        return self.supply - self.burnt

    @cached_property
    def inputs_hash(self) -> str:
        """What a metric names as its inputs that comes from this alone."""
        return hash_inputs("ledger", self.transfers.digest())

    def order(self) -> NDArray[np.int64]:
        """Return the ids with a balance, the largest first, equal ones by address."""
        return _largest(self.transfers, self.held)


def ledger_of(view: View) -> Ledger:
    """Return the ledger of the token that is asked about.

    Raises
    ------
    NotFound
        Nobody looked at the token.
    """
    return view.kept("ledger", lambda: read_ledger(view.facts, view.subject.token))


def read_ledger(facts: Facts, token: str) -> Ledger:
    """Replay a token's transfers and compare with what the token itself answers.

    Raises
    ------
    NotFound
        Nobody looked at the token.
    """
    transfers = facts.transfers(token)
    seen = facts.coverage(token)
    played = replay(transfers)
    if not len(transfers):
        why = "the token never moved, up to the block that was asked about"
        missing = Coverage(None, ("any transfer",))
        return Ledger(transfers, Status.INSUFFICIENT, why, 0, missing, (), played)

    def failed(
        why: str, missing: str, *evidence: Evidence, asked: int = 0, looked: bool = True
    ) -> Ledger:
        # Of a whole history that does not tell balances, more blocks would not tell them either.
        known = looked and seen.complete
        status = Status.NOT_APPLICABLE if known else Status.UNKNOWN
        return Ledger(transfers, status, why, asked, Coverage(0.0, (missing,)), evidence, played)

    if seen.last < facts.head.block:
        return failed(
            f"it was looked at until block {seen.last}, and asked about at {facts.head.block}",
            "transfers of the latest blocks",
            looked=False,
        )
    if seen.gaps:
        first, last = seen.gaps[0]
        why = f"blocks {first} to {last} were not looked at"
        return failed(why, "transfers of some blocks", looked=False)
    if played.overdrawn is not None:
        row = played.overdrawn
        giver = transfers.addresses[int(transfers.source[row])]
        place = _place(transfers, row)
        return failed(
            f"{giver} gives more than it has at {place}: "
            + _reason(seen.complete, "its transfers do not tell its balances"),
            "how balances came about",
            Evidence("more given than held", place, str(transfers.amount[row])),
        )
    compared = list(_compared(facts, transfers, played))
    wrong = next((each for each in compared if each.answered != each.replayed), None)
    if wrong is not None:
        return failed(
            f"{wrong.what} is {wrong.answered} and by its transfers {wrong.replayed}: "
            + _reason(seen.complete, "it rebases, or takes a fee on transfers"),
            "how balances came about",
            Evidence(wrong.what, f"block {wrong.block}", str(wrong.answered)),
            Evidence("by its transfers", f"block {wrong.block}", str(wrong.replayed)),
            asked=len(compared),
        )
    supplied = any(each.is_supply for each in compared)
    sampled = sum(not each.is_supply for each in compared)
    lacking: list[str] = []
    if not (supplied or seen.complete):
        lacking.append("whether the history begins at creation")
    if not sampled:
        lacking.append("what balanceOf answers, so a fee on transfers would not show")
    why = f"{len(transfers)} transfers replay to the unit"
    if compared:
        why += f" and agree with {len(compared)} answers of the token"
    return Ledger(
        transfers,
        Status.OK,
        why,
        len(compared),
        Coverage(None, tuple(lacking)) if lacking else WHOLE,
        tuple(
            Evidence(f"{each.what} agrees", f"block {each.block}", str(each.answered))
            for each in compared[:4]
        ),
        played,
    )


def measure(view: View) -> list[Metric]:
    """Say how much there is, and whether the history can be relied on.

    Returns
    -------
    list of Metric
        `replay` (True where balances follow from transfers), `supply_minted` (S_mint) and
        `supply_total` (S_total), both in base units.
    """
    ledger = ledger_of(view)
    if ledger.status is not Status.OK:
        return [
            Metric.without(
                name,
                Step.DISTRIBUTION,
                ledger.status,
                ledger.why,
                unit=unit,
                inputs_hash=ledger.inputs_hash,
                missing=ledger.coverage.missing,
                evidence=ledger.evidence,
            )
            for name, unit in (
                ("replay", ""),
                ("supply_minted", "base units"),
                ("supply_total", "base units"),
            )
        ]

    def metric(name: str, value: int | bool, unit: str, text: str, **parts: object) -> Metric:
        return Metric(
            name=name,
            step=Step.DISTRIBUTION,
            value=value,
            unit=unit,
            status=Status.OK,
            text=text,
            inputs_hash=ledger.inputs_hash,
            coverage=ledger.coverage,
            evidence=ledger.evidence,
            parts=parts,
        )

    token = view.token

    def said(amount: int) -> str:
        return shown_tokens(amount, token.decimals, token.symbol)

    return [
        metric("replay", True, "", ledger.why, transfers=len(ledger.transfers), asked=ledger.asked),
        metric(
            "supply_minted",
            ledger.supply,
            "base units",
            f"{said(ledger.supply)}: minted less burned to the zero address",
            minted=str(ledger.minted),
            burned=str(ledger.burned),
        ),
        metric(
            "supply_total",
            ledger.total,
            "base units",
            f"{said(ledger.total)} can still move",
            burnt=str(ledger.burnt),
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the token answered, and what its transfers come to at the same block."""

    what: str
    block: int
    answered: int
    replayed: int
    is_supply: bool


def _compared(facts: Facts, transfers: Transfers, played: Replay) -> Iterator[_Answer]:
    """Compare what was answered of the largest holders and of the supply, at its blocks."""
    asked: defaultdict[int, list[tuple[int | None, int]]] = defaultdict(list)
    calls: list[tuple[int | None, bytes]] = [(None, TOTAL_SUPPLY)]
    for each in _largest(transfers, played.held)[:_SAMPLES]:
        holder = transfers.addresses.table[each].tobytes()
        calls.append((int(each), BALANCE_OF + holder.rjust(_WORD, b"\0")))
    for who, call in calls:
        answers = [
            read
            for read in facts.reads(transfers.token, call)
            if read.ok and len(read.answer) == _WORD
        ]
        if answers:
            newest = answers[-1]
            asked[newest.block].append((who, int.from_bytes(newest.answer, "big")))
    for block in sorted(asked, reverse=True)[:_MOST_BLOCKS]:
        known = transfers.up_to(block)
        then = played if len(known) == len(transfers) else replay(known)
        for who, answered in asked[block]:
            if who is None:
                yield _Answer(
                    "totalSupply", block, answered, _like(answered, known, then), is_supply=True
                )
            else:
                holder = transfers.addresses[who]
                yield _Answer(
                    f"balanceOf {holder}", block, answered, then.held[who], is_supply=False
                )


def _like(answered: int, known: Transfers, then: Replay) -> int:
    """Return the supply by the transfers, in the way of counting that the token has.

    To send to the zero address burns with some tokens; with others it holds that, and counts.
    Uniswap's pools mint a first 1000 units to it, which count, and burn what comes later.
    """
    unborn = known.amount[known.mints & known.burns].total()
    ways = (then.supply, then.supply + unborn, then.minted)
    return answered if answered in ways else then.supply


def _largest(transfers: Transfers, held: Amounts) -> NDArray[np.int64]:
    limbs = held.limbs
    ids = np.flatnonzero(limbs.any(axis=1))
    table = transfers.addresses.table[ids]
    keys = [table[:, byte] for byte in range(table.shape[1] - 1, -1, -1)]
    keys += [~limbs[ids, limb] for limb in range(limbs.shape[1])]
    return ids[np.lexsort(keys)]


def _place(transfers: Transfers, row: int) -> str:
    return f"block {int(transfers.block[row])}, log {int(transfers.log[row])}"


def _reason(complete: bool, otherwise: str) -> str:
    return otherwise if complete else "the history is incomplete"
