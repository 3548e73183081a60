"""The whole system on a fresh engine, deployed as production does it: at predicted addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import rlp
from eth_utils import keccak

from rig.compiling import Compiled, compiled, mock
from rig.contract import NOBODY, Contract, deployed
from rig.engines import CHAIN_ID, Engine, new_engine
from rig.people import Person, person

WITHDRAW_DELAY = 3_600
DAY = 86_400
TERMS_GRACE = 7 * DAY
# Shortest lock, vote, timelock, exit delay, execution window.
GOVERNANCE = (DAY, 3 * DAY, DAY, 5 * DAY, 7 * DAY)
ONE_SHARE = 10**18
LENS_EPOCH = DAY
# The end of a sale's terms: for everybody, and without a pool.
OPEN_TO_ALL = (bytes(32), (0, 0, 0))
MODEL = 1
Parents = tuple[tuple[int, int], ...]


def create_address(deployer: str, nonce: int) -> str:
    """Predict where the `nonce`-th contract of `deployer` comes to lie."""
    body = rlp.encode([bytes.fromhex(deployer[2:]), nonce])
    return "0x" + keccak(body)[12:].hex()


@dataclass
class World:
    """One deployment. Methods do the common steps of a story and return what they made."""

    engine: Engine
    currency: Contract
    registry: Contract
    channels: Contract
    share_implementation: Contract
    till_implementation: Contract
    vesting_implementation: Contract
    offering_implementation: Contract
    auction_implementation: Contract
    curve_implementation: Contract
    allocation_implementation: Contract
    exchange: Contract
    launchpad: Contract
    access_implementation: Contract
    storefront: Contract
    orders: Contract
    governor: Contract
    lens: Contract
    workflows: Contract
    owner: Person
    commons: Person
    salts: Any = field(default_factory=lambda: count(1))

    @property
    def now(self) -> int:
        return self.engine.now

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.engine.now += seconds

    def fund(self, who: Person | str, amount: int, *, spender: Contract | None = None) -> None:
        """Give somebody money, and let `spender` take all they have."""
        address = who if isinstance(who, str) else who.address
        self.currency("mint", address, amount, by=self.owner.address)
        if spender is not None:
            self.currency("approve", spender, 2**256 - 1, by=address)

    def actor(self) -> Contract:
        """Deploy a contract that does what it is told; see `as_contract`."""
        return deployed(self.engine, mock("Actor"), by=self.owner.address)

    def as_contract(self, actor: Contract, target: Contract, name: str, *arguments: object) -> None:
        """Call something with a contract as the sender."""
        payload = target.interface.call_data(name, *arguments)
        actor("call", target.address, payload, by=self.owner.address)

    def held(self, who: Contract | Person | str) -> int:
        """Read a balance of the currency."""
        address = who if isinstance(who, str) else who.address
        return int(self.currency("balanceOf", address))

    def publish(
        self,
        publisher: Person,
        *,
        parents: Parents = (),
        operator: Person | str = NOBODY,
        cut_bps: int = 0,
        price: tuple[int, int, int] = (1_000, 0, 0),
        kind: int = MODEL,
    ) -> int:
        """Register an asset of new content, with its first endpoint if an operator is named."""
        salt = next(self.salts).to_bytes(32, "big")
        publication = (
            "slug",
            kind,
            salt,
            bytes(32),
            list(parents),
            (keccak(salt), 1, "bundle://x"),
        )
        address = operator if isinstance(operator, str) else operator.address
        endpoint = (address, cut_bps, price, "http://localhost")
        return int(self.registry("publish", publication, endpoint, by=publisher.address))

    def set_endpoint(
        self,
        asset: int,
        operator: Person,
        cut_bps: int,
        *,
        by: Person,
        price: tuple[int, int, int] = (1_000, 0, 0),
    ) -> int:
        """List an operator and return the number of its terms."""
        endpoint = (operator.address, cut_bps, price, "http://localhost")
        self.registry("set_endpoint", asset, endpoint, by=by.address)
        return int(self.registry.events("EndpointSet")[0].arguments["terms"])

    def tokenize(
        self,
        asset: int,
        publisher: Person,
        *,
        supply: int = 1_000_000 * ONE_SHARE,
        period: int = DAY,
        floor_bps: int = 0,
        max_discount_bps: int = 0,
        receiver: Person | None = None,
        name: str = "Share",
        symbol: str = "SHR",
    ) -> Contract:
        """Make an asset's Share; all of it goes to `receiver`, by default the publisher."""
        request = (
            name,
            symbol,
            supply,
            period,
            floor_bps,
            max_discount_bps,
            (receiver or publisher).address,
        )
        address = self.registry("tokenize", asset, request, by=publisher.address)
        return Contract(self.engine, compiled("Share"), address)

    def new_share(self, publisher: Person, **terms: Any) -> Contract:
        """Publish an asset and tokenize it."""
        return self.tokenize(self.publish(publisher), publisher, **terms)

    def open_channel(
        self,
        payer: Person,
        operator: Person,
        amount: int,
        *,
        signer: Person | None = None,
        grants: tuple[tuple[int, int, int, int], ...] = (),
    ) -> int:
        """Fund a payer and open a channel with the whole amount."""
        self.fund(payer, amount, spender=self.channels)
        salt = next(self.salts).to_bytes(32, "big")
        return int(
            self.channels(
                "open",
                operator.address,
                salt,
                amount,
                (signer or payer).address,
                list(grants),
                by=payer.address,
            )
        )

    def balance_of(self, operator: Person, channel: int) -> int:
        """Read what is left in a channel."""
        return int(self.channels("channel_of", operator.address, channel)[3])


def deploy_world(
    *,
    currency: Compiled | None = None,
    currency_arguments: tuple[object, ...] = (6,),
    withdraw_delay: int = WITHDRAW_DELAY,
    terms_grace: int = TERMS_GRACE,
    chain_id: int = CHAIN_ID,
    engine: Engine | None = None,
    governor: str | None = None,
    governed: bool = False,
) -> World:
    """Deploy everything on a fresh engine; the addresses depend on no chain id.

    `governor` decides about tokenized assets; by default it is the publisher's own key, and the
    Governor itself where the world is `governed`.
    """
    engine = engine or new_engine(chain_id)
    deployer = person("deployer").address
    owner, commons = person("network owner"), person("commons")
    at = {
        name: create_address(deployer, nonce)
        for nonce, name in enumerate(
            (
                "currency",
                "share",
                "till",
                "registry",
                "channels",
                "vesting",
                "offering",
                "auction",
                "curve",
                "allocation",
                "exchange",
                "launchpad",
                "access",
                "storefront",
                "orders",
                "governor",
                "lens",
                "workflows",
            )
        )
    }

    def deploy(name: str, part: Compiled, *arguments: object) -> Contract:
        contract = deployed(engine, part, *arguments, by=deployer)
        assert contract.address == at[name], "a predicted address is wrong"
        return contract

    return World(
        engine=engine,
        currency=deploy("currency", currency or mock("PlainCurrency"), *currency_arguments),
        share_implementation=deploy("share", compiled("Share"), at["currency"], at["registry"]),
        till_implementation=deploy("till", compiled("Till"), at["channels"], at["currency"]),
        registry=deploy(
            "registry",
            compiled("Registry"),
            at["share"],
            governor or (at["governor"] if governed else person("publisher").address),
            owner.address,
            commons.address,
            terms_grace,
        ),
        channels=deploy(
            "channels",
            compiled("Channels"),
            at["currency"],
            at["registry"],
            at["till"],
            withdraw_delay,
        ),
        vesting_implementation=deploy("vesting", compiled("Vesting"), at["launchpad"]),
        **{
            f"{kind.lower()}_implementation": deploy(
                kind.lower(), compiled(kind), at["launchpad"], at["exchange"]
            )
            for kind in ("Offering", "Auction", "Curve")
        },
        allocation_implementation=deploy("allocation", compiled("Allocation"), at["launchpad"]),
        exchange=deploy(
            "exchange",
            compiled("Exchange"),
            at["currency"],
            at["registry"],
            at["launchpad"],
            at["storefront"],
        ),
        launchpad=deploy(
            "launchpad",
            compiled("Launchpad"),
            at["registry"],
            at["exchange"],
            at["offering"],
            at["auction"],
            at["curve"],
            at["vesting"],
            at["allocation"],
        ),
        access_implementation=deploy(
            "access", compiled("Access"), at["currency"], at["channels"], at["registry"]
        ),
        storefront=deploy(
            "storefront", compiled("Storefront"), at["registry"], at["channels"], at["access"]
        ),
        orders=deploy(
            "orders", compiled("Orders"), at["currency"], at["registry"], at["storefront"]
        ),
        governor=deploy(
            "governor",
            compiled("Governor"),
            at["registry"],
            at["launchpad"],
            at["exchange"],
            at["storefront"],
            at["currency"],
            *GOVERNANCE,
        ),
        lens=deploy(
            "lens",
            compiled("Lens"),
            *(at[part] for part in ("registry", "launchpad", "exchange", "governor", "channels")),
            LENS_EPOCH,
        ),
        workflows=deploy("workflows", compiled("Workflows"), at["currency"], at["registry"]),
        owner=owner,
        commons=commons,
    )
