"""Tasks: what a person, or anybody in a role, has to do."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.insertion import insert_unless_there
from store.people_tables import AnswerRow, TaskRow
from store.tables import EnrollmentRow, new_id, now


async def open_task(
    session: AsyncSession,
    enrollment: EnrollmentRow,
    *,
    step: str,
    subject: str,
    person_id: str | None,
    role: str | None,
    due_at: datetime,
    waited: bool,
) -> TaskRow:
    """The task of a step, made if there is none. `waited`: the flow says which answer counts; else the first does.

    One that is still open is from now on of the person or role that is given.
    """
    row = TaskRow(
        id=new_id(),
        enrollment_id=enrollment.id,
        contact_id=enrollment.contact_id,
        flow=enrollment.flow,
        step=step,
        subject=subject,
        person_id=person_id,
        role=role,
        due_at=due_at,
        waited=waited,
    )
    await insert_unless_there(session, row)
    task = await task_of(session, enrollment.id, step) or row
    if task.status == "open":
        task.person_id, task.role = person_id, role
    return task


async def task_of(session: AsyncSession, enrollment_id: str, step: str) -> TaskRow | None:
    query = select(TaskRow).where(TaskRow.enrollment_id == enrollment_id, TaskRow.step == step)
    return (await session.exec(query.with_for_update())).one_or_none()


async def close_task(session: AsyncSession, task: TaskRow, status: str) -> None:
    """Note that a task is done, by whose answer counted, or overdue. Only an open one changes."""
    if task.status == "open":
        task.status, task.closed_at = status, now()
        if status == "done":
            query = select(AnswerRow.person_id).where(AnswerRow.question_id == task.id, AnswerRow.status == "taken")
            task.done_by = (await session.exec(query.order_by(col(AnswerRow.id)))).first()
        session.add(task)
