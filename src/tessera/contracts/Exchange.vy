# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Exchange
@license Apache-2.0
@notice Trades any Share or Access against the currency, day and night: one pool for each token, constant product, a
        fee that stays with those who provide. Who provides earns the revenue of the shares in the pool too.
@dev A pool is one storage word. Its reserves are accounts and not balances: what is sent here by mistake changes no
     price. Everything that the Exchange holds of one Share lies in that Share's one pool, so the Share itself keeps
     the pool's revenue at every transfer, and a swap has no revenue to account for. It is fetched and spread over the
     providers (accruals.vy) before each change of what anyone provides, and never lies in the reserves.
     `skim` sends what was sent here by mistake to the asset's controller. There is no `sync`: reserves that follow
     balances would let a gift move the price. Twin: `tessera.spec.exchange`.
@custom:security `twap` is a geometric mean over time: a price that was moved and moved back within one second has no
     weight in it, one held for k seconds the weight k / window. It says what was traded, not what a token is worth,
     and a pool with little in it is cheap to move: look at `reserves_of` too. Limits and deadlines are the caller's
     protection against whoever trades before: a limit of 0 is none. Surplus shares sent here earn for the providers
     until somebody skims them. The currency itself cannot be skimmed, since reserves of all pools lie in it: what of
     it is sent here by mistake stays. The first provider of a pool chooses its price; who adds at a wrong one loses to
     the next trader, so bound it by `most_tokens` and `most_currency`. A currency that takes a fee in transit is
     refused; one that shrinks balances in place must not be chosen. While the currency refuses to pay this address,
     nobody can add liquidity or move a position, and who removes forgoes what is held up. Times are kept in 32 bits.
@custom:invariant solvent, conserved, price_honest, can_always_claim, no_past_revenue, never_early
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import accruals

initializes: accruals


interface IShare:
    def asset() -> uint256: view
    def currency() -> address: view


interface IRegistry:
    def share_of(asset: uint256) -> address: view
    def ownerOf(asset: uint256) -> address: view
    def controller_of(asset: uint256) -> address: view


interface ILaunchpad:
    def asset_of(clone: address) -> uint256: view
    def open_sales(asset: uint256) -> uint256: view
    def anyone_opens(asset: uint256) -> bool: view


interface IStorefront:
    def asset_of(token: address) -> uint256: view


struct Lock:
    holder: address
    amount: uint256
    until: uint256


event PoolOpened:
    token: indexed(address)
    asset: indexed(uint256)
    provider: indexed(address)
    tier: uint256
    tokens: uint256
    currency_amount: uint256
    liquidity: uint256
    locked_until: uint256


event LiquidityAdded:
    token: indexed(address)
    provider: indexed(address)
    tokens: uint256
    currency_amount: uint256
    liquidity: uint256


event LiquidityRemoved:
    token: indexed(address)
    provider: indexed(address)
    receiver: indexed(address)
    tokens: uint256
    currency_amount: uint256
    liquidity: uint256


event Bought:
    token: indexed(address)
    buyer: indexed(address)
    receiver: indexed(address)
    tokens: uint256
    cost: uint256


event Sold:
    token: indexed(address)
    seller: indexed(address)
    receiver: indexed(address)
    tokens: uint256
    proceeds: uint256


event RevenueClaimed:
    token: indexed(address)
    provider: indexed(address)
    receiver: indexed(address)
    amount: uint256


event Skimmed:
    token: indexed(address)
    receiver: indexed(address)
    amount: uint256


# ERC-6909; an id is the token's address as a number.
event Transfer:
    caller: address
    sender: indexed(address)
    receiver: indexed(address)
    token_id: indexed(uint256)
    amount: uint256


event OperatorSet:
    owner: indexed(address)
    spender: indexed(address)
    approved: bool


event Approval:
    owner: indexed(address)
    spender: indexed(address)
    token_id: indexed(uint256)
    amount: uint256


MASK_32: constant(uint256) = 2**32 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_86: constant(uint256) = 2**86 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_160: constant(uint256) = 2**160 - 1
# Pool word: tokens (96) | currency (86) | time of the last change (32) | log price x seconds, modulo 2^40 (40) | tier (2).
TIME_AT: constant(uint256) = 182
CUMULATIVE_AT: constant(uint256) = 214
TIER_AT: constant(uint256) = 254
CLOCK_AND_TIER: constant(uint256) = (2**74 - 1) << TIME_AT
TIER: constant(uint256) = 3 << TIER_AT

# The four fees, bps of what comes in.
FEES: constant(uint256) = 5 | (30 << 16) | (100 << 32) | (300 << 48)
STANDARD_TIER: constant(uint256) = 1
BPS: constant(uint256) = 10_000

# Liquidity is the root of tokens x currency, x 2^20, so that pools of few and large units can be divided too. The
# first 2^20 belong to nobody and earn nothing: a pool is never empty.
LIQUIDITY_BITS: constant(uint256) = 20
BURNT: constant(uint256) = 2**20

# Log prices are log2(currency / tokens) + 128 with 12 bits behind the point: from 32 to 214, so below 2^20.
BIAS: constant(uint256) = 128
# The first change in each of these many seconds is written down, in a ring. A week fits, and in a week the log price
# adds up to less than 2^40.
OBSERVE_EVERY: constant(uint256) = 600
RING: constant(uint256) = 1_024
MAX_WINDOW: constant(uint256) = (RING - 1) * OBSERVE_EVERY
ONE_64: constant(uint256) = 2**64
# log2(1 + m) = m + m (1 - m) (A - m (B - m (C - m D))) within 2^-15 for m from 0 to 1; all x 2^64.
LOG_A: constant(uint256) = 8151930223953333248
LOG_B: constant(uint256) = 4928587993248025600
LOG_C: constant(uint256) = 2737984300067106304
LOG_D: constant(uint256) = 832850579147029632
# 2^(2^-1), 2^(2^-2) .. 2^(2^-12), x 2^127, rounded down.
ROOTS: constant(uint256[12]) = [
    240615969168004511545033772477625056927,
    202333105926173297125496651828617737974,
    185540276208459938995127072211809418384,
    177673977198940748734846910156470796722,
    173866790246890464404407762706616159231,
    171993899476345128343537119045365325556,
    171065033261874822595940777772823543072,
    170602483006197525731794653098558769826,
    170371677106169961072198743641682326478,
    170256391277944949404429781835504013320,
    170198777621163499323692536336548950768,
    170169978104217854377876329753244978067,
]
# What a price is quoted for: 10^18 raw units, one whole share.
WHOLE: constant(uint256) = 10**18

ERC165_ID: constant(bytes4) = 0x01ffc9a7
ERC6909_ID: constant(bytes4) = 0x0f632fb3

CURRENCY: immutable(address)
REGISTRY: immutable(address)
LAUNCHPAD: immutable(address)
STOREFRONT: immutable(address)

pools: HashMap[address, uint256]
# Time (32) | log price x seconds (40) | time of the change before (32) | log price since then (20).
observations: HashMap[address, HashMap[uint256, uint256]]
# All liquidity of a pool, what is burnt included.
liquidity_of: public(HashMap[address, uint256])
# Token, then provider.
positions: HashMap[address, HashMap[address, uint256]]
lock_of: public(HashMap[address, Lock])
# ERC-6909.
allowance: public(HashMap[address, HashMap[address, HashMap[uint256, uint256]]])
isOperator: public(HashMap[address, HashMap[address, bool]])


@deploy
def __init__(currency: address, registry: address, launchpad: address, storefront: address):
    CURRENCY = currency
    REGISTRY = registry
    LAUNCHPAD = launchpad
    STOREFRONT = storefront


# --- Swaps ----------------------------------------------------------------------------------------------------------


@external
def swap_exact_in(
    token_in: address,
    token_out: address,
    amount_in: uint256,
    least_out: uint256,
    receiver: address,
    deadline: uint256,
) -> uint256:
    """
    @notice Give exactly `amount_in` and get at least `least_out`. Either token may be the currency; else the trade goes
            through it, without a transfer between.
    @param deadline The last second at which this may happen.
    @return What `receiver` got, rounded down.
    """
    return self._swap_exact_in(token_in, token_out, amount_in, least_out, receiver, deadline)


@external
def swap_exact_in_with_permit(
    token_in: address,
    token_out: address,
    amount_in: uint256,
    least_out: uint256,
    receiver: address,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
) -> uint256:
    """
    @notice As `swap_exact_in`, with an EIP-2612 permit for `amount_in` and the same deadline.
    """
    self._permit(token_in, amount_in, deadline, v, r, s)
    return self._swap_exact_in(token_in, token_out, amount_in, least_out, receiver, deadline)


@external
def swap_exact_out(
    token_in: address,
    token_out: address,
    amount_out: uint256,
    most_in: uint256,
    receiver: address,
    deadline: uint256,
) -> uint256:
    """
    @notice Get exactly `amount_out` and give at most `most_in`.
    @return What it took, rounded up.
    """
    return self._swap_exact_out(token_in, token_out, amount_out, most_in, receiver, deadline)


@external
def swap_exact_out_with_permit(
    token_in: address,
    token_out: address,
    amount_out: uint256,
    most_in: uint256,
    receiver: address,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
) -> uint256:
    """
    @notice As `swap_exact_out`, with an EIP-2612 permit for `most_in` and the same deadline.
    """
    self._permit(token_in, most_in, deadline, v, r, s)
    return self._swap_exact_out(token_in, token_out, amount_out, most_in, receiver, deadline)


@internal
def _swap_exact_in(
    token_in: address,
    token_out: address,
    amount_in: uint256,
    least_out: uint256,
    receiver: address,
    deadline: uint256,
) -> uint256:
    self._check(token_in, token_out, receiver, deadline)
    amount: uint256 = amount_in
    if token_in != CURRENCY:
        word: uint256 = self._pool(token_in)
        amount = self._proceeds(word, amount_in)
        self._sell(token_in, word, amount_in, amount, receiver)
    if token_out != CURRENCY:
        word: uint256 = self._pool(token_out)
        bought: uint256 = self._bought(word, amount)
        self._buy(token_out, word, bought, amount, receiver)
        amount = bought
    assert amount >= least_out, "exchange: less than the limit"
    self._take(token_in, amount_in)
    self._give(token_out, receiver, amount)
    return amount


@internal
def _swap_exact_out(
    token_in: address,
    token_out: address,
    amount_out: uint256,
    most_in: uint256,
    receiver: address,
    deadline: uint256,
) -> uint256:
    self._check(token_in, token_out, receiver, deadline)
    amount: uint256 = amount_out
    if token_out != CURRENCY:
        word: uint256 = self._pool(token_out)
        amount = self._cost(word, amount_out)
        self._buy(token_out, word, amount_out, amount, receiver)
    if token_in != CURRENCY:
        word: uint256 = self._pool(token_in)
        sold: uint256 = self._needed(word, amount)
        self._sell(token_in, word, sold, amount, receiver)
        amount = sold
    assert amount <= most_in, "exchange: more than the limit"
    self._take(token_in, amount)
    self._give(token_out, receiver, amount_out)
    return amount


@internal
@view
def _check(token_in: address, token_out: address, receiver: address, deadline: uint256):
    assert block.timestamp <= deadline, "exchange: too late"
    assert token_in != token_out, "exchange: one token on both sides"
    assert receiver != self, "exchange: receiver is the exchange"


@internal
def _sell(token: address, word: uint256, tokens: uint256, proceeds: uint256, receiver: address):
    self._store(
        token,
        word,
        unsafe_add(word & MASK_96, tokens),
        unsafe_sub((word >> 96) & MASK_86, proceeds),
    )
    log Sold(token=token, seller=msg.sender, receiver=receiver, tokens=tokens, proceeds=proceeds)


@internal
def _buy(token: address, word: uint256, tokens: uint256, cost: uint256, receiver: address):
    self._store(
        token, word, unsafe_sub(word & MASK_96, tokens), unsafe_add((word >> 96) & MASK_86, cost)
    )
    log Bought(token=token, buyer=msg.sender, receiver=receiver, tokens=tokens, cost=cost)


@internal
def _permit(token: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    # Whoever saw the permit in the mempool may have used it already: then the allowance is there, and if it is not,
    # the transfer says so.
    used: bool = raw_call(
        token,
        abi_encode(
            msg.sender,
            self,
            amount,
            deadline,
            v,
            r,
            s,
            method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
        ),
        revert_on_failure=False,
    )


# --- Liquidity ------------------------------------------------------------------------------------------------------


@external
def open_pool(
    token: address,
    tokens: uint256,
    currency_amount: uint256,
    tier: uint256,
    provider: address,
    locked_until: uint256,
) -> uint256:
    """
    @notice Open the one pool of a Share or an Access with both sides from the caller, and so set its first price.
            While an asset has an open sale, only that sale can; until one found a price, only it or the owner.
    @param tier 0 to 3: 0.05, 0.3, 1 or 3 %, for ever. Whoever is neither the asset's controller nor its sale takes 0.3.
    @param locked_until Unix seconds before which the provider's liquidity here neither leaves nor moves; it earns.
    @return The provider's liquidity.
    """
    assert self.pools[token] == 0, "exchange: pool exists"
    assert tier < 4, "exchange: no such fee"
    self._check_provider(provider)
    asset: uint256 = self._asset_of(token)
    assert asset != 0, "exchange: neither a share nor an access"
    by_sale: bool = False
    if not self._is_access(token):
        assert (
            staticcall IShare(token).currency() == CURRENCY
        ), "exchange: share earns another currency"
        by_sale = staticcall ILaunchpad(LAUNCHPAD).asset_of(msg.sender) == asset
        if not by_sale:
            assert (
                staticcall ILaunchpad(LAUNCHPAD).open_sales(asset) == 0
            ), "exchange: a sale is open"
            assert (
                msg.sender == staticcall IRegistry(REGISTRY).ownerOf(asset)
                or staticcall ILaunchpad(LAUNCHPAD).anyone_opens(asset)
            ), "exchange: no sale has found a price yet"
    assert (
        tier == STANDARD_TIER
        or by_sale
        or msg.sender == staticcall IRegistry(REGISTRY).controller_of(asset)
    ), "exchange: only the asset's controller chooses the fee"
    assert tokens <= MASK_96 and currency_amount <= MASK_86, "exchange: pool is full"
    liquidity: uint256 = isqrt((tokens * currency_amount) << (2 * LIQUIDITY_BITS))
    assert liquidity > BURNT, "exchange: too little"
    now: uint256 = block.timestamp
    self.pools[token] = tokens | (currency_amount << 96) | (now << TIME_AT) | (tier << TIER_AT)
    self.observations[token][(now // OBSERVE_EVERY) % RING] = now | (now << 72)
    self.liquidity_of[token] = BURNT
    log Transfer(
        caller=msg.sender,
        sender=empty(address),
        receiver=empty(address),
        token_id=convert(token, uint256),
        amount=BURNT,
    )
    liquidity = unsafe_sub(liquidity, BURNT)
    # Revenue that came in before there was a provider belongs to the first ones.
    self._mint(token, provider, liquidity)
    if locked_until > now:
        self.lock_of[token] = Lock(holder=provider, amount=liquidity, until=locked_until)
    log PoolOpened(
        token=token,
        asset=asset,
        provider=provider,
        tier=tier,
        tokens=tokens,
        currency_amount=currency_amount,
        liquidity=liquidity,
        locked_until=locked_until,
    )
    self._take(token, tokens)
    self._take(CURRENCY, currency_amount)
    return liquidity


@external
def add_liquidity(
    token: address,
    most_tokens: uint256,
    most_currency: uint256,
    least_liquidity: uint256,
    provider: address,
    deadline: uint256,
) -> uint256:
    """
    @notice Put both sides into a pool at its present price.
    @return The liquidity added.
    """
    assert block.timestamp <= deadline, "exchange: too late"
    self._check_provider(provider)
    word: uint256 = self._pool(token)
    liquidity: uint256 = 0
    tokens: uint256 = 0
    currency_amount: uint256 = 0
    liquidity, tokens, currency_amount = self._added(
        word, self.liquidity_of[token], most_tokens, most_currency
    )
    assert liquidity >= least_liquidity, "exchange: less than the limit"
    self._fetch(token)
    self._store(
        token,
        word,
        unsafe_add(word & MASK_96, tokens),
        unsafe_add((word >> 96) & MASK_86, currency_amount),
    )
    self._mint(token, provider, liquidity)
    log LiquidityAdded(
        token=token,
        provider=provider,
        tokens=tokens,
        currency_amount=currency_amount,
        liquidity=liquidity,
    )
    self._take(token, tokens)
    self._take(CURRENCY, currency_amount)
    return liquidity


@external
def remove_liquidity(
    token: address,
    liquidity: uint256,
    least_tokens: uint256,
    least_currency: uint256,
    receiver: address,
    deadline: uint256,
) -> (uint256, uint256):
    """
    @notice Take the caller's part out of a pool, both sides at its present price. Revenue is claimed apart.
    @return Tokens and currency, both rounded down.
    """
    assert block.timestamp <= deadline, "exchange: too late"
    assert receiver != self, "exchange: receiver is the exchange"
    word: uint256 = self._pool(token)
    have: uint256 = word & MASK_96
    money: uint256 = (word >> 96) & MASK_86
    total: uint256 = self.liquidity_of[token]
    # Revenue that the currency holds up is forgone by leaving, and by nobody else.
    fetched: bool = self._try_to_fetch(token)
    self._burn(token, msg.sender, liquidity)
    tokens: uint256 = liquidity * have // total
    currency_amount: uint256 = liquidity * money // total
    assert (
        tokens >= least_tokens and currency_amount >= least_currency
    ), "exchange: less than the limit"
    # Something is left on both sides: less than all liquidity left, and it was rounded down.
    self._store(token, word, have - tokens, money - currency_amount)
    log LiquidityRemoved(
        token=token,
        provider=msg.sender,
        receiver=receiver,
        tokens=tokens,
        currency_amount=currency_amount,
        liquidity=liquidity,
    )
    self._give(token, receiver, tokens)
    self._give(CURRENCY, receiver, currency_amount)
    return tokens, currency_amount


@external
def claim(token: address, receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the revenue that the shares behind the caller's liquidity earned.
    @return Base units of the currency, rounded down; the fraction stays on the account.
    """
    assert receiver != self, "exchange: receiver is the exchange"
    fetched: bool = self._try_to_fetch(token)
    accruals._settle(token, msg.sender, self.positions[token][msg.sender])
    amount: uint256 = accruals._take(token, msg.sender)
    log RevenueClaimed(token=token, provider=msg.sender, receiver=receiver, amount=amount)
    if amount != 0:
        self._give(CURRENCY, receiver, amount)
    return amount


@external
def skim(token: address) -> uint256:
    """
    @notice Send what lies here of a Share or an Access beyond its pool to the asset's controller. Anyone may call it.
    """
    asset: uint256 = self._asset_of(token)
    assert asset != 0, "exchange: neither a share nor an access"
    receiver: address = staticcall IRegistry(REGISTRY).controller_of(asset)
    amount: uint256 = staticcall IERC20(token).balanceOf(self) - (self.pools[token] & MASK_96)
    log Skimmed(token=token, receiver=receiver, amount=amount)
    self._give(token, receiver, amount)
    return amount


# --- ERC-6909: liquidity as a token -----------------------------------------------------------------------------------


@external
def transfer(receiver: address, token_id: uint256, amount: uint256) -> bool:
    """
    @notice Give liquidity away, without what it earned so far.
    """
    self._transfer(msg.sender, receiver, token_id, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, token_id: uint256, amount: uint256) -> bool:
    if msg.sender != sender and not self.isOperator[sender][msg.sender]:
        allowed: uint256 = self.allowance[sender][msg.sender][token_id]
        if allowed != max_value(uint256):
            assert allowed >= amount, "exchange: allowance too low"
            self.allowance[sender][msg.sender][token_id] = unsafe_sub(allowed, amount)
    self._transfer(sender, receiver, token_id, amount)
    return True


@external
def approve(spender: address, token_id: uint256, amount: uint256) -> bool:
    self.allowance[msg.sender][spender][token_id] = amount
    log Approval(owner=msg.sender, spender=spender, token_id=token_id, amount=amount)
    return True


@external
def setOperator(spender: address, approved: bool) -> bool:
    self.isOperator[msg.sender][spender] = approved
    log OperatorSet(owner=msg.sender, spender=spender, approved=approved)
    return True


@external
@view
def balanceOf(owner: address, token_id: uint256) -> uint256:
    return self.positions[self._token_of(token_id)][owner]


@external
@pure
def supportsInterface(interface_id: bytes4) -> bool:
    return interface_id in [ERC165_ID, ERC6909_ID]


@internal
def _transfer(sender: address, receiver: address, token_id: uint256, amount: uint256):
    token: address = self._token_of(token_id)
    self._check_provider(receiver)
    self._fetch(token)
    self._debit(token, sender, amount)
    self._credit(token, receiver, amount)
    log Transfer(
        caller=msg.sender, sender=sender, receiver=receiver, token_id=token_id, amount=amount
    )


@internal
def _mint(token: address, provider: address, amount: uint256):
    self.liquidity_of[token] += amount
    self._credit(token, provider, amount)
    log Transfer(
        caller=msg.sender,
        sender=empty(address),
        receiver=provider,
        token_id=convert(token, uint256),
        amount=amount,
    )


@internal
def _burn(token: address, provider: address, amount: uint256):
    self._debit(token, provider, amount)
    self.liquidity_of[token] -= amount
    log Transfer(
        caller=msg.sender,
        sender=provider,
        receiver=empty(address),
        token_id=convert(token, uint256),
        amount=amount,
    )


@internal
def _debit(token: address, provider: address, amount: uint256):
    held: uint256 = self.positions[token][provider]
    assert amount <= held, "exchange: not that much liquidity"
    lock: Lock = self.lock_of[token]
    if lock.holder == provider and block.timestamp < lock.until:
        assert unsafe_sub(held, amount) >= lock.amount, "exchange: liquidity is locked"
    accruals._settle(token, provider, held)
    self.positions[token][provider] = unsafe_sub(held, amount)


@internal
def _credit(token: address, provider: address, amount: uint256):
    held: uint256 = self.positions[token][provider]
    accruals._settle(token, provider, held)
    self.positions[token][provider] = held + amount


@internal
@view
def _check_provider(provider: address):
    assert (
        provider != empty(address) and provider != self
    ), "exchange: provider is the zero address or the exchange"


# --- Revenue of the pool ----------------------------------------------------------------------------------------------


@internal
def _fetch(token: address):
    assert self._try_to_fetch(token), "exchange: revenue is held up"


@internal
def _try_to_fetch(token: address) -> bool:
    """
    @dev Before any change of what anyone provides. An Access earns nothing.
    """
    self._pool(token)
    if self._is_access(token):
        return True
    return accruals._pull(token, self.liquidity_of[token] - BURNT)


# --- Moving tokens ----------------------------------------------------------------------------------------------------


@internal
def _take(token: address, amount: uint256):
    """
    @dev A Share and an Access are ours and deliver what they say; the currency has to show it.
    """
    if token == CURRENCY:
        before: uint256 = staticcall IERC20(token).balanceOf(self)
        assert extcall IERC20(token).transferFrom(
            msg.sender, self, amount, default_return_value=True
        ), "exchange: currency refused the transfer"
        assert (
            staticcall IERC20(token).balanceOf(self) - before == amount
        ), "exchange: currency takes a fee"
    else:
        assert extcall IERC20(token).transferFrom(
            msg.sender, self, amount
        ), "exchange: token refused the transfer"


@internal
def _give(token: address, receiver: address, amount: uint256):
    assert extcall IERC20(token).transfer(
        receiver, amount, default_return_value=True
    ), "exchange: token refused the transfer"


# --- Arithmetic -------------------------------------------------------------------------------------------------------


@internal
@view
def _pool(token: address) -> uint256:
    word: uint256 = self.pools[token]
    assert word != 0, "exchange: no such pool"
    return word


@internal
@pure
def _kept_bps(word: uint256) -> uint256:
    """
    @dev What is left of 10,000 after the pool's fee.
    """
    return unsafe_sub(BPS, (FEES >> ((word >> TIER_AT) << 4)) & (2**16 - 1))


@internal
@pure
def _proceeds(word: uint256, tokens: uint256) -> uint256:
    """
    @dev Currency for tokens that come in, rounded down; never all of it. Nothing overflows: 96 + 86 + 14 bits.
    """
    have: uint256 = word & MASK_96
    assert tokens <= unsafe_sub(MASK_96, have), "exchange: pool is full"
    paid: uint256 = unsafe_mul(tokens, self._kept_bps(word))
    proceeds: uint256 = unsafe_div(
        unsafe_mul((word >> 96) & MASK_86, paid), unsafe_add(unsafe_mul(have, BPS), paid)
    )
    assert proceeds != 0, "exchange: nothing comes out"
    return proceeds


@internal
@pure
def _bought(word: uint256, cost: uint256) -> uint256:
    """
    @dev Tokens for currency that comes in, rounded down; never all of them.
    """
    money: uint256 = (word >> 96) & MASK_86
    assert cost <= unsafe_sub(MASK_86, money), "exchange: pool is full"
    paid: uint256 = unsafe_mul(cost, self._kept_bps(word))
    tokens: uint256 = unsafe_div(
        unsafe_mul(word & MASK_96, paid), unsafe_add(unsafe_mul(money, BPS), paid)
    )
    assert tokens != 0, "exchange: nothing comes out"
    return tokens


@internal
@pure
def _cost(word: uint256, tokens: uint256) -> uint256:
    """
    @dev Currency that tokens cost, rounded up.
    """
    have: uint256 = word & MASK_96
    money: uint256 = (word >> 96) & MASK_86
    assert tokens != 0, "exchange: nothing comes out"
    assert tokens < have, "exchange: more than the pool has"
    cost: uint256 = self._ceil(money * tokens * BPS, (have - tokens) * self._kept_bps(word))
    assert cost <= MASK_86 - money, "exchange: pool is full"
    return cost


@internal
@pure
def _needed(word: uint256, proceeds: uint256) -> uint256:
    """
    @dev Tokens that bring so much currency, rounded up.
    """
    have: uint256 = word & MASK_96
    money: uint256 = (word >> 96) & MASK_86
    assert proceeds != 0, "exchange: nothing comes out"
    assert proceeds < money, "exchange: more than the pool has"
    tokens: uint256 = self._ceil(have * proceeds * BPS, (money - proceeds) * self._kept_bps(word))
    assert tokens <= MASK_96 - have, "exchange: pool is full"
    return tokens


@internal
@pure
def _added(
    word: uint256, total: uint256, most_tokens: uint256, most_currency: uint256
) -> (uint256, uint256, uint256):
    """
    @dev The liquidity is rounded down and what it costs is rounded up from it, so that nothing is given away.
    @return The liquidity, and the tokens and the currency that it takes.
    """
    have: uint256 = word & MASK_96
    money: uint256 = (word >> 96) & MASK_86
    assert most_tokens <= MASK_96 and most_currency <= MASK_86, "exchange: pool is full"
    liquidity: uint256 = min(most_tokens * total // have, most_currency * total // money)
    assert liquidity != 0, "exchange: too little"
    tokens: uint256 = self._ceil(liquidity * have, total)
    currency_amount: uint256 = self._ceil(liquidity * money, total)
    assert (
        tokens <= MASK_96 - have and currency_amount <= MASK_86 - money
    ), "exchange: pool is full"
    return liquidity, tokens, currency_amount


@internal
@pure
def _ceil(numerator: uint256, denominator: uint256) -> uint256:
    return (numerator + denominator - 1) // denominator


@internal
def _store(token: address, word: uint256, tokens: uint256, currency_amount: uint256):
    """
    @dev Write new reserves. The old price has held since the last change: its time is added up first, once a second.
    """
    clock: uint256 = word & CLOCK_AND_TIER
    now: uint256 = block.timestamp
    time: uint256 = (word >> TIME_AT) & MASK_32
    if now != time:
        log_price: uint256 = self._log_price(word)
        cumulative: uint256 = (
            unsafe_add((word >> CUMULATIVE_AT), unsafe_mul(log_price, unsafe_sub(now, time)))
            & MASK_40
        )
        clock = (word & TIER) | (now << TIME_AT) | (cumulative << CUMULATIVE_AT)
        period: uint256 = unsafe_div(now, OBSERVE_EVERY)
        if period != unsafe_div(time, OBSERVE_EVERY):
            self.observations[token][period % RING] = (
                now | (cumulative << 32) | (time << 72) | (log_price << 104)
            )
    self.pools[token] = clock | (currency_amount << 96) | tokens


@internal
@pure
def _log_price(word: uint256) -> uint256:
    """
    @dev log2(currency / tokens) + 128 with 12 bits behind the point, rounded down, and within a tenth of the last of
         them: a polynomial is cheaper than twelve squarings.
    """
    scaled: uint256 = unsafe_div(((word >> 96) & MASK_86) << BIAS, word & MASK_96)
    power: uint256 = 255
    if scaled < 2**128:
        scaled = scaled << 128
        power = 127
    if scaled < 2**192:
        scaled = scaled << 64
        power = unsafe_sub(power, 64)
    if scaled < 2**224:
        scaled = scaled << 32
        power = unsafe_sub(power, 32)
    if scaled < 2**240:
        scaled = scaled << 16
        power = unsafe_sub(power, 16)
    if scaled < 2**248:
        scaled = scaled << 8
        power = unsafe_sub(power, 8)
    if scaled < 2**252:
        scaled = scaled << 4
        power = unsafe_sub(power, 4)
    if scaled < 2**254:
        scaled = scaled << 2
        power = unsafe_sub(power, 2)
    if scaled < 2**255:
        scaled = scaled << 1
        power = unsafe_sub(power, 1)
    m: uint256 = (scaled >> 191) & (ONE_64 - 1)
    curve: uint256 = unsafe_sub(LOG_C, unsafe_mul(m, LOG_D) >> 64)
    curve = unsafe_sub(LOG_B, unsafe_mul(m, curve) >> 64)
    curve = unsafe_sub(LOG_A, unsafe_mul(m, curve) >> 64)
    bulge: uint256 = unsafe_mul(m, unsafe_sub(ONE_64, m)) >> 64
    return (power << 12) | (unsafe_add(m, unsafe_mul(bulge, curve) >> 64) >> 52)


@internal
@pure
def _price(log_price: uint256) -> uint256:
    """
    @dev Base units for 10^18 raw units of the token, rounded down.
    """
    root: uint256 = 2**127
    for i: uint256 in range(12):
        if log_price & (2**11 >> i) != 0:
            root = (root * ROOTS[i]) >> 127
    return (root * WHOLE) >> (127 + BIAS - (log_price >> 12))


@internal
@pure
def _token_of(token_id: uint256) -> address:
    """
    @dev The zero address, which has no pool, for a number that is none: a position has one number only.
    """
    if token_id > MASK_160:
        return empty(address)
    return convert(token_id, address)


@internal
@view
def _is_access(token: address) -> bool:
    return staticcall IStorefront(STOREFRONT).asset_of(token) != 0


@internal
@view
def _asset_of(token: address) -> uint256:
    """
    @return The asset that a Share or an Access belongs to; 0 if the Registry and the Storefront know nothing of it.
    """
    asset: uint256 = staticcall IStorefront(STOREFRONT).asset_of(token)
    if asset != 0:
        return asset
    answered: bool = False
    answer: Bytes[32] = b""
    answered, answer = raw_call(
        token,
        method_id("asset()"),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not answered or len(answer) != 32:
        return 0
    asset = convert(answer, uint256)
    if staticcall IRegistry(REGISTRY).share_of(asset) != token:
        return 0
    return asset


# --- Views ----------------------------------------------------------------------------------------------------------
# None of them can be read in the middle of a change: they hold the lock too, so a price is never half a trade.


@external
@view
def has_pool(token: address) -> bool:
    return self.pools[token] != 0


@external
@view
def token_reserve(token: address) -> uint256:
    """
    @notice Raw units of a token in its pool; 0 where there is none.
    """
    return self.pools[token] & MASK_96


@external
@view
def reserves_of(token: address) -> (uint256, uint256):
    """
    @return Raw units of the token and base units of the currency in the pool; 0 where there is none.
    """
    word: uint256 = self.pools[token]
    return word & MASK_96, (word >> 96) & MASK_86


@external
@view
def fee_bps_of(token: address) -> uint256:
    """
    @notice What a pool keeps of each trade, in bps of what comes in.
    """
    return BPS - self._kept_bps(self._pool(token))


@external
@view
def preview_exact_in(token_in: address, token_out: address, amount_in: uint256) -> uint256:
    """
    @notice What `swap_exact_in` would give.
    """
    assert token_in != token_out, "exchange: one token on both sides"
    amount: uint256 = amount_in
    if token_in != CURRENCY:
        amount = self._proceeds(self._pool(token_in), amount)
    if token_out != CURRENCY:
        amount = self._bought(self._pool(token_out), amount)
    return amount


@external
@view
def preview_exact_out(token_in: address, token_out: address, amount_out: uint256) -> uint256:
    """
    @notice What `swap_exact_out` would take.
    """
    assert token_in != token_out, "exchange: one token on both sides"
    amount: uint256 = amount_out
    if token_out != CURRENCY:
        amount = self._cost(self._pool(token_out), amount)
    if token_in != CURRENCY:
        amount = self._needed(self._pool(token_in), amount)
    return amount


@external
@view
def preview_add(
    token: address, most_tokens: uint256, most_currency: uint256
) -> (uint256, uint256, uint256):
    """
    @notice What `add_liquidity` would do: the liquidity added, and the tokens and the currency taken.
    """
    return self._added(self._pool(token), self.liquidity_of[token], most_tokens, most_currency)


@external
@view
def preview_remove(token: address, liquidity: uint256) -> (uint256, uint256):
    """
    @notice What `remove_liquidity` would give: tokens and currency.
    """
    word: uint256 = self._pool(token)
    total: uint256 = self.liquidity_of[token]
    return (liquidity * (word & MASK_96) // total, liquidity * ((word >> 96) & MASK_86) // total)


@external
@view
def claimable(token: address, provider: address) -> uint256:
    """
    @notice What `claim` would pay, in base units. Read it at the pending block: it grows by the second.
    """
    self._pool(token)
    if self._is_access(token):
        return 0
    return accruals._claimable(
        token,
        provider,
        self.positions[token][provider],
        self.liquidity_of[token] - BURNT,
    )


@external
@view
def revenue_of(token: address) -> (uint256, uint256):
    """
    @return Revenue of a pool's shares that came in, and what of it was paid to its providers. The difference lies here.
    """
    return accruals.received[token], accruals.distributed[token]


@external
@view
def twap(token: address, window: uint256) -> (uint256, uint256):
    """
    @notice The geometric mean of a pool's price over the last `window` seconds or a little more.
    @param window 1 to 613,800 seconds, not longer than the pool exists.
    @return Base units for 10^18 raw units of the token, rounded down, and the seconds that it covers: the window, or up
            to 599 seconds more.
    """
    assert window != 0 and window <= MAX_WINDOW, "exchange: window out of range"
    word: uint256 = self._pool(token)
    now: uint256 = block.timestamp
    start: uint256 = now - window
    time: uint256 = (word >> TIME_AT) & MASK_32
    log_price: uint256 = self._log_price(word)
    if time <= start:
        return self._price(log_price), window
    first: uint256 = start // OBSERVE_EVERY
    last: uint256 = time // OBSERVE_EVERY
    seen: uint256 = 0
    for i: uint256 in range(RING):
        period: uint256 = first + i
        # The last change lies in a period that was written down, so this ends there.
        seen = self.observations[token][period % RING]
        if (seen & MASK_32) // OBSERVE_EVERY == period:
            break
    since: uint256 = seen & MASK_32
    cumulative: uint256 = (seen >> 32) & MASK_40
    if since > start:
        # The price did not change from the change before until this one, so it is known at the window's start.
        assert (seen >> 72) & MASK_32 <= start, "exchange: the pool is not that old"
        cumulative = unsafe_sub(cumulative, (seen >> 104) * (since - start))
        since = start
    covered: uint256 = now - since
    grown: uint256 = (
        unsafe_sub((word >> CUMULATIVE_AT) + log_price * (now - time), cumulative) & MASK_40
    )
    return self._price(grown // covered), covered
