"""The stage of most stories: a tokenized model, its operator, and a consumer with a channel."""

from __future__ import annotations

from dataclasses import dataclass

from rig.contract import Contract
from rig.people import Person, person
from rig.signing import Batch, Signed, SignedLine, compact, domain_of, sign_voucher
from rig.system import World

DEPOSIT = 1_000_000


@dataclass
class Market:
    """One asset with a Share, listed by its publisher with one operator at a cut of 20 %."""

    world: World
    asset: int
    share: Contract
    channel: int
    publisher: Person
    holder: Person
    operator: Person
    consumer: Person

    @property
    def channels(self) -> Contract:
        return self.world.channels

    def line(self, maximum: int, charged: int | None = None, *, terms: int = 1) -> SignedLine:
        """Write a line over the asset; all of the maximum is charged unless told."""
        return SignedLine(self.asset, terms, maximum, maximum if charged is None else charged)

    def sign(self, *lines: SignedLine, channel: int | None = None) -> Signed:
        """Sign as the consumer does."""
        number = self.channel if channel is None else channel
        signature = sign_voucher(self.consumer, domain_of(self.channels), number, list(lines))
        return compact(*signature)

    def settle(
        self,
        *vouchers: tuple[int, SignedLine, Signed],
        by: Person | None = None,
        channels: Contract | None = None,
    ) -> int:
        """Settle vouchers of one line each in one batch."""
        tills = sorted({(line.asset, line.terms) for _, line, _ in vouchers})
        batch = Batch(tills)
        for channel, line, signature in vouchers:
            batch.add(channel, [line], signature)
        target = channels or self.channels
        sender = (by or self.operator).address
        return int(target("settle", batch.tills, batch.words, by=sender))

    def pay(self, maximum: int) -> int:
        """Settle one good voucher whole."""
        line = self.line(maximum)
        return self.settle((self.channel, line, self.sign(line)))

    def skipped(self) -> list[int]:
        """Read the reasons for which the last settlement skipped vouchers."""
        return [event.arguments["reason"] for event in self.channels.events("VoucherSkipped")]

    def left(self) -> int:
        """Read what is left in the channel."""
        return self.world.balance_of(self.operator, self.channel)


def open_market(world: World) -> Market:
    """Publish, tokenize, list, and let the consumer open a channel."""
    publisher, holder = person("publisher"), person("holder")
    operator, consumer = person("operator"), person("consumer")
    asset = world.publish(publisher, operator=operator, cut_bps=2_000)
    share = world.tokenize(asset, publisher, receiver=holder, floor_bps=5_000)
    channel = world.open_channel(consumer, operator, DEPOSIT)
    return Market(world, asset, share, channel, publisher, holder, operator, consumer)
