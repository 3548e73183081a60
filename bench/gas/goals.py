"""What our actions may cost, and the figures of peers that cannot be measured in the same run."""

from __future__ import annotations

from bench.gas.rows import Action, Goal, Quoted

GOALS = (
    Goal(Action.DISTRIBUTE, 54_000),
    Goal(Action.CLAIM, 54_000),
    Goal(Action.TRANSFER_QUIET, 39_000),
    Goal(Action.TRANSFER_AFTER_REVENUE, 50_000),
    Goal(Action.SETTLE_VOUCHER, 19_000),
    Goal(Action.SETTLE_FURTHER_ASSET, 7_500),
    Goal(Action.PUBLISH, 250_000),
    Goal(Action.SWAP, 75_000),
    Goal(Action.BUY_AND_ORDER, 120_000),
    Goal(Action.PAY_MANY, 170_000),
)

QUOTED = (
    Quoted(
        Action.DISTRIBUTE,
        "0xSplits SplitMain",
        "distributeERC20, 100 payees",
        723_017,
        "0xSplits/splits-contracts",
    ),
    Quoted(
        Action.DISTRIBUTE,
        "ERC-7641 reference",
        "snapshot",
        68_150,
        "reference implementation in ERC-7641",
    ),
    Quoted(
        Action.CLAIM,
        "ERC-7641 reference",
        "claimBatch, 12 periods",
        447_999,
        "reference implementation in ERC-7641",
    ),
    Quoted(
        Action.TRANSFER_AFTER_REVENUE,
        "Story IpRoyaltyVault",
        "transfer, 1 revenue token",
        65_120,
        "storyprotocol/protocol-core-v1, its other modules mocked",
    ),
    Quoted(
        Action.TRANSFER_AFTER_REVENUE,
        "ERC-7641 reference",
        "transfer, 1st after a snapshot",
        214_942,
        "reference implementation in ERC-7641",
    ),
    Quoted(
        Action.SETTLE_VOUCHER,
        "x402 batch settlement",
        "per voucher, one payee",
        24_000,
        "x402BatchSettlement; noted when the goals were set, not measured again",
    ),
    Quoted(
        Action.PAY_MANY,
        "Ocean factory",
        "startMultipleTokenOrder, 10 orders",
        826_680,
        "@oceanprotocol/contracts; no outputs are signed or checked",
    ),
)
