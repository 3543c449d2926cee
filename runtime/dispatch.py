"""Store first, then tell Temporal: the telling. What a crash leaves half told, `runtime.sweep` finishes.

Everything here may be done twice: a second start is refused by the workflow id or, once the first run has closed, by
the enrollment's row; a workflow ignores an event id it has seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from domain.durations import in_words
from domain.events import concerns
from domain.flows import (
    Enrollment,
    FlowType,
    Progress,
    State,
    flow_task_queue,
)
from domain.memory import Happening, Memory
from domain.triggers import began_by
from runtime.encryption import CannotDecrypt
from runtime.erasing import begin_erasure
from runtime.holding import tell_standing
from runtime.in_turns import in_turns
from runtime.marking import StartMarks
from runtime.queue_draining import signal_offered, tell_offered
from runtime.runs import RunGone, Runs, reaching_temporal
from runtime.temporal import CONTACT_ID, RPC_TIMEOUT, STATE
from store import assignments, enrollments, events, holds
from store.database import Database
from store.people_tables import AssignmentRow
from store.tables import EnrollmentRow, ErasureRow, EventRow

logger = logging.getLogger(__name__)

IN_BULK = Priority(priority_key=4)
"""After whoever is enrolled alone, which is 3."""
CLOCK_SKEW = timedelta(seconds=5)
"""Between API processes. Older events than this do not reach an enrollment: they are of the time before it."""


class Dispatcher:
    """Tells Temporal what the database holds. `flows` maps a flow's name to what is known of it; none of it changes."""

    def __init__(self, database: Database, client: Client, flows: Mapping[str, FlowType]) -> None:
        self.database = database
        self.client = client
        self.flows = flows
        self.runs = Runs(client, database)
        self._marks = StartMarks(database)
        self._many = asyncio.Semaphore(1)

    async def start(self, enrollment: EnrollmentRow, *, held: bool | None = None) -> bool:
        """Start the enrollment's workflow; answer whether it runs.

        `held` is known of one that was made just now: a hold that comes after that is told to its run.

        False: the contact's previous enrollment in this flow is still closing, or the flow is gone from the code.
        Raises: TemporalUnavailable.
        """
        flow = self.flows.get(enrollment.flow)
        if flow is None:
            logger.error("no flow of this name in the code", extra={"flow": enrollment.flow})
            return False
        if held is None:
            async with self.database.read() as session:
                if not await enrollments.is_active(session, enrollment.id):
                    return True
                held = await holds.is_held(session, enrollment)
        begins = True
        with reaching_temporal():
            try:
                await self.begin(enrollment, flow, held=held)
            except WorkflowAlreadyStartedError:
                if not await self.runs.is_running(enrollment):
                    return False
                begins = False
        await self.mark_started(enrollment, held=held if begins else None)
        return True

    async def start_many(self, many: Iterable[EnrollmentRow]) -> bool:
        """Start enrollments, a few at a time; answer whether all run.

        Raises: TemporalUnavailable, for the first that fails; the rest is left for later.
        """
        return all(await in_turns(self.start, many))

    async def replace(self, enrollment: EnrollmentRow, memory: Memory) -> None:
        """Let a new run, on the version that is current now, take the place of the enrollment's open run.

        For a run that no worker can go on with. The enrollment's replacement must have been noted before its memory was
        read; `catch_up` is to follow. Raises: TemporalUnavailable.
        """
        with reaching_temporal():
            await self.begin(enrollment, self.flows[enrollment.flow], memory)
        await self.mark_started(enrollment)

    async def catch_up(self, enrollment: EnrollmentRow) -> bool:
        """Tell a run what the one that it replaced may have been told too late to remember; answer whether all is told.

        Raises: TemporalUnavailable.
        """
        since = enrollment.replacing_since
        if since is None:
            return True
        async with self.database.read() as session:
            told = await events.told_since(session, enrollment.contact_id, since - CLOCK_SKEW)
            offers = await assignments.told_since(session, enrollment.id, since - CLOCK_SKEW)
        try:
            for event in told:
                if self._is_for(enrollment, event):
                    await self._signal(enrollment, event)
            for offer in offers:
                await signal_offered(offer, enrollment, self.runs)
            if enrollment.cancel_requested_at is not None:
                await self.cancel(enrollment)
        except RunGone:
            await self.runs.end_without_run(enrollment)
        async with self.database.write() as session:
            await holds.doubt(session, enrollment)
            await enrollments.end_replacing(session, enrollment.id, since)
        return True

    async def begin(
        self, enrollment: EnrollmentRow, flow: FlowType, memory: Memory | None = None, *, held: bool = False
    ) -> None:
        """Start the run of an enrollment, without a note that it was. With a memory, an open one is ended for it.

        Raises: WorkflowAlreadyStartedError; what the client raises.
        """
        await self.client.start_workflow(
            enrollment.flow,
            Enrollment(
                id=enrollment.id,
                settings=enrollment.settings,
                memory=memory,
                renamed=flow.renamed,
                held=held,
            ),
            id=self.runs.handle(enrollment).id,
            task_queue=flow_task_queue(enrollment.flow),
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=(
                WorkflowIDConflictPolicy.FAIL if memory is None else WorkflowIDConflictPolicy.TERMINATE_EXISTING
            ),
            memo={"enrollment_id": enrollment.id},
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(CONTACT_ID, enrollment.contact_id),
                    SearchAttributePair(STATE, State.HELD if held else State.WAITING),
                ]
            ),
            priority=Priority() if enrollment.bulk_id is None else IN_BULK,
            static_summary=flow.title,
            static_details=(f"goal: {flow.goal.event} within {in_words(flow.goal.within)}; {flow.owner}"),
            rpc_timeout=RPC_TIMEOUT,
        )

    async def mark_started(self, enrollment: EnrollmentRow, *, held: bool | None = False) -> None:
        """Note that an enrollment was started. `held`: whether it began so; None if nobody can say."""
        if held is False:
            active = await self._marks.mark(enrollment.id)
        else:
            async with self.database.write() as session:
                active = bool(await enrollments.mark_started(session, [enrollment.id]))
                await (holds.mark_begun_held(session, enrollment.id) if held else holds.doubt(session, enrollment))
        if not active:
            # It ended while it was being started a second time: that second run is nobody's.
            with suppress(RunGone), reaching_temporal():
                if await self.runs.is_running(enrollment):
                    await self.runs.handle(enrollment).terminate("the enrollment had ended", rpc_timeout=RPC_TIMEOUT)

    async def deliver(self, event: EventRow) -> bool:
        """Signal an event to each enrollment that it concerns and that it found active; answer whether all know.

        Raises: TemporalUnavailable.
        """
        async with self.database.read() as session:
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
            except RunGone:
                await self.runs.end_without_run(enrollment)
        if all_know:
            async with self.database.write() as session:
                await events.mark_delivered(session, event.id)
        return all_know

    async def deliver_many(self, many: Iterable[EventRow]) -> bool:
        """Deliver events, a few at a time and those of one call after another's; answer whether all know.

        Raises: as `deliver`, for the first that fails; the rest is left for later.
        """
        async with self._many:
            return all(await in_turns(self.deliver, many))

    async def cancel(self, enrollment: EnrollmentRow) -> bool:
        """Cancel the enrollment's workflow; answer whether it knows. One whose run is gone is ended here.

        Raises: TemporalUnavailable.
        """
        if enrollment.started_at is None and not await self.start(enrollment):
            return False
        try:
            with reaching_temporal():
                # The server takes the cancellation of a closed run without a word.
                if not await self.runs.is_running(enrollment):
                    raise RunGone
                await self.runs.handle(enrollment).cancel(rpc_timeout=RPC_TIMEOUT)
        except RunGone:
            await self.runs.end_without_run(enrollment)
        async with self.database.write() as session:
            await enrollments.mark_cancel_told(session, enrollment.id)
        return True

    async def tell_hold(self, enrollment: EnrollmentRow) -> bool:
        """Tell the enrollment's run whether it is held; answer whether it knows. One whose run is gone is ended here.

        Raises: NobodyAnswers, after a few seconds at the most; TemporalRefused; TemporalUnavailable.
        """
        if enrollment.started_at is None:
            return await self.start(enrollment)
        return await tell_standing(enrollment, self.runs, self.database)

    async def tell_holds(self, rows: Iterable[EnrollmentRow]) -> bool:
        """Tell some runs, a few at a time, whether they are held. Raises: as `tell_hold`, for the first that fails."""
        return all(await in_turns(self.tell_hold, rows))

    async def tell_offered(self, offer: AssignmentRow) -> bool:
        """Tell a run that its lead came out of the queue; answer whether it knows. Raises: TemporalUnavailable."""
        return await tell_offered(offer, self.runs, self.database)

    async def erase(self, erasure: ErasureRow) -> bool:
        """Start an erasure's workflow; answer True. Raises: TemporalUnavailable."""
        return await begin_erasure(erasure, self.client, self.database)

    async def progress(self, enrollment: EnrollmentRow) -> Progress:
        """Ask the running workflow where it is; an empty answer if nobody can say now."""
        try:
            answer: Progress = await self.runs.handle(enrollment).query(
                "progress", result_type=Progress, rpc_timeout=timedelta(seconds=2)
            )
        except (RPCError, RuntimeError, WorkflowQueryFailedError, CannotDecrypt) as error:
            logger.info("no progress to be had", extra={"enrollment_id": enrollment.id, "error": type(error).__name__})
            return Progress()
        return answer

    def _is_for(self, enrollment: EnrollmentRow, event: EventRow) -> bool:
        flow = self.flows.get(enrollment.flow)
        began = began_by(enrollment.idempotency_key)
        if began is not None and began.cause == event.id:
            return False  # it is the time before the enrollment that ends with it, be it the flow's goal too
        too_young = enrollment.created_at > event.received_at + CLOCK_SKEW
        return flow is not None and not too_young and concerns(flow, event.name, enrollment.settings)

    async def _signal(self, enrollment: EnrollmentRow, event: EventRow) -> None:
        with reaching_temporal():
            happening = Happening.of(event.id, event.name)
            await self.runs.handle(enrollment).signal("event", happening, rpc_timeout=RPC_TIMEOUT)
