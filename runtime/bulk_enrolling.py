"""Bulk enrollments in Temporal: each is a workflow named by the job, which looks at the job's row when told to."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from domain.bulk_enrollments import OVER, GateDecision, Standing
from domain.flows import LISTS_TASK_QUEUE, State
from runtime.ended_outside import ended_outside
from runtime.runs import NobodyAnswers, RunGone, reaching_temporal
from runtime.temporal import RPC_TIMEOUT, STATE
from store import bulk_enrollments
from store.database import Database
from store.list_tables import BulkEnrollmentRow

WORKFLOW = "bulk_enrollment"
_PREFIX = "bulk:"


class DecisionRefused(Exception):
    """No gate waits for this decision."""


def bulk_workflow_id(job_id: str) -> str:
    """`bulk:{job_id}`; `job_of_workflow` is its inverse."""
    return f"{_PREFIX}{job_id}"


def job_of_workflow(workflow_id: str) -> str:
    return workflow_id.removeprefix(_PREFIX)


async def begin_bulk_enrollment(job: BulkEnrollmentRow, client: Client, database: Database) -> bool:
    """Start its workflow unless it runs; answer True. Raises: TemporalUnavailable."""
    with reaching_temporal():
        await client.start_workflow(
            WORKFLOW,
            {"job_id": job.id},
            id=bulk_workflow_id(job.id),
            task_queue=LISTS_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            search_attributes=TypedSearchAttributes([SearchAttributePair(STATE, State.WAITING)]),
            static_summary=f"Enroll many contacts in {job.flow}",
            static_details=f"{job.per_second:g} a second at most; GET /v1/bulk-enrollments/{job.id}",
            rpc_timeout=RPC_TIMEOUT,
        )
    async with database.write() as session:
        await bulk_enrollments.mark_begun(session, job.id)
    return True


async def tell_bulk_enrollment(job: BulkEnrollmentRow, client: Client, database: Database) -> bool:
    """Have its workflow look at what was changed; answer True. One whose run is gone is cancelled here.

    Raises: TemporalUnavailable.
    """
    try:
        if job.begun_at is None:
            await begin_bulk_enrollment(job, client, database)
        with reaching_temporal():
            await _handle(client, job.id).signal("look", rpc_timeout=RPC_TIMEOUT)
    except RunGone:
        await _end_without_run(job.id, "its run was gone from Temporal", database)
    async with database.write() as session:
        await bulk_enrollments.mark_told(session, job.id, job.to_tell_since)
    return True


async def tell_decision(decision: GateDecision, client: Client) -> Standing:
    """Have its workflow take a decision; answer where it stands then. The same one again gets the same answer.

    Raises: DecisionRefused; NobodyAnswers, after a few seconds; TemporalUnavailable.
    """
    word = "approve" if decision.approved else "decline"
    try:
        with reaching_temporal():
            update = await _handle(client, decision.job_id).start_update(
                "decide",
                decision,
                id=f"{word}:{decision.stage}:{decision.person_id}",
                wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                result_type=Standing,
                rpc_timeout=RPC_TIMEOUT,
            )
            standing: Standing = await update.result(rpc_timeout=RPC_TIMEOUT)
    except (RunGone, WorkflowUpdateFailedError):
        raise DecisionRefused from None
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        if isinstance(error.__cause__, asyncio.CancelledError):
            raise error.__cause__ from None
        raise NobodyAnswers("no worker answers for the bulk enrollment") from error
    return standing


async def record_ended_outside(client: Client, closed_since: datetime, database: Database) -> int:
    """Cancel those whose runs ended from outside; answer how many. Raises: TemporalUnavailable."""
    recorded = 0
    async for workflow_id, reason in ended_outside(client, WORKFLOW, closed_since):
        recorded += await _end_without_run(job_of_workflow(workflow_id), reason, database)
    return recorded


async def _end_without_run(job_id: str, reason: str, database: Database) -> bool:
    async with database.write() as session:
        job = await bulk_enrollments.lock_job(session, job_id)
        if job is None or job.status in OVER:
            return False
        bulk_enrollments.cancel(job, reason)
        job.to_tell_since = None
        session.add(job)
    return True


def _handle(client: Client, job_id: str) -> WorkflowHandle[Any, Any]:
    return client.get_workflow_handle(bulk_workflow_id(job_id))
