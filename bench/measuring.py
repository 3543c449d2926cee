"""Ratios: ours and what it is compared to, measured in turns in one run, so that both meet the same machine."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from statistics import median

REPEATS = 5

Results = dict[str, float]
"""Figures by name, as they stand in bench/results.json."""


async def alternating(
    *contenders: Callable[[], Awaitable[float]], repeats: int = REPEATS, warm_up: bool = True
) -> list[list[float]]:
    """Have each contender measure itself once a turn; answer what each measured, turn by turn.

    What a process does for the first time (imports, caches, connections) is done before, unless `warm_up` is false.
    """
    if warm_up:
        for contender in contenders:
            await contender()
    measured: list[list[float]] = [[] for _ in contenders]
    for turn in range(repeats):
        order = list(enumerate(contenders))
        # Who goes first changes from turn to turn: a machine that warms up or tires favours nobody.
        for index, contender in order if turn % 2 == 0 else reversed(order):
            measured[index].append(await contender())
    return measured


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the turns' own ratios."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 1) - 1).__int__()]
