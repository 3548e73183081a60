"""What holds of every epoch, and what the fast and the float version owe the plain one."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.spec.consensus.subnets import BLOCK, Epoch, epochs, subnet

from tessera.errors import InputError
from tessera.spec.consensus import columns
from tessera.spec.consensus.epoch import run_epoch
from tessera.spec.consensus.fast import fast_epoch
from tessera.spec.consensus.fixed import ONE, U16_MAX
from tessera.spec.consensus.floats import float_epoch
from tessera.spec.consensus.inputs import ConsensusSource, EpochKind, Row
from tessera.spec.consensus.rows import SparseRows


def arrays(*matrices: tuple[Row, ...]) -> tuple[SparseRows, ...]:
    return tuple(SparseRows.of(matrix) for matrix in matrices)


@given(epochs())
def test_the_fast_version_is_the_plain_one_bit_for_bit(epoch: Epoch) -> None:
    state, *matrices = epoch
    plain, fast = run_epoch(*epoch), fast_epoch(state, *arrays(*matrices))
    for field in fields(plain):
        if field.name != "bonds":
            assert getattr(fast, field.name) == getattr(plain, field.name), field.name
    assert fast.bonds.rows() == plain.bonds


@pytest.mark.parametrize("steepness", [1_000, -1_000, 5_000])
def test_the_fast_version_is_the_plain_one_over_many_blocks(
    steepness: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_BLOCK_ENTRIES", 1_000)
    rng = np.random.default_rng(7)
    uids, validators = 150, 20
    weights = np.zeros((uids, uids), np.uint16)
    bonds = np.zeros((uids, uids), np.uint16)
    weights[:validators] = rng.integers(0, 65_536, (validators, uids)) * rng.integers(
        0, 2, (validators, uids)
    )
    bonds[: validators + 5] = rng.integers(0, 65_536, (validators + 5, uids))
    stakes = [int(stake) for stake in rng.lognormal(30, 2, uids)]
    state = subnet(
        stakes,
        permit=tuple(uid < validators for uid in range(uids)),
        yuma3=True,
        liquid_alpha=True,
        bonds_penalty=20_000,
        alpha_sigmoid_steepness=steepness,
    )
    for changed in (state, replace(state, parameters=replace(state.parameters, yuma3=False))):
        sparse = SparseRows.dense(weights), SparseRows.dense(bonds)
        fast = fast_epoch(changed, *sparse)
        plain = run_epoch(changed, sparse[0].rows(), sparse[1].rows())
        assert fast.dividends == plain.dividends
        assert fast.bonds.rows() == plain.bonds
        near = float_epoch(changed, *sparse)
        assert np.abs(near.dividends * ONE - plain.dividends).max() < 130


@given(epochs())
def test_the_float_twin_stays_within_the_stated_bounds(epoch: Epoch) -> None:
    state, *matrices = epoch
    # As `floats` states them: no stake below a thousandth, no rate or steepness off the chain's.
    settings = state.parameters
    state = replace(
        state,
        stake=tuple(min(max(stake, 10**9), 10**11) if stake else 0 for stake in state.stake),
        parameters=replace(
            settings,
            alpha_low=max(settings.alpha_low, 1_638),
            alpha_sigmoid_steepness=max(-2_000, min(settings.alpha_sigmoid_steepness, 2_000)),
        ),
    )
    plain, near = run_epoch(state, *matrices), float_epoch(state, *arrays(*matrices))
    assert near.active.tolist() == list(plain.active)
    assert near.permit.tolist() == list(plain.permit)
    for name in ("stake", "consensus", "validator_trust", "incentive", "dividends"):
        found = np.minimum(np.floor(getattr(near, name) * U16_MAX), U16_MAX)
        assert np.abs(found - plain.stored(name)).max(initial=0) <= 2, name
        raw = np.array(getattr(plain, name)) / ONE
        assert np.abs(getattr(near, name) - raw).max(initial=0) <= 3e-8, name
    bound = 4 + 2e-8 * state.emission
    for name in ("emission", "model_emission", "validator_emission"):
        paid = np.array(getattr(plain, name), np.float64)
        assert np.abs(getattr(near, name) - paid).max(initial=0) <= bound, name
    for ours, theirs in zip(near.bonds.rows(), plain.bonds, strict=True):
        for column, bond in theirs:
            assert abs(dict(ours).get(column, 0) - bond) <= 4


@given(epochs())
def test_nobody_gets_more_than_there_is(epoch: Epoch) -> None:
    state, *_ = epoch
    result = run_epoch(*epoch)
    for name in ("stake", "active_stake", "incentive", "dividends"):
        values = getattr(result, name)
        assert min(values, default=0) >= 0
        assert sum(values) <= ONE, name
    for name in ("consensus", "validator_trust"):
        assert all(0 <= value <= ONE for value in getattr(result, name)), name
    for name in ("emission", "model_emission", "validator_emission"):
        assert sum(getattr(result, name)) <= state.emission, name
    kept = [uid for uid, row in enumerate(result.bonds) if row]
    assert all(result.permit[uid] for uid in kept)
    assert all(0 <= bond <= U16_MAX for row in result.bonds for _, bond in row)
    assert sum(result.permit) <= state.parameters.max_validators + (state.owner is not None)


@given(epochs(), st.sampled_from([2, 3, 7]))
def test_a_row_s_scale_changes_nothing(epoch: Epoch, factor: int) -> None:
    state, weights, bonds = epoch
    small = tuple(tuple((column, weight // 7) for column, weight in row) for row in weights)
    large = tuple(tuple((column, weight * factor) for column, weight in row) for row in small)
    assert run_epoch(state, small, bonds) == run_epoch(state, large, bonds)


@given(epochs(), st.data())
def test_the_order_of_the_uids_changes_nothing(epoch: Epoch, data: st.DataObject) -> None:
    state, weights, bonds = epoch
    # Where permits are scarce the later of two equal stakes has one.
    state = replace(state, parameters=replace(state.parameters, max_validators=9))
    order = data.draw(st.permutations(range(state.uids)))
    place = {uid: index for index, uid in enumerate(order)}

    def moved(values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(values[uid] for uid in order)

    def moved_rows(rows: tuple[Row, ...]) -> tuple[Row, ...]:
        return tuple(
            tuple(sorted((place[column], value) for column, value in rows[uid])) for uid in order
        )

    before = run_epoch(state, weights, bonds)
    after = run_epoch(
        replace(
            state,
            stake=moved(state.stake),
            permit=moved(state.permit),
            last_update=moved(state.last_update),
            registered=moved(state.registered),
            owner=None if state.owner is None else place[state.owner],
            commits=tuple((place[uid], block) for uid, block in state.commits),
            previous_consensus=None
            if state.previous_consensus is None
            else moved(state.previous_consensus),
        ),
        moved_rows(weights),
        moved_rows(bonds),
    )
    for field in fields(before):
        values = getattr(before, field.name)
        same = moved_rows(values) if field.name == "bonds" else moved(values)
        assert getattr(after, field.name) == same, field.name


def test_an_empty_subnet_pays_nobody() -> None:
    result = run_epoch(subnet([]), (), ())
    assert result.emission == ()
    assert result.bonds == ()
    assert fast_epoch(subnet([]), *arrays((), ())).emission == ()
    assert float_epoch(subnet([]), *arrays((), ())).emission.tolist() == []


def test_one_validator_decides_alone() -> None:
    state = subnet([10**9, 0, 0])
    result = run_epoch(state, (((1, 100), (2, 300)), (), ()), ((), (), ()))
    assert result.consensus == (0, ONE // 4, 3 * ONE // 4)
    assert result.incentive == (0, ONE // 4, 3 * ONE // 4)
    assert result.dividends == (ONE, 0, 0)
    assert result.emission == (10**12 // 2, 10**12 // 8, 3 * 10**12 // 8)


@pytest.mark.parametrize("weights", [((), (), ()), (((1, 0), (2, 0)), ((0, 0),), ())])
def test_without_weights_the_epoch_pays_by_stake(weights: tuple[Row, ...]) -> None:
    result = run_epoch(subnet([3 * 10**9, 10**9, 0]), weights, ((), (), ()))
    assert result.incentive == (0, 0, 0)
    assert result.emission == (75 * 10**10, 25 * 10**10, 0)
    assert result.model_emission == (0, 0, 0)


def test_an_epoch_completes_when_every_validator_is_offline() -> None:
    away = subnet([3 * 10**9, 10**9, 0], last_update=(0, 0, 0))
    result = run_epoch(away, (((1, 5),), ((2, 5),), ()), ((), (), ()))
    assert result.active == (False, False, False)
    assert result.active_stake == (0, 0, 0)
    assert result.emission == (75 * 10**10, 25 * 10**10, 0)


def test_a_cabal_below_kappa_cannot_raise_its_own_model() -> None:
    """Story: 40 % of the stake gives all its weight to a model that nobody else rates."""
    honest, cabal = ((2, 65_535),), ((3, 65_535),)
    state = subnet([3 * 10**9, 2 * 10**9, 0, 0])
    result = run_epoch(state, (honest, cabal, (), ()), ((), (), (), ()))
    assert result.consensus[3] == 0
    assert result.incentive == (0, 0, ONE, 0)
    assert result.validator_trust == (ONE, 0, 0, 0)
    assert result.dividends == (ONE, 0, 0, 0)


def test_a_weight_set_before_a_model_was_registered_is_not_its_newcomer_s() -> None:
    sniped = subnet([10**9, 0, 0], registered=(0, BLOCK - 1, 0), last_update=(BLOCK - 1, 0, 0))
    result = run_epoch(sniped, (((1, 9), (2, 1)), (), ()), ((), (), ()))
    assert result.incentive == (0, 0, ONE)


def test_a_pending_commit_older_than_a_model_hides_it() -> None:
    state = subnet(
        [10**9, 0, 0],
        registered=(0, BLOCK - 5, 0),
        commits=((0, BLOCK - 2), (0, BLOCK - 6)),
        commit_reveal=True,
    )
    rows: tuple[Row, ...] = (((1, 9), (2, 1)), (), ())
    assert run_epoch(state, rows, ((), (), ())).incentive == (0, 0, ONE)
    off = replace(state, parameters=replace(state.parameters, commit_reveal=False))
    assert run_epoch(off, rows, ((), (), ())).incentive[1] > 0


def test_only_the_owner_may_rate_itself() -> None:
    rows: tuple[Row, ...] = (((0, 1), (1, 1)), (), ())
    assert run_epoch(subnet([10**9, 0, 0]), rows, ((), (), ())).incentive == (0, ONE, 0)
    owned = run_epoch(subnet([10**9, 0, 0], owner=0), rows, ((), (), ()))
    assert owned.incentive == (ONE // 2, ONE // 2, 0)


def test_liquid_alpha_can_measure_against_the_epoch_before() -> None:
    rows: tuple[Row, ...] = (((1, 9), (2, 1)), ((0, 1), (2, 1)), ())
    state = subnet([10**9, 10**9, 0], yuma3=True, liquid_alpha=True, bonds_penalty=0)
    now = run_epoch(state, rows, ((), (), ())).bonds
    told = replace(state, previous_consensus=(1, 0, 0))
    current = replace(state.parameters, consensus_source=ConsensusSource.CURRENT)
    previous = replace(state.parameters, consensus_source=ConsensusSource.PREVIOUS)
    assert run_epoch(replace(told, parameters=current), rows, ((), (), ())).bonds == now
    assert run_epoch(replace(told, parameters=previous), rows, ((), (), ())).bonds != now
    # Auto takes the previous one only at the full penalty, and the current one where none is kept.
    assert run_epoch(told, rows, ((), (), ())).bonds == now
    assert run_epoch(replace(state, parameters=previous), rows, ((), (), ())).bonds == now


def test_a_null_epoch_pays_half_by_stake_and_leaves_bonds_alone() -> None:
    state = subnet([3 * 10**9, 10**9, 0], kind=EpochKind.NULL, emission=101)
    bonds: tuple[Row, ...] = (((1, 7),), (), ())
    result = run_epoch(state, (((1, 9),), (), ()), bonds)
    assert result.emission == (37, 12, 0)
    assert result.incentive == (0, 0, 0)
    assert result.bonds == bonds
    assert fast_epoch(state, *arrays(bonds, bonds)).emission == (37, 12, 0)
    assert float_epoch(state, *arrays(bonds, bonds)).emission.tolist() == [37.5, 12.5, 0]


def test_fractions_of_stake_count() -> None:
    state = subnet([0, 0])
    halves = replace(state, stake=(Fraction(1, 3), Fraction(2, 3)))
    assert run_epoch(halves, ((), ()), ((), ())).stake == (ONE // 3, 2 * ONE // 3)


def test_arrays_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"weights: found '1 rows', wanted 2"):
        fast_epoch(subnet([1, 1]), *arrays(((),), ((), ())))
    with pytest.raises(InputError, match=r"bonds: found '1 rows', wanted 2"):
        float_epoch(subnet([1, 1]), *arrays(((), ()), ((),)))
    with pytest.raises(InputError, match=r"matrix: found 65536"):
        SparseRows.dense(np.full((2, 2), 65_536))
    with pytest.raises(InputError, match=r"matrix: found -1"):
        SparseRows.dense(np.full((2, 2), -1))
    with pytest.raises(InputError, match="wanted integers"):
        SparseRows.dense(np.full((2, 2), float("nan")))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="wanted a square one"):
        SparseRows.dense(np.zeros((2, 3), int))
    with pytest.raises(InputError, match="in arrays"):
        fast_epoch(subnet([1] * 32_768), *arrays(((),) * 32_768, ((),) * 32_768))
