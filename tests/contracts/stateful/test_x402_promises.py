"""The standard's channels under random use, beside their twin and a ledger of plain sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rig.effort import times
from rig.people import Person, key_of, person
from rig.twins import both
from rig.x402 import (
    DELAY,
    OPERATOR,
    PAYERS_KEY,
    RECEIVER,
    UINT128,
    Standard,
    claim_of,
    deploy_standard,
    row_of,
)

from tessera.spec.signatures import ZERO_ADDRESS
from tessera.spec.x402 import Payout, VoucherClaim, X402Model
from tessera.spec.x402_digests import ChannelConfig

PAYERS = [person(f"payer {number}") for number in range(2)]
OTHER_RECEIVER, OTHER_OPERATOR = person("other receiver"), person("other operator")
ANYBODY = [*PAYERS, PAYERS_KEY, RECEIVER, OPERATOR, OTHER_OPERATOR]
AMOUNTS = st.one_of(st.integers(0, 1_000), st.sampled_from([10**12, UINT128 - 1, UINT128]))
ROWS = st.lists(st.tuples(st.integers(0, 3), AMOUNTS, AMOUNTS, st.booleans()), max_size=4)


class X402Promises(RuleBasedStateMachine):
    """Promises: solvent, conserved, settled_once, can_always_claim."""

    def __init__(self) -> None:
        super().__init__()
        self.standard: Standard = deploy_standard()
        self.channels = self.standard.channels
        self.model = X402Model(self.standard.engine.chain_id)
        self.deposited: Counter[bytes] = Counter()
        self.returned: Counter[bytes] = Counter()
        self.paid_out: Counter[str] = Counter()
        key = key_of(PAYERS_KEY)
        shared = {"receiver_authorizer": key_of(OPERATOR), "receiver": key_of(RECEIVER)}
        self.configs = [
            self.standard.config(payer=key_of(PAYERS[0]), payer_authorizer=key, **shared),
            self.standard.config(payer=key_of(PAYERS[1]), payer_authorizer=ZERO_ADDRESS, **shared),
            self.standard.config(
                payer=key_of(PAYERS[0]), receiver_authorizer=key_of(OTHER_OPERATOR)
            ),
            # Somebody who pays itself.
            self.standard.config(payer=key_of(PAYERS[1]), receiver=key_of(PAYERS[1])),
        ]

    @initialize(amount=st.integers(1, 10**6))
    def begin(self, amount: int) -> None:
        self.deposit(0, amount)

    @rule(which=st.integers(0, 3), amount=AMOUNTS)
    def deposit(self, which: int, amount: int) -> None:
        config = self.configs[which]
        # All tokens together are less than 2^128, as the books assume of a sane token.
        amount = min(amount, UINT128 - sum(self.deposited.values()))
        collector = self.standard.any_collector

        def contract() -> bool:
            self.channels("deposit", row_of(config), amount, collector, b"")
            return bool(self.channels.events("ChannelCreated"))

        done = both(lambda: self.model.deposit(config, amount, key_of(collector)), contract)
        if done is not None:
            self.deposited[self._id(config)] += amount

    @rule(rows=ROWS, by=st.sampled_from(ANYBODY))
    def claim(self, rows: list[tuple[int, int, int, bool]], by: Person) -> None:
        signed = [self._row(*row) for row in rows]

        def contract() -> list[int]:
            self.channels("claim", [claim_of(row) for row in signed], by=by.address)
            return self._added()

        both(lambda: _some(self.model.claim(signed, key_of(by))), contract)

    @rule(rows=ROWS, by=st.sampled_from([OPERATOR, OPERATOR, OTHER_OPERATOR]))
    def claim_with_signature(self, rows: list[tuple[int, int, int, bool]], by: Person) -> None:
        signed = [self._row(*row) for row in rows]
        signature = self.standard.batch_signature(signed, by=by)

        def contract() -> list[int]:
            self.channels("claimWithSignature", [claim_of(row) for row in signed], signature)
            return self._added()

        both(lambda: _some(self.model.claim_with_signature(signed, signature)), contract)

    @rule(receiver=st.sampled_from([RECEIVER, PAYERS[1], OTHER_RECEIVER]))
    def settle(self, receiver: Person) -> None:
        token = self.standard.token
        paid = self._moved(
            lambda: self.model.settle(key_of(receiver), key_of(token)),
            receiver.address,
            lambda: self.channels("settle", receiver.address, token.address),
        )
        self.paid_out[receiver.address] += paid

    @rule(which=st.integers(0, 3), amount=AMOUNTS, by=st.sampled_from(ANYBODY))
    def announce(self, which: int, amount: int, by: Person) -> None:
        config, now = self.configs[which], self.standard.engine.now

        def contract() -> int:
            self.channels("initiateWithdraw", row_of(config), amount, by=by.address)
            return int(self.channels.events()[0].arguments["finalizeAfter"])

        both(lambda: self.model.initiate_withdraw(config, amount, key_of(by), now), contract)

    @rule(which=st.integers(0, 3), by=st.sampled_from(ANYBODY))
    def finalize(self, which: int, by: Person) -> None:
        config, now = self.configs[which], self.standard.engine.now
        self._give_back(
            config,
            lambda: self.model.finalize_withdraw(config, key_of(by), now),
            lambda: self.channels("finalizeWithdraw", row_of(config), by=by.address),
        )

    @rule(which=st.integers(0, 3), amount=AMOUNTS, by=st.sampled_from(ANYBODY))
    def refund(self, which: int, amount: int, by: Person) -> None:
        config = self.configs[which]
        self._give_back(
            config,
            lambda: self.model.refund(config, amount, key_of(by)),
            lambda: self.channels("refund", row_of(config), amount, by=by.address),
        )

    @rule(which=st.integers(0, 3), amount=AMOUNTS, ahead=st.sampled_from([0, 0, 0, 1]))
    def refund_with_signature(self, which: int, amount: int, ahead: int) -> None:
        config = self.configs[which]
        nonce = self.model.refund_nonce[self._id(config)] + ahead
        signature = self.standard.refund_signature(config, amount, nonce)
        call = ("refundWithSignature", row_of(config), amount, nonce, signature)
        self._give_back(
            config,
            lambda: self.model.refund_with_signature(config, amount, nonce, signature),
            lambda: self.channels(*call),
        )

    @rule(seconds=st.sampled_from([1, DELAY // 2, DELAY]))
    def wait(self, seconds: int) -> None:
        self.standard.engine.now += seconds

    # --- Promises -------------------------------------------------------------------------------

    @invariant()
    def conserved(self) -> None:
        for config in self.configs:
            channel = self._id(config)
            state = self.model.channels[channel]
            assert self.standard.state(config) == state
            assert self.standard.pending(config) == self.model.pending[channel]
            assert self.channels("refundNonce", channel) == self.model.refund_nonce[channel]
            assert state.balance == self.deposited[channel] - self.returned[channel]
        claimed = sum(state.claimed for state in self.model.channels.values())
        assert claimed == sum(each.claimed for each in self.model.receivers.values())

    @invariant()
    def solvent(self) -> None:
        """What is here is what is free in all channels, and what was claimed and not sent."""
        free = sum(state.free for state in self.model.channels.values())
        owed = sum(each.claimed - each.settled for each in self.model.receivers.values())
        assert self.standard.money(self.channels) == free + owed

    @invariant()
    def settled_once(self) -> None:
        for receiver in (RECEIVER, PAYERS[1], OTHER_RECEIVER):
            state = self.model.receivers[key_of(receiver), key_of(self.standard.token)]
            assert self.standard.earned(receiver) == state
            assert self.paid_out[receiver.address] == state.settled <= state.claimed

    @invariant()
    def can_always_claim(self) -> None:
        """Everybody leaves with everything, in any order, and nothing is left behind."""
        with self.standard.engine.trial():
            for receiver in (RECEIVER, PAYERS[1], OTHER_RECEIVER):
                self.channels("settle", receiver.address, self.standard.token.address)
            for config in self.configs:
                if self.standard.pending(config)[1]:
                    self._leave(config)
                balance, claimed = self.standard.state(config)
                if balance > claimed:
                    payer = "0x" + config.payer.hex()
                    call = ("initiateWithdraw", row_of(config), balance - claimed)
                    self.channels(*call, by=payer)
                    self._leave(config)
            assert self.standard.money(self.channels) == 0

    def _leave(self, config: ChannelConfig) -> None:
        self.standard.engine.now += DELAY
        self.channels("finalizeWithdraw", row_of(config), by="0x" + config.payer.hex())

    # --- Inside ---------------------------------------------------------------------------------

    def _id(self, config: ChannelConfig) -> bytes:
        return self.standard.id(config)

    def _row(self, which: int, maximum: int, claimed: int, good: bool) -> VoucherClaim:
        config = self.configs[which]
        # Mostly within what was signed, else little would ever be claimed.
        claimed = claimed if claimed <= 1_000 else claimed % (maximum + 1)
        signer = PAYERS[1] if which == 1 else PAYERS_KEY
        return self.standard.voucher(
            config, maximum, claimed, by=signer if good else OTHER_RECEIVER
        )

    def _added(self) -> list[int]:
        return [event.arguments["claimAmount"] for event in self.channels.events("Claimed")]

    def _moved(
        self, model: Callable[[], Payout | None], receiver: str, contract: Callable[[], Any]
    ) -> int:
        """Ask both, and see that as much moved as the twin says; how much that was."""

        def expected() -> int:
            payout = model()
            return 0 if payout is None else payout.amount

        def actual() -> int:
            before = self.standard.money(receiver)
            contract()
            return self.standard.money(receiver) - before

        return both(expected, actual) or 0

    def _give_back(
        self,
        config: ChannelConfig,
        model: Callable[[], Payout],
        contract: Callable[[], Any],
    ) -> None:
        moved = self._moved(model, "0x" + config.payer.hex(), contract)
        self.returned[self._id(config)] += moved


def _some(added: list[int]) -> list[int]:
    """Leave out the rows that were passed over: the contract tells nothing of them."""
    return [amount for amount in added if amount]


TestX402Promises = X402Promises.TestCase
TestX402Promises.settings = times(0.5)
