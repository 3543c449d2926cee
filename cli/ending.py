"""Ending a process: gently, for sure, and never another one that was given its pid."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psutil

PATIENCE = timedelta(seconds=90)
"""Between SIGTERM and SIGKILL. Longer than the worker's graces for what is under way."""
_LOOK_EVERY = timedelta(milliseconds=50)


async def end(process: psutil.Process, patience: timedelta = PATIENCE) -> None:
    """Return once the process is gone: by SIGTERM, or by SIGKILL when it has had `patience`."""
    try:
        process.terminate()
        if not await _gone(process, patience):
            process.kill()
            await _gone(process, patience)
    except psutil.NoSuchProcess:
        return


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs. A zombie does not: it waits for a parent that may never ask."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def _gone(process: psutil.Process, patience: timedelta) -> bool:
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while is_alive(process):  # noqa: ASYNC110 (nobody sets an Event when a process ends)
                await asyncio.sleep(_LOOK_EVERY.total_seconds())
    except TimeoutError:
        return False
    return True
