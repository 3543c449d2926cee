"""Leads: to whom each was offered and why, and what the reps answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
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
from api.wiring import Services, Wired
from domain.questions import Choice
from store.answers import taken_answers
from store.listings import page_of_assignments
from store.people_tables import AssignmentRow

router = APIRouter(prefix="/v1/assignments", tags=["leads"])

AssignmentStatus = Literal["offered", "accepted", "declined", "lapsed", "queued", "drained", "withdrawn"]
_NO_ASSIGNMENT = not_found("assignment with this id")
_ANSWERING: dict[str, Any] = {
    "dependencies": [Depends(require_json)],
    "responses": answers(400, _NO_ASSIGNMENT, not_yours(), no_longer_pending(), 415, 422, not_told()),
}


class AssignmentView(BaseModel):
    """One decision on a lead: offered to a rep or, without a person, put into the queue."""

    id: str
    enrollment_id: str
    contact_id: str
    flow: str = Field(examples=["lead_assignment"])
    step: str = Field(examples=["assign"])
    number: int = Field(description="the how manieth decision on this lead, from 1")
    person_id: str | None = Field(description="the rep; null: nobody could take it")
    rule: str | None = Field(description="by which it was given", examples=["andes"])
    rules_version: int = Field(
        description="of the rules in force when it was decided, by hand too; 0: before there were any"
    )
    status: AssignmentStatus = Field(description="lapsed: no answer in time; drained: taken out of the queue")
    reasons: list[dict[str, Any]] = Field(description="which rules matched, and who was passed over why")
    respond_by: datetime | None
    answer: AnswerView | None = Field(description="what the rep answered; null: nothing yet")
    created_at: datetime
    closed_at: datetime | None


class AssignmentsRequest(PageRequest):
    status: AssignmentStatus | None = None
    person_id: UUID | None = None


@router.get("", responses=answers(422))
async def list_assignments(query: Annotated[AssignmentsRequest, Query()], services: Wired) -> Page[AssignmentView]:
    """Decisions on leads, newest first."""
    async with services.database.read() as session:
        rows = await page_of_assignments(
            session,
            limit=query.limit + 1,
            before=query.before(),
            status=query.status,
            person_id=str(query.person_id) if query.person_id else None,
        )
        items = await _views(session, rows[: query.limit])
    return Page(items=items, next_cursor=cursor_after([row.id for row in rows], query.limit))


@router.post("/{assignment_id}/accept", **_ANSWERING)
async def accept_lead(
    assignment_id: UUID,
    person: ActingPerson,
    services: Wired,
    acceptance: CommentRequest = NO_COMMENT,
    idempotency_key: IdempotencyKey = None,
) -> AnswerView:
    """Take a lead that is offered to this person: they become its owner."""
    given = Given(person, Choice.ACCEPT, acceptance.comment, idempotency_key=idempotency_key)
    return await _answer(services, assignment_id, given)


@router.post("/{assignment_id}/decline", **_ANSWERING)
async def decline_lead(
    assignment_id: UUID,
    person: ActingPerson,
    services: Wired,
    refusal: CommentRequest = NO_COMMENT,
    idempotency_key: IdempotencyKey = None,
) -> AnswerView:
    """Leave a lead to somebody else: it goes to the next rep at once, and never comes back."""
    given = Given(person, Choice.DECLINE, refusal.comment, idempotency_key=idempotency_key)
    return await _answer(services, assignment_id, given)


async def _answer(services: Services, assignment_id: UUID, given: Given) -> AnswerView:
    async with services.database.read() as session:
        row = await session.get(AssignmentRow, str(assignment_id))
    if row is None:
        raise _NO_ASSIGNMENT
    return await answered(services, row, given)


async def _views(session: AsyncSession, rows: Sequence[AssignmentRow]) -> list[AssignmentView]:
    given = {
        answer.question_id: answer_view(answer) for answer in await taken_answers(session, [row.id for row in rows])
    }
    return [AssignmentView.model_validate({**row.model_dump(), "answer": given.get(row.id)}) for row in rows]
