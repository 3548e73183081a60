# pragma version ~=0.4.3
"""
@title Results of epochs
@license Apache-2.0
@notice What a posted result of an epoch consists of, and what its inputs are asked from.
@dev Twin: `tessera.spec.epochs`.
"""
from . import sum_trees

MAX_ROWS: constant(uint256) = 256
# A row is revealed in leaves of 64 weights of 16 bits, the first in the lowest bits.
TILE: constant(uint256) = 64
TILE_WORDS: constant(uint256) = 4


# What Scores says of an epoch: its revealed rows, the stakes of those that count, its models, the time from which nothing
# of this changes, and a hash of all rows and of which of them count.
struct Inputs:
    rows: uint256
    stake: uint256
    columns: uint256
    closes_at: uint256
    digest: bytes32


interface IScores:
    def epoch_of(subnet: uint256, epoch: uint256) -> (
        uint256, uint256, uint256, uint256, bytes32
    ): view
    # Validator, root, sum and stake of a row; sum and stake are 0 where it counts for nothing.
    def row_at(subnet: uint256, epoch: uint256, row: uint256) -> (
        address, bytes32, uint256, uint256
    ): view
    # A validator's row + 1; 0: it revealed none.
    def row_of(subnet: uint256, epoch: uint256, validator: address) -> uint256: view
    # Whether these are the weights of a leaf of a row.
    def holds(
        subnet: uint256,
        epoch: uint256,
        row: uint256,
        leaf: uint256,
        weights: uint256[TILE_WORDS],
        path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
    ) -> bool: view
    # The first epoch of the model that held this uid in an epoch.
    def model_since(subnet: uint256, uid: uint256, epoch: uint256) -> uint256: view
    # kappa (u16), bonds penalty (u16), bonds moving average (ppm), Yuma 3.
    def rules_of(subnet: uint256) -> (uint256, uint256, uint256, bool): view


# `rules`: kappa (16) | bonds penalty (16) | bonds moving average (32) | Yuma 3 (1).
# `previous`: the last final epoch of the subnet + 1; 0: there is none, or its bonds do not go on.
# `stakes`: the hash of one word for each row. `sums`: of the shares, the active and the consensus stakes in them, 64
# bits each. `columns` with `incentive`, `rows` with `dividends`: the highest nodes of two sum trees; `dividends` also
# counts trust, in its upper half.
struct Result:
    inputs: bytes32
    rules: uint256
    previous: uint256
    stakes: bytes32
    sums: uint256
    columns: bytes32
    incentive: uint256
    rows: bytes32
    dividends: uint256


@internal
@pure
def _digest(result: Result) -> bytes32:
    return keccak256(abi_encode(result))


@internal
@view
def _inputs(scores: address, subnet: uint256, epoch: uint256) -> Inputs:
    inputs: Inputs = empty(Inputs)
    inputs.rows, inputs.stake, inputs.columns, inputs.closes_at, inputs.digest = staticcall IScores(
        scores
    ).epoch_of(subnet, epoch)
    return inputs


@internal
@view
def _rules(scores: address, subnet: uint256) -> uint256:
    kappa: uint256 = 0
    penalty: uint256 = 0
    average: uint256 = 0
    yuma3: bool = False
    kappa, penalty, average, yuma3 = staticcall IScores(scores).rules_of(subnet)
    return kappa | (penalty << 16) | (average << 32) | (convert(yuma3, uint256) << 64)


@internal
@pure
def _is_column(
    result: Result,
    count: uint256,
    column: uint256,
    consensus: uint256,
    rank: uint256,
    data: bytes32,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
) -> bool:
    """
    @param count How many columns there are.
    @param data The hash of the column's words.
    """
    return sum_trees._leads_to(
        sum_trees._leaf(keccak256(abi_encode(consensus, data)), rank),
        0,
        column,
        count,
        path,
        sum_trees._root(sum_trees.Node(digest=result.columns, sum=result.incentive), count),
    )


@internal
@pure
def _is_row(
    result: Result,
    count: uint256,
    row: uint256,
    active: uint256,
    counted: uint256,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
) -> bool:
    """
    @param active The row's active stake.
    @param counted Dividends, and trust in the upper half.
    """
    return sum_trees._leads_to(
        sum_trees._leaf(convert(active, bytes32), counted),
        0,
        row,
        count,
        path,
        sum_trees._root(sum_trees.Node(digest=result.rows, sum=result.dividends), count),
    )
