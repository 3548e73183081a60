"""A small deployment as its events tell it: one parent, one child with a Share, one operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tessera.bindings import Channels, channels, registry, share
from tessera.bindings.calls import Event as Said
from tessera.facts import ZERO, Event
from tessera.spec.vouchers import Line, SignedVoucher, TillKey, Voucher, encode_batch

REGISTRY, CHANNELS, SHARE, DOLLAR, EMISSION, WORKFLOWS = (
    f"0x{number:040x}" for number in range(1, 7)
)
PUBLISHER, OPERATOR, PAYER, SECOND, HOLDER, TILL = (f"0x{number:040x}" for number in range(20, 26))
PARENT, CHILD = 70, 71
SUPPLY = 1_000 * 10**18
PERIOD = 100
KIND = registry.Kind.MODEL
PRICE = registry.Price(1, 0, 0)


class Deployment:
    """Writes down what contracts say: one block for each transaction, ten seconds apart."""

    def __init__(self, *, cut_bps: int = 1000) -> None:
        self.block, self.events = 0, list[Event]()
        self.calldata: dict[tuple[int, int], bytes] = {}
        for number, (asset, parents) in enumerate(
            [(PARENT, ()), (CHILD, (registry.Parent(PARENT, 500),))], start=1
        ):
            self.say(
                (REGISTRY, registry.AssetRegistered(
                    asset=asset, creator=PUBLISHER, number=number, kind=KIND, slug=f"model-{asset}",
                    contributions=bytes(32), parents=parents,
                )),
                (REGISTRY, registry.EndpointSet(
                    asset=asset, operator=OPERATOR, terms=1, cut_bps=cut_bps, fee_bps=100,
                    price=PRICE, url="",
                )),
            )  # fmt: skip
        self.say(
            (SHARE, share.Transfer(ZERO, SHARE, SUPPLY)),
            (SHARE, share.Transfer(SHARE, PUBLISHER, SUPPLY)),
            (REGISTRY, registry.Tokenized(
                asset=CHILD, share=SHARE, receiver=PUBLISHER, supply=SUPPLY, floor_bps=0,
                max_discount_bps=0, period=PERIOD,
            )),
        )  # fmt: skip
        for channel, payer in ((1, PAYER), (2, SECOND)):
            self.say(
                (CHANNELS, channels.ChannelOpened(
                    operator=OPERATOR, payer=payer, channel=channel, signer=payer, restricted=False,
                )),
            )  # fmt: skip

    @property
    def now(self) -> int:
        return 1_000 + 10 * self.block

    def say(self, *told: tuple[str, Said]) -> int:
        """One transaction; the block that it is in."""
        self.block += 1
        for log, (address, event) in enumerate(told):
            self.events.append(Event(self.block, self.now, 0, log, "0x", address, event))
        return self.block

    def settle(
        self,
        taken: Sequence[tuple[int, int]],
        *parts: tuple[int, int, int],
        charges: Mapping[int, Mapping[TillKey, int]] | None = None,
        terms: int = 1,
    ) -> None:
        """Settle (channel, amount) into parts of (asset, amount, the commons' growth).

        `charges`: by channel what its voucher says, cumulative; kept as calldata.
        """
        self.say(
            (CHANNELS, channels.VouchersSettled(
                operator=OPERATOR, taken=tuple(channel | amount << 64 for channel, amount in taken)
            )),
            *(
                (CHANNELS, channels.Settled(
                    asset=asset, operator=OPERATOR, terms=terms, amount=amount, commons=commons
                ))
                for asset, amount, commons in parts
            ),
        )  # fmt: skip
        if charges is not None:
            claims = [
                (
                    SignedVoucher(
                        Voucher(channel, tuple(Line(*key, 10**9) for key in sorted(lines))),
                        b"\1" * 64 + b"\x1b",
                    ),
                    lines,
                )
                for channel, lines in charges.items()
            ]
            self.calldata[self.block, 0] = Channels(CHANNELS).settle(*encode_batch(claims)).data

    def flush(self, asset: int, amount: int, receiver: str = SHARE) -> None:
        """Hand on what is pending, and let the Share stream it where it goes there."""
        streams = (SHARE, share.RevenueDistributed(CHANNELS, amount, self.now + 10 + PERIOD))
        flushed = (CHANNELS, channels.Flushed(asset=asset, receiver=receiver, amount=amount))
        self.say(*([streams] if receiver == SHARE else []), flushed)
