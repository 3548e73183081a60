"""Governor's counting and timeline against `tessera.spec.governance`: random votes and moments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.governing import PARENT, PAYMENT, SUPPLY, Council, action, open_council
from rig.people import person
from rig.system import GOVERNANCE, ONE_SHARE

from tessera.spec.governance import (
    Proposal,
    Rules,
    State,
    needed_votes,
    state_at,
)
from tessera.spec.signatures import Address

RULES = Rules(*GOVERNANCE)
HORIZON = sum(GOVERNANCE) + 10
# Around each boundary, and anywhere.
WEIGHTS = st.one_of(
    st.integers(0, 2**96 - 1),
    st.sampled_from([SUPPLY // 5 + d for d in (-1, 0, 1)]),
    st.sampled_from([-(-SUPPLY * 2 // 3) + d for d in (-1, 0, 1)]),
)
_COUNCIL: list[Council] = []


def _council() -> Council:
    if not _COUNCIL:
        _COUNCIL.append(open_council(parts=(900, 100)))
    return _COUNCIL[0]


@given(
    grave=st.booleans(),
    yes=WEIGHTS,
    no=st.one_of(st.integers(0, 2**96 - 1), st.integers(0, 5)),
    counted=st.one_of(st.integers(0, 2**96 - 1), st.just(SUPPLY)),
    supply=st.one_of(st.integers(10**18, 2**96 - 1), st.just(SUPPLY)),
    after=st.one_of(
        st.integers(0, HORIZON),
        st.builds(
            lambda parts, d: max(0, sum(GOVERNANCE[1 : 1 + parts]) + d),
            st.integers(1, 4),
            st.integers(-1, 1),
        ),
    ),
)
def test_every_state_is_what_the_spec_says(
    grave: bool, yes: int, no: int, counted: int, supply: int, after: int
) -> None:
    council = _council()
    governor, world = council.governor, council.world
    with world.engine.trial():
        what = action(PARENT, parent=council.parent, royalty_bps=1) if grave else action(PAYMENT)
        number = council.propose(council.holders[0], what)
        place = governor._place("proposals", (council.asset, number))
        world.engine.store(governor.address, place + 2, yes | no << 96)
        world.engine.store(governor.address, place + 3, counted | supply << 96)
        twin = Proposal(
            Address(bytes.fromhex(council.holders[0].address[2:])),
            what, world.now, grave, supply, counted, yes, no,
        )  # fmt: skip
        found = governor("proposal_of", council.asset, number)
        assert found[7:11] == (yes, no, counted, needed_votes(twin))
        world.wait(after)
        state = state_at(twin, RULES, world.now)
        assert council.state(number) == state.value
        if state is State.READY:
            assert after >= RULES.voting_time + RULES.timelock + grave * RULES.exit_delay


@given(
    parts=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    answers=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_the_weight_of_a_vote_is_what_was_locked(parts: list[int], answers: list[bool]) -> None:
    council = _council()
    with council.world.engine.trial():
        voters = [person(f"voter {number}") for number in range(len(parts))]
        first = council.holders[0]
        council.governor("unlock", council.asset, 1, by=first.address)
        for who, part in zip(voters, parts, strict=True):
            council.share("transfer", who.address, part * ONE_SHARE, by=first.address)
            council.lock(who)
        council.world.wait(1)
        proposal = council.propose(council.holders[1], action(PAYMENT))
        for who, answer in zip(voters, answers, strict=False):
            council.vote(who, proposal, answer)
        for who in voters:
            del council.locks[who.address]
        sums = [
            sum(
                part * ONE_SHARE for part, said in zip(parts, answers, strict=False) if said is side
            )
            for side in (True, False)
        ]
        assert list(council.governor("proposal_of", council.asset, proposal)[7:9]) == sums
