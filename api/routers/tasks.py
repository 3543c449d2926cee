"""Tasks that flows give people, and having done them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from api.acting import ActingPerson
from api.answer_problems import no_longer_pending, not_told, not_yours
from api.answer_view import NO_COMMENT, AnswerView, CommentRequest, answer_view, answered
from api.answering import Given
from api.content import require_json
from api.paging import Page, PageRequest, cursor_after
from api.problems import answers, not_found
from api.routers.enrolling import IdempotencyKey
from api.wiring import Wired
from domain.people import Role
from domain.questions import Choice
from store.answers import taken_answers
from store.listings import page_of_tasks
from store.people_tables import TaskRow

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])

TaskStatus = Literal["open", "done", "overdue", "withdrawn"]
_NO_TASK = not_found("task with this id")


class TaskView(BaseModel):
    """Something that a person, or anybody in a role, has to do."""

    id: str
    enrollment_id: str
    contact_id: str
    flow: str = Field(examples=["nurturing"])
    step: str = Field(examples=["call"])
    subject: str = Field(examples=["Call them about the demo"])
    person_id: str | None = Field(description="who has it; null: anybody in the role, or nobody")
    role: str | None = Field(examples=["sales"])
    due_at: datetime | None
    waited: bool = Field(description="whether the flow waits for it")
    status: TaskStatus = Field(description="overdue: not done in time, and the flow went on")
    done_by: str | None = Field(description="id of the person who did it")
    answer: AnswerView | None = Field(description="what they said of it; null: it is not done")
    created_at: datetime
    closed_at: datetime | None


class TasksRequest(PageRequest):
    status: TaskStatus | None = None
    person_id: UUID | None = Field(default=None, description="given to this person, or to a role that they have")
    role: Role | None = Field(default=None, description="given to anybody in this role", examples=["sales"])
    enrollment_id: UUID | None = None
    contact_id: UUID | None = None


@router.get("", responses=answers(422))
async def list_tasks(query: Annotated[TasksRequest, Query()], services: Wired) -> Page[TaskView]:
    """Tasks, newest first."""
    async with services.database.read() as session:
        rows = await page_of_tasks(
            session,
            limit=query.limit + 1,
            before=query.before(),
            status=query.status,
            person_id=str(query.person_id) if query.person_id else None,
            role=query.role,
            enrollment_id=str(query.enrollment_id) if query.enrollment_id else None,
            contact_id=str(query.contact_id) if query.contact_id else None,
        )
        items = await _views(session, rows[: query.limit])
    return Page(items=items, next_cursor=cursor_after([row.id for row in rows], query.limit))


@router.get("/{task_id}", responses=answers(_NO_TASK, 422))
async def read_task(task_id: UUID, services: Wired) -> TaskView:
    """One task."""
    async with services.database.read() as session:
        row = await session.get(TaskRow, str(task_id))
        if row is None:
            raise _NO_TASK
        (view,) = await _views(session, [row])
    return view


@router.post(
    "/{task_id}/complete",
    dependencies=[Depends(require_json)],
    responses=answers(400, _NO_TASK, not_yours(), no_longer_pending(), 415, 422, not_told()),
)
async def complete_task(
    task_id: UUID,
    person: ActingPerson,
    services: Wired,
    completion: CommentRequest = NO_COMMENT,
    idempotency_key: IdempotencyKey = None,
) -> AnswerView:
    """Say that a task is done."""
    async with services.database.read() as session:
        row = await session.get(TaskRow, str(task_id))
    if row is None:
        raise _NO_TASK
    given = Given(person, Choice.DONE, completion.comment, idempotency_key=idempotency_key)
    return await answered(services, row, given)


async def _views(session: AsyncSession, rows: Sequence[TaskRow]) -> list[TaskView]:
    done = {
        answer.question_id: answer_view(answer) for answer in await taken_answers(session, [row.id for row in rows])
    }
    return [TaskView.model_validate({**row.model_dump(), "answer": done.get(row.id)}) for row in rows]
