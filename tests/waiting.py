"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from functools import partial


async def until(
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]], within: float = 60, every: float = 0.02
) -> None:
    """Return as soon as the condition holds; fail after `within` seconds, naming the condition's source."""
    deadline = time.monotonic() + within
    while True:
        answer = holds()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {_told(holds)}")
        await asyncio.sleep(every)


def _told(holds: Callable[..., object]) -> str:
    return repr(holds) if isinstance(holds, partial) else inspect.getsource(holds).strip()
