# pragma version 0.4.3
# pragma evm-version cancun
"""
@title EpochCourt
@license Apache-2.0
@notice Recomputes one part of a posted epoch from what it claims and from what was there before, bit for bit, and has
        the result voided where they differ: the stakes, a node of a sum, an entry, a column, a row's dividends.
@dev It holds nothing and remembers nothing. `epochs` is the contract that is asked for the result and told of the
     fault; that one listens to its own court only. Every challenge costs O(validators) at most, whatever the number of
     models: a column carries, for each validator, its trust and dividends summed up to that column, so that one column
     follows from the column before it. Numbers are I32F32 (raw, 32 fraction bits), all at least 0. What a part of a
     result is, and in what words: `tessera.spec.epochs`, the twin.
@custom:security A challenge that is wrong reverts and costs its sender the gas; it changes and delays nothing. One that
     is right names its sender as the challenger: who sees it waiting can copy it, which changes who is paid and not
     what happens. A false result always has a first false part, and that part has a challenge; one that is kept back
     can be asked for. Inputs are read from Scores, which must not change them once a result may be posted.
@custom:pause Nothing here can be paused.
"""
from .modules import epoch_results
from .modules import sum_trees


interface IEpochs:
    def scores() -> address: view
    def digest_of(subnet: uint256, epoch: uint256) -> bytes32: view
    def on_trial(subnet: uint256, epoch: uint256) -> bytes32: view
    def convict(subnet: uint256, epoch: uint256, challenger: address, fault: uint256): nonpayable
    def answered(subnet: uint256, epoch: uint256, part: uint256, by: address): nonpayable


# What an answer showed, so that it is read from the logs, whoever sent it and however. `epochs` is who was told: another
# one than ours may be anybody's.
event StakesShown:
    epochs: indexed(address)
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    stakes: DynArray[uint256, epoch_results.MAX_ROWS]


event ColumnShown:
    epochs: indexed(address)
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    index: uint256
    column: Column


event RowShown:
    epochs: indexed(address)
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    row: uint256
    active: uint256
    counted: uint256
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT]


# One column of a result. A word, from the lowest bit: the row's weight (16) | its new bond (16) | its trust (64) and its
# dividends before stake (64), each summed over the columns up to this one.
struct Column:
    consensus: uint256
    rank: uint256
    words: DynArray[uint256, epoch_results.MAX_ROWS]
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT]


# What is known of a result on trial without taking anybody's word.
struct Trial:
    scores: address
    inputs: epoch_results.Inputs


ONE: constant(uint256) = 2**32
U16: constant(uint256) = 2**16 - 1
U32: constant(uint256) = 2**32 - 1
U40: constant(uint256) = 2**40 - 1
U64: constant(uint256) = 2**64 - 1
MILLION: constant(uint256) = 10**6

# Parts of a result that can be asked for; the column's number or the row's is added.
STAKES: constant(uint256) = 0
COLUMNS: constant(uint256) = 1
ROWS: constant(uint256) = 2**32

# What an event calls the faults.
FAULT_STAKES: constant(uint256) = 1
FAULT_NODE: constant(uint256) = 2
FAULT_ENTRY: constant(uint256) = 3
FAULT_COLUMN: constant(uint256) = 4
FAULT_DIVIDENDS: constant(uint256) = 5


# --- Challenges -----------------------------------------------------------------------------------------------------


@external
def challenge_stakes(
    epochs: address,
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    stakes: DynArray[uint256, epoch_results.MAX_ROWS],
    row: uint256,
):
    """
    @notice Show that the list of stakes has the wrong length, that a row's word is not what Scores says, or that a sum
            of stakes is false.
    @param row Which row; any number from the count of rows on: the sums.
    """
    trial: Trial = self._trial(epochs, subnet, epoch, result)
    self._check_stakes(result, stakes)
    if len(stakes) == trial.inputs.rows:
        if row < trial.inputs.rows:
            assert stakes[row] != self._stake_word(
                trial, subnet, epoch, result, row
            ), "epoch_court: no fault"
        else:
            sums: uint256 = 0
            for word: uint256 in stakes:
                # At most 256 numbers of 40 bits in 64 bits.
                sums += word & U40 | (word >> 40 & U40) << 64 | (word >> 80 & U40) << 128
            assert sums != result.sums, "epoch_court: no fault"
    extcall IEpochs(epochs).convict(subnet, epoch, msg.sender, FAULT_STAKES)


@external
def challenge_node(
    epochs: address,
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    of_columns: bool,
    level: uint256,
    index: uint256,
    left: sum_trees.Node,
    right: sum_trees.Node,
    stated: uint256,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
):
    """
    @notice Show that a node of the columns' or of the rows' tree states a sum that is not that of its two children.
    @param level 1 or more; the leaves are at 0.
    @param stated What the node's parent, or the result, says that it counts.
    """
    trial: Trial = self._trial(epochs, subnet, epoch, result)
    count: uint256 = trial.inputs.rows
    top: sum_trees.Node = sum_trees.Node(digest=result.rows, sum=result.dividends)
    if of_columns:
        count = trial.inputs.columns
        top = sum_trees.Node(digest=result.columns, sum=result.incentive)
    assert (
        level != 0
        and sum_trees._leads_to(
            sum_trees._parent(left, right, stated),
            level,
            index,
            count,
            path,
            sum_trees._root(top, count),
        )
    ), "epoch_court: no such node"
    assert not sum_trees._adds_up(left.sum, right.sum, stated), "epoch_court: no fault"
    extcall IEpochs(epochs).convict(subnet, epoch, msg.sender, FAULT_NODE)


@external
def challenge_entry(
    epochs: address,
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    index: uint256,
    column: Column,
    row: uint256,
    weights: uint256[epoch_results.TILE_WORDS],
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
):
    """
    @notice Show that a column says another weight than the row that the validator revealed.
    @param weights The leaf of that row with the weights of 64 models, this one among them; not looked at if the row counts for nothing.
    @param path From that leaf to the row's root.
    """
    trial: Trial = self._trial(epochs, subnet, epoch, result)
    self._check_column(result, trial.inputs.columns, index, column)
    scores: epoch_results.IScores = epoch_results.IScores(trial.scores)
    validator: address = empty(address)
    root: bytes32 = empty(bytes32)
    total: uint256 = 0
    stake: uint256 = 0
    validator, root, total, stake = staticcall scores.row_at(subnet, epoch, row)
    weight: uint256 = 0
    if total != 0:
        assert staticcall scores.holds(
            subnet, epoch, row, index // epoch_results.TILE, weights, path
        ), "epoch_court: not in the row"
        weight = weights[index % epoch_results.TILE // 16] >> 16 * (index % 16) & U16
    assert column.words[row] & U16 != weight, "epoch_court: no fault"
    extcall IEpochs(epochs).convict(subnet, epoch, msg.sender, FAULT_ENTRY)


@external
def challenge_column(
    epochs: address,
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    stakes: DynArray[uint256, epoch_results.MAX_ROWS],
    index: uint256,
    column: Column,
    before: Column,
    former: epoch_results.Result,
    old: Column,
):
    """
    @notice Recompute a column from its weights, the stakes, the column before it and the stored bonds of the last final
            epoch: its consensus, its rank, its new bonds, and what it adds to each row's trust and dividends.
    @param before The column at `index - 1`; not looked at for the first one.
    @param former The last final result; not looked at where there is none, or the model is newer than it.
    @param old The column at `index` of that one.
    """
    trial: Trial = self._trial(epochs, subnet, epoch, result)
    self._check_stakes(result, stakes)
    self._check_column(result, trial.inputs.columns, index, column)
    if len(column.words) == trial.inputs.rows:
        begun: DynArray[uint256, epoch_results.MAX_ROWS] = []
        if index != 0:
            self._check_column(result, trial.inputs.columns, index - 1, before)
            begun = before.words
        bonds: uint256[epoch_results.MAX_ROWS] = empty(uint256[epoch_results.MAX_ROWS])
        if (
            result.previous != 0
            and staticcall epoch_results.IScores(trial.scores).model_since(subnet, index, epoch)
            < result.previous
        ):
            bonds = self._old_bonds(
                epochs, trial.scores, subnet, result.previous - 1, stakes, index, former, old
            )
        assert not self._follows(result, stakes, column, begun, bonds), "epoch_court: no fault"
    extcall IEpochs(epochs).convict(subnet, epoch, msg.sender, FAULT_COLUMN)


@external
def challenge_dividends(
    epochs: address,
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    stakes: DynArray[uint256, epoch_results.MAX_ROWS],
    row: uint256,
    active: uint256,
    counted: uint256,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
    last: Column,
):
    """
    @notice Show that a row's dividends or trust are not what the last column comes to, or its active stake not the
            list's.
    @param active The row's active stake, as posted.
    @param counted Its dividends, and its trust in the upper half, as posted.
    """
    trial: Trial = self._trial(epochs, subnet, epoch, result)
    self._check_stakes(result, stakes)
    self._check_row(result, trial.inputs.rows, row, active, counted, path)
    self._check_column(result, trial.inputs.columns, trial.inputs.columns - 1, last)
    word: uint256 = last.words[row]
    dividends: uint256 = word >> 96 & U64
    if result.rules >> 64 & 1 == 1:
        dividends = dividends * (stakes[row] >> 40 & U40) >> 32
    assert (
        active != stakes[row] >> 40 & U40 or counted != dividends | (word >> 32 & U64) << 128
    ), "epoch_court: no fault"
    extcall IEpochs(epochs).convict(subnet, epoch, msg.sender, FAULT_DIVIDENDS)


# --- Data -----------------------------------------------------------------------------------------------------------


@external
def show_stakes(
    epochs: address,
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    stakes: DynArray[uint256, epoch_results.MAX_ROWS],
):
    """
    @notice Answer who asked for the stakes of a result; they are read from the log.
    """
    trial: Trial = self._trial(epochs, subnet, epoch, result)
    self._check_stakes(result, stakes)
    extcall IEpochs(epochs).answered(subnet, epoch, STAKES, msg.sender)
    log StakesShown(epochs=epochs, subnet=subnet, epoch=epoch, stakes=stakes)


@external
def show_column(
    epochs: address,
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    index: uint256,
    column: Column,
):
    """
    @notice Answer who asked for a column.
    """
    trial: Trial = self._trial(epochs, subnet, epoch, result)
    self._check_column(result, trial.inputs.columns, index, column)
    extcall IEpochs(epochs).answered(subnet, epoch, COLUMNS + index, msg.sender)
    log ColumnShown(epochs=epochs, subnet=subnet, epoch=epoch, index=index, column=column)


@external
def show_row(
    epochs: address,
    subnet: uint256,
    epoch: uint256,
    result: epoch_results.Result,
    row: uint256,
    active: uint256,
    counted: uint256,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
):
    """
    @notice Answer who asked for a row's dividends and trust.
    """
    trial: Trial = self._trial(epochs, subnet, epoch, result)
    self._check_row(result, trial.inputs.rows, row, active, counted, path)
    extcall IEpochs(epochs).answered(subnet, epoch, ROWS + row, msg.sender)
    log RowShown(
        epochs=epochs,
        subnet=subnet,
        epoch=epoch,
        row=row,
        active=active,
        counted=counted,
        path=path,
    )


# --- What is claimed ------------------------------------------------------------------------------------------------


@internal
@view
def _trial(epochs: address, subnet: uint256, epoch: uint256, result: epoch_results.Result) -> Trial:
    assert staticcall IEpochs(epochs).on_trial(subnet, epoch) == epoch_results._digest(
        result
    ), "epoch_court: not the posted result"
    scores: address = staticcall IEpochs(epochs).scores()
    return Trial(
        scores=scores,
        inputs=epoch_results._inputs(scores, subnet, epoch),
    )


@internal
@pure
def _check_stakes(result: epoch_results.Result, stakes: DynArray[uint256, epoch_results.MAX_ROWS]):
    assert keccak256(abi_encode(stakes)) == result.stakes, "epoch_court: not the posted stakes"


@internal
@pure
def _check_column(result: epoch_results.Result, count: uint256, index: uint256, column: Column):
    assert epoch_results._is_column(
        result,
        count,
        index,
        column.consensus,
        column.rank,
        keccak256(abi_encode(column.words)),
        column.path,
    ), "epoch_court: not the posted column"


@internal
@pure
def _check_row(
    result: epoch_results.Result,
    count: uint256,
    row: uint256,
    active: uint256,
    counted: uint256,
    path: DynArray[sum_trees.Node, sum_trees.MAX_HEIGHT],
):
    assert epoch_results._is_row(
        result, count, row, active, counted, path
    ), "epoch_court: not the posted row"


# --- What is true ---------------------------------------------------------------------------------------------------


@internal
@view
def _stake_word(
    trial: Trial, subnet: uint256, epoch: uint256, result: epoch_results.Result, row: uint256
) -> uint256:
    """
    @dev A word, from the lowest bit, 40 bits each: the row's part of all stake, that part normalised, normalised again
         for consensus; the sum of its weights; the row of the same validator in the last final epoch, + 1. A row that
         counts for nothing is 0, and carries no bonds over.
    """
    validator: address = empty(address)
    root: bytes32 = empty(bytes32)
    total: uint256 = 0
    stake: uint256 = 0
    validator, root, total, stake = staticcall epoch_results.IScores(trial.scores).row_at(
        subnet, epoch, row
    )
    if stake == 0:
        return min(total, U40) << 120
    share: uint256 = stake * ONE // trial.inputs.stake
    active: uint256 = self._div(share, result.sums & U64)
    former: uint256 = 0
    if result.previous != 0:
        former = staticcall epoch_results.IScores(trial.scores).row_of(
            subnet, result.previous - 1, validator
        )
    return (
        share
        | active << 40
        | self._div(active, result.sums >> 64 & U64) << 80
        | min(total, U40) << 120
        | former << 160
    )


@internal
@view
def _old_bonds(
    epochs: address,
    scores: address,
    subnet: uint256,
    last: uint256,
    stakes: DynArray[uint256, epoch_results.MAX_ROWS],
    index: uint256,
    former: epoch_results.Result,
    old: Column,
) -> uint256[epoch_results.MAX_ROWS]:
    """
    @dev The bonds of the last final epoch, by today's rows.
    """
    assert staticcall IEpochs(epochs).digest_of(subnet, last) == epoch_results._digest(
        former
    ), "epoch_court: not the last result"
    inputs: epoch_results.Inputs = epoch_results._inputs(scores, subnet, last)
    self._check_column(former, inputs.columns, index, old)
    bonds: uint256[epoch_results.MAX_ROWS] = empty(uint256[epoch_results.MAX_ROWS])
    for row: uint256 in range(len(stakes), bound=epoch_results.MAX_ROWS):
        place: uint256 = stakes[row] >> 160
        if place != 0:
            bonds[row] = old.words[place - 1] >> 16 & U16
    return bonds


@internal
@pure
def _follows(
    result: epoch_results.Result,
    stakes: DynArray[uint256, epoch_results.MAX_ROWS],
    column: Column,
    begun: DynArray[uint256, epoch_results.MAX_ROWS],
    bonds: uint256[epoch_results.MAX_ROWS],
) -> bool:
    """
    @dev Steps 5 to 12 of an epoch for one column. Every number of an honest column has at most 48 bits and a sum of
         256 of them 56, so nothing wraps; of a false one, what wraps is as false.
    """
    count: uint256 = len(stakes)
    consensus: uint256 = column.consensus
    weights: uint256[epoch_results.MAX_ROWS] = empty(uint256[epoch_results.MAX_ROWS])
    # Stake at scores up to the consensus, and under it.
    up_to: uint256 = 0
    under: uint256 = 0
    at_it: bool = False
    over_it: bool = False
    voters: bool = False
    rank: uint256 = 0
    for row: uint256 in range(count, bound=epoch_results.MAX_ROWS):
        word: uint256 = stakes[row]
        weight: uint256 = self._div(column.words[row] & U16, word >> 120 & U40)
        weights[row] = weight
        stake: uint256 = word >> 40 & U40
        if stake != 0:
            voters = True
            voice: uint256 = word >> 80 & U40
            if weight > consensus:
                over_it = True
            else:
                up_to = unsafe_add(up_to, voice)
                if weight == consensus:
                    at_it = True
                else:
                    under = unsafe_add(under, voice)
            rank = unsafe_add(rank, unsafe_mul(stake, min(weight, consensus)) >> 32)
    total: uint256 = result.sums >> 128
    kappa: uint256 = (result.rules & U16) * ONE // U16
    if voters:
        # The smallest score with more than `total - kappa` at or below it; the largest where none has.
        enough: bool = up_to + kappa > total or not over_it
        if not (at_it and enough and (under == 0 or under + kappa <= total)):
            return False
    elif consensus != 0:
        return False
    # The column's path says that its rank is no more than the sum of all.
    if rank != column.rank:
        return False

    yuma3: bool = result.rules >> 64 & 1 == 1
    penalty: uint256 = (result.rules >> 16 & U16) * ONE // U16
    rate: uint256 = ONE - (result.rules >> 32 & U32) * ONE // MILLION
    # What bonds grow towards.
    aims: uint256[epoch_results.MAX_ROWS] = empty(uint256[epoch_results.MAX_ROWS])
    aimed: uint256 = 0
    held: uint256 = 0
    for row: uint256 in range(count, bound=epoch_results.MAX_ROWS):
        weight: uint256 = weights[row]
        aim: uint256 = weight
        if weight > consensus:
            # Rounded against the bond: the specification rounds a negative product down.
            cut: uint256 = unsafe_mul(unsafe_sub(weight, consensus), penalty)
            aim = unsafe_sub(weight, unsafe_add(cut, U32) >> 32)
        if not yuma3:
            aim = unsafe_mul(aim, stakes[row] >> 40 & U40) >> 32
        aims[row] = aim
        aimed = unsafe_add(aimed, aim)
        held = unsafe_add(held, bonds[row])
    grown: uint256 = 0
    for row: uint256 in range(count, bound=epoch_results.MAX_ROWS):
        aim: uint256 = aims[row]
        bond: uint256 = 0
        if yuma3:
            bond = (bonds[row] << 32) // U16
        else:
            aim = self._div(aim, aimed)
            bond = self._div(bonds[row], held)
        bond = unsafe_add(
            unsafe_mul(rate, aim) >> 32, unsafe_mul(unsafe_sub(ONE, rate), bond) >> 32
        )
        aims[row] = bond
        grown = unsafe_add(grown, bond)
    largest: uint256 = 0
    if not yuma3:
        for row: uint256 in range(count, bound=epoch_results.MAX_ROWS):
            bond: uint256 = self._div(aims[row], grown)
            aims[row] = bond
            largest = max(largest, bond)
    incentive: uint256 = self._div(rank, result.incentive)
    for row: uint256 in range(count, bound=epoch_results.MAX_ROWS):
        bond: uint256 = aims[row]
        part: uint256 = bond
        stored: uint256 = bond
        if yuma3:
            part = self._div(bond, grown)
        else:
            stored = self._div(bond, largest)
        word: uint256 = column.words[row] & U16
        # Bonds are kept for who has stake.
        if stakes[row] >> 40 & U40 != 0:
            word |= min(unsafe_mul(stored, U16) >> 32, U16) << 16
        earlier: uint256 = 0
        if len(begun) != 0:
            earlier = begun[row] >> 32 << 32
        word += (
            earlier
            + (min(weights[row], consensus) << 32)
            + (unsafe_mul(part, incentive) >> 32 << 96)
        )
        if word != column.words[row]:
            return False
    return True


@internal
@pure
def _div(a: uint256, b: uint256) -> uint256:
    """
    @dev Rounds down; anything divided by zero is zero.
    """
    if b == 0:
        return 0
    return unsafe_div(a << 32, b)
