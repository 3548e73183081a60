"""The only way into the embedded node: ordered JSON-RPC.

Requests of a batch are done in order. Reads go to the node as they are; raw transactions go to the
sequencer; whatever would change the chain past the sequencer is refused, because a replay would
not see it. Methods are taken from a list, so that one nobody thought of is refused as well.

`eth_sendRawTransaction` answers when the transaction is in a durable block, or at once where it
waits for an earlier nonce.

Time: `latest` stands still while nobody sends. Calls at `pending`, and every estimate, see the
time that a block mined now would have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from tessera.chain.ipc import NodeRefused
from tessera.chain.sequencer import Sequencer, Ticket
from tessera.chain.transactions import TransactionRefused
from tessera.errors import InputError, QuotaExceeded, RpcUnavailable, TesseraError, did_you_mean

__all__ = ["RpcEndpoint"]

_MOST_IN_BATCH: Final = 1_000
_READ_TIMEOUT_S: Final = 60.0
_SEND_TIMEOUT_S: Final = 60.0

_PARSE_ERROR: Final = -32700
_INVALID_REQUEST: Final = -32600
_NO_SUCH_METHOD: Final = -32601
_INVALID_PARAMS: Final = -32602
_INTERNAL: Final = -32603
_SERVER: Final = -32000
_UNAVAILABLE: Final = -32002
_REJECTED: Final = -32003
_NOT_SUPPORTED: Final = -32004
_LIMIT: Final = -32005

_READS: Final = frozenset({
    "debug_traceBlockByHash", "debug_traceBlockByNumber", "debug_traceCall",
    "debug_traceTransaction", "eth_accounts", "eth_blobBaseFee", "eth_blockNumber", "eth_chainId",
    "eth_createAccessList", "eth_feeHistory", "eth_gasPrice", "eth_getAccount",
    "eth_getAccountInfo", "eth_getBalance", "eth_getBlockByHash", "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByHash", "eth_getBlockTransactionCountByNumber", "eth_getCode",
    "eth_getFilterChanges", "eth_getFilterLogs", "eth_getLogs", "eth_getProof",
    "eth_getRawTransactionByHash", "eth_getStorageAt",
    "eth_getTransactionByBlockHashAndIndex", "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionReceipt", "eth_getUncleByBlockHashAndIndex",
    "eth_getUncleByBlockNumberAndIndex", "eth_getUncleCountByBlockHash",
    "eth_getUncleCountByBlockNumber", "eth_maxPriorityFeePerGas", "eth_newBlockFilter",
    "eth_newFilter", "eth_protocolVersion", "eth_syncing", "eth_uninstallFilter", "net_listening",
    "net_version", "trace_block", "trace_transaction", "web3_clientVersion", "web3_sha3",
})  # fmt: skip
_REFUSED_PREFIXES: Final = (
    "anvil_",
    "hardhat_",
    "evm_",
    "miner_",
    "engine_",
    "personal_",
    "admin_",
    "debug_",
)
_UNSIGNED: Final = frozenset({
    "eth_sendTransaction", "eth_sendUnsignedTransaction", "eth_sign", "eth_signTransaction",
    "eth_signTypedData", "eth_signTypedData_v3", "eth_signTypedData_v4", "wallet_sendCalls",
})  # fmt: skip

_log = logging.getLogger("tessera.chain.node")


class _Request(msgspec.Struct):
    method: str
    id: str | int | float | msgspec.UnsetType | None = msgspec.UNSET
    params: msgspec.Raw = msgspec.Raw(b"[]")


class _RpcError(InputError):
    def __init__(self, rpc_code: int, message: str, **operands: Any) -> None:
        super().__init__(message, **operands)
        self.rpc_code = rpc_code


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_params = msgspec.json.Decoder(list[Any]).decode
_encode = msgspec.json.Encoder().encode
# What decoding bytes from outside can raise.
_MALFORMED: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_FORWARD_HEAD: Final = b'{"jsonrpc":"2.0","id":1,'


class RpcEndpoint:
    """Answers JSON-RPC request bodies.

    Parameters
    ----------
    sequencer
        Orders what is sent and reaches the node for what is read.
    """

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._own: dict[str, Callable[[list[Any]], Awaitable[object]]] = {
            "eth_getTransactionCount": self._transaction_count,
            "eth_getTransactionByHash": self._transaction_by_hash,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransactionSync": self._send_and_get_receipt,
            "txpool_status": self._pool_status,
            "tessera_mine": self._mine,
            "tessera_status": self._status,
        }

    async def answer(self, body: bytes) -> bytes:
        """Return the response body; empty where all requests were notifications.

        Parameters
        ----------
        body
            One request or a batch, as it came over the wire.
        """
        if body.lstrip()[:1] != b"[":
            return await self._answer_in_order([body])
        try:
            batch = _decode_batch(body)
        except _MALFORMED as error:
            return _refusal(b"null", _PARSE_ERROR, f"batch: {error}")
        if not 0 < len(batch) <= _MOST_IN_BATCH:
            return _refusal(
                b"null",
                _INVALID_REQUEST,
                f"batch: found {len(batch)} requests, wanted 1 to {_MOST_IN_BATCH}",
            )
        answers = await self._answer_in_order([bytes(each) for each in batch])
        return b"[" + answers + b"]" if answers else b""

    async def _answer_in_order(self, requests: list[bytes]) -> bytes:
        """Answer each; transactions in a row are taken first and then waited for together."""
        answers: list[bytes] = []
        sent: list[tuple[int, bytes, Ticket]] = []
        for encoded in requests:
            try:
                request = _decode_request(encoded)
            except msgspec.ValidationError as error:
                answers.append(_refusal(b"null", _INVALID_REQUEST, f"request: {error}"))
                continue
            except _MALFORMED as error:
                answers.append(_refusal(b"null", _PARSE_ERROR, f"request: {error}"))
                continue
            request_id = b"" if request.id is msgspec.UNSET else _encode(request.id)
            try:
                if request.method == "eth_sendRawTransaction":
                    ticket = await self._sequencer.admit(_raw_parameter(request))
                    sent.append((len(answers), request_id, ticket))
                    answers.append(b"")
                    continue
                await self._wait_for(sent, answers)
                answer = await self._done(request, request_id)
            except Exception as error:  # noqa: BLE001 - one bad request must not lose the others
                answer = _refused(request_id, error)
            answers.append(answer if request_id else b"")
        await self._wait_for(sent, answers)
        return b",".join(answer for answer in answers if answer)

    async def _wait_for(self, sent: list[tuple[int, bytes, Ticket]], answers: list[bytes]) -> None:
        for at, request_id, ticket in sent:
            try:
                await _mined(ticket)
                answer = _result(request_id, ticket.hash)
            except TesseraError as error:
                answer = _refused(request_id, error)
            answers[at] = answer if request_id else b""
        sent.clear()

    async def _done(self, request: _Request, request_id: bytes) -> bytes:
        method = request.method
        own = self._own.get(method)
        if own is not None:
            return _result(request_id, await own(_parameters(request)))
        if method in _READS:
            # Encoded again: the node reads a stream, which a malformed request would break.
            return await self._forwarded(method, _encode(_parameters(request)), request_id)
        raise _not_offered(method, {*_READS, *self._own, "eth_sendRawTransaction"})

    async def _forwarded(self, method: str, params: bytes, request_id: bytes) -> bytes:
        request = b'{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}' % (
            method.encode(),
            params,
        )
        line = await self._sequencer.read(request, timeout_s=_READ_TIMEOUT_S)
        if not line.startswith(_FORWARD_HEAD):
            raise RpcUnavailable(f"embedded node: {method} got an answer that is no JSON-RPC")
        return b'{"jsonrpc":"2.0","id":%s,%s' % (
            request_id or b"null",
            line[len(_FORWARD_HEAD) :].rstrip(),
        )

    async def _read(self, method: str, params: list[Any]) -> Any:
        answer = msgspec.json.decode(await self._forwarded(method, _encode(params), b"1"))
        if "error" in answer:
            error = answer["error"]
            raise NodeRefused(error["code"], error["message"], error.get("data"))
        return answer["result"]

    async def _transaction_count(self, params: list[Any]) -> object:
        if len(params) == 2 and params[1] == "pending" and isinstance(params[0], str):
            return hex(await self._sequencer.next_nonce(params[0]))
        return await self._read("eth_getTransactionCount", params)

    async def _transaction_by_hash(self, params: list[Any]) -> object:
        found = await self._read("eth_getTransactionByHash", params)
        if found is None and isinstance(params[0], str):
            waiting = self._sequencer.waiting_transaction(params[0].lower())
            if waiting is not None:
                return waiting.as_pending(self._sequencer.chain_id)
        return found

    async def _block_by_number(self, params: list[Any]) -> object:
        block = await self._read("eth_getBlockByNumber", params)
        if params and params[0] == "pending" and isinstance(block, dict):
            block["timestamp"] = hex(self._sequencer.now())
        return block

    async def _call(self, params: list[Any]) -> object:
        if len(params) > 1 and params[1] == "pending":
            params = self._at_this_time(params)
        return await self._read("eth_call", params)

    async def _estimate(self, params: list[Any]) -> object:
        # Whatever the tag, an estimate is for a block that is mined from now on.
        if len(params) == 1 or (len(params) > 1 and params[1] in ("latest", "pending", None)):
            params = self._at_this_time([params[0], "pending", *params[2:]])
        return await self._read("eth_estimateGas", params)

    def _at_this_time(self, params: list[Any]) -> list[Any]:
        overrides = params[3] if len(params) > 3 and isinstance(params[3], dict) else {}
        state = params[2] if len(params) > 2 else None
        return [params[0], params[1], state, {"time": hex(self._sequencer.now()), **overrides}]

    async def _send_and_get_receipt(self, params: list[Any]) -> object:
        ticket = await self._sequencer.admit(_raw_bytes(params[0] if params else None))
        if not ticket.executable:
            raise _RpcError(_REJECTED, "transaction waits for an earlier nonce", hash=ticket.hash)
        await _mined(ticket)
        return await self._read("eth_getTransactionReceipt", [ticket.hash])

    async def _pool_status(self, params: list[Any]) -> object:
        executable, queued = self._sequencer.waiting_counts()
        return {"pending": hex(executable), "queued": hex(queued)}

    async def _mine(self, params: list[Any]) -> object:
        return hex(await self._sequencer.mine())

    async def _status(self, params: list[Any]) -> object:
        sequencer = self._sequencer
        trouble = sequencer.failure or sequencer.storage_error
        return {
            "chainId": hex(sequencer.chain_id),
            "height": hex(sequencer.height),
            "waiting": sequencer.waiting,
            "restarts": sequencer.restarts,
            "writable": trouble is None,
            "trouble": None if trouble is None else str(trouble),
        }


async def _mined(ticket: Ticket) -> None:
    if not ticket.executable:
        return
    done, _ = await asyncio.wait({ticket.mined}, timeout=_SEND_TIMEOUT_S)
    if not done:
        raise RpcUnavailable(
            f"transaction {ticket.hash}: taken and not mined yet",
            next_step="send it again, or ask for its receipt",
        )
    ticket.mined.result()


def _parameters(request: _Request) -> list[Any]:
    try:
        return _decode_params(request.params)
    except _MALFORMED:
        raise _RpcError(_INVALID_PARAMS, f"{request.method}: wanted a list of params") from None


def _raw_parameter(request: _Request) -> bytes:
    params = _parameters(request)
    return _raw_bytes(params[0] if len(params) == 1 else None)


def _raw_bytes(parameter: object) -> bytes:
    if isinstance(parameter, str) and parameter.startswith("0x"):
        try:
            return bytes.fromhex(parameter[2:])
        except ValueError:
            pass
    raise _RpcError(_INVALID_PARAMS, "raw transaction: wanted one 0x-hex string")


def _not_offered(method: str, offered: set[str]) -> _RpcError:
    if method in _UNSIGNED:
        return _RpcError(
            _NOT_SUPPORTED,
            f"{method}: the embedded node holds no keys",
            next_step="sign it yourself and use eth_sendRawTransaction",
        )
    if method.startswith(_REFUSED_PREFIXES):
        return _RpcError(
            _NOT_SUPPORTED,
            f"{method}: not offered, the chain changes by signed transactions only",
            next_step="its history could not be replayed otherwise",
        )
    return _RpcError(
        _NO_SUCH_METHOD,
        f"{method[:80]}: the method does not exist or is not offered",
        next_step=did_you_mean(method[:80], offered) or None,
    )


def _rpc_code(error: TesseraError) -> int:
    match error:
        case NodeRefused() | _RpcError():
            return error.rpc_code
        case TransactionRefused():
            return _REJECTED
        case QuotaExceeded():
            return _LIMIT
        case RpcUnavailable():
            return _UNAVAILABLE
        case InputError():
            return _INVALID_PARAMS
        case _:
            return _SERVER


def _refused(request_id: bytes, error: Exception) -> bytes:
    if isinstance(error, NodeRefused):
        return _refusal(request_id, error.rpc_code, error.message, error.data)
    if isinstance(error, TesseraError):
        data = {"code": error.code, "retryable": error.retryable, **error.details()}
        return _refusal(request_id, _rpc_code(error), error.message, data)
    _log.error("request failed", exc_info=error)
    return _refusal(request_id, _INTERNAL, "internal error; the node's log has more")


def _refusal(request_id: bytes, code: int, message: str, data: object = None) -> bytes:
    error = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return b'{"jsonrpc":"2.0","id":%s,"error":%s}' % (request_id or b"null", _encode(error))


def _result(request_id: bytes, result: object) -> bytes:
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (request_id or b"null", _encode(result))
