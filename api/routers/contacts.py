"""Contacts: kept by address, read by id or address with what they agreed to, held and resumed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession

from api.consenting import tell_following, with_triggered
from api.contact_request import ContactRequest
from api.content import require_json
from api.problems import A_BEING_ERASED, answers, not_found
from api.telling import tell
from api.wiring import Services, Wired
from domain.consent import ConsentState
from domain.contacts import EmailAddress
from domain.suppressions import SuppressionReason
from store.consents import consent_of, consent_record
from store.contacts import contact_by_email
from store.enrollments import active_enrollments
from store.holds import Change, Scope, hold, open_holds, resume
from store.suppressions import suppressions_of
from store.tables import ContactRow

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])


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


class ConsentView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    topic: str = Field(examples=["product-news"])
    state: ConsentState
    source: str = Field(
        description="where they said so: api, confirmation or preferences (pages of ours), or a name of yours",
        examples=["confirmation"],
    )
    recorded_by: str = Field(
        description="who told us: contact (they did it on a page of ours) or api", examples=["contact"]
    )
    wording: str | None = Field(description="version of the text that they agreed to; null: not known", examples=["1"])
    purpose: str | None = Field(description="what that text said the emails are for")
    recorded_at: datetime = Field(description="when they said so")


class ConsentRecord(BaseModel):
    items: list[ConsentView]


class ContactQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailAddress = Field(examples=["ada@example.com"])


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        200: {"model": ContactView, "description": "The contact was known, and is updated"},
        **answers(400, A_BEING_ERASED, 415, 422),
    },
)
async def upsert_contact(contact: ContactRequest, response: Response, services: Wired) -> ContactView:
    """Create the contact, or update the one with this address.

    Attributes are merged by name, and one that is null is removed. Under double opt-in, what they are said to agree to
    is `requested` until they confirm it by the link in an email.
    """
    async with services.database.write() as session:
        row, created, following = await contact.keep(session, services, "body")
        following = await with_triggered(session, services, row, following)
        view = await _view(session, row)
    await tell_following(services, following)
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


@router.get("/{contact_id}/consent", responses=answers(404, 422))
async def read_consent(contact_id: UUID, services: Wired) -> ConsentRecord:
    """Everything that the contact agreed to or withdrew, as we were told of it: what they said last comes first.

    Of each topic, the first word here is the one that counts.
    """
    async with services.database.read() as session:
        if await session.get(ContactRow, str(contact_id)) is None:
            raise not_found("contact with this id")
        words = await consent_record(session, str(contact_id))
    return ConsentRecord(items=[ConsentView.model_validate(word) for word in words])


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
