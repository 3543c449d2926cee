"""The message ledger: what became of each message that a flow meant to send."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.paging import Page, PageRequest, cursor_after
from api.problems import answers
from api.wiring import Wired
from domain.messages import MessageStatus
from store.listings import page_of_messages

router = APIRouter(prefix="/v1/messages", tags=["messages"])


class MessageView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    enrollment_id: str
    contact_id: str
    step: str = Field(examples=["welcome"])
    status: MessageStatus
    subject: str | None = Field(examples=["Welcome, Ada"])
    provider: str | None = Field(examples=["sendgrid"])
    provider_message_id: str | None
    handovers: int = Field(description="how often it was handed to the provider")
    reason: str | None = Field(description="why it was skipped, rejected or doubted")
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None


class MessagesRequest(PageRequest):
    contact_id: UUID | None = None
    enrollment_id: UUID | None = None
    status: MessageStatus | None = None


@router.get("", responses=answers(422))
async def list_messages(query: Annotated[MessagesRequest, Query()], services: Wired) -> Page[MessageView]:
    """Messages, newest first."""
    async with services.database.read() as session:
        rows = await page_of_messages(
            session,
            limit=query.limit + 1,
            before=query.before(),
            contact_id=str(query.contact_id) if query.contact_id else None,
            enrollment_id=str(query.enrollment_id) if query.enrollment_id else None,
            status=query.status,
        )
    return Page(
        items=[MessageView.model_validate(row) for row in rows[: query.limit]],
        next_cursor=cursor_after([row.id for row in rows], query.limit),
    )
