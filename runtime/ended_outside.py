"""Runs of jobs that somebody ended in Temporal, or that failed there: they noted nothing themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from temporalio.client import Client, WorkflowExecutionStatus

from runtime.runs import RunGone, reaching_temporal
from runtime.temporal import RPC_TIMEOUT

_HOW = {
    WorkflowExecutionStatus.TERMINATED: "terminated in Temporal",
    WorkflowExecutionStatus.TIMED_OUT: "timed out in Temporal",
    WorkflowExecutionStatus.FAILED: "failed in Temporal",
}
"""Ways for a run to close without a word to the database."""


class EndedOutside(NamedTuple):
    workflow_id: str
    reason: str


async def ended_outside(client: Client, workflow: str, closed_since: datetime) -> AsyncIterator[EndedOutside]:
    """Workflows of a type whose last run closed so since a moment. Raises: TemporalUnavailable."""
    query = (
        f"WorkflowType = '{workflow}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Failed') "
        f"AND CloseTime > '{closed_since.isoformat()}'"
    )
    with reaching_temporal():
        async for run in client.list_workflows(query, rpc_timeout=RPC_TIMEOUT):
            reason = _HOW.get(run.status) if run.status else None
            if reason is not None and not await _is_running(client, run.id):
                yield EndedOutside(run.id, reason)


async def _is_running(client: Client, workflow_id: str) -> bool:
    """Whether it lives on in a later run: after a reset, or another start."""
    with suppress(RunGone), reaching_temporal():
        newest = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        return newest.status is WorkflowExecutionStatus.RUNNING
    return False
