"""Broadcasts in Temporal: each is a workflow named by the broadcast, which looks at its row when told to."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain.broadcasts import BROADCASTS_TASK_QUEUE, BroadcastStatus
from runtime.ended_outside import ended_outside
from runtime.runs import reaching_temporal
from runtime.temporal import RPC_TIMEOUT
from store import broadcasts
from store.broadcasts import CannotChange
from store.database import Database
from store.list_tables import BroadcastRow

WORKFLOW = "broadcast"
_PREFIX = "broadcast:"


def broadcast_workflow_id(broadcast_id: str) -> str:
    """`broadcast:{id}`; `broadcast_of_workflow` is its inverse."""
    return f"{_PREFIX}{broadcast_id}"


def broadcast_of_workflow(workflow_id: str) -> str:
    return workflow_id.removeprefix(_PREFIX)


async def tell_broadcast(row: BroadcastRow, client: Client, database: Database) -> bool:
    """Have its workflow look at what was changed, and start it if it does not run; answer True.

    A run that was lost begins anew, and repeats nothing. Raises: TemporalUnavailable.
    """
    with reaching_temporal():
        await client.start_workflow(
            WORKFLOW,
            {"broadcast_id": row.id},
            id=broadcast_workflow_id(row.id),
            task_queue=BROADCASTS_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            # The first word to a new broadcast says no more than its start does.
            start_signal=None if row.begun_at is None and row.to_tell_since is None else "look",
            static_summary=f"Broadcast {row.message}",
            static_details=f"GET /v1/broadcasts/{row.id}",
            rpc_timeout=RPC_TIMEOUT,
        )
    async with database.write() as session:
        await broadcasts.mark_told(session, row)
    return True


async def cancel_ended_outside(client: Client, closed_since: datetime, database: Database) -> int:
    """Cancel those whose runs ended from outside, so that what is left of them is written down; answer how many.

    Raises: TemporalUnavailable.
    """
    cancelled = 0
    async for workflow_id, reason in ended_outside(client, WORKFLOW, closed_since):
        broadcast_id = broadcast_of_workflow(workflow_id)
        async with database.write() as session:
            with suppress(CannotChange):
                await broadcasts.change_broadcast(session, broadcast_id, BroadcastStatus.CANCELLING, reason)
            row = await broadcasts.lock_broadcast(session, broadcast_id)
        if row is not None and row.ended_at is None:
            cancelled += await tell_broadcast(row, client, database)
    return cancelled
