"""Cancellation of a run, wherever it meets it."""

from __future__ import annotations

import asyncio


def heed_cancellation() -> None:
    """An activity that was done when the cancellation arrived answers all the same, and swallows it. Ask after it.

    Raises: CancelledError, if the present task was cancelled at any time.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
