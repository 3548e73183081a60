"""One operator at work: the models it serves, its books, and its settlements."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from tessera.app.settling import follow_settlements, risk_rules, send_income_on
from tessera.app.stakes import LockedShares, read_from
from tessera.app.upstreams import allowed_upstreams
from tessera.app.world import BOOKS, World
from tessera.app.x402 import X402Desk, open_x402
from tessera.assets.content import ContentRoot
from tessera.assets.directory import AssetRecord, EndpointRecord, ReleaseRecord
from tessera.assets.manifest import UpstreamRunner
from tessera.chain.wallet import Account
from tessera.errors import ChainError, TesseraError
from tessera.ownership.income import SentOn
from tessera.payments.keys import Wording
from tessera.payments.ledger import Ledger
from tessera.payments.onchain import AccountSigner, OperatorOnChain, channels_domain
from tessera.payments.onchain_orders import OrdersOnChain
from tessera.payments.proving import OrderProver, ProofReport
from tessera.payments.rights import OrderRules
from tessera.payments.risk import Exposures
from tessera.payments.settle import SettlementReport, Settler, grant_margin_s
from tessera.payments.x402.claiming import ClaimReport, X402Claimer
from tessera.serving.opening import ServingPolicy, open_runner
from tessera.serving.runner import Runner
from tessera.serving.turns import NO_STAKES, Stakes
from tessera.spec.signatures import Domain
from tessera.spec.vouchers import TillKey

__all__ = ["Operator", "ServedModel", "operate"]

_LOOK_EVERY_S: Final = 0.5
_COMPARE_CLOCKS_S: Final = 30.0
_TRY_AGAIN_S: Final = 30.0
"""A bundle may arrive in the store, or an upstream come up, without anything on the chain."""

_log = logging.getLogger("tessera.operator")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A version of an asset with what answers for it.

    Attributes
    ----------
    record, release, endpoint
        What the chain says.
    urn
        The asset's full name.
    created
        When the version was released, unix seconds.
    runner
        Loaded, from bytes that match the content root.
    """

    record: AssetRecord
    release: ReleaseRecord
    endpoint: EndpointRecord
    urn: str
    created: int
    runner: Runner


class Operator:
    """Serves every asset that lists this operator and whose bundle is in the store.

    Attributes
    ----------
    world
        Where.
    account
        Signs receipts and settlements.
    domain
        What vouchers and receipts are signed for.
    ledger, settler, prover
        Its books, and what turns vouchers and served orders into money.
    stakes
        Who has locked how much of what is served.
    x402
        Takes x402 payments; None where none are taken.
    models
        What is served, by slug.
    refused
        What should be and cannot, by slug, with the reason.
    chain_seen_at
        When the chain last answered, in `time.monotonic`.
    chain_ahead_s
        By how much its latest block was then ahead of the clock; negative where it was older.
        None where that says nothing: our own chain makes blocks only when there is work.
    """

    def __init__(
        self,
        world: World,
        account: Account,
        ledger: Ledger,
        settler: Settler,
        prover: OrderProver,
        domain: Domain,
        people: set[str],
    ) -> None:
        self.world = world
        self.account = account
        self.ledger = ledger
        self.settler = settler
        self.prover = prover
        self.domain = domain
        self._people = people
        self.stakes: Stakes = NO_STAKES
        self.x402: X402Desk | None = None
        self.models: dict[str, ServedModel] = {}
        self.refused: dict[str, str] = {}
        self.chain_seen_at = time.monotonic()
        self.chain_ahead_s: float | None = None
        self._compared_at = -_COMPARE_CLOCKS_S
        self._try_again_at = -math.inf
        self._seen: tuple[AssetRecord, ...] = ()
        self._refreshing = asyncio.Lock()
        self._runners: dict[tuple[int, int], tuple[Runner, int]] = {}
        self._retired: set[asyncio.Task[None]] = set()
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` now, and whenever what is served changes."""
        self._listeners.append(listener)
        listener()

    async def refresh(self) -> None:
        """Look at the chain, and serve what it says.

        Raises
        ------
        ChainError
            It does not answer; what was served stays served.
        """
        # Two that load at once would load everything twice.
        async with self._refreshing:
            await self._refresh()
            self.chain_seen_at = time.monotonic()

    async def look_again(self, *, reopen: bool) -> None:
        """Look at everything anew, also at what was refused a moment ago.

        Calls that began with a runner end with it.

        Parameters
        ----------
        reopen
            Open runners again, because settings that they were opened under have changed.

        Raises
        ------
        ChainError
            It does not answer; what was served stays served.
        """
        async with self._refreshing:
            before = self._runners
            if reopen:
                self._runners = {}
            self._seen = ()
            try:
                await self._refresh()
            except BaseException:
                opened, self._runners = self._runners, before
                for key, (runner, _) in opened.items():
                    if key not in before:
                        await runner.close()
                raise
            if reopen:
                for runner, _ in before.values():
                    self._close_later(runner)

    async def compare_clocks(self) -> None:
        """Look now and then how far the chain's latest block is from this machine's clock.

        Raises
        ------
        ChainError
            It does not answer.
        """
        if time.monotonic() - self._compared_at < _COMPARE_CLOCKS_S:
            return
        block = await self.world.reader.block()
        self._compared_at = time.monotonic()
        ahead = block.timestamp - self.world.clock()
        self.chain_ahead_s = None if self.world.node is not None and ahead < 0 else ahead

    async def _refresh(self) -> None:
        directory = self.world.directory
        # In a thread: a key that is new may be encrypted, and opening it takes its time.
        people = await asyncio.to_thread(lambda: set(self.world.addresses.values()))
        # What is gone is nobody of ours any more.
        self._people &= people
        self._people |= people
        await directory.refresh()
        # What is new to us: others use this directory too, and the news may have come to them.
        records = tuple(directory)
        now = time.monotonic()
        if records == self._seen and not (self.refused and now >= self._try_again_at):
            return
        self._try_again_at = now + _TRY_AGAIN_S
        wanted: dict[str, tuple[AssetRecord, EndpointRecord]] = {}
        for record in directory:
            endpoint = record.endpoints.get(self.account.address)
            # A slug belongs to the first who registered it.
            if endpoint is not None and endpoint.listed:
                wanted.setdefault(record.slug, (record, endpoint))
        models: dict[str, ServedModel] = {}
        refused: dict[str, str] = {}
        for slug, (record, endpoint) in wanted.items():
            try:
                models[slug] = await self._served(record, endpoint)
            except ChainError:
                raise
            except TesseraError as error:
                refused[slug] = error.message
                # At the start whoever started shows them, so the log need not say it again.
                if self._seen and self.refused.get(slug) != error.message:
                    _log.warning("%s is not served: %s", slug, error.message)
        self._seen = records
        changed = models != self.models
        for slug, model in models.items():
            if slug not in self.models or self.models[slug].release != model.release:
                _log.info("serving %s version %d", slug, model.release.version)
        self.models, self.refused = models, refused
        self._retire({(m.record.asset, m.release.version) for m in models.values()})
        if changed:
            for listener in self._listeners:
                listener()

    async def settle(self) -> SettlementReport:
        """Settle everything that is due now, and hand income on to the holders."""
        return await self.settler.settle()

    def hurry(self) -> None:
        """Settle what is near a limit of what is risked, however it was paid."""
        self.settler.hurry()
        if self.x402 is not None:
            self.x402.claimer.hurry()

    async def prove(self) -> ProofReport:
        """Prove every order that was served, now, so that its money flows."""
        return await self.prover.prove()

    async def claim(self) -> ClaimReport:
        """Claim what x402 channels owe, now, and hand it on."""
        return ClaimReport() if self.x402 is None else await self.x402.claimer.settle()

    async def send_on(self) -> list[SentOn]:
        """Send on what lies in the Tills of what is served, as royalties do."""
        return await send_income_on(self.world, self.world.sender(self.world.config.operator))

    async def status(self) -> dict[str, Any]:
        """Return how things are, as JSON values."""
        claims = await self.ledger.claims()
        return {
            "operator": self.account.address,
            "models": {
                slug: {"version": model.release.version, "asset": str(model.record.asset)}
                for slug, model in sorted(self.models.items())
            },
            "refused": dict(sorted(self.refused.items())),
            "calls_in_flight": self.ledger.in_flight,
            "channels_due": len(claims),
            "due": str(sum(claim.due for claim in claims)),
            "at_stake": str(self.ledger.exposures.total),
            "channels_too_dear": sum(len(each.too_dear) for each in self._settlers()),
            "settlements_open": [
                {
                    "number": found.n,
                    "state": found.state.name.lower(),
                    "transaction": found.hashes[-1] if found.hashes else None,
                    "value": str(found.value),
                }
                for each in self._settlers()
                for found in each.open
            ],
            "orders_due": len(await self.ledger.proofs()),
            "x402": self.x402 is not None,
            "x402_due": str(await self.x402_due()),
            "height": await self.world.reader.block_number(),
        }

    async def x402_due(self) -> int:
        """Return what x402 channels were charged and the chain does not have, base units."""
        if self.x402 is None:
            return 0
        return sum(book.due for book in await self.x402.tender.batch.due())

    def _settlers(self) -> list[Settler | X402Claimer]:
        return [self.settler, *([self.x402.claimer] if self.x402 is not None else [])]

    async def _served(self, record: AssetRecord, endpoint: EndpointRecord) -> ServedModel:
        release = record.latest
        key = (record.asset, release.version)
        if key not in self._runners:
            block = await self.world.reader.block(release.block)
            self._runners[key] = (await self._opened(release), block.timestamp)
        runner, created = self._runners[key]
        urn = str(self.world.directory.urn(record))
        return ServedModel(record, release, endpoint, urn, created, runner)

    async def _opened(self, release: ReleaseRecord) -> Runner:
        store, config = self.world.store, self.world.config
        root = ContentRoot(release.root)
        # Hashed now: what runs is what the chain says, whatever happened to the disk meanwhile.
        folder = await asyncio.to_thread(store.open_verified, root)
        manifest = store.open(root).manifest(decimals=self.world.currency.decimals)
        upstreams, key = config.upstreams, ""
        if isinstance(manifest.runner, UpstreamRunner):
            upstreams, key = await allowed_upstreams(config, manifest.runner)
        runner = open_runner(
            manifest,
            folder,
            ServingPolicy(
                allow_python_runners=config.allow_python_runners,
                most_timeout_s=config.request_timeout_s,
                upstreams=upstreams,
                upstream_key=key,
                upstream_at_once=config.upstream_calls_count,
            ),
        )
        try:
            await runner.load()
        except BaseException:
            await runner.close()
            raise
        return runner

    def _retire(self, used: set[tuple[int, int]]) -> None:
        for key in self._runners.keys() - used:
            runner, _ = self._runners.pop(key)
            self._close_later(runner)

    def _close_later(self, runner: Runner) -> None:
        task = asyncio.create_task(self._closed_later(runner))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def _closed_later(self, runner: Runner) -> None:
        try:
            # Calls that began with it may go on so long.
            await asyncio.sleep(self.world.config.request_timeout_s)
        finally:
            await runner.close()

    async def close(self) -> None:
        """Close all runners."""
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)
        for runner, _ in self._runners.values():
            await runner.close()
        self._runners.clear()


def order_rules(world: World, people: AbstractSet[str]) -> OrderRules:
    """Return which orders the settings say are honoured.

    Assets that one of `people` made and still has are the operator's own people's. Anybody can
    give him an asset, and what was sold of it comes with it.

    Parameters
    ----------
    people
        The addresses of the keys in the data folder. Whoever looks there keeps it up to date: a
        call that is paid with an order must not wait for files.
    """
    config = world.config

    def own(asset: int) -> bool:
        record = world.directory.get(asset)
        return record is not None and {record.creator, record.owner} <= people

    def chosen(asset: int) -> bool:
        record = world.directory.get(asset)
        slug = record.slug if record and world.directory.by_slug(record.slug) is record else ""
        return str(asset) in config.order_assets or slug in config.order_assets

    return OrderRules(
        least_window_s=config.order_least_window_s,
        least_price=config.order_least_price_units,
        assets=chosen if config.order_assets else None,
        own=own,
    )


def key_wording(world: World) -> Wording:
    """Return what refusals to API keys call models and amounts: slugs, and the currency."""

    def model(asset: int) -> str:
        record = world.directory.get(asset)
        # A slug belongs to the first who registered it.
        if record is None or world.directory.by_slug(record.slug) is not record:
            return f"asset {asset}"
        return record.slug

    return Wording(model, world.currency.shown)


@asynccontextmanager
async def operate(world: World) -> AsyncIterator[Operator]:
    """Open the operator's books and models, and settle in the background, for a context.

    Raises
    ------
    WrongChain
        The books belong to another chain or operator.
    DataError, StorageFull
        They cannot be opened.
    """
    config = world.config
    account = await asyncio.to_thread(world.wallet.load_or_create, config.operator)
    people: set[str] = set()
    sender = world.sender(config.operator)
    if world.node is not None:
        await _with_gas(world, account.address)
    chain = OperatorOnChain(
        world.reader, sender, world.deployment, confirmations=config.confirmations_count
    )
    rules = risk_rules(world)
    exposures = Exposures(rules, retry_after_s=_fresh_s(world))
    orders = OrdersOnChain(world.reader, sender, world.deployment)
    domain = channels_domain(world.deployment)

    def knows(key: TillKey) -> bool:
        record = world.directory.get(key.asset)
        endpoint = record.endpoints.get(account.address) if record else None
        return endpoint is not None and 1 <= key.terms <= endpoint.last_terms

    signer = AccountSigner(account)
    if config.database:
        ledger = await Ledger.open_shared(
            config.database,
            domain,
            signer,
            chain,
            world.clock,
            knows=knows,
            refresh_s=_fresh_s(world),
            margin_s=grant_margin_s(config.settle_every_s),
            exposures=exposures,
        )
    else:
        ledger = await Ledger.open(
            config.data_dir / BOOKS,
            domain,
            signer,
            chain,
            world.clock,
            knows=knows,
            refresh_s=_fresh_s(world),
            margin_s=grant_margin_s(config.settle_every_s),
            orders=orders,
            order_rules=order_rules(world, people),
            exposures=exposures,
        )
    ledger.keys.wording = key_wording(world)
    follow = follow_settlements(world, ledger, chain, rules)
    if not (world.embedded or config.coin_value_units):
        _log.warning(
            "coin_value_units is 0, so gas counts as free and dust is settled at your expense; "
            "say what a coin of chain %d is worth",
            config.chain_id,
        )
    settler = Settler(
        ledger,
        chain,
        time.monotonic,
        every_s=config.settle_every_s,
        at_risk=config.settle_at_risk_units,
        watch_s=_fresh_s(world),
        follow=follow,
    )
    prover = OrderProver(
        ledger,
        orders,
        world.clock,
        every_s=config.settle_every_s,
        late_s=grant_margin_s(config.settle_every_s),
        watch_s=_fresh_s(world),
    )
    if ledger.rights is not None:
        ledger.rights.on_proof(prover.hurry)
    operator = Operator(world, account, ledger, settler, prover, domain, people)

    def supply_of(asset: int) -> int:
        record = world.directory.get(asset)
        return record.supply if record else 0

    reading = read_from(world.reader, world.deployment.governor, supply_of)
    operator.stakes = stakes = LockedShares(reading, time.monotonic)
    tasks: list[asyncio.Task[None]] = []
    try:
        operator.x402 = await open_x402(world, ledger, sender, follow, watch_s=_fresh_s(world))
        exposures.on_reached(operator.hurry)
        await operator.refresh()
        tasks = [
            asyncio.create_task(_settling(ledger, settler), name="tessera-settler"),
            asyncio.create_task(prover.run(), name="tessera-prover"),
            asyncio.create_task(_watch(operator), name="tessera-catalogue"),
        ]
        if operator.x402 is not None:
            claimer = operator.x402.claimer
            tasks.append(asyncio.create_task(claimer.run(), name="tessera-x402"))
        yield operator
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stakes.close()
        await operator.close()
        await ledger.close()


async def _settling(ledger: Ledger, settler: Settler) -> None:
    """Settle for ever; of several gateways that share books only one does."""
    if ledger.leading is not None:
        await ledger.leading.wait()
        _log.info("settling for all gateways that share these books")
    await settler.run()


async def _watch(operator: Operator) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            await operator.refresh()
            await operator.compare_clocks()
        except ChainError as error:
            _log.warning("the catalogue stays as it is: %s", error.message)


async def _with_gas(world: World, address: str) -> None:
    if await world.reader.balance(address) == 0:
        await world.fund(address)


def _fresh_s(world: World) -> float:
    # A withdrawal must be seen long before it is possible.
    return min(15.0, max(0.2, world.deployment.parameters.withdraw_delay_s / 4))
