# pragma version 0.4.3
"""
@title Payer
@license Apache-2.0
@notice A token that pays its holders, or only looks so: `TRICK` says which.
@dev Only for tests. Each trick is a scam or a design that was seen; the names of the functions are no proof.
"""

HONEST: constant(uint256) = 0
ONCE: constant(uint256) = 1
WATCHED: constant(uint256) = 2
ENDLESS: constant(uint256) = 3
OWN_TOKEN: constant(uint256) = 4
LIAR: constant(uint256) = 5
EQUAL: constant(uint256) = 6
SWEPT: constant(uint256) = 7
LISTED: constant(uint256) = 8
TAYLOR: constant(uint256) = 9
REDEEM: constant(uint256) = 10
HASHED: constant(uint256) = 11
ONE: constant(uint256) = 10**18

TRICK: immutable(uint256)
WATCHER: immutable(address)

owner: address
balanceOf: public(HashMap[address, uint256])
totalSupply: public(uint256)
index: uint256
seen: HashMap[address, uint256]
credit: HashMap[address, uint256]
served: HashMap[address, bool]
listed: HashMap[address, bool]


@deploy
def __init__(trick: uint256, watcher: address):
    TRICK = trick
    WATCHER = watcher
    self.owner = msg.sender
    self.totalSupply = 1000 * ONE
    self.balanceOf[msg.sender] = 1000 * ONE


@internal
def _settle(holder: address):
    self.credit[holder] += self.balanceOf[holder] * (self.index - self.seen[holder]) // ONE
    self.seen[holder] = self.index


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._settle(msg.sender)
    self._settle(receiver)
    self.balanceOf[msg.sender] -= amount
    self.balanceOf[receiver] += amount
    return True


@external
@payable
def load():
    self.index += msg.value * ONE // self.totalSupply


@external
@view
def claimable(holder: address) -> uint256:
    return self.credit[holder] + self.balanceOf[holder] * (self.index - self.seen[holder]) // ONE


@external
def collect():
    if TRICK == ENDLESS:
        turns: uint256 = 0
        for turn: uint256 in range(2**64):
            turns = unsafe_add(turns, turn)
        self.index = turns
    if TRICK == REDEEM:
        paid: uint256 = self.balance * self.balanceOf[msg.sender] // self.totalSupply
        self.balanceOf[msg.sender] = 0
        send(msg.sender, paid)
        return
    if TRICK == ONCE:
        assert not self.served[msg.sender], "served"
        self.served[msg.sender] = True
    if TRICK == LISTED:
        assert self.listed[msg.sender], "not listed"
    self._settle(msg.sender)
    due: uint256 = self.credit[msg.sender]
    assert due > 0, "nothing"
    self.credit[msg.sender] = 0
    if TRICK == TAYLOR or TRICK == LIAR:
        return
    if TRICK == WATCHED:
        assert block.coinbase == WATCHER, "later"
    if TRICK == HASHED:
        assert blockhash(block.number - 1) == blockhash(block.number - 2), "later"
    if TRICK == OWN_TOKEN:
        self.balanceOf[msg.sender] += due
        self.totalSupply += due
    elif TRICK == EQUAL:
        send(msg.sender, 10**15)
    else:
        send(msg.sender, due)


@external
def distribute(receiver: address):
    """
    @notice The trap of the specification: a name that promises, and moves the owner's own balance.
    """
    assert msg.sender == self.owner, "owner"
    amount: uint256 = self.balanceOf[self.owner]
    self.balanceOf[self.owner] = 0
    self.balanceOf[receiver] += amount


@external
def sweep():
    assert TRICK == SWEPT, "no"
    assert msg.sender == self.owner, "owner"
    send(self.owner, self.balance)


@external
def list_holder(holder: address):
    assert TRICK == LISTED, "no"
    assert msg.sender == self.owner, "owner"
    self.listed[holder] = True
