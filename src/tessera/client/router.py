"""`tessera.Router`: one model, several operators, and whoever serves it is paid.

A call is sent to the operators of its asset one after the other until one answers. Each try is a
paid call of its own, on a channel toward that operator: a failed one costs nothing, by the rules of
the channel. What was asked is pinned to one version before the first try, and what came back is
held against it by the operator's own signature.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

import httpx
import msgspec

from tessera.assets.directory import AssetDirectory, AssetRecord, ReleaseRecord
from tessera.bindings.registry import Kind
from tessera.chain.deployments import Deployment
from tessera.chain.wallet import Account
from tessera.client.consumer import Client
from tessera.client.exchange import MOST, Answer, Exchange, Fetch, Flow, Wait, is_stream
from tessera.client.gateway import ModelCard
from tessera.client.paying_side import Budget, PayingSide
from tessera.client.routing import (
    NEW,
    Endpoint,
    Passed,
    Standing,
    Target,
    Wish,
    answered,
    caught,
    failed,
    rank,
    read_wish,
)
from tessera.client.scanner import ReceiptScanner
from tessera.client.transport import AsyncPayingTransport, PayingTransport
from tessera.errors import (
    BackendFailed,
    ChainError,
    Conflict,
    DataError,
    InputError,
    NotFound,
    PaymentRequired,
    QuotaExceeded,
    RpcUnavailable,
    ServingError,
    SignatureRejected,
    TesseraError,
    WrongChain,
    WrongVersionServed,
)
from tessera.payments.header import PROOF_HEADER, SignedReceipt, parse_proof, parse_receipt
from tessera.payments.purse import Ticket
from tessera.presenting import http_status, openai_error_body, retry_headers
from tessera.serving.bodies import PAID_PATHS, TokenLimits, read_body
from tessera.serving.runner import Identity

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["OPERATOR_HEADER", "ROUTE_HEADER", "ROUTE_URL", "Router"]

ROUTE_URL: Final = "http://route.invalid"
"""Base URL of a router's own clients; nothing listens there, the calls are sent to operators."""

ROUTE_HEADER: Final = "tessera-route"
"""On an answer: JSON of everybody who was asked, in order, with what came of it."""

OPERATOR_HEADER: Final = "tessera-operator"
"""On an answer: who made it."""

_MOST_EVIDENCE: Final = 1_000
_SHOWN: Final = 8
_MOST_SHOWN: Final = 160
_OWN_FAULTS: Final = frozenset({400, 413, 422})
_BUSY: Final = frozenset({429, 503})
_FIRST_REFUSAL: Final = 400
_FIRST_FAILURE: Final = 500
_UPSTREAM: Final = 3
"""The Registry's number of runners that no operator can hash."""
_CONNECT_S: Final = 5.0
_LONGEST_WAIT_S: Final = 60
"""An operator's word for when to come back counts up to here."""
_STALE_S: Final = 60.0
_KEPT_HEADERS: Final = frozenset({"accept", "content-type", "user-agent"})
"""What is passed on of a caller's headers; his key for us is nobody else's business."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One operator that was asked, and what came of it."""

    operator: str
    outcome: str


def shown(tried: Sequence[Tried]) -> str:
    """Write who was asked as a header: what operators say is cut, and cannot break out of it."""
    return json.dumps(
        [{"operator": one.operator, "outcome": one.outcome[:_MOST_SHOWN]} for one in tried]
    )


@dataclass(slots=True)
class _Route:
    """One call under way; `retry_after_s` is when the first of those who were busy has room."""

    target: Target
    path: str
    body: bytes
    tried: list[Tried] = field(default_factory=list)
    busy: bool = True
    retry_after_s: int | None = None


class Router:
    """Sends calls to whoever serves their model best, and pays each operator on its own channel.

    Parameters
    ----------
    account
        Whose money it is: an `Account`, or 32 secret bytes.
    deployment
        Where the contracts are: a `Deployment` or its file.
    rpc_url
        JSON-RPC of the chain, which says who serves what at which price.
    deposit
        Into a channel toward each operator that is asked, base units; topped up by as much.
    budget
        All that may go into channels, base units; None for no bound.
    max_call_cost
        No call that could cost more is made, base units; a tenth of the deposit where None.
    wish
        Who should answer where a call does not say so itself, in its field `provider`.
    state_dir
        Where totals of channels are kept.
    try_timeout_s
        An operator that says nothing for so long has failed.
    look_every_s
        What the chain says is read again after so long.
    keep
        Folder for calls with their receipts, for audits; None keeps none.
    clock
        Monotonic seconds.

    Examples
    --------
    ::

        with tessera.Router(account=key, deployment=file, rpc_url=rpc, deposit=1_000_000) as route:
            answer = route.openai().chat.completions.create(model="docstrings@2", messages=[...])
    """

    def __init__(
        self,
        *,
        account: Account | bytes,
        deployment: Deployment | Path | str,
        rpc_url: str,
        deposit: int,
        budget: int | None = None,
        max_call_cost: int | None = None,
        wish: Wish | None = None,
        state_dir: Path | str | None = Path("~/.tessera/purses"),
        try_timeout_s: float = 30.0,
        look_every_s: float = 2.0,
        keep: Path | str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        account = account if isinstance(account, Account) else Account(account)
        if not isinstance(deployment, Deployment):
            deployment = Deployment.load(Path(deployment).expanduser())
        self._side = PayingSide(account, deployment, rpc_url, Budget(budget))
        self._deposit = deposit
        self._max_call_cost = deposit // 10 if max_call_cost is None else max_call_cost
        self._wish = wish or Wish()
        self._state_dir = state_dir
        self._try_timeout_s = try_timeout_s
        self._look_every_s = look_every_s
        self._keep = keep
        self._clock = clock
        self._rpc_url = rpc_url
        self._lock = threading.Lock()
        self._directory: AssetDirectory | None = None
        self._looked_at: float | None = None
        self._created: dict[int, int] = {}
        self._standings: dict[str, Standing] = {}
        self._clients: dict[str, tuple[str, Client]] = {}
        self._streams: dict[str, tuple[Exchange, Endpoint, Target]] = {}
        self._evidence: deque[SignedReceipt] = deque(maxlen=_MOST_EVIDENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- Calling ------------------------------------------------------------------------------

    def openai(self, **options: Any) -> OpenAI:
        """Return an official `openai.OpenAI` whose calls are routed; `options` are its own."""
        from openai import OpenAI

        settings = {"api_key": "routed", "base_url": f"{ROUTE_URL}/v1", **options}
        # The package takes httpx clients beside its own kind, which its types do not say.
        return OpenAI(http_client=cast("Any", self.http()), **settings)

    def async_openai(self, **options: Any) -> AsyncOpenAI:
        """Return an official `openai.AsyncOpenAI` whose calls are routed."""
        from openai import AsyncOpenAI

        settings = {"api_key": "routed", "base_url": f"{ROUTE_URL}/v1", **options}
        return AsyncOpenAI(http_client=cast("Any", self.async_http()), **settings)

    def http(self) -> httpx.Client:
        """Return an httpx client whose calls are routed; whoever takes it closes it."""
        transport = PayingTransport(self, httpx.HTTPTransport(limits=_limits()))
        return httpx.Client(base_url=ROUTE_URL, transport=transport, trust_env=False)

    def async_http(self) -> httpx.AsyncClient:
        """Return an asynchronous httpx client whose calls are routed."""
        transport = AsyncPayingTransport(self, httpx.AsyncHTTPTransport(limits=_limits()))
        return httpx.AsyncClient(base_url=ROUTE_URL, transport=transport, trust_env=False)

    # --- What came of it ----------------------------------------------------------------------

    @property
    def receipts(self) -> Mapping[str, tuple[SignedReceipt, ...]]:
        """The receipts of this router's calls, by operator, oldest first."""
        with self._lock:
            clients = dict(self._clients)
        return {operator: client.receipts for operator, (_, client) in clients.items()}

    @property
    def evidence(self) -> tuple[SignedReceipt, ...]:
        """Receipts in which operators say themselves that they served what was not asked for."""
        with self._lock:
            return tuple(self._evidence)

    @property
    def standings(self) -> Mapping[str, Standing]:
        """What is known of operators from calls."""
        with self._lock:
            return dict(self._standings)

    @property
    def deposited(self) -> int:
        """What went into channels since the start, base units."""
        return self._side.budget.spent

    def close(self) -> None:
        """Close all channels' books and connections. Twice is once."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for _, client in clients:
            client.close()
        self._side.close()

    # --- The flow -----------------------------------------------------------------------------

    @property
    def keeps(self) -> bool:
        """Whether calls are kept with their bodies."""
        return self._keep is not None

    def run(self, request: httpx.Request) -> Flow:
        """Answer a request; its body has been read. Refusals are answers too."""
        path = request.url.path
        try:
            if request.method == "GET" and path == "/v1/models":
                models: list[dict[str, Any]] = yield Wait(self._side.submit(self._models()))
                return Answer(_json(request, 200, {"object": "list", "data": models}))
            if request.method != "POST" or path not in PAID_PATHS:
                raise NotFound.among("route", path, [*PAID_PATHS, "/v1/models"])
            return (yield from self._routed(request, path))
        except TesseraError as error:
            return Answer(_refused(request, error))

    def finish_stream(self, ticket: Ticket, scanner: ReceiptScanner) -> None:
        """Take the receipt of a stream that has ended, and hold it against what was asked.

        Raises
        ------
        WrongVersionServed
            It is about another version; what was read so far came from there.
        SignatureRejected
            It is missing or forged.
        """
        with self._lock:
            exchange, endpoint, target = self._streams.pop(ticket.call)
        try:
            exchange.finish_stream(ticket, scanner)
            if scanner.receipt is not None:
                self._check(endpoint, target, parse_receipt(scanner.receipt))
        except (SignatureRejected, WrongVersionServed):
            self._note(endpoint, lambda known: caught(known, self._clock()))
            raise
        if scanner.receipt is None and scanner.ended:
            self._note(endpoint, lambda known: failed(known, self._clock()))

    def _routed(self, request: httpx.Request, path: str) -> Flow:
        body = _object(request.content)
        wish = read_wish(body.pop("provider", None), self._wish)
        directory: AssetDirectory = yield Wait(self._side.submit(self._look()))
        model = body.get("model")
        if not isinstance(model, str):
            raise InputError("model", found=model, wanted="SLUG or SLUG@VERSION", param="model")
        record, target = _target(directory, model)
        body["model"] = target.name
        route = _Route(target, path, msgspec.json.encode(body))
        units = read_body(path, route.body, TokenLimits()).most
        order = rank(
            _endpoints(record),
            wish,
            self.standings,
            now=self._clock(),
            units=units,
            payer=self._side.account.address,
        )
        blamed: tuple[Answer, Endpoint] | None = None
        for endpoint in order.choices:
            answer = yield from self._try(request, route, endpoint)
            if answer is None:
                continue
            if answer.response.status_code not in _OWN_FAULTS:
                if blamed is not None:
                    # It blamed the request for what another one answers.
                    self._note(blamed[1], lambda known: failed(known, self._clock()))
                return _told(answer, route, endpoint)
            if blamed is not None:
                break
            # Others would say the same, if it is true: one more is asked.
            blamed = answer, endpoint
        if blamed is not None:
            return _told(blamed[0], route, blamed[1])
        raise _nobody(route, order.passed)

    def _try(
        self, request: httpx.Request, route: _Route, endpoint: Endpoint
    ) -> Generator[Fetch | Wait, Any, Answer | None]:
        """Ask one operator; None where another must be asked, and `route.tried` says why."""
        counts, busy = True, False
        try:
            answer = yield from self._asked(request, route, endpoint)
            outcome, counts, busy = self._judged(route, endpoint, answer)
            if outcome is None:
                return answer
        except (SignatureRejected, WrongVersionServed) as error:
            self._note(endpoint, lambda known: caught(known, self._clock()))
            outcome, counts = f"caught: {error.message}", False
        except _Unfit as error:
            outcome, counts = error.args[0], False
        except httpx.TransportError as error:
            outcome = f"no answer: {str(error) or type(error).__name__}"
        except (ServingError, WrongChain) as error:
            outcome = error.message
        except (PaymentRequired, ChainError, Conflict, DataError) as error:
            # Our own money, node or books; the operator has done nothing wrong.
            outcome, counts = error.message, False
        if counts:
            self._note(endpoint, lambda known: failed(known, self._clock()))
        route.busy = route.busy and busy
        route.tried.append(Tried(endpoint.operator, outcome))
        return None

    def _asked(self, request: httpx.Request, route: _Route, endpoint: Endpoint) -> Flow:
        client = self._client_of(endpoint)
        exchange = client.exchange
        assert isinstance(exchange, Exchange)
        card = yield from _card(exchange, route.target)
        _check_card(card, route.target, endpoint)
        units = read_body(route.path, route.body, card.limits).most
        most = endpoint.price.cost_ceil(units.input, units.output)
        if most:
            # What opening a channel takes is nothing that the operator's speed is judged by.
            yield Wait(client.opening())
        begun = self._clock()
        read, connect = self._try_timeout_s, min(_CONNECT_S, self._try_timeout_s)
        sent = httpx.Request(
            "POST",
            client.url + route.path,
            headers={
                name: value for name, value in request.headers.items() if name in _KEPT_HEADERS
            },
            content=route.body,
            extensions={
                MOST: most,
                "timeout": {"connect": connect, "read": read, "write": read, "pool": connect},
            },
        )
        answer = yield from exchange.run(sent)
        if answer.response.status_code < _FIRST_REFUSAL:
            latency = self._clock() - begun
            if answer.ticket is not None:
                with self._lock:
                    self._streams[answer.ticket.call] = (exchange, endpoint, route.target)
            elif not is_stream(answer.response):
                self._check_whole(endpoint, route.target, answer.response)
            self._note(endpoint, lambda known: answered(known, latency))
        return answer

    def _judged(
        self, route: _Route, endpoint: Endpoint, answer: Answer
    ) -> tuple[str | None, bool, bool]:
        """Say why another must be asked, or None; whether it counts as failure, or as busy."""
        status = answer.response.status_code
        if status < _FIRST_REFUSAL:
            route.tried.append(Tried(endpoint.operator, "answered"))
            return None, False, False
        if status in _OWN_FAULTS:
            route.tried.append(Tried(endpoint.operator, f"refused with status {status}"))
            return None, False, False
        busy = status in _BUSY
        if busy and (after := answer.response.headers.get("retry-after", "")).isdecimal():
            route.retry_after_s = min(int(after[:9]), route.retry_after_s or _LONGEST_WAIT_S)
        return f"status {status}", busy or status >= _FIRST_FAILURE, busy

    # --- Inside -------------------------------------------------------------------------------

    def _check_whole(self, endpoint: Endpoint, target: Target, response: httpx.Response) -> None:
        proof = response.headers.get(PROOF_HEADER)
        if proof is not None:
            self._check(endpoint, target, parse_proof(proof))
            return
        # Nobody signs for a free call; what the answer says of itself is all there is.
        try:
            said = _object(response.content).get("model")
        except InputError as error:
            # The caller's request was good; what came back is not.
            raise ServingError(f"answer of {endpoint.operator}", found=str(error)) from error
        if said != target.name:
            raise WrongVersionServed(
                f"answer of {endpoint.operator}", found=said, wanted=target.name
            )

    def _check(self, endpoint: Endpoint, target: Target, signed: SignedReceipt) -> None:
        receipt = signed.receipt
        found = (receipt.asset, receipt.version)
        if found == (target.asset, target.version) and receipt.identity <= target.identity:
            return
        with self._lock:
            self._evidence.append(signed)
        raise WrongVersionServed(
            f"receipt of {endpoint.operator}",
            found=f"version {receipt.version} of asset {receipt.asset}, identity "
            f"{receipt.identity}",
            wanted=f"version {target.version} of asset {target.asset}, identity "
            f"{target.identity:d}",
        )

    def _note(self, endpoint: Endpoint, change: Callable[[Standing], Standing]) -> None:
        with self._lock:
            known = self._standings.get(endpoint.operator, NEW)
            self._standings[endpoint.operator] = change(known)

    def _client_of(self, endpoint: Endpoint) -> Client:
        with self._lock:
            known = self._clients.get(endpoint.operator)
            if known is not None and known[0] == endpoint.url:
                return known[1]
            if known is not None:
                # It moved; its channel is the same, and only one may keep the books of it.
                known[1].close()
            client = Client(
                endpoint.url,
                account=self._side.account,
                deployment=self._side.deployment,
                rpc_url=self._rpc_url,
                deposit=self._deposit,
                top_up=self._deposit,
                max_call_cost=self._max_call_cost,
                operator=endpoint.operator,
                state_dir=self._state_dir,
                keep=self._keep,
                side=self._side,
            )
            self._clients[endpoint.operator] = (endpoint.url, client)
            return client

    async def _look(self) -> AssetDirectory:
        """Return what the chain says, read a moment ago; for some time what it said before."""
        if self._directory is None:
            deployment = self._side.deployment
            self._directory = AssetDirectory(
                self._side.reader, deployment.registry, first_block=deployment.since
            )
        now, before = self._clock(), self._looked_at
        if before is None or now - before >= self._look_every_s:
            try:
                await self._directory.refresh()
                self._looked_at = self._clock()
            except RpcUnavailable:
                if before is None or now - before > _STALE_S:
                    raise
        return self._directory

    async def _models(self) -> list[dict[str, Any]]:
        directory = await self._look()
        models = []
        for record in directory:
            if record.kind != Kind.MODEL or not record.listed:
                continue
            if directory.by_slug(record.slug) is not record:
                continue
            block = record.latest.block
            if block not in self._created:
                self._created[block] = (await self._side.reader.block(block)).timestamp
            models.append(_listed(record, self._created[block]))
        return models


def _told(answer: Answer, route: _Route, endpoint: Endpoint) -> Answer:
    """Say on an answer who made it, and who else was asked."""
    answer.response.headers[ROUTE_HEADER] = shown(route.tried)
    answer.response.headers[OPERATOR_HEADER] = endpoint.operator
    return answer


class _Unfit(Exception):
    """An operator that must not answer this call; `args[0]` says why."""


def _card(exchange: Exchange, target: Target) -> Generator[Fetch | Wait, Any, ModelCard]:
    """Return what a gateway lists of exactly this version, looking again once."""
    try:
        return (yield from exchange.card(target.name))
    except NotFound:
        exchange.forget()
    try:
        return (yield from exchange.card(target.name))
    except NotFound as error:
        raise _Unfit(f"it does not serve {target.name}") from error


def _check_card(card: ModelCard, target: Target, endpoint: Endpoint) -> None:
    if card.key.asset != target.asset:
        raise _Unfit("it has another asset under this name")
    asked, agreed = card.price, endpoint.price
    if (
        asked.per_call > agreed.per_call
        or asked.per_1k_in > agreed.per_1k_in
        or asked.per_1k_out > agreed.per_1k_out
    ):
        raise _Unfit("it asks for more than the chain says")


def _target(directory: AssetDirectory, model: str) -> tuple[AssetRecord, Target]:
    """Return the asset and the one version of it that must answer: the newest, or the one named."""
    record = directory.find(model)
    _, _, named = model.partition("@")
    release = record.latest
    if named:
        known = {str(release.version): release for release in record.versions}
        if named not in known:
            raise NotFound.among(f"{record.slug}: version", named, known)
        release = known[named]
    return record, Target(
        slug=record.slug,
        asset=record.asset,
        version=release.version,
        identity=_identity(release),
    )


def _identity(release: ReleaseRecord) -> Identity:
    return Identity.DECLARED if release.runner == _UPSTREAM else Identity.HASHED


def _endpoints(record: AssetRecord) -> list[Endpoint]:
    return [
        Endpoint(
            operator=endpoint.operator,
            url=endpoint.url,
            price=endpoint.price,
            terms=endpoint.terms,
        )
        for endpoint in record.listed
    ]


def _listed(record: AssetRecord, created: int) -> dict[str, Any]:
    return {
        "id": record.slug,
        "object": "model",
        "created": created,
        "owned_by": record.owner,
        "tessera": {
            "asset": str(record.asset),
            "version": record.latest.version,
            "operators": [
                {
                    "operator": endpoint.operator,
                    "url": endpoint.url,
                    "price": {
                        "per_call": str(endpoint.price.per_call),
                        "per_1k_in": str(endpoint.price.per_1k_in),
                        "per_1k_out": str(endpoint.price.per_1k_out),
                    },
                }
                for endpoint in record.listed
            ],
        },
    }


def _nobody(route: _Route, passed: tuple[Passed, ...]) -> TesseraError:
    busy = bool(route.tried) and route.busy
    kind = QuotaExceeded if busy else BackendFailed
    after: dict[str, Any] = {}
    if busy and route.retry_after_s is not None:
        after = {"retry_after_s": max(1, route.retry_after_s)}
    reasons = [f"{tried.operator}: {tried.outcome}" for tried in route.tried]
    reasons += [f"{left.operator}: {left.reason}" for left in passed]
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    said = "; ".join(reasons[:_SHOWN]) + more or "the chain lists no operator of it"
    return kind(
        f"no operator answered for {route.target.name}: {said}",
        tried=[[tried.operator, tried.outcome] for tried in route.tried],
        passed=[[left.operator, left.reason] for left in passed],
        **after,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError("request", found=str(error), wanted="strict JSON") from error
    if not isinstance(found, dict):
        raise InputError("request", found=type(found).__name__, wanted="a JSON object")
    return found


def _refused(request: httpx.Request, error: TesseraError) -> httpx.Response:
    response = _json(request, http_status(error), openai_error_body(error))
    response.headers.update(retry_headers(error))
    return response


def _json(request: httpx.Request, status: int, value: object) -> httpx.Response:
    return httpx.Response(
        status,
        headers={"content-type": "application/json"},
        content=msgspec.json.encode(value),
        request=request,
    )


def _limits() -> httpx.Limits:
    return httpx.Limits(max_connections=1000, max_keepalive_connections=100)
