"""Contacts: kept by address, read by id or address, held and resumed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool
from sqlmodel.ext.asyncio.session import AsyncSession

from api.content import require_json
from api.problems import answers, invalid_request, not_found
from api.telling import tell
from api.wiring import Services, Wired
from domain.consent import ConsentState
from domain.contacts import ContactProfile, EmailAddress, Topic
from domain.limits import MAX_OBJECT_CHARACTERS
from domain.suppressions import SuppressionReason
from store import contacts
from store.consents import consent_of
from store.contacts import TooManyAttributes, Upserted, contact_by_email
from store.enrollments import active_enrollments
from store.holds import Change, Scope, hold, open_holds, resume
from store.suppressions import suppressions_of
from store.tables import ContactRow

CONSENT_SOURCE = "api"

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])


class ContactRequest(ContactProfile):
    """A contact as an integrator knows them. Of a contact that is known, only what is given here changes."""

    consent: Annotated[dict[Topic, StrictBool], Field(max_length=50)] = Field(
        default_factory=dict,
        description="by topic, whether they agreed to get email about it; topics left out stay as they are",
        examples=[{"product-news": True}],
    )

    async def keep(self, session: AsyncSession) -> Upserted:
        """Insert or update the contact, within the caller's transaction. Raises: ProblemError 422."""
        profile = ContactProfile.model_validate(self.model_dump(exclude={"consent"}, exclude_unset=True))
        try:
            return await contacts.upsert_contact(session, profile, self.consent, CONSENT_SOURCE)
        except TooManyAttributes:
            message = f"with those that the contact has, more than {MAX_OBJECT_CHARACTERS} characters"
            raise invalid_request([{"loc": ("body", "attributes"), "msg": message}]) from None


class ContactView(BaseModel):
    id: str = Field(examples=["0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"])
    email: str = Field(examples=["ada@example.com"])
    first_name: str = Field(examples=["Ada"])
    last_name: str = Field(examples=["Lovelace"])
    locale: str = Field(examples=["es-CL"])
    time_zone: str | None = Field(examples=["America/Santiago"])
    country: str | None = Field(examples=["CL"])
    region: str | None = Field(examples=["Valparaíso"])
    company: str | None = Field(examples=["Analytical Engines"])
    lifecycle_stage: str | None = Field(description="as flows have set it", examples=["customer"])
    score: int = Field(description="as flows have added to it", examples=[40])
    owner_id: str | None = Field(description="id of the person who owns the lead")
    attributes: dict[str, JsonValue] = Field(examples=[{"plan": "team", "seats": 12}])
    consent: dict[str, ConsentState] = Field(
        description="their latest word by topic", examples=[{"product-news": "granted"}]
    )
    suppressed: list[SuppressionReason] = Field(description="why the address is not written to")
    held: bool = Field(description="none of their enrollments starts anything: hold and resume change it")
    created_at: datetime
    updated_at: datetime


class ContactQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailAddress = Field(examples=["ada@example.com"])


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        200: {"model": ContactView, "description": "The contact was known, and is updated"},
        **answers(400, 415, 422),
    },
)
async def upsert_contact(contact: ContactRequest, response: Response, services: Wired) -> ContactView:
    """Create the contact, or update the one with this address.

    Attributes are merged by name, and one that is null is removed.
    """
    async with services.database.write() as session:
        row, created = await contact.keep(session)
        view = await _view(session, row)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/v1/contacts/{row.id}"
    return view


@router.get("", responses=answers(404, 422))
async def find_contact(query: Annotated[ContactQuery, Query()], services: Wired) -> ContactView:
    """The contact with this address."""
    async with services.database.read() as session:
        row = await contact_by_email(session, query.email)
        if row is None:
            raise not_found("contact with this address")
        return await _view(session, row)


@router.get("/{contact_id}", responses=answers(404, 422))
async def read_contact(contact_id: UUID, services: Wired) -> ContactView:
    """One contact."""
    async with services.database.read() as session:
        row = await session.get(ContactRow, str(contact_id))
        if row is None:
            raise not_found("contact with this id")
        return await _view(session, row)


@router.post("/{contact_id}/hold", status_code=202, responses=answers(404, 422))
async def hold_contact(contact_id: UUID, services: Wired) -> ContactView:
    """Hold a contact in every flow, those that they enter later too. Exits still work. Twice changes nothing."""
    return await _change(services, contact_id, hold)


@router.post("/{contact_id}/resume", status_code=202, responses=answers(404, 422))
async def resume_contact(contact_id: UUID, services: Wired) -> ContactView:
    """Lift the hold of a contact. What is held by itself, or with its whole flow, stays held."""
    return await _change(services, contact_id, resume)


async def _change(services: Services, contact_id: UUID, change: Change) -> ContactView:
    async with services.database.write() as session:
        row = await session.get(ContactRow, str(contact_id))
        if row is None:
            raise not_found("contact with this id")
        await change(session, Scope.CONTACT, row.id)
        enrolled = await active_enrollments(session, row.id)
        view = await _view(session, row)
    await tell(services.dispatcher.tell_holds(enrolled), f"hold of contact {row.id}")
    return view


async def _view(session: AsyncSession, row: ContactRow) -> ContactView:
    return ContactView(
        **row.model_dump(),
        consent=await consent_of(session, row.id),
        suppressed=sorted(await suppressions_of(session, row.email)),
        held=bool(await open_holds(session, Scope.CONTACT, [row.id])),
    )
