"""What a year-long journey through the harness takes beside starting and stopping its bare server, in the same run.

The best of several turns counts: others are the machine's. One is to begin and end a journey, the other to live a year.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from bench.measuring import Results
from rehearsal.journey import journey
from rehearsal.stage import skipping_server
from tests.flows.specimen_templates import specimen_templates
from tests.flows.specimens.yearly import Yearly

TURNS = 5


async def bare_server() -> None:
    async with skipping_server():
        """Nothing."""


async def begun() -> None:
    async with journey(Yearly, templates=specimen_templates()):
        """The first letter goes out."""


async def lived() -> None:
    """Twelve letters, twelve questions and twenty-four waits."""
    async with journey(Yearly, templates=specimen_templates()) as j:
        await j.outcome()


async def best(work: Callable[[], Awaitable[None]]) -> float:
    await work()  # imports, migrations and compiled templates are made once in a process
    return min([await _timed(work) for _ in range(TURNS)])


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def measure() -> Results:
    server = await best(bare_server)
    return {
        "journey_begin_vs_bare_server": await best(begun) / server,
        "journey_year_vs_bare_server": await best(lived) / server,
    }
