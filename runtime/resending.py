"""Starting what hands a message over once more."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from domain.flows import SCHEDULES_TASK_QUEUE
from runtime.runs import reaching_temporal
from runtime.temporal import CONTACT_ID, RPC_TIMEOUT
from store.ledger_tables import MessageRow


async def start_resend(client: Client, row: MessageRow) -> bool:
    """Start it unless it runs already. Raises: TemporalUnavailable."""
    with reaching_temporal():
        await client.start_workflow(
            "resend_message",
            {"message_id": row.id},
            id=f"resend:{row.id}",
            task_queue=SCHEDULES_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            search_attributes=TypedSearchAttributes([SearchAttributePair(CONTACT_ID, row.contact_id)]),
            static_summary="Resend a message that was in doubt",
            rpc_timeout=RPC_TIMEOUT,
        )
    return True
