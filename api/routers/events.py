"""Events: what contacts do, as other systems report it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlmodel.ext.asyncio.session import AsyncSession

from api.content import require_json
from api.moments import PastMoment
from api.openapi import exactly_one
from api.problems import A_BEING_ERASED, ProblemError, answers, not_found
from api.telling import tell
from api.triggering import tell_triggered, triggered_by
from api.wiring import Wired
from domain.contacts import EmailAddress
from domain.event_names import EventName
from domain.events import ERASED
from domain.limits import JsonObject
from store.contacts import contact_by_email
from store.erasures import require_no_erasure
from store.events import record_event
from store.tables import ContactRow, EnrollmentRow, EventRow, new_id, now

router = APIRouter(prefix="/v1/events", tags=["events"])


def _not_ours(name: str) -> str:
    if name == ERASED:
        raise ValueError("is Cauce's own: DELETE /v1/contacts/{contact_id} erases a contact")
    return name


class EventRequest(BaseModel):
    """Something that happened to a contact, named by `contact_id` or by `email`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": exactly_one("contact_id", "email"),
            "examples": [
                {"email": "ada@example.com", "name": "activated", "id": "crm-4711"},
                {
                    "contact_id": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11",
                    "name": "bought",
                    "occurred_at": "2026-11-23T09:30:00Z",
                    "properties": {"amount_cents": 12990, "currency": "CLP"},
                },
            ],
        },
    )

    contact_id: UUID | None = None
    email: EmailAddress | None = None
    name: Annotated[EventName, AfterValidator(_not_ours)]
    id: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] = Field(
        default_factory=new_id, description="the sender's own: an id that came before changes nothing"
    )
    occurred_at: PastMoment = Field(default_factory=now, description="with a time zone; default: now")
    properties: JsonObject = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_contact(self) -> EventRequest:
        if (self.contact_id is None) == (self.email is None):
            raise ValueError("give either contact_id or email")
        return self

    async def contact_row(self, session: AsyncSession) -> ContactRow:
        """Raises: ProblemError 404."""
        if self.email is not None:
            row = await contact_by_email(session, self.email)
        else:
            row = await session.get(ContactRow, str(self.contact_id))
        if row is None:
            raise not_found("contact with this id or address")
        return row


class EventTaken(BaseModel):
    id: str = Field(examples=["crm-4711"])


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(require_json)],
    responses=answers(400, 404, A_BEING_ERASED, 415, 422),
)
async def take_event(event: EventRequest, services: Wired) -> EventTaken:
    """Take an event: it is stored now, and told to each of the contact's enrollments that waits for it.

    Triggers that it sets off enroll the contact at once; the enrollment that it begins is not told of it.
    `unsubscribed`, `bounced` and `complained` end all of the contact's enrollments, and suppress the address.
    """
    triggered: list[EnrollmentRow] = []
    async with services.database.write() as session:
        contact = await event.contact_row(session)
        await require_no_erasure(session, contact.id)
        row = EventRow(
            id=event.id,
            contact_id=contact.id,
            name=event.name,
            occurred_at=event.occurred_at,
            properties=event.properties,
        )
        new = await record_event(session, contact, row)
        first = row if new else await session.get_one(EventRow, event.id)
        if new:
            triggered = await triggered_by(session, services, contact, row)
    if (first.contact_id, first.name) != (row.contact_id, row.name):
        raise _reused()
    services.metrics.events.labels("recorded" if new else "repeated").inc()
    if new:
        await tell(services.dispatcher.deliver(row), f"event of contact {row.contact_id}")
    await tell_triggered(services, triggered)
    return EventTaken(id=row.id)


def _reused() -> ProblemError:
    return ProblemError(
        422,
        "event-id-reused",
        "The event id came before with another event",
        "body.id: make an id for each new event",
        errors=[{"field": "body.id", "message": "came before, for another contact or name"}],
    )
