"""Addresses that are not written to, and why."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from sqlmodel.ext.asyncio.session import AsyncSession

from api.content import require_json
from api.paging import Page
from api.problems import ProblemError, answers, not_found
from api.telling import tell
from api.triggering import tell_triggered, triggered_by
from api.wiring import Wired
from domain.consent import ConsentState
from domain.contacts import EmailAddress
from domain.events import SUPPRESSED_AFTER
from domain.limits import Moment, Text
from domain.suppressions import SuppressionReason
from store.consents import consent_record
from store.contacts import contact_by_email
from store.events import record_event
from store.suppressions import Position, page_of_suppressions, suppress, unsuppress
from store.tables import EventRow, SuppressionRow, new_id, now

router = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])

API = "api"
WHAT_THEY_STOP = """\
`unsubscribed` stops all but transactional messages. `sunset`, set by flows after long silence, stops marketing until
the contact acts. `hard_bounce`, `complaint`, `manual` and `erased` stop every message, transactional ones too.
"""
_EVENTS = {reason: event for event, reason in SUPPRESSED_AFTER.items()}
_POSITION = TypeAdapter(tuple[Moment, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")], SuppressionReason])
ByHand = Literal[
    SuppressionReason.MANUAL,
    SuppressionReason.UNSUBSCRIBED,
    SuppressionReason.HARD_BOUNCE,
    SuppressionReason.COMPLAINT,
]


class SuppressionView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    email_hash: str = Field(description="keyed: what is kept of the address, also after the contact is erased")
    reason: SuppressionReason = Field(description=WHAT_THEY_STOP)
    source: str = Field(description="event (the contact's, or of a provider), flow, erasure or api", examples=["event"])
    note: str | None = Field(description="of whoever suppressed it by hand")
    created_at: datetime
    contact_id: str | None = Field(description="who has the address; null: nobody that we know")


class SuppressionRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailAddress = Field(examples=["ada@example.com"])
    reason: ByHand = Field(default=SuppressionReason.MANUAL, description=WHAT_THEY_STOP)
    note: Text | None = Field(default=None, description="why; nothing personal", examples=["asked for it by phone"])


def _known_cursor(value: str) -> str:
    position_of(value)
    return value


class SuppressionsRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailAddress | None = None
    reason: SuppressionReason | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,300}$"), AfterValidator(_known_cursor)] | None = Field(
        default=None, description="the `next_cursor` of the page before"
    )


class LiftRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailAddress = Field(examples=["ada@example.com"])
    reason: SuppressionReason


@router.get("", responses=answers(422))
async def list_suppressions(query: Annotated[SuppressionsRequest, Query()], services: Wired) -> Page[SuppressionView]:
    """Suppressions, newest first: of one address, for one reason, or all."""
    async with services.database.read() as session:
        rows = await page_of_suppressions(
            session,
            limit=query.limit + 1,
            before=position_of(query.cursor) if query.cursor else None,
            email=query.email,
            reason=query.reason,
        )
    shown = rows[: query.limit]
    return Page(
        items=[SuppressionView.model_validate(row) for row in shown],
        next_cursor=cursor_of(shown[-1]) if len(rows) > query.limit else None,
    )


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        200: {"model": SuppressionView, "description": "It was suppressed for this reason, and stays as it was"},
        **answers(400, 415, 422),
    },
)
async def suppress_address(request: SuppressionRequest, response: Response, services: Wired) -> SuppressionView:
    """Write to an address no more, whether a contact has it or not.

    `unsubscribed`, `hard_bounce` and `complaint` also do what the event would: they end all enrollments of the contact.
    """
    event, triggered = None, []
    async with services.database.write() as session:
        new = await suppress(session, request.email, request.reason, API, request.note)
        contact = await contact_by_email(session, request.email) if new else None
        if contact is not None and request.reason in _EVENTS:
            event = EventRow(id=new_id(), contact_id=contact.id, name=_EVENTS[request.reason], occurred_at=now())
            await record_event(session, contact, event)
            triggered = await triggered_by(session, services, contact, event)
        (row,) = await page_of_suppressions(session, limit=1, email=request.email, reason=request.reason)
    if event is not None:
        await tell(services.dispatcher.deliver(event), f"event {event.id}")
    await tell_triggered(services, triggered)
    response.status_code = 201 if new else 200
    return SuppressionView.model_validate(row)


@router.delete("", status_code=204, responses=answers(404, 409, 422))
async def lift_suppression(query: Annotated[LiftRequest, Query()], services: Wired) -> None:
    """Lift one suppression of an address; others of it stay, and so does what the contact said on each topic.

    One after an erasure is lifted only for somebody who has come back: a contact with this address who agreed to some
    topic since.
    """
    async with services.database.write() as session:
        there = await page_of_suppressions(session, limit=1, email=query.email, reason=query.reason)
        if not there:
            raise not_found("suppression of this address for this reason")
        if query.reason is SuppressionReason.ERASED and not await _is_back(session, query.email, there[0].created_at):
            raise _erased()
        await unsuppress(session, query.email, query.reason)


def cursor_of(row: SuppressionRow) -> str:
    text = json.dumps([row.created_at.isoformat(), row.email_hash, row.reason])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(cursor: str) -> Position:
    """The inverse of `cursor_of`. Raises: ValueError for what that never made."""
    try:
        return Position(*_POSITION.validate_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))))
    except ValueError:
        raise ValueError("is no cursor of suppressions") from None


async def _is_back(session: AsyncSession, email: str, erased_at: datetime) -> bool:
    contact = await contact_by_email(session, email)
    words = await consent_record(session, contact.id) if contact else []
    return any(word.state == ConsentState.GRANTED and word.recorded_at > erased_at for word in words)


def _erased() -> ProblemError:
    return ProblemError(
        409,
        "erased",
        "Whoever had this address had themselves erased",
        "it is lifted only for somebody who has come back: record the consent that they have given since, first",
    )
