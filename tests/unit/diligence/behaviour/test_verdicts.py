"""Money decides, not names: each design and each scam gets the verdict that its behaviour earns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from eth_abi.abi import encode
from rig.compiling import compiled_file
from rig.engines import new_engine

from tessera.diligence.behaviour.examining import Examination, examine
from tessera.diligence.behaviour.functions import known_name
from tessera.diligence.behaviour.ground import Given, Head
from tessera.diligence.behaviour.machine import producer
from tessera.diligence.behaviour.runs import Limits
from tessera.diligence.behaviour.verdicts import Caveat, Kind, Verdict

HEAD = Head(chain_id=1, number=20_000_000, timestamp=1_718_000_000)
PAYER = Path(__file__).parent / "contracts" / "Payer.vy"
# As the contract's own constants.
HONEST, ONCE, WATCHED, ENDLESS, OWN_TOKEN, LIAR, EQUAL, SWEPT, LISTED, TAYLOR, REDEEM, HASHED = (
    range(12)
)


@pytest.fixture(scope="module")
def tried() -> Callable[[int], Examination]:
    engine = new_engine()
    creation = compiled_file(PAYER).creation_code
    watcher = "0x" + producer(HEAD.number, other=False).hex()

    def examine_trick(trick: int) -> Examination:
        arguments = encode(["uint256", "address"], [trick, watcher])
        address = engine.deploy("0x" + "ab" * 20, creation + arguments).lower()
        ground = Given({address: engine.code(address)}, head=HEAD)
        return examine(ground, address, Limits(steps=20_000))

    return examine_trick


def test_dividends_that_arrive_by_balance_are_coded_prorata(
    tried: Callable[[int], Examination],
) -> None:
    decision = tried(HONEST).decision
    assert decision.verdict is Verdict.CODED_PRORATA
    assert decision.kind is Kind.ACCUMULATOR
    assert decision.caveats == ()
    payout = decision.payout
    assert payout is not None
    assert payout.fed, "the money came in by the contract's own function"
    assert payout.amounts[0] * 7 == payout.amounts[1] * 3
    assert payout.again is True
    assert payout.twice is False
    assert payout.outsider == 0


def test_the_same_code_gets_the_same_verdict_in_the_same_words(
    tried: Callable[[int], Examination],
) -> None:
    first, second = tried(SWEPT).decision, tried(SWEPT).decision
    assert (first.verdict, first.caveats, first.reason) == (
        second.verdict,
        second.caveats,
        second.reason,
    )


def test_one_who_is_paid_the_first_time_only_is_told(tried: Callable[[int], Examination]) -> None:
    """The attacker lets everybody claim once, for the screenshots, and never again."""
    decision = tried(ONCE).decision
    assert Caveat.ONCE in decision.caveats


def test_a_contract_that_knows_the_sandbox_convinces_nobody(
    tried: Callable[[int], Examination],
) -> None:
    """The attacker pays where the block's producer is the one that this very sandbox has."""
    decision = tried(WATCHED).decision
    assert decision.verdict is Verdict.NONE
    assert "two experiments" in decision.reason


def test_hashes_of_blocks_do_not_give_the_sandbox_away(
    tried: Callable[[int], Examination],
) -> None:
    """The attacker pays where two blocks have one hash, as they never have on a chain."""
    assert tried(HASHED).decision.verdict is not Verdict.CODED_PRORATA


def test_a_claim_that_never_ends_is_unknown_and_costs_a_bounded_run(
    tried: Callable[[int], Examination],
) -> None:
    """The attacker hopes that whoever looks hangs, or calls what it could not finish harmless."""
    examination = tried(ENDLESS)
    assert examination.decision.verdict is Verdict.UNKNOWN
    assert "did not end" in examination.decision.reason


def test_pay_in_a_token_of_its_own_is_no_revenue(tried: Callable[[int], Examination]) -> None:
    assert tried(OWN_TOKEN).decision.verdict is Verdict.NONE


def test_a_view_that_promises_pays_nobody(tried: Callable[[int], Examination]) -> None:
    """`claimable` shows the right sums; `collect` clears them and sends nothing."""
    assert tried(LIAR).decision.verdict is Verdict.NONE


def test_the_same_for_everybody_is_not_pro_rata(tried: Callable[[int], Examination]) -> None:
    assert tried(EQUAL).decision.verdict is Verdict.NONE


def test_an_owner_who_can_sweep_the_money_is_named(tried: Callable[[int], Examination]) -> None:
    decision = tried(SWEPT).decision
    assert decision.verdict is Verdict.CODED_PRORATA
    assert Caveat.CLAWBACK in decision.caveats
    assert any("only the account in slot 0" in gate for gate in decision.gates)


def test_a_list_that_an_owner_keeps_is_discretion(tried: Callable[[int], Examination]) -> None:
    assert tried(LISTED).decision.verdict is Verdict.CODED_DISCRETIONARY


def test_a_function_called_distribute_that_moves_the_owners_balance_is_nothing(
    tried: Callable[[int], Examination],
) -> None:
    """TaylorToken's trap: the name promises, the code moves the owner's whole balance."""
    assert tried(TAYLOR).decision.verdict is Verdict.NONE


def test_money_for_tokens_given_up_is_a_withdrawal(tried: Callable[[int], Examination]) -> None:
    decision = tried(REDEEM).decision
    assert decision.verdict is Verdict.NONE
    assert decision.kind is Kind.CREDIT


def test_an_owner_who_can_destroy_a_contract_is_seen_to_take_its_money() -> None:
    """``41c0e1b5`` (kill) sends everything to whoever calls, where slot 0 names them."""
    code = bytes.fromhex("5f3560e01c6341c0e1b5146011575f5ffd5b5f543314601c575f5ffd5b33ff")
    address = "0x" + "0d" * 20
    examination = examine(Given({address: code}, head=HEAD), address)
    (profile,) = examination.profiles.values()
    assert examination.decision.verdict is Verdict.NONE
    assert any(paid.currency is None for paid in profile.paid)


@pytest.mark.parametrize("code", [b"", b"\x00", b"\xfe" * 40, b"not code at all", b"\x5b" * 24_576])
def test_what_is_no_contract_is_unknown(code: bytes) -> None:
    address = "0x" + "0e" * 20
    decision = examine(Given({address: code}, head=HEAD), address).decision
    assert decision.verdict is Verdict.UNKNOWN


def test_code_that_nobody_observed_is_unknown_not_absent() -> None:
    decision = examine(Given({}, head=HEAD), "0x" + "0f" * 20).decision
    assert decision.verdict is Verdict.UNKNOWN
    assert "not observed" in decision.reason


def test_an_owner_that_no_function_shows_is_hidden(tried: Callable[[int], Examination]) -> None:
    """`distribute` asks who calls, and there is no `owner()` to read it by."""
    safety = tried(TAYLOR).safety
    assert safety.hidden_owner is True
    assert dict(safety.by)["hidden_owner"] == known_name(bytes.fromhex("63453ae1"))
    assert (safety.mintable, safety.pausable, safety.blacklist) == (False, False, False)
    assert (safety.tax, safety.tax_changeable, safety.sellable) == (0.0, False, True)
    assert safety.proxy is False
