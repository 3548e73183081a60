"""A full report on ten million transfers: how long it takes, and how much memory.

A market is made from a seed, once: a token that 200,000 addresses hold over two years, and what
they pay a service in a stablecoin. It is written as a folder of facts; then `tessera diligence`
runs on it as an analyst does, in a process of its own. The goals are for two cores that do nothing
else; processor time is printed beside.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from tessera.facts import Addresses, Amounts, Coverage, Facts, Head, Transfers
from tessera.facts.memory import Memory
from tessera.facts.writing import write_folder

GOAL_S = 15.0
GOAL_BYTES = 1_500_000_000
TRANSFERS, ADDRESSES = 10_000_000, 200_000
FOLDER = Path(".cache/bench/diligence")
START, DAYS = 1_672_531_200, 730
TOKEN, MONEY = "0x" + "70" * 20, "0x" + "d0" * 20
# Ids of those who play a part; all others hold and pay.
SERVICE, DISTRIBUTOR, EXCHANGE, TEAM, FIRST = 1, 2, 3, 4, 5
PAID_PART = 10
"""One transfer in so many is of the stablecoin."""

ABOUT = """\
token = "{token}"
name = "a market from a seed"
decimals = 18
[payments]
contracts = ["{service}"]
[[payments.currencies]]
address = "{money}"
decimals = 6
symbol = "USD"
usd = 1.0
[holders]
promise = "fees go to holders"
distributors = ["{distributor}"]
[people]
team = ["{team}"]
[labels]
"{exchange}" = "exchange"
"""


@njit(cache=True)
def _trade(rng, count, people):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Moves of a token in units of 10**9; nobody gives what he has not."""
    source = np.zeros(count, np.int32)
    target = np.zeros(count, np.int32)
    amount = np.zeros(count, np.int64)
    held = np.zeros(people, np.int64)
    for row in range(count):
        if row < 100:
            giver, taker, much = 0, FIRST + row, np.int64(10**16)
        else:
            # Who got lately gives: so some hold for hours, and some for ever.
            back = min(row, int(rng.pareto(0.6) * 50) + 1)
            giver = target[row - back]
            if held[giver] == 0:
                giver = FIRST + rng.integers(0, 100)
            taker = EXCHANGE
            if rng.random() > 0.1:
                taker = FIRST + int((people - FIRST) * rng.random() ** 3)
            if taker == giver:
                taker = EXCHANGE if giver != EXCHANGE else FIRST
            part = rng.random()
            much = held[giver] if part > 0.7 else max(np.int64(1), np.int64(held[giver] * part))
            much = min(much, held[giver])
        if giver:
            held[giver] -= much
        held[taker] += much
        source[row], target[row], amount[row] = giver, taker, much
    return source, target, amount


@njit(cache=True)
def _pay(rng, count, people):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Moves of money: people top up, pay the service, and it pays holders; some pay themselves."""
    source = np.zeros(count, np.int32)
    target = np.zeros(count, np.int32)
    amount = np.zeros(count, np.int64)
    held = np.zeros(people, np.int64)
    for row in range(count):
        kind = rng.random()
        giver, taker, much = 0, EXCHANGE, np.int64(10**13)
        payer = FIRST + int((people - FIRST) * rng.random() ** 4)
        if row > 0 and (held[payer] < 10**6 or kind < 0.2):
            giver, taker, much = EXCHANGE, payer, np.int64(10**7 + rng.integers(0, 5 * 10**7))
        elif row > 0 and kind < 0.85:
            giver, taker = payer, SERVICE
            much = np.int64(5 * 10**5 + rng.integers(0, 5 * 10**5))
        elif row > 0 and kind < 0.95:
            giver, taker, much = SERVICE, DISTRIBUTOR, held[SERVICE] // 10
        elif row > 0:
            giver, taker, much = DISTRIBUTOR, payer, held[DISTRIBUTOR] // 100
        if giver and held[giver] < much:
            giver, taker, much = 0, EXCHANGE, np.int64(10**13)
        if giver:
            held[giver] -= much
        held[taker] += much
        source[row], target[row], amount[row] = giver, taker, much
    return source, target, amount


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def make_market(folder: Path, transfers: int, addresses: int) -> None:
    """Write the facts and what is said of the token."""
    table = _rng(4).integers(0, 256, (addresses, 20), dtype=np.uint8)
    table[0] = 0
    known = Addresses(table)
    paid = transfers // PAID_PART
    held = {
        TOKEN: _table(TOKEN, known, _trade(_rng(1), transfers - paid, addresses), scale=10**9),
        MONEY: _table(MONEY, known, _pay(_rng(2), paid, addresses), scale=1),
    }
    end = START + DAYS * 86_400
    head = Head((end - START) // 12 + 1, end)
    whole = Coverage(0, head.block, complete=True)
    facts = Facts(Memory(chain_id=1, newest=head, held=held, covered=dict.fromkeys(held, whole)))
    folder.mkdir(parents=True)
    write_folder(facts, folder / "facts")
    people = {"service": SERVICE, "distributor": DISTRIBUTOR, "exchange": EXCHANGE, "team": TEAM}
    said = {name: known[number] for name, number in people.items()}
    (folder / "about.toml").write_text(ABOUT.format(token=TOKEN, money=MONEY, **said))


def _table(token: str, known: Addresses, moves: tuple, scale: int) -> Transfers:  # type: ignore[type-arg]
    source, target, amount = moves
    count = len(source)
    time_of = np.sort(_rng(3).integers(START, START + DAYS * 86_400, count))
    block = (time_of - START) // 12
    time_of = START + block * 12
    place = np.arange(count, dtype=np.int64)
    first = np.maximum.accumulate(np.where(np.diff(block, prepend=-1) > 0, place, 0))
    log = (place - first).astype(np.int32)
    low, high = amount.astype(np.uint64), np.zeros(count, np.uint64)
    if scale > 1:
        part, rest = low >> np.uint64(32), low & np.uint64(2**32 - 1)
        bottom, top = rest * np.uint64(scale), part * np.uint64(scale)
        low = bottom + (top << np.uint64(32))
        high = (top >> np.uint64(32)) + (low < bottom)
    limbs = np.zeros((count, 4), np.uint64)
    limbs[:, 0], limbs[:, 1] = low, high
    return Transfers(
        token, known, block.astype(np.int64), time_of.astype(np.int64), log, log.copy(),
        source, target, Amounts.from_limbs(limbs),
    )  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """What a process took, and its JSON."""

    wall_s: float
    busy_s: float
    most_bytes: int
    told: Any


def run(folder: Path) -> Ran:
    """Run the command on a market, to its end."""
    command = [
        sys.executable, "-m", "tessera.cli", "diligence", str(folder / "about.toml"),
        "--facts", str(folder / "facts"), "--json",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        child = subprocess.Popen(command, stdout=out)
        # Of this child alone; and this process stays small, as a child is counted from its fork on.
        _, status, used = os.wait4(child.pid, 0)
        took = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if child.returncode:
            raise SystemExit(out.read().decode())
        told = json.load(out)
    return Ran(took, used.ru_utime + used.ru_stime, used.ru_maxrss * 1_024, told)


def main() -> int:
    """Make the market where there is none, run, print, and say whether the goals are met."""
    options = argparse.ArgumentParser()
    options.add_argument("--transfers", type=int, default=TRANSFERS)
    options.add_argument("--addresses", type=int, default=ADDRESSES)
    options.add_argument("--make", type=Path, help="only write a market there")
    given = options.parse_args()
    if given.make is not None:
        make_market(given.make, given.transfers, given.addresses)
        return 0
    sizes = ((20_000, 2_000), (given.transfers, given.addresses))
    places = [FOLDER / f"{transfers}-{addresses}" for transfers, addresses in sizes]
    for place, (transfers, addresses) in zip(places, sizes, strict=True):
        if not place.exists():
            print(f"making {transfers:,} transfers", flush=True)
            made = [sys.executable, "-m", "bench.diligence", "--make", str(place)]
            made += ["--transfers", str(transfers), "--addresses", str(addresses)]
            subprocess.run(made, check=True)
    small = run(places[0])
    print(f"first report, of a small market, with what is compiled once: {small.wall_s:.1f} s")
    ran = run(places[1])
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}"
    )
    for part, seconds in sorted(ran.told["seconds"].items(), key=lambda each: -each[1]):
        print(f"  {seconds:7.2f} s  {part}")
    for failure in ran.told["failures"]:
        print(f"  not done: {failure['part']}: {failure['text']}")
    print(
        f"report on {given.transfers:,} transfers of {given.addresses:,} addresses: "
        f"{ran.wall_s:.1f} s of {GOAL_S:.0f} ({ran.busy_s:.1f} s of processor time), "
        f"{ran.most_bytes / 1e9:.2f} GB of {GOAL_BYTES / 1e9:.1f}"
    )
    print(f"verdict {ran.told['verdict']}: {ran.told['summary']}")
    met = ran.wall_s <= GOAL_S and ran.most_bytes <= GOAL_BYTES and not ran.told["failures"]
    print("goals met" if met else "GOALS MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
