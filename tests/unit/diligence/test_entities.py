"""Who belongs together, and who must not be joined."""

from __future__ import annotations

import numpy as np
from tests.unit.diligence.markets import address, history

from tessera.diligence.entities import cluster, created_by, first_funders
from tessera.diligence.labels import AddressClass, Label, Labels, classify
from tessera.facts import ABSENT, Addresses, Amounts, Calls


def paid(*rows: tuple[int, int | None, int]) -> Calls:
    """Transactions of (sender, recipient or None for a creation, wei), in this order."""
    table = Addresses.of(address(n) for sender, to, _ in rows for n in (sender, to) if n)
    ids = {n: table.id_of(address(n)) for sender, to, _ in rows for n in (sender, to) if n}
    count = len(rows)
    return Calls(
        addresses=table,
        block=np.arange(1, count + 1),
        time=np.arange(count) * 12,
        index=np.zeros(count, np.int32),
        hash=np.zeros((count, 32), np.uint8),
        sender=np.array([ids[sender] for sender, _, _ in rows], np.int32),
        to=np.array([ABSENT if to is None else ids[to] for _, to, _ in rows], np.int32),
        value=Amounts.of([value for _, _, value in rows]),
        selector=np.zeros(count, np.uint32),
        ok=np.ones(count, np.bool_),
    )


def joined(people: range, calls: Calls | None, labels=None, **more) -> list[set[int]]:
    table = Addresses.of(map(address, people))
    labels = Labels("test", {address(n): label for n, label in (labels or {}).items()})
    found = cluster(table, classify(table, labels), calls, **more)
    groups: dict[int, set[int]] = {}
    for each, entity in enumerate(found.entity.tolist()):
        groups.setdefault(entity, set()).add(int(table[each], 16) & 0xFFFFFFFF)
    return [group for group in groups.values() if len(group) > 1]


def test_wallets_of_one_first_funder():
    calls = paid((1, 2, 5), (1, 3, 5), (9, 2, 5), (9, 4, 5))
    assert joined(range(1, 5), calls) == [{2, 3}]


def test_a_funder_who_also_gives_them_the_token_is_one_with_them():
    calls = paid((1, 2, 5), (1, 3, 5), (8, 7, 5))
    moves = history((0, 0, 1, 9), (1, 1, 2, 4), (2, 3, 7, 1), (3, 7, 8, 1))
    table = moves.addresses
    found = cluster(table, classify(table, Labels("", {})), calls, moves=moves)
    of = {n: int(found.entity[table.id_of(address(n))]) for n in (1, 2, 3, 7, 8)}
    assert of[1] == of[2] == of[3]
    assert len({of[1], of[7], of[8]}) == 3


def test_attack_a_chain_of_funders_is_no_entity():
    """Everybody's first coins come from somebody, in the end all from a few.

    Whoever joins each wallet with its funder joins all of a chain, and every token of it has one
    holder.
    """
    calls = paid(*((n, n + 1, 5) for n in range(1, 30)))
    assert joined(range(1, 31), calls) == []


def test_only_the_first_coins_count_and_only_coins():
    assert joined(range(1, 4), paid((9, 2, 1), (9, 3, 0), (8, 3, 1), (1, 2, 5), (1, 3, 5))) == []


def test_nobody_is_joined_through_an_exchange_a_bridge_or_a_mixer():
    calls = paid((1, 2, 5), (1, 3, 5))
    for label in (
        Label(AddressClass.EXCHANGE),
        Label(AddressClass.BRIDGE),
        Label(AddressClass.CONTRACT, public=True),
    ):
        assert joined(range(1, 4), calls, {1: label}) == []


def test_one_owners_labels_are_one():
    labels = {n: Label(AddressClass.EXCHANGE, "kraken") for n in (1, 2)}
    labels[3] = Label(AddressClass.EXCHANGE, "okx")
    labels[4] = Label(AddressClass.EXCHANGE)
    labels[5] = Label(AddressClass.EXCHANGE)
    assert joined(range(1, 7), None, labels) == [{1, 2}]


def test_contracts_of_one_deployer_by_their_addresses():
    """An address that is the hash of a deployer and a nonce is that deployer's: no guess."""
    deployer = address(7)
    assert created_by("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0", 0) == (
        "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    )
    made = [created_by(deployer, nonce) for nonce in (0, 5)]
    table = Addresses.of([address(3), deployer, *made])
    classes = classify(table, Labels("", {}))
    for found in (
        cluster(table, classes, paid((7, None, 0))),
        cluster(table, classes, deployers=[deployer]),
    ):
        own = table.id_of(deployer)
        assert found.entity.tolist() == [0, 1, own, own, own]


def test_attack_an_unlabelled_hot_wallet_joins_no_strangers():
    """An exchange that no table knows yet funds thousands.

    As a first funder it would make one entity of them all, and a token look as if one held it. It
    is paid by as many strangers as it pays, which no owner of many wallets is.
    """
    hot, customers = 1, range(100, 200)
    funded = [(hot, n, 5) for n in customers]
    paying = [(n, hot, 1) for n in range(300, 400)]
    assert joined(customers, paid(*funded, *paying)) == []


def test_attack_a_sybil_cannot_pass_for_an_exchange_by_paying_itself():
    """Somebody with a hundred wallets sends dust back from each, to look like a hub.

    Those are wallets that it funded itself, and they do not count as strangers.
    """
    wallets = range(100, 200)
    calls = paid(*((1, n, 5) for n in wallets), *((n, 1, 1) for n in wallets))
    assert joined(wallets, calls) == [set(wallets)]


def test_what_holds_for_others_joins_nobody():
    calls = paid((1, 2, 5), (1, 3, 5))
    for label in (AddressClass.STAKING, AddressClass.DEX_POOL, AddressClass.BURN):
        assert joined(range(2, 4), calls, {2: Label(label)}) == []


def test_amounts_of_an_entity_are_at_its_least_member():
    table = Addresses.of(map(address, range(1, 4)))
    found = cluster(table, classify(table, Labels("", {})), paid((9, 1, 5), (9, 3, 5)))
    assert found.entity.tolist() == [0, 1, 2, 1]
    assert found.together([0, 10, 20, 30]) == [0, 40, 20, 0]
    assert (found.funded, found.joined, found.observed) == (2, 2, True)


def test_first_funders_leave_out_what_failed_and_what_is_sent_to_oneself():
    calls = paid((1, 2, 5), (2, 2, 5), (3, 2, 5))
    calls.ok[0] = False
    funded, funder = first_funders(calls)
    assert [calls.addresses[int(i)] for i in funded] == [address(2)]
    assert [calls.addresses[int(i)] for i in funder] == [address(3)]
