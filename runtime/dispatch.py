"""Store first, then tell Temporal: the telling, and the sweep that finishes what a crash left half told.

Everything here may be done twice: a second start is refused by the workflow id or, once the first run has closed, by
the enrollment's row; a workflow ignores an event id it has seen.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowQueryFailedError
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
    Enrollment,
    Exit,
    FlowType,
    Outcome,
    Progress,
    enrollment_workflow_id,
    flow_task_queue,
)
from domain.memory import Happening, Memory
from runtime.temporal import CONTACT_ID, RPC_TIMEOUT
from store import enrollments, events, ledger
from store.database import Database
from store.tables import EnrollmentRow, EventRow, now

logger = logging.getLogger(__name__)

BATCH = 200
HANDOVER_PATIENCE = timedelta(minutes=15)
"""Longer than any attempt to send lasts: a handover without an answer by then is in doubt."""

CLOCK_SKEW = timedelta(seconds=5)
"""Between API processes. Older events than this do not reach an enrollment: they are of the time before it."""
_REFUSALS = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.OUT_OF_RANGE)
"""Answers about one row. Any other failure is taken for one of the server, which the next row would meet too."""
RowT = TypeVar("RowT", EnrollmentRow, EventRow)

_ABNORMAL = {
    WorkflowExecutionStatus.TERMINATED: Outcome(exit=Exit.CANCELLED, step=None, reason="terminated in Temporal"),
    WorkflowExecutionStatus.TIMED_OUT: Outcome(exit=Exit.FAILED, step=None, reason="timed out in Temporal"),
}
"""Ways for a run to close without recording its outcome itself."""


class TemporalUnavailable(Exception):
    """Temporal could not be told now. Nothing is lost: the sweep will."""


class TemporalRefused(TemporalUnavailable):
    """Temporal does not take this one: to ask again changes nothing until something else does."""


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
        async with self._database.read() as session:
            if not await enrollments.is_active(session, enrollment.id):
                return True
        with _reaching_temporal():
            try:
                await self._run(enrollment, flow)
            except WorkflowAlreadyStartedError:
                if not await self._is_running(enrollment):
                    return False
        await self._mark_started(enrollment)
        return True

    async def replace(self, enrollment: EnrollmentRow, memory: Memory) -> None:
        """Let a new run, on the version that is current now, take the place of the enrollment's open run.

        For a run that no worker can go on with. The enrollment's replacement must have been noted before its memory was
        read; `catch_up` is to follow. Raises: TemporalUnavailable.
        """
        with _reaching_temporal():
            await self._run(enrollment, self._flows[enrollment.flow], memory)
        await self._mark_started(enrollment)

    async def catch_up(self, enrollment: EnrollmentRow) -> bool:
        """Tell a run what the one that it replaced may have been told too late to remember; answer whether all is told.

        Raises: TemporalUnavailable.
        """
        since = enrollment.replacing_since
        if since is None:
            return True
        async with self._database.read() as session:
            told = await events.told_since(session, enrollment.contact_id, since - CLOCK_SKEW)
        try:
            for event in told:
                if self._is_for(enrollment, event):
                    await self._signal(enrollment, event)
            if enrollment.cancel_requested_at is not None:
                await self.cancel(enrollment)
        except _RunGone:
            await self._end_without_run(enrollment)
        async with self._database.write() as session:
            await enrollments.end_replacing(session, enrollment.id, since)
        return True

    async def _run(self, enrollment: EnrollmentRow, flow: FlowType, memory: Memory | None = None) -> None:
        """With a memory, an open run of the contact in this flow is ended for it."""
        await self._client.start_workflow(
            enrollment.flow,
            Enrollment(
                id=enrollment.id,
                contact_id=enrollment.contact_id,
                settings=enrollment.settings,
                memory=memory,
                renamed=flow.renamed,
            ),
            id=self._handle(enrollment).id,
            task_queue=flow_task_queue(enrollment.flow),
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=(
                WorkflowIDConflictPolicy.FAIL if memory is None else WorkflowIDConflictPolicy.TERMINATE_EXISTING
            ),
            memo={"enrollment_id": enrollment.id},
            search_attributes=TypedSearchAttributes([SearchAttributePair(CONTACT_ID, enrollment.contact_id)]),
            static_summary=flow.title,
            static_details=(
                f"- goal: **{flow.goal.event}** within {in_words(flow.goal.within)}\n- owner: {flow.owner}"
            ),
            rpc_timeout=RPC_TIMEOUT,
        )

    async def _mark_started(self, enrollment: EnrollmentRow) -> None:
        async with self._database.write() as session:
            active = await enrollments.mark_started(session, enrollment.id)
        if not active:
            # It ended while it was being started a second time: that second run is nobody's.
            with suppress(_RunGone), _reaching_temporal():
                if await self._is_running(enrollment):
                    await self._handle(enrollment).terminate("the enrollment had ended", rpc_timeout=RPC_TIMEOUT)

    async def deliver(self, event: EventRow) -> bool:
        """Signal an event to each enrollment that it concerns and that it found active; answer whether all know.

        Raises: TemporalUnavailable.
        """
        async with self._database.read() as session:
            active = await enrollments.active_enrollments(session, event.contact_id)
        all_know = True
        for enrollment in active:
            if not self._is_for(enrollment, event):
                continue
            if enrollment.started_at is None and not await self.start(enrollment):
                all_know = False
                continue
            try:
                await self._signal(enrollment, event)
            except _RunGone:
                await self._end_without_run(enrollment)
        if all_know:
            async with self._database.write() as session:
                await events.mark_delivered(session, event.id)
        return all_know

    async def cancel(self, enrollment: EnrollmentRow) -> bool:
        """Cancel the enrollment's workflow; answer whether it knows. One whose run is gone is ended here.

        Raises: TemporalUnavailable.
        """
        if enrollment.started_at is None and not await self.start(enrollment):
            return False
        try:
            with _reaching_temporal():
                # The server takes the cancellation of a closed run without a word.
                if not await self._is_running(enrollment):
                    raise _RunGone
                await self._handle(enrollment).cancel(rpc_timeout=RPC_TIMEOUT)
        except _RunGone:
            await self._end_without_run(enrollment)
        async with self._database.write() as session:
            await enrollments.mark_cancel_told(session, enrollment.id)
        return True

    async def progress(self, enrollment: EnrollmentRow) -> Progress:
        """Ask the running workflow where it is; an empty answer if nobody can say now."""
        try:
            answer: Progress = await self._handle(enrollment).query(
                "progress", result_type=Progress, rpc_timeout=timedelta(seconds=2)
            )
        except (RPCError, RuntimeError, WorkflowQueryFailedError) as error:
            logger.info("no progress to be had", extra={"enrollment_id": enrollment.id, "error": type(error).__name__})
            return Progress()
        return answer

    async def sweep(self, *, grace: timedelta, closed_since: datetime) -> dict[str, int]:
        """Finish what was stored more than `grace` ago and never told, and record runs that ended from outside.

        What Temporal refuses is logged and left, and holds up nothing else.
        Returns: how many of each kind were finished. Raises: TemporalUnavailable, with the rest left for later.
        """
        before = now() - grace
        flows = list(self._flows)
        async with self._database.write() as session:
            doubted = await ledger.doubt_abandoned(session, untouched_since=now() - HANDOVER_PATIENCE)
        return {
            "messages_doubted": doubted,
            "enrollments_started": await self._finish_each(
                lambda session, offset: enrollments.not_started(session, flows, before, BATCH, offset), self.start
            ),
            "enrollments_cancelled": await self._finish_each(
                lambda session, offset: enrollments.cancels_not_told(session, flows, before, BATCH, offset), self.cancel
            ),
            "enrollments_caught_up": await self._finish_each(
                lambda session, offset: enrollments.half_replaced(session, flows, before, BATCH, offset), self.catch_up
            ),
            "events_delivered": await self._finish_each(
                lambda session, offset: events.undelivered(session, before, BATCH, offset), self.deliver
            ),
            "outcomes_recorded": await self._record_abnormal_ends(closed_since),
        }

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
        with _reaching_temporal():
            async for run in self._client.list_workflows(query, rpc_timeout=RPC_TIMEOUT):
                enrollment_id = await run.memo_value("enrollment_id", "")
                outcome = _ABNORMAL.get(run.status) if run.status else None
                async with self._database.read() as session:
                    row = await session.get(EnrollmentRow, enrollment_id)
                # After a reset, or another start under the same id, the enrollment lives on in a later run.
                if row is None or row.status != "active" or outcome is None or await self._is_running(row):
                    continue
                async with self._database.write() as session:
                    recorded += await enrollments.record_outcome(session, enrollment_id, outcome)
        return recorded

    def _is_for(self, enrollment: EnrollmentRow, event: EventRow) -> bool:
        flow = self._flows.get(enrollment.flow)
        too_young = enrollment.created_at > event.received_at + CLOCK_SKEW
        return flow is not None and not too_young and concerns(flow, event.name)

    async def _signal(self, enrollment: EnrollmentRow, event: EventRow) -> None:
        with _reaching_temporal():
            happening = Happening.of(event.id, event.name)
            await self._handle(enrollment).signal("event", happening, rpc_timeout=RPC_TIMEOUT)

    def _handle(self, enrollment: EnrollmentRow) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(enrollment_workflow_id(enrollment.flow, enrollment.contact_id))

    async def _is_running(self, enrollment: EnrollmentRow) -> bool:
        """Whether the open run under the workflow id is this enrollment's."""
        newest = await self._handle(enrollment).describe(rpc_timeout=RPC_TIMEOUT)
        return (
            newest.status is WorkflowExecutionStatus.RUNNING
            and await newest.memo_value("enrollment_id", None) == enrollment.id
        )

    async def _end_without_run(self, enrollment: EnrollmentRow) -> None:
        """A run records its outcome before it closes: an enrollment that is active without a run has lost it."""
        outcome = Outcome(exit=Exit.CANCELLED, step=None, reason="its run was gone from Temporal")
        async with self._database.write() as session:
            await enrollments.record_outcome(session, enrollment.id, outcome)


class _RunGone(Exception):
    """The workflow has no open run."""


@contextmanager
def _reaching_temporal() -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND and not _is_of_namespace(error):
            raise _RunGone from error
        refused = error.status in _REFUSALS
        raise (TemporalRefused if refused else TemporalUnavailable)(f"{error.status.name}: {error.message}") from error
    except RuntimeError as error:  # what a lazy client raises while it cannot connect
        raise TemporalUnavailable("no connection") from error


def _is_of_namespace(error: RPCError) -> bool:
    """Whether it is the whole namespace that is not there: of its runs this says nothing."""
    details = error.grpc_status.details if error.grpc_status else ()
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in details)
