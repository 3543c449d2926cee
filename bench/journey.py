"""What a year-long journey through the harness takes beside starting and stopping its bare server, in the same run.

Prints ratios, and where the time of a journey goes. The best of several turns counts: others are the machine's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from rich.console import Console
from rich.table import Table

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


async def main() -> None:
    server = await best(bare_server)
    table = Table("what", "ms", "ratio to the bare server", title="a journey through the harness")
    for what, seconds in (
        ("start and stop the bare server", server),
        ("begin and end a journey", await best(begun)),
        ("live a year of it", await best(lived)),
    ):
        table.add_row(what, f"{1000 * seconds:,.0f}", f"{seconds / server:.1f}")
    Console().print(table)
    await asyncio.sleep(0.1)  # see cli.runner


if __name__ == "__main__":
    asyncio.run(main())
