"""What x402's clients can discover, and how it is listed.

A resource says by example how it is called, with a JSON schema that the example follows (the
standard's extension `bazaar`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from tessera.errors import InputError
from tessera.gateway.catalogue import Offer
from tessera.serving.bodies import COMPLETIONS_PATH, PAID_PATHS
from tessera.serving.runner import ECHO

__all__ = ["bazaar_of", "listed", "paths_of", "resource_json", "resources_of"]

_PAGE: Final = 20
_LONGEST_PAGE: Final = 100
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

_EXAMPLES: Final[Mapping[str, dict[str, Any]]] = {
    "/v1/embeddings": {"input": "text"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "text"}]},
    "/v1/responses": {"input": "text"},
    "/v1/completions": {"prompt": "text", "echo": True, "logprobs": 0, "max_tokens": 0},
    "/v1/moderations": {"input": "text"},
    "/v1/classify": {"input": "text"},
    "/v1/predict": {"rows": [[1.0]]},
}


def bazaar_of(offer: Offer, path: str) -> dict[str, Any]:
    """Return how a model is called on a route, as the extension `bazaar` tells it."""
    body = {"model": offer.slug, **_EXAMPLES[path]}
    said = {"type": "http", "method": "POST", "bodyType": "json"}
    return {
        "info": {"input": {**said, "body": body}, "output": {"type": "json"}},
        "schema": {
            "$schema": _DRAFT,
            "type": "object",
            "properties": {
                "input": {
                    "type": "object",
                    "properties": {
                        **{
                            name: {"type": "string", "const": value} for name, value in said.items()
                        },
                        "body": {
                            "type": "object",
                            "properties": {"model": {"type": "string", "const": offer.slug}},
                            "required": sorted(body),
                        },
                    },
                    "required": [*said, "body"],
                },
                "output": {"type": "object"},
            },
            "required": ["input"],
        },
    }


def paths_of(offer: Offer) -> Iterator[str]:
    """Yield the paid routes that a model can answer."""
    runner = offer.runner
    return (
        path
        for path, task in PAID_PATHS.items()
        if task in runner.tasks and (path != COMPLETIONS_PATH or ECHO in runner.follows)
    )


def resources_of(
    offers: Sequence[Offer],
    url: str,
    accepts: Callable[[Offer], Sequence[Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    """Return a gateway's models as resources, one for each route of each.

    Parameters
    ----------
    offers
        What is served.
    url
        Of the gateway.
    accepts
        How a model is paid; the prices are those of an example.
    """
    return [
        resource_json(
            f"{url}/x402/{offer.slug}{path}",
            [dict(one) for one in accepts(offer)],
            f"{offer.slug}: {PAID_PATHS[path].value}",
            {"bazaar": bazaar_of(offer, path)},
            datetime.fromtimestamp(offer.created, UTC),
        )
        for offer in offers
        for path in paths_of(offer)
    ]


def listed(resources: Sequence[dict[str, Any]], query: bytes) -> dict[str, Any]:
    """Return a page of resources, as `GET /discovery/resources` of the standard.

    Parameters
    ----------
    query
        `type`, `network`, `scheme`, `payTo` choose; `limit` (at most 100) and `offset` turn pages.

    Raises
    ------
    InputError
        A number is none.
    """
    asked = {key: values[-1] for key, values in parse_qs(query.decode("latin-1")).items()}
    limit = min(_LONGEST_PAGE, _number(asked, "limit", _PAGE))
    offset = _number(asked, "offset", 0)
    found = [each for each in resources if _matches(each, asked)]
    return {
        "x402Version": 2,
        "items": found[offset : offset + limit],
        "pagination": {"limit": limit, "offset": offset, "total": len(found)},
    }


def _matches(resource: dict[str, Any], asked: dict[str, str]) -> bool:
    if asked.get("type", resource["type"]) != resource["type"]:
        return False
    wanted = {key: asked[key] for key in ("network", "scheme", "payTo") if key in asked}
    return not wanted or any(
        all(str(accept.get(key)).lower() == value.lower() for key, value in wanted.items())
        for accept in resource["accepts"]
    )


def _number(asked: dict[str, str], key: str, default: int) -> int:
    text = asked.get(key, str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(2**31)):
        raise InputError(key, found=text[:32], wanted="a whole number")
    return int(text)


def resource_json(
    url: str,
    accepts: list[dict[str, Any]],
    description: str,
    extensions: dict[str, Any] | None,
    updated: datetime,
) -> dict[str, Any]:
    """Write one resource as the standard lists it."""
    return {
        "resource": url,
        "type": "http",
        "x402Version": 2,
        "accepts": accepts,
        "lastUpdated": updated.isoformat(),
        "description": description,
        "mimeType": "application/json",
        **({} if extensions is None else {"extensions": extensions}),
    }
