"""API keys: their letters, their session keys, and budgets against a ghost that counts by hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.payments.conftest import CONSUMER, DOMAIN, KEY, NOW, OPERATOR, OTHER, STRANGER

from tessera.errors import (
    BudgetSpent,
    Conflict,
    KeyRevoked,
    NotAllowed,
    QuotaExceeded,
    SignatureRejected,
)
from tessera.payments.account import Account, LineBook
from tessera.payments.api_key import ApiKey, Sessions
from tessera.payments.key_rules import period_end, period_start, rules_digest
from tessera.payments.keys import Keys, Wording
from tessera.payments.ports import ChannelView
from tessera.payments.times import Times
from tessera.spec.vouchers import TillKey

DAY = 24 * 3_600
CHANNEL = 77


@given(channel=st.integers(0, 2**64 - 1), secret=st.binary(min_size=32, max_size=32))
def test_a_key_is_read_as_it_was_written(channel: int, secret: bytes) -> None:
    key = ApiKey(channel, secret)
    assert ApiKey.parse(key.text) == key
    assert key.text.startswith(key.id)
    assert secret.hex() not in repr(key)
    assert key.text not in repr(key)


@given(text=st.text(st.characters(codec="ascii"), max_size=80))
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(KeyRevoked) as refused:
        ApiKey.parse("tsk_" + text)
    assert len(text) < 4 or text not in refused.value.message


def test_a_secret_has_one_session_key_for_ever() -> None:
    """A change here would lock every key out of its channel."""
    key = ApiKey(1, bytes(range(32)))
    assert key.signer().address.hex() == "962f9df80b3ddd04164f3a221734ac1ff56a9c53"


def test_sessions_are_made_once_in_a_while() -> None:
    now, made = [0.0], []
    sessions = Sessions(lambda signer: made.append(signer) or b"shared", lambda: now[0])
    key = ApiKey.draw()
    assert sessions.of(key.text) is sessions.of(key.text)
    now[0] = 1_000.0
    sessions.of(key.text)
    assert len(made) == 2


@pytest.mark.parametrize(
    ("period", "now", "begins", "ends"),
    [
        ("day", NOW, NOW - NOW % DAY, NOW - NOW % DAY + DAY),
        ("day", NOW - NOW % DAY, NOW - NOW % DAY, NOW - NOW % DAY + DAY),
        ("month", 1_709_164_800, 1_706_745_600, 1_709_251_200),  # 29 February 2024
        ("month", 1_735_689_599, 1_733_011_200, 1_735_689_600),  # the last second of 2024
        ("total", NOW, 0, None),
    ],
)
def test_periods_are_those_of_utc(period: str, now: int, begins: int, ends: int | None) -> None:
    assert period_start(period, now) == begins
    assert period_end(period, now) == ends
    if ends is not None:
        assert period_start(period, ends - 1) == begins
        assert period_start(period, ends) == ends


class Log:
    """Keeps what was put; a disk that is always fast enough."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def put(self, *changes: Any) -> asyncio.Future[None]:
        self.rows += changes
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


@dataclass
class Bench:
    """A channel's account and its key's rules, with a clock in hand."""

    now: float = NOW
    ahead: float = 0
    sequence: int = 0
    account: Account = field(
        default_factory=lambda: Account(
            CHANNEL, ChannelView(CONSUMER.address, STRANGER.address, True, 10**9, 0)
        )
    )

    def __post_init__(self) -> None:
        self.log = Log()
        times = Times(lambda: self.now + self.ahead, lambda: self.now)
        self.keys = Keys(self.log, DOMAIN, times)  # type: ignore[arg-type]

    async def rule(self, rules: str, signer: Any = CONSUMER) -> dict[str, Any]:
        self.sequence += 1
        body = f'{{"sequence":{self.sequence}{rules and "," + rules}}}'.encode()
        signature = signer.sign(rules_digest(DOMAIN, CHANNEL, body))
        return await self.keys.change(self.account, body, signature)

    def reserve(self, key: TillKey, maximum: int) -> bool:
        try:
            self.keys.check(self.account, key.asset, maximum)
        except BudgetSpent:
            return False
        self.account.lines.setdefault(key, LineBook()).in_flight += maximum
        return True

    def end(self, key: TillKey, maximum: int, cost: int) -> None:
        line = self.account.lines[key]
        line.in_flight -= maximum
        line.charged += cost


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "end", "day", "back"]), st.integers(0, 1), st.integers(0, 40)
    ),
    max_size=40,
)


@given(steps=STEPS, budget=st.integers(0, 100), own=st.none() | st.integers(0, 60))
def test_no_order_of_calls_days_and_clocks_spends_more_than_the_budgets(
    steps: list[Step], budget: int, own: int | None
) -> None:
    asyncio.run(_against_a_ghost(steps, budget, own))


async def _against_a_ghost(steps: list[Step], budget: int, own: int | None) -> None:
    bench = Bench()
    limit = "null" if own is None else f'"{own}"'
    await bench.rule(f'"budget":"{budget}","period":"day","models":{{"7":{limit},"9":null}}')
    flying: list[tuple[TillKey, int]] = []
    spent = {KEY: 0, OTHER: 0}
    latest = bench.now
    for what, which, amount in steps:
        key = (KEY, OTHER)[which]
        waiting = {k: sum(m for at, m in flying if at == k) for k in (KEY, OTHER)}
        if what == "ask":
            whole = sum(spent.values()) + sum(waiting.values()) + amount <= budget
            mine = own is None or key is OTHER or spent[KEY] + waiting[KEY] + amount <= own
            assert bench.reserve(key, amount) == (whole and mine)
            if whole and mine:
                flying.append((key, amount))
        elif what == "end" and flying:
            key, maximum = flying.pop(which % len(flying))
            cost = min(amount, maximum)
            bench.end(key, maximum, cost)
            spent[key] += cost
        elif what == "day":
            bench.now += amount * DAY / 20
        else:
            # Somebody sets the clock back: no day begins again.
            bench.now -= amount * DAY / 40
        if what == "day" and bench.now // DAY > latest // DAY:
            latest = bench.now
            # The period begins with the first call after midnight, whose look does not reserve.
            await bench.keys.state(bench.account)
            spent = {KEY: 0, OTHER: 0}
        latest = max(latest, bench.now)


async def test_rules_of_others_and_old_ones_are_refused() -> None:
    bench = Bench()
    await bench.rule('"budget":"5"')
    with pytest.raises(SignatureRejected):
        await bench.rule('"budget":"50"', STRANGER)
    with pytest.raises(SignatureRejected):
        await bench.rule('"budget":"50"', OPERATOR)
    bench.sequence = 0
    with pytest.raises(Conflict):
        await bench.rule('"budget":"50"')
    assert (await bench.keys.state(bench.account))["budget"] == "5"


async def test_a_channel_without_rules_is_asked_for_nothing() -> None:
    bench = Bench()
    assert bench.reserve(KEY, 10**9)
    await bench.rule('"models":{"9":null}')
    with pytest.raises(NotAllowed):
        bench.reserve(KEY, 1)


async def test_attack_a_clock_that_jumps_gives_no_key_its_budget_anew() -> None:
    """The operator's machine hears a wrong time for a minute. Every key had its whole budget again
    at that moment, and none when its next day began, as that had begun already."""
    bench = Bench()
    await bench.rule('"budget":"100","period":"day"')
    assert bench.reserve(KEY, 100)
    bench.end(KEY, 100, 100)
    bench.ahead = 45 * DAY
    assert not bench.reserve(KEY, 1)
    bench.ahead = 0
    assert not bench.reserve(KEY, 1)
    bench.now += DAY
    assert bench.reserve(KEY, 100)


@given(
    most=st.integers(1, 5),
    waits=st.lists(st.sampled_from([0.0, 0.3, 0.9, 1.0, 7.5, 29.0, 59.9, 60.0, 61.5]), max_size=60),
)
def test_attack_no_sixty_seconds_have_more_calls_than_a_key_may_make(
    most: int, waits: list[float]
) -> None:
    """A full bucket at the end of one minute and what flows in during the next were twice as many
    calls as the payer had ruled. Who is refused and waits as he is told is served."""

    async def run() -> None:
        bench, served = Bench(now=float(NOW)), []
        await bench.rule(f'"calls_per_minute":{most}')
        for wait in waits:
            bench.now += wait
            try:
                bench.keys.check(bench.account, 7, 1)
            except QuotaExceeded as refused:
                after = refused.operands["retry_after_s"]
                assert isinstance(after, int)
                assert 1 <= after <= 61
                bench.now += after
                bench.keys.check(bench.account, 7, 1)
            served.append(bench.now)
            assert sum(bench.now - at < 60 for at in served) <= most

    asyncio.run(run())


async def test_attack_new_rules_are_no_new_minute() -> None:
    bench = Bench()
    await bench.rule('"calls_per_minute":2')
    for _ in range(2):
        assert bench.reserve(KEY, 1)
    await bench.rule('"calls_per_minute":3')
    assert bench.reserve(KEY, 1)
    with pytest.raises(QuotaExceeded):
        bench.reserve(KEY, 1)


async def test_a_refusal_calls_models_and_amounts_what_their_operator_calls_them() -> None:
    bench = Bench()
    await bench.rule('"budget":"20","models":{"7":"15","9":null}')
    bench.reserve(KEY, 12)
    with pytest.raises(BudgetSpent, match="12 base units of 15 base units spent or in flight"):
        bench.keys.check(bench.account, KEY.asset, 5)
    slugs = {7: "digits", 9: "pydoc-lm", 8: "other"}
    bench.keys.wording = Wording(slugs.__getitem__, lambda units: f"{units / 1_000} TUSD")
    with pytest.raises(BudgetSpent) as spent:
        bench.keys.check(bench.account, KEY.asset, 5)
    assert "budget for digits: found '0.012 TUSD of 0.015 TUSD spent" in spent.value.message
    assert spent.value.operands["spent"] == "12", "for programs, base units"
    with pytest.raises(NotAllowed) as refused:
        bench.keys.check(bench.account, 8, 1)
    assert "found 'a call to other'" in refused.value.message
    assert "wanted one of the models that it is for: digits, pydoc-lm" in refused.value.message
