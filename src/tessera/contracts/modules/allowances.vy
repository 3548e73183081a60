# pragma version ~=0.4.3
"""
@title Allowances and permits
@license Apache-2.0
@notice The half of ERC-20 that does not touch balances: approve, allowance, and approval by signature (EIP-2612).
@dev Balances stay with the contract, so that a Share can pack them with its revenue index.
@custom:security An allowance of 2^256 - 1 is not reduced by spending, as users of ERC-20 expect.
"""
from . import signatures


event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value: uint256


PERMIT_TYPEHASH: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)

allowance: public(HashMap[address, HashMap[address, uint256]])
nonces: public(HashMap[address, uint256])


@external
def approve(spender: address, amount: uint256) -> bool:
    self._approve(msg.sender, spender, amount)
    return True


@internal
def _approve(owner: address, spender: address, amount: uint256):
    assert spender != empty(address), "erc20: spender is the zero address"
    self.allowance[owner][spender] = amount
    log Approval(owner=owner, spender=spender, value=amount)


@internal
def _spend(owner: address, spender: address, amount: uint256):
    allowed: uint256 = self.allowance[owner][spender]
    if allowed != max_value(uint256):
        assert allowed >= amount, "erc20: allowance too low"
        self.allowance[owner][spender] = unsafe_sub(allowed, amount)


@internal
def _permit(
    domain_separator: bytes32,
    owner: address,
    spender: address,
    amount: uint256,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    assert block.timestamp <= deadline, "permit: expired"
    nonce: uint256 = self.nonces[owner]
    struct_hash: bytes32 = keccak256(
        abi_encode(PERMIT_TYPEHASH, owner, spender, amount, nonce, deadline)
    )
    signer: address = signatures._recover(
        signatures._typed_digest(domain_separator, struct_hash), v, r, s
    )
    assert signer != empty(address) and signer == owner, "permit: not signed by the owner"
    self.nonces[owner] = nonce + 1
    self._approve(owner, spender, amount)
