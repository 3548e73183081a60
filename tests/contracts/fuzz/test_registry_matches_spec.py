"""The Registry against `tessera.spec.registry`: whatever anybody asks of it, in any order."""

from __future__ import annotations

from functools import partial
from typing import cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig.contract import NOBODY, refused
from rig.drawing import mostly
from rig.effort import times
from rig.people import Person, person
from rig.system import DAY, TERMS_GRACE, deploy_world
from rig.twins import both, key_of

from tessera.spec.prices import MAX_PRICE, Price
from tessera.spec.registry import FEE_CAP_BPS, RegistryModel, Tokenization, left_for_holders
from tessera.spec.signatures import ZERO_ADDRESS, Address, address_of

GOVERNOR, HOLDER = person("governor"), person("holder")
PUBLISHERS = [person("publisher"), person("second publisher")]
OPERATORS = [person("operator"), person("second operator")]
PEOPLE = {key_of(who): who for who in (GOVERNOR, HOLDER, *PUBLISHERS, *OPERATORS)}
UNKNOWN = 2**200
LAST = 2**32 - 1
ROOTS = [bytes(31) + bytes([number]) for number in range(4)]
# Small ones that fit beside each other, any, and the edges.
BPS = st.one_of(
    st.integers(0, 900),
    st.integers(0, 10_000),
    st.sampled_from([0, 1, 9_500, 9_501, 10_000, 10_001, 2**16, 2**255]),
)


HONEST = mostly([True], False)
PRICES = mostly(
    [Price(1_000), Price(0, MAX_PRICE, MAX_PRICE)],
    Price(MAX_PRICE + 1),
    Price(0, MAX_PRICE + 1),
    Price(0, 0, 2**256 - 1),
)
OPERATOR = mostly(OPERATORS, None)


class RegistryTwin(RuleBasedStateMachine):
    """Promises: terms_at_call, holders_floor; every refusal under the same condition."""

    @initialize()
    def deploy(self) -> None:
        self.world = deploy_world(governor=GOVERNOR.address)
        self.registry = self.world.registry
        self.owner = self.world.owner
        self.model = RegistryModel(
            self.world.engine.chain_id,
            address_of(self.registry.address),
            governor=key_of(GOVERNOR),
            owner=key_of(self.owner),
            commons=key_of(self.world.commons),
            terms_grace=TERMS_GRACE,
        )
        PEOPLE[key_of(self.owner)] = self.owner
        self.touched = UNKNOWN
        for _ in range(3):
            self._publish(PUBLISHERS[0], [], OPERATORS[0], 300)
        self._tokenize(PUBLISHERS[0], Tokenization(10**18, DAY, 1_000, 6_000))
        self._add_parent(GOVERNOR, next(iter(self.model.assets)), 900)

    @property
    def now(self) -> int:
        return int(self.world.now)

    def _pick(self, data: st.DataObject) -> int:
        assets = self.model.assets
        shared = [asset for asset in assets if assets[asset].share]
        self.touched = data.draw(mostly([*assets, *shared, *shared], UNKNOWN))
        return self.touched

    def _listed(self, data: st.DataObject) -> Person:
        model = self.model.assets.get(self.touched)
        listings = model.listings.items() if model else ()
        listed = [PEOPLE[operator] for operator, listing in listings if listing.active]
        return cast("Person", data.draw(mostly(listed or OPERATORS, HOLDER)))

    def _sender(self, asset: int, honest: bool) -> Person:
        if not honest or asset not in self.model.assets:
            return HOLDER
        return PEOPLE[self.model.controller_of(asset)]

    def _room(self, asset: int) -> int:
        """Return the bps that terms of an asset could still give away."""
        model = self.model.assets.get(asset)
        if model is None:
            return 0
        return max(1, left_for_holders(0, model.parents) - model.floor_bps)

    # --- Publishing -----------------------------------------------------------------------------

    def _publish(
        self,
        by: Person,
        parents: list[tuple[int, int]],
        operator: Person | None,
        cut_bps: int,
        *,
        kind: int = 1,
        root: bytes = ROOTS[1],
        slug: str = "slug",
        price: Price | None = None,
        salt: int | None = None,
    ) -> None:
        price = price or Price(1_000)
        seed = (len(self.model.assets) if salt is None else salt).to_bytes(32, "big")
        contributions = ROOTS[kind % 4]
        release = (root, 1, "bundle://x")
        publication = (slug, kind, seed, contributions, parents, release)
        at = operator.address if operator else NOBODY
        endpoint = (at, cut_bps, _row(price), "http://localhost")
        made = both(
            lambda: self.model.publish(
                key_of(by), root=root, salt=seed, kind=kind, named=bool(slug), parents=parents,
                contributions=contributions, operator=_key(operator), cut_bps=cut_bps,
                price=price, now=self.now,
            ),
            lambda: self.registry("publish", publication, endpoint, by=by.address),
        )  # fmt: skip
        if made is not None:
            self.touched = made
            assert self.registry("asset_id", by.address, root, seed) == made

    @rule(
        data=st.data(),
        by=st.sampled_from(PUBLISHERS),
        operator=OPERATOR,
        cut_bps=st.one_of(st.just(300), st.just(2_000), BPS),
        price=PRICES,
        kind=mostly([1, 2, 4, 8, 16], 0, 3),
        root=mostly(ROOTS[1:], ROOTS[0]),
        slug=mostly(["slug"], ""),
        again=mostly([False], True),
    )
    @precondition(lambda self: len(self.model.assets) < 8)
    def publish(
        self,
        data: st.DataObject,
        by: Person,
        operator: Person | None,
        cut_bps: int,
        price: Price,
        kind: int,
        root: bytes,
        slug: str,
        again: bool,
    ) -> None:
        known = mostly([*self.model.assets], UNKNOWN)
        royalties = st.one_of(st.integers(1, 900), st.integers(1, 900), BPS)
        parents = data.draw(st.lists(st.tuples(known, royalties), max_size=3))
        self._publish(
            by, parents, operator, cut_bps,
            kind=kind, root=root, slug=slug, price=price, salt=0 if again else None,
        )  # fmt: skip

    @rule(data=st.data(), honest=HONEST, root=mostly(ROOTS[1:], ROOTS[0]))
    def release(self, data: st.DataObject, honest: bool, root: bytes) -> None:
        asset = self._pick(data)
        by = self._sender(asset, honest)
        both(
            lambda: self.model.release(key_of(by), asset, root),
            lambda: self.registry("release", asset, (root, 1, "bundle://y"), by=by.address),
        )

    @rule(data=st.data(), honest=HONEST)
    def add_parent(self, data: st.DataObject, honest: bool) -> None:
        asset = self._pick(data)
        # Elder assets have no elders: the youngest is where parents fit.
        if data.draw(st.booleans()):
            asset = self.touched = [*self.model.assets][-1]
        by = self._sender(asset, honest)
        parent = data.draw(mostly([*self.model.assets], UNKNOWN))
        model = self.model.assets.get(asset)
        room = max(1, self._room(asset) - (model.largest_cut_bps if model else 0))
        bps = data.draw(st.one_of(st.integers(1, 500), mostly([room], room + 1, 0), BPS))
        self._add_parent(by, parent, bps)

    def _add_parent(self, by: Person, parent: int, bps: int) -> None:
        plan = (self.touched, parent, bps)
        both(
            lambda: self.model.add_parent(key_of(by), *plan),
            lambda: self.registry("add_parent", *plan, by=by.address),
        )

    # --- Terms ----------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        honest=HONEST,
        operator=OPERATOR,
        price=PRICES,
    )
    def set_endpoint(
        self, data: st.DataObject, honest: bool, operator: Person | None, price: Price
    ) -> None:
        asset = self._pick(data)
        by, room = self._sender(asset, honest), self._room(asset)
        cut_bps = data.draw(st.one_of(mostly([300, 301, room], room + 1), BPS))
        at = operator.address if operator else NOBODY
        endpoint = (at, cut_bps, _row(price), "http://localhost")

        def contract() -> int:
            self.registry("set_endpoint", asset, endpoint, by=by.address)
            (event,) = self.registry.events("EndpointSet")
            return int(event.arguments["terms"])

        both(
            lambda: self.model.set_endpoint(
                key_of(by), asset, _key(operator), cut_bps, price, self.now
            ),
            contract,
        )

    @rule(
        data=st.data(),
        honest=HONEST,
    )
    def close_endpoint(self, data: st.DataObject, honest: bool) -> None:
        asset = self._pick(data)
        operator = self._listed(data)
        by = self._sender(asset, honest)
        both(
            lambda: self.model.close_endpoint(key_of(by), asset, key_of(operator), self.now),
            lambda: self.registry("close_endpoint", asset, operator.address, by=by.address),
        )

    @rule(data=st.data())
    def renew_terms(self, data: st.DataObject) -> None:
        asset = self._pick(data)
        operator = self._listed(data)
        both(
            lambda: self.model.renew_terms(asset, key_of(operator), self.now),
            lambda: self.registry("renew_terms", asset, operator.address, by=HOLDER.address),
        )

    @rule(
        data=st.data(),
        honest=HONEST,
        discount_bps=st.one_of(st.just(0), st.integers(1, 3_000), st.integers(0, 7_000), BPS),
        min_locked=mostly([1, 2**96 - 1], 0, 2**96),
    )
    def set_discount(
        self,
        data: st.DataObject,
        honest: bool,
        discount_bps: int,
        min_locked: int,
    ) -> None:
        asset = self._pick(data)
        operator = self._listed(data)
        by = self._sender(asset, honest)
        plan = (discount_bps, min_locked)
        both(
            lambda: self.model.set_discount(key_of(by), asset, key_of(operator), *plan, self.now),
            lambda: self.registry("set_discount", asset, operator.address, *plan, by=by.address),
        )

    @rule(
        data=st.data(),
        number=st.sampled_from([LAST - 1, LAST]),
        operator=st.sampled_from(OPERATORS),
    )
    def reach_the_last_numbers(self, data: st.DataObject, number: int, operator: Person) -> None:
        """As four billion releases and changes of terms would."""
        asset = self._pick(data)
        model = self.model.assets.get(asset)
        if model is None:
            return
        model.versions = number
        row = self.registry.slot("rows", asset)
        row = row & ~(LAST << 40) | number << 40
        self.registry.poke("rows", asset, value=row)
        model.roots[number] = ROOTS[1]
        self.registry.poke("roots", asset, number, value=int.from_bytes(ROOTS[1], "big"))
        listing = model.listings.get(key_of(operator))
        if listing is not None and not listing.discount.bps and listing.last < number:
            listing.discount = listing.discount._replace(terms=number)
            self.registry.poke("discounts", asset, operator.address, value=number << 16)

    # --- Ownership ------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        honest=HONEST,
        supply=mostly([10**18, 2**96 - 1], 10**18 - 1, 2**96),
        period=mostly([1, DAY, 365 * DAY], 0, 365 * DAY + 1),
        max_discount_bps=mostly([0, 3_000, 6_000, 10_000], 10_001),
        named=mostly([True], False),
    )
    def tokenize(
        self,
        data: st.DataObject,
        honest: bool,
        supply: int,
        period: int,
        max_discount_bps: int,
        named: bool,
    ) -> None:
        asset = self._pick(data)
        by = self._sender(asset, honest)
        model = self.model.assets.get(asset)
        room = left_for_holders(model.largest_cut_bps, model.parents) if model else 0
        floors = [0, 1_000, max(0, room // 2), max(0, room)]
        floor_bps = data.draw(st.one_of(mostly(floors, max(0, room + 1)), BPS))
        terms = (supply, period, floor_bps, max_discount_bps)
        self._tokenize(by, Tokenization(*terms, named=named))

    def _tokenize(self, by: Person, share: Tokenization) -> None:
        asset, (*terms, named) = self.touched, share

        def contract() -> None:
            request = ("Share" if named else "", "SHR", *terms, HOLDER.address)
            made = self.registry("tokenize", asset, request, by=by.address)
            assert self.registry("share_of", asset) == made

        both(lambda: self.model.tokenize(key_of(by), asset, share), contract)

    @rule(data=st.data(), to=st.sampled_from(PUBLISHERS))
    def sell_the_asset(self, data: st.DataObject, to: Person) -> None:
        asset = self._pick(data)
        if asset in self.model.assets:
            seller = PEOPLE[self.model.assets[asset].owner].address
            self.registry("transferFrom", seller, to.address, asset, by=seller)
            self.model.assets[asset].owner = key_of(to)

    # --- The network's owner, and time ----------------------------------------------------------

    @rule(
        fee_bps=mostly([0, 1, 100, FEE_CAP_BPS], FEE_CAP_BPS + 1),
        commons=OPERATOR,
        validators=OPERATOR,
        honest=HONEST,
    )
    def change_the_network(
        self, fee_bps: int, commons: Person | None, validators: Person | None, honest: bool
    ) -> None:
        by = PEOPLE[self.model.owner] if honest else HOLDER
        receivers = [who.address if who else NOBODY for who in (commons, validators)]
        keys = (_key(commons), _key(validators))
        both(
            lambda: self.model.set_network(key_of(by), fee_bps, *keys),
            lambda: self.registry("set_network", fee_bps, *receivers, by=by.address),
        )
        heir = commons or HOLDER
        both(
            lambda: self.model.nominate_owner(key_of(by), key_of(heir)),
            lambda: self.registry("nominate_owner", heir.address, by=by.address),
        )
        who = validators or HOLDER
        both(
            lambda: self.model.accept_ownership(key_of(who)),
            lambda: self.registry("accept_ownership", by=who.address),
        )

    @rule(seconds=st.sampled_from([1, TERMS_GRACE - 1, TERMS_GRACE, 3 * TERMS_GRACE]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    # --- What everybody can read ----------------------------------------------------------------

    @invariant()
    def terms_at_call(self) -> None:
        asset, registry = self.touched, self.registry
        model = self.model.assets.get(asset)
        for operator in OPERATORS:
            at, key = (asset, operator.address), key_of(operator)
            listing = model.listings.get(key) if model else None
            rows = [*sorted(listing.rows)[-3:], listing.last + 1] if listing else [1]
            for terms in (0, *rows):
                both(
                    partial(self._split_of, asset, key, terms),
                    partial(registry, "split_of", *at, terms),
                )
                both(
                    partial(self._terms_of, asset, key, terms),
                    partial(registry, "terms_of", *at, terms),
                )
            both(partial(self._endpoint_of, asset, key), partial(registry, "endpoint_of", *at))
            assert registry("discount_of", *at) == self.model.discount_of(asset, key)

    def _split_of(self, asset: int, operator: Address, terms: int) -> tuple[object, ...]:
        split = self.model.split_of(asset, operator, terms, self.now)
        royalties = tuple(parent << 16 | bps for parent, bps in split.royalties)
        treasuries = ("0x" + key.hex() for key in (self.model.commons, self.model.validators))
        return split.fee_bps, split.cut_bps, royalties, *treasuries

    def _terms_of(self, asset: int, operator: Address, terms: int) -> tuple[int, int, int]:
        split = self.model.split_of(asset, operator, terms, self.now)
        return split.fee_bps, split.cut_bps, self.model.lapses_at(asset, operator, terms)

    def _endpoint_of(self, asset: int, operator: Address) -> tuple[object, ...]:
        *rest, price = self.model.endpoint_of(asset, operator, self.now)
        return *rest, _row(price)

    @invariant()
    def holders_floor(self) -> None:
        for model in self.model.assets.values():
            for listing in model.listings.values():
                for row in listing.rows.values():
                    assert row.split.left_bps >= model.floor_bps

    @invariant()
    def the_rows_are_the_specs(self) -> None:
        asset, registry = self.touched, self.registry
        assert registry("asset_count") == len(self.model.assets)
        assert registry("fee_bps") == self.model.fee_bps
        assert registry("owner") == PEOPLE[self.model.owner].address
        model = self.model.assets.get(asset)
        if model is None:
            with refused("registry: no such asset"):
                registry("asset_row", asset)
            return
        assert registry("asset_row", asset) == (
            model.number, model.kind, model.versions, model.royalties_bps, model.registered,
        )  # fmt: skip
        assert registry("parents_of", asset) == model.parents
        assert registry("largest_cut_of", asset) == model.largest_cut_bps
        assert registry("contributions_of", asset) == model.contributions
        controller = PEOPLE[self.model.controller_of(asset)]
        assert registry("controller_of", asset) == controller.address
        for version in (0, 1, model.versions, model.versions + 1):
            both(
                partial(self.model.root_of, asset, version),
                partial(registry, "root_of", asset, version),
            )


def _key(who: Person | None) -> Address:
    return key_of(who) if who else ZERO_ADDRESS


def _row(price: Price) -> tuple[int, int, int]:
    return price.per_call, price.per_1k_in, price.per_1k_out


TestRegistryTwin = RegistryTwin.TestCase
TestRegistryTwin.settings = times(0.6, steps=1.5)
