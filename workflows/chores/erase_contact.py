"""Erases a contact. Neither their id nor anything else of them is in its history: only which erasure it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.erasure import Erasure, ErasureActivities

_TIMEOUT = timedelta(minutes=2)
_RETRIES = RetryPolicy(maximum_interval=timedelta(minutes=10))
"""Without an end: what an erasure still owes is owed until it is done."""

_PARTS: tuple[tuple[Callable[[Any, Erasure], Awaitable[None]], str], ...] = (
    (ErasureActivities.leave_flows, "leave every flow"),
    # While their address is still known here.
    (ErasureActivities.ask_providers, "ask email providers to erase"),
    (ErasureActivities.delete_rows, "delete rows"),
    (ErasureActivities.delete_histories, "delete workflow histories"),
    (ErasureActivities.finish, "close the certificate"),
)


@workflow.defn(name="erase_contact")
class EraseContact:
    @workflow.run
    async def run(self, erasure: Erasure) -> None:
        for part, summary in _PARTS:
            await workflow.execute_activity_method(
                part, erasure, start_to_close_timeout=_TIMEOUT, retry_policy=_RETRIES, summary=summary
            )
