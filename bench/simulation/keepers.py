"""What anyone may do for all: end sales, settle, hand income on, execute what was voted for."""

from __future__ import annotations

from eth_utils.crypto import keccak

from bench.simulation.actors import note_opening, propose
from bench.simulation.evm import CHAIN_ID
from bench.simulation.market import DOLLAR, LOCKED, Actor, Asset, Channel, Market
from bench.simulation.system import DAY, SERVE_WINDOW
from tessera.spec.access import access_domain, use_digest
from tessera.spec.signatures import address_of as key_of
from tessera.spec.vouchers import (
    Line,
    SignedVoucher,
    TillKey,
    Voucher,
    encode_batch,
    voucher_digest,
)

_VOTING, _DEFEATED, _READY = 1, 2, 8
_BATCH = 20


def keep(market: Market) -> None:
    """Do what is due."""
    close_sales(market)
    settle(market)
    serve(market)
    flush(market)
    govern(market)
    if market.chance(0.1):
        market.claim_next_part()


def close_sales(market: Market) -> None:
    """End first sales that are over, deliver, and open their pools."""
    keeper = market.keeper
    for asset in market.assets:
        sale, over = asset.sale, market.evm.now >= asset.sale_ends
        if asset.prices:
            _collect(market, asset)
            continue
        if sale.name == "Curve":
            if over:
                _give_up(market, asset)
            continue
        if sale.name == "Auction":
            if not (over or sale.read("is_over")):
                continue
            market.send("close auction", keeper, sale, "close")
        elif not (over or sale.read("unsold") == 0):
            continue
        if sale.read("final"):
            market.send("open pool", keeper, sale, "open_pool")
            note_opening(market, asset)
        else:
            _give_up(market, asset)


def _give_up(market: Market, asset: Asset) -> None:
    """After a sale that missed its goal: everybody gets the money back, and a pool is opened.

    The publisher opens it with shares and money of their own.
    """
    sale, publisher = asset.sale, asset.publisher
    for actor in asset.buyers.values():
        if sale.name == "Curve":
            _sell_all_back(market, asset, actor)
        else:
            market.send("refund", market.keeper, sale, "refund_for", actor.address)
    asset.buyers.clear()
    if sale.name != "Curve" or market.ledger.of(asset.share, sale.address):
        market.send("return unsold", market.keeper, sale, "return_unsold")
    exchange, currency = market.system.exchange, market.system.currency
    for token in (asset.share, currency):
        market.allow(publisher, token, exchange)
    shares = market.ledger.of(asset.share, publisher.address) // 10
    money = market.cash(publisher) // 4
    until = market.evm.now + LOCKED
    market.send(
        *("open pool", publisher, exchange, "open_pool"),
        *(asset.share.address, shares, money, 1, publisher.address, until),
    )
    note_opening(market, asset)


def _sell_all_back(market: Market, asset: Asset, actor: Actor) -> None:
    bought = asset.sale.read("bought", actor.address)
    amount = min(bought, market.ledger.of(asset.share, actor.address))
    if amount:
        market.allow(actor, asset.share, asset.sale)
        until = market.evm.now + 60
        market.send("sell to curve", actor, asset.sale, "sell", amount, 0, until)


def _collect(market: Market, asset: Asset) -> None:
    """Send a few buyers what waits for them."""
    for address in list(asset.buyers)[:10]:
        asset.buyers.pop(address)
        if asset.sale.name == "Auction":
            waits = asset.sale.read("bid_of", address)
        elif asset.sale.name == "Offering":
            waits = asset.sale.read("final") and asset.sale.read("bought", address)
        else:
            waits = 0
        if waits:
            market.send("collect", market.keeper, asset.sale, "collect", address)


def settle(market: Market, most: int = _BATCH) -> None:
    """Let each operator settle its vouchers that are worth most."""
    for operator in market.operators:
        due = [
            channel
            for channel in market.channels.values()
            if channel.operator is operator and channel.signed > channel.settled
        ]
        due.sort(key=lambda channel: channel.settled - channel.signed)
        while due[:most]:
            _settle(market, operator, due[:most])
            due = due[most:] if most > _BATCH else []


def _settle(market: Market, operator: Actor, due: list[Channel]) -> None:
    domain = market.voucher_domain()
    claims = []
    for channel in due:
        lines = tuple(
            Line(asset, terms, amount) for (asset, terms), amount in sorted(channel.lines.items())
        )
        digest = voucher_digest(domain, channel.number, lines)
        signer = channel.consumer.signer
        if signer is None:
            raise AssertionError("every actor has a key")
        voucher = SignedVoucher(Voucher(channel.number, lines), signer.sign(digest))
        claims.append((voucher, {TillKey(ln.asset, ln.terms): ln.maximum for ln in lines}))
    tills, words = encode_batch(claims)
    rows = [tuple(till) for till in tills]
    market.send("settle vouchers", operator, market.system.channels, "settle", rows, words)
    market.counts["vouchers"] += len(due)
    for channel in due:
        channel.settled = channel.signed


def serve(market: Market) -> None:
    """Prove orders that were served, give back what never is, and let the money flow."""
    _serve_licences(market)
    product, operator = market.product, market.assets[0].operator
    domain = access_domain(CHAIN_ID, key_of(product.address))
    uses, late = [], []
    for number, owner in list(market.orders.items())[:40]:
        ordered_at, valid = _ordered_at(market, number)
        if number in market.never_served:
            if market.evm.now > ordered_at + SERVE_WINDOW:
                late.append((number, owner))
        elif valid and market.evm.now <= ordered_at + SERVE_WINDOW - 60:
            call, request = number.to_bytes(16, "big"), keccak(text=f"request {number}")
            deadline = market.evm.now + 300
            signature = owner.sign(use_digest(domain, number, call, request, deadline))
            uses.append((number, call, request, deadline, keccak(text="answer"), *signature))
    if uses:
        market.send("prove service", operator, product, "prove", uses)
        for use in uses:
            market.orders.pop(use[0])
    for number, owner in late:
        market.send("refund access", owner, product, "refund", number)
        market.orders.pop(number)
    if uses:
        market.send("flush product", market.keeper, product, "flush")


def _serve_licences(market: Market) -> None:
    licence, domain = market.licence, access_domain(CHAIN_ID, key_of(market.licence.address))
    uses = []
    for number in list(market.unserved)[:40]:
        if market.evm.now > licence.read("order_of", number)[3] + SERVE_WINDOW - 60:
            # Too late to be sure: its owner is paid back in the end.
            continue
        call, request = number.to_bytes(16, "big"), keccak(text=f"licence {number}")
        deadline = market.evm.now + 300
        digest = use_digest(domain, number, call, request, deadline)
        signature = market.licences[number].sign(digest)
        uses.append((number, call, request, deadline, keccak(text="answer"), *signature))
    if uses:
        operator = market.assets[0].operator
        market.send("prove service", operator, licence, "prove", uses)
        for use in uses:
            del market.unserved[use[0]]
        market.send("flush product", market.keeper, licence, "flush")


def _ordered_at(market: Market, number: int) -> tuple[int, bool]:
    view = market.product.read("order_of", number)
    return view[3], not view[8]


def flush(market: Market) -> None:
    """Split what lies in Tills, and hand each asset's income on to its Share."""
    channels = market.system.channels
    for key in list(market.unflushed):
        market.send("flush till", market.keeper, channels, "flush_till", *key)
        del market.unflushed[key]
    for asset in market.assets:
        amount = channels.read("pending_of", asset.number)
        if amount >= 20 * DOLLAR:
            market.send("flush income", market.keeper, channels, "flush", asset.number)
            asset.revenue[market.evm.now // DAY] += amount


def govern(market: Market) -> None:
    """Fill a treasury, let a publisher propose, and execute what passed."""
    governor = market.system.governor
    asset = market.rng.choice(market.assets)
    who = asset.publisher
    if market.chance(0.1):
        amount = market.cash(who) // 100
        if amount:
            market.allow(who, market.system.currency, governor)
            market.send("fund treasury", who, governor, "deposit", asset.number, amount)
    elif market.chance(0.2):
        if not governor.read("locked_of", asset.number, who.address):
            held = market.ledger.of(asset.share, who.address)
            market.allow(who, asset.share, governor)
            number = market.send("lock", who, governor, "lock", asset.number, held // 2)
            market.locks[asset.number, number] = who
        else:
            propose(market, who, asset)
    for (number, proposal), action in list(market.proposals.items()):
        _support(market, number, proposal)
        state = governor.read("state_of", number, proposal)
        if state == _READY:
            market.attempt(
                *("execute", market.keeper, governor, "execute"), *(number, proposal, action)
            )
            _renew_terms(market, number)
        if state >= _READY or state == _DEFEATED:
            del market.proposals[number, proposal]


def _support(market: Market, number: int, proposal: int) -> None:
    """Publishers vote for what is proposed, with locks that are old enough."""
    governor = market.system.governor
    if governor.read("state_of", number, proposal) != _VOTING:
        return
    proposed_at = governor.read("proposal_of", number, proposal)[3]
    for (asset, lock), owner in market.locks.items():
        if (
            asset == number
            and owner.role == "publisher"
            and not governor.read("vote_of", number, proposal, lock)
            and governor.read("lock_of", number, lock)[2] < proposed_at
        ):
            market.send("vote", owner, governor, "vote", number, proposal, True, [lock])
            market.backed.setdefault((number, lock), []).append(proposal)


def _renew_terms(market: Market, number: int) -> None:
    """Whoever serves under terms that were voted out signs the new ones from now on."""
    for asset in market.assets:
        if asset.number == number:
            endpoint = market.system.registry.read("endpoint_of", number, asset.operator.address)
            asset.terms = endpoint[1]
