"""A contact's timeline: what happened to them, and what did not and why."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, TypeAdapter

from api.paging import Page
from api.problems import answers, not_found
from api.wiring import Wired
from domain.limits import Moment
from store.tables import ContactRow
from store.timeline import Position, page_of_timeline
from store.timeline_sources import RANKS

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])

_POSITION = TypeAdapter(tuple[Moment, str, Annotated[str, StringConstraints(pattern=r"^[ -~]{1,200}$")]])


class TimelineEntry(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    at: datetime
    kind: str = Field(description="for programs: its first part groups", examples=["message.skipped"])
    text: str = Field(description="for people", examples=["Email tip was not sent: no consent to product-news"])
    flow: str | None = Field(examples=["onboarding"])
    enrollment_id: str | None
    step: str | None = Field(examples=["training-tip"])
    ref: str = Field(description="id of what tells it: of the message, the event, the approval…")
    details: dict[str, JsonValue] = Field(description="more of it, as its kind has it", examples=[{}])


def _known_cursor(value: str) -> str:
    position_of(value)
    return value


class TimelineRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,600}$"), AfterValidator(_known_cursor)] | None = Field(
        default=None, description="the `next_cursor` of the page before"
    )
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,99}$")] | None = Field(
        default=None, description="one kind, or the first part of several", examples=["message.skipped", "message"]
    )


@router.get("/{contact_id}/timeline", responses=answers(404, 422))
async def read_timeline(
    contact_id: UUID, query: Annotated[TimelineRequest, Query()], services: Wired
) -> Page[TimelineEntry]:
    """Everything that happened to a contact, and everything that did not and why, newest first."""
    async with services.database.read() as session:
        contact = await session.get(ContactRow, str(contact_id))
        if contact is None:
            raise not_found("contact with this id")
        page = await page_of_timeline(
            session,
            contact,
            limit=query.limit,
            before=position_of(query.cursor) if query.cursor else None,
            kind=query.kind,
        )
    return Page(
        items=[TimelineEntry.model_validate(entry) for entry in page.entries],
        next_cursor=cursor_of(page.last) if page.last else None,
    )


def cursor_of(position: Position) -> str:
    text = json.dumps([position.at.isoformat(), position.source, position.ref])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(cursor: str) -> Position:
    """The inverse of `cursor_of`. Raises: ValueError for what that never made."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = Position(*_POSITION.validate_json(text))
    except ValueError:
        raise ValueError("is no cursor of a timeline") from None
    if position.source not in RANKS:
        raise ValueError("is no cursor of a timeline any more: ask without it")
    return position
