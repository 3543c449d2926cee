"""How a command's coroutine is run, and how signals end it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end, on an event loop of its own."""
    return asyncio.run(_settled(work))


async def _settled(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    finally:
        # A process that used the Temporal client and exits at once can abort in PyGILState_Release (sdk-python #300).
        await asyncio.sleep(0.1)


def stop_on(*signals: signal.Signals, again: Callable[[], None]) -> asyncio.Event:
    """An event that the first of these signals sets; each later one calls `again`.

    A SIGHUP that the process was started to ignore stays ignored, as `nohup` wants it.
    """
    stop = asyncio.Event()

    def stop_or_again() -> None:
        if stop.is_set():
            again()
        stop.set()

    for each in signals:
        if each is not signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(each, stop_or_again)
    return stop


async def until_signalled(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Let a process work until SIGTERM or SIGINT asks it to finish. A second one ends it at once."""
    await work(stop_on(signal.SIGTERM, signal.SIGINT, again=lambda: os._exit(1)))
