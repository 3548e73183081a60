"""A small network's books, written by the twins: a subnet with one epoch, and a slash."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from tests.unit.demo.fair import CHANNELS, CURRENCY, REGISTRY, Book

from tessera.bindings import (
    approvals,
    bond,
    channels,
    court,
    draws,
    emission,
    epochs,
    exchange,
    network_token,
    registry,
    scores,
    subnet_pool,
    subnets,
    test_dollar,
)
from tessera.demo.accountant import Facts, NetworkFacts
from tessera.spec.bond import BondModel, BondTimes
from tessera.spec.emission import EmissionModel, EmissionTerms
from tessera.spec.epochs import EpochInputs, RevealedRow, Rules, build
from tessera.spec.scores import Row
from tessera.spec.signatures import ZERO_ADDRESS_TEXT as NOBODY
from tessera.spec.signatures import address_of

TSR: Final = 10**18
(
    TOKEN, BOND, SUBNETS, SCORES, EPOCHS, EMISSION, COURT, APPROVALS, SUBNET_POOL, MARKET, DRAWS,
) = (f"0x{number:040x}" for number in range(60, 71))  # fmt: skip
(
    FOUNDER, COMMONS, OWNER, VALIDATOR, LAZY, CHALLENGER, JUROR, POSTER, COMMITTER, ISSUER, KEEPER,
) = (f"0x{number:040x}" for number in range(80, 91))  # fmt: skip
GENESIS, STAKE, POST_BOND, DEPOSIT = 10**6 * TSR, 1_000 * TSR, 100 * TSR, 10 * TSR
TERMS = EmissionTerms(floor_price=1, min_depth=1)
TIMES = (336, 720, 288, 168)
DEMAND, PRICE, LOCK, OPENING = 1_000_003, 10**6, 100 * TSR, 50 * TSR
MODELS = (17, 18)
SUBNET, EPOCH, TEMPO = 1, 1, 86_400
ROUND, TEST_SET, CASE = b"\5" * 32, b"\6" * 32, b"\7" * 32
RULES = subnets.Rules(
    tempo=TEMPO, kappa=32_767, bonds_penalty=65_535, bonds_moving_average=900_000, yuma3=False,
    max_models=64, max_validators=16, immunity=1, burn_half_life=1, min_burn=1, threshold=1,
)  # fmt: skip
ROWS = {VALIDATOR: (65_535, 0), LAZY: (30_000, 65_535)}


class Commonwealth(Book):
    """Writes what the network's contracts say, and keeps what they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: Counter[str] = Counter()
        self.bonds = BondModel(BondTimes(*TIMES))
        self.emits = EmissionModel(TERMS, GENESIS)
        self.started = self.now
        self.minted = self.supply = 0

    def send(self, sender: str, receiver: str, amount: int) -> None:
        """Move TSR."""
        if sender == NOBODY:
            self.minted, self.supply = self.minted + amount, self.supply + amount
        else:
            self.tokens[sender] -= amount
        if receiver == NOBODY:
            self.supply -= amount
        else:
            self.tokens[receiver] += amount
        self.say(TOKEN, network_token.Transfer(sender, receiver, amount))

    def found(self) -> None:
        """Mint the genesis, give some to everybody, and open TSR's pool."""
        self.send(NOBODY, FOUNDER, GENESIS)
        for who in (OWNER, VALIDATOR, LAZY, CHALLENGER, POSTER, COMMITTER, ISSUER, KEEPER):
            self.send(FOUNDER, who, 2 * STAKE)
        self.then()
        self.send(FOUNDER, MARKET, 100 * TSR)
        self.pay(NOBODY, FOUNDER, 100 * PRICE)
        self.pay(FOUNDER, MARKET, 100 * PRICE)
        opened = exchange.PoolOpened(TOKEN, 0, FOUNDER, 1, 100 * TSR, 100 * PRICE, 1, 0)
        self.say(MARKET, opened)

    def stake(self, who: str) -> None:
        """Let somebody answer to Approvals, and stake."""
        self.then()
        self.bonds.enlist(address_of(who), address_of(APPROVALS), self.now)
        self.say(BOND, bond.Enlisted(who, APPROVALS, self.now))
        shares = self.bonds.stake(address_of(who), address_of(who), STAKE, self.now)
        self.send(who, BOND, STAKE)
        self.say(BOND, bond.Staked(who, who, STAKE, shares))

    def make_subnet(self) -> None:
        """Lock, open the pool, and take places, which burns."""
        self.then()
        self.send(OWNER, SUBNETS, LOCK)
        self.say(SUBNETS, subnets.SubnetCreated(SUBNET, OWNER, LOCK, self.now, RULES))
        self.start = self.now
        self.send(OWNER, SUBNET_POOL, OPENING)
        self.say(SUBNET_POOL, subnet_pool.PoolOpened(SUBNET, "0x" + "ee" * 20, 1, OPENING))
        for uid, asset in enumerate(MODELS):
            self.then()
            made = registry.AssetRegistered(
                asset=asset, creator=OWNER, number=uid + 1, kind=registry.Kind.MODEL,
                slug=f"model-{asset}", contributions=bytes(32), parents=(),
            )  # fmt: skip
            self.say(REGISTRY, made)
            self.send(OWNER, SUBNETS, TSR + uid)
            self.send(SUBNETS, NOBODY, TSR + uid)
            self.say(SUBNETS, subnets.Burned(SUBNET, OWNER, TSR + uid))
            self.say(SUBNETS, subnets.PlaceTaken(SUBNET, 0, asset, uid, 1, 0))
            self.emits.counted[asset] = (0, SUBNET)

    def count(self) -> None:
        """Let the commons get its half of what calls cost, and count it."""
        self.now = self.start + TEMPO + 60
        self.then()
        self.say(CHANNELS, channels.Settled(MODELS[0], OWNER, 1, 200 * DEMAND, DEMAND))
        self.then()
        self._tick()
        paid_by = self._paid_by()
        grown = self.emits.collect_demand(MODELS[0], DEMAND, SUBNET, epoch_at=paid_by)
        collected = emission.DemandCollected(MODELS[0], SUBNET, self.emits.period, grown)
        self.say(EMISSION, collected)
        given = self.emits.bootstrap(SUBNET, OPENING, live=True, epoch_at=paid_by)
        self.say(EMISSION, emission.Bootstrapped(SUBNET, self.emits.period, given))

    def score(self) -> None:
        """Let both validators reveal, and post the result."""
        revealed = []
        for row, (who, weights) in enumerate(ROWS.items()):
            tree = Row(dict(enumerate(weights)), len(MODELS))
            self.then()
            self.say(
                SCORES,
                scores.Revealed(SUBNET, EPOCH, who, row, tree.root, tree.sum, STAKE, ""),
            )
            revealed.append(RevealedRow(address_of(who), STAKE, weights))
        rules = Rules(32_767, 65_535, 900_000, yuma3=False)
        self.posted = build(EpochInputs(len(MODELS), tuple(revealed), rules))
        self.then()
        self.send(POSTER, EPOCHS, POST_BOND)
        result = epochs.Result(*self.posted.header.call)
        self.say(EPOCHS, epochs.Posted(SUBNET, EPOCH, POSTER, 0, bytes(32), result))
        self.then()
        self.say(EPOCHS, epochs.Finalized(SUBNET, EPOCH, POSTER, bytes(32)))
        self.send(EPOCHS, POSTER, POST_BOND)
        self.say(EPOCHS, epochs.Collected(POSTER, POST_BOND))

    def judge(self) -> None:
        """Let the lazy one approve, be accused, and lose its bond."""
        self.then()
        self.send(COMMITTER, APPROVALS, STAKE)
        hidden = approvals.SetCommitted(
            TEST_SET, COMMITTER, bytes(32), 100, bytes(32), 400, STAKE, 0, ""
        )
        self.say(APPROVALS, hidden)
        self.send(ISSUER, APPROVALS, 10 * TSR)
        opened = approvals.RoundOpened(
            ROUND, TEST_SET, 8, 1, bytes(32), ISSUER, 800_000, 750_000, 0, 10 * TSR
        )
        self.say(APPROVALS, opened)
        self.then()
        self.send(KEEPER, DRAWS, DEPOSIT)
        self.say(DRAWS, draws.Committed(1, KEEPER))
        self.then()
        self.send(DRAWS, KEEPER, DEPOSIT)
        self.say(DRAWS, draws.Revealed(1, KEEPER, b"\1" * 32))
        self.say(APPROVALS, approvals.Committed(ROUND, LAZY, STAKE))
        self.then()
        self.send(CHALLENGER, COURT, DEPOSIT)
        self.bonds.freeze(address_of(APPROVALS), address_of(LAZY), CASE, self.now)
        self.say(BOND, bond.Frozen(LAZY, APPROVALS, CASE, self.now + TIMES[2]))
        opens = court.CaseOpened(1, ROUND, LAZY, CHALLENGER, 3, b"\2" * 32, DEPOSIT)
        self.say(COURT, opens)
        self.then()
        self.send(COURT, JUROR, DEPOSIT // 10)
        evidence = b"\3" * 32
        taken = self.bonds.slash(
            address_of(APPROVALS), address_of(LAZY), STAKE, CASE, evidence, address_of(CHALLENGER),
            self.now,
        )  # fmt: skip
        self.send(BOND, CHALLENGER, taken.bounty)
        self.send(BOND, COMMONS, taken.amount - taken.bounty)
        slashed = (LAZY, APPROVALS, CASE, evidence, taken.amount, CHALLENGER, taken.bounty)
        self.say(BOND, bond.Slashed(*slashed))
        self.say(APPROVALS, approvals.Punished(ROUND, LAZY, 1, taken.amount, evidence))
        self.say(COURT, court.CaseClosed(1, True, False))
        self.send(COURT, CHALLENGER, DEPOSIT - DEPOSIT // 10)
        self.then()
        self.send(APPROVALS, COMMITTER, STAKE)

    def emit(self) -> None:
        """Close the period, let the epoch pay, and claim."""
        self.then(3_600)
        fees = DEMAND + 17
        self.pay(NOBODY, EMISSION, fees)
        self.say(CHANNELS, channels.CreditWithdrawn(EMISSION, EMISSION, fees))
        ended = self.emits.period
        self._tick(price=PRICE, fees=fees)
        totals = self.emits.periods[ended]
        closed = emission.PeriodClosed(
            ended, totals.demand, totals.bootstraps, PRICE, 0, totals.allotted, totals.fees
        )
        self.say(EMISSION, closed)
        self.emits.gather(SUBNET, epoch_at=self._paid_by(ended))
        header = self.posted.header
        low = 2**128 - 1
        minted = self.emits.settle(
            SUBNET, EPOCH, status=1, sums=(header.sums & low, header.dividends & low,
            header.incentive), owner=OWNER, live=True, now_epoch=1, commons=COMMONS,
        )  # fmt: skip
        payout = self.emits.payouts[SUBNET, EPOCH]
        to_owner = minted - payout.models - payout.validators
        settled = (SUBNET, EPOCH, OWNER, to_owner, payout.models, payout.validators, payout.fees)
        self.say(EMISSION, emission.EpochSettled(*settled))
        self.send(NOBODY, EMISSION, minted)
        for uid, asset in enumerate(MODELS):
            column = self.posted.columns[uid]
            assert column is not None
            earned = self.emits.claim_model(
                SUBNET,
                EPOCH,
                uid,
                asset,
                rank=column.rank,
                ranks=header.incentive,
                commons=COMMONS,
            )
            self.say(EMISSION, emission.ModelPaid(SUBNET, EPOCH, asset, uid, earned))
            flushed = self.emits.flush(asset, owner=OWNER, tokenized=False)
            self.say(EMISSION, emission.Flushed(asset, OWNER, flushed))
        for row, who in enumerate(ROWS):
            counted = self.posted.rows[row]
            assert counted is not None
            amount, part = self.emits.claim_validator(
                SUBNET, EPOCH, row, who, stake=counted[0], dividend=counted[1] & low,
                pays=COMMONS if who == LAZY else None,
            )  # fmt: skip
            self.say(EMISSION, emission.ValidatorPaid(SUBNET, EPOCH, who, amount, part))
            if who != LAZY:
                self.reward(who, amount, EMISSION)
        for who in (OWNER, COMMONS):
            self.send(EMISSION, who, amount := self.emits.credit.pop(who))
            self.say(EMISSION, emission.Withdrawn(TOKEN, who, who, amount))
        self.pay(EMISSION, VALIDATOR, amount := self.emits.fees_credit.pop(VALIDATOR))
        self.say(EMISSION, emission.Withdrawn(CURRENCY, VALIDATOR, VALIDATOR, amount))
        self.then()
        self.reward(VALIDATOR, 10 * TSR, APPROVALS)
        self.say(APPROVALS, approvals.Rewarded(ROUND, VALIDATOR, 10 * TSR))

    def reward(self, who: str, amount: int, payer: str) -> None:
        """Pay into a pool."""
        self.send(payer, BOND, amount)
        take = self.bonds.reward(address_of(who), amount, self.now)
        self.say(BOND, bond.Rewarded(who, payer, amount, take))

    def told(self) -> Facts:
        """Return what the chain shows at the end."""
        model = self.emits
        kept = model.fees_in - sum(
            entry.event.value for entry in self.entries
            if isinstance(entry.event, test_dollar.Transfer) and entry.event.sender == EMISSION
        )  # fmt: skip
        names = ("Bond", "Subnets", "Scores", "Epochs", "Emission", "Court", "Approvals")
        at = dict(
            zip(names, (BOND, SUBNETS, SCORES, EPOCHS, EMISSION, COURT, APPROVALS), strict=True)
        )
        network = NetworkFacts(
            token=TOKEN, commons=COMMONS, minted=self.minted, supply=self.supply,
            at={**at, "SubnetPool": SUBNET_POOL, "NetworkExchange": MARKET, "Draws": DRAWS},
            balances=dict(self.tokens),
            obligations={name: self.tokens[address] for name, address in at.items()},
            bonds={who: self.bonds.pools[address_of(who)].slashable() for who in (VALIDATOR, LAZY)},
            bond_times=TIMES, terms=TERMS.row(), started_at=self.started,
            credits=dict(model.credit), earned=dict.fromkeys(MODELS, 0),
            fee_credits=dict(model.fees_credit), waiting_fees=model.waiting_fees,
            fee_obligations=kept, pledges={TEST_SET: 0}, budgets={ROUND: 0}, owed={},
            epoch_bond=POST_BOND, draw_deposit=DEPOSIT, rows={(SUBNET, EPOCH): ROWS},
        )  # fmt: skip
        return self.facts(network=network)

    def facts(self, **known: Any) -> Facts:
        """Return facts in which everybody's money is known."""
        return super().facts(balances=dict(self.balances), **known)

    def _tick(self, *, price: int = 0, fees: int = 0) -> None:
        self.emits.close(self.now - self.started, price=price, fees=fees, commons=COMMONS)

    def _paid_by(self, period: int | None = None) -> int:
        counted = self.emits.period if period is None else period
        return (self.started + (counted + 1) * TERMS.period - 1 - self.start) // TEMPO


def network_books() -> Facts:
    """One epoch: the bad model earns nothing, the lazy validator is slashed before it is paid."""
    network = Commonwealth()
    network.found()
    for who in (VALIDATOR, LAZY):
        network.stake(who)
    network.make_subnet()
    network.count()
    network.score()
    network.judge()
    network.emit()
    return network.told()
