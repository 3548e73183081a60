"""How near sampled Shapley values come, on the demo's classifier: `make bench-attribution`.

Trains the digits classifier on every coalition of its six contributors, so that the exact values
are known; then samples orders with 200 seeds for each way of drawing them. Prints, and gates
nothing.
"""

from __future__ import annotations

import asyncio
import math
import time

from tessera.assets.attribution.shapley import Sampling, exact_shapley, sampled_shapley
from tessera.demo.models.digits import score_parts
from tessera.demo.models.digits_game import PARTS

SEEDS = 200
ORDERS = (30, 60, 120, 240)


async def main() -> None:
    names, parts = list(PARTS), list(PARTS.values())
    count = len(parts)
    begun = time.perf_counter()
    scores = [
        score_parts([part for i, part in enumerate(parts) if mask >> i & 1], 7)
        for mask in range(1 << count)
    ]
    print(f"{len(scores)} trainings in {time.perf_counter() - begun:.1f} s")

    async def worth(mask: int) -> float:
        return scores[mask]

    exact = await exact_shapley(count, worth)
    for name, value in zip(names, exact.values, strict=True):
        print(f"  {name:<12}{value.value:+.4f}")
    print(f"  off by {abs(exact.gap):.1e} of {exact.everybody - exact.nobody:.4f}\n")
    print(f"{'orders':>6}  {'drawn':<12}{'rms error':>10}{'95 % width':>12}{'covered':>9}")
    for orders in ORDERS:
        for sampling in Sampling:
            squares, widths, covered = [], [], 0
            for seed in range(SEEDS):
                found = await sampled_shapley(
                    count, worth, orders=orders, seed=seed, sampling=sampling
                )
                for value, truth in zip(found.values, exact.values, strict=True):
                    squares.append((value.value - truth.value) ** 2)
                    widths.append(value.high - value.low)
                    covered += value.low <= truth.value <= value.high
            total = len(squares)
            print(
                f"{orders:>6}  {sampling:<12}{math.sqrt(math.fsum(squares) / total):>10.4f}"
                f"{math.fsum(widths) / total:>12.4f}{covered / total:>9.1%}"
            )


if __name__ == "__main__":
    asyncio.run(main())
