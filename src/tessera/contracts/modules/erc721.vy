# pragma version ~=0.4.3
"""
@title ERC-721 ownership
@license Apache-2.0
@notice Who owns which id, who may move it, and the safe-transfer handshake. Without metadata and without burning.
@dev Stricter than the standard, which allows it: nothing here takes ether. (So Vyper cannot be told that this
     implements its IERC721, whose functions are payable.)
@custom:security `safeTransferFrom` calls the receiver last, after ownership has moved.
"""
from ethereum.ercs import IERC165
from ethereum.ercs import IERC721


interface IERC721Receiver:
    def onERC721Received(
        operator: address, sender: address, token_id: uint256, data: Bytes[1024]
    ) -> bytes4: nonpayable


ERC165_ID: constant(bytes4) = 0x01ffc9a7
ERC721_ID: constant(bytes4) = 0x80ac58cd
RECEIVED: constant(bytes4) = method_id(
    "onERC721Received(address,address,uint256,bytes)", output_type=bytes4
)

owners: HashMap[uint256, address]
balances: HashMap[address, uint256]
approved: HashMap[uint256, address]
isApprovedForAll: public(HashMap[address, HashMap[address, bool]])


@external
@view
def ownerOf(token_id: uint256) -> address:
    return self._owner_of(token_id)


@external
@view
def balanceOf(owner: address) -> uint256:
    assert owner != empty(address), "erc721: the zero address owns nothing"
    return self.balances[owner]


@external
@view
def getApproved(token_id: uint256) -> address:
    self._owner_of(token_id)
    return self.approved[token_id]


@external
def approve(spender: address, token_id: uint256):
    owner: address = self._owner_of(token_id)
    assert (
        msg.sender == owner or self.isApprovedForAll[owner][msg.sender]
    ), "erc721: neither owner nor approved for all"
    assert spender != owner, "erc721: the owner needs no approval"
    self.approved[token_id] = spender
    log IERC721.Approval(owner=owner, approved=spender, token_id=token_id)


@external
def setApprovalForAll(operator: address, allowed: bool):
    assert operator != msg.sender, "erc721: the owner needs no approval"
    self.isApprovedForAll[msg.sender][operator] = allowed
    log IERC721.ApprovalForAll(owner=msg.sender, operator=operator, approved=allowed)


@external
def transferFrom(sender: address, receiver: address, token_id: uint256):
    self._move(sender, receiver, token_id)


@external
def safeTransferFrom(
    sender: address, receiver: address, token_id: uint256, data: Bytes[1024] = b""
):
    self._move(sender, receiver, token_id)
    if receiver.is_contract:
        answer: bytes4 = extcall IERC721Receiver(receiver).onERC721Received(
            msg.sender, sender, token_id, data
        )
        assert answer == RECEIVED, "erc721: receiver did not accept"


@external
@view
def supportsInterface(interface_id: bytes4) -> bool:
    return interface_id in [ERC165_ID, ERC721_ID]


@internal
@view
def _owner_of(token_id: uint256) -> address:
    owner: address = self.owners[token_id]
    assert owner != empty(address), "erc721: no such id"
    return owner


@internal
def _move(sender: address, receiver: address, token_id: uint256):
    owner: address = self._owner_of(token_id)
    assert (
        msg.sender == owner
        or self.isApprovedForAll[owner][msg.sender]
        or self.approved[token_id] == msg.sender
    ), "erc721: neither owner nor approved"
    assert sender == owner, "erc721: sender is not the owner"
    assert receiver != empty(address), "erc721: receiver is the zero address"
    self.approved[token_id] = empty(address)
    self.balances[sender] -= 1
    self.balances[receiver] += 1
    self.owners[token_id] = receiver
    log IERC721.Transfer(sender=sender, receiver=receiver, token_id=token_id)


@internal
def _mint(receiver: address, token_id: uint256):
    assert self.owners[token_id] == empty(address), "erc721: id exists"
    self.balances[receiver] += 1
    self.owners[token_id] = receiver
    log IERC721.Transfer(sender=empty(address), receiver=receiver, token_id=token_id)
