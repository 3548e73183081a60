"""Subnets for the consensus tests: strategies, and one to vary by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tessera.spec.consensus.inputs import ConsensusSource, Parameters, Row, Subnet

BLOCK = 100_000
U16 = st.integers(0, 65_535)
# The ends of a u16 and what sums to them are where numbers of 33 bits come from.
EDGY_U16 = st.one_of(U16, st.sampled_from([0, 1, 32_767, 32_768, 65_534, 65_535]))

PARAMETERS = st.builds(
    Parameters,
    kappa=EDGY_U16,
    bonds_penalty=EDGY_U16,
    bonds_moving_average=st.one_of(
        st.sampled_from([0, 900_000, 1_000_000]), st.integers(0, 1_000_000)
    ),
    yuma3=st.booleans(),
    liquid_alpha=st.booleans(),
    alpha_low=EDGY_U16,
    alpha_high=EDGY_U16,
    alpha_sigmoid_steepness=st.one_of(
        st.sampled_from([1_000, 200, -200, 0, 32_767, -32_768]), st.integers(-32_768, 32_767)
    ),
    consensus_source=st.sampled_from(ConsensusSource),
    stake_threshold=st.sampled_from([0, 1, 1_000]),
    max_validators=st.integers(0, 9),
    commit_reveal=st.booleans(),
)

Epoch = tuple[Subnet, tuple[Row, ...], tuple[Row, ...]]


def matrix(uids: int) -> st.SearchStrategy[tuple[Row, ...]]:
    if not uids:
        return st.just(())
    row = st.dictionaries(st.integers(0, uids - 1), EDGY_U16, max_size=uids)
    return st.tuples(*[row.map(lambda entries: tuple(sorted(entries.items())))] * uids)


@st.composite
def epochs(draw: Any, *, smallest: int = 0, largest: int = 8) -> Epoch:
    uids = draw(st.integers(smallest, largest))

    def each(values: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return tuple(draw(st.lists(values, min_size=uids, max_size=uids)))

    blocks = st.integers(BLOCK - 6, BLOCK)
    subnet = Subnet(
        parameters=draw(PARAMETERS),
        block=BLOCK,
        emission=draw(st.sampled_from([0, 7, 10**12, 2**64 - 1])),
        stake=each(st.sampled_from([0, 1, 999, 10**9, 3 * 10**9, 10**15, 2**59])),
        permit=each(st.sampled_from([True, True, True, False])),
        last_update=each(st.one_of(blocks, st.just(BLOCK - 5_001))),
        registered=each(st.one_of(st.just(0), blocks)),
        owner=draw(st.one_of(st.none(), st.integers(0, uids - 1))) if uids else None,
        last_step_block=draw(st.sampled_from([0, BLOCK - 4])),
        commits=tuple(
            draw(st.lists(st.tuples(st.integers(0, uids - 1), blocks), max_size=3)) if uids else []
        ),
        previous_consensus=draw(st.one_of(st.none(), st.just(each(U16)))),
    )
    return subnet, draw(matrix(uids)), draw(matrix(uids))


def subnet(stakes: list[int], **changes: Any) -> Subnet:
    """One in which everybody is an active validator; names of parameters go to those."""
    uids = len(stakes)
    settings = {name: changes.pop(name) for name in list(changes) if name in Parameters.__slots__}
    fields: dict[str, Any] = {
        "parameters": Parameters(**settings),
        "block": BLOCK,
        "emission": 10**12,
        "stake": tuple(stakes),
        "permit": (True,) * uids,
        "last_update": (BLOCK - 1,) * uids,
        "registered": (0,) * uids,
        **changes,
    }
    return Subnet(**fields)
