# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Conduct
@license Apache-2.0
@notice An operator's receipt above what it settled is evidence against its bond: whoever has one accuses, anyone may
        settle for a while, and if the line is still behind the receipt then, a fixed part of the bond is slashed.
@dev What an operator signs as charged is money of the asset's holders. Settling it late is no offence, and settles the
     accusation. A line that nobody can settle any more (the payer's money was let go, spent elsewhere, or there never was
     a voucher) is the operator's own doing: it has had the withdrawal's delay, and signed all the same. Each sum of a line
     (operator, channel, asset, terms) is a case of its own, so nobody keeps others from accusing by being first with a
     small one; a line costs its operator a part of the bond once. Twin: `tessera.spec.conduct`.
@custom:security The operator enlisted this contract in Bond, else it cannot be accused here. An accusation costs a
     deposit: the operator's if the line is settled, the accuser's again if not. Whoever holds the payer's voucher too
     settles it himself, and needs no accusation. The contract judges signatures and Channels' books and nothing else,
     so nobody has power here.
@custom:invariant solvent, slash_bounded, settled_once, can_always_claim
@custom:pause Nothing here can be paused.
"""
from ethereum.ercs import IERC20
from .modules import receipts


interface IBond:
    def token() -> address: view
    def times() -> (uint256, uint256, uint256, uint256): view
    def slashable(validator: address) -> uint256: view
    def may_slash(validator: address, slasher: address, case: bytes32) -> bool: view
    def freeze(validator: address, case: bytes32) -> uint256: nonpayable
    def unfreeze(validator: address, case: bytes32) -> bool: nonpayable
    def slash(
        validator: address,
        amount: uint256,
        case: bytes32,
        evidence: bytes32,
        whistle_blower: address,
    ) -> uint256: nonpayable


interface IChannels:
    def DOMAIN_SEPARATOR() -> bytes32: view
    def channel_of(operator: address, channel: uint256) -> (
        address, address, bool, uint256, uint256
    ): view
    def line_of(operator: address, channel: uint256, asset: uint256, terms: uint256) -> (
        uint256, uint256, uint256
    ): view


struct Accusation:
    operator: address
    channel: uint256
    asset: uint256
    terms: uint256
    # What the receipt says, base units of the currency, cumulative.
    charged: uint256
    # Digest of what the operator signed.
    evidence: bytes32
    accuser: address
    # Unix seconds until which it is a matter of settling only.
    until: uint256


event Accused:
    operator: indexed(address)
    case: indexed(bytes32)
    accuser: indexed(address)
    channel: uint256
    asset: uint256
    terms: uint256
    charged: uint256
    until: uint256


event Acquitted:
    operator: indexed(address)
    case: indexed(bytes32)


event Convicted:
    operator: indexed(address)
    case: indexed(bytes32)
    accuser: indexed(address)
    taken: uint256


event CreditWithdrawn:
    account: indexed(address)
    receiver: indexed(address)
    amount: uint256


BPS: constant(uint256) = 10_000

TOKEN: immutable(address)
BOND: immutable(address)
CHANNELS: immutable(address)
WINDOW: immutable(uint256)
SLASH_BPS: immutable(uint256)
DEPOSIT: immutable(uint256)

# Hash of (operator, channel, asset, terms, charged) -> what is open
accusations: HashMap[bytes32, Accusation]
# Hash of (operator, channel, asset, terms)
convicted: HashMap[bytes32, bool]
# Network tokens of deposits that are over.
credit_of: public(HashMap[address, uint256])
# All network tokens here that are somebody's.
obligations: public(uint256)


@deploy
def __init__(
    bond: address, channels: address, window: uint256, slash_bps: uint256, deposit: uint256
):
    """
    @param window Seconds in which an accused line can be settled; Bond's longest freeze covers it twice.
    @param slash_bps The part of all that is slashable which a conviction takes.
    @param deposit Network tokens that an accusation costs if the line is settled; about what a settlement costs.
    """
    longest_freeze: uint256 = (staticcall IBond(bond).times())[2]
    assert window != 0 and 2 * window <= longest_freeze, "conduct: window out of range"
    assert slash_bps != 0 and slash_bps <= BPS, "conduct: part out of range"
    BOND = bond
    TOKEN = staticcall IBond(bond).token()
    CHANNELS = channels
    WINDOW = window
    SLASH_BPS = slash_bps
    DEPOSIT = deposit


@external
def accuse(
    operator: address,
    receipt: receipts.Receipt,
    proof: DynArray[bytes32, receipts.MAX_PROOF],
    r: uint256,
    vs: uint256,
) -> bytes32:
    """
    @notice Show a receipt above what its operator settled. Approve the deposit first. Freezes the operator's bond.
    @param proof What leads from the receipt to the root that was signed in its place; empty where it was signed alone.
    @return The case.
    """
    assert (
        operator != empty(address)
        and receipts._signer(
            staticcall IChannels(CHANNELS).DOMAIN_SEPARATOR(), receipt, proof, r, vs
        )
        == operator
    ), "conduct: receipt not signed by the operator"
    # Calls that were paid for in another way name no channel of this operator.
    assert (staticcall IChannels(CHANNELS).channel_of(operator, receipt.channel))[0] != empty(
        address
    ), "conduct: no such channel"
    assert (
        self._settled(operator, receipt.channel, receipt.asset, receipt.terms) < receipt.charged
    ), "conduct: it is settled"
    line: bytes32 = self._line(operator, receipt.channel, receipt.asset, receipt.terms)
    assert not self.convicted[line], "conduct: the line was convicted"
    case: bytes32 = keccak256(abi_encode(line, receipt.charged))
    assert self.accusations[case].until == 0, "conduct: accused already"
    until: uint256 = block.timestamp + WINDOW
    self.accusations[case] = Accusation(
        operator=operator,
        channel=receipt.channel,
        asset=receipt.asset,
        terms=receipt.terms,
        charged=receipt.charged,
        evidence=keccak256(abi_encode(receipt, r, vs)),
        accuser=msg.sender,
        until=until,
    )
    self.obligations += DEPOSIT
    extcall IBond(BOND).freeze(operator, case)
    if DEPOSIT != 0:
        assert extcall IERC20(TOKEN).transferFrom(
            msg.sender, self, DEPOSIT, default_return_value=True
        ), "conduct: token refused the transfer"
    log Accused(
        operator=operator,
        case=case,
        accuser=msg.sender,
        channel=receipt.channel,
        asset=receipt.asset,
        terms=receipt.terms,
        charged=receipt.charged,
        until=until,
    )
    return case


@external
def acquit(case: bytes32):
    """
    @notice End a case whose line was settled up to the receipt, however late. Anyone may call it. The deposit is the
            operator's.
    """
    accusation: Accusation = self._open(case)
    assert self._is_settled(accusation), "conduct: it is not settled"
    self._close(case, accusation, accusation.operator)
    log Acquitted(operator=accusation.operator, case=case)


@external
def convict(case: bytes32) -> uint256:
    """
    @notice Slash the operator of a line that is behind its receipt when the window is over. Anyone may call it. The deposit
            is the accuser's again, and he is the whistle-blower.
    @return Network tokens taken; none if the line was convicted before, or if Bond lets this contract slash no more: where
            nobody called this before the freeze ended, and the operator has left since.
    """
    accusation: Accusation = self._open(case)
    assert block.timestamp >= accusation.until, "conduct: it may still be settled"
    assert not self._is_settled(accusation), "conduct: it is settled"
    operator: address = accusation.operator
    line: bytes32 = self._line(operator, accusation.channel, accusation.asset, accusation.terms)
    taken: uint256 = 0
    if not self.convicted[line] and staticcall IBond(BOND).may_slash(operator, self, case):
        # Rounded down.
        amount: uint256 = staticcall IBond(BOND).slashable(operator) * SLASH_BPS // BPS
        taken = extcall IBond(BOND).slash(
            operator, amount, case, accusation.evidence, accusation.accuser
        )
    self.convicted[line] = True
    self._close(case, accusation, accusation.accuser)
    log Convicted(operator=operator, case=case, accuser=accusation.accuser, taken=taken)
    return taken


@external
def withdraw_credit(receiver: address = msg.sender) -> uint256:
    """
    @notice Pay the caller's deposits that are over to `receiver`.
    """
    amount: uint256 = self.credit_of[msg.sender]
    self.credit_of[msg.sender] = 0
    if amount != 0:
        self.obligations -= amount
        assert extcall IERC20(TOKEN).transfer(
            receiver, amount, default_return_value=True
        ), "conduct: token refused the transfer"
    log CreditWithdrawn(account=msg.sender, receiver=receiver, amount=amount)
    return amount


@internal
def _close(case: bytes32, accusation: Accusation, owner_of_deposit: address):
    self.accusations[case] = empty(Accusation)
    self.credit_of[owner_of_deposit] += DEPOSIT
    extcall IBond(BOND).unfreeze(accusation.operator, case)


@internal
@view
def _open(case: bytes32) -> Accusation:
    accusation: Accusation = self.accusations[case]
    assert accusation.until != 0, "conduct: no such case"
    return accusation


@internal
@view
def _is_settled(accusation: Accusation) -> bool:
    return (
        self._settled(accusation.operator, accusation.channel, accusation.asset, accusation.terms)
        >= accusation.charged
    )


@internal
@view
def _settled(operator: address, channel: uint256, asset: uint256, terms: uint256) -> uint256:
    return (staticcall IChannels(CHANNELS).line_of(operator, channel, asset, terms))[0]


@internal
@pure
def _line(operator: address, channel: uint256, asset: uint256, terms: uint256) -> bytes32:
    return keccak256(abi_encode(operator, channel, asset, terms))


# --- Views ----------------------------------------------------------------------------------------------------------


@external
@view
@reentrant
def accusation_of(case: bytes32) -> Accusation:
    """
    @return What is open under this name; empty if nothing is.
    """
    return self.accusations[case]


@external
@view
@reentrant
def case_of(
    operator: address, channel: uint256, asset: uint256, terms: uint256, charged: uint256
) -> bytes32:
    """
    @notice The name of the case that a receipt makes.
    """
    return keccak256(abi_encode(self._line(operator, channel, asset, terms), charged))


@external
@view
@reentrant
def was_convicted(operator: address, channel: uint256, asset: uint256, terms: uint256) -> bool:
    return self.convicted[self._line(operator, channel, asset, terms)]


@external
@view
@reentrant
def rules() -> (uint256, uint256, uint256):
    """
    @return Seconds to settle in, the part of the bond that a conviction takes (bps), and an accusation's deposit.
    """
    return WINDOW, SLASH_BPS, DEPOSIT


@external
@view
@reentrant
def bond() -> address:
    return BOND


@external
@view
@reentrant
def channels() -> address:
    return CHANNELS
