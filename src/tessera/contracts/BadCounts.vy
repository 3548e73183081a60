# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Bad counts
@license Apache-2.0
@notice How few of so many items a model must answer before it is bad beyond doubt: the exact 99.9 % one-sided upper bound
        of its accuracy is below a threshold. Proved here once by whole numbers, for every round that asks.
@dev Twin: `tessera.spec.bad_counts`.
@custom:security A fact of arithmetic: nobody has a power here, and what was proved never changes.
@custom:pause Nothing here can be paused.
"""


event Proved:
    items: indexed(uint256)
    least: indexed(uint256)
    correct: uint256


MIN_ITEMS: constant(uint256) = 100
MAX_ITEMS: constant(uint256) = 4_096
WHOLE: constant(uint256) = 1_000_000

# By number of items and threshold: one more than the largest count that shows a bad model.
proved: HashMap[uint256, HashMap[uint256, uint256]]


@external
def prove(items: uint256, least: uint256, correct: uint256):
    """
    @notice Show, once for all rounds, that `correct` of `items` is the largest count whose exact 99.9 % one-sided upper
            bound is below `least` (millionths). Anyone may call it.
    @dev That bound of Clopper and Pearson is below `least` exactly where P(X <= correct) < 1/1000 for a binomial X of
         probability `least`. Weights relative to the mode are floored at 2^-200; each step away from it multiplies by a
         ratio of 1 at most, so a weight is short by less than its distance, and a sum by less than items^2.
    """
    assert items >= MIN_ITEMS and items <= MAX_ITEMS, "bad_counts: number of items out of range"
    assert least != 0 and least < WHOLE, "bad_counts: threshold out of range"
    rest: uint256 = WHOLE - least
    mode: uint256 = (items + 1) * least // WHOLE
    assert correct < mode, "bad_counts: not the largest bad count"
    one: uint256 = 1 << 200
    whole: uint256 = one
    tail: uint256 = 0
    following: uint256 = one if correct + 1 == mode else 0
    weight: uint256 = one
    for step: uint256 in range(mode, bound=MAX_ITEMS):
        k: uint256 = mode - step
        weight = weight * k * rest // ((items + 1 - k) * least)
        if weight == 0:
            break
        whole += weight
        if k - 1 <= correct:
            tail += weight
        elif k - 1 == correct + 1:
            following = weight
    weight = one
    for k: uint256 in range(mode, items, bound=MAX_ITEMS):
        weight = weight * (items - k) * least // ((k + 1) * rest)
        if weight == 0:
            break
        whole += weight
    short: uint256 = items * items
    assert (
        (tail + short) * 1_000 < whole and (tail + following) * 1_000 >= whole + short
    ), "bad_counts: not the largest bad count"
    self.proved[items][least] = correct + 1
    log Proved(items=items, least=least, correct=correct)


@external
@view
@reentrant
def known(items: uint256, least: uint256) -> bool:
    """
    @notice Whether the count for a number of items and a threshold (millionths) was proved.
    """
    return self.proved[items][least] != 0


@external
@view
@reentrant
def is_bad(items: uint256, least: uint256, correct: uint256) -> bool:
    """
    @notice Whether `correct` of `items` show an accuracy below `least` (millionths).
    """
    proved: uint256 = self.proved[items][least]
    assert proved != 0, "bad_counts: prove it first"
    return correct < proved
