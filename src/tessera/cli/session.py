"""What all commands share: the common options, one world, and two ways of presenting."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import threading
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tessera.config import SETTINGS, Config, load_config

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tessera.app import World
    from tessera.assets.directory import AssetRecord

__all__ = ["Session", "command", "default_of"]

_PANEL: Final = "Everywhere"
_WIDEST: Final = 10_000
_COIN_DECIMALS: Final = 18


def default_of(setting: str) -> str:
    """Return what `--help` says of a flag that overrides a setting."""
    return str(SETTINGS[setting].default)


_COMMON: Final[dict[str, tuple[Any, Any]]] = {
    "data_dir": (
        Annotated[
            Path | None,
            typer.Option(
                "--data-dir",
                help="Folder of everything kept.",
                show_default=default_of("data_dir"),
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "rpc_url": (
        Annotated[
            str | None,
            typer.Option(
                "--rpc-url", "--rpc", help="Chain, in place of our own.", rich_help_panel=_PANEL
            ),
        ],
        None,
    ),
    "chain_id": (
        Annotated[
            int | None,
            typer.Option("--chain-id", help="Chain that must answer.", rich_help_panel=_PANEL),
        ],
        None,
    ),
    "deployment": (
        Annotated[
            str | None,
            typer.Option("--deployment", help="Deployments file.", rich_help_panel=_PANEL),
        ],
        None,
    ),
    "gateway": (
        Annotated[
            str | None,
            typer.Option("--gateway", help="Gateway's URL.", rich_help_panel=_PANEL),
        ],
        None,
    ),
    "acting_as": (
        Annotated[
            str | None,
            typer.Option(
                "--as",
                help="Name of the key to act with.",
                show_default="the command's usual role",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "as_json": (
        Annotated[
            bool,
            typer.Option("--json", help="One JSON object on stdout.", rich_help_panel=_PANEL),
        ],
        False,
    ),
}


class Session:
    """One run of one command.

    Attributes
    ----------
    as_json
        Whether the outcome is one JSON object on stdout.
    """

    def __init__(
        self,
        flags: Mapping[str, object],
        *,
        gateway: str | None,
        acting_as: str | None,
        as_json: bool,
    ) -> None:
        self._flags = dict(flags)
        self._gateway = gateway
        self._acting_as = acting_as
        self._world: World | None = None
        self.as_json = as_json

    # --- Settings -----------------------------------------------------------------------------

    def config(self, **flags: object) -> Config:
        """Read the settings; `flags` are further ones that this command has."""
        return load_config({**self._flags, **flags})

    def actor(self, default: str) -> str:
        """Return the name of the key to act with: `--as`, or the command's usual role."""
        return self._acting_as or default

    @asynccontextmanager
    async def world(self) -> AsyncIterator[World]:
        """Reach the chain of the running supervisor, or of `--rpc-url`; say what gas was spent."""
        from tessera.app import connect
        from tessera.units import format_amount

        async with connect(self.config()) as world:
            self._world = world
            try:
                yield world
            finally:
                self._world = None
            spent = world.spent
            if spent.transactions and not self.as_json:
                coins = format_amount(spent.wei, decimals=_COIN_DECIMALS)
                many = "" if spent.transactions == 1 else f" in {spent.transactions} transactions"
                self.note(f"gas       {spent.gas:,}{many}, {coins} coins")

    def gateway_url(self, world: World) -> str:
        """Return where the gateway is.

        Raises
        ------
        NotFound
            None runs here and none was named.
        """
        from tessera.errors import NotFound

        found = self._gateway or (world.running.gateway_url if world.running else "")
        if not found:
            raise NotFound(
                "gateway",
                found="none running",
                wanted="one to call",
                next_step="start one: tessera up; or name one: --gateway URL",
            )
        return found

    async def asset(self, world: World, name: str) -> AssetRecord:
        """Return the asset that somebody means, as the chain has it now."""
        return await world.asset(name)

    # --- Presenting ---------------------------------------------------------------------------

    @functools.cached_property
    def out(self) -> Console:
        """Where the outcome goes."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=True)

    @functools.cached_property
    def err(self) -> Console:
        """Where everything else goes."""
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True)

    def present(self, data: Mapping[str, object], show: Callable[[Console], None]) -> None:
        """Write the outcome once: as JSON, or for people."""
        if self.as_json:
            import msgspec

            spent = self._world.spent if self._world is not None else None
            if spent is not None and spent.transactions:
                gas = {"transactions": spent.transactions, "used": spent.gas, "wei": str(spent.wei)}
                data = {**data, "gas": gas}
            sys.stdout.write(msgspec.json.encode({"ok": True, **data}).decode() + "\n")
            sys.stdout.flush()
        else:
            show(self.out)

    def say(self, data: Mapping[str, object], *lines: str) -> None:
        """Write the outcome: as JSON, or as these lines."""

        def show(console: Console) -> None:
            for line in lines:
                console.print(line, markup=False)

        self.present(data, show)

    def note(self, line: str) -> None:
        """Write something about what is going on, on stderr."""
        self.err.print(line, style="dim", markup=False)

    @contextmanager
    def progress(self, what: str, *, counted: bool = False) -> Iterator[Callable[[int, int], None]]:
        """Show a bar on stderr, of bytes or of things counted; nothing where nobody watches.

        After Ctrl-C what reports here is ended by its next report: a thread that still had
        gigabytes to read would hold up the end.
        """
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn() if counted else DownloadColumn(),
            TimeRemainingColumn(),
            console=self.err,
            transient=True,
            disable=self.as_json or not sys.stderr.isatty(),
        )
        left = threading.Event()

        def report(done: int, total: int) -> None:
            if left.is_set():
                raise KeyboardInterrupt
            bar.update(task, completed=done, total=total)

        with bar:
            task = bar.add_task(what, total=None)
            try:
                yield report
            finally:
                left.set()

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something is under way; nothing where nobody watches."""
        if self.as_json or not sys.stderr.isatty():
            yield
            return
        with self.err.status(what):
            yield

    def table(self, *columns: str) -> Table:
        """Return an empty table.

        A column whose name ends with `>` is of numbers, set to the right; one whose name ends
        with `!` is there to be copied. Neither is ever broken: a table that needs more room than
        there is goes on beyond the edge.
        """
        from rich import box

        table = _unbroken()(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(
                column.rstrip(">!"),
                justify="right" if column.endswith(">") else "left",
                overflow="fold",
                no_wrap=column.endswith((">", "!")),
            )
        return table


@functools.cache
def _unbroken() -> type[Table]:
    """Return a table that is as wide as what must not be broken needs."""
    from rich.console import ConsoleOptions, RenderResult
    from rich.table import Table

    class Unbroken(Table):
        def add_row(self, *cells: Any, **style: Any) -> None:
            for column, cell in zip(self.columns, cells, strict=True):
                if column.no_wrap:
                    column.min_width = max(column.min_width or len(str(column.header)), len(cell))
            super().add_row(*cells, **style)

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            needed = self.__rich_measure__(console, options.update_width(_WIDEST)).minimum
            width = max(needed, options.max_width)
            yield from super().__rich_console__(console, options.update_width(width))

    return Unbroken


def command(app: typer.Typer, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
    """Make a command of a function whose first argument is the `Session`.

    The options of `_COMMON` are added behind its own; coroutines are run to their end.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        hints = typing.get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in list(inspect.signature(function).parameters.values())[1:]
        ]
        common = [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for key, (annotation, default) in _COMMON.items()
        ]

        @functools.wraps(function)
        def run(**values: Any) -> int | None:
            shared = {key: values.pop(key) for key in _COMMON}
            session = Session(
                {key: shared[key] for key in ("data_dir", "rpc_url", "chain_id", "deployment")},
                gateway=shared["gateway"],
                acting_as=shared["acting_as"],
                as_json=shared["as_json"],
            )
            outcome = function(session, **values)
            if inspect.iscoroutine(outcome):
                import uvloop

                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    outcome = runner.run(outcome)
            return outcome if isinstance(outcome, int) else None

        parameters = [
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            *common,
        ]
        # Whole, where click would cut it at 45 characters.
        options.setdefault("short_help", (function.__doc__ or "").strip().splitlines()[0])
        # `wraps` copied the original's; Typer must see ours.
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__
        # What a command is made of, for whoever reads its source.
        run.function = function  # type: ignore[attr-defined]
        app.command(name, **options)(run)
        return function

    return register
