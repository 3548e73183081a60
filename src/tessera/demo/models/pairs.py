"""Learning byte-pair encoding: join the commonest neighbours, again and again."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable

from tessera.demo.models.bundled.pydoc_lm import END, MERGED, words_of

__all__ = ["learn_merges"]

_Pair = tuple[int, int]


def learn_merges(texts: Iterable[str]) -> list[_Pair]:
    """Learn as many pairs as the vocabulary has room for.

    Ties go to the smaller ids, so equal texts give equal merges.

    Returns
    -------
    list of tuple
        Pair `i` becomes token 256 + i.
    """
    counted = Counter(itertools.chain.from_iterable(words_of(text) for text in texts))
    words = [list(word) for word in counted]
    weights = list(counted.values())
    counts: Counter[_Pair] = Counter()
    places: defaultdict[_Pair, set[int]] = defaultdict(set)
    for number, word in enumerate(words):
        for pair in itertools.pairwise(word):
            counts[pair] += weights[number]
            places[pair].add(number)
    # Counts in the heap may be old; the one on top is checked before it is believed.
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges: list[_Pair] = []
    while heap and len(merges) < END - MERGED:
        count, pair = heapq.heappop(heap)
        if counts[pair] != -count:
            if counts[pair] > 0:
                heapq.heappush(heap, (-counts[pair], pair))
            continue
        if -count < 2:
            break
        changed: set[_Pair] = set()
        for number in places.pop(pair):
            word, weight = words[number], weights[number]
            for old in itertools.pairwise(word):
                counts[old] -= weight
            words[number] = word = _joined(word, pair, MERGED + len(merges))
            for new in itertools.pairwise(word):
                counts[new] += weight
                places[new].add(number)
                changed.add(new)
        merges.append(pair)
        counts.pop(pair, None)
        for new in changed - {pair}:
            heapq.heappush(heap, (-counts[new], new))
    return merges


def _joined(word: list[int], pair: _Pair, merged: int) -> list[int]:
    joined: list[int] = []
    at = 0
    while at < len(word):
        if at + 1 < len(word) and (word[at], word[at + 1]) == pair:
            joined.append(merged)
            at += 2
        else:
            joined.append(word[at])
            at += 1
    return joined
