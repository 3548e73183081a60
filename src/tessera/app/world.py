"""A chain with our contracts on it, and everything that a door needs to act there."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import ipaddress
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tessera.app.running import Running, find_running
from tessera.assets.directory import AssetDirectory, AssetRecord
from tessera.assets.store import Store
from tessera.bindings import Share
from tessera.chain.deployments import Deployment, Parameters
from tessera.chain.lock import FolderLock
from tessera.chain.reader import ChainReader
from tessera.chain.sender import GasSpent, Sender
from tessera.chain.wallet import Account, Wallet
from tessera.config import Config, Origin
from tessera.errors import (
    Busy,
    DataError,
    InputError,
    NotAllowed,
    NotFound,
    RpcUnavailable,
    StorageFull,
    TesseraError,
)
from tessera.units import NETWORK_DECIMALS, Units, UnixSeconds, format_amount, parse_amount

if TYPE_CHECKING:
    from tessera.chain.node import EmbeddedNode

__all__ = ["BOOKS", "Announce", "Currency", "World", "connect", "open_world"]

ETHER: Final = 10**18
BOOKS: Final = "books.sqlite"
"""File of an operator's books in its data folder."""

TREASURY: Final = "deployer"
"""Name of the key that owns all coins of an embedded chain, and its contracts."""

_COINS: Final = 10**9 * ETHER
_GAS_MONEY: Final = 100 * ETHER
_RPC_TIMEOUT_S: Final = 15.0
_ANSWERS_WITHIN_S: Final = 8.0
"""A node that is there says at once which chain it is; one that hangs must not hold up a person."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

Announce = Callable[[str], None]
"""Told in a few words what is going on."""


@dataclass(frozen=True, slots=True)
class Currency:
    """What everything is priced in.

    Attributes
    ----------
    address, symbol, decimals
        Of the ERC-20.
    """

    address: str
    symbol: str
    decimals: int

    def shown(self, amount: int) -> str:
        """Write base units as people read them, exactly."""
        return format_amount(
            amount, decimals=self.decimals, symbol=self.symbol, grouped=True, places=2
        )

    def parse(self, text: str, thing: str = "amount") -> Units:
        """Read a decimal amount into base units, exactly."""
        return parse_amount(text, decimals=self.decimals, thing=thing)


class World:
    """One chain, its contracts, and this machine's keys and bundles; made by the openers below.

    Attributes
    ----------
    config
        The settings.
    reader
        Of the chain.
    deployment
        Where the contracts are.
    currency
        What everything is priced in; `network` is the network's token, TSR, like it.
    wallet, store
        Keys and bundles of the data folder.
    directory
        What the Registry knows; `refresh` it before use.
    running
        The supervisor's note: its own here, or that of the one we are connected to.
    node
        The embedded chain, where this process runs it.
    clock
        Unix seconds.
    """

    def __init__(
        self,
        config: Config,
        reader: ChainReader,
        deployment: Deployment,
        currency: Currency,
        *,
        wallet: Wallet,
        store: Store,
        node: EmbeddedNode | None = None,
        running: Running | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.reader = reader
        self.deployment = deployment
        self.currency = currency
        self.network = Currency(deployment.network_token.address, "TSR", NETWORK_DECIMALS)
        self.wallet = wallet
        self.store = store
        self.node = node
        self.running = running
        self.clock = clock
        self.directory = AssetDirectory(reader, deployment.registry, first_block=deployment.since)
        self._accounts: dict[str, Account] = {}
        self._senders: dict[str, Sender] = {}
        self._named: dict[str, str] | None = None

    def account(self, name: str) -> Account:
        """Open a key of the data folder.

        Raises
        ------
        NotFound
            There is none of that name; the message says what is near.
        """
        if name not in self._accounts:
            self._accounts[name] = load_account(self.wallet, name)
        return self._accounts[name]

    def sender(self, name: str) -> Sender:
        """Return the sender of a key; one for all of this process."""
        if name not in self._senders:
            self._senders[name] = Sender(
                self.reader,
                self.account(name),
                watched=1 + self.config.confirmations_count,
                longest_poll_s=0.25,
                how_to_fund=self.how_to_get_coins(name),
            )
        return self._senders[name]

    def named(self, address: str) -> str:
        """Return an address with the name that we have for it: a key of ours, or a contract."""
        if self._named is None:
            rows = {**self.deployment.contracts, **self.deployment.predeployed}
            self._named = {row.address: name for name, row in rows.items()}
            for name in self.wallet.names():
                with contextlib.suppress(DataError):
                    # Whoever uses a file that is damaged is told.
                    self._named[self.wallet.address_in_file(name)] = name
        found = self._named.get(address)
        return address if found is None else f"{address} ({found})"

    @property
    def spent(self) -> GasSpent:
        """What the transactions of this process's senders have cost so far."""
        return sum((sender.spent for sender in self._senders.values()), GasSpent())

    def how_to_fund(self, name: str) -> str:
        """Return what can be done for a key without money."""
        if self.deployment.has_faucet:
            return f"tessera account faucet {name}"
        return f"send it some: tessera account send {self.account(name).address} AMOUNT --as KEY"

    def how_to_get_coins(self, name: str) -> str:
        """Return what can be done for a key that cannot pay for gas."""
        if self.embedded:
            return f"tessera account faucet {name}"
        address = self.account(name).address
        if self.deployment.has_faucet:
            return f"in the data folder of whoever runs the chain: tessera account faucet {address}"
        return f"send it coins: tessera account send {address} AMOUNT --coins --as KEY"

    def address(self, name_or_address: str) -> str:
        """Return the address that somebody means: one of our keys by its name, or any other.

        Raises
        ------
        NotFound
            It is neither.
        InputError
            It looks like an address, with a letter too many, too few or wrong.
        """
        from tessera.assets.references import is_address
        from tessera.bindings.codec import checksummed

        if is_address(name_or_address):
            return checksummed(name_or_address)
        if name_or_address.startswith("0x") and name_or_address not in self.wallet.names():
            raise InputError(
                "address",
                found=name_or_address,
                wanted="0x and 40 hex digits, with capitals as its checksum has them or none",
                next_step="copy it again",
            )
        return self.account(name_or_address).address

    @property
    def addresses(self) -> Mapping[str, str]:
        """The address of each of our keys by its name; only those that are asked for are opened."""
        return _Addresses(self.wallet, self.account)

    def now(self) -> UnixSeconds:
        """Return the time that a block made now would have."""
        return UnixSeconds(int(self.clock()))

    async def asset(self, name: str) -> AssetRecord:
        """Return an asset by its slug, URN or id, as the chain has it now.

        Raises
        ------
        NotFound
            There is none; the message says what is near.
        """
        await self.directory.refresh()
        return self.directory.find(name)

    async def share(self, asset: int) -> Share:
        """Return an asset's Share.

        Raises
        ------
        NotFound
            It is not tokenized.
        """
        from tessera.ownership.share import share_of
        from tessera.units import AssetId

        return await share_of(self.reader, self.deployment.registry, AssetId(asset))

    @property
    def embedded(self) -> bool:
        """Whether this is a development chain of ours, whose coins we may give away."""
        if self.config.rpc_url or TREASURY not in self.wallet.names():
            return False
        return self.node is not None or (self.running is not None and self.running.embedded)

    async def fund(self, address: str, wei: int = _GAS_MONEY) -> str:
        """Give an account coins for gas, from the treasury of an embedded chain.

        Returns
        -------
        str
            The transaction.

        Raises
        ------
        NotAllowed
            This is no embedded chain.
        """
        if not self.embedded:
            raise NotAllowed(
                "coins for gas",
                found=f"chain {self.reader.chain_id}, which is not ours",
                wanted="the embedded chain",
                next_step="in the data folder of whoever runs it: "
                f"tessera account faucet {address}; "
                f"or from a key that has some: tessera account send {address} AMOUNT --coins",
            )
        return (await self.sender(TREASURY).transfer(address, wei)).tx_hash

    async def mint(self, name: str, amount: Units) -> str:
        """Give a key of ours test dollars, in as many calls of the faucet as that takes.

        Raises
        ------
        NotAllowed
            The currency has no faucet.
        """
        dollar = self.deployment.currency
        if not self.deployment.has_faucet:
            raise NotAllowed(
                f"faucet of {self.currency.symbol}",
                found="a real currency",
                wanted="the test dollar of a development chain",
            )
        limit = await self.reader.read(dollar.faucet_limit())
        tx_hash = ""
        while amount > 0:
            part = min(amount, limit)
            tx_hash = (await self.sender(name).send(dollar.faucet(part))).tx_hash
            amount = Units(amount - part)
        return tx_hash

    async def give(self, address: str, amount: Units) -> str:
        """Give an account that need not be ours test dollars, through an embedded chain's treasury.

        Raises
        ------
        NotAllowed
            As `mint`.
        """
        tx_hash = await self.mint(TREASURY, amount)
        if amount:
            dollar = self.deployment.currency
            tx_hash = (await self.sender(TREASURY).send(dollar.transfer(address, amount))).tx_hash
        return tx_hash

    async def endow(self, address: str, amount: Units) -> str:
        """Give an account TSR, from the treasury of an embedded chain.

        Returns
        -------
        str
            The transaction.

        Raises
        ------
        NotAllowed
            This is no embedded chain.
        """
        if not self.embedded:
            raise NotAllowed(
                "TSR for an account",
                found=f"chain {self.reader.chain_id}, which is not ours",
                wanted="the embedded chain",
                next_step="buy some: tessera market swap, see tessera market --help",
            )
        token = self.deployment.network_token
        return (await self.sender(TREASURY).send(token.transfer(address, amount))).tx_hash

    async def close(self) -> None:
        """End the senders and close the connections."""
        for sender in self._senders.values():
            await sender.close()
        await self.reader.close()


class _Addresses(Mapping[str, str]):
    """The addresses of a wallet's keys; looking at one opens that key."""

    def __init__(self, wallet: Wallet, account: Callable[[str], Account]) -> None:
        self._wallet = wallet
        self._account = account

    def __contains__(self, name: object) -> bool:
        return name in self._wallet.names()

    def __getitem__(self, name: str) -> str:
        if name not in self:
            raise KeyError(name)
        return self._account(name).address

    def __iter__(self) -> Iterator[str]:
        return iter(self._wallet.names())

    def __len__(self) -> int:
        return len(self._wallet.names())


@asynccontextmanager
async def open_world(
    config: Config,
    *,
    announce: Announce = lambda _: None,
    deploy: bool = False,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[World]:
    """Own a data folder: run its embedded chain, or reach the chain of `rpc_url`.

    A new embedded chain gets keys made at that moment, and the contracts.

    Parameters
    ----------
    config
        The settings.
    announce
        Told of what takes time.
    deploy
        Whether to deploy the contracts on the chain of `rpc_url` if the deployments file is not
        there, with the key `deployer`.
    clock
        Unix seconds.

    Raises
    ------
    Busy
        Another process has the folder, or the node's port.
    InputError
        A setting contradicts what the contracts were deployed with.
    RpcUnavailable, WrongChain
        The chain does not answer, or is another one.
    NotFound, DataError, Conflict
        The deployments file is not there, or not true of the chain; or there is no anvil.
    StorageFull
        There is no room.
    """
    folder = config.data_dir
    async with AsyncExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.callback(_locked(folder).release)
        except OSError as error:
            raise _unwritable(folder, error) from error
        wallet = wallet_of(config)
        node: EmbeddedNode | None = None
        url = config.rpc_url
        if not url:
            _guard_borrowed_id(config, announce)
            announce("starting the chain")
            node = await stack.enter_async_context(_embedded(config, wallet, clock))
            url = node.url
        reader = ChainReader(url, chain_id=config.chain_id, timeout_s=_RPC_TIMEOUT_S)
        stack.push_async_callback(reader.close)
        await _answering(reader)
        deployment = await _deployed(
            config, wallet, reader, announce, make=deploy or node is not None
        )
        _refuse_another_delay(config, deployment)
        world = await _joined(config, reader, deployment, wallet, node=node, clock=clock)
        stack.push_async_callback(world.close)
        yield world


@asynccontextmanager
async def connect(
    config: Config, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[World]:
    """Reach the chain of a running supervisor, or of `rpc_url`.

    Raises
    ------
    RpcUnavailable
        No supervisor runs here and no URL is set; or the node does not answer.
    WrongChain, NotFound, DataError
        As for `open_world`.
    """
    running = find_running(config.data_dir)
    url = config.rpc_url or (running.rpc_url if running else "")
    if not url:
        raise RpcUnavailable(
            f"data folder {config.data_dir}",
            found="no running chain",
            wanted="one to talk to",
            next_step="start one: tessera up; or name one: --rpc-url",
        )
    if not config.rpc_url and running and config.origin("chain_id") is Origin.DEFAULT:
        # Whoever runs it said which chain it is.
        config = dataclasses.replace(config, chain_id=running.chain_id)
    reader = ChainReader(url, chain_id=config.chain_id, timeout_s=_RPC_TIMEOUT_S)
    try:
        await _answering(reader)
        deployment = Deployment.load(deployment_file(config))
        if deployment.chain_id != config.chain_id:
            await deployment.verify(reader)
        world = await _joined(
            config, reader, deployment, wallet_of(config), running=running, clock=clock
        )
    except BaseException:
        await reader.close()
        raise
    try:
        yield world
    finally:
        await world.close()


def wallet_of(config: Config) -> Wallet:
    """Return the keys of a data folder."""
    return Wallet(config.data_dir / "keys", passphrase=config.passphrase)


def addresses_of(config: Config) -> Mapping[str, str]:
    """Return the address of each key of a data folder, without a chain."""
    wallet = wallet_of(config)
    return _Addresses(wallet, lambda name: load_account(wallet, name))


def store_of(config: Config) -> Store:
    """Return the bundles of a data folder."""
    return Store(config.data_dir / "bundles")


def deployment_file(config: Config) -> Path:
    """Return where the contracts of the configured chain are written down."""
    if config.deployment:
        return Path(config.deployment).expanduser()
    return config.data_dir / "deployments" / f"{config.chain_id}.json"


def load_account(wallet: Wallet, name: str) -> Account:
    """Open a key, or say how one is made.

    Raises
    ------
    NotFound
        There is none of that name.
    """
    if name not in wallet.names():
        raise NotFound.among(
            "account", name, wallet.names(), next_step=f"make one: tessera account create {name}"
        )
    return wallet.load(name)


async def _answering(reader: ChainReader) -> None:
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            await reader.check_chain()
    except TimeoutError as error:
        # No path and no query: they may hold a key.
        raise RpcUnavailable(
            f"chain at {urlsplit(reader.url).hostname}:{urlsplit(reader.url).port or ''}",
            found=f"no answer within {_ANSWERS_WITHIN_S:g} s",
            wanted="a JSON-RPC node",
            next_step="see whether it is well, or name another one: --rpc-url",
        ) from error


@asynccontextmanager
async def _embedded(
    config: Config, wallet: Wallet, clock: Callable[[], float]
) -> AsyncIterator[EmbeddedNode]:
    from tessera.chain.node import EmbeddedNode

    folder = config.data_dir / "chain"
    treasury = await asyncio.to_thread(wallet.load_or_create, TREASURY)
    # The beginning of a chain never changes; an old one already has its coins.
    begun = (folder / "journal.sqlite").exists()
    async with EmbeddedNode.start(
        folder,
        chain_id=config.chain_id,
        port=config.node_port,
        prefund=None if begun else {treasury.address: _COINS},
        code=None if begun else _first_code(config.chain_id),
        clock=clock,
    ) as node:
        yield node


def _guard_borrowed_id(config: Config, announce: Announce) -> None:
    """Keep an embedded chain that has a public one's id to this machine.

    What is signed on it may count on the public one, where x402's channels have the same names.
    """
    from tessera.chain.predeploys import BASE_SEPOLIA

    if config.chain_id != BASE_SEPOLIA:
        return
    if not _is_loopback(config.gateway_host):
        raise InputError(
            "gateway_host",
            found=config.gateway_host,
            wanted=f"127.0.0.1 or ::1: chain id {BASE_SEPOLIA} is Base Sepolia's, and vouchers "
            "signed here could be shown there",
            next_step="serve on loopback, or leave --chain-id out",
        )
    announce(f"chain id {BASE_SEPOLIA} is Base Sepolia's: for tests, with keys to throw away")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _first_code(chain_id: int) -> dict[str, bytes]:
    from tessera.chain.predeploys import predeployed_code

    dollar = Parameters(owner="", commons="")
    return predeployed_code(chain_id, decimals=dollar.dollar_decimals, faucet=dollar.dollar_faucet)


async def _deployed(
    config: Config, wallet: Wallet, reader: ChainReader, announce: Announce, *, make: bool
) -> Deployment:
    file = deployment_file(config)
    if not make:
        if not file.exists():
            raise NotFound(
                f"deployments file {file}",
                found="no such file",
                wanted=f"where the contracts of chain {reader.chain_id} are",
                next_step="name it: --deployment FILE; or put new ones there: --deploy",
            )
        deployment = Deployment.load(file)
        await deployment.verify(reader)
        return deployment
    from tessera.chain.deploy import deploy_or_load
    from tessera.chain.founding import found
    from tessera.chain.predeploys import DOLLAR, predeployed_on

    if not config.rpc_url:
        owner = wallet.load(TREASURY)
    else:
        owner = load_account(wallet, TREASURY)
    commons = await asyncio.to_thread(wallet.load_or_create, "commons")
    standing = {} if config.rpc_url else await predeployed_on(reader)
    async with Sender(reader, owner, longest_poll_s=0.25) as sender:
        deployment = await deploy_or_load(
            sender,
            Parameters(
                currency=standing.get(DOLLAR, ""),
                owner=owner.address,
                commons=commons.address,
                withdraw_delay_s=config.withdraw_delay_s,
                min_lock_s=config.min_lock_s,
                voting_time_s=config.voting_time_s,
                timelock_s=config.timelock_s,
                exit_delay_s=config.exit_delay_s,
                execution_window_s=config.execution_window_s,
                hour_s=config.hour_s,
                network_price=config.network_price_units,
                network_pool=config.network_pool_units,
            ),
            file,
            progress=lambda name, done, total: announce(f"deploying {name} ({done} of {total})"),
        )
        await found(sender, deployment, announce=announce)
        return deployment


def _locked(folder: Path) -> FolderLock:
    try:
        return FolderLock(folder)
    except Busy as busy:
        running = find_running(folder)
        if running is None:
            raise
        raise Busy(
            f"data folder {folder}",
            found=f"a tessera up that runs there (process {running.pid})",
            wanted="one at a time",
            next_step=f"use it: {running.gateway_url}/v1; or begin another: --data-dir FOLDER",
            pid=running.pid,
            gateway_url=running.gateway_url,
        ) from busy


def _refuse_another_delay(config: Config, deployment: Deployment) -> None:
    """Say so where somebody sets what the contracts have had since they were deployed."""
    fixed = deployment.parameters.withdraw_delay_s
    origin = config.origin("withdraw_delay_s")
    if origin is not Origin.DEFAULT and config.withdraw_delay_s != fixed:
        raise InputError(
            f"withdraw_delay_s (from {origin.value})",
            found=config.withdraw_delay_s,
            wanted=f"{fixed}, which this chain has had since its contracts were deployed",
            next_step="leave it out, or begin a new chain: --data-dir FOLDER",
        )


async def _joined(
    config: Config,
    reader: ChainReader,
    deployment: Deployment,
    wallet: Wallet,
    *,
    clock: Callable[[], float],
    node: EmbeddedNode | None = None,
    running: Running | None = None,
) -> World:
    dollar = deployment.currency
    symbol, decimals = await asyncio.gather(
        reader.read(dollar.symbol()), reader.read(dollar.decimals())
    )
    return World(
        config,
        reader,
        deployment,
        Currency(dollar.address, symbol, decimals),
        wallet=wallet,
        store=store_of(config),
        node=node,
        running=running,
        clock=clock,
    )


def _unwritable(folder: Path, error: OSError) -> TesseraError:
    kind: type[TesseraError] = DataError
    if error.errno in _NO_ROOM:
        kind = StorageFull
    elif isinstance(error, (NotADirectoryError, FileExistsError)):
        kind = InputError
    return kind(
        f"data folder {folder}",
        found=error.strerror or str(error),
        wanted="a folder that can be written",
        next_step="mend its permissions, or choose another one: --data-dir",
    )
