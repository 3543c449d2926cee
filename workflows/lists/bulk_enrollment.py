"""A bulk enrollment: it has pages enrolled, stage after stage, and waits at the gates between them.

Where it is stands in the database, and each activity answers it. So a run that continues as new, or begins again after
its server was lost, needs no more than the job's id.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError, is_cancelled_exception
from temporalio.types import MethodAsyncSingleParam

from activities.bulk_enrollments import HEARTBEAT_TIMEOUT, BulkEnrollment, BulkEnrollmentActivities
from domain.bulk_enrollments import GATED, OVER, GateDecision, JobStatus, Standing
from domain.flows import STATE_ATTRIBUTE, State
from domain.trail import minute, shortened
from workflows.lists.cancellation import heed_cancellation

OrderT = TypeVar("OrderT", bound=BaseModel)

_STATE = SearchAttributeKey.for_keyword(STATE_ATTRIBUTE)
_LONGEST = timedelta(hours=1)
"""Of an activity that beats: the largest audience is kept by then."""
_SHORT = timedelta(seconds=30)
_RETRIES = RetryPolicy(maximum_interval=timedelta(minutes=1))
"""Without an end: a database or server that is away delays it."""
_FLOW_HELD = timedelta(minutes=1)
"""Between two looks whether it still is."""
_SOON = timedelta(seconds=1)
"""Between two looks at a gate, at the least: a clock that is behind must not fill the history."""
_SHOWN = {JobStatus.HELD: State.HELD, JobStatus.AWAITING_APPROVAL: State.AWAITING_APPROVAL}


@workflow.defn(name="bulk_enrollment")
class BulkEnrollmentWorkflow:
    steps_a_run = 500
    """At six events for a page, and some ten for a look at a gate; then it continues as new."""

    def __init__(self) -> None:
        self._stands: Standing | None = None
        self._to_look = False
        self._deciding = False

    @workflow.run
    async def run(self, order: BulkEnrollment) -> Standing:
        """Returns: where it ended. Raises: CancelledError if it was cancelled in Temporal, which is noted first."""
        try:
            return await self._conduct(order)
        except BaseException as error:
            if not is_cancelled_exception(error):
                raise
            await asyncio.shield(self._do(BulkEnrollmentActivities.cancel, order, "note that it was cancelled"))
            raise

    @workflow.signal
    def look(self) -> None:
        """Somebody changed it: look where it stands now."""
        self._to_look = True

    @workflow.update
    async def decide(self, decision: GateDecision) -> Standing:
        """Approve or decline, at the gate that waits for it. The validator refuses what nothing waits for.

        Raises: ApplicationError `NotPending`.
        """
        await workflow.wait_condition(lambda: self._stands is not None)
        self._require_waiting(decision)
        self._deciding = True
        stands = await self._do(BulkEnrollmentActivities.decide_gate, decision, "note what a person decided")
        self._show(stands)
        # Whatever the run was about to note of the gate meanwhile is older than this.
        self._deciding, self._to_look = False, True
        return stands

    @decide.validator
    def _validate_decision(self, decision: GateDecision) -> None:
        if self._stands is not None:  # a run that has just begun does not know yet
            self._require_waiting(decision)

    def _require_waiting(self, decision: GateDecision) -> None:
        stands = self._stands
        waits = stands is not None and stands.status is JobStatus.AWAITING_APPROVAL and not self._deciding
        if stands is None or not waits or stands.stage != decision.stage:
            raise ApplicationError("no gate waits for this", type="NotPending", non_retryable=True)

    async def _conduct(self, order: BulkEnrollment) -> Standing:
        stands = self._show(await self._beating(BulkEnrollmentActivities.prepare, order, "keep whom it is for"))
        steps = 0
        while stands.status not in OVER:
            heed_cancellation()
            stands = self._show(await self._next(order, stands))
            steps += 1
            if steps >= self.steps_a_run or workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(order)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return stands

    async def _next(self, order: BulkEnrollment, stands: Standing) -> Standing:
        """Do, or wait for, what comes next; answer where it stands then."""
        if stands.status is JobStatus.PREPARING:
            return await self._beating(BulkEnrollmentActivities.prepare, order, "keep whom it is for")
        if stands.status is JobStatus.RUNNING and not stands.flow_held:
            return await self._beating(BulkEnrollmentActivities.enroll_page, order, page_summary(stands))
        if stands.status is JobStatus.RUNNING:
            await self._until_told(workflow.now() + _FLOW_HELD, "until the flow is resumed")
        elif stands.status in GATED and stands.next_check_at is not None:
            until = max(stands.next_check_at, workflow.now() + _SOON)
            told = await self._until_told(until, gate_summary(stands))
            if not told:
                return await self._beating(BulkEnrollmentActivities.check_gate, order, "look at the gate's figures")
        else:
            await self._until_told(None, "until a person lets it go on")
        self._to_look = False
        return await self._do(BulkEnrollmentActivities.look, order, "look where it stands")

    async def _until_told(self, until: datetime | None, summary: str) -> bool:
        """Wait to be told to look, until a moment at the longest; answer whether it was told."""
        try:
            await workflow.wait_condition(
                lambda: self._to_look,
                timeout=None if until is None else until - workflow.now(),
                timeout_summary=shortened(summary),
            )
        except TimeoutError:
            return False
        return True

    async def _beating(
        self, activity: MethodAsyncSingleParam[Any, BulkEnrollment, Standing], order: BulkEnrollment, summary: str
    ) -> Standing:
        """Have something done that takes long, and says by heartbeats that it is at it."""
        return await workflow.execute_activity_method(
            activity,
            order,
            start_to_close_timeout=_LONGEST,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
            summary=shortened(summary),
        )

    async def _do(
        self, activity: MethodAsyncSingleParam[Any, OrderT, Standing], order: OrderT, summary: str
    ) -> Standing:
        return await workflow.execute_activity_method(
            activity, order, start_to_close_timeout=_SHORT, retry_policy=_RETRIES, summary=summary
        )

    def _show(self, stands: Standing) -> Standing:
        """What operators see in the Temporal Web UI, and find it by."""
        self._stands = stands
        workflow.set_current_details(details(stands))
        shown = _SHOWN.get(stands.status, State.WAITING)
        if workflow.info().typed_search_attributes.get(_STATE, State.WAITING) != shown:
            workflow.upsert_search_attributes([_STATE.value_set(shown)])
        return stands


def page_summary(stands: Standing) -> str:
    return f"stage {stands.stage + 1} of {stands.stages}: enroll from {stands.position} to {stands.stage_end} at most"


def gate_summary(stands: Standing) -> str:
    if stands.status is JobStatus.AWAITING_APPROVAL:
        return f"gate after stage {stands.stage + 1}: until somebody of {stands.role} approves"
    return f"gate after stage {stands.stage + 1}: until {minute(stands.due_at)}" if stands.due_at else "gate"


def details(stands: Standing) -> str:
    """Markdown: where it is, how many were enrolled, and what comes next."""
    doing = {
        JobStatus.AT_GATE: f"at the gate after stage {stands.stage + 1}",
        JobStatus.AWAITING_APPROVAL: f"waits for somebody of {stands.role} to approve",
    }.get(stands.status, stands.status.value)
    lines = [
        f"**{stands.flow}**: {'waits, as the flow is held' if stands.flow_held else doing}",
        "",
        f"- stage {stands.stage + 1} of {stands.stages}"
        + (f", up to {stands.stage_end} of {stands.size} contacts" if stands.size is not None else ""),
        f"- enrolled: {stands.enrolled}, refused: {stands.refused}, looked at: {stands.position}",
    ]
    if stands.due_at is not None:
        lines.append(f"- next gate: {minute(stands.due_at)}")
    if stands.reason is not None:
        lines.append(f"- why: {stands.reason}")
    return "\n".join(lines)
