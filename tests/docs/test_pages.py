"""What the pages say of each other, of tests, of commands and of numbers is there."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from tessera.cli.commands import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(page for page in ROOT.glob("*.md") if page.name != "CHANGELOG.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "bench" / "README.md",
        ROOT / "tests" / "README.md",
    ]
)
OURS = [
    page for page in PAGES if page.parent.name == "explain" or re.match(r"001\d-|status", page.name)
]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PROTOCOL = ROOT / "docs" / "explain" / "protocol.md"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


@functools.cache
def promises_of_contracts() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for source in (ROOT / "src/tessera/contracts").glob("*.vy"):
        for line in re.findall(r"@custom:invariant (.*)", source.read_text(encoding="utf-8")):
            for promise in re.split(r",\s*", line.strip()):
                found.setdefault(promise, set()).add(source.stem)
    return found


@functools.cache
def names_of_tests() -> set[str]:
    """Names of test files, of the functions in them, and of the rules of state machines."""
    names = set()
    for file in (ROOT / "tests").rglob("*.py"):
        names.add(file.name)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
    return names


def test_the_promises_of_the_page_are_those_of_the_contracts() -> None:
    table = prose(PROTOCOL).split("## The promises", 1)[1]
    told = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert told == set(promises_of_contracts())


def test_each_contract_is_told_with_its_promises() -> None:
    table = prose(PROTOCOL).split("## The contracts", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (\w+) \| [^|]* \|([^|]*)\|$", table, re.MULTILINE)
    told = {contract: set(re.findall(r"`(\w+)`", promises)) for contract, promises in rows}
    told.pop("contract", None)
    written: dict[str, set[str]] = {name: set() for name in told}
    for promise, contracts in promises_of_contracts().items():
        for contract in contracts:
            written[contract].add(promise)
    assert told == written
    assert set(told) == {file.stem for file in (ROOT / "src/tessera/contracts").glob("*.vy")}


def test_the_status_page_names_each_contract() -> None:
    status = prose(ROOT / "docs" / "status.md").split("- **Contracts:**", 1)[1].split("\n- ", 1)[0]
    for file in (ROOT / "src/tessera/contracts").glob("*.vy"):
        assert re.search(rf"\b{file.stem}\b", status) or file.stem == "TestDollar", file.stem


@pytest.mark.parametrize("page", OURS, ids=name_of)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`(test_\w+(?:\.py)?)`", prose(page)))
    assert not named - names_of_tests()


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    page = ROOT / "docs" / "explain" / "glossary.md"
    words = re.findall(r"^\| \*\*([^*]+)\*\* \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(words) > 40
    assert words == sorted(set(words), key=str.lower)


def test_the_reference_pages_are_what_the_program_says() -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


NUMBER = r"\b\d{1,3}(?:,\d{3})+\b"
# What the EVM itself charges, and counts that are no gas.
NOT_MEASURED = {"21,000", "22,100", "5,000", "2,100", "2,600", "3,000", "10,000", "15,000", "4,500"}


def test_every_figure_of_the_gas_page_is_one_that_was_measured() -> None:
    figures = set(re.findall(NUMBER, (ROOT / "bench" / "figures.md").read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "explain" / "gas.md").read_text(encoding="utf-8")
    assert not set(re.findall(NUMBER, page)) - figures - NOT_MEASURED


def test_every_figure_of_an_epoch_is_one_that_was_measured() -> None:
    measured = (ROOT / "bench" / "epochs.md").read_text(encoding="utf-8")
    for page in ("docs/explain/epochs.md", "docs/adr/0070-results-of-epochs.md"):
        told = set(re.findall(NUMBER, (ROOT / page).read_text(encoding="utf-8")))
        # What is no gas of ours: round estimates, and numbers of models.
        exact = {number for number in told if not number.endswith(",000")} - {"4,096"}
        assert exact, page
        assert not exact - set(re.findall(NUMBER, measured)), page


def test_every_figure_of_a_decision_is_one_that_was_measured() -> None:
    """Where it cites `bench`: what a whole transaction costs, not the differences."""
    figures = set(re.findall(NUMBER, (ROOT / "bench" / "figures.md").read_text(encoding="utf-8")))
    stale = {}
    for page in sorted((ROOT / "docs" / "adr").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if "`bench/" in text:
            # 33,000 is what two transfers of tokens cost at least, on any exchange.
            told = {number for number in re.findall(NUMBER, text) if len(number) > len("9,999")}
            stale[page.name] = told - figures - NOT_MEASURED - {"33,000"}
    assert len(stale) > 3
    assert not {name: numbers for name, numbers in stale.items() if numbers}


def test_the_gas_table_of_the_readme_is_one_that_was_measured() -> None:
    figures = set(re.findall(NUMBER, (ROOT / "bench" / "figures.md").read_text(encoding="utf-8")))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- gas -->", 1)[1].split("\n\n", 2)[1]
    numbers = set(re.findall(NUMBER, table))
    assert len(numbers) > 10
    assert not numbers - figures


def test_the_page_says_truly_from_how_many_vouchers_on_ours_is_cheaper() -> None:
    text = (ROOT / "bench" / "figures.md").read_text(encoding="utf-8")

    def warm(row: str) -> int:
        found = re.search(rf"^{row}.*?\| ([\d,]+) \|", text, re.MULTILINE)
        assert found is not None, row
        return int(found[1].replace(",", ""))

    one, hundred = "settle one voucher", "settle 100 vouchers of one asset, per voucher"
    ours, theirs = "Tessera `Channels.settle`", "SingularityNET MPE"
    cost = {}
    for who in (ours, theirs):
        alone, each = warm(rf"\| {one} \| {who}"), warm(rf"\| {hundred} \| {who}")
        more = (each * 100 - alone) / 99
        cost[who] = [alone + more * further for further in range(100)]
    cheaper = next(n for n in range(100) if cost[ours][n] < cost[theirs][n]) + 1
    ordinals = {6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth", 10: "tenth"}
    page = (ROOT / "docs" / "explain" / "gas.md").read_text(encoding="utf-8")
    assert f"From the {ordinals[cheaper]} voucher in a settlement on" in page


def commands_of(page: Path) -> Iterator[list[str]]:
    """Each `tessera ...` of a page, in blocks and in the text, as words."""
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(body for kind, body in FENCE.findall(text) if kind in ("console", "sh"))
    blocks = blocks.replace("\\\n> ", "")
    for line in re.findall(r"^(?:\$ )?(tessera .*)$", blocks, re.MULTILINE):
        yield shlex.split(line, comments=True)[1:]
    for code in re.findall(r"`(tessera [^`]+)`", prose(page)):
        yield code.split()[1:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_flag_that_a_page_names_exists(page: Path) -> None:
    unknown = []
    program: Any = typer.main.get_command(app)
    for words in commands_of(page):
        command = program
        for word in words:
            inner = getattr(command, "commands", None)
            if word.startswith("--"):
                flags = {flag for option in command.params for flag in option.opts}
                flags |= {flag for option in command.params for flag in option.secondary_opts}
                if word.split("=")[0] not in flags | {"--help"}:
                    unknown.append(" ".join(words))
            elif inner is not None:
                try:
                    # As the program does: a number may stand for a command of its own.
                    _, command, _ = command.resolve_command(click.Context(command), [word])
                except click.UsageError:
                    # `tessera ...` stands for any command.
                    if word not in ("...", "…"):
                        unknown.append(" ".join(words))
                    break
    assert not unknown


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"(?:`|^(?:\$ )?)make ([a-z][a-z-]*)", text, re.MULTILINE)
        assert not set(named) - targets, name_of(page)


def test_the_map_of_the_readme_has_every_room_and_folder() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("## The tree", 1)[1].split("```", 2)[1]
    rooms = {
        folder.name
        for folder in (ROOT / "src" / "tessera").iterdir()
        if folder.is_dir() and not folder.name.startswith("_")
    }
    named = set(re.findall(r"^\s+([a-z_.]+)/?\s", shown, re.MULTILINE))
    assert not rooms - named
    folders = set(re.findall(r"^([a-z.]+)/", shown, re.MULTILINE))
    assert {"src", "tests", "bench", "docs", "scripts", "locks"} <= folders
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_the_licence_of_the_readme_is_that_of_the_package() -> None:
    licence = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert licence in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_demo_table_of_the_readme_adds_up_to_the_last_unit() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- demo -->", 1)[1].split("```", 2)[1]
    rows = {
        name.strip(): [int(cell.replace(".", "")) for cell in cells.split()]
        for name, cells in re.findall(r"^(\S.*?)\s{2,}((?:\d+\.\d{6}\s*)+)$", table, re.MULTILINE)
    }
    paid = ("settled by vouchers", "income at the Till")
    parts = (
        "network fee: commons",
        "network fee: validators",
        "operator's cut",
        "royalties to parents",
        "holders",
        "left over",
    )
    for column in range(5):
        gross = rows["gross"][column]
        assert sum(rows[name][column] for name in paid) == gross
        assert sum(rows[name][column] for name in parts) == gross
        streamed = rows["holders"][column] + rows["royalties from children"][column]
        assert rows["streamed to holders"][column] == streamed
    claimed = [
        cells[-1]
        for name, cells in rows.items()
        if name.startswith(
            ("providers", "lockers", "consumer-", "contributor", "holder-", "publisher-", "dust")
        )
    ]
    assert sum(claimed) == rows["streamed to holders"][-1]
