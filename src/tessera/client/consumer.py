"""`tessera.Client`: call models and pay for them, with the official clients or without."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

import httpx

from tessera.chain.deployments import Deployment
from tessera.chain.wallet import Account
from tessera.client.evidence import PaidCall
from tessera.client.evidence import keep as keep_as_files
from tessera.client.exchange import Exchange
from tessera.client.gateway import GatewayView, ModelCard
from tessera.client.paying_side import PayingSide
from tessera.client.rights import OrderExchange
from tessera.client.transport import AsyncPayingTransport, PayingTransport
from tessera.errors import BackendFailed, InputError, NotFound, ServingError
from tessera.payments.header import SignedReceipt, parse_receipt
from tessera.payments.onchain import AccountSigner, ConsumerOnChain, channels_domain
from tessera.payments.ports import ChannelView
from tessera.payments.purse import Purse
from tessera.presenting import error_of
from tessera.spec.signatures import Address, address_of, address_text

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Client"]

MOST_RECEIPTS: Final = 10_000
"""That a client keeps: more than the demo's calls, whose accountant wants every one."""

_TIMEOUT_S: Final = 130.0
# Looked at before another one is opened.
_MOST_CHANNELS: Final = 64
_OK: Final = 200
_SEEN_WITHIN_S: Final = 1.0


class Client:
    """A consumer of one gateway.

    The first call that costs something opens a channel with `deposit`, or finds the one that an
    earlier run opened. Every call then carries a voucher for what receipts show plus the most that
    calls in flight can cost, and every receipt is checked before it is believed.

    Parameters
    ----------
    gateway_url
        Of the gateway, with or without `/v1`.
    account
        Whose money it is: an `Account`, or 32 secret bytes.
    deployment
        Where the contracts are: a `Deployment` or its file. Never taken from the gateway.
    rpc_url
        JSON-RPC of the chain.
    deposit
        Put into a channel when one is opened, base units of the currency; not needed where an order
        pays.
    max_call_cost
        No call that could cost more is made, base units; a tenth of the deposit where None.
    top_up
        Added by itself when the deposit is used up, base units; None refuses such calls instead.
    access
        Pay with an order in place of a channel: the product's address and the order's number. The
        signer must be the order's user.
    use
        What answers are for beyond inference, such as `commercial`, so that a licence without it
        is refused before anything is used; only with `access`.
    holders
        Call at the price of those who locked shares of a model, where it has one; `account` must
        have locked enough, or the gateway says what is missing.
    channel
        Pay from this channel; where None, the latest that `account` opened toward the operator.
    operator
        Whom to pay; where None, whoever the gateway names first.
    session_key
        Signs vouchers in place of `account`; must be the signer of the channel.
    state_dir
        Where totals are kept; None keeps them in memory, and the next run asks the operator for
        signed proof of them.
    timeout_s
        For one call.
    keep
        Folder for calls with their receipts, for audits; None keeps none. Calls that an order
        pays for are not kept.
    side
        Share the payer's connection, sender and budget with other clients; whoever made it closes
        it.

    Examples
    --------
    ::

        with tessera.Client(url, account=key, deployment=file, rpc_url=rpc, deposit=1_000_000) as c:
            answer = c.openai().chat.completions.create(model="docstrings", messages=[...])
    """

    def __init__(
        self,
        gateway_url: str,
        *,
        account: Account | bytes,
        deployment: Deployment | Path | str,
        rpc_url: str,
        deposit: int = 0,
        access: tuple[str, int] | None = None,
        use: str = "",
        max_call_cost: int | None = None,
        holders: bool = False,
        top_up: int | None = None,
        channel: int | None = None,
        operator: str | None = None,
        session_key: Account | bytes | None = None,
        state_dir: Path | str | None = Path("~/.tessera/purses"),
        timeout_s: float = _TIMEOUT_S,
        keep: Path | str | None = None,
        side: PayingSide | None = None,
    ) -> None:
        if deposit <= 0 and access is None:
            raise InputError("deposit", found=deposit, wanted="more than 0 base units")
        self._account = account if isinstance(account, Account) else Account(account)
        key = session_key or self._account
        self._signer = AccountSigner(key if isinstance(key, Account) else Account(key))
        self._deployment = (
            deployment
            if isinstance(deployment, Deployment)
            else Deployment.load(Path(deployment).expanduser())
        )
        self._deposit = deposit
        self._top_up = top_up
        self._wanted_channel = channel
        self._state_dir = None if state_dir is None else Path(state_dir).expanduser()
        self._timeout_s = timeout_s
        self._keep = None if keep is None else Path(keep).expanduser()
        self._gateway = GatewayView(
            gateway_url,
            channels_domain(self._deployment),
            address_of(self._deployment.currency.address),
            address_of(operator) if operator is not None else None,
        )
        self._shared = side is not None
        self._side = side or PayingSide(self._account, self._deployment, rpc_url)
        self._lock = threading.Lock()
        self._opening: Future[Purse] | None = None
        self._topping: Future[None] | None = None
        self._receipts: deque[SignedReceipt] = deque(maxlen=MOST_RECEIPTS)
        self._http: httpx.Client | None = None
        self._exchange: Exchange | OrderExchange
        if access is not None:
            self._exchange = OrderExchange(
                self._gateway,
                self._signer,
                channels_domain(self._deployment),
                address_of(access[0]),
                access[1],
                use=use,
                on_receipt=self._remember,
            )
        else:
            self._exchange = Exchange(
                self._gateway,
                self._purse_future,
                max_call_cost=deposit // 10 if max_call_cost is None else max_call_cost,
                holders=holders,
                top_up=None if top_up is None else self._top_up_future,
                on_receipt=self._remember,
                on_call=None if keep is None else self._keep_call,
            )

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
        """Return an official `openai.OpenAI` that pays; `options` are its own."""
        from openai import OpenAI

        # The package takes httpx clients beside its own kind, which its types do not say.
        client = cast("Any", self.http())
        settings = {"api_key": "paid-by-voucher", "base_url": f"{self.url}/v1", **options}
        return OpenAI(http_client=client, **settings)

    def async_openai(self, **options: Any) -> AsyncOpenAI:
        """Return an official `openai.AsyncOpenAI` that pays; `options` are its own."""
        from openai import AsyncOpenAI

        client = cast("Any", self.async_http())
        settings = {"api_key": "paid-by-voucher", "base_url": f"{self.url}/v1", **options}
        return AsyncOpenAI(http_client=client, **settings)

    def http(self) -> httpx.Client:
        """Return an httpx client that pays; whoever takes it closes it."""
        return httpx.Client(
            base_url=self.url,
            transport=PayingTransport(self._exchange, httpx.HTTPTransport(limits=_limits())),
            timeout=self._timeout_s,
            # A proxy from the environment would take the requests past the paying transport.
            trust_env=False,
        )

    def async_http(self) -> httpx.AsyncClient:
        """Return an asynchronous httpx client that pays; whoever takes it closes it."""
        inner = httpx.AsyncHTTPTransport(limits=_limits())
        return httpx.AsyncClient(
            base_url=self.url,
            transport=AsyncPayingTransport(self._exchange, inner),
            timeout=self._timeout_s,
            # A proxy from the environment would take the requests past the paying transport.
            trust_env=False,
        )

    def predict(self, model: str, rows: list[list[Any]]) -> list[dict[str, Any]]:
        """Ask a tabular model about rows.

        Returns
        -------
        list
            One mapping of outputs per row.

        Raises
        ------
        TesseraError
            The gateway refused or the model failed; the call cost nothing.
        """
        outputs: list[dict[str, Any]] = self._post("/v1/predict", model, rows=rows)["outputs"]
        return outputs

    def classify(self, model: str, texts: str | list[str]) -> list[dict[str, Any]]:
        """Ask a classifier about texts.

        Returns
        -------
        list
            Per text its `label` and `scores`.
        """
        data: list[dict[str, Any]] = self._post("/v1/classify", model, input=texts)["data"]
        return data

    def models(self) -> list[ModelCard]:
        """Return what the gateway offers, with prices in base units.

        Raises
        ------
        BackendFailed
            The gateway does not answer.
        """
        self._ask_gateway()
        return self._gateway.cards()

    # --- Money --------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The gateway's, without `/v1`."""
        return str(self._gateway.url).rstrip("/")

    @property
    def address(self) -> str:
        """The payer's."""
        return self._account.address

    def opening(self) -> Future[Purse]:
        """Open the channel, or find it, without waiting; the gateway's list must be known."""
        return self._purse_future()

    @property
    def exchange(self) -> Exchange | OrderExchange:
        """What pays for the calls of this client, step by step."""
        return self._exchange

    @property
    def operator(self) -> Address:
        """Who answers and signs the receipts; asks the gateway unless it was named.

        Raises
        ------
        BackendFailed
            The gateway does not answer.
        """
        self._ask_gateway()
        return self._operator()

    @property
    def spent(self) -> int:
        """What receipts show on this channel, base units; 0 before the first paid call."""
        purse = self._known_purse()
        return purse.charged if purse else 0

    @property
    def receipts(self) -> tuple[SignedReceipt, ...]:
        """The receipts of this client's calls, oldest first; the last 10,000."""
        with self._lock:
            return tuple(self._receipts)

    def open(self) -> int:
        """Open the channel now, or find it, and return its number."""
        self._ask_gateway()
        return self._purse_future().result().channel

    def find(self) -> int | None:
        """Return the channel that would pay; None where the first paid call opens one."""
        self._ask_gateway()
        if self._wanted_channel is not None:
            return self._wanted_channel
        return cast("int | None", self._do(self._find(self._consumer())))

    def channel(self) -> ChannelView:
        """Return the channel as the chain has it.

        Raises
        ------
        NotFound
            The channel does not exist (any more).
        """
        number = self.open()
        view = self._do(self._consumer().read(number))
        if view is None:
            raise NotFound("channel", found=number, wanted="one that was opened")
        return cast("ChannelView", view)

    def top_up(self, amount: int) -> str:
        """Add to the channel; return the transaction."""
        number = self.open()
        return cast("str", self._do(self._consumer().top_up(number, amount)))

    def request_withdrawal(self) -> int:
        """Begin to take the rest back; return when it will be there, unix seconds.

        From now on the operator answers no more calls on this channel.
        """
        number = self.open()
        return cast("int", self._do(self._consumer().request_withdrawal(number)))

    def withdraw(self) -> int:
        """Take the rest back, once the delay is over; return how much came, base units."""
        number = self.open()
        return cast("int", self._do(self._consumer().withdraw(number)))

    def receipt(self, name: str) -> SignedReceipt:
        """Fetch a receipt and check who signed it.

        Raises
        ------
        NotFound
            The gateway has none of that id.
        SignatureRejected
            It is not the operator's.
        """
        self._ask_gateway()
        response = self._reach("GET", f"/receipts/{name}")
        if response.status_code != _OK:
            raise NotFound("receipt", found=name, wanted="the id of an answered call")
        signed = parse_receipt(response.content)
        signed.verify(channels_domain(self._deployment), self._operator())
        return signed

    def close(self) -> None:
        """Close connections and let others use the channel. Twice is once."""
        if self._http is not None:
            self._http.close()
            self._http = None
        purse = self._known_purse()
        if purse is not None:
            purse.close()
        self._opening = None
        if not self._shared:
            self._side.close()

    # --- Inside -------------------------------------------------------------------------------

    def _post(self, path: str, model: str, **fields: Any) -> dict[str, Any]:
        response = self._reach("POST", path, json={"model": model, **fields})
        try:
            found: Any = response.json()
        except ValueError:
            found = None
        if response.status_code != _OK:
            raise error_of(found, response.status_code, about=f"model {model}")
        if not isinstance(found, dict):
            raise ServingError(
                f"gateway {self.url}", found=response.text[:80], wanted="a JSON object"
            )
        return found

    def _reach(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._client().request(method, path, **options)
        except httpx.TransportError as error:
            raise BackendFailed(
                f"gateway {self.url}",
                found=str(error) or type(error).__name__,
                wanted="an answer",
                next_step="see that it runs (tessera up), or name another one: --gateway URL",
            ) from error

    def _client(self) -> httpx.Client:
        if self._http is None:
            self._http = self.http()
        return self._http

    def _ask_gateway(self) -> None:
        if not self._gateway.known:
            self._gateway.take_models(self._reach("GET", "/v1/models"))

    def _operator(self) -> Address:
        if self._gateway.operator is None:
            raise InputError("operator", wanted="the gateway's list of models first")
        return self._gateway.operator

    def _consumer(self) -> ConsumerOnChain:
        return self._side.toward(self._operator())

    def _do(self, work: Any) -> Any:
        return self._side.submit(work).result()

    def _known_purse(self) -> Purse | None:
        opening = self._opening
        if opening is None or not opening.done() or opening.exception() is not None:
            return None
        return opening.result()

    def _purse_future(self) -> Future[Purse]:
        chain = self._consumer()
        with self._lock:
            failed = (
                self._opening is not None
                and self._opening.done()
                and self._opening.exception() is not None
            )
            if self._opening is None or failed:
                self._opening = self._side.submit(self._open_purse(chain))
            return self._opening

    def _top_up_future(self, wanted: int) -> Future[None]:
        chain = self._consumer()
        with self._lock:
            # Calls that run dry together are helped by one deposit.
            if self._topping is None or self._topping.done():
                self._topping = self._side.submit(self._add(chain, wanted))
            return self._topping

    async def _add(self, chain: ConsumerOnChain, wanted: int) -> None:
        purse = self._known_purse()
        if purse is None:
            return
        # The operator only says that something is missing; how much, the chain and the purse do.
        view = await chain.read(purse.channel, purse.keys())
        if view is None:
            return
        settled = sum(line.charged for line in view.lines.values())
        missing = purse.charged + purse.in_flight() + wanted - settled - view.balance
        if missing <= 0:
            # It is there; the operator, who looked a moment ago, does not look at once again.
            await asyncio.sleep(_SEEN_WITHIN_S)
            return
        amount = max(missing, self._top_up or 0)
        with self._budgeted(amount):
            await chain.top_up(purse.channel, amount)

    async def _open_purse(self, chain: ConsumerOnChain) -> Purse:
        number = self._wanted_channel
        if number is None:
            number = await self._find_or_open(chain)
        view = await chain.read(number)
        if view is None:
            raise NotFound(
                "channel",
                found=number,
                wanted=f"a channel toward {address_text(chain.operator)}",
            )
        if view.signer != self._signer.address:
            raise InputError(
                f"channel {number}: signer",
                found=address_text(self._signer.address),
                wanted=address_text(view.signer),
                next_step="give the channel's session key, or name another channel",
            )
        domain = channels_domain(self._deployment)
        file = None
        if self._state_dir is not None:
            place = f"{domain.chain_id}-{domain.contract.hex()[:16]}"
            file = self._state_dir / place / f"{chain.operator.hex()[:16]}-{number}.json"
        return Purse(domain, chain.operator, number, self._signer, file)

    async def _find(self, chain: ConsumerOnChain) -> int | None:
        """Return the latest usable channel of this payer; the chain remembers them all."""
        for number in (await chain.opened())[:_MOST_CHANNELS]:
            view = await chain.read(number)
            if (
                view is not None
                and view.balance
                and not view.available_at
                and view.signer == self._signer.address
            ):
                return number
        return None

    async def _find_or_open(self, chain: ConsumerOnChain) -> int:
        found = await self._find(chain)
        if found is not None:
            return found
        with self._budgeted(self._deposit):
            return await chain.open(self._deposit, self._signer.address)

    @contextmanager
    def _budgeted(self, amount: int) -> Iterator[None]:
        self._side.budget.take(amount)
        try:
            yield
        except BaseException:
            self._side.budget.give_back(amount)
            raise

    def _keep_call(self, call: PaidCall) -> None:
        if self._keep is not None:
            keep_as_files(self._keep, call, channels_domain(self._deployment), self._operator())

    def _remember(self, receipt: SignedReceipt) -> None:
        with self._lock:
            self._receipts.append(receipt)


def _limits() -> httpx.Limits:
    return httpx.Limits(max_connections=1000, max_keepalive_connections=100)
