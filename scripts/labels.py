"""Make src/tessera/diligence/labels.csv from the labels that are published under the MIT licence.

    .venv/bin/python scripts/labels.py address_labels.parquet

The source calls a token of an exchange an exchange and a bridged token a bridge; a token holds
nothing for anybody, so names that end in a symbol are left out, and so are stakers, who are no
staking contracts. Pools are left out because they say themselves what they are.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import polars as pl

CHAINS = {
    "any": 0, "ethereum": 1, "optimism": 10, "bsc": 56, "polygon": 137, "fantom": 250,
    "arbitrum": 42161, "avalanche": 43114,
}  # fmt: skip
TOKEN = re.compile(r"\([^()]{1,16}\)\s*$|^any[A-Z]|\btoken\b", re.IGNORECASE)
NO_CUSTODY = re.compile(
    r"\b(deployer|factory|router|registry|proxy admin|implementation|old|fee|sale|crowdsale)\b",
    re.IGNORECASE,
)
GENERIC = {
    "exchange", "hot-wallet", "cold-wallet", "old-contract", "derivatives", "otc", "bridge",
    "fiat-gateway", "dex", "defi", "staking", "yield-farming", "website-down", "multisig",
}  # fmt: skip


def owner_of(name: str, labels: str) -> str:
    """Return whose it is: the part of the name before a colon or number, else the label."""
    first = re.split(r"[:#(]|\s\d", name)[0].strip().lower()
    if first:
        return re.sub(r"[^a-z0-9]+", "-", first).strip("-")
    return next((label for label in labels.split("|") if label not in GENERIC), "")


def class_of(klass: str, name: str, labels: str) -> str | None:
    """Return the class that our table has for a row of the source, None for none."""
    named = set(labels.split("|"))
    if klass == "burn":
        return "burn" if labels in {"burn", "burn-address"} or "burn" in name.lower() else None
    if not name or TOKEN.search(name) or NO_CUSTODY.search(name):
        return None
    if "tornado-cash" in named:
        return "mixer" if "governance" not in name.lower() and "team" not in name.lower() else None
    if re.search(r"\bvesting\b", name, re.IGNORECASE):
        return "vesting"
    if klass == "exchange":
        return None if "dex" in named or "treasury" in name.lower() else "exchange"
    if klass == "bridge":
        return "bridge" if "bridge" in named and "bridged-token" not in named else None
    if klass == "staking":
        return (
            "staking" if re.search(r"\b(staking|pool|masterchef)\b", name, re.IGNORECASE) else None
        )
    if re.search(r"\b(treasury|team wallet)\b", name, re.IGNORECASE):
        return "team"
    return None


def main(source: str) -> None:
    """Write the file."""
    rows = set()
    table = pl.read_parquet(source)
    for chain, address, name, labels, origin, klass in table.select(
        "chain", "address", "name", "labels", "source", "klass"
    ).iter_rows():
        found = class_of(klass, name or "", labels or "")
        if found and address and (origin.startswith("brianleect") or origin == "manual"):
            rows.add((CHAINS[chain], address.lower(), found, owner_of(name, labels), name))
    target = Path(__file__).parent.parent / "src/tessera/diligence/labels.csv"
    with target.open("w", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(["chain", "address", "class", "owner", "name"])
        writer.writerows(sorted(rows))
    sys.stdout.write(f"{len(rows)} labels\n")


if __name__ == "__main__":
    main(sys.argv[1])
