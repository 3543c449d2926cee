"""What a test does with one contact's journey, and what it looks at: `j` in `async with journey(…) as j`."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from sqlmodel import col, select
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from domain.durations import in_words
from domain.flows import Outcome, Progress, enrollment_workflow_id
from integrations.outbox.reader import Outbox
from rehearsal.clock import Clock, NotAtRest
from rehearsal.inbox import Inbox
from rehearsal.standing import Standing
from runtime.dispatch import Dispatcher
from runtime.temporal import RPC_TIMEOUT
from store.database import Database
from store.enrollments import request_cancel
from store.events import record_event
from store.tables import ContactRow, EnrollmentRow, EventRow, MessageRow, new_id, now
from workflows.discovery import FlowClass

FARTHEST = timedelta(days=3653)
"""Ten years of waiting for a step or an end are a mistake."""


class JourneyFailed(AssertionError):
    """The journey did not do what a verb asked for: the text tells its story so far."""


class Step(NamedTuple):
    """A step that the contact went through, or stands at: then `result` is None.

    `result` reads as an operator sees it: `sent`, `skipped, contact unsubscribed`, `yes`, `no`, `done`.
    """

    name: str
    result: str | None


class Journey:
    """One contact in one flow. What it offers is what the contact does, what time does, and what came of it.

    A flow's verb that asks something of a person (an approval, a task) gets a verb here too, for what that person does:
    a method in the section "What people do", which reaches the enrollment as the API does it and then settles, as
    `cancel` does. What it leaves behind to look at (open approvals, say) gets a method beside `inbox`.
    """

    def __init__(
        self,
        flow: FlowClass,
        environment: WorkflowEnvironment,
        database: Database,
        dispatcher: Dispatcher,
        outbox: Outbox,
        row: EnrollmentRow,
    ) -> None:
        self.flow = flow
        self.environment = environment
        self.database = database
        self.dispatcher = dispatcher
        self.outbox = outbox
        self.row = row
        self._clock = Clock(environment, self.handle)

    # -- Time ------------------------------------------------------------------------------------------------------

    async def travel(self, **duration: float) -> None:
        """Let time pass, in the units of a timedelta: `travel(days=2, hours=23)`.

        What falls due happens in its order, and is done when this returns.
        """
        left = timedelta(**duration)
        if not self._clock.skips:
            await self.environment.sleep(left)
            return
        while left > timedelta(0):
            left -= await self._clock.hop(await self.settle(), left)
        await self.settle()

    async def until(self, step: str, within: timedelta = FARTHEST) -> None:
        """Let time pass until the contact stands at a step, or has just gone through one that takes no time.

        Fails if the journey ends before, or does not come there `within` this time.
        """
        left = within
        while True:
            standing = await self.settle()
            steps = await self.steps()
            if step in (each.name for each in steps):
                return
            if standing.closed:
                await self._fail(f"the journey ended and did not come to {step}")
            if left <= timedelta(0):
                await self._fail(f"the journey did not come to {step} within {in_words(within)}")
            left -= await self._clock.hop(standing, left)

    async def pass_wait(self, standing: Standing) -> None:
        """Let time pass just until the present wait is over by itself."""
        await self._clock.hop(standing, FARTHEST)

    async def outcome(self) -> Outcome:
        """Let time pass until the enrollment ends; answer how it did, as it was recorded.

        Fails if it does not end in ten years.
        """
        left = FARTHEST
        while (await self.description()).status is WorkflowExecutionStatus.RUNNING:
            if not self._clock.skips:
                await asyncio.sleep(0.02)
                continue
            if left <= timedelta(0):
                await self._fail(f"the journey did not end within {in_words(FARTHEST)}")
            standing = await self.settle()
            if not standing.closed:
                left -= await self._clock.hop(standing, left)
        if (await self.description()).status is WorkflowExecutionStatus.COMPLETED:
            return await self.handle.result()
        row = await self.enrollment()
        return Outcome.model_validate({"exit": row.exit, "step": row.last_step, "reason": row.exit_reason})

    async def now(self) -> datetime:
        """What time it is on the contact's journey."""
        return await self._clock.now()

    # -- What the contact does --------------------------------------------------------------------------------------

    async def happens(self, name: str, event_id: str | None = None) -> None:
        """Something happens to the contact: stored, then told to Temporal, as the API does it.

        An event of an id that happened before changes nothing.
        """
        async with self.database.write() as session:
            contact = await session.get_one(ContactRow, self.row.contact_id)
            event = EventRow(id=event_id or new_id(), contact_id=contact.id, name=name, occurred_at=now())
            if not await record_event(session, contact, event):
                event = await session.get_one(EventRow, event.id)
        await self.dispatcher.deliver(event)
        await self.settle_if_skipping()

    async def open(self) -> None:
        await self.happens("opened")

    async def click(self) -> None:
        await self.happens("clicked")

    async def visit(self) -> None:
        await self.happens("visited")

    async def reply(self) -> None:
        await self.happens("replied")

    async def buy(self) -> None:
        await self.happens("bought")

    async def unsubscribe(self) -> None:
        await self.happens("unsubscribed")

    async def bounce(self) -> None:
        """An email to the contact comes back for good."""
        await self.happens("bounced")

    async def complain(self) -> None:
        """The contact marks an email as spam."""
        await self.happens("complained")

    async def reach_goal(self) -> None:
        """What the flow exists to bring about happens."""
        await self.happens(self.flow.about.goal.event)

    # -- What people do ---------------------------------------------------------------------------------------------

    async def cancel(self) -> None:
        """Someone takes the contact out of the flow."""
        async with self.database.write() as session:
            row = await request_cancel(session, self.row.id)
        assert row is not None  # noqa: S101 (the row is this journey's own)
        await self.dispatcher.cancel(row)
        await self.settle_if_skipping()

    # -- What came of it --------------------------------------------------------------------------------------------

    def inbox(self) -> Inbox:
        """The emails that arrived, the oldest first."""
        return Inbox.of(self.outbox)

    async def steps(self) -> list[Step]:
        """What the contact went through, in order, and the present step at the end if the journey goes on."""
        past = [Step(name, result) for name, _, result in map(_partition, await self._details()) if name != "entered"]
        if (await self.description()).status is not WorkflowExecutionStatus.RUNNING:
            return past
        present = (await self.progress()).step
        return [*past, Step(present, None)] if present else past

    async def progress(self) -> Progress:
        """The present step and, if the contact waits there, until when at the latest."""
        return await self.dispatcher.progress(self.row)

    async def enrollment(self) -> EnrollmentRow:
        """The enrollment as the database has it."""
        async with self.database.read() as session:
            return await session.get_one(EnrollmentRow, self.row.id)

    async def ledger(self) -> list[MessageRow]:
        """What became of each message, those that were not sent among them."""
        async with self.database.read() as session:
            return list(await session.exec(select(MessageRow).order_by(col(MessageRow.id))))

    async def description(self) -> WorkflowExecutionDescription:
        return await self.handle.describe()

    async def history(self) -> WorkflowHistory:
        """Of the present run."""
        return await self.handle.fetch_history()

    @property
    def handle(self) -> WorkflowHandle[Any, Outcome]:
        """The workflow itself, for what no verb of this class is for."""
        workflow_id = enrollment_workflow_id(self.row.flow, self.row.contact_id)
        return self.environment.client.get_workflow_handle(workflow_id, result_type=Outcome)

    async def story(self) -> str:
        """Where the contact is and what was in the inbox, for people who read why a test failed."""
        row = await self.enrollment()
        standing = Standing(await self.history())
        # A flow whose code fails answers no question.
        steps = [] if standing.failed_task else await self.steps()
        if row.status == "ended":
            reason = f" ({row.exit_reason})" if row.exit_reason else ""
            where = f"the journey ended: {row.exit}, at {row.last_step}{reason}"
        else:
            at = steps[-1].name if steps else standing.step
            until = f", waiting until {standing.wait.due:%Y-%m-%d %H:%M}" if standing.wait else ""
            where = f"the contact is at {at}{until}; it is {await self.now():%Y-%m-%d %H:%M}"
        past = ", ".join(f"{step.name}: {step.result}" for step in steps if step.result is not None)
        received = ", ".join(f"{mail.step} {mail.subject!r}" for mail in self.inbox())
        return f"in {row.flow}, {where}\n  went through: {past or 'nothing'}\n  inbox: {received or 'empty'}"

    # -- Inside -----------------------------------------------------------------------------------------------------

    async def settle(self) -> Standing:
        """Wait, in real time, until the flow has done what is to be done now.

        Fails if the flow's code raises, or if its work takes more than half a minute.
        """
        try:
            return await self._clock.settled()
        except NotAtRest as error:
            await self._fail(str(error))

    async def settle_if_skipping(self) -> None:
        """In real time there is nothing to wait for: the test does, for what it wants to see."""
        if self._clock.skips:
            await self.settle()

    async def _details(self) -> list[str]:
        """The lines below the state in what an operator reads: what was gone through."""
        answer = await self.handle.query("__temporal_workflow_metadata", rpc_timeout=RPC_TIMEOUT)
        text = str(answer["currentDetails"] if isinstance(answer, dict) else answer.current_details)
        return [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]

    async def _fail(self, what: str) -> NoReturn:
        raise JourneyFailed(f"{what}\n{await self.story()}")


def _partition(line: str) -> tuple[str, str, str]:
    return line.partition(": ")
