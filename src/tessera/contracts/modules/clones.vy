# pragma version ~=0.4.3
"""
@title Clones with arguments
@license Apache-2.0
@notice Creates ERC-1167 minimal proxies whose constructor arguments are appended to their code, with CREATE2.
@dev An argument in the code costs 200 gas a byte once and about 110 gas a read, against 22,100 and 2,100 for a
     storage slot. Since the arguments are part of the init code they are part of the address: a clone can be paid
     before it exists, and nobody can create it there with other arguments.
@custom:security A clone must read its own code through a local address (`me.code`): `self.code` would compile to
     CODECOPY, which in a delegate call reads the implementation's code instead.
"""

# Length of the ERC-1167 run-time code; arguments begin right behind it.
ARGUMENTS_AT: constant(uint256) = 45
MAX_ARGUMENTS: constant(uint256) = 256
MAX_INIT_CODE: constant(uint256) = 311  # 10 bytes of init code + 45 + MAX_ARGUMENTS


@internal
@pure
def _init_code(implementation: address, arguments: Bytes[MAX_ARGUMENTS]) -> Bytes[MAX_INIT_CODE]:
    """
    @dev PUSH2 size, then copy everything behind these ten bytes into memory and return it.
    """
    size: uint256 = ARGUMENTS_AT + len(arguments)
    return concat(
        x"61",
        slice(convert(size, bytes32), 30, 2),
        x"3d81600a3d39f3",
        x"363d3d373d3d3d363d73",
        convert(implementation, bytes20),
        x"5af43d82803e903d91602b57fd5bf3",
        arguments,
    )


@internal
def _clone(implementation: address, arguments: Bytes[MAX_ARGUMENTS], salt: bytes32) -> address:
    """
    @notice Create the clone. Reverts if it exists already.
    """
    return raw_create(self._init_code(implementation, arguments), salt=salt)


@internal
@view
def _address_of(implementation: address, arguments: Bytes[MAX_ARGUMENTS], salt: bytes32) -> address:
    """
    @notice Where `_clone` with the same arguments puts the clone.
    """
    digest: bytes32 = keccak256(
        concat(
            x"ff",
            convert(self, bytes20),
            salt,
            keccak256(self._init_code(implementation, arguments)),
        )
    )
    return convert(convert(digest, uint256) & convert(max_value(uint160), uint256), address)


@internal
@view
def _argument(clone: address, word: uint256) -> uint256:
    """
    @notice The `word`-th 32-byte argument of `clone`.
    """
    return convert(slice(clone.code, ARGUMENTS_AT + 32 * word, 32), uint256)
