"""Merkle-sum trees: the module beside its twin, on every shape, and what must never pass."""

from __future__ import annotations

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from rig.compiling import mock
from rig.contract import Contract, deployed
from rig.effort import times
from rig.engines import new_engine
from rig.people import person

from tessera.errors import InputError
from tessera.spec.sum_trees import (
    EMPTY_ROOT,
    Node,
    SumTree,
    adds_up,
    leads_to,
    leaf_of,
    packed,
    parent_of,
    root_of,
)

LOW = 2**128 - 1
_KEPT: list[Contract] = []


def _module() -> Contract:
    if not _KEPT:
        by = person("deployer").address
        _KEPT.append(deployed(new_engine(), mock("OurSumTrees"), by=by))
    return _KEPT[0]


def _tree(count: int) -> SumTree:
    return SumTree(
        leaf_of(keccak(number.to_bytes(2, "big")), 7 + number) for number in range(count)
    )


def _shown(
    node: Node, level: int, index: int, count: int, path: tuple[Node, ...], root: bytes
) -> bool:
    """Ask module and twin."""
    said = bool(_module()("leads_to", node, level, index, count, list(path), root))
    assert said == leads_to(node, level, index, count, path, root)
    return said


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 9, 13])
def test_every_node_of_every_shape_leads_to_the_root(count: int) -> None:
    tree = _tree(count)
    assert tree.sum == sum(7 + number for number in range(count))
    for level, nodes in enumerate(tree.levels):
        for index, node in enumerate(nodes):
            path = tree.path(index, level)
            assert _shown(node, level, index, count, path, tree.root)
            # Nowhere else, under no other number of leaves, with no other sum.
            assert not _shown(node, level, index + 1, count, path, tree.root)
            assert not _shown(node, level, index, count + 1, path, tree.root)
            assert not _shown(node._replace(sum=node.sum + 1), level, index, count, path, tree.root)
            assert not _shown(node, level, index, count, (*path, node), tree.root)
            if path:
                assert not _shown(node, level, index, count, path[:-1], tree.root)


def test_a_tree_of_sixty_five_thousand_leaves() -> None:
    """The largest, as the chain sees it: sixteen siblings; one leaf more is refused."""
    node, path = leaf_of(bytes(32), 1), []
    for _ in range(16):
        path.append(node)
        node = parent_of(node, node)
    root = root_of(node, 65_536)
    assert _shown(leaf_of(bytes(32), 1), 0, 40_000, 65_536, tuple(path), root)
    assert not _shown(leaf_of(bytes(32), 1), 0, 40_000, 65_537, tuple(path), root)
    assert not _shown(node, 17, 0, 65_536, (), root)
    with pytest.raises(InputError, match="leaves of a tree"):
        SumTree([node] * 65_537)


def test_the_empty_tree_holds_nothing() -> None:
    tree = SumTree([])
    assert (tree.root, tree.sum, tree.count) == (EMPTY_ROOT, 0, 0)
    assert _module()("root", Node(bytes(32), 0), 0) == EMPTY_ROOT
    assert not _shown(Node(bytes(32), 0), 0, 0, 0, (), EMPTY_ROOT)
    assert not _shown(Node(bytes(32), 0), 0, 0, 1, (), EMPTY_ROOT)
    with pytest.raises(InputError, match="node of a tree"):
        tree.path(0)


def test_an_inner_node_is_never_shown_as_a_leaf() -> None:
    """Second preimages: an attacker shows two leaves' parent as a leaf of a smaller tree, or data
    that reads like the inside of a node; the first byte and the number of leaves forbid both."""
    tree = _tree(4)
    left, right = tree.levels[1]
    assert not _shown(left, 0, 0, 2, (right,), tree.root)
    inside = left.digest + left.sum.to_bytes(32, "big")
    for data in (left.digest, keccak(inside), keccak(b"\1" + inside)):
        assert leaf_of(data, left.sum).digest != tree.top.digest
        assert not _shown(leaf_of(data, left.sum), 0, 0, 4, tree.path(0), tree.root)
    # Nor is a root a node, or a node a root.
    assert not _shown(Node(tree.root, tree.sum), 0, 0, 1, (), tree.root)
    assert not _shown(left, 0, 0, 1, (), left.digest)


def test_a_sum_that_would_wrap_leads_nowhere() -> None:
    """Two leaves whose counts together are 2^128 + 5: modulo 2^128 the tree would count 5. And a
    carry out of the lower count would feign one in the higher."""
    for one, other in ((LOW, 6), (packed(0, LOW), packed(0, 6)), (2**256 - 1, 1)):
        first, second = leaf_of(bytes(32), one), leaf_of(bytes(32), other)
        with pytest.raises(InputError, match="sum of a tree"):
            SumTree([first, second])
        for stated in ((one + other) % 2**256, 5, packed(5, 1)):
            root = root_of(parent_of(first, second, stated), 2)
            assert not _shown(first, 0, 0, 2, (second,), root)
            assert not _module()("adds_up", one, other, stated)
    with pytest.raises(InputError, match="two uint128"):
        packed(2**128, 0)


def test_a_node_that_states_another_sum_can_be_shown() -> None:
    """A poster adds 100 to a node: no leaf below it has a path, the node itself has one, and its
    children say otherwise."""
    a, b, c, d = (leaf_of(bytes([number]) * 32, 10) for number in range(4))
    lie = parent_of(a, b, 120)
    honest = parent_of(c, d)
    root = root_of(parent_of(lie, honest), 4)
    assert not _shown(a, 0, 0, 4, (b, honest), root)
    assert _shown(c, 0, 2, 4, (d, lie), root)
    assert _shown(lie, 1, 0, 4, (honest,), root)
    assert _module()("parent", a, b, 120) == lie
    assert not _module()("adds_up", a.sum, b.sum, lie.sum)
    assert not adds_up(a.sum, b.sum, lie.sum)


@times(1)
@given(
    sums=st.lists(
        st.tuples(st.integers(0, 2**112), st.integers(0, 2**112)), min_size=1, max_size=40
    ),
    data=st.data(),
)
def test_both_counts_are_those_of_the_leaves(
    sums: list[tuple[int, int]], data: st.DataObject
) -> None:
    leaves = [
        leaf_of(keccak(number.to_bytes(2, "big")), packed(*both))
        for number, both in enumerate(sums)
    ]
    tree = SumTree(leaves)
    assert tree.sum & LOW == sum(low for low, _ in sums)
    assert tree.sum >> 128 == sum(high for _, high in sums)
    index = data.draw(st.integers(0, len(leaves) - 1))
    assert _shown(leaves[index], 0, index, len(leaves), tree.path(index), tree.root)
    assert _module()("leaf", keccak(index.to_bytes(2, "big")), leaves[index].sum) == leaves[index]
