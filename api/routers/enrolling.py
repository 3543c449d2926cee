"""Putting a contact into a flow."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlmodel.ext.asyncio.session import AsyncSession

from api.acting import PersonIfSaid
from api.asked_people import require_people_to_ask
from api.consenting import Following, tell_following, with_triggered
from api.contact_request import ContactRequest, Kept
from api.content import require_json
from api.enrollment_view import EnrollmentView, as_enrolled, enrollment_url
from api.flow_settings import checked_settings
from api.openapi import exactly_one
from api.problems import ProblemError, answers, key_reused, not_found
from api.routers.flows import flow_named
from api.telling import tell
from api.wiring import Services, Wired
from domain.flows import FlowSettings
from domain.limits import JsonObject
from domain.people import Person
from store.enrollments import AlreadyActive, KeyReused, NotYetAgain, enroll, enrollment_by_key
from store.holds import began_held, is_held
from store.tables import ContactRow, EnrollmentRow
from workflows.discovery import FlowClass

router = APIRouter(prefix="/v1/flows", tags=["enrollments"])


class EnrollmentRequest(BaseModel):
    """Either `contact_id`, of a contact that is known, or `contact`, which is created or updated along with it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": exactly_one("contact_id", "contact"),
            "examples": [
                {"contact": {"email": "ada@example.com", "first_name": "Ada", "consent": {"product-news": True}}},
                {"contact_id": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11", "settings": {"hand_after": "P2D"}},
            ],
        },
    )

    contact_id: UUID | None = None
    contact: ContactRequest | None = None
    settings: JsonObject = Field(
        default_factory=dict,
        description="overrides of the flow's settings, as the flow's `settings_schema` has them; durations as P3D",
    )

    @model_validator(mode="after")
    def _one_contact(self) -> EnrollmentRequest:
        if (self.contact_id is None) == (self.contact is None):
            raise ValueError("give either contact_id or contact")
        return self

    async def keep_contact(self, session: AsyncSession, services: Services) -> Kept:
        """The contact, with what they agree to. Raises: ProblemError 404 for an unknown id, 422."""
        if self.contact is not None:
            return await self.contact.keep(session, services, "body", "contact")
        row = await session.get(ContactRow, str(self.contact_id))
        if row is None:
            raise not_found("contact with this id")
        return Kept(row, False, Following())

    def hash_for(self, flow: str) -> str:
        """Tells one request from another under the same idempotency key."""
        request = {"flow": flow, **self.model_dump(mode="json", exclude_unset=True)}
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]([ -~]{0,198}[!-~])?$",
        description="1 to 200 printable ASCII characters: a repeated request with the same key gets the same answer",
        examples=["signup-4711"],
    ),
]


@router.post(
    "/{flow}/enrollments",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        201: {"headers": {"Location": {"description": "the enrollment's address", "schema": {"type": "string"}}}},
        **answers(400, 404, 409, 415, 422),
    },
)
async def enroll_contact(
    flow: str,
    request: EnrollmentRequest,
    response: Response,
    services: Wired,
    asker: PersonIfSaid,
    idempotency_key: IdempotencyKey = None,
) -> EnrollmentView:
    """Enroll a contact in a flow. The contact is stored in the same transaction: a refusal changes nothing.

    A contact is in a flow once at a time; the flow says whether and when they may enter it again. Whoever enrolls them,
    as `Cauce-Person` says, does not decide on the approvals that the flow asks for, unless its settings let them.
    """
    chosen = flow_named(flow, services)
    settings = checked_settings(chosen, request.settings)
    try:
        stored = await _store(services, flow, chosen, request, settings, asker, idempotency_key)
    except (AlreadyActive, NotYetAgain, KeyReused) as refusal:
        services.metrics.enrollments.labels("refused").inc()
        raise _problem(refusal) from None
    row = stored.row
    services.metrics.enrollments.labels("enrolled" if stored.made else "repeated").inc()
    if row.status == "active" and row.started_at is None:
        held = stored.held if stored.made else None
        await tell(services.dispatcher.start(row, held=held), f"enrollment {row.id}")
    await tell_following(services, stored.following)
    response.headers["Location"] = enrollment_url(row.id)
    return as_enrolled(services, row, held=stored.held)


class _Stored(NamedTuple):
    """`made`: by this request; `held`: when it was made; `following` is of what the contact agrees to."""

    row: EnrollmentRow
    made: bool
    held: bool
    following: Following


async def _store(
    services: Services,
    flow: str,
    chosen: FlowClass,
    request: EnrollmentRequest,
    settings: FlowSettings,
    asker: Person | None,
    idempotency_key: str | None,
) -> _Stored:
    request_hash = request.hash_for(flow)
    async with services.database.write() as session:
        # Before the contact is touched: a repeated request changes nothing.
        known = await enrollment_by_key(session, flow, idempotency_key, request_hash)
        if known is not None:
            return _Stored(known, made=False, held=await began_held(session, known), following=Following())
        await require_people_to_ask(session, settings)
        kept = await request.keep_contact(session, services)
        row = await enroll(
            session,
            flow=flow,
            contact_id=kept.contact.id,
            settings=settings.model_dump(mode="json", exclude_unset=True),
            reenroll_after=chosen.about.reenroll_after,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
            requested_by=asker.id if asker else None,
            is_new=kept.created,
        )
        following = kept.following
        if request.contact is not None:
            following = await with_triggered(session, services, kept.contact, following)
        return _Stored(row, made=True, held=await is_held(session, row), following=following)


def _problem(refusal: AlreadyActive | NotYetAgain | KeyReused) -> ProblemError:
    if isinstance(refusal, AlreadyActive):
        url = enrollment_url(refusal.enrollment_id)
        return ProblemError(
            409,
            "already-active",
            "The contact is in this flow now",
            f"the active enrollment is {url}: cancel it first, or let it end",
            headers={"Location": url},
            enrollment=url,
            enrollment_id=refusal.enrollment_id,
        )
    if isinstance(refusal, NotYetAgain):
        until = refusal.until.strftime("%Y-%m-%dT%H:%M:%SZ") if refusal.until else None
        return ProblemError(
            409,
            "not-yet-again",
            "The contact was in this flow before",
            f"the flow lets them in again from {until}" if until else "the flow takes a contact once only",
            until=until,
        )
    return key_reused()
