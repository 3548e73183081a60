"""Running the demo: a theatre of its own for `run`, somebody's world for `populate`."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop
from rich.console import Console

from tessera.demo.telling import Narrator
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.app import Operator, World

__all__ = ["REPORT", "populate", "run"]

REPORT: Final = Path("demo-report.json")
"""Where the report is written unless somebody says otherwise."""

_FEWEST_CALLS: Final = 40
_MOST_CALLS: Final = 4_000
_PLAIN_WIDTH: Final = 100


def run(
    *,
    data: Path | None = None,
    keep: bool = False,
    report: Path = REPORT,
    calls: int = 2_000,
    console: Console | None = None,
) -> int:
    """Play the whole story once, and write the report.

    Parameters
    ----------
    data
        A new or empty folder for everything, which is kept; a temporary one where None.
    keep
        Keep the temporary folder too.
    report
        Where the JSON goes.
    calls
        Paid calls in all, 40 to 4,000.
    console
        Where the story is told.

    Returns
    -------
    int
        Exit code: 0 if the books balance, 70 if they do not.

    Raises
    ------
    InputError
        The folder is in use, the report cannot be written, or the number of calls is out of range.
    TesseraError
        Something refused; the story could not go on.
    KeyboardInterrupt
        Ctrl-C; every child process has ended.
    """
    if not _FEWEST_CALLS <= calls <= _MOST_CALLS:
        raise InputError("calls", found=calls, wanted=f"{_FEWEST_CALLS} to {_MOST_CALLS}")
    if data is not None and data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise InputError(
            f"data folder {data}",
            found="something in it",
            wanted="a new or empty folder: the demo begins a chain of its own",
            next_step="name another one, or leave --data out",
        )
    console = console or _console()
    _check_report(report)
    with ExitStack() as stack:
        folder = data.absolute() if data is not None else Path(tempfile.mkdtemp(prefix="tessera-"))
        if data is None and not keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        code = runner.run(_played(folder, report, console, calls))
    if data is not None or keep:
        console.print(f"The data folder is kept: {folder}", markup=False, highlight=False)
    return code


async def populate(
    world: World, operator: Operator, url: str, *, calls: int = 200, console: Console | None = None
) -> bool:
    """Fill a running world with the demo's people, models, shares and some paid calls.

    What an interrupted attempt left is taken up; a world that is full stays as it is.

    Parameters
    ----------
    world, operator, url
        What runs, with `demo_settings`, and where its gateway listens.
    calls
        Paid calls to make.
    console
        Where it is told.

    Returns
    -------
    bool
        Whether anything was done. Afterwards everything goes on: channels are open, the consumers
        have money, and revenue streams.
    """
    from tessera.demo.market import PLANS
    from tessera.demo.stage import Stage
    from tessera.demo.story import Script, play_on, populate_stage
    from tessera.demo.upstream import find_language_model

    narrator = Narrator(console or _console())
    await world.directory.refresh()
    served = [world.directory.by_slug(plan.slug) for plan in PLANS if not plan.replaceable]
    if all(record is not None and record.share is not None for record in served):
        narrator.say("The demo's models are on this chain already.")
        return False
    found = await find_language_model()
    if found is not None and found.url not in world.config.upstreams:
        # A server is asked only by operators who named it.
        found = None
    stage, script = Stage(world, operator, url), Script(calls=calls, language_model=found)
    populated = await populate_stage(stage, narrator, script)
    await play_on(stage, narrator, populated, script)
    return True


async def _played(folder: Path, report: Path, console: Console, calls: int) -> int:
    begun = time.monotonic()
    narrator = Narrator(console)
    narrator.chapter("A chain of our own")
    with narrator.step("load the program"):
        from tessera.demo.report import conclude
        from tessera.demo.stage import set_stage, theatre
        from tessera.demo.story import Script, tell
        from tessera.demo.upstream import find_language_model
    # What the rooms log is for operators; the story says what matters here.
    logging.getLogger("tessera").setLevel(logging.ERROR)
    config, found = theatre(folder), await find_language_model()
    if found is not None:
        config = replace(config, upstreams=(found.url,))
    async with set_stage(config, narrator) as stage:
        told = await tell(stage, narrator, Script(calls=calls, language_model=found))
        narrator.timings["all of it"] = round(time.monotonic() - begun, 3)
        return conclude(told, report, console)


def _check_report(file: Path) -> None:
    """Refuse now what would be found out when everything is over."""
    folder = next((each for each in file.absolute().parents if each.exists()), Path("/"))
    if file.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise InputError(
            f"report {file}",
            found="a folder" if file.is_dir() else f"{folder}, which cannot be written",
            wanted="a file that can be written",
            next_step="choose another one: --report",
        )


def _console() -> Console:
    console = Console()
    # A file or a pipe has no width; the tables need about this much.
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)
