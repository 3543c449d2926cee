"""The sweep: what was stored and never told is told, after whatever crash; what ended from outside is recorded."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import WorkflowExecutionStatus

from domain.flows import Exit, InDoubt, Outcome, flow_task_queue
from domain.messages import Settlement
from runtime.broadcasting import cancel_ended_outside, tell_broadcast
from runtime.bulk_enrolling import begin_bulk_enrollment, record_ended_outside, tell_bulk_enrollment
from runtime.dispatch import Dispatcher
from runtime.encryption import CannotDecrypt
from runtime.holding import tell_flow
from runtime.in_turns import in_turns
from runtime.queue_draining import drain_queue
from runtime.recurring import tell_schedule
from runtime.resending import start_resend
from runtime.runs import RunGone, TemporalRefused, reaching_temporal
from runtime.temporal import RPC_TIMEOUT
from store import assignments, broadcasts, bulk_enrollments, enrollments, erasures, events, ledger, schedules
from store.tables import EnrollmentRow, now

logger = logging.getLogger(__name__)

BATCH = 200
HANDOVER_PATIENCE = timedelta(minutes=15)
"""Longer than any attempt to send lasts: a handover without an answer by then is in doubt."""
ERASURE_PATIENCE = timedelta(days=1)
"""Longer than an erasure takes: the workflow of one that is unfinished by then is started again, if it is gone."""
RowT = TypeVar("RowT", bound=SQLModel)

_ABNORMAL = {
    WorkflowExecutionStatus.TERMINATED: Outcome(exit=Exit.CANCELLED, step=None, reason="terminated in Temporal"),
    WorkflowExecutionStatus.TIMED_OUT: Outcome(exit=Exit.FAILED, step=None, reason="timed out in Temporal"),
}
"""Ways for a run to close without recording its outcome itself."""


class Sweep:
    """Looks through what `dispatcher` tells of. All of it may be done twice, and by several processes at once."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._database = dispatcher.database
        self._client = dispatcher.client
        self._flows = dispatcher.flows
        self._runs = dispatcher.runs

    async def run(
        self, *, grace: timedelta, closed_since: datetime, doubt_window: timedelta = timedelta(days=1)
    ) -> dict[str, int]:
        """Finish what was stored more than `grace` ago and never told, and record runs that ended from outside.

        What Temporal refuses is logged and left, and holds up nothing else.
        Returns: how many of each kind were finished. Raises: TemporalUnavailable, with the rest left for later.
        """
        before, doubted_before = now() - grace, now() - doubt_window
        flows, tells = list(self._flows), self._dispatcher
        async with self._database.write() as session:
            doubted = await ledger.doubt_abandoned(session, untouched_since=now() - HANDOVER_PATIENCE, at_most=BATCH)
        return {
            "messages_doubted": doubted,
            "messages_settled": await self._settle_by_policy(doubted_before),
            "messages_resent": await self._finish_each(
                lambda session, offset: ledger.to_resend(session, before, BATCH, offset),
                partial(start_resend, self._client),
            ),
            "enrollments_started": await self._finish_each(
                lambda session, offset: enrollments.not_started(session, flows, before, BATCH, offset),
                tells.start,
            ),
            "enrollments_cancelled": await self._finish_each(
                lambda session, offset: enrollments.cancels_not_told(session, flows, before, BATCH, offset),
                tells.cancel,
            ),
            "enrollments_caught_up": await self._finish_each(
                lambda session, offset: enrollments.half_replaced(session, flows, before, BATCH, offset),
                tells.catch_up,
            ),
            "events_delivered": await self._finish_each(
                lambda session, offset: events.undelivered(session, before, BATCH, offset), tells.deliver
            ),
            "erasures_begun": await self._finish_each(
                lambda session, offset: erasures.not_begun(session, before, before - ERASURE_PATIENCE, BATCH, offset),
                tells.erase,
            ),
            "holds_told": sum(
                await in_turns(lambda flow: tell_flow(flow, before, tells.tell_hold, self._database), flows)
            ),
            "leads_drained": await drain_queue(self._database),
            "leads_told": await self._finish_each(
                lambda session, offset: assignments.not_told(session, flows, BATCH, offset),
                tells.tell_offered,
            ),
            "bulk_enrollments_begun": await self._finish_each(
                lambda session, offset: bulk_enrollments.not_begun(session, before, BATCH, offset),
                lambda job: begin_bulk_enrollment(job, self._client, self._database),
            ),
            "bulk_enrollments_told": await self._finish_each(
                lambda session, offset: bulk_enrollments.not_told(session, before, BATCH, offset),
                lambda job: tell_bulk_enrollment(job, self._client, self._database),
            ),
            "schedules_told": await self._finish_each(
                lambda session, offset: schedules.not_told(session, before, BATCH, offset),
                lambda row: tell_schedule(row, self._client, self._database),
            ),
            "bulk_enrollments_ended": await record_ended_outside(self._client, closed_since, self._database),
            "broadcasts_told": await self._finish_each(
                lambda session, offset: broadcasts.to_tell(session, before, BATCH, offset),
                lambda row: tell_broadcast(row, self._client, self._database),
            ),
            "broadcasts_cancelled": await cancel_ended_outside(self._client, closed_since, self._database),
            "outcomes_recorded": await self._record_abnormal_ends(closed_since),
        }

    async def _settle_by_policy(self, doubted_before: datetime) -> int:
        """Have those doubts resent that nothing settled within the window, in flows that want it so."""
        flows = [name for name, flow in self._flows.items() if flow.in_doubt is InDoubt.RESEND]
        async with self._database.write() as session:
            rows = await ledger.doubts_to_resend(session, flows, doubted_before, BATCH) if flows else []
            for row in rows:
                ledger.settle_doubt(row, Settlement.RESEND, by="policy of the flow")
                session.add(row)
        return len(rows)

    async def _finish_each(
        self,
        batch: Callable[[AsyncSession, int], Awaitable[Sequence[RowT]]],
        finish: Callable[[RowT], Awaitable[bool]],
    ) -> int:
        """Go through all rows, a batch at a time; one that is finished leaves the query, the others are passed by."""
        finished = left = 0
        while True:
            async with self._database.read() as session:
                rows = await batch(session, left)
            for row in rows:
                try:
                    done = await finish(row)
                except TemporalRefused as refusal:
                    logger.error("Temporal refuses a row", extra={"row": type(row).__name__, "error": str(refusal)})
                    done = False
                finished, left = finished + done, left + (not done)
            if len(rows) < BATCH:
                return finished

    async def _record_abnormal_ends(self, closed_since: datetime) -> int:
        statuses = "ExecutionStatus IN ('Terminated', 'TimedOut')"
        query = (
            f"{statuses} AND TaskQueue STARTS_WITH '{flow_task_queue('')}' AND CloseTime > '{closed_since.isoformat()}'"
        )
        recorded = 0
        with reaching_temporal():
            async for run in self._client.list_workflows(query, rpc_timeout=RPC_TIMEOUT):
                try:
                    enrollment_id = await run.memo_value("enrollment_id", "")
                except CannotDecrypt as error:
                    logger.error("a run that ended cannot be read", extra={"run_id": run.run_id, "error": str(error)})
                    continue
                outcome = _ABNORMAL.get(run.status) if run.status else None
                async with self._database.read() as session:
                    row = await session.get(EnrollmentRow, enrollment_id)
                # After a reset, or another start under the same id, the enrollment lives on in a later run.
                if row is None or row.status != "active" or outcome is None:
                    continue
                with suppress(RunGone), reaching_temporal():
                    if await self._runs.is_running(row):
                        continue
                async with self._database.write() as session:
                    recorded += await enrollments.record_outcome(session, enrollment_id, outcome)
        return recorded
