"""Erasures in Temporal: each is a workflow, named by the erasure, that knows the contact by no id."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain.erasure import ERASURES_TASK_QUEUE
from runtime.runs import reaching_temporal
from runtime.temporal import RPC_TIMEOUT
from store import erasures
from store.database import Database
from store.tables import ErasureRow


async def begin_erasure(erasure: ErasureRow, client: Client, database: Database) -> bool:
    """Start an erasure's workflow unless it runs; answer True. Raises: TemporalUnavailable."""
    with reaching_temporal():
        await client.start_workflow(
            "erase_contact",
            {"erasure_id": erasure.id},
            id=f"erase-contact:{erasure.id}",
            task_queue=ERASURES_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary="Erase a contact",
            rpc_timeout=RPC_TIMEOUT,
        )
    async with database.write() as session:
        await erasures.mark_begun(session, erasure.id)
    return True
