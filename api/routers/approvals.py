"""Approvals: what flows ask people to decide, and their decisions."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from api.acting import ActingPerson
from api.answer_problems import no_longer_pending, not_told, not_yours
from api.answer_view import AnswerView, Comment, answered
from api.answering import Given, UnfitDelegate
from api.approval_view import ApprovalStatus, ApprovalView, approval_views
from api.content import require_json
from api.paging import Page, PageRequest, cursor_after
from api.problems import answers, invalid_request, not_found
from api.routers.enrolling import IdempotencyKey
from api.wiring import Services, Wired
from domain.people import Role
from domain.questions import Choice
from store.listings import page_of_approvals
from store.people_tables import ApprovalRow

router = APIRouter(prefix="/v1/approvals", tags=["approvals"])

_NO_APPROVAL = not_found("approval with this id")
_ANSWERING = answers(400, _NO_APPROVAL, not_yours(), no_longer_pending(), 415, 422, not_told())


class ApprovalsRequest(PageRequest):
    status: ApprovalStatus | None = None
    role: Role | None = Field(default=None, description="asked now in this role", examples=["sales_manager"])
    person_id: UUID | None = Field(default=None, description="asked now, and not given to somebody else")
    enrollment_id: UUID | None = None
    contact_id: UUID | None = None


class DecisionRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    decision: Literal[Choice.APPROVE, Choice.REJECT] = Field(examples=["approve"])
    comment: Comment = None


class DelegationRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: UUID = Field(description="id of the active person who decides instead")
    comment: Comment = None


@router.get("", responses=answers(422))
async def list_approvals(query: Annotated[ApprovalsRequest, Query()], services: Wired) -> Page[ApprovalView]:
    """Approvals, newest first. Of those that are closed, `role` and `person_id` find whoever was asked in any stage."""
    async with services.database.read() as session:
        rows = await page_of_approvals(
            session,
            limit=query.limit + 1,
            before=query.before(),
            status=query.status,
            role=query.role,
            person_id=str(query.person_id) if query.person_id else None,
            enrollment_id=str(query.enrollment_id) if query.enrollment_id else None,
            contact_id=str(query.contact_id) if query.contact_id else None,
        )
        items = await approval_views(session, rows[: query.limit])
    return Page(items=items, next_cursor=cursor_after([row.id for row in rows], query.limit))


@router.get("/{approval_id}", responses=answers(_NO_APPROVAL, 422))
async def read_approval(approval_id: UUID, services: Wired) -> ApprovalView:
    """One approval: what is asked, who is asked, and what each of them answered."""
    async with services.database.read() as session:
        row = await session.get(ApprovalRow, str(approval_id))
        if row is None:
            raise _NO_APPROVAL
        (view,) = await approval_views(session, [row])
    return view


@router.post("/{approval_id}/decision", dependencies=[Depends(require_json)], responses=_ANSWERING)
async def decide_approval(
    approval_id: UUID,
    decision: DecisionRequest,
    person: ActingPerson,
    services: Wired,
    idempotency_key: IdempotencyKey = None,
) -> AnswerView:
    """Approve or reject, in the stage that is asked now. Of two decisions at once one counts: the flow says which."""
    approval = await _approval(services, approval_id)
    given = Given(person, decision.decision, decision.comment, idempotency_key=idempotency_key)
    return await answered(services, approval, given)


@router.post("/{approval_id}/delegation", dependencies=[Depends(require_json)], responses=_ANSWERING)
async def delegate_approval(
    approval_id: UUID,
    delegation: DelegationRequest,
    person: ActingPerson,
    services: Wired,
    idempotency_key: IdempotencyKey = None,
) -> AnswerView:
    """Let somebody else decide in one's place. They are written to, and it cannot be taken back."""
    approval = await _approval(services, approval_id)
    given = Given(
        person,
        Choice.DELEGATE,
        delegation.comment,
        delegate_id=str(delegation.to),
        idempotency_key=idempotency_key,
    )
    try:
        return await answered(services, approval, given)
    except UnfitDelegate:
        message = (
            "expected the id of another active person, who has not given it away themselves and did not have the "
            "contact enrolled"
        )
        raise invalid_request([{"loc": ("body", "to"), "msg": message}]) from None


async def _approval(services: Services, approval_id: UUID) -> ApprovalRow:
    async with services.database.read() as session:
        row = await session.get(ApprovalRow, str(approval_id))
    if row is None:
        raise _NO_APPROVAL
    return row
