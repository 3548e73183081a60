# pragma version ~=0.4.3
"""
@title Powers
@license Apache-2.0
@notice What a weighted pool gives: `reserve * (1 - (into / (into + added)) ^ (weight_into / weight_out))`.
@dev The power is the exponential of a logarithm, both with 128 bits behind the point. log((into + added) / into) is
     twice the odd series of s = (a - b) / (a + b) after the powers of two were taken off, so s <= 1/3; the exponential
     of what is left below log 2 is its own series. Every step rounds so that less comes out: logarithm, exponent and
     exponential are all lower bounds, what remains in the pool is their reciprocal rounded up.
     A series ends with its first term of zero, so a small trade is also the cheapest. Twin:
     `tessera.spec.weighted_pool`, held against 120 decimal digits.
@custom:security Never more than the exact value, and less than it by at most two raw units: the errors of about a
     hundred roundings, times the largest exponent of 99, are below 2^-113, and reserves are below 2^96.
"""

# What reserves may have; what comes in may have 10 bits more.
MAX_RESERVE: constant(uint256) = 2**96 - 1
ONE: constant(uint256) = 2**128
# log 2 with 128 bits behind the point.
LOG_2_DOWN: constant(uint256) = 235865763225513294137944142764154484399
LOG_2_UP: constant(uint256) = 235865763225513294137944142764154484400
# What comes in is at most 1,000 times what is there: below 2^10 with it.
MAX_DOUBLINGS: constant(uint256) = 10
LOG_TERMS: constant(uint256) = 42
EXP_TERMS: constant(uint256) = 36
# 2^-129 of a reserve is less than one raw unit.
MAX_HALVINGS: constant(uint256) = 128


@internal
@pure
def _given(
    reserve: uint256, into: uint256, added: uint256, weight_into: uint256, weight_out: uint256
) -> uint256:
    """
    @param reserve Of what goes out; below 2^96, as is `into`, and both above 0.
    @param added At most 1,000 times `into`.
    @return Rounded down, and always less than the reserve.
    """
    exponent: uint256 = unsafe_div(
        unsafe_mul(self._log(unsafe_add(into, added), into), weight_into), weight_out
    )
    # e^-x = 2^-halvings / e^rest, and the rest is smaller than log 2.
    halvings: uint256 = unsafe_div(exponent, LOG_2_UP)
    if halvings >= MAX_HALVINGS:
        return unsafe_sub(reserve, 1)
    rest: uint256 = unsafe_sub(exponent, unsafe_mul(halvings, LOG_2_UP))
    # Rounded up twice: a shift that loses something leaves one more behind.
    left: uint256 = unsafe_add(unsafe_div(max_value(uint256), self._exp(rest)), 1)
    left = unsafe_add(unsafe_sub(left, 1) >> halvings, 1)
    return unsafe_mul(reserve, unsafe_sub(ONE, left)) >> 128


@internal
@pure
def _log(larger: uint256, smaller: uint256) -> uint256:
    """
    @return The natural logarithm of larger / smaller, between 1 and 1,001; rounded down.
    """
    doublings: uint256 = 0
    base: uint256 = smaller
    for _: uint256 in range(MAX_DOUBLINGS):
        if larger < base << 1:
            break
        base = base << 1
        doublings = unsafe_add(doublings, 1)
    term: uint256 = unsafe_div(unsafe_sub(larger, base) << 128, unsafe_add(larger, base))
    square: uint256 = unsafe_mul(term, term) >> 128
    total: uint256 = term
    for i: uint256 in range(LOG_TERMS):
        term = unsafe_mul(term, square) >> 128
        if term == 0:
            break
        total = unsafe_add(total, unsafe_div(term, unsafe_add(unsafe_mul(i, 2), 3)))
    return unsafe_add(unsafe_mul(total, 2), unsafe_mul(doublings, LOG_2_DOWN))


@internal
@pure
def _exp(rest: uint256) -> uint256:
    """
    @param rest Below log 2.
    @return e^rest, from 1 to 2; rounded down.
    """
    term: uint256 = ONE
    total: uint256 = ONE
    for i: uint256 in range(EXP_TERMS):
        term = unsafe_div(unsafe_mul(term, rest) >> 128, unsafe_add(i, 1))
        if term == 0:
            break
        total = unsafe_add(total, term)
    return total
