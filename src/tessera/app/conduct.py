"""Operators' receipts held against what they settled: looked through, accused, and judged.

What an operator signs as charged is money of the asset's holders, and its bond answers for it. A
line that is settled late is no offence, so whoever accuses risks the deposit until the window is
over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from tessera.app.spending import spend
from tessera.app.world import World
from tessera.bindings.calls import Topics
from tessera.bindings.conduct import Accused, Convicted, CreditWithdrawn
from tessera.bindings.conduct import Receipt as ChainReceipt
from tessera.chain.sender import Sender
from tessera.errors import Conflict, NotFound, SignatureRejected
from tessera.payments.header import SignedReceipt
from tessera.payments.onchain import channels_domain
from tessera.spec.signatures import ZERO_ADDRESS_TEXT, address_text, compact
from tessera.units import Units, UnixSeconds

__all__ = [
    "CaseView",
    "LineView",
    "accuse",
    "acquit",
    "check_accusation",
    "convict",
    "find_cases",
    "look_at_lines",
    "overdue",
    "read_case",
    "take_deposits",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """What an operator's highest receipt of a line says, and what it settled of it.

    Attributes
    ----------
    operator, signed
        Who signed what.
    settled
        Base units of the currency, of this line so far.
    bonded
        Raw network tokens that a slash of this operator could take a part of.
    answers
        Whether the operator's bond answers to Conduct now.
    convicted
        Whether the operator was convicted of this line already.
    case
        The accusation of this receipt that is open; empty where there is none.
    """

    operator: str
    signed: SignedReceipt
    settled: Units
    bonded: int
    answers: bool
    convicted: bool
    case: bytes

    @property
    def missing(self) -> Units:
        """What was charged and is not settled, base units of the currency."""
        return Units(max(0, self.signed.receipt.charged - self.settled))

    @property
    def can_be_accused(self) -> bool:
        """Whether an accusation would be taken, as far as this line decides."""
        return bool(self.missing) and self.answers and not self.convicted and not self.case


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """An accusation as the chain has it.

    Attributes
    ----------
    case
        Its name.
    operator, accuser
        Addresses.
    channel, asset, terms
        The line.
    charged, settled
        What the receipt says and what the operator settled, base units of the currency.
    until
        Until when it is a matter of settling only, unix seconds.
    open
        Whether it is neither acquitted nor convicted yet.
    taken
        Raw network tokens that a conviction took; None where there was none.
    """

    case: bytes
    operator: str
    accuser: str
    channel: int
    asset: int
    terms: int
    charged: Units
    settled: Units
    until: UnixSeconds
    open: bool
    taken: int | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the line has reached the receipt."""
        return self.settled >= self.charged


# --- Receipts -------------------------------------------------------------------------------------


async def look_at_lines(world: World, receipts: Iterable[SignedReceipt]) -> list[LineView]:
    """Hold receipts against the chain: of each line the highest, what is missing most first.

    Receipts that no channel paid for (calls by a right, or by x402) are left out: nobody settles
    them here.
    """
    domain = channels_domain(world.deployment)
    highest: dict[tuple[str, int, int, int], SignedReceipt] = {}
    for signed in receipts:
        told = signed.receipt
        line = (address_text(signed.signer(domain)), told.channel, told.asset, told.terms)
        known = highest.get(line)
        if known is None or known.receipt.charged < told.charged:
            highest[line] = signed
    found = []
    for (operator, *_), signed in highest.items():
        view = await _line(world, operator, signed)
        if view is not None:
            found.append(view)
    return sorted(found, key=lambda view: view.missing, reverse=True)


async def _line(world: World, operator: str, signed: SignedReceipt) -> LineView | None:
    """Return None where the operator has no such channel."""
    deployment, reader, told = world.deployment, world.reader, signed.receipt
    line = (operator, told.channel, told.asset, told.terms)
    payer = (await reader.read(deployment.channels.channel_of(operator, told.channel)))[0]
    if payer == ZERO_ADDRESS_TEXT:
        return None
    settled = (await reader.read(deployment.channels.line_of(*line)))[0]
    bonded = await reader.read(deployment.bond.slashable(operator), at="pending")
    enlisted = deployment.bond.enlistment_of(operator, deployment.conduct.address)
    answers = (await reader.read(enlisted, at="pending"))[3]
    convicted = await reader.read(deployment.conduct.was_convicted(*line))
    case = await reader.read(deployment.conduct.case_of(*line, told.charged))
    accusation = await reader.read(deployment.conduct.accusation_of(case))
    return LineView(
        operator=operator,
        signed=signed,
        settled=Units(settled),
        bonded=bonded,
        answers=answers,
        convicted=convicted,
        case=case if accusation.until else b"",
    )


def overdue(lines: Iterable[LineView], now: int, older_s: int) -> list[LineView]:
    """Return those that can be accused, and whose receipt is that old.

    Parameters
    ----------
    older_s
        Seconds that an operator is given to settle by itself: an accusation that is settled costs
        its deposit.
    """
    return [
        line for line in lines if line.can_be_accused and line.signed.receipt.time + older_s <= now
    ]


async def check_accusation(world: World, signed: SignedReceipt) -> LineView:
    """Refuse what Conduct would not take; return the line.

    Raises
    ------
    SignatureRejected
        No channel of who signed it paid for the call.
    Conflict
        The line is settled, was convicted or accused of this, or the operator's bond does not
        answer for it.
    """
    domain = channels_domain(world.deployment)
    operator = address_text(signed.signer(domain))
    line = await _line(world, operator, signed)
    if line is None:
        raise SignatureRejected(
            "receipt",
            found=f"signed by {operator}, who has no channel {signed.receipt.channel}",
            wanted="a call that was paid from a channel of its operator",
            next_step="it is forged, for another chain, or was paid in another way",
        )
    told = signed.receipt
    thing = f"receipt of {world.currency.shown(told.charged)} by {world.named(operator)}"
    if not line.missing:
        raise Conflict(
            thing, found="settled", wanted="a line that is behind it", next_step="nothing is owed"
        )
    if line.convicted:
        raise Conflict(
            thing,
            found="a line that was convicted already",
            wanted="one that was not: each costs its operator once",
        )
    if line.case:
        raise Conflict(
            thing,
            found=f"accused already, case 0x{line.case.hex()}",
            wanted="one that is not",
            next_step="see it: tessera bond cases",
        )
    if not line.answers:
        raise Conflict(
            thing,
            found="an operator whose bond does not answer to Conduct",
            wanted="one that enlisted it",
            next_step=f"see whom it answers to: tessera bond info {operator}",
        )
    return line


# --- Cases ----------------------------------------------------------------------------------------


async def accuse(world: World, sender: Sender, signed: SignedReceipt) -> CaseView:
    """Show a receipt above what its operator settled, and pay the deposit.

    Raises
    ------
    SignatureRejected, Conflict
        As `check_accusation`.
    InputError
        The sender cannot pay the deposit.
    """
    line = await check_accusation(world, signed)
    conduct = world.deployment.conduct
    call = conduct.accuse(
        line.operator,
        ChainReceipt(*msgspec.structs.astuple(signed.receipt)),
        signed.proof,
        *compact(signed.signature),
    )
    deposit = (await world.reader.read(conduct.rules()))[2]
    await spend(world, sender, conduct.address, deposit, "the deposit")
    receipt = await sender.send(call)
    return await read_case(world, receipt.one_of(Accused, address=conduct.address).case)


async def read_case(world: World, case: bytes) -> CaseView:
    """Read a case that was opened.

    Raises
    ------
    NotFound
        There never was one of that name.
    """
    for view in await _cases(world, Accused.topics(case=case)):
        return view
    raise NotFound(
        f"case 0x{case.hex()}",
        found="none",
        wanted="one that was opened",
        next_step="see them: tessera bond cases",
    )


async def find_cases(world: World, operator: str = "") -> list[CaseView]:
    """Read all cases, of one operator where it is named, the latest first."""
    topics = Accused.topics(operator=operator or None)
    return (await _cases(world, topics))[::-1]


async def _cases(world: World, topics: Topics) -> list[CaseView]:
    conduct, since = world.deployment.conduct, world.deployment.since
    accused = await world.reader.logs(Accused, address=conduct.address, topics=topics, first=since)
    convicted = await world.reader.logs(Convicted, address=conduct.address, first=since)
    taken = {log.event.case: log.event.taken for log in convicted}
    cases = (_case(world, log.event, taken.get(log.event.case)) for log in accused)
    return await asyncio.gather(*cases)


async def _case(world: World, event: Accused, taken: int | None) -> CaseView:
    line = (event.operator, event.channel, event.asset, event.terms)
    settled = (await world.reader.read(world.deployment.channels.line_of(*line)))[0]
    accusation = await world.reader.read(world.deployment.conduct.accusation_of(event.case))
    return CaseView(
        case=event.case,
        operator=event.operator,
        accuser=event.accuser,
        channel=event.channel,
        asset=event.asset,
        terms=event.terms,
        charged=Units(event.charged),
        settled=Units(settled),
        until=UnixSeconds(event.until),
        open=accusation.until != 0,
        taken=taken,
    )


async def acquit(world: World, sender: Sender, case: bytes) -> str:
    """End a case whose line was settled; the deposit is the operator's. Return the transaction."""
    return (await sender.send(world.deployment.conduct.acquit(case))).tx_hash


async def convict(world: World, sender: Sender, case: bytes) -> tuple[int, str]:
    """Slash who did not settle in time; return raw network tokens taken, and the transaction."""
    conduct = world.deployment.conduct
    receipt = await sender.send(conduct.convict(case))
    return receipt.one_of(Convicted, address=conduct.address).taken, receipt.tx_hash


async def take_deposits(world: World, sender: Sender) -> tuple[int, str]:
    """Have paid out the deposits that are the sender's; return raw network tokens."""
    conduct = world.deployment.conduct
    receipt = await sender.send(conduct.withdraw_credit(sender.address))
    return receipt.one_of(CreditWithdrawn, address=conduct.address).amount, receipt.tx_hash
