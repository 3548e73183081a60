"""`tessera receipt`: what an operator signed about a call, and whether it is true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessera.cli.amounts import counted, shown_time
from tessera.cli.session import Session, command

if TYPE_CHECKING:
    from tessera.app import World
    from tessera.payments.header import SignedReceipt

__all__ = ["receipt_data", "register"]

_OK = 200
_TIMEOUT_S = 30.0
_IDENTITIES = {1: "hashed", 2: "declared"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    receipt = typer.Typer(help="Show receipts, and verify them.", no_args_is_help=True)
    app.add_typer(receipt, name="receipt")

    @command(receipt, "show")
    async def show(
        session: Session,
        name: Annotated[str, typer.Argument(metavar="FILE|ID", help="JSON file, or id.")],
    ) -> None:
        """Show what a receipt says, without believing it."""
        from tessera.payments.header import parse_receipt

        async with session.world() as world:
            signed = parse_receipt(await receipt_data(session, world, name))
            session.say(_shown(world, signed), *_lines(world, signed))

    @command(receipt, "verify")
    async def verify(
        session: Session,
        name: Annotated[str, typer.Argument(metavar="FILE|ID", help="JSON file, or id.")],
        *,
        request: Annotated[Path | None, typer.Option(help="Exact body of the request.")] = None,
        response: Annotated[Path | None, typer.Option(help="Exact body of the answer.")] = None,
        operator: Annotated[
            str | None, typer.Option(help="Key or address that must have signed it.")
        ] = None,
    ) -> None:
        """Check the signature, the operator, chain, contract, and the bodies if given."""
        from tessera.payments.header import parse_receipt
        from tessera.payments.onchain import channels_domain
        from tessera.serving.receipts import check_receipt
        from tessera.spec.signatures import address_of

        async with session.world() as world:
            data = await receipt_data(session, world, name)
            who = await _operator(world, parse_receipt(data), operator)
            checked = check_receipt(
                data,
                channels_domain(world.deployment),
                address_of(who),
                request=_body(request),
                response=_body(response),
            )
            signed = checked.signed
            settled, _, _ = await world.reader.read(
                world.deployment.channels.line_of(
                    who, signed.receipt.channel, signed.receipt.asset, signed.receipt.terms
                )
            )
            session.say(
                {
                    **_shown(world, signed),
                    "verified": True,
                    "operator": who,
                    "request_matches": checked.request_matches,
                    "response_matches": checked.response_matches,
                    "settled": str(settled),
                },
                f"good: signed by the operator {who} for chain {world.reader.chain_id}, "
                f"contract {world.deployment.channels.address}",
                *_lines(world, signed),
                f"request   {_matched(checked.request_matches)}",
                f"response  {_matched(checked.response_matches)}",
                f"settled   {world.currency.shown(settled)} of "
                f"{world.currency.shown(signed.receipt.charged)} on this line",
            )


def _matched(outcome: bool | None) -> str:
    return "not given, not compared" if outcome is None else "matches"


def _body(file: Path | None) -> bytes | None:
    from tessera.errors import InputError

    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            str(file), found=error.strerror, wanted="a file that can be read"
        ) from error


async def receipt_data(session: Session, world: World, name: str) -> bytes:
    """Return a receipt's JSON, from a file or by its id from the gateway."""
    import asyncio

    import httpx

    from tessera.errors import NotFound, RpcUnavailable

    data = await asyncio.to_thread(_body_of_file, name)
    if data is not None:
        return data
    url = session.gateway_url(world)
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            response = await client.get(f"{url}/receipts/{name.removeprefix('0x')}")
    except httpx.HTTPError as error:
        raise RpcUnavailable(f"gateway {url}", found=str(error), wanted="an answer") from error
    if response.status_code != _OK:
        raise NotFound(
            "receipt", found=name, wanted="a file, or the id of a call that the gateway answered"
        )
    return response.content


def _body_of_file(name: str) -> bytes | None:
    file = Path(name)
    return _body(file) if file.is_file() else None


async def _operator(world: World, signed: SignedReceipt, named: str | None) -> str:
    """Return who must have signed: whoever was named, or the chain lists for that asset."""
    from tessera.app.receipts import receipt_signers
    from tessera.spec.signatures import address_text

    if named is not None:
        return world.address(named)
    return address_text((await receipt_signers(world))(signed))


def _shown(world: World, signed: SignedReceipt) -> dict[str, Any]:
    from tessera.payments.onchain import channels_domain

    receipt = signed.receipt
    return {
        "id": signed.id(channels_domain(world.deployment)),
        "channel": str(receipt.channel),
        "asset": str(receipt.asset),
        "version": receipt.version,
        "terms": receipt.terms,
        "charged": str(receipt.charged),
        "cost": str(signed.cost),
        "request": f"0x{receipt.request.hex()}",
        "response": f"0x{receipt.response.hex()}",
        "units": str(receipt.units),
        "time": receipt.time,
        "identity": _IDENTITIES.get(receipt.identity, str(receipt.identity)),
        "signature": f"0x{signed.signature.hex()}",
        "proof": [f"0x{node.hex()}" for node in signed.proof],
    }


def _lines(world: World, signed: SignedReceipt) -> list[str]:
    shown = _shown(world, signed)
    return [
        f"receipt   {shown['id']}",
        f"asset     {shown['asset']} version {shown['version']}, terms {shown['terms']}",
        f"channel   {shown['channel']}",
        f"cost      {world.currency.shown(signed.cost)}; {counted(shown['units'], 'unit')}",
        f"charged   {world.currency.shown(signed.receipt.charged)} so far on this line",
        f"time      {shown_time(signed.receipt.time)}",
        f"identity  {shown['identity']}",
    ]
