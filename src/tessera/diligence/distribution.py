"""Step 3: how concentrated it is, what is still locked and when that comes free, who stakes."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tessera.diligence.concentration import concentration
from tessera.diligence.custody import deposits
from tessera.diligence.entities import created_by, entities_of, first_funders
from tessera.diligence.labels import CUSTODY, AddressClass, classes_of
from tessera.diligence.ledger import BURN, ledger_of
from tessera.diligence.money.prices import SCALE
from tessera.diligence.money.takings import token_money
from tessera.diligence.owners import (
    Supply,
    anonymous_share,
    locked_liquidity,
    owners_of,
    pool_shares,
    said_of,
    supply,
)
from tessera.diligence.results import (
    DAY_S,
    Coverage,
    Evidence,
    Metric,
    Status,
    Step,
    Window,
    hash_inputs,
)
from tessera.diligence.unlocks import Bucket, Calendar, calendar
from tessera.diligence.view import View
from tessera.facts import ABSENT, Kind

__all__ = ["measure"]

DUST: Final = Fraction(1, 100_000_000)
"""Of the circulating supply: who holds less is no holder for the Gini coefficient and stakers."""

_SHOWN: Final = 10
_MAJOR_MINT: Final = Fraction(1, 2)
_NAMES: Final = (
    "supply_circulating", "top10_raw", "top10_adj", "top10_lookthrough", "gini", "hhi", "nakamoto",
    "team_locked_anon", "unlock_30d_fwd", "unlock_insider_12m", "staking_rate", "stakers",
    "lp_locked_share",
)  # fmt: skip
_STAKING: Final = ("staking_rate", "stakers")


def measure(view: View) -> list[Metric]:
    """Answer all of step 3 for the view's token.

    Raises
    ------
    NotFound
        Nobody looked at the token.
    """
    ledger = ledger_of(view)
    if ledger.status is not Status.OK:
        return [
            Metric.without(
                name, Step.DISTRIBUTION, ledger.status, ledger.why,
                missing=ledger.coverage.missing, evidence=ledger.evidence,
            )
            for name in _NAMES
        ]  # fmt: skip
    if supply(ledger.balances, classes_of(view)).total <= 0:
        why = "all of it was burned"
        return [
            Metric.without(name, Step.DISTRIBUTION, Status.NOT_APPLICABLE, why) for name in _NAMES
        ]
    return _Answers(view).all()


class _Answers:
    """The metrics of one view; what several of them need is worked out once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.transfers = view.transfers
        self.balances = ledger_of(view).balances
        self.classes = classes_of(view)
        self.entities = entities_of(view)
        self.hash = hash_inputs(
            self.transfers.digest(),
            self.classes.labels.version,
            said_of(self.transfers, self.classes),
            view.head.time,
        )
        self.supply = supply(self.balances, self.classes)
        self.staked = deposits(self.transfers, self.classes.members(AddressClass.STAKING))
        self.parts = {
            **deposits(self.transfers, self.classes.members(AddressClass.VESTING)),
            **self.staked,
            **self._pools(),
        }
        self.owners = owners_of(
            self.balances, self.classes, self.entities, self.parts,
            ledger_of(view).order(),
        )  # fmt: skip

    def all(self) -> list[Metric]:
        """Return every metric of the step, in the specification's order."""
        return [
            self._supply(),
            *self._top10(),
            *self._concentration(),
            self._anonymous(),
            *self._unlocks(),
            *self._staking(),
            self._liquidity(),
        ]

    def _pools(self) -> dict[int, dict[int, int]]:
        """Who owns each pool whose own token was observed."""
        observed = set(self.view.facts.tokens())
        burn = self.classes.members(AddressClass.BURN)
        pools = np.flatnonzero(self.classes.members(AddressClass.DEX_POOL)).tolist()
        addresses = self.transfers.addresses
        return {
            pool: pool_shares(self.view.facts.transfers(addresses[pool]), self.transfers, burn)
            for pool in pools
            if addresses[pool] in observed and self.balances[pool]
        }

    def _metric(
        self,
        name: str,
        value: float | None,
        unit: str,
        text: str,
        *,
        status: Status = Status.OK,
        window: Window | None = None,
        coverage: Coverage | None = None,
        evidence: tuple[Evidence, ...] = (),
        parts: dict[str, object] | None = None,
    ) -> Metric:
        return Metric(
            name, Step.DISTRIBUTION, value, unit, status, text, window, self.hash,
            coverage or self._coverage(), evidence, parts or {},
        )  # fmt: skip

    def _coverage(self) -> Coverage:
        """Say of how much of the supply it is known what holds it."""
        missing = []
        share = 1.0
        if self.owners.unseen:
            share = 1 - self.owners.unseen / self.supply.total
            missing.append(f"code of the addresses that hold {1 - share:.1%} of the supply")
        if self.owners.unlabelled:
            part = self.owners.unlabelled / self.supply.total
            missing.append(f"labels of the contracts that hold {part:.1%} of the supply")
        if not self.entities.observed:
            missing.append("transactions: who funded whom")
        return Coverage(share, tuple(missing))

    def _supply(self) -> Metric:
        held = self.supply
        text = f"{held.circulating / held.total:.1%} of the supply circulates"
        return self._metric(
            "supply_circulating", held.circulating, "base units", text,
            parts={
                "minted": held.minted, "burned": held.burned, "total": held.total,
                "locked": held.locked, "unlabelled_contracts": self.owners.unlabelled,
                "unseen": self.owners.unseen,
            },
        )  # fmt: skip

    def _largest(self) -> list[tuple[str, str, int]]:
        """Address, class and base units of the largest holders outside custody."""
        return [
            (
                self.transfers.addresses[each],
                AddressClass(int(self.classes.codes[each])).name.lower(),
                self.balances[each],
            )
            for each in self.owners.largest
        ]

    def _top10(self) -> list[Metric]:
        owners, total = self.owners, self.supply.total
        largest = tuple(
            Evidence(f"holder {rank}: {klass}", address, held)
            for rank, (address, klass, held) in enumerate(self._largest()[:10], 1)
        )
        excluded = owners.excluded / total
        found = []
        for name, reading, said in (
            ("top10_raw", owners.raw, "of all but burned, exchanges and contracts included"),
            ("top10_adj", owners.adjusted, f"without the {excluded:.1%} that lies in custody"),
            ("top10_lookthrough", owners.through, "stakes, vesting and pools by their owners"),
        ):
            if reading is None:
                found.append(self._none(name, "share", "all of it lies in custody"))
                continue
            text = f"{reading.top10:.1%} with the ten largest of {reading.holders:,}, {said}"
            parts: dict[str, object] = {"holders": reading.holders, "excluded_share": excluded}
            if name == "top10_adj":
                entity = owners.entities
                parts |= {
                    "raw": owners.raw.top10 if owners.raw else None,
                    "lookthrough": owners.through.top10 if owners.through else None,
                    "entities": entity.top10 if entity else None,
                    "entity_count": entity.holders if entity else 0,
                    "largest": [
                        [address, str(klass), held / reading.total]
                        for address, klass, held in self._largest()
                    ],
                    "others": 1 - sum(held for _, _, held in self._largest()) / reading.total,
                }
            if name == "top10_lookthrough":
                parts["opaque_share"] = owners.opaque / total
            found.append(
                self._metric(
                    name,
                    reading.top10,
                    "share",
                    text,
                    parts=parts,
                    evidence=largest if name == "top10_adj" else (),
                )
            )
        return found

    def _concentration(self) -> list[Metric]:
        adjusted, raw, joined = self.owners.adjusted, self.owners.raw, self.owners.entities
        if adjusted is None or raw is None or joined is None:
            why = "all of it lies in custody"
            return [self._none(name, "", why) for name in ("gini", "hhi", "nakamoto")]
        least, said = self._cutoff()
        kept = self.classes.members(AddressClass.BURN, *CUSTODY)
        worth = concentration(
            held
            for held, out in zip(self.balances, kept.tolist(), strict=True)
            if held >= least and not out
        )
        gini = (
            self._none("gini", "", "nobody holds as much as the cut-off")
            if worth is None
            else self._metric(
                "gini", worth.gini, "",
                f"{worth.gini:.3f} over {worth.holders:,} who hold {said} or more",
                parts={"holders": worth.holders, "least": least, "raw": raw.gini},
            )
        )  # fmt: skip
        return [
            gini,
            self._metric(
                "hhi", adjusted.hhi, "",
                f"{adjusted.hhi:.4f}: as concentrated as {adjusted.effective:,.1f} equal holders",
                parts={
                    "effective_holders": adjusted.effective, "raw": raw.hhi,
                    "entities": joined.hhi,
                },
            ),
            self._metric(
                "nakamoto", adjusted.half, "",
                f"{adjusted.half} hold more than half, {adjusted.third} more than 33 %; by balance",
                parts={
                    "half": adjusted.half, "third": adjusted.third,
                    "entities_half": joined.half, "entities_third": joined.third,
                },
            ),
        ]  # fmt: skip

    def _cutoff(self) -> tuple[int, str]:
        """Return the least that makes a holder, in base units: a dollar, or 1e-8 of it all."""
        part = max(1, -(-self.supply.circulating * DUST.numerator // DUST.denominator))
        money = token_money(self.view)
        if money is not None and money.quotes is not None:
            row = int(money.quotes.rows_at(np.array([self.view.head.time]))[0])
            if row >= 0 and money.quotes.prices[row]:
                dollar = -(-SCALE * 10**money.decimals // money.quotes.prices[row])
                if dollar > part:
                    return dollar, "1 USD"
        return part, "1e-8 of what circulates"

    def _none(
        self, name: str, unit: str, why: str, status: Status = Status.NOT_APPLICABLE
    ) -> Metric:
        return Metric.without(
            name, Step.DISTRIBUTION, status, why, unit=unit, inputs_hash=self.hash
        )

    def _anonymous(self) -> Metric:
        name = "team_locked_anon"
        found = self._deployer()
        if found is None:
            return self._none(
                name, "share", "nobody knows who deployed it; about.toml may say", Status.UNKNOWN
            )
        deployer, why = found
        addresses = self.transfers.addresses
        funded = np.zeros(len(addresses), np.bool_)
        if Kind.CALLS in self.view.facts.kinds:
            funded = _funded_by(self.view, addresses[deployer])
        held, wallets = anonymous_share(
            self.transfers, self.balances, self.classes, deployer, funded
        )
        share = held / self.supply.total
        wallets.sort(key=lambda each: (-self.balances[each], addresses[each]))
        return self._metric(
            name, share, "share",
            f"{share:.1%} in {len(wallets):,} nameless wallets that the deployer filled, untouched",
            evidence=(
                Evidence(f"deployer: {why}", addresses[deployer]),
                *(
                    Evidence("filled, untouched", addresses[each], self.balances[each])
                    for each in wallets[:_SHOWN]
                ),
            ),
            parts={"wallets": len(wallets), "anonymous": self.view.subject.people.anonymous},
        )  # fmt: skip

    def _deployer(self) -> tuple[int, str] | None:
        """Say who deployed the token, and how that is known."""
        addresses, subject = self.transfers.addresses, self.view.subject
        named = subject.people.deployer
        if named is not None:
            found = addresses.id_of(named)
            return None if found is None else (found, "about.toml says so")
        if Kind.CALLS in self.view.facts.kinds:
            calls = self.view.facts.calls()
            creators = calls.addresses.texts(np.unique(calls.sender[calls.to == ABSENT]))
            for creator in creators:
                if any(created_by(creator, nonce) == subject.token for nonce in range(64)):
                    found = addresses.id_of(creator)
                    return None if found is None else (found, "it created the token's contract")
        minted = self.transfers.amount[self.transfers.mints]
        first = int(np.argmax(self.transfers.mints)) if len(minted) else -1
        if first >= 0 and self.transfers.amount[first] >= _MAJOR_MINT * minted.total():
            return int(self.transfers.target[first]), "it got the first mint, most of all ever"
        return None

    def _unlocks(self) -> list[Metric]:
        names = ("unlock_30d_fwd", "unlock_insider_12m")
        if not self.view.subject.unlocks:
            why = "no schedule is known: about.toml may hold [[unlocks]]"
            return [self._none(name, "share", why, Status.UNKNOWN) for name in names]
        now = self.view.head.time
        buckets = [Bucket.of(unlock) for unlock in self.view.subject.unlocks]
        plan = calendar(buckets, now)
        base, said = self.supply.circulating, "of what circulates"
        if base <= 0:
            base, said = plan.vested, "of what is unlocked so far"
        if base <= 0:
            why = "nothing circulates yet, so no share of it can be given"
            return [self._none(name, "share", why, Status.INSUFFICIENT) for name in names]
        self.hash = hash_inputs(self.hash, repr(self.view.subject.unlocks))
        return [
            self._metric(
                names[0], plan.next_month / base, "share",
                f"{plan.next_month / base:.1%} {said} is unlocked within 30 days",
                window=Window(now, now + 30 * DAY_S), parts=_months(plan, base, self.supply),
            ),
            self._metric(
                names[1], plan.insiders_worst / base, "share",
                f"{plan.insiders_worst / base:.1%} {said} goes to insiders within 30 days "
                f"from {_day(plan.insiders_worst_from)}",
                window=Window(now, now + 365 * DAY_S),
                parts={
                    "from": plan.insiders_worst_from, "year": plan.insiders_year / base,
                    "largest_day_share": plan.step / base, "largest_day": plan.step_at,
                },
            ),
        ]  # fmt: skip

    def _staking(self) -> list[Metric]:
        places = self.classes.members(AddressClass.STAKING)
        if not places.any():
            why = "no staking contract is known: about.toml may label one"
            return [self._none(name, "", why, Status.UNKNOWN) for name in _STAKING]
        staked = sum(self.balances[each] for each in np.flatnonzero(places).tolist())
        base = self.supply.circulating
        if base <= 0:
            why = "nothing circulates"
            return [self._none(name, "", why, Status.NOT_APPLICABLE) for name in _STAKING]
        least = max(1, -(-base * DUST.numerator // DUST.denominator))
        stakes: dict[int, int] = {}
        for holders in self.staked.values():
            for holder, amount in holders.items():
                stakes[holder] = stakes.get(holder, 0) + amount
        spread = concentration(amount for amount in stakes.values() if amount >= least)
        rate = self._metric(
            "staking_rate", staked / base, "share",
            f"{staked / base:.1%} of what circulates is staked",
            parts={"staked": staked, "contracts": int(places.sum())},
        )  # fmt: skip
        if spread is None:
            why = "who staked is not seen in transfers"
            return [rate, self._none("stakers", "", why, Status.UNKNOWN)]
        return [
            rate,
            self._metric(
                "stakers", spread.holders, "",
                f"{spread.holders:,} stake, as concentrated as {spread.effective:,.1f} equal ones",
                parts={"hhi": spread.hhi, "least": least, "top10": spread.top10},
            ),
        ]  # fmt: skip

    def _liquidity(self) -> Metric:
        """Say how much of what its pools hold cannot be taken out: burned, or in a locker."""
        name, addresses = "lp_locked_share", self.transfers.addresses
        members = np.flatnonzero(self.classes.members(AddressClass.DEX_POOL)).tolist()
        pools = {addresses[each]: self.balances[each] for each in members if self.balances[each]}
        if not pools:
            why = "no pool that holds it is known: about.toml may label one dex_pool"
            return self._none(name, "share", why, Status.UNKNOWN)
        lockers = {
            address
            for address, label in self.classes.labels.by_address.items()
            if label.klass == AddressClass.VESTING
        }
        observed = set(self.view.facts.tokens())
        locked = {
            pool: part
            for pool in sorted(pools)
            if pool in observed
            and (part := locked_liquidity(self.view.facts.transfers(pool), BURN, lockers))
            is not None
        }
        if not locked:
            why = "nobody looked at the pools' own tokens: tessera index --token POOL"
            return self._none(name, "share", why, Status.UNKNOWN)
        seen = sum(pools[pool] for pool in locked)
        share = sum((part * pools[pool] for pool, part in locked.items()), Fraction(0)) / seen
        missing = (f"the own tokens of {len(pools) - len(locked)} pools",)
        return self._metric(
            name, float(share), "share",
            f"{float(share):.1%} of the liquidity in {len(locked)} pools cannot be taken out",
            coverage=Coverage(
                seen / sum(pools.values()), missing if len(locked) < len(pools) else ()
            ),
            evidence=tuple(
                Evidence("locked share of a pool", pool, float(part))
                for pool, part in locked.items()
            ),
        )  # fmt: skip


def _funded_by(view: View, funder: str) -> NDArray[np.bool_]:
    """Mask of those whose first coins came from this address."""
    calls, addresses = view.facts.calls(), view.transfers.addresses
    funded, funders = first_funders(calls)
    own = calls.addresses.id_of(funder)
    here = addresses.ids_of(calls.addresses.texts(funded[funders == (own or ABSENT)]))
    mask = np.zeros(len(addresses), np.bool_)
    mask[here[here != ABSENT]] = True
    return mask


def _months(plan: Calendar, base: int, held: Supply) -> dict[str, object]:
    return {
        "base": base,
        "share_of_total": plan.next_month / held.total if held.total else None,
        "share_of_vested": plan.next_month / plan.vested if plan.vested else None,
        "calendar_month": plan.calendar_month / base,
        "largest_day_share": plan.step / base,
        "largest_day": plan.step_at,
        "months": [_day(start)[:7] for start, _, _ in plan.months],
        "insiders": [insiders / base for _, insiders, _ in plan.months],
        "others": [others / base for _, _, others in plan.months],
    }


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
