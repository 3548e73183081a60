# pragma version 0.4.3
"""
@notice Scores that say what a test tells them to say; what a row holds they check themselves.
"""
import src.tessera.contracts.modules.epoch_results as epoch_results
import src.tessera.contracts.modules.sum_trees as sum_trees


struct Row:
    validator: address
    root: bytes32
    total: uint256
    stake: uint256


struct Rules:
    kappa: uint256
    bonds_penalty: uint256
    bonds_moving_average: uint256
    yuma3: bool


inputs: HashMap[uint256, HashMap[uint256, epoch_results.Inputs]]
rows: HashMap[uint256, HashMap[uint256, HashMap[uint256, Row]]]
row_of: public(HashMap[uint256, HashMap[uint256, HashMap[address, uint256]]])
rules_of: public(HashMap[uint256, Rules])
model_since: public(HashMap[uint256, HashMap[uint256, HashMap[uint256, uint256]]])


@external
def set_epoch(subnet: uint256, epoch: uint256, inputs: epoch_results.Inputs):
    self.inputs[subnet][epoch] = inputs


@external
def set_row(subnet: uint256, epoch: uint256, place: uint256, row: Row):
    self.rows[subnet][epoch][place] = row
    self.row_of[subnet][epoch][row.validator] = place + 1


@external
def set_rules(subnet: uint256, rules: Rules):
    self.rules_of[subnet] = rules


@external
def set_since(subnet: uint256, uid: uint256, epoch: uint256, since: uint256):
    self.model_since[subnet][uid][epoch] = since


@external
@view
def epoch_of(subnet: uint256, epoch: uint256) -> (uint256, uint256, uint256, uint256, bytes32):
    said: epoch_results.Inputs = self.inputs[subnet][epoch]
    return said.rows, said.stake, said.columns, said.closes_at, said.digest


@external
@view
def row_at(subnet: uint256, epoch: uint256, place: uint256) -> (address, bytes32, uint256, uint256):
    row: Row = self.rows[subnet][epoch][place]
    return row.validator, row.root, row.total, row.stake


@external
@view
def holds(
    subnet: uint256,
    epoch: uint256,
    row: uint256,
    leaf: uint256,
    weights: uint256[4],
    path: DynArray[sum_trees.Node, 16],
) -> bool:
    counted: uint256 = 0
    for word: uint256 in weights:
        for place: uint256 in range(16):
            counted += word >> 16 * place & 65535
    leaves: uint256 = (self.inputs[subnet][epoch].columns + 63) // 64
    node: sum_trees.Node = sum_trees._leaf(keccak256(abi_encode(weights)), counted)
    return sum_trees._leads_to(node, 0, leaf, leaves, path, self.rows[subnet][epoch][row].root)
