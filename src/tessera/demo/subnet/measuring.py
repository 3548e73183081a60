"""Validators at work: two by the validator's program, and a lazy one that asks by its known key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import msgspec

from tessera.app import World
from tessera.app.validating import Done, Plan, Validator, served_folder
from tessera.bindings.channels import ChannelOpened
from tessera.client.consumer import Client
from tessera.client.evidence import kept
from tessera.demo.accountant import PaidCall
from tessera.demo.subnet.cast import LAZY, STRANGERS, VALIDATORS
from tessera.demo.traffic import as_paid
from tessera.errors import InvariantViolation
from tessera.payments.header import SignedReceipt
from tessera.payments.onchain import ConsumerOnChain, channels_domain
from tessera.spec.signatures import Address, address_of, keccak
from tessera.units import AssetId, Units
from tessera.validation import rounds
from tessera.validation.draw import Draw
from tessera.validation.endpoints import PaidEndpoint
from tessera.validation.report import ModelName, build_report
from tessera.validation.running import Limits, items_to_ask, run
from tessera.validation.survey import Judged
from tessera.validation.task import Benchmark
from tessera.validation.weights import merit, row_of

__all__ = ["Candidate", "Measuring"]

_ITEMS: Final = 64
"""Of each model in an epoch: half of them by each key."""

_LAZY_ITEMS: Final = 8
_AT_ONCE: Final = 8
_BUDGET_DOLLARS: Final = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of the subnet.

    Attributes
    ----------
    slug, uid, asset, root
        Its name, its place, and the content root of its version.
    operator, url
        Who answers for it, and where.
    """

    slug: str
    uid: int
    asset: AssetId
    root: bytes
    operator: str
    url: str


@dataclass
class Measuring:
    """What validators find, commit to and reveal.

    Attributes
    ----------
    world, task, subnet, candidates
        Where, by which benchmark, and whom.
    url
        Where the data folder's served files are.
    judged
        By epoch and validator, what each model weighs and why; of those who measured properly.
    """

    world: World
    task: Benchmark
    subnet: int
    candidates: Sequence[Candidate]
    url: str
    judged: dict[int, dict[str, list[Judged]]] = field(default_factory=dict)
    _validators: dict[str, Validator] = field(default_factory=dict)
    _of_lazy: list[tuple[str, SignedReceipt]] = field(default_factory=list)

    def __post_init__(self) -> None:
        unit = 10**self.world.currency.decimals
        for name, unknown in STRANGERS.items():
            plan = Plan(
                subnet=self.subnet, task=self.task, url=self.url, validator=name, unknown=unknown,
                budget=_BUDGET_DOLLARS * unit, items=_ITEMS, at_once=_AT_ONCE,
            )  # fmt: skip
            self._validators[name] = Validator(self.world, plan)

    async def score(self, epoch: int, names: Sequence[str]) -> None:
        """Let validators measure all models, and commit to rows."""
        honest = [name for name in names if name != LAZY]
        found = await asyncio.gather(*(self._validators[name].score() for name in honest))
        self.judged[epoch] = {
            name: _judgements(each) for name, each in zip(honest, found, strict=True)
        }
        if LAZY in names:
            await self._believe(epoch)

    async def reveal(self, epoch: int, names: Sequence[str]) -> None:
        """Let them open their rows, and serve them."""
        for name in names:
            if name == LAZY:
                await self._reveal(epoch)
            else:
                _checked(await self._validators[name].duties())

    def found(self, epoch: int, slug: str) -> Iterator[Judged]:
        """Yield what each of those who measured properly found of a model."""
        for judged in self.judged[epoch].values():
            yield from (each for each in judged if each.slug == slug)

    def calls(self, epoch: int) -> int:
        """Return how many calls those who measured properly made."""
        judged = (each for of_one in self.judged[epoch].values() for each in of_one)
        return sum(sum(each.favour["items"]) for each in judged if each.favour is not None)

    def receipts(self) -> list[PaidCall]:
        """Return every receipt of every key, as the accountant reads them."""
        domain = channels_domain(self.world.deployment)
        operators = {each.asset: each.operator for each in self.candidates}

        def signer_of(signed: SignedReceipt) -> Address:
            return address_of(operators[AssetId(signed.receipt.asset)])

        folders = sorted((self.world.config.data_dir / "surveys").glob("*/calls.*"))
        signed = [
            (operators[AssetId(call.receipt.receipt.asset)], call.receipt)
            for folder in folders
            for call in kept(folder, domain, signer_of)
            if call.receipt is not None
        ]
        return [as_paid(each, who, domain) for who, each in (*signed, *self._of_lazy)]

    async def request_withdrawals(self) -> int:
        """Ask for all that is left in the channels; when it will be there, unix seconds."""
        moments = [
            await chain.request_withdrawal(channel) async for chain, channel in self._channels()
        ]
        return int(max(moments))

    async def withdraw(self) -> Units:
        """Take it; base units in all."""
        return Units(
            sum([await chain.withdraw(channel) async for chain, channel in self._channels()])
        )

    # --- The lazy one -----------------------------------------------------------------------------

    async def _believe(self, epoch: int) -> None:
        """Ask a few items of each model by the key that everybody knows, and commit to that."""
        world = self.world
        who = address_of(world.account(LAZY).address)
        seed = keccak(b"epoch" + epoch.to_bytes(8, "big"))
        scores: list[tuple[int, Any]] = []
        async with AsyncExitStack() as stack:
            asked: dict[str, tuple[Client, httpx.AsyncClient]] = {}
            for each in self.candidates:
                if each.operator not in asked:
                    client = await self._client(each)
                    stack.push_async_callback(asyncio.to_thread, client.close)
                    http = await stack.enter_async_context(client.async_http())
                    asked[each.operator] = client, http
                client, http = asked[each.operator]
                cards = {card.id: card for card in await asyncio.to_thread(client.models)}
                numbers = items_to_ask(self.task, Draw(seed, each.root, who, _LAZY_ITEMS))
                endpoint = PaidEndpoint(http, cards[each.slug], channels_domain(world.deployment))
                finished = await run(
                    self.task, numbers, endpoint, about=each.slug, limits=Limits(_AT_ONCE)
                )
                report = await build_report(self.task, ModelName(each.slug), finished.measured)
                core = report["core"]
                scores.append((each.uid, merit(core["score"], core["chance"])))
            for operator, (client, _) in asked.items():
                self._of_lazy += [(operator, signed) for signed in client.receipts]
        await rounds.commit(
            world.sender(LAZY), world.deployment.scores, self._rows,
            subnet=self.subnet, uid=VALIDATORS.index(LAZY), weights=row_of(scores),
        )  # fmt: skip

    async def _reveal(self, epoch: int) -> None:
        world = self.world
        place = rounds.Place(
            world.reader.chain_id, world.deployment.scores.address, self.subnet, epoch,
            world.account(LAZY).address,
        )  # fmt: skip
        sealed = await asyncio.to_thread(rounds.kept, self._rows, place)
        file = served_folder(world) / place.name
        file.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(file.write_bytes, rounds.write_row(sealed))
        scores = world.deployment.scores
        await rounds.reveal(world.sender(LAZY), scores, self._rows, place, self.url + place.name)

    async def _client(self, model: Candidate) -> Client:
        world, deposit = self.world, _BUDGET_DOLLARS * 10**self.world.currency.decimals
        account = world.account(LAZY)
        # By the one sender of a key: it does more than to call models.
        channel = await self._on_chain(LAZY, model.operator).open(
            deposit, address_of(account.address)
        )
        return Client(
            model.url, account=account, deployment=world.deployment, rpc_url=world.reader.url,
            deposit=deposit, operator=model.operator, channel=channel, state_dir=None,
        )  # fmt: skip

    # --- Inside -----------------------------------------------------------------------------------

    @property
    def _rows(self) -> Any:
        return self.world.config.data_dir / "rows"

    def _on_chain(self, name: str, operator: str) -> ConsumerOnChain:
        world = self.world
        return ConsumerOnChain(
            world.reader, world.sender(name), world.deployment, address_of(operator)
        )

    async def _channels(self) -> Any:
        """Yield every channel that one of these keys opened, with whoever can close it."""
        world = self.world
        names = {world.account(n).address: n for n in (*VALIDATORS, *STRANGERS.values())}
        logs = await world.reader.logs(
            ChannelOpened,
            address=world.deployment.channels.address,
            first=world.deployment.since,
        )
        for log in logs:
            opened = log.event
            if opened.payer in names:
                yield self._on_chain(names[opened.payer], opened.operator), opened.channel


def _judgements(done: Sequence[Done]) -> list[Judged]:
    _checked(done)
    found = [
        {name: value for name, value in each.data.items() if name in Judged.__dataclass_fields__}
        for each in done
        if each.what == "measured"
    ]
    return [msgspec.convert({**each, "cost": int(each["cost"])}, Judged) for each in found]


def _checked(done: Sequence[Done]) -> None:
    """See that nothing went wrong.

    Raises
    ------
    InvariantViolation
        Something did.
    """
    wrong = [each.text for each in done if each.failed or each.what == "waiting"]
    if wrong:
        raise InvariantViolation("a validator's program", found=wrong, wanted="all of it done")
