"""A broadcast: it has batches sent, lets a test of subjects decide, and comes back to those who have to wait.

Whom it is for, what became of each, and whether it is held or cancelled stands in the database, and each activity
answers it. So a run that begins again after its server was lost repeats nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

from activities.broadcast_orders import IN_FLIGHT, BatchDone, BroadcastOf, EndBroadcast, Plan, SendBatch
from activities.broadcasts import BroadcastActivities
from activities.handover import HEARTBEAT_TIMEOUT
from domain.broadcasts import BroadcastStatus
from domain.trail import minute, shortened
from workflows.lists.cancellation import heed_cancellation

_LONGEST = timedelta(minutes=10)
"""Of a batch: as many messages in requests of their own as there are in one, at a provider that is slow."""
_RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=10))
"""Without an end: a provider or database that is away for a day delays it."""
_SOON = timedelta(seconds=1)
"""Between two looks, at the least: clocks that differ must not fill the history."""


class BroadcastRun(BaseModel):
    """How far a broadcast has come. All positions before `position` were decided on."""

    broadcast_id: str
    plan: Plan | None = None
    position: int = 0
    batches: int = 0
    judged_at: datetime | None = None
    done: BatchDone = BatchDone()


@workflow.defn(name="broadcast")
class BroadcastWorkflow:
    batches_a_run = 500
    """At six events for a batch; then it continues as new."""

    def __init__(self) -> None:
        self._looks = 0
        self._cancelling = False
        self._left = 0

    @workflow.run
    async def run(self, state: BroadcastRun) -> BatchDone:
        """Returns: how many got it, and why others did not. Raises: CancelledError if it was cancelled in Temporal."""
        self._state, self._left = state, self.batches_a_run
        try:
            return await self._conduct()
        except BaseException as error:
            if not is_cancelled_exception(error):
                raise
            await asyncio.shield(self._end(cancelled=True))
            raise

    @workflow.signal
    def look(self) -> None:
        """Somebody held, resumed or cancelled it: look where it stands now."""
        self._looks += 1

    async def _conduct(self) -> BatchDone:
        plan = self._state.plan = self._state.plan or await self._begin()
        heed_cancellation()
        if plan is not None and plan.tested and plan.winner is None:
            await self._send_positions(plan, plan.tested)
            await self._judge(plan)
        if plan is not None:
            await self._send_positions(plan, plan.held_out)
            await self._send_due(plan, None)
        return await self._end()

    async def _begin(self) -> Plan | None:
        """Wait for its time; None if it is cancelled before."""
        order = BroadcastOf(broadcast_id=self._state.broadcast_id)
        while True:
            looked = self._looks
            plan = await workflow.execute_activity_method(
                BroadcastActivities.begin,
                order,
                start_to_close_timeout=_LONGEST,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=_RETRIES,
                summary="write down whom it is for",
            )
            if self._is_over(plan.standing):
                return None
            if plan.standing is BroadcastStatus.HELD:
                await self._until_told(looked, None, "held: until somebody resumes it")
            elif plan.standing is BroadcastStatus.WAITING:
                await self._until_told(looked, plan.begins_at, f"begins: until {minute(plan.begins_at)}")
            else:
                return plan

    async def _send_positions(self, plan: Plan, end: int) -> None:
        """Send to all positions before `end`, some batches at once. Continues as new when this run is long enough."""

        async def lane() -> None:
            while self._state.position < end and self._left > 0 and not self._cancelling:
                first = self._state.position
                self._state.position = min(first + plan.batch, end)
                await self._batch(plan, first, self._state.position)

        await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
        if self._state.position < end and not self._cancelling:
            self._continue()

    async def _judge(self, plan: Plan) -> None:
        """Count clicks for a while, and have the winner chosen. Those of the test who have to wait are sent to."""
        state = self._state
        if self._cancelling:
            return
        state.judged_at = state.judged_at or workflow.now() + plan.judged_after
        await self._send_due(plan, state.judged_at)
        if self._cancelling:
            return
        winner = await workflow.execute_activity_method(
            BroadcastActivities.choose_winner,
            BroadcastOf(broadcast_id=state.broadcast_id),
            start_to_close_timeout=_LONGEST,
            retry_policy=_RETRIES,
            summary="choose the subject that was clicked most",
        )
        heed_cancellation()
        plan.winner = winner.variant

    async def _send_due(self, plan: Plan, until: datetime | None) -> None:
        """Send to those who wait, as their times come: until a moment, or until nobody waits."""
        while not self._cancelling:
            looked = self._looks
            done = await self._batch(plan, None, None)
            if self._cancelling or (done.due_at is None and until is None):
                return
            wake_at = min(at for at in (done.due_at, until) if at is not None)
            if wake_at > workflow.now() or not _has_decided(done):
                why = "some are to get it then" if wake_at == done.due_at else "clicks on the subjects are counted"
                await self._until_told(looked, wake_at, f"waiting: until {minute(wake_at)}, {why}")
            if until is not None and workflow.now() >= until:
                return
            if self._left <= 0:
                self._continue()

    async def _batch(self, plan: Plan, first: int | None, end: int | None) -> BatchDone:
        """Have one batch sent. While the broadcast is held it waits, and is sent then."""
        state = self._state
        state.batches += 1
        what = "those who waited" if end is None else f"{first} to {end} of {plan.held_out}"
        summary = f"batch {state.batches}: {what}"
        while True:
            looked = self._looks
            self._left -= 1
            done = await workflow.execute_activity_method(
                BroadcastActivities.send_batch,
                SendBatch(broadcast_id=state.broadcast_id, first=first, end=end, limit=plan.batch),
                start_to_close_timeout=_LONGEST,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=_RETRIES,
                # What is with a provider is answered for before the rest is skipped.
                cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=shortened(summary),
            )
            self._count(done)
            heed_cancellation()
            if self._is_over(done.standing) or done.standing is not BroadcastStatus.HELD:
                return done
            await self._until_told(looked, None, "held: until somebody resumes it")

    async def _end(self, *, cancelled: bool = False) -> BatchDone:
        done = await workflow.execute_activity_method(
            BroadcastActivities.end,
            EndBroadcast(broadcast_id=self._state.broadcast_id, cancelled=cancelled),
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="write down who did not get it",
        )
        self._count(done)
        self._state.done.standing = done.standing
        return self._state.done

    async def _until_told(self, looked: int, until: datetime | None, summary: str) -> None:
        """Wait to be told to look, until a moment at the longest."""
        self._show(summary)
        told: Callable[[], bool] = lambda: self._looks > looked  # noqa: E731 (it is asked once more below)
        timeout = None if until is None else max(until - workflow.now(), _SOON)
        try:
            await workflow.wait_condition(told, timeout=timeout, timeout_summary=shortened(summary))
        except TimeoutError:
            return

    def _is_over(self, standing: BroadcastStatus) -> bool:
        """Whether it was cancelled, or ended by another run."""
        over = standing in (BroadcastStatus.CANCELLING, BroadcastStatus.CANCELLED, BroadcastStatus.FINISHED)
        self._cancelling = self._cancelling or over
        return over

    def _count(self, done: BatchDone) -> None:
        total = self._state.done
        for name in ("sent", "skipped", "deferred", "rejected", "unconfirmed"):
            setattr(total, name, getattr(total, name) + getattr(done, name))
        self._show("sending")

    def _show(self, doing: str) -> None:
        """What operators see in the Temporal Web UI."""
        state = self._state
        lines = [f"**Broadcast {state.broadcast_id}**: {doing}", ""]
        if state.plan is not None:
            lines.append(f"- batch {state.batches}, {state.position} of {state.plan.size} contacts decided on")
            if state.plan.tested:
                lines.append(f"- subject: {state.plan.winner or 'being tested'}")
        done = state.done
        lines.append(f"- sent: {done.sent}, skipped: {done.skipped}, rejected: {done.rejected}")
        lines.append(f"- put off (a contact as often as they were): {done.deferred}, unconfirmed: {done.unconfirmed}")
        workflow.set_current_details("\n".join(lines))

    def _continue(self) -> None:
        workflow.continue_as_new(self._state)


def _has_decided(done: BatchDone) -> bool:
    return any((done.sent, done.skipped, done.deferred, done.rejected, done.unconfirmed))
