"""The shape of a figure and of a goal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a person does, whoever's contract it is done with."""

    DISTRIBUTE = "distribute revenue, any number of holders"
    CLAIM = "claim all history"
    TRANSFER_QUIET = "share transfer, no new revenue"
    TRANSFER_AFTER_REVENUE = "share transfer after new revenue"
    SETTLE_VOUCHER = "settle 100 vouchers of one asset, per voucher"
    SETTLE_FURTHER_ASSET = "each further asset in a voucher"
    PUBLISH = "publish an asset with a price"
    SWAP = "swap, both transfers, with an endless approval"
    BUY_AND_ORDER = "buy access and order, in one transaction"
    PAY_MANY = "pay 10 providers with signed outputs, all or nothing"

    REGISTER = "register an asset without a price"
    SET_ENDPOINT = "change an endpoint"
    OPEN_CHANNEL = "open a channel"
    DEPOSIT = "add to a channel or balance"
    WITHDRAW = "withdraw from a channel or balance"
    SETTLE_ONE = "settle one voucher"
    SETTLE_RECEIPT = "settle one receipt in its operator's place"
    FLUSH = "flush an asset's income"
    TILL_FLUSH = "flush a till"
    OPEN_SALE = "open a sale of shares"
    BUY_OFFERING = "buy in a fixed-price sale"
    BID = "bid in an auction"
    CLOSE_AUCTION = "close an auction"
    COLLECT = "collect shares after a sale"
    BUY_CURVE = "buy on a bonding curve"
    SELL_CURVE = "sell back to a bonding curve"
    LAUNCH = "launch: a sale and two vestings at once"
    CLAIM_CONTRIBUTION = "claim a contributor's shares into a vesting"
    OPEN_VESTING = "lock shares on a schedule"
    VESTING_CLAIM = "release vested tokens"
    PRODUCT = "make a product of an asset"
    BUY_ACCESS = "buy access tokens"
    SWAP_FINITE = "swap, with an approval that is used up"
    SWAP_TWO = "swap through two pools"
    SWAP_OBSERVED = "swap, the first in ten minutes"
    OPEN_POOL = "open a pool"
    ADD_LIQUIDITY = "add liquidity"
    REMOVE_LIQUIDITY = "remove liquidity"
    CLAIM_POOL = "claim the revenue of a pool's shares"
    ORDER = "pay for the use of one asset, on chain"
    PROVE = "prove service and pay it out"
    REFUND = "take the money of an order back"
    RENT = "rent an order"
    COLLECT_WORKFLOWS = "collect what workflows owe"
    FILL = "fill a signed limit order"
    LOCK = "lock shares to vote"
    PROPOSE = "propose"
    VOTE = "vote"
    EXECUTE = "execute what was voted for"
    UNLOCK = "unlock shares"
    DEPLOY_SHARE = "create a share"
    STAKE = "stake network tokens"
    UNSTAKE = "begin to take stake back"
    BE_PAID_STAKE = "be paid what left"
    REWARD = "reward a pool of stake"
    ACCUSE = "accuse an operator by its receipt"
    SLASH = "slash, any number of delegators"
    CREATE_SUBNET = "create a subnet"
    PLACE_MODEL = "register a model in a subnet"
    PLACE_VALIDATOR = "register a validator in a subnet"
    COMMIT_SCORES = "commit to an epoch's scores"
    REVEAL_SCORES = "reveal an epoch's scores, any number of models"
    ASK_SCORES = "ask for 64 of the scores that nobody serves"
    SHOW_SCORES = "show 64 scores that were asked for"
    OPEN_SUBNET_POOL = "open the pool of a subnet's token"
    TRADE_SUBNET = "trade a subnet's token"
    INJECT = "give to a subnet's pool"
    COLLECT_DEMAND = "collect an asset's demand"
    CLOSE_PERIOD = "close a period of emission"
    SETTLE_EPOCH = "let an epoch pay"
    CLAIM_EPOCH = "claim what an epoch pays"
    FLUSH_EMISSION = "hand on what a model earned in TSR"
    BE_PAID_EMISSION = "be paid in TSR"
    PROVE_BAD_COUNT = "prove which count shows a bad model"
    COMMIT_OPINION = "commit to an opinion of a model"
    REVEAL_OPINION = "reveal an opinion of a model"
    CLOSE_ROUND = "close a round of approvals"
    ACCUSE_OUTPUT = "accuse an output of a validator"
    SHOW_OUTPUT = "show an output that was committed"
    REPORT_COUNT = "report a count of right answers"
    FINISH_ROUND = "finish a round of approvals"
    PUNISH_APPROVAL = "punish a bad approval"
    GRADE = "grade a validator by the truth"


@dataclass(frozen=True, slots=True)
class Row:
    """One measured action.

    Parameters
    ----------
    action
        What was done.
    who
        Whose contract did it.
    call
        The contract's function, as its source names it.
    includes
        What the figures count besides the plain call.
    warm
        Gas in the steady state: every slot it writes was non-zero before.
    first
        Gas the first time, with slots that were zero; None where there is no such time.
    """

    action: Action
    who: str
    call: str
    includes: str
    warm: int
    first: int | None = None


def per(count: int, gas: int) -> int:
    """Share of one among many, rounded up: a goal is not met by a remainder left out."""
    return -(-gas // count)


@dataclass(frozen=True, slots=True)
class Quoted:
    """A peer's figure from another run, because its bytecode is not on npm.

    It was taken in the same way (receipts of an anvil, warm), with that project's own sources and
    a plain OpenZeppelin dollar, unless its source says otherwise; it is shown apart from what
    this run measured.
    """

    action: Action
    who: str
    call: str
    warm: int
    source: str


@dataclass(frozen=True, slots=True)
class Goal:
    """The most warm gas that an action of ours may take."""

    action: Action
    limit: int
