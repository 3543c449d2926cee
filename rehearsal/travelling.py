"""One enrollment under a clock that a test moves: time, where the contact is, and what to tell if a test fails."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from sqlmodel import col, select
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from domain.durations import in_words
from domain.events import LEAD_OFFERED
from domain.flows import Outcome, Progress, enrollment_workflow_id
from domain.memory import whole_of
from integrations.outbox.reader import Outbox
from rehearsal.clock import Clock, NotAtRest, ServerTime
from rehearsal.inbox import Inbox
from rehearsal.standing import Standing
from runtime.dispatch import Dispatcher
from runtime.temporal import RPC_TIMEOUT
from store.database import Database
from store.ledger_tables import MessageRow
from store.tables import EnrollmentRow
from workflows.discovery import FlowClass

FARTHEST = timedelta(days=3653)
"""Ten years of waiting for a step or an end are a mistake."""


class JourneyFailed(AssertionError):
    """The journey did not do what a verb asked for: the text tells its story so far."""


class Step(NamedTuple):
    """A step that the contact went through, or stands at: then `result` is None.

    `result` reads as an operator sees it: `sent`, `skipped, contact unsubscribed`, `yes`, `no`, `done`, `approved`.
    """

    name: str
    result: str | None


@dataclass(frozen=True)
class Stage:
    """What is around a journey."""

    environment: WorkflowEnvironment
    time: ServerTime
    database: Database
    dispatcher: Dispatcher
    outbox: Outbox


class Travelling(ABC):
    """What every journey is beneath what contacts and people do."""

    def __init__(self, flow: FlowClass, stage: Stage, row: EnrollmentRow, address: str) -> None:
        self.flow = flow
        self.environment = stage.environment
        self.database: Database = stage.database
        self.dispatcher = stage.dispatcher
        self.row = row
        self._outbox = stage.outbox
        self._address = address
        self._clock = Clock(stage.environment, self.handle, stage.time)

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
            left -= await self._hop(await self.settle(), left)
        await self.settle()

    async def until(self, step: str, within: timedelta = FARTHEST) -> None:
        """Let time pass until the contact stands at a step, or has just gone through one that takes no time.

        Fails if the journey ends before, or does not come there `within` this time.
        """
        left = within
        while True:
            standing = await self.settle()
            present = (await self.progress()).step or ""
            if step in {each.name for each in await self.steps()} | {present, whole_of(present)}:
                return
            if standing.closed:
                await self._fail(f"the journey ended and did not come to {step}")
            if left <= timedelta(0):
                await self._fail(f"the journey did not come to {step} within {in_words(within)}")
            left -= await self._hop(standing, left)

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
                left -= await self._hop(standing, left)
        if (await self.description()).status is WorkflowExecutionStatus.COMPLETED:
            return await self.handle.result()
        row = await self.enrollment()
        return Outcome.model_validate({"exit": row.exit, "step": row.last_step, "reason": row.exit_reason})

    async def _hop(self, standing: Standing, left: timedelta) -> timedelta:
        """From rest, let time pass to what is due next, but not longer than what is left; answer how long."""
        # A lead is in the queue only while its flow waits for an offer.
        queues = standing.held or (standing.wait is not None and standing.wait.event == LEAD_OFFERED)
        opening = await self._next_opening() if queues else None
        if opening is not None:
            left = min(left, max(opening - await self.now(), timedelta(0)))
        passed = await self._clock.hop(standing, left)
        if opening is not None:
            await self.sweep()
        return passed

    @abstractmethod
    async def _next_opening(self) -> datetime | None:
        """When somebody begins to work, while a lead waits for that."""

    @abstractmethod
    async def sweep(self) -> None:
        """What workers do all the time: leads of the queue go to whoever can take them now."""

    async def now(self) -> datetime:
        """What time it is on the contact's journey."""
        return await self._clock.now()

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

    # -- Where the contact is --------------------------------------------------------------------------------------

    def inbox(self) -> Inbox:
        """The emails to the contact that arrived, the oldest first."""
        return Inbox.of(self._outbox).to(self._address)

    async def steps(self) -> list[Step]:
        """What the contact went through, in order, and the present step at the end if the journey goes on.

        Parts of a step, such as a reminder, are told by none of these: `progress` names the present one.
        """
        past = [Step(name, result) for name, _, result in map(_partition, await self._details()) if "/" not in name]
        if (await self.description()).status is not WorkflowExecutionStatus.RUNNING:
            return past
        present = whole_of((await self.progress()).step or "")
        return [*past, Step(present, None)] if present else past

    async def progress(self) -> Progress:
        """The present step or part of one and, if the contact waits there, until when at the latest."""
        return await self.dispatcher.progress(self.row)

    async def enrollment(self) -> EnrollmentRow:
        """The enrollment as the database has it."""
        async with self.database.read() as session:
            return await session.get_one(EnrollmentRow, self.row.id)

    async def ledger(self) -> list[MessageRow]:
        """What became of each message, those to people and those that were not sent among them."""
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
            held = ", held" if row.held_since else ""
            where = f"the contact is at {at}{until}{held}; it is {await self.now():%Y-%m-%d %H:%M}"
        past = ", ".join(f"{step.name}: {step.result}" for step in steps if step.result is not None)
        received = ", ".join(f"{mail.step} {mail.subject!r}" for mail in self.inbox())
        return f"in {row.flow}, {where}\n  went through: {past or 'nothing'}\n  inbox: {received or 'empty'}"

    async def _details(self) -> list[str]:
        """The lines of what was gone through, in what an operator reads: see `workflows.details`."""
        answer = await self.handle.query("__temporal_workflow_metadata", rpc_timeout=RPC_TIMEOUT)
        text = str(answer["currentDetails"] if isinstance(answer, dict) else answer.current_details)
        _entered, *lines = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
        # By their place as well: a step may have such a name.
        for begins, ends in (("next: ", ", if nothing happens before"), ("held since ", " until it is resumed")):
            if lines and lines[0].startswith(begins) and lines[0].endswith(ends):
                lines = lines[1:]
        return lines

    async def _fail(self, what: str) -> NoReturn:
        raise JourneyFailed(f"{what}\n{await self.story()}")


def _partition(line: str) -> tuple[str, str, str]:
    return line.partition(": ")
