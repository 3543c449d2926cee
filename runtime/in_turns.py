"""Many questions to a server, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

AT_ONCE = 10
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


async def in_turns(ask: Callable[[ItemT], Awaitable[ResultT]], items: Iterable[ItemT]) -> list[ResultT]:
    """Ask for each item; answer in the items' order. Raises: what the first that fails raises; the rest is given up."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(item: ItemT) -> ResultT:
        async with turns:
            return await ask(item)

    tasks = [asyncio.ensure_future(in_turn(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
