"""Webhooks: what vendors tell of messages. It is stored first, then told to the flows that listen."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, Field

from api.content import require_json
from api.problems import ProblemError, answers
from api.security import bearer_scheme, require_key
from api.telling import tell
from api.triggering import tell_triggered
from api.wiring import Services, Wired
from domain.deliveries import DeliveryEvent, DeliveryKind
from integrations.sendgrid.events import read_events
from integrations.sendgrid.webhook_key import SIGNATURE_HEADER, TIMESTAMP_HEADER
from store.deliveries import in_chunks, keep_deliveries
from store.tables import EnrollmentRow, EventRow, now

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

MAX_BODY_BYTES = 10_000_000
"""SendGrid sends up to 768 kilobytes at once."""
_ANY_BODY = {
    "requestBody": {
        "description": "an array of events, as SendGrid's Event Webhook Reference has them; anything else is junk",
        "content": {"application/json": {"schema": {}}},
    }
}


class EventsTaken(BaseModel):
    received: int
    new: int
    duplicates: int = Field(description="known before, or twice in this request")
    unknown: int = Field(description="of those received: of a type that Cauce has no word for")
    junk: int = Field(description="of those received: nothing that can be read as an event")


async def trusted_body(
    request: Request, services: Wired, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)]
) -> bytes:
    """The body as it came, if SendGrid signed it or, while no webhook key is set, if its sender has an API key.

    Raises: ProblemError 401, 403 or 415.
    """
    key, headers = services.sendgrid_key, request.headers
    if key is None:
        await require_key(request, services, bearer)
        await require_json(request)
        return await request.body()
    timestamp, signature = headers.get(TIMESTAMP_HEADER), headers.get(SIGNATURE_HEADER)
    if timestamp is None or signature is None:
        raise _unsigned()
    body = await request.body()
    if not key.signed(body, timestamp=timestamp, signature=signature):
        raise _unsigned()
    return body


@router.post("/sendgrid", status_code=202, openapi_extra=_ANY_BODY, responses=answers(401, 415))
async def take_sendgrid_events(
    body: Annotated[bytes, Depends(trusted_body)], services: Wired, afterwards: BackgroundTasks
) -> EventsTaken:
    """Take events of SendGrid's event webhook, a JSON array of any length, in any order, as often as it repeats them.

    Signed by SendGrid where `CAUCE_SENDGRID_WEBHOOK_KEY` is set, and then it needs no API key. Whatever is in the body
    is kept: SendGrid would only repeat for a day what is refused.
    """
    received = await asyncio.to_thread(read_events, body, now())
    new, to_tell, triggered = await _keep(services, received)
    _count(services, received, new)
    if to_tell:
        afterwards.add_task(_tell, services, to_tell)
    if triggered:
        afterwards.add_task(tell_triggered, services, triggered)
    kinds = Counter(event.kind for event in received)
    return EventsTaken(
        received=len(received),
        new=len(new),
        duplicates=len(received) - len(new),
        unknown=kinds[DeliveryKind.UNKNOWN],
        junk=kinds[DeliveryKind.JUNK],
    )


async def _keep(
    services: Services, received: list[DeliveryEvent]
) -> tuple[list[DeliveryEvent], list[EventRow], list[EnrollmentRow]]:
    """What was kept stays kept if a later chunk fails: SendGrid repeats all of it, and the sweep tells the flows."""
    flows = {name: flow.about for name, flow in services.flows.items()}
    new: list[DeliveryEvent] = []
    to_tell: list[EventRow] = []
    triggered: list[EnrollmentRow] = []
    for chunk in in_chunks(received):
        async with services.database.write() as session:
            kept = await keep_deliveries(session, chunk, flows, count_automated=services.settings.count_automated)
        new += kept.new
        to_tell += kept.to_tell
        triggered += kept.triggered
    return new, to_tell, triggered


async def _tell(services: Services, events: list[EventRow]) -> None:
    await tell(services.dispatcher.deliver_many(events), f"{len(events)} events of SendGrid's webhook")


def _count(services: Services, received: list[DeliveryEvent], new: list[DeliveryEvent]) -> None:
    recorded = Counter(event.kind for event in new)
    for kind, count in Counter(event.kind for event in received).items():
        services.metrics.delivery_events.labels(kind, "recorded").inc(recorded[kind])
        services.metrics.delivery_events.labels(kind, "repeated").inc(count - recorded[kind])


def _unsigned() -> ProblemError:
    return ProblemError(
        401,
        "not-signed",
        "The request is not signed by SendGrid",
        "CAUCE_SENDGRID_WEBHOOK_KEY has to be the verification key that SendGrid shows for this webhook",
        headers={"WWW-Authenticate": "Signature"},
    )
