"""From the bytes of a `tessera.toml` that nobody vouches for to a `Manifest`, or all its faults."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlsplit

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion
from packaging.version import Version as PackageVersion

from tessera.assets.fields import Table, shown
from tessera.assets.manifest import (
    MANIFEST_NAME,
    MAX_CONTRIBUTORS,
    MAX_PARENTS,
    Benchmark,
    Contributor,
    Evidence,
    Field,
    Kind,
    Licence,
    Limits,
    Manifest,
    OnnxRunner,
    Option,
    Package,
    Parent,
    Price,
    Provenance,
    PythonRunner,
    Role,
    Runner,
    Task,
    UpstreamRunner,
)
from tessera.assets.references import (
    SlugReference,
    is_address,
    label_fault,
    parse_reference,
    slug_fault,
)
from tessera.assets.refusals import BundleInvalid, Problem
from tessera.errors import InputError, did_you_mean
from tessera.spec.prices import MAX_PRICE
from tessera.units import BPS, Bps, Units, format_amount, parse_amount

__all__ = ["CURRENCY_DECIMALS", "MAX_MANIFEST_BYTES", "read_manifest"]

MAX_MANIFEST_BYTES = 64 * 1024
"""Largest `tessera.toml`; long texts belong into files of their own."""
CURRENCY_DECIMALS = 6
"""Decimals of the currency where the caller does not know better."""

_MAX_KEY_PARTS = 16
# The standard reader takes time quadratic in the parts of a dotted name: 80 kB of `a.a.a` take it
# half a minute. Possessive quantifiers keep this look itself linear.
_KEY_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(
    rf"(?<![A-Za-z0-9_\-]){_KEY_PART}(?:[ \t]*+\.[ \t]*+{_KEY_PART}){{{_MAX_KEY_PARTS}}}"
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", re.ASCII)
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

_RUNNERS = ("onnx", "python", "upstream")
_COMMON_LICENCES = (
    "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "GPL-2.0-only",
    "GPL-3.0-only", "GPL-3.0-or-later", "LGPL-3.0-or-later", "AGPL-3.0-or-later", "Unlicense",
    "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "ODbL-1.0", "PDDL-1.0",
)  # fmt: skip


def read_manifest(
    text: bytes, *, bundle: str = "bundle", decimals: int = CURRENCY_DECIMALS
) -> Manifest:
    """Read a manifest; the files it names are not looked at.

    Parameters
    ----------
    text
        Contents of `tessera.toml`.
    bundle
        What to call the bundle in messages.
    decimals
        Of the currency that prices are in.

    Raises
    ------
    BundleInvalid
        With every problem found.
    """
    problems: list[Problem] = []
    manifest = parse_manifest(text, problems, decimals=decimals)
    if manifest is None or problems:
        raise BundleInvalid(bundle, problems)
    return manifest


def parse_manifest(text: bytes, problems: list[Problem], *, decimals: int) -> Manifest | None:
    """Read a manifest as far as possible, noting problems.

    Returns
    -------
    Manifest or None
        None when it is no TOML at all. With problems noted, wrong values are replaced by harmless
        ones: good for finding more problems, and for nothing else.
    """
    values = _parse_toml(text, problems)
    if values is None:
        return None
    return _manifest(Table(values, MANIFEST_NAME, problems), decimals)


def _parse_toml(text: bytes, problems: list[Problem]) -> dict[str, object] | None:
    def refuse(found: str, wanted: str, next_step: str = "", place: str = "") -> None:
        problems.append(Problem(f"{MANIFEST_NAME}{place}", found, wanted, next_step))

    if len(text) > MAX_MANIFEST_BYTES:
        refuse(
            f"{len(text)} bytes",
            f"at most {MAX_MANIFEST_BYTES}",
            "move long texts into files of the bundle",
        )
        return None
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        refuse("bytes that are no UTF-8", "UTF-8 text", "save it as UTF-8", f": line {line}")
        return None
    long_key = _LONG_KEY.search(decoded)
    if long_key is not None:
        line = decoded.count("\n", 0, long_key.start()) + 1
        refuse(
            f"a name of more than {_MAX_KEY_PARTS} dotted parts",
            "short names",
            "",
            f": line {line}",
        )
        return None
    try:
        return tomllib.loads(decoded, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _SYNTAX_PLACE.search(message)
        where = ""
        if place is not None:
            message = message[: place.start()]
            last = decoded.rstrip("\n").count("\n") + 1
            where = (
                f": line {place[1]}, column {place[2]}" if place[1] else f": line {last} (the end)"
            )
        refuse(f"broken TOML ({message})", "valid TOML", "mend this line", where)
    except RecursionError:
        refuse("values nested too deeply", "a few levels at most")
    except (ValueError, ArithmeticError):
        # Integers beyond Python's limit of digits, decimals beyond its exponents, impossible dates.
        refuse("a number or date that cannot be read", "numbers of ordinary size and real dates")
    return None


def _manifest(top: Table, decimals: int) -> Manifest:
    name = top.text("name", required=True, fault=slug_fault)
    title = top.text("title", required=True, longest=120)
    description = top.text("description", longest=4_000, lines=True)
    kind = top.choice("kind", Kind, Kind.MODEL)
    version = top.text("version", required=True, fault=label_fault)
    licence = _licence(top)
    exclude = top.texts("exclude", longest=256)
    manifest = Manifest(
        name=name,
        title=title,
        kind=kind,
        version=version,
        licence=licence,
        description=description,
        runner=_runner(top, kind),
        inputs=_fields(top, "inputs"),
        outputs=_fields(top, "outputs"),
        price=_price(top, decimals),
        contributors=_contributors(top),
        parents=_parents(top, name),
        benchmark=_section(top, "benchmark", _benchmark),
        provenance=_section(top, "provenance", _provenance),
        hashes=_hashes(top),
        exclude=exclude,
    )
    top.finish()
    return manifest


def _licence(top: Table) -> Licence:
    value = top.raw("licence")
    if isinstance(value, dict):
        table = top.table("licence")
        assert table is not None
        spdx = table.text("spdx")
        licence = Licence(
            spdx=_spdx(table, "spdx", spdx) if spdx else None, file=table.path("file")
        )
        if not value:
            table.note("", "an empty table", "spdx, file, or both")
        table.finish()
        return licence
    if isinstance(value, str):
        return Licence(spdx=_spdx(top, "licence", top.text("licence")))
    found = "nothing" if value is None else shown(value)
    top.note(
        "licence",
        found,
        'an SPDX expression such as "Apache-2.0", or { file = "LICENSE.txt" }',
        "" if top.has("licence") else "add the key",
    )
    return Licence()


def _spdx(table: Table, key: str, text: str) -> str | None:
    if not text:
        return None
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        near = did_you_mean(text, _COMMON_LICENCES)
        table.note(
            key,
            shown(text),
            "an SPDX expression (LicenseRef-… for a licence of your own)",
            near or "look the identifier up in the SPDX list, or give { file = … }",
        )
        return None


def _runner(top: Table, kind: Kind) -> Runner | None:
    needed = kind in (Kind.MODEL, Kind.SERVICE, Kind.WORKFLOW)
    table = top.table("runner", required=needed)
    if table is None:
        return None
    task = table.choice("task", Task, Task.PREDICT)
    limits = _limits(table)
    options = _options(table)
    which = table.raw("kind")
    runner: Runner | None = None
    match which:
        case "onnx":
            file = table.path("file", required=True) or ""
            runner = OnnxRunner(task, file, table.paths("files"), limits, options)
        case "python":
            runner = PythonRunner(
                task,
                table.path("file", required=True) or "",
                table.text("callable", required=True, fault=_callable_fault),
                _packages(table),
                table.paths("files"),
                limits,
                options,
            )
        case "upstream":
            runner = UpstreamRunner(
                task,
                table.text("url", required=True, longest=2_000, fault=_url_fault),
                table.text("model", required=True),
                limits,
                options,
            )
        case _:
            near = did_you_mean(which, _RUNNERS) if isinstance(which, str) else ""
            table.note("kind", shown(which), f"one of {', '.join(_RUNNERS)}", near)
            # Which other keys belong here depends on the kind, so they are not judged.
            return None
    table.finish()
    return runner


def _callable_fault(text: str) -> str | None:
    return None if _IDENTIFIER.fullmatch(text) else "the name of a function in the file"


def _url_fault(text: str) -> str | None:
    wanted = "an http or https URL without a user name, password, query or fragment"
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return wanted
    good = url.scheme in ("http", "https") and url.hostname and "@" not in url.netloc
    return None if good and not url.query and not url.fragment and " " not in text else wanted


def _limits(runner: Table) -> Limits:
    table = runner.table("limits")
    if table is None:
        return Limits()
    limits = Limits(
        memory_mb=table.integer("memory_mb", low=16, high=1 << 20, default=1024, unit="MiB"),
        timeout_s=table.integer("timeout_s", low=1, high=3_600, default=30, unit="seconds"),
    )
    table.finish()
    return limits


def _options(runner: Table) -> dict[str, Option]:
    table = runner.table("options")
    options: dict[str, Option] = {}
    for key in table.keys() if table is not None else ():
        assert table is not None
        value = table.raw(key)
        match value:
            case str() | bool() | int() | Decimal():
                options[key] = value
            case list() if all(isinstance(each, str | bool | int | Decimal) for each in value):
                options[key] = tuple(value)
            case _:
                table.note(key, shown(value), "a text, number, true or false, or a list of these")
    return options


def _packages(runner: Table) -> tuple[Package, ...]:
    packages: list[Package] = []
    seen: set[str] = set()
    for table in runner.tables("packages", most=200):
        name = table.text("name", required=True, fault=_package_fault)
        version = table.text("version", required=True, fault=_exact_version_fault)
        hashes = table.sha256s("sha256")
        table.finish()
        normal = str(canonicalize_name(name))
        if name and normal in seen:
            table.note("name", f"{name!r} a second time", "each package once", "remove one")
        seen.add(normal)
        packages.append(Package(normal, version, hashes))
    return tuple(packages)


def _package_fault(text: str) -> str | None:
    return None if _PACKAGE.fullmatch(text) else "the name of a Python package"


def _exact_version_fault(text: str) -> str | None:
    try:
        PackageVersion(text)
    except InvalidVersion:
        return "one exact version such as 1.2.3, without == or ranges"
    return None


def _fields(top: Table, key: str) -> tuple[Field, ...]:
    fields: list[Field] = []
    for table in top.tables(key, most=64):
        fields.append(
            Field(
                name=table.text("name", required=True, longest=64),
                type=table.text("type", required=True, longest=64),
                shape=table.integers("shape", low=-1, high=1 << 31, most=8),
                description=table.text("description", longest=1_000, lines=True),
                unit=table.text("unit", longest=64),
            )
        )
        table.finish()
        if [field.name for field in fields].count(fields[-1].name) > 1:
            table.note("name", f"{fields[-1].name!r} a second time", "each name once")
    return tuple(fields)


def _price(top: Table, decimals: int) -> Price:
    table = top.table("price", required=True)
    if table is None:
        return Price()
    price = Price(
        per_call=_amount(table, "per_call", decimals),
        per_1k_input=_amount(table, "per_1k_input", decimals),
        per_1k_output=_amount(table, "per_1k_output", decimals),
    )
    if not table.keys():
        table.note("", "an empty table", 'at least one price, such as per_call = "0.001"')
    table.finish()
    return price


def _amount(table: Table, key: str, decimals: int) -> Units:
    value = table.raw(key)
    if value is None:
        return Units(0)
    if isinstance(value, str):
        try:
            amount = parse_amount(value, decimals=decimals, thing=key)
        except InputError as error:
            table.note(key, shown(value), error.wanted or "an amount")
        else:
            if amount <= MAX_PRICE:
                return amount
            most = format_amount(MAX_PRICE, decimals=decimals)
            table.note(key, shown(value), f"{most} or less, as the Registry keeps prices")
    else:
        # A bare number is a binary fraction to most readers, and no price should depend on one.
        fix = f'write "{value}"' if isinstance(value, int | Decimal) else ""
        fix = "" if isinstance(value, bool) or len(fix) > 40 else fix
        table.note(key, shown(value), 'a decimal amount in quotes, such as "0.001"', fix)
    return Units(0)


def _contributors(top: Table) -> tuple[Contributor, ...]:
    people: list[Contributor] = []
    seen: set[tuple[str, Role]] = set()
    noted = top.noted
    for table in top.tables("contributors", most=MAX_CONTRIBUTORS):
        account = table.text("account", fault=_account_fault) or None
        name = table.text("name", longest=120) or None
        if not table.has("account") and not table.has("name"):
            table.note("", "neither account nor name", "an account, a name, or both")
        role = table.choice("role", Role, Role.CODE)
        weight = table.integer("weight", low=1, high=BPS, unit="hundredths of a percent")
        evidence = _section(table, "evidence", _evidence) or Evidence()
        table.finish()
        who = account.lower() if account else name
        if who is not None and table.has("role") and (who, role) in seen:
            table.note(
                "",
                f"{account or name} a second time as {role.name.lower()}",
                "each contributor once per role",
                "add the weights up in one entry",
            )
        seen.add((who or "", role))
        people.append(Contributor(role, Bps(weight), account, name, evidence))
    total = sum(person.weight for person in people)
    # A sum over weights that could not be read would only confuse.
    if people and total != BPS and top.noted == noted:
        over = total > BPS
        top.note(
            "contributors",
            f"weights that add up to {total}",
            f"{BPS} (weights are hundredths of a percent of the whole)",
            f"{'take away' if over else 'give out'} {abs(total - BPS)}",
        )
    return tuple(people)


def _account_fault(text: str) -> str | None:
    return None if is_address(text) else "an address: 0x and 40 hex digits with a right checksum"


def _parents(top: Table, own: str) -> tuple[Parent, ...]:
    parents: list[Parent] = []
    for table in top.tables("parents", most=MAX_PARENTS):
        text = table.text("asset", required=True, fault=_reference_fault)
        royalty = table.integer("royalty_bps", low=0, high=BPS, unit="hundredths of a percent")
        table.finish()
        asset = parse_reference(text) if text else SlugReference("none")
        if isinstance(asset, SlugReference) and asset.slug == own:
            table.note("asset", f"this very asset, {text}", "another asset", "remove the entry")
        if text and any(str(asset).lower() == str(parent.asset).lower() for parent in parents):
            table.note("asset", f"{text} a second time", "each parent once", "remove one")
        parents.append(Parent(asset, Bps(royalty)))
    total = sum(parent.royalty for parent in parents)
    if total > BPS:
        top.note(
            "parents",
            f"royalties that add up to {total}",
            f"at most {BPS} (all of it)",
            f"take away {total - BPS}",
        )
    return tuple(parents)


def _reference_fault(text: str) -> str | None:
    try:
        parse_reference(text)
    except InputError as error:
        return error.wanted
    return None


Section = TypeVar("Section")


def _section(top: Table, key: str, read: Callable[[Table], Section]) -> Section | None:
    table = top.table(key)
    if table is None:
        return None
    section = read(table)
    table.finish()
    return section


def _benchmark(table: Table) -> Benchmark:
    return Benchmark(
        name=table.text("name", required=True),
        metric=table.text("metric", required=True, longest=64),
        value=table.number("value"),
        data=_evidence(table),
    )


def _provenance(table: Table) -> Provenance:
    return Provenance(
        training_log=table.path("training_log"),
        data=_evidence(table),
        note=table.text("note", longest=4_000, lines=True),
    )


def _evidence(table: Table) -> Evidence:
    return Evidence(file=table.path("file"), sha256=table.sha256("sha256"))


def _hashes(top: Table) -> dict[str, bytes]:
    table = top.table("hashes")
    hashes: dict[str, bytes] = {}
    if table is None:
        return hashes
    for path in itertools.islice(table.keys(), 1_000):
        digest = table.sha256(path)
        if path == MANIFEST_NAME:
            table.note(path, "the manifest's own hash", "hashes of other files", "remove it")
        elif (checked := table.checked_path(path)) is not None and digest is not None:
            hashes[checked] = digest
    return hashes
