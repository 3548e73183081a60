"""Channels: opening, settling, and the ways out for everybody's money."""

from __future__ import annotations

from bench.gas.chain import MeasurementFailed, account, event_topic
from bench.gas.dollar import UNIT
from bench.gas.ours.market import DAY, WHO, WITHDRAW_DELAY, Market
from bench.gas.rows import Action, Row, per
from bench.gas.vouchers import Till, Voucher, batch, sign_receipt, sign_voucher

VOUCHERS = 100
_OTHERS = 31
_DEPOSIT = 100 * UNIT
_CALLS = UNIT // 100


def measure(market: Market) -> list[Row]:
    """Measure a hundred channels of one operator, and what becomes of the money."""
    assets = [market.publish()[0] for _ in "12"]
    parents = tuple(market.publish(endpoint=False)[0] for _ in range(8))
    child, _ = market.publish(parents=parents)
    tills = [market.till(asset) for asset in (*assets, child)]
    desk = _Desk(market)
    opened = [desk.open() for _ in range(VOUCHERS)]
    return [
        *_settlements(desk, tills),
        *_channel_life(market, desk, opened),
        *_ways_on(market, desk, tills[0]),
        *_tills(market, tills[1]),
    ]


class _Desk:
    """The consumer's channels and running totals, and the operator who settles them."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._domain: bytes = market.chain.read(market.channels, "DOMAIN_SEPARATOR")
        self._skipped = event_topic(market.channels.abi, "VoucherSkipped")
        self._consumer = account("consumer")
        self._operator = account("operator")
        self._totals: dict[tuple[int, Till], int] = {}
        self.channels: list[int] = []
        market.fund(self._consumer, market.channels)

    def open(self) -> int:
        """Open one more channel with a deposit; gas of the transaction."""
        salt = len(self.channels).to_bytes(32, "big")
        consumer, operator = self._consumer, self._operator
        contract = self._market.channels
        receipt = self._market.chain.transact(
            consumer, contract, "open", operator.address, salt, _DEPOSIT, consumer.address, []
        )
        number = self._market.chain.read(
            contract, "channel_number", consumer.address, operator.address, salt
        )
        self.channels.append(number)
        return receipt.gas

    def settle(self, channels: int, *tills: Till) -> int:
        """Settle one more voucher of each of the first channels; gas of the transaction."""
        vouchers = []
        for channel in self.channels[:channels]:
            lines = []
            for till in tills:
                total = self._totals.get((channel, till), 0) + _CALLS
                self._totals[channel, till] = total
                lines.append((till, total))
            vouchers.append(Voucher(channel, tuple(lines)))
        keys, words = batch(self._domain, self._consumer, vouchers)
        receipt = self._market.chain.transact(
            self._operator, self._market.channels, "settle", keys, words
        )
        skipped = sum(log["topics"][0] == self._skipped for log in receipt.logs)
        if skipped:
            raise MeasurementFailed("settle", found=f"{skipped} vouchers skipped", wanted="none")
        return receipt.gas

    def settle_receipt(self, till: Till, others: int) -> int:
        """Settle the first channel's next call by its receipt, signed with so many others."""
        channel = self.channels[0]
        total = self._totals.get((channel, till), 0) + _CALLS
        self._totals[channel, till] = total
        r, vs = sign_voucher(self._domain, self._consumer, channel, [(till, total)])
        hashed = bytes(range(32))
        receipt = (channel, till.asset, 1, till.terms, total, hashed, hashed, 12, 1_800_000_000, 1)
        proof, *by = sign_receipt(self._domain, self._operator, receipt, others)
        lines = [(till.asset, till.terms, total)]
        return self._market.chain.transact(
            account("keeper"),
            self._market.channels,
            "settle_by_receipt",
            self._operator.address,
            lines,
            r,
            vs,
            receipt,
            proof,
            *by,
        ).gas


def _settlements(desk: _Desk, tills: list[Till]) -> list[Row]:
    one, two, child = tills
    settle = "Channels.settle"
    first, warm = (desk.settle(VOUCHERS, one) for _ in "12")
    both_first, both = (desk.settle(VOUCHERS, one, two) for _ in "12")
    royal_first, royal = (desk.settle(VOUCHERS, child) for _ in "12")
    single = desk.settle(1, one)
    alone, in_batch = (desk.settle_receipt(one, others) for others in (0, _OTHERS))
    receipt = "Channels.settle_by_receipt"
    return [
        Row(
            Action.SETTLE_VOUCHER,
            WHO,
            settle,
            "network fee, operator's cut and the rest credited; no flush; whole transaction / 100",
            per(VOUCHERS, warm),
            per(VOUCHERS, first),
        ),
        Row(
            Action.SETTLE_VOUCHER,
            WHO,
            settle,
            "the same, with royalties to 8 parents",
            per(VOUCHERS, royal),
            per(VOUCHERS, royal_first),
        ),
        Row(
            Action.SETTLE_FURTHER_ASSET,
            WHO,
            settle,
            "100 vouchers of two assets, less 100 of one, / 100; the second asset's split included",
            per(VOUCHERS, both - warm),
            per(VOUCHERS, both_first - warm),
        ),
        Row(Action.SETTLE_ONE, WHO, settle, "one line; credited, no flush", single),
        Row(Action.SETTLE_RECEIPT, WHO, receipt, "signed alone; credited, no flush", alone),
        Row(Action.SETTLE_RECEIPT, WHO, receipt, "signed with 31 others, by its proof", in_batch),
    ]


def _channel_life(market: Market, desk: _Desk, opened: list[int]) -> list[Row]:
    chain, contract = market.chain, market.channels
    consumer, operator = account("consumer"), account("operator").address
    desk.open()
    channel = desk.channels[-1]
    added = chain.transact(consumer, contract, "top_up", operator, channel, _DEPOSIT).gas
    asked = chain.transact(consumer, contract, "request_withdrawal", operator, channel).gas
    chain.pass_time(WITHDRAW_DELAY)
    back = chain.transact(consumer, contract, "withdraw", operator, channel).gas
    return [
        Row(
            Action.OPEN_CHANNEL,
            WHO,
            "Channels.open",
            "deposit included: dollars moved in; unrestricted signer",
            opened[-1],
            opened[0],
        ),
        Row(Action.DEPOSIT, WHO, "Channels.top_up", "dollars moved in", added),
        Row(Action.WITHDRAW, WHO, "Channels.request_withdrawal", "starts the delay", asked),
        Row(Action.WITHDRAW, WHO, "Channels.withdraw", "the rest to its payer", back),
    ]


def _ways_on(market: Market, desk: _Desk, till: Till) -> list[Row]:
    chain, contract = market.chain, market.channels
    operator = account("operator")
    earned, to_owner = [], []
    for _ in "12":
        desk.settle(VOUCHERS, till)
        earned.append(chain.transact(operator, contract, "withdraw_credit").gas)
        to_owner.append(chain.transact(operator, contract, "flush", till.asset).gas)
    return [
        Row(
            Action.WITHDRAW,
            WHO,
            "Channels.withdraw_credit",
            "an operator's cut, all of it",
            earned[1],
            earned[0],
        ),
        Row(
            Action.FLUSH,
            WHO,
            "Channels.flush",
            "an asset without shares: to its owner",
            to_owner[1],
            to_owner[0],
        ),
    ]


def _tills(market: Market, till: Till) -> list[Row]:
    chain, contract, operator = market.chain, market.channels, account("operator")
    key = (till.asset, operator.address, till.terms)
    address = chain.read(contract, "till_of", *key)
    figures = []
    for _ in "12":
        market.dollar.give(address, _DEPOSIT)
        figures.append(chain.transact(operator, contract, "flush_till", *key).gas)
    market.tokenize(till.asset, account("publisher").address)
    flushed = []
    for _ in "123":
        market.dollar.give(address, _DEPOSIT)
        chain.transact(operator, contract, "flush_till", *key)
        flushed.append(chain.transact(operator, contract, "flush", till.asset).gas)
    chain.pass_time(DAY)
    return [
        Row(
            Action.TILL_FLUSH,
            WHO,
            "Channels.flush_till",
            "dollars in, split and credited; first: its clone is made",
            figures[1],
            figures[0],
        ),
        Row(
            Action.FLUSH,
            WHO,
            "Channels.flush",
            "dollars to the Share, which streams them to any number of holders",
            flushed[2],
            flushed[0],
        ),
    ]
