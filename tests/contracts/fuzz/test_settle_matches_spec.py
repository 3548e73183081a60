"""`settle` against `ChannelsModel.settle` with batches that no honest operator would send."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from rig.contract import refused
from rig.effort import times
from rig.people import person
from rig.signing import Batch, SignedLine, compact, domain_of, sign_voucher
from rig.system import World, deploy_world

from tessera.errors import TransactionReverted
from tessera.spec.channels import ChannelsModel
from tessera.spec.signatures import Address, Domain, address_of

PUBLISHER, OPERATOR, CONSUMER = person("publisher"), person("operator"), person("consumer")
DEPOSIT = 1_000
SALTS = [bytes(31) + bytes([number]) for number in range(2)]


@dataclass
class Pair:
    """Two channels of one consumer, on the chain and in the model."""

    world: World
    assets: list[int]
    model: ChannelsModel
    numbers: list[int]


def _pair() -> Pair:
    world = deploy_world()
    assets = sorted(world.publish(PUBLISHER) for _ in range(3))
    domain = Domain(world.engine.chain_id, address_of(world.channels.address))
    model = ChannelsModel(domain, withdraw_delay=3_600)
    world.fund(CONSUMER, 2 * DEPOSIT, spender=world.channels)
    numbers = []
    for salt in SALTS:
        opening = (salt, DEPOSIT)
        number = model.open(_key(CONSUMER.address), _key(OPERATOR.address), *opening, _signer())
        found = world.channels(
            "open",
            OPERATOR.address,
            salt,
            DEPOSIT,
            CONSUMER.address,
            [],
            by=CONSUMER.address,
        )
        assert found == number
        numbers.append(number)
    return Pair(world, assets, model, numbers)


def _key(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))


def _signer() -> Address:
    return _key(CONSUMER.address)


line_parts = st.tuples(
    st.integers(0, 2), st.integers(0, 600), st.integers(0, 600), st.integers(0, 9)
)
vouchers = st.tuples(st.integers(0, 1), st.lists(line_parts, min_size=1, max_size=4))
bends = st.lists(
    st.tuples(
        st.sampled_from(["flip", "drop", "insert", "swap"]),
        st.integers(0, 60),
        st.one_of(st.integers(0, 255), st.sampled_from([64, 96, 192, 160])),
    ),
    max_size=2,
)


def _bent(words: list[int], bend: tuple[str, int, int]) -> list[int]:
    kind, place, bit = bend
    words = list(words)
    if not words:
        return words
    at = place % len(words)
    if kind == "flip":
        words[at] ^= 1 << bit
    elif kind == "drop":
        del words[at]
    elif kind == "insert":
        words.insert(at, bit)
    else:
        words[at], words[-1] = words[-1], words[at]
    return words


@times(4)
@given(rounds=st.lists(st.tuples(st.lists(vouchers, max_size=4), bends), max_size=4))
def test_both_take_the_same_and_skip_the_same(
    rounds: list[
        tuple[list[tuple[int, list[tuple[int, int, int, int]]]], list[tuple[str, int, int]]]
    ],
) -> None:
    pair = _pair()
    channels, model, now = pair.world.channels, pair.model, pair.world.now
    for signed, bent in rounds:
        batch = Batch([(asset, 0) for asset in pair.assets])
        for which, parts in signed:
            chosen = {part[0]: part for part in parts}
            lines = [
                SignedLine(pair.assets[asset], 0, maximum, charged)
                for asset, maximum, charged, _ in (chosen[key] for key in sorted(chosen))
            ]
            number = pair.numbers[which]
            signature = sign_voucher(CONSUMER, domain_of(channels), number, lines)
            batch.add(number, lines, compact(*signature))
        words = batch.words
        for bend in bent:
            words = _bent(words, bend)
        try:
            expected = model.settle(_key(OPERATOR.address), batch.tills, words, now)
        except TransactionReverted as error:
            with refused(error.reason):
                channels("settle", batch.tills, words, by=OPERATOR.address)
            continue
        taken = channels("settle", batch.tills, words, by=OPERATOR.address)
        assert taken == expected.total
        skipped = [
            (event.arguments["channel"], event.arguments["reason"])
            for event in channels.events("VoucherSkipped")
        ]
        assert skipped == [(channel, int(reason)) for channel, reason in expected.skipped]
        told = [word for e in channels.events("VouchersSettled") for word in e.arguments["taken"]]
        assert told == [channel | amount << 64 for channel, amount in expected.settled]
        for (operator, number), state in model.channels.items():
            assert channels("channel_of", "0x" + operator.hex(), number)[3] == state.balance
        for (operator, number, key), line in model.lines.items():
            found = channels("line_of", "0x" + operator.hex(), number, key.asset, key.terms)
            assert found == (line.charged, line.cap, line.expires)
