"""Vesting against `tessera.spec.vesting`, and its promise: nothing leaves early."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.compiling import compiled
from rig.contract import Contract
from rig.people import person
from rig.system import DAY, deploy_world

from tessera.spec.vesting import Schedule, VestingModel, unlocked_at

PUBLISHER, CONTRIBUTOR, KEEPER = person("publisher"), person("contributor"), person("keeper")
YEAR = 365 * DAY


@st.composite
def _schedules(draw: st.DrawFn) -> tuple[int, int, int, int]:
    duration = draw(st.one_of(st.integers(0, 10), st.integers(0, 100 * YEAR)))
    return (
        draw(st.one_of(st.integers(1, 100), st.integers(1, 2**96 - 1))),
        draw(st.integers(-YEAR, YEAR)),
        draw(st.integers(0, duration)),
        duration,
    )


@given(
    terms=_schedules(),
    steps=st.lists(
        st.tuples(
            st.one_of(st.integers(0, 10), st.integers(0, 20 * YEAR)),
            st.integers(0, 1_000),
        ),
        max_size=8,
    ),
    moments=st.lists(st.integers(0, 1_000), min_size=4, max_size=4),
)
def test_every_release_is_what_the_spec_says(
    terms: tuple[int, int, int, int], steps: list[tuple[int, int]], moments: list[int]
) -> None:
    world = deploy_world()
    amount, start, cliff, duration = terms
    schedule = Schedule(amount, world.now + start, cliff, duration)
    asset = world.publish(PUBLISHER)
    share = world.tokenize(asset, PUBLISHER, supply=2**96 - 1)
    share("approve", world.launchpad, amount, by=PUBLISHER.address)
    (address,) = world.launchpad(
        "vest", asset, [(CONTRIBUTOR.address, *schedule)], by=PUBLISHER.address
    )
    vesting = Contract(world.engine, compiled("Vesting"), address)
    model = VestingModel(schedule)
    for thousandth in moments:
        time = schedule.start + duration * thousandth // 1_000
        assert vesting("unlocked_at", time) == unlocked_at(schedule, time)
    held, extra = amount, 0
    for wait, wish in [(0, 0), *steps]:
        world.wait(min(wait, 2**32 - 1 - YEAR - world.now))
        gift = min(wish, 2**96 - 1 - amount - extra)
        share("transfer", vesting, gift, by=PUBLISHER.address)
        held, extra = held + gift, extra + gift
        assert vesting("unlocked_at", world.now) == unlocked_at(schedule, world.now)
        sent = model.release(held, world.now)
        assert vesting("release", by=KEEPER.address) == sent
        held -= sent
        assert vesting("released") == model.released
        assert vesting("left") == model.left == world.launchpad("held_in_vesting", asset)
        assert share("balanceOf", vesting.address) == held
        assert share("balanceOf", CONTRIBUTOR.address) == model.released
        # never_early, said without the spec: of the grant, at most what time has earned is out.
        passed = max(0, world.now - schedule.start)
        if passed < cliff:
            assert model.released <= extra
        elif passed < duration:
            assert (model.released - extra) * duration <= amount * passed
        assert held >= amount - unlocked_at(schedule, world.now)


@given(terms=_schedules(), times=st.lists(st.integers(0, 2**40 - 1), max_size=20))
def test_the_calendar_is_the_specs_and_never_falls(
    terms: tuple[int, int, int, int], times: list[int]
) -> None:
    schedule = Schedule(terms[0], 1_800_000_000 + terms[1], terms[2], terms[3])
    unlocked = [unlocked_at(schedule, time) for time in sorted(times)]
    assert unlocked == sorted(unlocked)
    assert all(0 <= amount <= schedule.amount for amount in unlocked)
    end = schedule.start + schedule.duration
    assert unlocked_at(schedule, end) == schedule.amount
