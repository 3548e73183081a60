"""RF2 on facts: what is promised, what the code does, and what nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from eth_abi.abi import encode
from rig.compiling import compiled_file
from rig.engines import new_engine

from tessera.diligence.behaviour import flag as judging
from tessera.diligence.behaviour.flag import judge
from tessera.diligence.results import Severity
from tessera.diligence.subject import Holders, Subject
from tessera.diligence.view import View
from tessera.facts import Facts, Head, Row, Transfers
from tessera.facts.memory import Memory

TOKEN = "0x" + "12" * 20
HAND = "0x" + "34" * 20
HOLDER = "0x" + "ab" * 20
ELSEWHERE = "0x" + "56" * 20
ZERO = "0x" + "0" * 40
PROMISE = "Holders share all revenue."
HONEST, TAYLOR = 0, 9


@pytest.fixture(scope="module")
def codes() -> dict[int, bytes]:
    engine = new_engine()
    creation = compiled_file(Path(__file__).parent / "contracts" / "Payer.vy").creation_code
    return {
        trick: engine.code(
            engine.deploy(HOLDER, creation + encode(["uint256", "address"], [trick, HOLDER]))
        )
        for trick in (HONEST, TAYLOR)
    }


def _view(codes: Mapping[str, bytes], holders: Holders) -> View:
    rows = [
        Row(5, 1_000, 0, 0, ZERO, HOLDER, 10**21),
        Row(6, 1_100, 0, 0, HOLDER, ELSEWHERE, 10**20),
    ]
    held = {TOKEN: Transfers.of(TOKEN, rows)}
    seen = {address: ((0, code),) for address, code in codes.items()}
    facts = Facts(Memory(chain_id=1, newest=Head(9, 2_000), held=held, codes=seen))
    return View(facts, Subject(token=TOKEN, holders=holders))


def test_a_promise_that_code_keeps_is_clear(codes: dict[int, bytes]) -> None:
    flag = judge(_view({TOKEN: codes[HONEST]}, Holders(promise=PROMISE)))
    assert (flag.severity, flag.verdict) == (Severity.CLEAR, "coded_prorata")
    assert flag.evidence[0].where == TOKEN


def test_a_promise_that_no_code_keeps_is_flagged(codes: dict[int, bytes]) -> None:
    flag = judge(_view({TOKEN: codes[TAYLOR]}, Holders(promise=PROMISE)))
    assert (flag.severity, flag.verdict) == (Severity.FLAG, "none")


def test_the_same_code_without_a_promise_is_no_flag(codes: dict[int, bytes]) -> None:
    flag = judge(_view({TOKEN: codes[TAYLOR]}, Holders()))
    assert (flag.severity, flag.verdict) == (Severity.CLEAR, "none")


def test_a_distributor_without_code_pays_by_hand(codes: dict[int, bytes]) -> None:
    """The documents name an address that is to pay; it is somebody's wallet."""
    holders = Holders(promise=PROMISE, distributors=(HAND,))
    flag = judge(_view({TOKEN: codes[TAYLOR], HAND: b""}, holders))
    assert (flag.severity, flag.verdict) == (Severity.FLAG, "offchain_only")
    assert any(each.where == HAND for each in flag.evidence)


def test_code_that_nobody_observed_leaves_it_undecided() -> None:
    flag = judge(_view({}, Holders(promise=PROMISE)))
    assert (flag.severity, flag.verdict) == (Severity.UNDECIDED, "unknown")


def test_a_stranger_s_contract_that_pays_its_own_holders_clears_nothing(
    codes: dict[int, bytes],
) -> None:
    """A maker whose token pays nobody sends a tenth of it to a well-known contract that does."""
    view = _view({TOKEN: codes[TAYLOR], ELSEWHERE: codes[HONEST]}, Holders(promise=PROMISE))
    flag = judge(view)
    assert (flag.severity, flag.verdict) == (Severity.UNDECIDED, "unknown")
    assert flag.parts["unrelated"] == [ELSEWHERE]


def test_a_contract_that_knows_the_token_may_pay_its_holders(codes: dict[int, bytes]) -> None:
    known = codes[HONEST] + bytes.fromhex(TOKEN[2:])
    view = _view({TOKEN: codes[TAYLOR], ELSEWHERE: known}, Holders(promise=PROMISE))
    assert judge(view).verdict == "coded_prorata"


def test_contracts_that_were_left_untried_leave_it_undecided(
    codes: dict[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documents name so many contracts that the one that pays is not reached."""
    monkeypatch.setattr(judging, "_MOST_CONTRACTS", 1)
    about = Holders(promise=PROMISE, distributors=(ELSEWHERE,))
    found = judge(_view({TOKEN: codes[TAYLOR], ELSEWHERE: codes[HONEST]}, about))
    assert (found.severity, found.verdict) == (Severity.UNDECIDED, "unknown")
    assert ELSEWHERE in found.text


def test_what_can_be_done_to_holders_stands_in_the_verdict(codes: dict[int, bytes]) -> None:
    """Done in the sandbox, not read off a name: its owner is kept where no function shows it."""
    flag = judge(_view({TOKEN: codes[TAYLOR]}, Holders()))
    said = "a privileged account is kept where nobody sees it"
    assert flag.text.endswith(f"; of the token: {said}")
    assert [(each.where, bool(each.value)) for each in flag.evidence if each.what == said] == [
        (TOKEN, True)
    ]
