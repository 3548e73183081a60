"""Registry, Channels, Tills and a Share under random commerce, held to the protocol's promises.

Ghosts walk beside the contracts: `RegistryModel`, `ChannelsModel` and `SplitModel` say exactly what
must happen, and a ledger of plain sums says what may never happen, whatever those believe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction

from eth_utils import keccak
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from rig.contract import refused
from rig.currencies import CURRENCIES, LARGEST
from rig.effort import times
from rig.people import Person, person
from rig.signing import (
    Batch,
    Signed,
    SignedLine,
    compact,
    domain_of,
    receipt_for,
    sign_receipt,
    sign_root,
    sign_voucher,
    twin,
)
from rig.system import DAY, TERMS_GRACE, WITHDRAW_DELAY
from rig.twins import both, key_of

from tessera.errors import TransactionReverted
from tessera.spec.channels import ChannelsModel, Grant
from tessera.spec.merkle import MerkleTree
from tessera.spec.prices import Price
from tessera.spec.registry import RegistryModel, Tokenization
from tessera.spec.signatures import Address, Domain, address_of
from tessera.spec.split import SplitModel, SplitTerms
from tessera.spec.vouchers import Line, Receipt, receipt_digest
from tessera.units import BPS

PUBLISHER, HOLDER, KEEPER = person("publisher"), person("holder"), person("keeper")
VALIDATORS = person("validators")
OPERATORS = [person("operator"), person("second operator")]
CONSUMERS = [person("consumer"), person("second consumer")]
SESSION_KEY = person("session key")
FLOOR_BPS = 3_000
MAX_DISCOUNT_BPS = 3_000
# The child's parent takes 700, its grandchild's two parents 500 and 300; see `deploy`. The elder is
# nobody's parent yet: whom it may become one of is up to `add_parent`.
LINEAGE = {
    "elder": (),
    "parent": (),
    "child": (("parent", 700),),
    "grandchild": (("child", 500), ("parent", 300)),
}
# What arrives is what was sent; a fee in transit has tests of its own.
WHOLE = [name for name in CURRENCIES if name != "fee in transit"]


@dataclass(frozen=True)
class Voucher:
    """What a payer's signer once signed; anyone may keep it and try it again."""

    operator: Person
    channel: int
    lines: tuple[SignedLine, ...]
    signature: tuple[int, int, int]
    good: bool


class MarketPromises(RuleBasedStateMachine):
    """Promises: solvent, conserved, settled_once, can_always_claim, terms_at_call, holders_floor,
    wash_loses."""

    @initialize(currency=st.sampled_from(sorted(WHOLE)))
    def deploy(self, currency: str) -> None:
        self.currency = currency
        self.world = world = CURRENCIES[currency].world()
        self.channels = world.channels
        self.domain = domain_of(self.channels)
        self.unit = LARGEST[world.currency("decimals")]
        self.registry = RegistryModel(
            world.engine.chain_id,
            address_of(world.registry.address),
            governor=key_of(PUBLISHER),
            owner=key_of(world.owner),
            commons=key_of(world.commons),
            terms_grace=TERMS_GRACE,
        )
        self.set_fee(100)
        self.assets: dict[str, int] = {}
        for name, parents in LINEAGE.items():
            royalties = tuple((self.assets[parent], bps) for parent, bps in parents)
            salt = (len(self.assets) + 1).to_bytes(32, "big")
            self.assets[name] = self.registry.publish(
                key_of(PUBLISHER), root=keccak(salt), salt=salt, kind=1, named=True,
                parents=royalties, now=world.now,
            )  # fmt: skip
            assert world.publish(PUBLISHER, parents=royalties) == self.assets[name]
        self.share = world.tokenize(
            self.assets["child"], PUBLISHER, floor_bps=FLOOR_BPS, period=DAY, receiver=HOLDER,
            max_discount_bps=MAX_DISCOUNT_BPS,
        )  # fmt: skip
        self.registry.tokenize(
            key_of(PUBLISHER),
            self.assets["child"],
            Tokenization(10**24, DAY, FLOOR_BPS, MAX_DISCOUNT_BPS),
        )
        # (asset, operator, terms) -> what came in under them, divided as when they were written.
        self.splits = {
            (asset, operator.address, 0): SplitModel(SplitTerms(100, 0, model.parents))
            for asset, model in self.registry.assets.items()
            for operator in OPERATORS
        }
        self.model = ChannelsModel(
            Domain(world.engine.chain_id, address_of(self.channels.address)),
            withdraw_delay=WITHDRAW_DELAY,
            credit=self._credit,
        )
        self.open_channels: list[tuple[Person, Person, int]] = []
        self.vouchers: list[Voucher] = []
        # What each signer ever allowed on a line; only their own good vouchers raise it.
        self.signed: Counter[tuple[str, int, int, int]] = Counter()
        self.settled: Counter[tuple[str, int, int, int]] = Counter()
        self.credit: Counter[str] = Counter()
        self.pending: Counter[int] = Counter()
        self.demand: Counter[int] = Counter()
        self.paid_in = self.paid_out = self.grossed = 0
        self.by_voucher = True
        for operator in OPERATORS:
            self.list_operator("child", operator, 2_000)
            self.list_operator("grandchild", operator, 1_000)

    # --- Ghosts ---------------------------------------------------------------------------------

    def _credit(self, asset: int, operator: Address, terms: int, amount: int) -> None:
        address, now = "0x" + operator.hex(), self.world.now
        self.registry.split_of(asset, operator, terms, now)
        lapses = self.registry.lapses_at(asset, operator, terms)
        parts = self.splits[asset, address, terms].credit(amount, lapsed=0 < lapses <= now)
        self.credit[self.world.commons.address] += parts.commons
        self.credit[VALIDATORS.address] += parts.validators
        self.credit[address] += parts.operator
        self.pending[asset] += parts.asset
        self.pending.update(dict(parts.parents))
        self.grossed += amount
        if self.by_voucher:
            self.demand[asset] += parts.commons

    def _both(self, model: Callable[[], object], contract: Callable[[], object]) -> object:
        """Do one thing on both sides; what the model refuses, the contract refuses alike."""
        ghosts = ("splits", "credit", "pending", "demand", "grossed")
        before = {name: deepcopy(getattr(self, name)) for name in ghosts}
        try:
            expected = model()
        except TransactionReverted as error:
            # A later till of the same batch may be the one that reverts all of it.
            vars(self).update(before)
            with refused(error.reason):
                contract()
            return None
        found = contract()
        assert found == expected
        return found

    # --- Assets ---------------------------------------------------------------------------------

    def _owner(self, asset: int) -> Person:
        owner = self.registry.controller_of(asset)
        return next(who for who in (PUBLISHER, KEEPER) if key_of(who) == owner)

    def _note_terms(self) -> None:
        for asset, model in self.registry.assets.items():
            for operator, listing in model.listings.items():
                for terms, row in listing.rows.items():
                    at = (asset, "0x" + operator.hex(), terms)
                    self.splits.setdefault(at, SplitModel(row.split))

    @rule(
        name=st.sampled_from(sorted(LINEAGE)),
        operator=st.sampled_from(OPERATORS),
        cut_bps=st.one_of(st.sampled_from([0, 2_000]), st.integers(0, 5_000)),
    )
    def list_operator(self, name: str, operator: Person, cut_bps: int) -> None:
        asset = self.assets[name]
        by, price = self._owner(asset), Price(1_000)
        both(
            lambda: self.registry.set_endpoint(
                key_of(by), asset, key_of(operator), cut_bps, price, self.world.now
            ),
            lambda: self.world.set_endpoint(asset, operator, cut_bps, by=by),
        )
        self._note_terms()

    @rule(
        name=st.sampled_from(sorted(LINEAGE)),
        parent=st.sampled_from(sorted(LINEAGE)),
        royalty_bps=st.one_of(st.integers(1, 400), st.integers(1, 10_000)),
    )
    def add_parent(self, name: str, parent: str, royalty_bps: int) -> None:
        asset = self.assets[name]
        by, plan = self._owner(asset), (asset, self.assets[parent], royalty_bps)
        both(
            lambda: self.registry.add_parent(key_of(by), *plan),
            lambda: self.world.registry("add_parent", *plan, by=by.address),
        )

    @rule(name=st.sampled_from(sorted(LINEAGE)), operator=st.sampled_from(OPERATORS))
    def renew_terms(self, name: str, operator: Person) -> None:
        at, by = (self.assets[name], operator.address), KEEPER.address
        both(
            lambda: self.registry.renew_terms(at[0], key_of(operator), self.world.now),
            lambda: self.world.registry("renew_terms", *at, by=by),
        )
        self._note_terms()

    @rule(
        operator=st.sampled_from(OPERATORS),
        discount_bps=st.one_of(st.integers(0, MAX_DISCOUNT_BPS), st.integers(0, BPS)),
        min_locked=st.sampled_from([0, 1, 2**96 - 1]),
    )
    def set_discount(self, operator: Person, discount_bps: int, min_locked: int) -> None:
        asset, plan = self.assets["child"], (discount_bps, min_locked)
        both(
            lambda: self.registry.set_discount(
                key_of(PUBLISHER), asset, key_of(operator), *plan, self.world.now
            ),
            lambda: self.world.registry(
                "set_discount", asset, operator.address, *plan, by=PUBLISHER.address
            ),
        )
        self._note_terms()

    @rule(name=st.sampled_from(sorted(LINEAGE)), operator=st.sampled_from(OPERATORS))
    def close_endpoint(self, name: str, operator: Person) -> None:
        asset = self.assets[name]
        by, at = self._owner(asset), (asset, operator.address)
        both(
            lambda: self.registry.close_endpoint(
                key_of(by), asset, key_of(operator), self.world.now
            ),
            lambda: self.world.registry("close_endpoint", *at, by=by.address),
        )

    @rule(fee_bps=st.integers(0, 500))
    def set_fee(self, fee_bps: int) -> None:
        treasuries = (self.world.commons, VALIDATORS)
        owner, plan = self.world.owner, (fee_bps, *(who.address for who in treasuries))
        self.registry.set_network(key_of(owner), fee_bps, *map(key_of, treasuries))
        self.world.registry("set_network", *plan, by=owner.address)

    @rule(name=st.sampled_from(sorted(LINEAGE)))
    def sell_the_asset(self, name: str) -> None:
        asset = self.assets[name]
        owner = self.world.registry("ownerOf", asset)
        buyer = KEEPER if owner == PUBLISHER.address else PUBLISHER
        self.world.registry("transferFrom", owner, buyer.address, asset, by=owner)
        self.registry.assets[asset].owner = key_of(buyer)

    # --- Channels -------------------------------------------------------------------------------

    @rule(
        consumer=st.sampled_from(CONSUMERS),
        operator=st.sampled_from(OPERATORS),
        part=st.fractions(0, 1),
        restricted=st.booleans(),
        cap=st.fractions(0, 1),
        life=st.integers(0, 30 * DAY),
    )
    def open_channel(
        self,
        consumer: Person,
        operator: Person,
        part: Fraction,
        restricted: bool,
        cap: Fraction,
        life: int,
    ) -> None:
        amount = int(self.unit * part)
        self.world.fund(consumer, amount, spender=self.channels)
        salt = len(self.open_channels).to_bytes(32, "big")
        signer = SESSION_KEY if restricted else consumer
        grants = (
            [
                Grant(asset, terms, int(self.unit * cap), self.world.now + life)
                for asset in self.assets.values()
                for terms in (0, 1)
            ]
            if restricted
            else []
        )
        channel = self._both(
            lambda: self.model.open(
                key_of(consumer), key_of(operator), salt, amount, key_of(signer), grants
            ),
            lambda: self.channels(
                "open",
                operator.address,
                salt,
                amount,
                signer.address,
                [tuple(grant) for grant in grants],
                by=consumer.address,
            ),
        )
        assert isinstance(channel, int)
        self.paid_in += amount
        self.open_channels.append((consumer, operator, channel))

    @precondition(lambda self: self.open_channels)
    @rule(data=st.data(), part=st.fractions(0, 1))
    def top_up(self, data: st.DataObject, part: Fraction) -> None:
        _, operator, channel = data.draw(st.sampled_from(self.open_channels))
        amount = int(self.unit * part)
        self.world.fund(KEEPER, amount, spender=self.channels)
        self._both(
            lambda: self.model.top_up(key_of(operator), channel, amount),
            lambda: self.channels("top_up", operator.address, channel, amount, by=KEEPER.address),
        )
        self.paid_in += amount

    @precondition(lambda self: self.open_channels)
    @rule(
        data=st.data(),
        who=st.sampled_from([*CONSUMERS, KEEPER]),
        cap=st.fractions(0, 1),
        life=st.integers(-DAY, 60 * DAY),
    )
    def grant(self, data: st.DataObject, who: Person, cap: Fraction, life: int) -> None:
        _, operator, channel = data.draw(st.sampled_from(self.open_channels))
        asset = data.draw(st.sampled_from(sorted(self.assets.values())))
        item = Grant(
            asset, data.draw(st.integers(0, 2)), int(self.unit * cap), self.world.now + life
        )
        self._both(
            lambda: self.model.grant(key_of(who), key_of(operator), channel, [item]),
            lambda: self.channels(
                "grant", operator.address, channel, [tuple(item)], by=who.address
            ),
        )

    @precondition(lambda self: self.open_channels)
    @rule(
        data=st.data(),
        what=st.sampled_from(
            ["request_withdrawal", "cancel_withdrawal", "withdraw", "withdraw_to", "release"]
        ),
        own=st.booleans(),
    )
    def leave(self, data: st.DataObject, what: str, own: bool) -> None:
        consumer, operator, channel = data.draw(st.sampled_from(self.open_channels))
        who = consumer if own else data.draw(st.sampled_from([*CONSUMERS, *OPERATORS]))
        key, now = key_of(operator), self.world.now
        steps: dict[str, tuple[Callable[[], object], tuple[object, ...], Person]] = {
            "request_withdrawal": (
                lambda: self.model.request_withdrawal(key_of(who), key, channel, now),
                (operator.address, channel),
                who,
            ),
            "cancel_withdrawal": (
                lambda: self.model.cancel_withdrawal(key_of(who), key, channel),
                (operator.address, channel),
                who,
            ),
            "withdraw": (
                lambda: self.model.withdraw(key, channel, now),
                (operator.address, channel),
                who,
            ),
            "withdraw_to": (
                lambda: self.model.withdraw_to(key_of(who), key, channel, now),
                (operator.address, channel, KEEPER.address),
                who,
            ),
            "release": (lambda: self.model.release(key, channel), (channel,), operator),
        }
        model, arguments, sender = steps[what]
        before = self.world.held(self.channels)
        self._both(model, lambda: self.channels(what, *arguments, by=sender.address))
        self.paid_out += before - self.world.held(self.channels)

    # --- Vouchers -------------------------------------------------------------------------------

    @precondition(lambda self: self.open_channels)
    @rule(
        data=st.data(),
        keys=st.lists(
            st.tuples(st.sampled_from(sorted(LINEAGE)), st.integers(0, 2)),
            min_size=1,
            max_size=4,
            unique=True,
        ),
        forged=st.sampled_from([None, None, None, "stranger", "high s"]),
    )
    def sign(self, data: st.DataObject, keys: list[tuple[str, int]], forged: str | None) -> None:
        _, operator, channel = data.draw(st.sampled_from(self.open_channels))
        signer = self._signer(operator, channel)
        lines = []
        for asset, terms in sorted((self.assets[name], terms) for name, terms in keys):
            at = (operator.address, channel, asset, terms)
            least = 0 if data.draw(st.integers(0, 4)) == 0 else self.signed[at]
            maximum = least + int(self.unit * data.draw(st.fractions(0, Fraction(1, 4))))
            charged = int(maximum * data.draw(st.fractions(0, Fraction(11, 10))))
            lines.append(SignedLine(asset, terms, maximum, charged))
            if forged is None:
                self.signed[at] = max(self.signed[at], maximum)
        hand = person("stranger") if forged == "stranger" else signer
        signature = sign_voucher(hand, self.domain, channel, lines)
        if forged == "high s":
            signature = twin(*signature)
        self.vouchers.append(Voucher(operator, channel, tuple(lines), signature, forged is None))

    def _signer(self, operator: Person, channel: int) -> Person:
        address = self.model.channels[key_of(operator), channel].signer
        return next(who for who in (*CONSUMERS, SESSION_KEY) if key_of(who) == address)

    @precondition(lambda self: self.vouchers)
    @rule(data=st.data(), operator=st.sampled_from(OPERATORS))
    def settle(self, data: st.DataObject, operator: Person) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.vouchers), min_size=1, max_size=6))
        batch = Batch(sorted({(ln.asset, ln.terms) for v in chosen for ln in v.lines}))
        for voucher in chosen:
            batch.add(voucher.channel, list(voucher.lines), _packed(voucher.signature))
        self._settle(operator, batch)

    def _settle(self, operator: Person, batch: Batch) -> None:
        before = {key: line.charged for key, line in self.model.lines.items()}

        def on_model() -> int:
            done = self.model.settle(key_of(operator), batch.tills, batch.words, self.world.now)
            self.expected = done
            return done.total

        taken = self._both(
            on_model,
            lambda: self.channels("settle", batch.tills, batch.words, by=operator.address),
        )
        if taken is None:
            return
        skipped = [
            (event.arguments["channel"], event.arguments["reason"])
            for event in self.channels.events("VoucherSkipped")
        ]
        assert skipped == [(channel, int(why)) for channel, why in self.expected.skipped]
        sums = {
            (event.arguments["asset"], event.arguments["terms"]): event.arguments["amount"]
            for event in self.channels.events("Settled")
        }
        assert sums == {tuple(key): amount for key, amount in self.expected.sums.items()}
        self._note_settled(before)

    def _note_settled(self, before: dict[tuple[Address, int, tuple[int, int]], int]) -> None:
        for (operator, channel, key), line in self.model.lines.items():
            at = ("0x" + operator.hex(), channel, key[0], key[1])
            self.settled[at] += line.charged - before.get((operator, channel, key), 0)

    @precondition(lambda self: self.vouchers)
    @rule(
        data=st.data(),
        charged=st.fractions(0, Fraction(11, 10)),
        honest=st.booleans(),
        others=st.integers(0, 5),
        shown=st.booleans(),
    )
    def settle_by_receipt(
        self, data: st.DataObject, charged: Fraction, honest: bool, others: int, shown: bool
    ) -> None:
        voucher = data.draw(st.sampled_from(self.vouchers))
        line = data.draw(st.sampled_from(voucher.lines))
        receipt = receipt_for(
            voucher.channel,
            line.asset,
            line.terms,
            int(line.maximum * charged),
            self.world.now,
        )
        hand = voucher.operator if honest else KEEPER
        proof: tuple[bytes, ...] = ()
        if others:
            digest = receipt_digest(self.model.domain, Receipt(**receipt))
            tree = MerkleTree([digest, *(keccak(bytes([other])) for other in range(others))])
            proof = tree.proof(digest) or ()
            receipt_signature = compact(*sign_root(hand, self.domain, tree.root))
            proof = proof if shown else proof[:-1]
        else:
            receipt_signature = compact(*sign_receipt(hand, self.domain, receipt))
        voucher_signature = _packed(voucher.signature)
        before = {key: item.charged for key, item in self.model.lines.items()}
        self._both(
            lambda: self.model.settle_by_receipt(
                key_of(voucher.operator),
                [Line(ln.asset, ln.terms, ln.maximum) for ln in voucher.lines],
                voucher_signature,
                Receipt(**receipt),
                proof,
                receipt_signature,
                self.world.now,
            ),
            lambda: self.channels(
                "settle_by_receipt",
                voucher.operator.address,
                [(ln.asset, ln.terms, ln.maximum) for ln in voucher.lines],
                *voucher_signature,
                tuple(receipt.values()),
                list(proof),
                *receipt_signature,
                by=KEEPER.address,
            ),
        )
        self._note_settled(before)

    # --- Money on its way -----------------------------------------------------------------------

    @rule(
        name=st.sampled_from(sorted(LINEAGE)),
        operator=st.sampled_from(OPERATORS),
        part=st.one_of(st.just(Fraction(0)), st.fractions(0, Fraction(1, 4))),
        old=st.booleans(),
    )
    def pay_a_till(self, name: str, operator: Person, part: Fraction, old: bool) -> None:
        asset = self.assets[name]
        listing = self.registry.assets[asset].listings.get(key_of(operator))
        terms = listing.last // (2 if old else 1) if listing else 0
        till = self.channels("till_of", asset, operator.address, terms)
        amount = int(self.unit * part) or 1
        self.world.fund(till, amount)
        self.by_voucher = False
        self._credit(asset, key_of(operator), terms, amount)
        self.by_voucher = True
        assert self.channels("flush_till", asset, operator.address, terms) == amount
        assert self.world.held(till) == 0
        self.paid_in += amount

    @rule(name=st.sampled_from(sorted(LINEAGE)))
    def flush(self, name: str) -> None:
        asset = self.assets[name]
        amount = self.pending.pop(asset, 0)
        before = self.world.held(self.share)
        owner = self.world.registry("ownerOf", asset)
        assert self.channels("flush", asset, by=KEEPER.address) == amount
        if name == "child":
            assert self.world.held(self.share) == before + amount
            self.paid_out += amount
        else:
            self.credit[owner] += amount

    @rule(who=st.sampled_from([*OPERATORS, PUBLISHER, KEEPER, VALIDATORS]))
    def withdraw_credit(self, who: Person) -> None:
        amount = self.credit.pop(who.address, 0)
        assert self.channels("withdraw_credit", by=who.address) == amount
        self.paid_out += amount

    @rule(part=st.fractions(0, Fraction(1, 4)))
    def send_straight_to_channels(self, part: Fraction) -> None:
        amount = int(self.unit * part)
        self.world.fund(self.channels.address, amount)
        assert self.channels("absorb_surplus", by=KEEPER.address) == amount
        self.credit[self.world.commons.address] += amount
        self.paid_in += amount

    @rule(seconds=st.sampled_from([1, WITHDRAW_DELAY - 1, WITHDRAW_DELAY, DAY, 20 * DAY]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def solvent(self) -> None:
        obligations = self.channels("obligations")
        assert self.world.held(self.channels) == obligations
        owed = sum(self.credit.values()) + sum(self.pending.values())
        deposits = sum(state.balance for state in self.model.channels.values())
        left_over = sum(split.left_over for split in self.splits.values())
        assert obligations == owed + deposits + left_over
        assert self.world.held(self.share) >= self.share("obligations")

    @invariant()
    def conserved(self) -> None:
        assert self.channels("obligations") == self.paid_in - self.paid_out
        for account, amount in self.credit.items():
            assert self.channels("credit_of", account) == amount
        for asset in self.assets.values():
            assert self.channels("pending_of", asset) == self.pending[asset]
            assert self.channels("demand_of", asset) == self.demand[asset]

    @invariant()
    def settled_once(self) -> None:
        for consumer, operator, channel in self.open_channels:
            state = self.model.channels[key_of(operator), channel]
            payer, signer, restricted, balance, available_at = self.channels(
                "channel_of", operator.address, channel
            )
            assert payer == consumer.address
            assert _bytes(signer) == state.signer
            assert (restricted, balance, available_at) == (
                state.restricted,
                state.balance,
                state.available_at,
            )
        for (operator_address, channel, asset, terms), amount in self.settled.items():
            charged, cap, _ = self.channels("line_of", operator_address, channel, asset, terms)
            assert charged == amount
            assert charged <= self.signed[operator_address, channel, asset, terms]
            if self.model.channels[_bytes(operator_address), channel].restricted:
                assert charged <= cap

    @invariant()
    def terms_at_call(self) -> None:
        for (asset, operator, terms), split in self.splits.items():
            fee, cut, royalties, _, _ = self.world.registry("split_of", asset, operator, terms)
            now = self.registry.split_of(asset, _bytes(operator), terms, self.world.now)
            assert (fee, cut) == (now.fee_bps, now.cut_bps)
            assert cut in (0, split.terms.cut_bps)
            assert tuple((w >> 16, w % 2**16) for w in royalties) == split.terms.royalties
            assert self.channels("gross_of", asset, operator, terms) == split.gross

    @invariant()
    def holders_floor(self) -> None:
        child = self.assets["child"]
        for (asset, _, _), split in self.splits.items():
            if asset == child:
                holders = split.gross * split.terms.left_bps // BPS
                assert holders >= split.gross * FLOOR_BPS // BPS

    @invariant()
    def wash_loses(self) -> None:
        """Everybody but the commons together gets back at most what was paid less its bps."""
        for split in self.splits.values():
            commons = split.gross * split.terms.commons_bps // BPS
            assert split.left_over >= 0
            coalition = split.credited - commons
            lost = split.gross - coalition
            assert lost * BPS >= split.gross * split.terms.commons_bps

    @invariant()
    def can_always_claim(self) -> None:
        """Every payer, and everyone with credit, leaves with the last unit, in any order."""
        with self.world.engine.trial():
            for consumer, operator, channel in self.open_channels:
                state = self.model.channels[key_of(operator), channel]
                if state.available_at == 0:
                    self.channels(
                        "request_withdrawal", operator.address, channel, by=consumer.address
                    )
            self.world.wait(WITHDRAW_DELAY)
            for _, operator, channel in reversed(self.open_channels):
                balance = self.model.channels[key_of(operator), channel].balance
                assert self.channels("withdraw", operator.address, channel) == balance
            for asset in self.assets.values():
                assert self.channels("flush", asset) == self.pending[asset]
            for account in {*self.credit, PUBLISHER.address, KEEPER.address}:
                self.channels("withdraw_credit", by=account)
            left_over = sum(split.left_over for split in self.splits.values())
            assert self.world.held(self.channels) == left_over


def _bytes(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))


def _packed(signature: tuple[int, int, int]) -> Signed:
    """Pack as EIP-2098 does, also what it has no room for: a high s spills into the parity."""
    v, r, s = signature
    return r, (s | (v - 27) << 255) % 2**256


TestMarketPromises = MarketPromises.TestCase
TestMarketPromises.settings = times(1, steps=2)
