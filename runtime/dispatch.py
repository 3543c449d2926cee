"""Store first, then tell Temporal: the telling, and the sweep that finishes what a crash left half told.

Everything here may be done twice: a start is refused by its workflow id, a workflow ignores an event id it has seen.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.durations import in_words
from domain.events import concerns
from domain.flows import (
    WORKFLOW_TASK_QUEUE,
    Enrollment,
    Exit,
    FlowType,
    Happening,
    Outcome,
    Progress,
    enrollment_workflow_id,
)
from runtime.temporal import CONTACT_ID, RPC_TIMEOUT
from store import enrollments, events, ledger
from store.database import Database
from store.tables import EnrollmentRow, EventRow, now

logger = logging.getLogger(__name__)

BATCH = 200
HANDOVER_PATIENCE = timedelta(minutes=15)
"""Longer than any attempt to send lasts: a handover without an answer by then is in doubt."""

_ABNORMAL = {
    WorkflowExecutionStatus.TERMINATED: Outcome(exit=Exit.CANCELLED, step=None, reason="terminated in Temporal"),
    WorkflowExecutionStatus.TIMED_OUT: Outcome(exit=Exit.FAILED, step=None, reason="timed out in Temporal"),
}
"""Ways for a run to close without recording its outcome itself."""


class TemporalUnavailable(Exception):
    """Temporal could not be told now. Nothing is lost: the sweep will."""


class Dispatcher:
    """Tells Temporal what the database holds. `flows` maps a flow's name to what is known of it."""

    def __init__(self, database: Database, client: Client, flows: Mapping[str, FlowType]) -> None:
        self._database = database
        self._client = client
        self._flows = flows

    async def start(self, enrollment: EnrollmentRow) -> bool:
        """Start the enrollment's workflow; answer whether it runs.

        False: the contact's previous enrollment in this flow is still closing, or the flow is gone from the code.
        Raises: TemporalUnavailable.
        """
        flow = self._flows.get(enrollment.flow)
        if flow is None:
            logger.error("no flow of this name in the code", extra={"flow": enrollment.flow})
            return False
        workflow_id = enrollment_workflow_id(enrollment.flow, enrollment.contact_id)
        with _reaching_temporal():
            try:
                await self._client.start_workflow(
                    enrollment.flow,
                    Enrollment(id=enrollment.id, contact_id=enrollment.contact_id, settings=enrollment.settings),
                    id=workflow_id,
                    task_queue=WORKFLOW_TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    memo={"enrollment_id": enrollment.id},
                    search_attributes=TypedSearchAttributes([SearchAttributePair(CONTACT_ID, enrollment.contact_id)]),
                    static_summary=flow.title,
                    static_details=(
                        f"- goal: **{flow.goal.event}** within {in_words(flow.goal.within)}\n- owner: {flow.owner}"
                    ),
                    rpc_timeout=RPC_TIMEOUT,
                )
            except WorkflowAlreadyStartedError:
                running = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
                if await running.memo_value("enrollment_id", None) != enrollment.id:
                    return False
        async with self._database.write() as session:
            await enrollments.mark_started(session, enrollment.id)
        return True

    async def deliver(self, event: EventRow) -> bool:
        """Signal an event to each active enrollment that it concerns; answer whether all of them know.

        Raises: TemporalUnavailable.
        """
        async with self._database.read() as session:
            active = await enrollments.active_enrollments(session, event.contact_id)
        for enrollment in active:
            flow = self._flows.get(enrollment.flow)
            if flow is None or not concerns(flow, event.name):
                continue
            if enrollment.started_at is None and not await self.start(enrollment):
                return False
            handle = self._client.get_workflow_handle(enrollment_workflow_id(enrollment.flow, enrollment.contact_id))
            with suppress(_RunClosed), _reaching_temporal():
                await handle.signal("event", Happening(id=event.id, name=event.name), rpc_timeout=RPC_TIMEOUT)
        async with self._database.write() as session:
            await events.mark_delivered(session, event.id)
        return True

    async def cancel(self, enrollment: EnrollmentRow) -> bool:
        """Cancel the enrollment's workflow; answer whether it knows. One whose run is gone is ended here.

        Raises: TemporalUnavailable.
        """
        if enrollment.started_at is None and not await self.start(enrollment):
            return False
        handle = self._client.get_workflow_handle(enrollment_workflow_id(enrollment.flow, enrollment.contact_id))
        gone = True
        with suppress(_RunClosed), _reaching_temporal():
            # The server takes the cancellation of a closed run without a word.
            if (await handle.describe(rpc_timeout=RPC_TIMEOUT)).status is WorkflowExecutionStatus.RUNNING:
                await handle.cancel(rpc_timeout=RPC_TIMEOUT)
                gone = False
        async with self._database.write() as session:
            await enrollments.mark_cancel_told(session, enrollment.id)
            if gone:
                outcome = Outcome(exit=Exit.CANCELLED, step=None, reason="its run was gone from Temporal")
                await enrollments.record_outcome(session, enrollment.id, outcome)
        return True

    async def progress(self, enrollment: EnrollmentRow) -> Progress:
        """Ask the running workflow where it is; an empty answer if nobody can say now."""
        handle = self._client.get_workflow_handle(enrollment_workflow_id(enrollment.flow, enrollment.contact_id))
        try:
            answer: Progress = await handle.query("progress", result_type=Progress, rpc_timeout=timedelta(seconds=2))
        except (RPCError, RuntimeError, WorkflowQueryFailedError) as error:
            logger.info("no progress to be had", extra={"enrollment_id": enrollment.id, "error": type(error).__name__})
            return Progress()
        return answer

    async def sweep(self, *, grace: timedelta, closed_since: datetime) -> dict[str, int]:
        """Finish what was stored more than `grace` ago and never told, and record runs that ended from outside.

        Returns: how many of each kind were finished. Raises: TemporalUnavailable, with the rest left for later.
        """
        before = now() - grace
        async with self._database.write() as session:
            doubted = await ledger.doubt_stale(session, untouched_since=now() - HANDOVER_PATIENCE)
        async with self._database.read() as session:
            unstarted = await enrollments.not_started(session, created_before=before, limit=BATCH)
            uncancelled = await enrollments.cancels_not_told(session, asked_before=before, limit=BATCH)
            undelivered = await events.undelivered(session, received_before=before, limit=BATCH)
        return {
            "messages_doubted": doubted,
            "enrollments_started": sum([await self.start(row) for row in unstarted]),
            "enrollments_cancelled": sum([await self.cancel(row) for row in uncancelled]),
            "events_delivered": sum([await self.deliver(row) for row in undelivered]),
            "outcomes_recorded": await self._record_abnormal_ends(closed_since),
        }

    async def _record_abnormal_ends(self, closed_since: datetime) -> int:
        statuses = "ExecutionStatus IN ('Terminated', 'TimedOut')"
        query = f"{statuses} AND TaskQueue = '{WORKFLOW_TASK_QUEUE}' AND CloseTime > '{closed_since.isoformat()}'"
        recorded = 0
        with _reaching_temporal():
            async for run in self._client.list_workflows(query, rpc_timeout=RPC_TIMEOUT):
                enrollment_id = await run.memo_value("enrollment_id", None)
                outcome = _ABNORMAL.get(run.status) if run.status else None
                if enrollment_id is None or outcome is None:
                    continue
                async with self._database.write() as session:
                    recorded += await enrollments.record_outcome(session, enrollment_id, outcome)
        return recorded


class _RunClosed(TemporalUnavailable):
    """The workflow has no open run."""


@contextmanager
def _reaching_temporal() -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise _RunClosed from error
        raise TemporalUnavailable(f"{error.status.name}: {error.message}") from error
    except RuntimeError as error:  # what a lazy client raises while it cannot connect
        raise TemporalUnavailable("no connection") from error
