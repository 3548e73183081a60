"""`tessera keys`: API keys for those who hold no key to money."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, parse_duration, shown_time
from tessera.cli.effects import (
    DryRun,
    Yes,
    confirmed,
    effects_json,
    payment,
    require_money,
    show_effects,
)
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.app.api_keys import KeyRecord
    from tessera.payments.key_rules import KeyRules
    from tessera.payments.onchain import ConsumerOnChain
    from tessera.payments.ports import ChannelView
    from tessera.spec.channels import Grant
    from tessera.spec.vouchers import TillKey

__all__ = ["register"]

_Key = Annotated[str, typer.Argument(help="Its id or its name.")]
_Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="May be called; may be repeated. Else: all that is served."),
]
_Cap = Annotated[
    str | None, typer.Option(help="Most that the chain lets it spend per model, in all.")
]
_Lasts = Annotated[str, typer.Option(help="The chain lets it spend so long: 12h, 30d.")]
_Budget = Annotated[str | None, typer.Option(help="Most for all models together per period.")]
_Per = Annotated[str | None, typer.Option(help="The period: total, day or month.")]
_Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", help="Most for one model per period: SLUG=AMOUNT; may be repeated."),
]
_Rate = Annotated[int | None, typer.Option(help="Most calls in a minute.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(
        help="Make, bound, look at and revoke API keys for your team.", no_args_is_help=True
    )
    app.add_typer(keys, name="keys")

    @command(keys)
    async def create(
        session: Session,
        name: Annotated[str, typer.Argument(help="What you call it.")],
        deposit: Annotated[str, typer.Argument(help="In the currency; what it can spend at most.")],
        *,
        model: _Models = None,
        cap: _Cap = None,
        lasts: _Lasts = "30d",
        budget: _Budget = None,
        per: _Per = None,
        limit: _Limits = None,
        rate: _Rate = None,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Make a key: a channel of its own, bounded by the chain and by your budget."""
        from tessera.app.api_keys import KeyRecord, KeyRecords, send_rules
        from tessera.errors import TesseraError
        from tessera.payments.api_key import ApiKey
        from tessera.payments.onchain import AccountSigner, channels_domain
        from tessera.spec.signatures import address_text

        async with session.world() as world:
            payer, gateway = _payer(session, world), session.gateway_url(world)
            models = await _models(world, payer, model)
            amount = world.currency.parse(deposit, "deposit")
            most = amount if cap is None else world.currency.parse(cap, "--cap")
            grants, until = _grants(world, payer, models, most, lasts)
            rules = _rules(world, models, None, budget=budget, per=per, limit=limit, rate=rate)
            await require_money(world, session.actor("consumer"), amount)
            effects = payment(
                world,
                address_text(payer.payer),
                world.deployment.channels.address,
                amount,
                f"set aside for the key {name}",
            )
            told = {
                "name": name,
                "deposit": str(amount),
                "models": models,
                "until": until,
                "effects": effects_json(effects),
            }
            if dry_run:
                session.say(
                    {**told, "dry_run": True},
                    f"would make the key {name} for {', '.join(models)} until {shown_time(until)}",
                    *show_effects(world, effects),
                )
                return
            confirmed(session, f"Put {world.currency.shown(amount)} into a key", yes=yes)
            drawn = ApiKey.draw()
            channel = await payer.open(amount, drawn.signer().address, grants)
            key = ApiKey(channel, drawn.secret)
            account = world.account(session.actor("consumer"))
            record = KeyRecord(
                id=key.id,
                name=name,
                channel=channel,
                operator=address_text(payer.operator),
                gateway=gateway,
                payer=session.actor("consumer"),
                models=models,
                rules=rules,
                created=int(world.clock()),
            )
            domain = channels_domain(world.deployment)
            try:
                await send_rules(gateway, domain, channel, rules, AccountSigner(account))
            except TesseraError as error:
                # The key is shown to nobody: without its rules it could spend the whole deposit.
                session.note(
                    "no key was made; its deposit comes back with: "
                    f"tessera channel withdraw --channel {channel}"
                )
                raise error from None
            KeyRecords(world.config.data_dir).keep(record)
            session.say(
                {**told, "id": key.id, "key": key.text, "channel": str(channel)},
                f"key       {key.text}",
                f"id        {key.id} ({name}); the key itself is shown now and never again",
                f"models    {', '.join(models)}",
                f"bounds    {world.currency.shown(amount)} in all, until {shown_time(until)}, "
                + _shown_rules(world, rules),
                f"use       OPENAI_BASE_URL={gateway}/v1 OPENAI_API_KEY=tsk_...",
            )

    @command(keys, "list")
    async def list_(session: Session) -> None:
        """List the keys that were made here, with what they have spent."""
        from tessera.app.api_keys import KeyRecords

        async with session.world() as world:
            await world.directory.refresh()
            records = KeyRecords(world.config.data_dir).all()
            states = await asyncio.gather(*(_standing(session, world, each) for each in records))
            shown = list(zip(records, states, strict=True))
            table = session.table("key!", "name", "spent>", "settled>", "left>", "budget!", "state")
            for record, state in shown:
                spent = state["spent"]
                table.add_row(
                    record.id,
                    record.name,
                    "?" if spent is None else world.currency.shown(int(spent)),
                    world.currency.shown(int(state["settled"])),
                    world.currency.shown(int(state["left"])),
                    _shown_rules(world, record.rules),
                    state["state"],
                )
            session.present(
                {"keys": [{**_record_json(record), **state} for record, state in shown]},
                lambda console: console.print(
                    table if shown else "no keys yet: tessera keys create NAME DEPOSIT"
                ),
            )

    @command(keys, "budget")
    async def budget_(
        session: Session,
        key: _Key,
        *,
        budget: _Budget = None,
        per: _Per = None,
        limit: _Limits = None,
        rate: _Rate = None,
    ) -> None:
        """Rule anew what a key may spend; what is not named stays. `none` lifts a bound."""
        async with session.world() as world:
            record = _records(world).find(key)
            rules = _rules(
                world, record.models, record.rules, budget=budget, per=per, limit=limit, rate=rate
            )
            state = await _rule(session, world, record, rules)
            session.say(state, f"key {record.id}: {_shown_rules(world, rules)}")

    @command(keys)
    async def grant(
        session: Session,
        key: _Key,
        *,
        model: Annotated[
            list[str] | None,
            typer.Option("--model", help="For it; may be repeated. Else: all it was made for."),
        ] = None,
        cap: Annotated[str, typer.Option(help="Most that it may spend per model, in all.")],
        lasts: _Lasts = "30d",
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Let a key spend more, or longer, or on further models or an asset's new terms."""
        from msgspec.structs import replace

        async with session.world() as world:
            record = _records(world).find(key)
            payer = _payer(session, world, record)
            names = model or list(record.models)
            models = await _models(world, payer, names)
            most = world.currency.parse(cap, "--cap")
            grants, until = _grants(world, payer, models, most, lasts)
            told = {"id": record.id, "models": models, "cap": str(most), "until": until}
            line = (
                f"spend {world.currency.shown(most)} on each of {', '.join(models)} "
                f"until {shown_time(until)}"
            )
            if dry_run:
                # No money moves: what it may spend lies in its channel already.
                session.say(
                    {**told, "effects": [], "dry_run": True}, f"would let key {record.id} {line}"
                )
                return
            confirmed(session, f"Grant up to {world.currency.shown(most)} per model", yes=yes)
            tx_hash = await payer.grant(record.channel, grants)
            record = replace(record, models={**record.models, **models})
            _records(world).keep(record)
            if not set(models.values()) <= set(record.rules.models or models.values()):
                # The chain allows the new ones now; the gateway needs the payer's word, too.
                rules = _rules(
                    world, models, record.rules, budget=None, per=None, limit=None, rate=None
                )
                await _rule(session, world, record, rules)
            session.say({**told, "tx": tx_hash}, f"key {record.id} may {line}")

    @command(keys)
    async def revoke(
        session: Session,
        key: _Key,
        *,
        withdraw: Annotated[
            bool, typer.Option("--withdraw", help="Begin to take the rest of its money back.")
        ] = False,
        dry_run: DryRun = False,
        yes: Yes = False,
    ) -> None:
        """Let a key count no more, from its next call on."""
        from msgspec.structs import replace

        async with session.world() as world:
            record = _records(world).find(key)
            if dry_run:
                session.say(
                    {"id": record.id, "withdraw": withdraw, "effects": [], "dry_run": True},
                    f"would revoke {record.id} ({record.name})"
                    + (", and ask for the rest of its money" if withdraw else ""),
                )
                return
            confirmed(session, f"Revoke {record.id} ({record.name})", yes=yes, gives=False)
            already = record.rules.revoked
            if not already:
                rules = replace(record.rules, sequence=_sequence(world, record.rules), revoked=True)
                await _rule(session, world, record, rules)
            lines = [
                f"key {record.id} ({record.name}) counts no more"
                + (", as before" if already else "")
            ]
            available = await _withdrawal(session, world, record, ask=withdraw)
            if available:
                lines.append(
                    f"then: tessera channel withdraw --channel {record.channel}, "
                    f"from {shown_time(available)} on"
                )
            elif withdraw:
                lines.append("its money is back already")
            session.say(
                {"id": record.id, "revoked": True, "available_at": available or None}, *lines
            )


def _records(world: World) -> Any:
    from tessera.app.api_keys import KeyRecords

    return KeyRecords(world.config.data_dir)


def _payer(session: Session, world: World, record: KeyRecord | None = None) -> ConsumerOnChain:
    from tessera.errors import InputError
    from tessera.payments.onchain import ConsumerOnChain
    from tessera.spec.signatures import address_of

    if record is not None:
        sender, operator = world.sender(record.payer), record.operator
    elif world.running is not None:
        sender, operator = world.sender(session.actor("consumer")), world.running.operator
    else:
        raise InputError("operator", wanted="whom to pay", next_step="start one: tessera up")
    return ConsumerOnChain(world.reader, sender, world.deployment, address_of(operator))


async def _models(
    world: World, payer: ConsumerOnChain, wanted: Sequence[str] | None
) -> dict[str, str]:
    """Return the asset ids of models by slug; without names, of all that the operator serves."""
    from tessera.errors import InputError, NotFound
    from tessera.spec.signatures import address_text

    operator = address_text(payer.operator)
    await world.directory.refresh()
    served = {
        record.slug: record
        for record in world.directory
        if (endpoint := record.endpoints.get(operator)) is not None and endpoint.listed
    }
    for name in wanted or ():
        if name not in served:
            raise NotFound.among("model", name, served)
    chosen = {slug: str(served[slug].asset) for slug in (wanted or sorted(served))}
    if not chosen:
        raise InputError("models", found="none served", wanted="one or more")
    return chosen


def _grants(
    world: World, payer: ConsumerOnChain, models: dict[str, str], cap: int, lasts: str
) -> tuple[list[Grant], int]:
    """Return grants for models under the operator's present terms and its holders', and their end.

    Raises
    ------
    InputError
        They are more than a channel holds.
    """
    from tessera.errors import InputError
    from tessera.spec.channels import Grant
    from tessera.spec.signatures import address_text
    from tessera.spec.vouchers import MAX_LINES

    until = int(world.clock()) + parse_duration(lasts, "--lasts")
    operator = address_text(payer.operator)
    grants = []
    for slug in models:
        endpoint = world.directory.find(slug).endpoints[operator]
        terms = [endpoint.terms, *([endpoint.discount.terms] if endpoint.discount else [])]
        asset = world.directory.find(slug).asset
        grants += [Grant(asset, each, cap, until) for each in terms]
    if len(grants) > MAX_LINES:
        raise InputError(
            "models",
            found=f"{len(grants)} prices of {len(models)} models, those for holders included",
            wanted=f"{MAX_LINES} or fewer, as a channel holds",
            next_step="name some: --model SLUG",
        )
    return sorted(grants), until


def _rules(
    world: World,
    models: dict[str, str],
    before: KeyRules | None,
    *,
    budget: str | None,
    per: str | None,
    limit: Sequence[str] | None,
    rate: int | None,
) -> KeyRules:
    """Return rules: what is given, and for the rest what was there before."""
    import msgspec

    from tessera.errors import InputError
    from tessera.payments.key_rules import KeyRules

    def units(text: str, thing: str) -> str | None:
        return None if text == "none" else str(world.currency.parse(text, thing))

    own = dict.fromkeys(models.values())
    own.update((before.models or {}) if before else {})
    for given in limit or ():
        slug, _, amount = given.partition("=")
        if slug not in models or not amount:
            raise InputError("--limit", found=given, wanted="SLUG=AMOUNT for a model of this key")
        own[models[slug]] = units(amount, "--limit")
    kept = before.budget if before else None
    wanted = {
        "sequence": _sequence(world, before),
        "budget": kept if budget is None else units(budget, "--budget"),
        "period": per or (before.period if before else "total"),
        "models": own,
        "calls_per_minute": (before.calls_per_minute if before else None) if rate is None else rate,
        "revoked": before.revoked if before else False,
    }
    if wanted["calls_per_minute"] == 0:
        wanted["calls_per_minute"] = None
    return KeyRules.parse(msgspec.json.encode(wanted))


def _sequence(world: World, before: KeyRules | None) -> int:
    return max(int(world.clock() * 1_000), before.sequence + 1 if before else 1)


async def _rule(
    session: Session, world: World, record: KeyRecord, rules: KeyRules
) -> dict[str, Any]:
    from msgspec.structs import replace

    from tessera.app.api_keys import send_rules
    from tessera.payments.onchain import AccountSigner, channels_domain

    domain = channels_domain(world.deployment)
    signer = AccountSigner(world.account(record.payer))
    state = await send_rules(record.gateway, domain, record.channel, rules, signer)
    _records(world).keep(replace(record, rules=rules))
    return state


async def _withdrawal(
    session: Session, world: World, record: KeyRecord, *, ask: bool
) -> int | None:
    """Return when a key's money can be taken back; None where nobody asked, or it is taken."""
    view = await _channel(world, record, ())
    if view is None:
        return None
    if view.available_at or not ask:
        return view.available_at or None
    return await _payer(session, world, record).request_withdrawal(record.channel)


async def _channel(world: World, record: KeyRecord, lines: Sequence[TillKey]) -> ChannelView | None:
    from tessera.payments.onchain import read_channel
    from tessera.spec.signatures import address_of

    operator = address_of(record.operator)
    return await read_channel(world.reader, world.deployment, operator, record.channel, lines)


async def _standing(session: Session, world: World, record: KeyRecord) -> dict[str, Any]:
    """Return how a key's channel stands on the chain, and what its gateway counts."""
    from tessera.app.api_keys import ask_state
    from tessera.errors import TesseraError
    from tessera.payments.onchain import AccountSigner, channels_domain
    from tessera.spec.vouchers import TillKey

    keys = [
        TillKey(int(asset), terms)
        for slug, asset in record.models.items()
        if (found := world.directory.get(int(asset))) is not None
        and (endpoint := found.endpoints.get(record.operator)) is not None
        for terms in range(1, endpoint.last_terms + 1)
    ]
    view = await _channel(world, record, keys)
    settled = sum(line.charged for line in view.lines.values()) if view else 0
    state, spent = "good", None
    if view is None or view.available_at:
        state = "its money goes back"
    if record.rules.revoked:
        state = "revoked"
    if view is not None:
        try:
            signer = AccountSigner(world.account(record.payer))
            told = await ask_state(record, channels_domain(world.deployment), signer)
            spent = told["spent"]
        except TesseraError as error:
            session.note(f"what {record.id} has spent is not known: {error.message}")
    return {
        "spent": spent,
        "settled": str(settled),
        "left": str(view.balance if view else 0),
        "state": state,
    }


def _record_json(record: KeyRecord) -> dict[str, Any]:
    import msgspec

    shown: dict[str, Any] = msgspec.to_builtins(record)
    return {**shown, "channel": str(record.channel)}


def _shown_rules(world: World, rules: KeyRules) -> str:
    parts = []
    if rules.budget is not None:
        of = "in all" if rules.period == "total" else f"a {rules.period}"
        parts.append(f"{world.currency.shown(int(rules.budget))} {of}")
    if rules.models and any(rules.models.values()):
        parts.append("limits per model")
    if rules.calls_per_minute is not None:
        parts.append(f"{counted(rules.calls_per_minute, 'call')} a minute")
    return ", ".join(parts) or "no budget below that"
