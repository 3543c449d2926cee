"""An approval as the API and the pages show it: what is asked, who is asked, and what each of them answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.answer_view import AnswerView, answer_view
from domain.questions import Asked, Stage
from store.answers import taken_answers
from store.people import people_by_ids
from store.people_tables import ApprovalRequestRow, ApprovalRow

ApprovalStatus = Literal["pending", "approved", "rejected", "expired", "withdrawn"]


class StageView(BaseModel):
    """The round that is asked now, or was the last one."""

    number: int = Field(description="from 1")
    of: int
    needs: Literal["any", "all"] = Field(description="any: the first answer decides; all: everybody's yes, or one no")
    asks: list[Asked] = Field(description="who is meant; `asked` has the people that this came to")


class AskedView(BaseModel):
    """Somebody who is asked in one stage."""

    person_id: str
    name: str
    role: str | None = Field(description="as what they are asked; null: by name")
    reason: Literal["asked", "escalated", "delegated"]
    stage: int = Field(description="from 1")
    asked_at: datetime
    delegated_to: str | None = Field(description="id of the person who answers in their place")
    answer: AnswerView | None = Field(description="what they answered; null: nothing yet")


class ApprovalView(BaseModel):
    """A question that people of the team decide before a flow goes on."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0193f0c2-9a1c-7b52-8c11-5d2f6e7a9b01",
                "enrollment_id": "0193f0c2-8d4b-7a10-8f7e-6f0a1c2b3d4e",
                "contact_id": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11",
                "flow": "reactivation",
                "step": "approve-offer",
                "subject": "A discount of 30 %",
                "facts": {"discount_percent": 30, "limit_percent": 20},
                "content_hash": "6f1c2a9be0d34577",
                "status": "pending",
                "stage": {"number": 1, "of": 2, "needs": "any", "asks": [{"role": "sales_manager"}]},
                "asked": [
                    {
                        "person_id": "0193f0c1-1111-7d3e-9a51-0c5f2f6b8d11",
                        "name": "Rosa Pérez",
                        "role": "sales_manager",
                        "reason": "asked",
                        "stage": 1,
                        "asked_at": "2026-11-23T09:30:00Z",
                        "delegated_to": None,
                        "answer": None,
                    }
                ],
                "created_at": "2026-11-23T09:30:00Z",
                "expires_at": "2026-11-30T09:30:00Z",
                "closed_at": None,
            }
        }
    )

    id: str
    enrollment_id: str
    contact_id: str
    flow: str
    step: str
    subject: str
    facts: dict[str, JsonValue]
    content_hash: str = Field(description="stands for subject and facts: where they change, it is another approval")
    status: ApprovalStatus
    stage: StageView
    asked: list[AskedView] = Field(description="in the order in which they were asked")
    created_at: datetime
    expires_at: datetime | None = Field(description="without a decision by then it expires; each stage has its own")
    closed_at: datetime | None = Field(description="when it was decided, expired or was withdrawn")


async def approval_views(session: AsyncSession, rows: Sequence[ApprovalRow]) -> list[ApprovalView]:
    """These approvals, each with everybody who is or was asked."""
    ids = [row.id for row in rows]
    query = select(ApprovalRequestRow).where(col(ApprovalRequestRow.approval_id).in_(ids))
    requests = list(await session.exec(query.order_by(col(ApprovalRequestRow.id))))
    names = {person.id: person.name for person in await people_by_ids(session, {row.person_id for row in requests})}
    answers = {(row.question_id, row.stage, row.person_id): row for row in await taken_answers(session, ids)}

    def asked(request: ApprovalRequestRow) -> AskedView:
        answer = answers.get((request.approval_id, request.stage, request.person_id))
        return AskedView.model_validate(
            {
                **request.model_dump(include={"person_id", "role", "reason", "delegated_to"}),
                "name": names[request.person_id],
                "stage": request.stage + 1,
                "asked_at": request.created_at,
                "answer": answer_view(answer) if answer else None,
            }
        )

    return [_view(row, [asked(request) for request in requests if request.approval_id == row.id]) for row in rows]


def _view(row: ApprovalRow, asked: list[AskedView]) -> ApprovalView:
    stage = Stage.model_validate(row.stages[row.stage])
    return ApprovalView.model_validate(
        {
            **row.model_dump(exclude={"content", "stage", "stages"}),
            "facts": row.content,
            "stage": StageView(number=row.stage + 1, of=len(row.stages), needs=stage.needs, asks=list(stage.asks)),
            "asked": asked,
        }
    )
