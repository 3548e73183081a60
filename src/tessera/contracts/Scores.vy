# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Scores
@license Apache-2.0
@notice What each validator of a subnet thinks of each model in an epoch: committed first, revealed later, and served to
        everybody who asks.
@dev Quarters of the tempo make an epoch's clock: commit in the first two, reveal in the third, ask for data until the end
     of the epoch, answer until a quarter after it. Then its inputs are closed for ever, and a result may be posted. The
     clock needs nobody. A row is the root of a Merkle-sum tree: leaf t holds the weights (16 bits) of models 64 t to
     64 t + 63 in four words, lowest bits first; 0 is no entry. So one leaf shows an entry, or that there is none, and
     neither a duplicate nor a negative number nor one that is none can be written. Twin: `tessera.spec.scores`.
@custom:security A commit is a salted hash that names its sender, so a copied one can never be revealed. Stake counts as
     it was at the commit and stays slashable until the inputs are closed. A row is data that must be served: whoever
     cannot get a leaf pays a fee to ask for it, and the row counts for nothing until the leaf stands in a transaction;
     one that was not shown in time, or cannot be shown because it is malformed, counts for nothing for ever, costs its
     validator a part of its bond, and the fee goes back. An answer earns the fee, so asking is not a way to do harm.
@custom:invariant solvent, settled_once
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import sum_trees


interface ISubnets:
    def seated(subnet: uint256, uid: uint256, validator: address) -> (
        uint256, uint256, uint256, uint256, uint256
    ): view
    def clock_of(subnet: uint256) -> (uint256, uint256): view
    def occupant_at(subnet: uint256, side: uint256, uid: uint256, epoch: uint256) -> (
        uint256, uint256
    ): view
    def consensus_of(subnet: uint256) -> (uint256, uint256, uint256, bool): view


interface IBond:
    def bonded(validator: address) -> uint256: view
    def back(validator: address, until: uint256): nonpayable
    def freeze(validator: address, case: bytes32) -> uint256: nonpayable
    def unfreeze(validator: address, case: bytes32) -> bool: nonpayable
    def may_slash(validator: address, slasher: address, case: bytes32) -> bool: view
    def slash(
        validator: address,
        amount: uint256,
        case: bytes32,
        evidence: bytes32,
        whistle_blower: address,
    ) -> uint256: nonpayable


event Committed:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    validator: indexed(address)
    commitment: bytes32
    stake: uint256


event Revealed:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    validator: indexed(address)
    row: uint256
    root: bytes32
    sum: uint256
    stake: uint256
    uri: String[256]


event DataAsked:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    row: indexed(uint256)
    leaf: uint256
    by: address


# The leaf's weights: what was asked for is here for everybody.
event DataShown:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    row: indexed(uint256)
    leaf: uint256
    weights: uint256[4]


event DataWithheld:
    subnet: indexed(uint256)
    epoch: indexed(uint256)
    row: indexed(uint256)
    leaf: uint256
    slashed: uint256


MODELS: constant(uint256) = 0
LEAF_WIDTH: constant(uint256) = 64
MAX_WEIGHT: constant(uint256) = 2**16 - 1
MAX_HEIGHT: constant(uint256) = 16
BPS: constant(uint256) = 10_000
MASK_16: constant(uint256) = 2**16 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_128: constant(uint256) = 2**128 - 1
ANSWERED: constant(uint256) = 2**160
WITHHELD: constant(uint256) = 2**161
# What a leaf that nobody shows costs its validator: a hundredth of its bond.
WITHHOLDING_BPS: constant(uint256) = 100

NETWORK_TOKEN: immutable(address)
SUBNETS: immutable(address)
BOND: immutable(address)
DATA_FEE: immutable(uint256)

# All TSR here: fees of data that was asked for.
obligations: public(uint256)

# subnet << 32 | epoch is an epoch's key.
# key -> validator -> its commit; and stake at the commit (128) | uid (16) | its row + 1 (16)
commitments: HashMap[uint256, HashMap[address, bytes32]]
commits: HashMap[uint256, HashMap[address, uint256]]
# A bond is below 2^96, since all TSR is.
# stake of rows that count (128) | rows (16) | model uids (16), known from the first commit on
epochs: HashMap[uint256, uint256]
# A hash over all rows in order; and a bit for each row that counts for nothing.
digests: HashMap[uint256, bytes32]
voids: HashMap[uint256, uint256]
# key -> row -> its root; stake (128) | sum (32) | leaves asked for and not shown (16) | slashed (1); validator
roots: HashMap[uint256, HashMap[uint256, bytes32]]
rows: HashMap[uint256, HashMap[uint256, uint256]]
validators: HashMap[uint256, HashMap[uint256, address]]
# key -> row << 16 | leaf -> who asked (160) | shown (1) | paid back, because it never was shown (1)
asked: HashMap[uint256, HashMap[uint256, uint256]]


@deploy
def __init__(network_token: address, subnets: address, bond: address, data_fee: uint256):
    """
    @param data_fee What asking for a leaf costs, raw TSR: more than the gas of showing it.
    """
    assert (
        network_token != empty(address) and subnets != empty(address) and bond != empty(address)
    ), "scores: zero address"
    assert data_fee != 0, "scores: asking would be free"
    NETWORK_TOKEN = network_token
    SUBNETS = subnets
    BOND = bond
    DATA_FEE = data_fee


# --- Rows -----------------------------------------------------------------------------------------------------------


@external
def commit(subnet: uint256, uid: uint256, commitment: bytes32) -> uint256:
    """
    @notice Bind the caller to a row of scores that nobody can read yet, in the epoch that runs. Once per epoch.
    @param uid The caller's place among the subnet's validators, one that it had when the epoch began.
    @param commitment See `commitment_of`.
    @return The epoch.
    """
    epoch: uint256 = 0
    began: uint256 = 0
    tempo: uint256 = 0
    threshold: uint256 = 0
    columns: uint256 = 0
    epoch, began, tempo, threshold, columns = staticcall ISubnets(SUBNETS).seated(
        subnet, uid, msg.sender
    )
    assert block.timestamp < began + 2 * (tempo // 4), "scores: not in the time for commits"
    assert columns != 0, "scores: no models to score"
    assert commitment != empty(bytes32), "scores: commitment is empty"
    key: uint256 = self._key(subnet, epoch)
    assert self.commitments[key][msg.sender] == empty(bytes32), "scores: committed already"
    stake: uint256 = staticcall IBond(BOND).bonded(msg.sender)
    assert threshold <= stake, "scores: bond below the threshold"
    if self.epochs[key] == 0:
        self.epochs[key] = columns << 144
    self.commitments[key][msg.sender] = commitment
    self.commits[key][msg.sender] = stake | (uid << 128)
    extcall IBond(BOND).back(msg.sender, began + 5 * (tempo // 4))
    log Committed(
        subnet=subnet, epoch=epoch, validator=msg.sender, commitment=commitment, stake=stake
    )
    return epoch


@external
def reveal(
    subnet: uint256,
    epoch: uint256,
    root: bytes32,
    total: uint256,
    salt: bytes32,
    uri: String[256],
) -> uint256:
    """
    @notice Open the caller's commit. What was not committed reverts and changes nothing.
    @param root The row's Merkle-sum tree, of one leaf for each 64 models of the epoch.
    @param total Of all its weights.
    @param uri Where the row's data is served; anybody who cannot get it there asks for it here.
    @return The row's number.
    """
    key: uint256 = self._key(subnet, epoch)
    commitment: bytes32 = self.commitments[key][msg.sender]
    assert commitment != empty(bytes32), "scores: nothing committed"
    began: uint256 = 0
    quarter: uint256 = 0
    began, quarter = self._clock(subnet, epoch)
    assert (
        began + 2 * quarter <= block.timestamp and block.timestamp < began + 3 * quarter
    ), "scores: not in the time for reveals"
    assert (
        self._commitment(root, total, salt, msg.sender, subnet, epoch) == commitment
    ), "scores: not what was committed"
    totals: uint256 = self.epochs[key]
    columns: uint256 = totals >> 144
    assert total <= columns * MAX_WEIGHT, "scores: sum out of range"
    word: uint256 = self.commits[key][msg.sender]
    assert word >> 144 == 0, "scores: revealed already"
    stake: uint256 = word & MASK_128
    row: uint256 = (totals >> 128) & MASK_16
    self.epochs[key] = totals + stake + (1 << 128)
    self.roots[key][row] = root
    self.rows[key][row] = stake | (total << 128)
    self.validators[key][row] = msg.sender
    self.commits[key][msg.sender] = word | ((row + 1) << 144)
    self.digests[key] = keccak256(
        abi_encode(self.digests[key], row, msg.sender, word >> 128, stake, root, total)
    )
    log Revealed(
        subnet=subnet,
        epoch=epoch,
        validator=msg.sender,
        row=row,
        root=root,
        sum=total,
        stake=stake,
        uri=uri,
    )
    return row


# --- Data -----------------------------------------------------------------------------------------------------------


@external
def ask(subnet: uint256, epoch: uint256, row: uint256, leaf: uint256):
    """
    @notice Ask for a leaf of a row that its validator does not serve, or that is not what it should be. Until it is
            shown the row counts for nothing. Costs the fee, which comes back if it never is; once per leaf.
    """
    key: uint256 = self._key(subnet, epoch)
    validator: address = self.validators[key][row]
    assert validator != empty(address), "scores: no such row"
    assert leaf < self._leaves(self.epochs[key]), "scores: no such leaf"
    began: uint256 = 0
    quarter: uint256 = 0
    began, quarter = self._clock(subnet, epoch)
    assert block.timestamp < began + 4 * quarter, "scores: too late to ask"
    place: uint256 = (row << 16) | leaf
    assert self.asked[key][place] == 0, "scores: asked for already"
    self.asked[key][place] = convert(msg.sender, uint256)
    word: uint256 = self.rows[key][row]
    if word >> 160 == 0:
        self.epochs[key] -= word & MASK_128
        self.voids[key] |= 1 << row
    self.rows[key][row] = word + (1 << 160)
    self.obligations += DATA_FEE
    assert extcall IERC20(NETWORK_TOKEN).transferFrom(msg.sender, self, DATA_FEE)
    _: uint256 = extcall IBond(BOND).freeze(validator, self._case(subnet, epoch, row, leaf))
    log DataAsked(subnet=subnet, epoch=epoch, row=row, leaf=leaf, by=msg.sender)


@external
def show(
    subnet: uint256,
    epoch: uint256,
    row: uint256,
    leaf: uint256,
    weights: uint256[4],
    path: DynArray[sum_trees.Node, MAX_HEIGHT],
):
    """
    @notice Answer for a leaf that was asked for. Anybody who has the data may; the fee is the row's validator's.
    """
    key: uint256 = self._key(subnet, epoch)
    place: uint256 = (row << 16) | leaf
    asker: uint256 = self.asked[key][place]
    assert asker != 0, "scores: not asked for"
    assert asker & ANSWERED == 0, "scores: shown already"
    began: uint256 = 0
    quarter: uint256 = 0
    began, quarter = self._clock(subnet, epoch)
    assert block.timestamp < began + 5 * quarter, "scores: too late to show"
    assert self._holds(key, row, leaf, weights, path), "scores: not that leaf"
    self.asked[key][place] = asker | ANSWERED
    word: uint256 = self.rows[key][row] - (1 << 160)
    self.rows[key][row] = word
    if word >> 160 == 0:
        self.epochs[key] += word & MASK_128
        self.voids[key] &= ~(1 << row)
    validator: address = self.validators[key][row]
    _: bool = extcall IBond(BOND).unfreeze(validator, self._case(subnet, epoch, row, leaf))
    self._send(validator, DATA_FEE)
    log DataShown(subnet=subnet, epoch=epoch, row=row, leaf=leaf, weights=weights)


@external
def convict(subnet: uint256, epoch: uint256, row: uint256, leaf: uint256):
    """
    @notice Once the inputs are closed: give the fee for a leaf that was not shown back, and slash who withheld it, once
            for a row. Anyone may; the one who asked is the whistle-blower.
    """
    key: uint256 = self._key(subnet, epoch)
    place: uint256 = (row << 16) | leaf
    word: uint256 = self.asked[key][place]
    assert word != 0, "scores: not asked for"
    assert word & ANSWERED == 0, "scores: shown already"
    assert word & WITHHELD == 0, "scores: paid back already"
    began: uint256 = 0
    quarter: uint256 = 0
    began, quarter = self._clock(subnet, epoch)
    assert began + 5 * quarter <= block.timestamp, "scores: it can still be shown"
    self.asked[key][place] = word | WITHHELD
    asker: address = convert(word, address)
    validator: address = self.validators[key][row]
    state: uint256 = self.rows[key][row]
    case: bytes32 = self._case(subnet, epoch, row, leaf)
    slashed: uint256 = 0
    # The bit above the leaves asked for: the row's validator was slashed. Whoever comes so late that Bond lets nobody
    # slash any more still gets the fee back.
    if state >> 176 == 0 and staticcall IBond(BOND).may_slash(validator, self, case):
        self.rows[key][row] = state | (1 << 176)
        # Rounded down: the dust stays bonded.
        slashed = extcall IBond(BOND).slash(
            validator,
            (state & MASK_128) * WITHHOLDING_BPS // BPS,
            case,
            self.roots[key][row],
            asker,
        )
    _: bool = extcall IBond(BOND).unfreeze(validator, case)
    self._send(asker, DATA_FEE)
    log DataWithheld(subnet=subnet, epoch=epoch, row=row, leaf=leaf, slashed=slashed)


# --- Inside ---------------------------------------------------------------------------------------------------------


@internal
@pure
def _key(subnet: uint256, epoch: uint256) -> uint256:
    assert epoch <= MASK_32, "scores: no such epoch"
    return (subnet << 32) | epoch


@internal
@view
def _clock(subnet: uint256, epoch: uint256) -> (uint256, uint256):
    """
    @return When an epoch begins, and a quarter of the tempo.
    """
    start: uint256 = 0
    tempo: uint256 = 0
    start, tempo = staticcall ISubnets(SUBNETS).clock_of(subnet)
    return start + epoch * tempo, tempo // 4


@internal
@pure
def _leaves(totals: uint256) -> uint256:
    return ((totals >> 144) + LEAF_WIDTH - 1) // LEAF_WIDTH


@internal
@view
def _case(subnet: uint256, epoch: uint256, row: uint256, leaf: uint256) -> bytes32:
    return keccak256(abi_encode(self, subnet, epoch, row, leaf))


@internal
@view
def _commitment(
    root: bytes32, sum: uint256, salt: bytes32, validator: address, subnet: uint256, epoch: uint256
) -> bytes32:
    return keccak256(abi_encode(root, sum, salt, validator, subnet, epoch, chain.id, self))


@internal
@view
def _holds(
    key: uint256,
    row: uint256,
    leaf: uint256,
    weights: uint256[4],
    path: DynArray[sum_trees.Node, MAX_HEIGHT],
) -> bool:
    """
    @dev The sum is counted, not taken: a leaf that states another one is never that leaf.
    """
    totals: uint256 = self.epochs[key]
    counted: uint256 = 0
    for word: uint256 in weights:
        rest: uint256 = word
        for _: uint256 in range(16):
            # 64 numbers of 16 bits.
            counted = unsafe_add(counted, rest & MAX_WEIGHT)
            rest >>= 16
        # No weight for a model that is none.


    columns: uint256 = totals >> 144
    first: uint256 = leaf * LEAF_WIDTH
    if columns < first + LEAF_WIDTH:
        for at: uint256 in range(LEAF_WIDTH):
            if columns <= first + at and (weights[at >> 4] >> (16 * (at & 15))) & MAX_WEIGHT != 0:
                return False
    node: sum_trees.Node = sum_trees._leaf(keccak256(abi_encode(weights)), counted)
    return self._sum_of(path, counted) == (self.rows[key][row] >> 128) & MASK_32 and (
        sum_trees._leads_to(node, 0, leaf, self._leaves(totals), path, self.roots[key][row])
    )


@internal
@pure
def _sum_of(path: DynArray[sum_trees.Node, MAX_HEIGHT], own: uint256) -> uint256:
    """
    @dev What the root counts, if the path leads there: the leaf and all its siblings.
    """
    total: uint256 = own
    for sibling: sum_trees.Node in path:
        if sibling.sum > MASK_128:
            return max_value(uint256)
        total += sibling.sum
    return total


@internal
def _send(receiver: address, amount: uint256):
    self.obligations -= amount
    assert extcall IERC20(NETWORK_TOKEN).transfer(receiver, amount)


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def commitment_of(
    root: bytes32,
    total: uint256,
    salt: bytes32,
    validator: address,
    subnet: uint256,
    epoch: uint256,
) -> bytes32:
    """
    @notice What a validator commits to for this row: a hash of it with a salt, the validator, the subnet, the epoch, this
            chain and this contract.
    """
    return self._commitment(root, total, salt, validator, subnet, epoch)


@external
@view
@reentrant
def epoch_of(subnet: uint256, epoch: uint256) -> (uint256, uint256, uint256, uint256, bytes32):
    """
    @notice The inputs of an epoch. From `posting_from` on none of them changes.
    @return Rows, the stake of those that count, models (uids 0 to one less), the time from which a result may be posted,
            and a hash of all rows and of which of them count.
    """
    key: uint256 = self._key(subnet, epoch)
    totals: uint256 = self.epochs[key]
    began: uint256 = 0
    quarter: uint256 = 0
    began, quarter = self._clock(subnet, epoch)
    return (
        (totals >> 128) & MASK_16,
        totals & MASK_128,
        totals >> 144,
        began + 5 * quarter,
        keccak256(abi_encode(self.digests[key], self.voids[key])),
    )


@external
@view
@reentrant
def row_at(subnet: uint256, epoch: uint256, row: uint256) -> (address, bytes32, uint256, uint256):
    """
    @return Validator, root, sum and stake of a row; sum and stake are 0 where it counts for nothing.
    """
    key: uint256 = self._key(subnet, epoch)
    word: uint256 = self.rows[key][row]
    validator: address = self.validators[key][row]
    if (self.voids[key] >> row) & 1 == 1:
        return validator, self.roots[key][row], 0, 0
    return validator, self.roots[key][row], (word >> 128) & MASK_32, word & MASK_128


@external
@view
@reentrant
def row_of(subnet: uint256, epoch: uint256, validator: address) -> uint256:
    """
    @return The number of a validator's row, plus 1; 0 where it revealed none.
    """
    return self.commits[self._key(subnet, epoch)][validator] >> 144


@external
@view
@reentrant
def holds(
    subnet: uint256,
    epoch: uint256,
    row: uint256,
    leaf: uint256,
    weights: uint256[4],
    path: DynArray[sum_trees.Node, MAX_HEIGHT],
) -> bool:
    """
    @notice Whether these are the weights of a leaf of a row.
    """
    return self._holds(self._key(subnet, epoch), row, leaf, weights, path)


@external
@view
@reentrant
def asked_of(subnet: uint256, epoch: uint256, row: uint256, leaf: uint256) -> (address, bool, bool):
    """
    @return Who asked for a leaf, whether it was shown, and whether its validator was convicted of withholding it.
    """
    word: uint256 = self.asked[self._key(subnet, epoch)][(row << 16) | leaf]
    return convert(word & (ANSWERED - 1), address), word & ANSWERED != 0, word & WITHHELD != 0


@external
@view
@reentrant
def model_since(subnet: uint256, uid: uint256, epoch: uint256) -> uint256:
    """
    @notice From which epoch on the model was there that had a place in an epoch.
    """
    return (staticcall ISubnets(SUBNETS).occupant_at(subnet, MODELS, uid, epoch))[1]


@external
@view
@reentrant
def rules_of(subnet: uint256) -> (uint256, uint256, uint256, bool):
    """
    @return Kappa and the bonds' penalty in 65,535ths, the bonds' moving average in ppm, and whether Yuma 3 is on.
    """
    return staticcall ISubnets(SUBNETS).consensus_of(subnet)


@external
@view
@reentrant
def network_token() -> address:
    return NETWORK_TOKEN


@external
@view
@reentrant
def subnets() -> address:
    return SUBNETS


@external
@view
@reentrant
def bond() -> address:
    return BOND


@external
@view
@reentrant
def data_fee() -> uint256:
    return DATA_FEE
