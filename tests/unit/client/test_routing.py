"""Who is asked, in which order, and who never is."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.client.router import Tried, shown
from tessera.client.routing import (
    CAUGHT_S,
    FAILURES,
    LONGEST_REST_S,
    Endpoint,
    Standing,
    Wish,
    answered,
    caught,
    failed,
    rank,
    read_wish,
)
from tessera.errors import InputError, Unprocessable
from tessera.serving.runner import Units
from tessera.spec.prices import Price

UNITS = Units(1_000, 100)


def endpoint(name: str, per_call: int = 10, **more: int) -> Endpoint:
    return Endpoint(operator=f"0x{name}", url=f"http://{name}", price=Price(per_call, **more))


CHEAP, DEAR, MIDDLE = endpoint("a", 1), endpoint("b", 30), endpoint("c", 10)
ALL = (DEAR, CHEAP, MIDDLE)


def order(wish: Wish = Wish(), now: float = 100.0, **standings: Standing) -> list[str]:  # noqa: B008
    known = {f"0x{name}": standing for name, standing in standings.items()}
    found = rank(ALL, wish, known, now=now, units=UNITS, payer="0xp")
    return [choice.operator for choice in found.choices]


def test_the_cheapest_for_this_very_call_is_asked_first() -> None:
    assert order() == ["0xa", "0xc", "0xb"]
    output_is_dear = endpoint("d", 0, per_1k_out=1_000)
    for units, first in ((Units(10, 0), "0xd"), (Units(10, 1_000), "0xa")):
        found = rank((CHEAP, output_is_dear), Wish(), {}, now=0, units=units)
        assert found.choices[0].operator == first


def test_latency_and_uptime_decide_where_they_are_asked_for() -> None:
    standings = {
        "a": Standing(latency_s=2.0, uptime=0.5),
        "b": Standing(latency_s=0.1, uptime=1.0),
        "c": Standing(latency_s=0.5, uptime=0.9),
    }
    assert order(Wish(sort="latency"), **standings) == ["0xb", "0xc", "0xa"]
    assert order(Wish(sort="uptime"), **standings) == ["0xb", "0xc", "0xa"]
    # Who was never asked is tried.
    assert order(Wish(sort="latency"), a=standings["a"], b=standings["b"])[0] == "0xc"


def test_wishes_name_who_is_first_who_may_and_who_never() -> None:
    assert order(Wish(order=("0xB", "http://c"))) == ["0xb", "0xc", "0xa"]
    assert order(Wish(only=("0xb", "0xc"))) == ["0xc", "0xb"]
    assert order(Wish(ignore=("http://a/",))) == ["0xc", "0xb"]
    # As the base URL of a client: whoever leaves somebody out so must not be given to him.
    assert order(Wish(ignore=("http://a/v1", "http://b/v1/"))) == ["0xc"]
    assert order(Wish(allow_fallbacks=False)) == ["0xa"]
    assert order(Wish(most=Price(10, 0, 0))) == ["0xa", "0xc"]


def test_who_fails_again_and_again_rests_and_is_asked_last_until_it_answers() -> None:
    standing = Standing()
    for _ in range(FAILURES - 1):
        standing = failed(standing, 100.0)
    assert order(a=standing)[0] == "0xa"
    standing = failed(standing, 100.0)
    assert order(now=104.0, a=standing) == ["0xc", "0xb", "0xa"]
    assert order(now=105.0, a=standing)[0] == "0xa"
    for _ in range(30):
        standing = failed(standing, 100.0)
    assert standing.rests_until == 100.0 + LONGEST_REST_S
    assert order(now=100.0, a=answered(standing, 0.1))[0] == "0xa"


def test_what_is_known_of_an_operator_follows_its_latest_calls() -> None:
    first = answered(Standing(), 1.0)
    assert (first.latency_s, first.uptime) == (1.0, 1.0)
    # A fifth of each mean is the latest call.
    slower = answered(first, 2.0)
    assert slower.latency_s == pytest.approx(1.2)
    down = failed(slower, 100.0)
    assert (down.uptime, down.latency_s) == (pytest.approx(0.8), slower.latency_s)
    assert answered(down, 1.2).uptime == pytest.approx(0.84)


def test_a_call_says_for_itself_what_it_says_and_the_rest_stays_as_it_was() -> None:
    usual = Wish(order=("0xa",), only=("0xa", "0xb"), ignore=("0xc",), sort="latency")
    assert read_wish({}, usual) == usual
    own = read_wish({"only": ["0xd"], "ignore": ["0xe"], "sort": "uptime"}, usual)
    assert (own.order, own.only, own.sort) == (("0xa",), ("0xd",), "uptime")
    # Whom the router's owner leaves out no call brings back.
    assert own.ignore == ("0xc", "0xe")


def test_who_was_caught_is_not_asked_for_a_day_whatever_is_wished() -> None:
    liar = caught(Standing(), 100.0)
    wish = Wish(order=("0xa",), only=("0xa", "0xb"))
    assert order(wish, a=liar) == ["0xb"]
    assert order(wish, a=answered(liar, 0.1)) == ["0xb"]
    assert order(wish, now=100.0 + CAUGHT_S, a=liar) == ["0xa", "0xb"]


def test_payers_are_spread_over_equals_and_each_keeps_its_own() -> None:
    equals = [endpoint(str(number)) for number in range(4)]
    firsts = {
        payer: rank(equals, Wish(), {}, now=0, units=UNITS, payer=payer).choices[0].operator
        for payer in (f"0x{number}" for number in range(40))
    }
    assert len(set(firsts.values())) == 4
    again = rank(reversed(equals), Wish(), {}, now=0, units=UNITS, payer="0x7")
    assert again.choices[0].operator == firsts["0x7"]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1), st.booleans()), max_size=6),
    st.sampled_from(["price", "latency", "uptime"]),
    st.sets(st.integers(0, 5)),
    st.integers(0, 60),
)
def test_nobody_is_lost_and_nobody_left_out_comes_back(
    given_: list[tuple[int, float, bool]], sort: str, ignored: set[int], most: int
) -> None:
    endpoints = [endpoint(str(at), price) for at, (price, _, _) in enumerate(given_)]
    standings = {
        f"0x{at}": Standing(uptime=uptime, out_until=200.0 if out else 0.0)
        for at, (_, uptime, out) in enumerate(given_)
    }
    names = tuple(f"0x{at}" for at in ignored)
    wish = replace(read_wish({"sort": sort}), ignore=names, order=names, most=Price(most, 0, 0))
    found = rank(endpoints, wish, standings, now=100.0, units=UNITS)
    chosen = {choice.operator for choice in found.choices}
    passed = {left.operator for left in found.passed}
    assert chosen.isdisjoint(passed)
    assert chosen | passed == {e.operator for e in endpoints}
    for at, (price, _, out) in enumerate(given_):
        assert (f"0x{at}" in chosen) == (not out and at not in ignored and price <= most)


def test_a_wish_is_read_as_clients_write_it() -> None:
    wish = read_wish(
        {"order": ["0xb"], "allow_fallbacks": False, "max_price": {"per_call": "7"}},
        Wish(ignore=("0xa",), sort="uptime"),
    )
    assert (wish.order, wish.ignore, wish.sort) == (("0xb",), ("0xa",), "uptime")
    assert not wish.allow_fallbacks
    assert wish.most is not None
    assert wish.most.per_call == 7 < wish.most.per_1k_in
    assert read_wish(None, wish) is wish


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("cheap", "provider: found 'cheap', wanted an object with any of: order: a list of"),
        ({"sort": "throughput"}, "provider.sort: found 'throughput', wanted price, latency or"),
        ({"srot": "price"}, "allow_fallbacks, max_price; did you mean 'sort'?"),
        ({"zone": 1}, "found 'the field zone', wanted only order, only, ignore, sort"),
        ({"only": "0xa"}, "provider.only: found '0xa', wanted a list of addresses or URLs"),
        ({"only": [1]}, "provider.only: found [1], wanted a list of addresses or URLs"),
        ({"allow_fallbacks": "no"}, "provider.allow_fallbacks: found 'no', wanted true or false"),
        ({"max_price": {"per_token": "1"}}, "provider.max_price: found {'per_token': '1'}"),
        ({"max_price": {"per_call": 7}}, "per_1k_out: base units as strings of digits"),
        ({"max_price": {"per_call": "-1"}}, "provider.max_price: found '-1'"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_with_what_could(wrong: object, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_wish(wrong)
    assert said in refused.value.message
    assert refused.value.operands["param"] == "provider"


def test_a_wish_for_a_quantization_is_refused_with_what_proves_one() -> None:
    with pytest.raises(Unprocessable, match="SLUG@VERSION"):
        read_wish({"quantizations": ["int8"]})


def test_an_endpoint_without_a_url_is_passed_with_the_reason() -> None:
    bare = Endpoint(operator="0xz", url="", price=Price())
    found = rank([bare], Wish(), {}, now=0, units=UNITS)
    assert (found.choices, found.passed[0].reason) == ((), "the chain has no URL of it")


def test_what_an_operator_says_of_itself_cannot_break_the_header() -> None:
    """An operator of a free model names it with a line break and letters beyond ASCII, so that
    every caller's answer fails on the way back."""
    found = shown([Tried("0xa", "caught: found 'm\r\nset-cookie: \u017c'" + "x" * 9_000)])
    assert found.isascii()
    assert found.isprintable()
    assert len(found) < 300
    httpx.Headers({"tessera-route": found})
