# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title SubnetPool
@license Apache-2.0
@notice A market for each subnet's token against the network token: one weighted pool per subnet, all in this contract.
        When a subnet is dissolved, what its holders paid in is shared among them.
@dev The invariant is tokens^w1 * tsr^w2 with w1 + w2 = 1; the price of a token is (w1 / w2) * (tsr / tokens). A pool
     begins with all tokens that there will ever be and what its subnet's owner gives for its opening, half and half by
     weight, so every token outside was bought here. 33 / 65,535 of what comes in stays in the pool.
     Nobody provides liquidity here. Who gives network tokens (`inject`) moves the weights and not the price, and has
     no claim to them: it is for the holders.
     `twap` is the mean of the price, weighted by how long it stood, with a memory of `mean_window` seconds: after a
     time t without a trade the old mean counts window / (window + t). A price that was moved and moved back within
     one second has no weight in it.
     Twin: `tessera.spec.weighted_pool`.
@custom:security `modules/powers.vy` never gives more than the exact amount, so no row of trades gains by rounding.
     Injection makes the pool deeper at the present price. At a price that somebody dumped for the purpose it would let
     them buy back for less, at the holders' cost: that pays only where w1 * log(mean / price) > 1, so injection is
     refused at a price beyond half or twice the mean.
     What stays when every token has come back never falls: the opening is not to be had by trading. It is not to be
     had by dissolution either: holders share what the pool has *beyond* it, and it goes to the commons. So whoever buys
     just before the end gets the average of what all have paid, and paid the last price, which is higher.
     Amounts are accounts, not balances: what is sent here by mistake changes no price, and stays.
     Limits and deadlines are a trader's protection against whoever trades before; a limit of 0 is none.
@custom:invariant solvent, conserved, price_honest, can_always_claim, settled_once
@custom:pause Nothing here can be paused. Trade in a subnet's token ends when the subnet is dissolved.
"""
from ethereum.ercs import IERC20
from .modules import clones
from .modules import powers


interface ISubnets:
    def owner_of(subnet: uint256) -> address: view
    def is_live(subnet: uint256) -> bool: view
    def is_dissolved(subnet: uint256) -> bool: view


interface ISubnetToken:
    def initialize() -> uint256: nonpayable


event PoolOpened:
    subnet: indexed(uint256)
    token: indexed(address)
    tokens: uint256
    amount: uint256


event Bought:
    subnet: indexed(uint256)
    buyer: indexed(address)
    receiver: indexed(address)
    tokens: uint256
    cost: uint256


event Sold:
    subnet: indexed(uint256)
    seller: indexed(address)
    receiver: indexed(address)
    tokens: uint256
    proceeds: uint256


event Injected:
    subnet: indexed(uint256)
    giver: indexed(address)
    amount: uint256
    weight: uint256


event PoolClosed:
    subnet: indexed(uint256)
    outside: uint256
    pot: uint256
    commons: uint256


event Redeemed:
    subnet: indexed(uint256)
    holder: indexed(address)
    receiver: indexed(address)
    tokens: uint256
    amount: uint256


# A pool's first word: tokens (96) | network tokens (96) | weight of the network token x 10^18 (60) | closed (1).
MASK_60: constant(uint256) = 2**60 - 1
MASK_96: constant(uint256) = 2**96 - 1
TSR_AT: constant(uint256) = 96
WEIGHT_AT: constant(uint256) = 192
CLOSED: constant(uint256) = 2**255
# Its second word: mean price (128) | time of the last change (40). A price is network tokens for 10^18 raw tokens.
MASK_128: constant(uint256) = 2**128 - 1

WHOLE: constant(uint256) = 10**18
HALF: constant(uint256) = 5 * 10**17
LEAST_WEIGHT: constant(uint256) = 10**16
FEE: constant(uint256) = 33
FEE_WHOLE: constant(uint256) = 65_535
# The least that comes in, and the most as a multiple of what is there.
LEAST_IN: constant(uint256) = 2 * 10**15
MOST_IN: constant(uint256) = 1_000
LEAST_OPENING: constant(uint256) = 10**18
BAND: constant(uint256) = 2

NETWORK_TOKEN: immutable(address)
SUBNETS: immutable(address)
SUBNET_TOKEN: immutable(address)
COMMONS: immutable(address)
MEAN_WINDOW: immutable(uint256)

pools: HashMap[uint256, uint256]
means: HashMap[uint256, uint256]
token_of: public(HashMap[uint256, address])
# What a subnet's owner gave to open its pool, raw network tokens. It never comes back.
opening_of: public(HashMap[uint256, uint256])


@deploy
def __init__(
    network_token: address,
    subnets: address,
    subnet_token: address,
    commons: address,
    mean_window: uint256,
):
    """
    @param subnets Knows who owns a subnet, and whether it still is one.
    @param subnet_token What every subnet's token is a clone of.
    @param commons Receives the opening of a subnet that is dissolved.
    @param mean_window Seconds after which a new price counts half in the mean.
    """
    assert mean_window != 0, "subnet_pool: window out of range"
    assert commons != empty(address), "subnet_pool: zero address"
    NETWORK_TOKEN = network_token
    SUBNETS = subnets
    SUBNET_TOKEN = subnet_token
    COMMONS = commons
    MEAN_WINDOW = mean_window


# --- The subnet's life ----------------------------------------------------------------------------------------------


@external
def open(subnet: uint256, amount: uint256) -> address:
    """
    @notice Make a subnet's token and its market, with `amount` of its owner's network tokens, which it never gets back.
    @return The token.
    """
    assert (
        msg.sender == staticcall ISubnets(SUBNETS).owner_of(subnet)
    ), "subnet_pool: only the subnet's owner"
    assert staticcall ISubnets(SUBNETS).is_live(subnet), "subnet_pool: subnet is not live"
    assert self.token_of[subnet] == empty(address), "subnet_pool: pool exists"
    assert (
        amount >= LEAST_OPENING and amount <= powers.MAX_RESERVE
    ), "subnet_pool: opening out of range"
    token: address = clones._clone(SUBNET_TOKEN, abi_encode(subnet), empty(bytes32))
    self.token_of[subnet] = token
    self.opening_of[subnet] = amount
    tokens: uint256 = extcall ISubnetToken(token).initialize()
    word: uint256 = tokens | (amount << TSR_AT) | (HALF << WEIGHT_AT)
    self.pools[subnet] = word
    self.means[subnet] = self._price(word) | (block.timestamp << 128)
    log PoolOpened(subnet=subnet, token=token, tokens=tokens, amount=amount)
    self._take(NETWORK_TOKEN, amount)
    return token


@external
def close(subnet: uint256):
    """
    @notice End trade for good, once the subnet is dissolved. Anyone may. Holders share what the pool has beyond its
            opening; that goes to the commons, and so does all of it where nobody holds any.
    """
    assert staticcall ISubnets(SUBNETS).is_dissolved(subnet), "subnet_pool: subnet is not dissolved"
    word: uint256 = self._open(subnet)
    pot: uint256 = (word >> TSR_AT) & MASK_96
    outside: uint256 = (staticcall IERC20(self.token_of[subnet]).totalSupply() - (word & MASK_96))
    commons: uint256 = pot
    if outside != 0:
        commons = min(pot, self.opening_of[subnet])
    pot -= commons
    # From now on: tokens outside that were not redeemed, and what is left for them.
    self.pools[subnet] = outside | (pot << TSR_AT) | CLOSED
    log PoolClosed(subnet=subnet, outside=outside, pot=pot, commons=commons)
    self._give(NETWORK_TOKEN, COMMONS, commons)


@external
def redeem(subnet: uint256, tokens: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Give back tokens of a subnet that was dissolved for their part of its pot. It never expires.
    @return Network tokens, rounded down; the last to come gets all that is left.
    """
    word: uint256 = self.pools[subnet]
    assert word & CLOSED != 0, "subnet_pool: not closed"
    outside: uint256 = word & MASK_96
    assert tokens != 0 and tokens <= outside, "subnet_pool: more than is outside"
    pot: uint256 = (word >> TSR_AT) & MASK_96
    amount: uint256 = unsafe_div(unsafe_mul(pot, tokens), outside)
    self.pools[subnet] = unsafe_sub(outside, tokens) | (unsafe_sub(pot, amount) << TSR_AT) | CLOSED
    log Redeemed(subnet=subnet, holder=msg.sender, receiver=receiver, tokens=tokens, amount=amount)
    self._take(self.token_of[subnet], tokens)
    self._give(NETWORK_TOKEN, receiver, amount)
    return amount


@external
def inject(subnet: uint256, amount: uint256):
    """
    @notice Give network tokens to a pool, for its holders. The price stays, the weights move.
    """
    assert amount >= LEAST_IN and amount <= powers.MAX_RESERVE, "subnet_pool: amount out of range"
    word: uint256 = self._open(subnet)
    mean: uint256 = self._mean(subnet, word)
    price: uint256 = self._price(word)
    assert price <= mean * BAND and mean <= price * BAND, "subnet_pool: price is not settled"
    changed: uint256 = self._injected(word, amount)
    self._store(subnet, changed, mean)
    log Injected(subnet=subnet, giver=msg.sender, amount=amount, weight=changed >> WEIGHT_AT)
    self._take(NETWORK_TOKEN, amount)


# --- Trade ----------------------------------------------------------------------------------------------------------


@external
def buy(
    subnet: uint256,
    amount: uint256,
    least: uint256,
    deadline: uint256,
    receiver: address = msg.sender,
) -> uint256:
    """
    @notice Give exactly `amount` network tokens for at least `least` raw tokens of a subnet.
    @param deadline The last second at which this may happen.
    @return What `receiver` got, rounded down.
    """
    assert block.timestamp <= deadline, "subnet_pool: too late"
    word: uint256 = self._open(subnet)
    tokens: uint256 = self._bought(word, amount)
    assert tokens >= least, "subnet_pool: less than the limit"
    self._store(
        subnet, unsafe_sub(unsafe_add(word, amount << TSR_AT), tokens), self._mean(subnet, word)
    )
    log Bought(subnet=subnet, buyer=msg.sender, receiver=receiver, tokens=tokens, cost=amount)
    self._take(NETWORK_TOKEN, amount)
    self._give(self.token_of[subnet], receiver, tokens)
    return tokens


@external
def sell(
    subnet: uint256,
    tokens: uint256,
    least: uint256,
    deadline: uint256,
    receiver: address = msg.sender,
) -> uint256:
    """
    @notice Give exactly `tokens` raw tokens of a subnet for at least `least` network tokens.
    @param deadline The last second at which this may happen.
    @return What `receiver` got, rounded down.
    """
    assert block.timestamp <= deadline, "subnet_pool: too late"
    word: uint256 = self._open(subnet)
    amount: uint256 = self._proceeds(word, tokens)
    assert amount >= least, "subnet_pool: less than the limit"
    self._store(
        subnet, unsafe_sub(unsafe_add(word, tokens), amount << TSR_AT), self._mean(subnet, word)
    )
    log Sold(subnet=subnet, seller=msg.sender, receiver=receiver, tokens=tokens, proceeds=amount)
    self._take(self.token_of[subnet], tokens)
    self._give(NETWORK_TOKEN, receiver, amount)
    return amount


# --- Arithmetic -----------------------------------------------------------------------------------------------------


@internal
@view
def _open(subnet: uint256) -> uint256:
    word: uint256 = self.pools[subnet]
    assert word != 0, "subnet_pool: no such pool"
    assert word & CLOSED == 0, "subnet_pool: closed"
    return word


@internal
@pure
def _net(amount: uint256, into: uint256) -> uint256:
    """
    @dev What counts of what comes in.
    """
    assert amount >= LEAST_IN, "subnet_pool: too little"
    assert amount <= unsafe_mul(into, MOST_IN), "subnet_pool: too much at once"
    assert amount <= unsafe_sub(powers.MAX_RESERVE, into), "subnet_pool: pool is full"
    return unsafe_sub(amount, unsafe_div(unsafe_mul(amount, FEE), FEE_WHOLE))


@internal
@pure
def _bought(word: uint256, amount: uint256) -> uint256:
    tsr: uint256 = (word >> TSR_AT) & MASK_96
    weight: uint256 = word >> WEIGHT_AT
    tokens: uint256 = powers._given(
        word & MASK_96, tsr, self._net(amount, tsr), weight, unsafe_sub(WHOLE, weight)
    )
    assert tokens != 0, "subnet_pool: nothing comes out"
    return tokens


@internal
@pure
def _proceeds(word: uint256, tokens: uint256) -> uint256:
    have: uint256 = word & MASK_96
    weight: uint256 = word >> WEIGHT_AT
    amount: uint256 = powers._given(
        (word >> TSR_AT) & MASK_96, have, self._net(tokens, have), unsafe_sub(WHOLE, weight), weight
    )
    assert amount != 0, "subnet_pool: nothing comes out"
    return amount


@internal
@pure
def _injected(word: uint256, amount: uint256) -> uint256:
    """
    @dev w2' = w2 (y + dy) / (w1 y + w2 (y + dy)), rounded down: the price rises by less than 10^-16 of itself.
    """
    tsr: uint256 = (word >> TSR_AT) & MASK_96
    assert amount <= unsafe_sub(powers.MAX_RESERVE, tsr), "subnet_pool: pool is full"
    weight: uint256 = word >> WEIGHT_AT
    part: uint256 = weight * (tsr + amount)
    changed: uint256 = part * WHOLE // ((WHOLE - weight) * tsr + part)
    assert changed <= WHOLE - LEAST_WEIGHT, "subnet_pool: weight out of range"
    return (word & MASK_96) | ((tsr + amount) << TSR_AT) | (changed << WEIGHT_AT)


@internal
@pure
def _price(word: uint256) -> uint256:
    """
    @dev Network tokens for 10^18 raw tokens, rounded down.
    """
    weight: uint256 = word >> WEIGHT_AT
    return min(
        (WHOLE - weight) * ((word >> TSR_AT) & MASK_96) * WHOLE // (weight * (word & MASK_96)),
        MASK_128,
    )


@internal
@view
def _mean(subnet: uint256, word: uint256) -> uint256:
    """
    @dev The mean with the present price counted in for as long as it has stood; rounded down.
    """
    kept: uint256 = self.means[subnet]
    stood: uint256 = block.timestamp - (kept >> 128)
    return ((kept & MASK_128) * MEAN_WINDOW + self._price(word) * stood) // (MEAN_WINDOW + stood)


@internal
def _store(subnet: uint256, word: uint256, mean: uint256):
    self.pools[subnet] = word
    self.means[subnet] = mean | (block.timestamp << 128)


@internal
def _take(token: address, amount: uint256):
    assert extcall IERC20(token).transferFrom(
        msg.sender, self, amount
    ), "subnet_pool: token refused the transfer"


@internal
def _give(token: address, receiver: address, amount: uint256):
    assert extcall IERC20(token).transfer(
        receiver, amount
    ), "subnet_pool: token refused the transfer"


# --- Views ----------------------------------------------------------------------------------------------------------
# None of them can be read in the middle of a change: they hold the lock too, so a price is never half a trade.


@external
@view
def pool_of(subnet: uint256) -> (uint256, uint256, uint256, bool):
    """
    @return Raw tokens and network tokens in the pool, the weight of the network token x 10^18, and whether it is
            closed; then the tokens are those outside that were not redeemed, and the rest is what they share.
    """
    word: uint256 = self.pools[subnet]
    return word & MASK_96, (word >> TSR_AT) & MASK_96, (word >> WEIGHT_AT) & MASK_60, (
        word & CLOSED != 0
    )


@external
@view
def price_of(subnet: uint256) -> uint256:
    """
    @return Network tokens for 10^18 raw tokens, before fee, rounded down.
    """
    return self._price(self._open(subnet))


@external
@view
def twap(subnet: uint256) -> uint256:
    """
    @return The mean price over the last `mean_window` seconds or so: network tokens for 10^18 raw tokens.
    """
    return self._mean(subnet, self._open(subnet))


@external
@view
def preview_buy(subnet: uint256, amount: uint256) -> uint256:
    """
    @notice What `buy` would give.
    """
    return self._bought(self._open(subnet), amount)


@external
@view
def preview_sell(subnet: uint256, tokens: uint256) -> uint256:
    """
    @notice What `sell` would give.
    """
    return self._proceeds(self._open(subnet), tokens)


@external
@view
def preview_redeem(subnet: uint256, tokens: uint256) -> uint256:
    """
    @notice What `redeem` would give.
    """
    word: uint256 = self.pools[subnet]
    assert word & CLOSED != 0, "subnet_pool: not closed"
    outside: uint256 = word & MASK_96
    assert tokens != 0 and tokens <= outside, "subnet_pool: more than is outside"
    return ((word >> TSR_AT) & MASK_96) * tokens // outside


@external
@view
@reentrant
def mean_window() -> uint256:
    """
    @notice Seconds after which a new price counts half in the mean.
    """
    return MEAN_WINDOW
