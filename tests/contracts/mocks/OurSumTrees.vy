# pragma version ~=0.4.3
# pragma evm-version cancun
"""
@title OurSumTrees
@notice The functions of our `sum_trees` module, each by itself.
"""
import src.tessera.contracts.modules.sum_trees as sum_trees


@external
@pure
def leaf(data: bytes32, sum: uint256) -> sum_trees.Node:
    return sum_trees._leaf(data, sum)


@external
@pure
def parent(left: sum_trees.Node, right: sum_trees.Node, sum: uint256) -> sum_trees.Node:
    return sum_trees._parent(left, right, sum)


@external
@pure
def root(top: sum_trees.Node, count: uint256) -> bytes32:
    return sum_trees._root(top, count)


@external
@pure
def adds_up(left: uint256, right: uint256, sum: uint256) -> bool:
    return sum_trees._adds_up(left, right, sum)


@external
@pure
def leads_to(
    node: sum_trees.Node,
    level: uint256,
    index: uint256,
    count: uint256,
    path: DynArray[sum_trees.Node, 16],
    root: bytes32,
) -> bool:
    return sum_trees._leads_to(node, level, index, count, path, root)
