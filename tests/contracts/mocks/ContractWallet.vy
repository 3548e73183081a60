# pragma version 0.4.3
# pragma evm-version cancun
"""
@title ContractWallet
@notice A wallet that is a contract (ERC-1271): good is what it was told to call good.
"""
good: public(HashMap[bytes32, bool])
# 0: as it should; 1: reverts; 2: answers too much; 3: answers nothing.
mood: public(uint256)


@external
def approve(digest: bytes32, signature: Bytes[256]):
    self.good[keccak256(abi_encode(digest, signature))] = True


@external
def forget(digest: bytes32, signature: Bytes[256]):
    self.good[keccak256(abi_encode(digest, signature))] = False


@external
def set_mood(mood: uint256):
    self.mood = mood


@external
def call(target: address, payload: Bytes[8192]):
    raw_call(target, payload)


@external
@view
@raw_return
def isValidSignature(digest: bytes32, signature: Bytes[256]) -> Bytes[64]:
    assert self.mood != 1
    if self.mood == 3:
        return b""
    if not self.good[keccak256(abi_encode(digest, signature))]:
        return abi_encode(empty(bytes32))
    if self.mood == 2:
        # The right four bytes, with something behind them in the same word.
        return x"1626ba7e00000000000000000000000000000000000000000000000000000001"
    return x"1626ba7e00000000000000000000000000000000000000000000000000000000"
