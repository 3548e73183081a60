"""`tessera call`: one paid call, of whatever the model can do."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.naming import find_order
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import Currency
    from tessera.client import Client
    from tessera.client.gateway import ModelCard

__all__ = ["register"]

_SHOWN_NUMBERS = 8
_OK = 200


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app)
    def call(
        session: Session,
        model: Annotated[str, typer.Argument(help="Slug, or slug@version.")],
        text: Annotated[
            str | None,
            typer.Argument(help="Text, or rows as JSON for a tabular model; else from stdin."),
        ] = None,
        *,
        file: Annotated[Path | None, typer.Option("--input", help="Read it from a file.")] = None,
        deposit: Annotated[str, typer.Option(help="Of a new channel, in the currency.")] = "1",
        max_cost: Annotated[
            str | None, typer.Option(help="Refuse a call that could cost more.")
        ] = None,
        max_tokens: Annotated[int | None, typer.Option(help="Of a chat's answer.")] = None,
        stream: Annotated[bool, typer.Option(help="Show a chat's answer as it comes.")] = True,
        order: Annotated[
            str | None, typer.Option(help="Pay with an order of yours: PRODUCT/NUMBER.")
        ] = None,
        keep: Annotated[
            Path | None, typer.Option(help="Keep the call and its receipt here, for audits.")
        ] = None,
        holders: Annotated[
            bool, typer.Option("--holders", help="At the price of those who locked shares.")
        ] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Show what it would cost at most; call nothing.")
        ] = False,
    ) -> None:
        """Call a model and pay for it from a channel, which the first call opens."""
        given = _input(text, file)
        currency, options, making = asyncio.run(_options(session, deposit, max_cost, order))
        options["holders"] = holders
        options["keep"] = keep
        # In the main thread, where Ctrl-C arrives.
        _call(
            session,
            currency,
            options,
            model,
            given,
            making,
            {
                "max_tokens": max_tokens,
                "stream": stream and not session.as_json,
                "dry_run": dry_run,
            },
        )


async def _options(
    session: Session, deposit: str, max_cost: str | None, order: str | None
) -> tuple[Currency, dict[str, Any], str]:
    async with session.world() as world:
        currency = world.currency
        # What another's gateway serves has nothing to do with what ours still makes.
        own = world.running is not None and session.gateway_url(world) == world.running.gateway_url
        making = world.running.making if own and world.running is not None else ""
        options = {
            "gateway_url": session.gateway_url(world),
            "account": world.account(session.actor("consumer")),
            "deployment": world.deployment,
            "rpc_url": world.reader.url,
            "state_dir": world.config.data_dir / "purses",
            "deposit": currency.parse(deposit, "--deposit"),
            "max_call_cost": None if max_cost is None else currency.parse(max_cost, "--max-cost"),
        }
        if order is not None:
            access, number = await find_order(session, world, order)
            options["access"] = (access.address, number)
        return currency, options, making


def _input(text: str | None, file: Path | None) -> str:
    from tessera.errors import InputError

    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise InputError(f"--input {file}", found="nothing", wanted="a file") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"--input {file}",
                found=getattr(error, "strerror", None) or str(error),
                wanted="a file of UTF-8 text",
            ) from error
    if text is not None:
        return text
    given = "" if sys.stdin.isatty() else sys.stdin.read()
    if not given.strip():
        raise InputError("input", found="nothing", wanted="a text, --input FILE, or stdin")
    return given


def _call(
    session: Session,
    currency: Currency,
    options: dict[str, Any],
    model: str,
    given: str,
    making: str,
    wish: dict[str, Any],
) -> None:
    from tessera.client import Client
    from tessera.errors import NotFound

    with Client(**options) as client:
        cards = {card.id: card for card in client.models()}
        card = cards.get(model.partition("@")[0])
        if card is None:
            if making:
                raise NotFound(
                    "model",
                    found=model,
                    wanted="one that is served by now",
                    next_step=f"tessera up is still making {making}; ask again when it is done",
                )
            raise NotFound.among("model", model, cards)
        if wish.get("dry_run"):
            if options.get("holders") and card.holders is not None:
                card = card.holders
            most = 0 if options.get("access") is not None else _most(card, model, given, wish)
            session.say(
                {"model": model, "cost_at_most": str(most), "dry_run": True},
                f"would call {model}, for at most {currency.shown(most)}",
            )
            return
        tasks = set(card.tasks)
        with session.waiting(f"calling {model}"):
            if "chat" in tasks:
                answer, lines = _chat(session, client, model, given, wish)
            elif "embeddings" in tasks:
                answer, lines = _embed(client, model, given)
            elif "predict" in tasks:
                answer = {"outputs": client.predict(model, _rows(given))}
                lines = [str(row) for row in answer["outputs"]]
            else:
                answer, lines = _classify(client, model, given)
        receipts = client.receipts
        cost = receipts[-1].cost if receipts else 0
        data: dict[str, object] = {"model": model, "note": card.note, **answer, "cost": str(cost)}
        if receipts:
            from tessera.payments.onchain import channels_domain

            name = receipts[-1].id(channels_domain(options["deployment"]))
            data["receipt"] = name
            data["channel"] = str(receipts[-1].receipt.channel)
        session.say(data, *lines)
        if card.note:
            session.note(f"note: {card.note}")
        session.note(f"cost {currency.shown(cost)}; receipt {data.get('receipt', 'none')}")


def _most(card: ModelCard, model: str, given: str, wish: dict[str, Any]) -> int:
    """Return the most that a call can cost, base units: what is reserved while it is answered."""
    import msgspec

    from tessera.serving.bodies import read_body

    tasks = set(card.tasks)
    body: dict[str, Any] = {"model": model}
    if "chat" in tasks:
        path, body["messages"] = "/v1/chat/completions", [{"role": "user", "content": given}]
        if wish["max_tokens"] is not None:
            body["max_tokens"] = wish["max_tokens"]
    elif "embeddings" in tasks:
        path, body["input"] = "/v1/embeddings", given
    elif "predict" in tasks:
        path, body["rows"] = "/v1/predict", _rows(given)
    else:
        path, body["input"] = "/v1/classify", given
    units = read_body(path, msgspec.json.encode(body), card.limits).most
    return card.price.cost_ceil(units.input, units.output)


def _chat(
    session: Session, client: Client, model: str, given: str, wish: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    more = {} if wish["max_tokens"] is None else {"max_tokens": wish["max_tokens"]}
    with _refusals(model), client.openai(max_retries=0) as openai:
        if not wish["stream"]:
            whole = openai.chat.completions.create(
                model=model, messages=[{"role": "user", "content": given}], **more
            )
            said = whole.choices[0].message.content or ""
            return {"text": said, "finish": whole.choices[0].finish_reason}, [said]
        pieces: list[str] = []
        stream = openai.chat.completions.create(
            model=model, messages=[{"role": "user", "content": given}], stream=True, **more
        )
        for chunk in stream:
            piece = (chunk.choices[0].delta.content or "") if chunk.choices else ""
            pieces.append(piece)
            sys.stdout.write(piece)
            sys.stdout.flush()
        # The answer stands there already.
        return {"text": "".join(pieces)}, [""]


def _embed(client: Client, model: str, given: str) -> tuple[dict[str, Any], list[str]]:
    with _refusals(model), client.openai(max_retries=0) as openai:
        made = openai.embeddings.create(model=model, input=given, encoding_format="float")
    vector = made.data[0].embedding
    shown = ", ".join(f"{number:.4f}" for number in vector[:_SHOWN_NUMBERS])
    return {"embedding": vector}, [f"{len(vector)} numbers: {shown}, …"]


def _classify(client: Client, model: str, given: str) -> tuple[dict[str, Any], list[str]]:
    found = client.classify(model, given)[0]
    scores = sorted(found["scores"].items(), key=lambda entry: -entry[1])
    lines = [found["label"], *(f"  {label}  {score:.4f}" for label, score in scores)]
    return {"label": found["label"], "scores": found["scores"]}, lines


def _rows(given: str) -> list[list[Any]]:
    import msgspec

    from tessera.errors import InputError

    try:
        value = msgspec.json.decode(given)
    except msgspec.DecodeError as error:
        raise InputError(
            "rows", found=str(error), wanted="JSON such as [[5.1, 3.5, 1.4, 0.2]]"
        ) from error
    if isinstance(value, list) and value and not isinstance(value[0], list):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise InputError("rows", found=given[:80], wanted="JSON such as [[5.1, 3.5, 1.4, 0.2]]")
    return value


class _refusals:  # noqa: N801 - reads as a statement
    """Turns what the official client raises back into what the gateway said."""

    def __init__(self, model: str) -> None:
        self._model = model

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from openai import APIConnectionError, APIStatusError

        from tessera.errors import BackendFailed, TesseraError
        from tessera.presenting import error_of

        if isinstance(error, APIConnectionError) and isinstance(error.__cause__, TesseraError):
            raise error.__cause__
        if isinstance(error, APIConnectionError):
            raise BackendFailed(
                "gateway", found=str(error.__cause__ or error), wanted="an answer"
            ) from error
        if isinstance(error, APIStatusError):
            raise error_of(error.body, error.status_code, about=f"model {self._model}") from error
