# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Actor
@notice A contract that does what it is told: a holder, a payer or a registry with code.
"""
# What `onERC721Received` answers; nothing else is an acceptance.
answer: public(bytes4)
controller_of: public(HashMap[uint256, address])
share_of: public(HashMap[uint256, address])
received: public(uint256)


@external
def call(target: address, payload: Bytes[4096]) -> Bytes[1024]:
    return raw_call(target, payload, max_outsize=1024)


@external
def set_answer(answer: bytes4):
    self.answer = answer


@external
@view
def ownerOf(asset: uint256) -> address:
    return self.controller_of[asset]


@external
def set_share_of(asset: uint256, share: address):
    self.share_of[asset] = share


@external
def onERC721Received(
    operator: address, sender: address, token_id: uint256, data: Bytes[1024]
) -> bytes4:
    self.received = token_id
    return self.answer
