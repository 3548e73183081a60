# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Workflows
@license Apache-2.0
@notice Chains of services that are paid all or nothing: a payer signs a plan with its budget, each operator signs the
        output of its step over the output of the step before, and one transaction pays everybody or nobody.
@dev A step names an operator, an amount and a payee: the Till of (asset, operator, terms), or any other address. `pay`
     writes what is owed to each payee and moves no money; `collect` sends it on, once for any number of plans, and
     `Channels.flush_till` splits it as the Till's terms say. A plan can be reserved: its budget then leaves the payer's
     balance at once, and comes back only after the plan's deadline. Twin: `tessera.spec.workflows`.
@custom:security Without a reservation a plan is a promise: the payer may withdraw, cancel, or spend the balance on
     another plan before it is paid. An operator who starts for strangers asks for the reservation. An operator whose
     successor never signs is not paid; that is what all or nothing means, and every operator sees the plan beforehand.
     Whoever holds all signatures can have it paid, so each hands its own on with its output. A plan says what an output
     is by its hash alone, not whether it is any good. A currency that shrinks balances in place must not be chosen.
@custom:invariant solvent, conserved, settled_once, budget_fixed, can_always_claim
@custom:pause Nothing here can be paused, and nobody has power over another's balance.
"""
from ethereum.ercs import IERC20
from .modules import rescues
from .modules import signatures


interface IRegistry:
    def commons() -> address: view


# `leg` is operator (160) | amount (96) << 160; r and vs are the operator's signature (EIP-2098) over its output.
struct Step:
    leg: uint256
    payee: address
    output: bytes32
    r: uint256
    vs: uint256


event Deposited:
    payer: indexed(address)
    amount: uint256


event Withdrawn:
    payer: indexed(address)
    receiver: indexed(address)
    amount: uint256


event Cancelled:
    payer: indexed(address)
    nonce: uint256


event Reserved:
    payer: indexed(address)
    plan: indexed(bytes32)
    budget: uint256
    deadline: uint256


event Released:
    payer: indexed(address)
    plan: indexed(bytes32)
    budget: uint256


# `output` is what the last step signed for.
event Paid:
    payer: indexed(address)
    plan: indexed(bytes32)
    budget: uint256
    output: bytes32


event Collected:
    payee: indexed(address)
    amount: uint256


event SurplusAbsorbed:
    amount: uint256


MAX_STEPS: constant(uint256) = 16
MASK_160: constant(uint256) = 2**160 - 1

NAME_HASH: constant(bytes32) = keccak256("Tessera Workflows")
VERSION_HASH: constant(bytes32) = keccak256("1")
STEP_TYPEHASH: constant(bytes32) = keccak256("Step(address operator,uint96 amount,address payee)")
PLAN_TYPEHASH: constant(bytes32) = keccak256(
    "Plan(address payer,uint256 nonce,uint256 deadline,uint256 budget,bytes32 request,Step[] steps)Step(address operator,uint96 amount,address payee)"
)
OUTPUT_TYPEHASH: constant(bytes32) = keccak256(
    "Output(bytes32 plan,uint256 step,bytes32 input,bytes32 output)"
)

CURRENCY: immutable(address)
REGISTRY: immutable(address)
CACHED_CHAIN_ID: immutable(uint256)
CACHED_DOMAIN: immutable(bytes32)

# What a payer may withdraw, or spend on plans.
balance_of: public(HashMap[address, uint256])
# What waits for a payee to be collected.
owed_of: public(HashMap[address, uint256])
# Budgets that left their payers' balances, by the digest of the plan; 0 once it is paid or released.
reserved_of: public(HashMap[bytes32, uint256])
# payer -> nonce >> 8 -> a bit for each nonce that was used; plans of one payer do not wait for one another.
used: HashMap[address, HashMap[uint256, uint256]]
# All of the currency here that belongs to somebody.
obligations: public(uint256)


@deploy
def __init__(currency: address, registry: address):
    CURRENCY = currency
    REGISTRY = registry
    CACHED_CHAIN_ID = chain.id
    CACHED_DOMAIN = signatures._domain_separator(NAME_HASH, VERSION_HASH)


# --- Payers ---------------------------------------------------------------------------------------------------------


@external
def deposit(payer: address, amount: uint256) -> uint256:
    """
    @notice Add to a payer's balance, from the caller's account. Anyone may; the money is the payer's.
    @return What really arrived: a currency may take a fee in transit.
    """
    assert payer != empty(address), "workflows: zero address"
    before: uint256 = staticcall IERC20(CURRENCY).balanceOf(self)
    assert extcall IERC20(CURRENCY).transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "workflows: currency refused the transfer"
    arrived: uint256 = staticcall IERC20(CURRENCY).balanceOf(self) - before
    self.balance_of[payer] += arrived
    self.obligations += arrived
    log Deposited(payer=payer, amount=arrived)
    return arrived


@external
def withdraw(amount: uint256, receiver: address = msg.sender):
    """
    @notice Take back what is not reserved, at once.
    """
    balance: uint256 = self.balance_of[msg.sender]
    assert amount <= balance, "workflows: balance too low"
    self.balance_of[msg.sender] = balance - amount
    self._send(receiver, amount)
    log Withdrawn(payer=msg.sender, receiver=receiver, amount=amount)


@external
def cancel(nonce: uint256):
    """
    @notice Use a nonce up, so that no plan with it is reserved or paid from now on. One that is reserved stays so.
    """
    self._use(msg.sender, nonce)
    log Cancelled(payer=msg.sender, nonce=nonce)


@external
def reserve(
    payer: address,
    nonce: uint256,
    deadline: uint256,
    budget: uint256,
    request: bytes32,
    steps_hash: bytes32,
    r: uint256,
    vs: uint256,
) -> bytes32:
    """
    @notice Set a plan's budget aside until its deadline. Anyone may who has the payer's signature: mostly the first
            operator, before it starts to work.
    @param steps_hash The hash of the plan's steps, as EIP-712 hashes a list of structs.
    @return The plan's digest.
    """
    assert budget != 0, "workflows: nothing to reserve"
    assert block.timestamp <= deadline, "workflows: past the deadline"
    plan: bytes32 = self._plan(payer, nonce, deadline, budget, request, steps_hash)
    self._spend(payer, nonce, budget, plan, r, vs)
    self.reserved_of[plan] = budget
    log Reserved(payer=payer, plan=plan, budget=budget, deadline=deadline)
    return plan


@external
def release(
    payer: address,
    nonce: uint256,
    deadline: uint256,
    budget: uint256,
    request: bytes32,
    steps_hash: bytes32,
):
    """
    @notice Give a reserved budget back to the payer's balance, once the deadline is over. Anyone may call it.
    """
    assert block.timestamp > deadline, "workflows: before the deadline"
    plan: bytes32 = self._plan(payer, nonce, deadline, budget, request, steps_hash)
    assert self.reserved_of[plan] != 0, "workflows: not reserved"
    self.reserved_of[plan] = 0
    self.balance_of[payer] += budget
    log Released(payer=payer, plan=plan, budget=budget)


# --- Payment --------------------------------------------------------------------------------------------------------


@external
def pay(
    payer: address,
    nonce: uint256,
    deadline: uint256,
    request: bytes32,
    steps: DynArray[Step, MAX_STEPS],
    r: uint256,
    vs: uint256,
) -> bytes32:
    """
    @notice Pay every step of a plan, or none: each operator must have signed its output over the output of the step
            before, the first one over the request. Anyone may send it.
    @param r The payer's signature over the plan (with `vs`, EIP-2098); not looked at where the plan is reserved.
    @return The plan's digest.
    """
    count: uint256 = len(steps)
    assert count != 0, "workflows: no steps"
    assert block.timestamp <= deadline, "workflows: past the deadline"
    budget: uint256 = 0
    hashes: bytes32[MAX_STEPS] = empty(bytes32[MAX_STEPS])
    for i: uint256 in range(count, bound=MAX_STEPS):
        leg: uint256 = steps[i].leg
        # Sixteen amounts of 96 bits: no overflow.
        budget = unsafe_add(budget, leg >> 160)
        hashes[i] = keccak256(abi_encode(STEP_TYPEHASH, leg & MASK_160, leg >> 160, steps[i].payee))
    plan: bytes32 = self._plan(
        payer,
        nonce,
        deadline,
        budget,
        request,
        keccak256(slice(abi_encode(hashes), 0, unsafe_mul(32, count))),
    )
    # The digest names the budget, so what is reserved under it is the budget.
    if self.reserved_of[plan] == 0:
        self._spend(payer, nonce, budget, plan, r, vs)
    else:
        self.reserved_of[plan] = 0
    domain: bytes32 = self._domain_separator()
    link: bytes32 = request
    for i: uint256 in range(count, bound=MAX_STEPS):
        step: Step = steps[i]
        signer: address = signatures._recover_compact(
            signatures._typed_digest(
                domain, keccak256(abi_encode(OUTPUT_TYPEHASH, plan, i, link, step.output))
            ),
            step.r,
            step.vs,
        )
        assert (
            signer != empty(address) and convert(signer, uint256) == step.leg & MASK_160
        ), "workflows: output not signed by its operator"
        self.owed_of[step.payee] += step.leg >> 160
        link = step.output
    log Paid(payer=payer, plan=plan, budget=budget, output=link)
    return plan


@external
def collect(payee: address) -> uint256:
    """
    @notice Send a payee what is owed to it. Anyone may call it.
    """
    amount: uint256 = self.owed_of[payee]
    self.owed_of[payee] = 0
    self._send(payee, amount)
    log Collected(payee=payee, amount=amount)
    return amount


@internal
def _spend(payer: address, nonce: uint256, budget: uint256, plan: bytes32, r: uint256, vs: uint256):
    """
    @dev A plan is spent for once: at its reservation or, without one, when it is paid.
    """
    signer: address = signatures._recover_compact(plan, r, vs)
    assert (signer != empty(address) and signer == payer), "workflows: plan not signed by its payer"
    self._use(payer, nonce)
    balance: uint256 = self.balance_of[payer]
    assert budget <= balance, "workflows: balance too low"
    self.balance_of[payer] = unsafe_sub(balance, budget)


@internal
def _use(payer: address, nonce: uint256):
    bit: uint256 = 1 << (nonce & 255)
    word: uint256 = self.used[payer][nonce >> 8]
    assert word & bit == 0, "workflows: nonce used already"
    self.used[payer][nonce >> 8] = word | bit


@internal
def _send(receiver: address, amount: uint256):
    if amount != 0:
        self.obligations -= amount
        assert extcall IERC20(CURRENCY).transfer(
            receiver, amount, default_return_value=True
        ), "workflows: currency refused the transfer"


# --- Mistakes -------------------------------------------------------------------------------------------------------


@external
def absorb_surplus() -> uint256:
    """
    @notice Owe the commons what was sent straight to this contract and belongs to nobody.
    """
    amount: uint256 = staticcall IERC20(CURRENCY).balanceOf(self) - self.obligations
    self.obligations += amount
    self.owed_of[staticcall IRegistry(REGISTRY).commons()] += amount
    log SurplusAbsorbed(amount=amount)
    return amount


@external
def rescue(token: address) -> uint256:
    """
    @notice Send another token that was sent to this contract by mistake to the commons.
    """
    assert token != CURRENCY, "workflows: the currency is somebody's; use absorb_surplus"
    return rescues._rescue(token, staticcall IRegistry(REGISTRY).commons())


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def is_used(payer: address, nonce: uint256) -> bool:
    """
    @notice Whether a nonce was cancelled, or a plan with it reserved or paid.
    """
    return self.used[payer][nonce >> 8] >> (nonce & 255) & 1 == 1


@external
@view
@reentrant
def currency() -> address:
    return CURRENCY


@external
@view
@reentrant
def registry() -> address:
    return REGISTRY


@external
@view
@reentrant
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain_separator()


@external
@view
@reentrant
def eip712Domain() -> (
    bytes1, String[17], String[1], uint256, address, bytes32, DynArray[uint256, 1]
):
    """
    @notice EIP-5267: which fields the domain has (name, version, chain id, contract) and their values.
    """
    return 0x0f, "Tessera Workflows", "1", chain.id, self, empty(bytes32), []


@internal
@view
def _plan(
    payer: address,
    nonce: uint256,
    deadline: uint256,
    budget: uint256,
    request: bytes32,
    steps_hash: bytes32,
) -> bytes32:
    return signatures._typed_digest(
        self._domain_separator(),
        keccak256(abi_encode(PLAN_TYPEHASH, payer, nonce, deadline, budget, request, steps_hash)),
    )


@internal
@view
def _domain_separator() -> bytes32:
    if chain.id == CACHED_CHAIN_ID:
        return CACHED_DOMAIN
    return signatures._domain_separator(NAME_HASH, VERSION_HASH)
