"""The story from beginning to end: four models, their owners, and everyone who pays for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tessera.app import Operator, World
from tessera.bindings import Auction
from tessera.demo import harvest
from tessera.demo.accountant import Audit, audit
from tessera.demo.accountant.witness import gather
from tessera.demo.cast import CONSUMERS, HOLDERS, assemble, names_of
from tessera.demo.clock import skip_to
from tessera.demo.market import (
    PLANS,
    Listed,
    Plan,
    buy_shares,
    claim_contributions,
    manifest_ending,
    put_on_market,
)
from tessera.demo.models import RELEASES, Built
from tessera.demo.report import Report
from tessera.demo.shop import Shop
from tessera.demo.stage import Stage
from tessera.demo.subnet.chapter import SubnetStory
from tessera.demo.telling import Narrator, whole
from tessera.demo.trading import Trading
from tessera.demo.traffic import MOST_SLOW_CHATS, Consumers, Inputs
from tessera.demo.training import train
from tessera.demo.upstream import LocalModel, write_upstream_bundle
from tessera.demo.voting import Votes
from tessera.errors import InvariantViolation
from tessera.ownership.share import transfer
from tessera.ownership.vesting import read_vesting
from tessera.units import SHARE_DECIMALS, Seconds, Shares, Units

__all__ = ["Populated", "Script", "play_on", "populate_stage", "tell"]

_GIFT_DOLLARS: Final = 25
_MOVED: Final = 40_000
"""Whole shares that change hands in the middle of a stream."""
_LOCKER: Final = "holder-3"
_LOCKERS_CALLS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How large the story is.

    Attributes
    ----------
    calls
        Paid calls in all.
    short_sale_s
        How long the sale that fails is open; buying must fit into it.
    language_model
        One that runs on this machine and may take the part of our toy; its server is among the
        operator's upstreams.
    """

    calls: int = 2_000
    short_sale_s: int = 20
    language_model: LocalModel | None = None


@dataclass(slots=True)
class Populated:
    """A world with models on the market.

    Attributes
    ----------
    models
        What was trained.
    market
        By slug.
    inputs
        What consumers may ask about.
    folders
        Of every bundle, a second version among them, by name.
    """

    models: Sequence[Built]
    market: dict[str, Listed]
    inputs: Inputs
    folders: dict[str, Path]
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Acts:
    """Who plays which part of the story."""

    consumers: Consumers
    shop: Shop
    trading: Trading
    votes: Votes


async def populate_stage(stage: Stage, narrator: Narrator, script: Script) -> Populated:
    """Play the first acts: people, models, publications, shares, vesting and sales."""
    world = stage.world
    narrator.chapter("People, models and shares")
    with narrator.step("make keys, give out coins and test dollars") as step:
        await assemble(world)
        step.note = "2 publishers, 2 contributors, 5 holders, 4 consumers"
    plans = _cast_models(narrator, script.language_model)
    models = await _train(world, narrator, plans)
    market: dict[str, Listed] = {}
    for plan in plans.values():
        # A parent is published before its child, and a sale that fails begins when it is bought.
        with narrator.step(f"publish {plan.slug}, tokenize it, vest and sell shares") as step:
            listed = await put_on_market(
                world, plan, models[plan.slug].folder,
                operator=stage.operator.account.address, url=stage.url,
                period=Seconds(world.config.revenue_period_s), short_sale_s=script.short_sale_s,
            )  # fmt: skip
            market[plan.slug] = await buy_shares(world, listed)
            step.note = await _sale_told(world, market[plan.slug])
    await stage.operator.refresh()
    missing = sorted(set(market) - set(stage.operator.models))
    if missing:
        raise InvariantViolation(
            "models that should be served",
            found=f"not served: {', '.join(missing)} ({stage.operator.refused})",
            wanted="all that were published",
        )
    chat = next(listed.plan for listed in market.values() if listed.plan.replaceable)
    return Populated(
        [models[slug] for slug in market],
        market,
        Inputs(
            texts=[str(text) for text in models["lsa-embed"].examples],
            sentences=[str(text) for text in models["sentiment"].examples],
            pictures=[list(row) for row in models["digits"].examples],  # type: ignore[call-overload]
            chat=chat.slug,
            slow=chat.upstream is not None,
        ),
        {name: built.folder for name, built in models.items()},
        names_of(world, _clone_names(market)),
    )


async def play_on(stage: Stage, narrator: Narrator, populated: Populated, script: Script) -> None:
    """Make some paid calls in a world that goes on, and settle them."""
    narrator.chapter("Paid calls")
    world = stage.world
    async with Consumers(world, stage.url, stage.operator.account.address) as consumers:
        await consumers.open(populated.market)
        await _calls(narrator, consumers, populated, script.calls, "calls")
    await _settle(stage.operator, world, narrator, populated, "settle the calls")


async def tell(stage: Stage, narrator: Narrator, script: Script) -> Report:
    """Play all of it, and let the accountant look at the books."""
    populated = await populate_stage(stage, narrator, script)
    world, market = stage.world, populated.market
    async with (
        Consumers(world, stage.url, stage.operator.account.address) as consumers,
        Shop(stage, market, populated.inputs) as shop,
        SubnetStory(stage) as subnet,
    ):
        trading = Trading(world, market)
        votes = Votes(stage, market["digits"], populated.folders["digits-2"])
        acts = _Acts(consumers, shop, trading, votes)
        await _trade(stage, narrator, populated, acts, script)
        await subnet.play(narrator)
        narrator.chapter("Everybody takes what is theirs")
        with narrator.step("consumers ask for their unspent money"):
            available_at = await consumers.request_withdrawals()
        with narrator.step("wait until the stream and the delays are over") as step:
            failing = await harvest.failed_sales_end(world, market)
            ends = await harvest.stream_ends(world, market)
            await skip_to(world, max(available_at, ends, failing, shop.refundable_at))
            step.note = "the chain's clock is moved on once more"
        refunds: Counter[str] = Counter()
        for listed in market.values():
            if listed.plan.fails:
                title = f"the sale of {listed.plan.slug} failed; refund its buyers"
                with narrator.step(title) as step:
                    refunds.update(await harvest.refund_buyers(world, listed))
                    step.note = _amounts(world, refunds)
        with narrator.step("an order that nobody served is given back") as step:
            step.note = world.currency.shown(await shop.refund())
        with narrator.step("publishers take their proceeds and what nobody bought") as step:
            closed = await harvest.close_sales(world, market)
            proceeds = sum(each.proceeds for each in closed.values()) + await trading.close()
            step.note = world.currency.shown(proceeds)
        with narrator.step("holders, beneficiaries and publishers claim their revenue"):
            await harvest.claim_everything(world, market)
        with narrator.step("voters take what locked shares earned, and unlock them") as step:
            step.note = _amounts(world, await votes.unlock())
        with narrator.step("providers take the revenue of their pools, and one leaves") as step:
            step.note = await trading.leave()
        with narrator.step("the operator and the commons are paid out") as step:
            paid_out = await harvest.withdraw_credits(world)
            step.note = _amounts(world, paid_out)
        with narrator.step("consumers get their unspent money back") as step:
            withdrawn = await consumers.withdraw()
            step.note = world.currency.shown(sum(withdrawn.values()))
        narrator.chapter("The accountant")
        with narrator.step("write the books again from events, balances and receipts") as step:
            populated.names = subnet.names() | populated.names | shop.names() | trading.names()
            facts = await gather(
                world.reader,
                world.deployment,
                [*consumers.receipts(), *subnet.receipts()],
                populated.names,
                uses=shop.uses(),
                rows=subnet.rows(),
            )
            found = audit(facts)
            step.note = (
                f"{sum(found.checks.values()):,} comparisons, {len(found.differences)} differences"
            )
    # What looks at tokens takes a second to load, and a world that goes on does not need it.
    from tessera.demo.analyst import analyse

    narrator.chapter("An analyst who was not there")
    analysis = await analyse(world, narrator, found, facts)
    return Report(
        world=world,
        models=populated.models,
        market=market,
        audit=found,
        claims={
            listed.asset: _claims_of(listed, found, populated.names) for listed in market.values()
        },
        withdrawn=withdrawn,
        refunds=refunds,
        paid_out=paid_out,
        traffic=consumers.traffic,
        timings=narrator.timings,
        facts=facts,
        subnet=subnet.report(),
        analysis=analysis,
    )


async def _sale_told(world: World, listed: Listed) -> str:
    plan = listed.plan
    sold = sum(purchase.amount for purchase in plan.purchases)
    if isinstance(listed.offering, Auction):
        raised = await world.reader.read(listed.offering.raised())
        price = world.currency.shown(raised // plan.for_sale)
        return f"{plan.for_sale:,} shares by auction, {price} each for everybody"
    fate = "below its soft cap" if plan.fails else "soft cap reached"
    return f"{sold:,} of {plan.for_sale:,} shares sold, {fate}"


def _amounts(world: World, amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {world.currency.shown(amount)}" for name, amount in amounts.items())


async def _trade(
    stage: Stage, narrator: Narrator, populated: Populated, acts: _Acts, script: Script
) -> None:
    world, market = stage.world, populated.market
    consumers = acts.consumers
    narrator.chapter("Paid calls")
    with narrator.step("consumers open channels") as step:
        await consumers.open(market)
        step.note = f"{len(CONSUMERS)} channels, one of them with a session key and caps"
    with narrator.step("holders of digits lock shares, to vote later") as step:
        step.note = await acts.votes.lock()
    first = script.calls // 2
    await _calls(narrator, consumers, populated, first, "first calls")
    await _settle(stage.operator, world, narrator, populated, "settle the first calls")
    narrator.chapter("The holders of digits decide")
    with narrator.step("somebody puts money into the treasury of digits") as step:
        step.note = await acts.votes.fill_treasury()
    await acts.votes.propose(narrator)
    narrator.chapter("Shares change hands")
    with narrator.step("in the middle of the stream a holder passes shares on") as step:
        await harvest.wait_for_middle(world, market["digits"])
        step.note = await _hand_over(world, market["digits"])
    with narrator.step("contributors of lsa-embed claim their parts by proof") as step:
        step.note = await _claim_contributions(world, populated, "lsa-embed")
    with narrator.step("calls that fail") as step:
        await consumers.make_failing_calls(populated.inputs)
        refused = consumers.traffic.refused
        step.note = f"{sum(refused.values())} refused, none of them cost anything"
    for reason, count in refused.items():
        narrator.say(f"{count} x {reason}")
    narrator.chapter("The market")
    await acts.trading.play(narrator)
    narrator.chapter("Rights to use")
    await acts.shop.play(narrator)
    narrator.chapter("As the holders decided")
    with narrator.step("the votes are over and have waited; anyone executes them"):
        await harvest.wait_until(world, acts.votes.executable_from)
        await acts.votes.execute(narrator)
    await _calls(narrator, consumers, populated, script.calls - first, "the other calls")
    with narrator.step(f"{_LOCKER} calls digits as one who locked shares") as step:
        spent = await consumers.call_as_holder(_LOCKER, "digits", _LOCKERS_CALLS, populated.inputs)
        step.note = f"{_LOCKERS_CALLS} calls for {world.currency.shown(spent)}, a fifth off"
    if consumers.traffic.sample:
        narrator.say(f"{populated.inputs.chat} said: {consumers.traffic.sample}")
    with narrator.step("a plain transfer to the Till of lsa-embed: income, no proof of demand"):
        gift = Units(_GIFT_DOLLARS * 10**world.currency.decimals)
        till = await harvest.give_to_till(world, market["lsa-embed"], HOLDERS[0], gift)
        populated.names[till] = "Till of lsa-embed"
    await _settle(stage.operator, world, narrator, populated, "settle the other calls")


async def _calls(
    narrator: Narrator, consumers: Consumers, populated: Populated, count: int, title: str
) -> None:
    with narrator.step(f"{title} through the official openai client", total=count) as step:
        left = MOST_SLOW_CHATS - consumers.traffic.answered[populated.inputs.chat]
        await consumers.make_calls(count, populated.inputs, step.advance, chats_left=max(0, left))
        step.note = f"{count:,} calls answered and paid"


async def _settle(
    operator: Operator, world: World, narrator: Narrator, populated: Populated, title: str
) -> None:
    with narrator.step(title) as step:
        vouchers = len(await operator.ledger.claims())
        report = await operator.settle()
        # Royalties wait at the parents, whom the settlement did not touch; anyone may flush them.
        await harvest.flush_everything(world, populated.market, world.config.operator)
        step.note = (
            f"{world.currency.shown(report.total)} by {vouchers} vouchers in "
            f"{len(report.results)} transaction{'' if len(report.results) == 1 else 's'}"
        )
    if report.skipped or report.refused:
        raise InvariantViolation(
            "settlement", found=[*report.skipped, *report.refused], wanted="every voucher taken"
        )


async def _claim_contributions(world: World, populated: Populated, slug: str) -> str:
    listed = populated.market[slug]
    claimed = await claim_contributions(world, listed, populated.folders[slug])
    populated.market[slug] = replace(listed, claimed=claimed)
    populated.names |= {
        vesting.address: f"part of {name} in {slug}" for name, vesting in claimed.items()
    }
    amounts = [
        (await read_vesting(world.reader, vesting, now=world.now())).schedule.amount
        for vesting in claimed.values()
    ]
    told = (f"{name} {whole(amount)}" for name, amount in zip(claimed, amounts, strict=True))
    return f"{', '.join(told)} shares, which vest, and what they earned so far"


async def _hand_over(world: World, listed: Listed) -> str:
    giver, taker = HOLDERS[0], HOLDERS[-1]
    amount = Shares(_MOVED * 10**SHARE_DECIMALS)
    sender = world.sender(giver)
    await transfer(sender, listed.share, world.account(taker).address, amount)
    kept, gained = await world.reader.read_all(
        [listed.share.claimable(world.account(name).address) for name in (giver, taker)]
    )
    what_came = world.currency.shown(gained) if gained else "none of it, as is right"
    return (
        f"{giver} gives {taker} {_MOVED:,} shares of {listed.plan.slug}; of what streamed before, "
        f"{giver} keeps {world.currency.shown(kept)}, {taker} gets {what_came}"
    )


def _cast_models(narrator: Narrator, found: LocalModel | None) -> dict[str, Plan]:
    plans = {plan.slug: plan for plan in PLANS}
    if found is None:
        narrator.say(
            "pydoc-lm is a toy language model: n-grams over Python's docstrings, no intelligence."
        )
        return plans
    narrator.say(f"{found.model} runs on this machine at {found.url}: it takes pydoc-lm's part.")
    (toy,) = (plan for plan in PLANS if plan.replaceable)
    del plans[toy.slug]
    # What it learned from nobody knows; the royalty is what its publisher agreed to all the same.
    plans[found.slug] = replace(toy, slug=found.slug, symbol="LOCAL", upstream=found)
    return plans


async def _train(world: World, narrator: Narrator, plans: dict[str, Plan]) -> dict[str, Built]:
    folder = world.config.data_dir / "models"
    trained: dict[str, Built] = {}
    endings = {slug: manifest_ending(plan) for slug, plan in plans.items()}
    folders = {slug: folder / slug for slug, plan in plans.items() if plan.upstream is None}
    endings |= {name: endings[name.removesuffix("-2")] for name in RELEASES}
    folders |= {name: folder / name for name in RELEASES}
    with narrator.step("train the models on this machine", total=len(folders)) as step:
        async for built in train(folders, endings):
            trained[built.folder.name] = built
            step.advance()
    for slug, plan in plans.items():
        if plan.upstream is not None:
            trained[slug] = write_upstream_bundle(plan.upstream, folder / slug, endings[slug])
    for name in (*plans, *RELEASES):
        built = trained[name]
        narrator.say(
            f"{name}: {built.metric} {built.value}, {built.size:,} bytes, {built.seconds:.1f} s"
        )
    return trained


def _clone_names(market: dict[str, Listed]) -> list[tuple[str, str]]:
    return [
        (address, name)
        for slug, listed in market.items()
        for address, name in (
            *_allocation_names(slug, listed),
            (listed.share.address, f"Share of {slug}"),
            (listed.offering.address, f"sale of {slug}"),
            (listed.vesting.address, f"grant of {listed.plan.contributor} in {slug}"),
        )
    ]


def _allocation_names(slug: str, listed: Listed) -> list[tuple[str, str]]:
    if listed.allocation is None:
        return []
    return [(listed.allocation.address, f"contributors' part of {slug}")]


def _claims_of(listed: Listed, found: Audit, names: dict[str, str]) -> dict[str, int]:
    """Name who was paid: shares that sit in a contract earn for the person behind it."""
    behind = listed.behind()
    claimed = found.earnings[listed.asset].claimed
    rows: Counter[str] = Counter()
    for address, amount in claimed.items():
        rows[behind.get(address) or names.get(address, address)] += amount
    return dict(sorted(rows.items()))
