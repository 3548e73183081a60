# pragma version ~=0.4.3
"""
@title Merkle-sum trees
@license Apache-2.0
@notice A root that stands for a list of leaves, for how many they are, and for the sum of what they count. One path
        shows a leaf, and that the sum holds along it.
@dev A node is a digest and a sum; a digest covers both children with both their sums. Leaf i of n has one possible
     path: where a level has an odd number of nodes, the last moves up as it is. A sum is two counts of 128 bits in a
     word, added each by itself; who needs one uses the lower. Twin: `tessera.spec.sum_trees`.
@custom:security Leaves, nodes and roots are hashed with different first bytes and lengths, so none is ever shown as
     another, and a root binds the number of its leaves. A sum that would wrap leads nowhere. A tree may be built with
     a node whose sum is not that of its children: then no leaf below it has a path. `_leads_to` from a level above 0
     shows such a node as its parent states it, and `_adds_up` that its children say otherwise; the topmost of several
     can always be shown.
"""


struct Node:
    digest: bytes32
    sum: uint256


# Trees of up to 65,536 leaves.
MAX_HEIGHT: constant(uint256) = 16
MAX_LEAVES: constant(uint256) = 65_536
_LOW: constant(uint256) = 2**128 - 1


@internal
@pure
def _leaf(data: bytes32, sum: uint256) -> Node:
    """
    @param data The hash of what the leaf holds.
    @param sum What it counts.
    """
    return Node(digest=keccak256(concat(0x00, data, convert(sum, bytes32))), sum=sum)


@internal
@pure
def _parent(left: Node, right: Node, sum: uint256) -> Node:
    """
    @param sum What the parent states; `_adds_up` says whether it is true.
    """
    return Node(
        digest=keccak256(
            concat(
                0x01,
                left.digest,
                convert(left.sum, bytes32),
                right.digest,
                convert(right.sum, bytes32),
            )
        ),
        sum=sum,
    )


@internal
@pure
def _root(top: Node, count: uint256) -> bytes32:
    """
    @param top The one node of the highest level; of a tree without leaves, nothing.
    """
    return keccak256(concat(0x02, convert(count, bytes32), top.digest, convert(top.sum, bytes32)))


@internal
@pure
def _adds_up(left: uint256, right: uint256, sum: uint256) -> bool:
    """
    @return Whether a sum is that of both, in both of its counts, without wrapping.
    """
    fits: bool = False
    added: uint256 = 0
    fits, added = self._added(left, right)
    return fits and sum == added


@internal
@pure
def _leads_to(
    node: Node,
    level: uint256,
    index: uint256,
    count: uint256,
    path: DynArray[Node, MAX_HEIGHT],
    root: bytes32,
) -> bool:
    """
    @param level 0 for a leaf.
    @param index The node's place in its level, from 0.
    @param count How many leaves the tree has.
    @param path Its siblings, lowest first; none where it has none.
    @return Whether this is that node of the tree with this root, all sums above it being true.
    """
    if count == 0 or count > MAX_LEAVES or level > MAX_HEIGHT:
        return False
    width: uint256 = ((count - 1) >> level) + 1
    place: uint256 = index
    if place >= width:
        return False
    climbed: Node = node
    used: uint256 = 0
    for _: uint256 in range(MAX_HEIGHT):
        if width == 1:
            break
        if place ^ 1 < width:
            if used == len(path):
                return False
            sibling: Node = path[used]
            used += 1
            fits: bool = False
            sum: uint256 = 0
            fits, sum = self._added(climbed.sum, sibling.sum)
            if not fits:
                return False
            if place & 1 == 0:
                climbed = self._parent(climbed, sibling, sum)
            else:
                climbed = self._parent(sibling, climbed, sum)
        place >>= 1
        width = (width + 1) >> 1
    return used == len(path) and self._root(climbed, count) == root


@internal
@pure
def _added(left: uint256, right: uint256) -> (bool, uint256):
    """
    @return Whether neither count wraps, and the sum.
    """
    low: uint256 = unsafe_add(left & _LOW, right & _LOW)
    high: uint256 = unsafe_add(left >> 128, right >> 128)
    return low <= _LOW and high <= _LOW, (high << 128) | low
