"""Registry: publishing, and changes of an endpoint."""

from __future__ import annotations

from bench.gas.chain import account
from bench.gas.ours.market import CUT_BPS, PRICE, WHO, Market
from bench.gas.rows import Action, Row


def measure(market: Market) -> list[Row]:
    """Measure a publisher's first and third asset, with and without parents and an endpoint."""
    published = [market.publish() for _ in "123"]
    asset = published[2][0]
    alone = market.publish(endpoint=False)[1].gas
    child = market.publish(parents=(published[0][0], published[1][0]))[1].gas

    def change(cut_bps: int, per_call: int) -> int:
        return market.chain.transact(
            account("publisher"),
            market.registry,
            "set_endpoint",
            asset,
            market.terms(cut_bps, (per_call, *PRICE[1:])),
        ).gas

    price, cut = change(CUT_BPS, 2_000), change(CUT_BPS // 2, 2_000)
    return [
        Row(
            Action.PUBLISH,
            WHO,
            "Registry.publish",
            "asset, content root, contribution root, endpoint with price; no parents, no clone",
            published[2][1].gas,
            published[0][1].gas,
        ),
        Row(Action.PUBLISH, WHO, "Registry.publish", "the same with 2 parents", child),
        Row(Action.REGISTER, WHO, "Registry.publish", "no endpoint, no price", alone),
        Row(Action.SET_ENDPOINT, WHO, "Registry.set_endpoint", "price only, same terms", price),
        Row(Action.SET_ENDPOINT, WHO, "Registry.set_endpoint", "new cut: a new terms row", cut),
    ]
