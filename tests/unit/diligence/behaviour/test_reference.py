"""The specification's traps, on real contracts; runs where the reference data is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tessera.diligence.behaviour.examining import Examination, examine
from tessera.diligence.behaviour.ground import Given
from tessera.diligence.behaviour.verdicts import Caveat, Kind, Verdict

FOLDER = os.environ.get("TESSERA_REFERENCE_DATA")
ADDRESS = "0x" + "51" * 20

pytestmark = pytest.mark.skipif(not FOLDER, reason="TESSERA_REFERENCE_DATA names no folder")


def _examined(name: str) -> Examination:
    import polars as pl

    table = pl.read_parquet(Path(FOLDER or "") / "contract_bytecode.parquet")
    row = table.filter(pl.col("name") == name).row(0, named=True)
    code = bytes.fromhex(row["runtime_bytecode"].removeprefix("0x"))
    return examine(Given({ADDRESS: code}), ADDRESS)


def test_a_crowdsale_token_pays_by_a_name_that_no_pattern_knows() -> None:
    decision = _examined("CrowdsaleToken").decision
    assert decision.verdict is Verdict.CODED_PRORATA
    assert decision.payout is not None
    assert decision.payout.claim.name == "fetchProfit()"
    assert decision.payout.feed is not None
    assert decision.payout.feed.name == "loadProfit()"
    # No snapshot: transfer and claim again. And the owner takes back what nobody fetched.
    assert {Caveat.TWICE, Caveat.CLAWBACK, Caveat.FUNDING_GATED} <= set(decision.caveats)
    assert any(gate.startswith("fetchUndistributedProfit()") for gate in decision.gates)


@pytest.mark.parametrize(
    ("name", "verdict", "kind"),
    [
        ("PaymentSplitter", Verdict.CODED_PRORATA, Kind.SPLITTER),
        ("StakingRewards", Verdict.CODED_PRORATA, Kind.STAKING),
        ("DFRewards", Verdict.CODED_DISCRETIONARY, Kind.OPERATOR_LIST),
        ("VestingWallet", Verdict.NONE, Kind.VESTING),
        ("WBTC", Verdict.NONE, Kind.NONE),
        ("TCASH", Verdict.NONE, Kind.AIRDROP),
    ],
)
def test_designs_are_told_apart(name: str, verdict: Verdict, kind: Kind) -> None:
    decision = _examined(name).decision
    assert (decision.verdict, decision.kind) == (verdict, kind)


def test_what_owners_of_known_tokens_can_do_is_found() -> None:
    """Tether can be minted, paused and a holder frozen; wrapped bitcoin minted and paused."""
    tether, bitcoin = _examined("TetherToken").safety, _examined("WBTC").safety
    assert (tether.mintable, tether.pausable, tether.blacklist) == (True, True, True)
    assert (bitcoin.mintable, bitcoin.pausable, bitcoin.blacklist) == (True, True, False)
    assert not tether.anybody_mints
    assert not bitcoin.anybody_mints
