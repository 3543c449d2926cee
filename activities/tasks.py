"""Giving people tasks, reminding them, and noting what came of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import activity

from activities.approvals import whoever_is
from activities.leaving import refused_while_leaving
from activities.people_mail import Letter, PeopleMail
from domain.questions import Asked, NudgeKind, TaskResult
from store import tasks
from store.database import Database
from store.enrollments import open_enrollment
from store.questions import count_answers
from store.tables import now


class OpenTask(BaseModel):
    """A task of a step, or a reminder of it: `why` says which. `due` counts from when it is given.

    Where `to` is one person who is inactive or gone, or the owner of a lead that has none, it is for any sales manager.
    """

    enrollment_id: str
    step: str
    subject: str
    to: Asked
    due: timedelta
    part: str = Field(description="the part of the step that writes: its emails are known by it")
    why: NudgeKind = NudgeKind.ASK
    waited: bool = Field(default=True, description="whether the flow waits for it")


class CloseTask(BaseModel):
    """What came of a task. `answers`: ids of those that counted."""

    enrollment_id: str
    step: str
    done: bool
    answers: list[str]


class TaskActivities:
    """`url` makes the link by which a person answers a task, by the ids of both."""

    def __init__(self, database: Database, mail: PeopleMail, url: Callable[[str, str], str]) -> None:
        self._database = database
        self._mail = mail
        self._url = url

    @activity.defn(name="task.open")
    async def open(self, order: OpenTask) -> TaskResult:
        """Write a task down, and write to whoever may do it.

        Idempotency and errors: as `ApprovalActivities.ask`.
        """
        return await self._mail.handover.to_its_end(self._open(order))

    async def _open(self, order: OpenTask) -> TaskResult:
        async with refused_while_leaving(), self._database.write() as session:
            enrollment = await open_enrollment(session, order.enrollment_id)
            asked, role = await whoever_is(session, order.to, enrollment)
            task = await tasks.open_task(
                session,
                enrollment,
                step=order.step,
                subject=order.subject,
                person_id=None if role else asked[0].id,
                role=role,
                due_at=now() + order.due,
                waited=order.waited,
            )
        letter = Letter(
            enrollment_id=order.enrollment_id,
            part=order.part,
            message="task-reminder" if order.why is NudgeKind.REMIND else "task",
            subject=order.subject,
            until=task.due_at,
        )
        await self._mail.write(letter, {person.id: self._url(task.id, person.id) for person in asked})
        return TaskResult(status="open", asked=[person.id for person in asked])

    @activity.defn(name="task.close")
    async def close(self, order: CloseTask) -> TaskResult:
        """Note that a task is done, or overdue. Idempotency: the first outcome stays."""
        status = "done" if order.done else "overdue"
        async with refused_while_leaving(), self._database.write() as session:
            await open_enrollment(session, order.enrollment_id)
            await count_answers(session, order.answers)
            task = await tasks.task_of(session, order.enrollment_id, order.step)
            if task is not None:
                await tasks.close_task(session, task, status)
        return TaskResult.model_validate({"status": status})
