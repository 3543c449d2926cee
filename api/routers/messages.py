"""The message ledger: what became of each message, and why, and what people do about doubts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.acting import PersonIfSaid
from api.content import require_json
from api.message_view import explained
from api.paging import Page, PageRequest, page_of
from api.problems import ProblemError, answers, not_found
from api.telling import tell
from api.wiring import Wired
from domain.deliveries import DeliveryKind, Sign
from domain.limits import Text
from domain.messages import MessageClass, MessageStatus, Settlement
from runtime.resending import start_resend
from store.ledger import deliveries_of, lock_message, settle_doubt
from store.ledger_tables import MessageRow
from store.listings import page_of_messages
from store.tables import EnrollmentRow

router = APIRouter(prefix="/v1/messages", tags=["messages"])

_NO_MESSAGE = not_found("message with this id")


class MessageView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    flow: str = Field(description="its flow, or `broadcast`", examples=["onboarding"])
    enrollment_id: str | None = Field(description="null: of a broadcast")
    broadcast_id: str | None
    contact_id: str
    step: str = Field(description="of a broadcast: its message", examples=["welcome"])
    variant: str | None = Field(description="of a broadcast that tests subjects")
    message: str | None = Field(description="its template; null: of mail to people of the team", examples=["welcome"])
    message_class: MessageClass | None
    topic: str | None = Field(examples=["onboarding"])
    status: MessageStatus
    subject: str | None = Field(examples=["Welcome, Ada"])
    provider: str | None = Field(examples=["sendgrid"])
    provider_message_id: str | None
    handovers: int = Field(description="how often it was handed to a provider")
    reason: str | None = Field(description="why it was skipped, deferred, rejected or doubted")
    deferred_until: datetime | None
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None


class DeliveryView(BaseModel):
    """What a provider told of a message."""

    model_config = ConfigDict(from_attributes=True)

    kind: DeliveryKind
    occurred_at: datetime
    received_at: datetime
    automated: Sign | None = Field(description="what tells that a machine opened or clicked; null: a person did")


class ExplainedMessage(MessageView):
    """A message, and why it is where it is."""

    explanation: list[str] = Field(
        description="sentences, in the order of what was judged",
        examples=[
            ["Marketing: needs consent to newsletter, which is granted.", "Sent by sendgrid at the first attempt."]
        ],
    )
    decision: dict[str, JsonValue] = Field(
        description="the latest decision with the inputs it had: consent, suppressions, frequency, hours"
    )
    attempts: list[dict[str, JsonValue]] = Field(description="what became of each handover, and who settled a doubt")
    deliveries: list[DeliveryView] = Field(description="oldest first")


class MessagesRequest(PageRequest):
    contact_id: UUID | None = None
    enrollment_id: UUID | None = None
    broadcast_id: UUID | None = None
    status: MessageStatus | None = None


class SettlementRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    outcome: Settlement = Field(
        description="sent: the provider has it; not_sent: it has it not, and it is not to be sent any more; resend: it "
        "has it not, and it is handed over once more, if the contact may still be written to"
    )
    note: Text | None = Field(default=None, description="how you know; nothing personal")


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
            broadcast_id=str(query.broadcast_id) if query.broadcast_id else None,
            status=query.status,
        )
    return page_of(rows, query.limit, MessageView.model_validate)


@router.get("/{message_id}", responses=answers(_NO_MESSAGE, 422))
async def read_message(message_id: UUID, services: Wired) -> ExplainedMessage:
    """One message, and why: the decision with the inputs it had, each attempt, and what the provider told of it."""
    async with services.database.read() as session:
        row = await session.get(MessageRow, str(message_id))
        if row is None:
            raise _NO_MESSAGE
        deliveries = await deliveries_of(session, row.id)
    return ExplainedMessage(
        **MessageView.model_validate(row).model_dump(),
        explanation=explained(row),
        decision=row.decision,
        attempts=row.attempts,
        deliveries=[DeliveryView.model_validate(each) for each in deliveries],
    )


@router.post(
    "/{message_id}/settle",
    dependencies=[Depends(require_json)],
    responses=answers(400, 403, _NO_MESSAGE, 409, 415, 422),
)
async def settle_message(
    message_id: UUID, request: SettlementRequest, person: PersonIfSaid, services: Wired
) -> MessageView:
    """Settle an unconfirmed message, of which nobody knew whether the provider has it.

    The same outcome twice is taken once. A message that is settled already, by an event of the provider too, is 409.
    """
    by = f"person {person.id}" if person else "api"
    async with services.database.write() as session:
        row = await lock_message(session, str(message_id))
        if row is None:
            raise _NO_MESSAGE
        if row.status != MessageStatus.UNCONFIRMED:
            if row.attempts and row.attempts[-1].get("outcome") == request.outcome:
                return MessageView.model_validate(row)
            raise _settled(row)
        if request.outcome is Settlement.RESEND:
            enrollment = await session.get(EnrollmentRow, row.enrollment_id) if row.enrollment_id else None
            left = enrollment.exit if enrollment and enrollment.exit != "completed" else None
            if row.message is None or left is not None:
                raise _not_again(row, left)
        settle_doubt(row, request.outcome, by, request.note)
        session.add(row)
        view = MessageView.model_validate(row)
    if request.outcome is Settlement.RESEND:
        await tell(start_resend(services.client, row), f"resend of message {row.id}")
    return view


def _settled(row: MessageRow) -> ProblemError:
    return ProblemError(
        409, "not-unconfirmed", "Nothing to settle", f"the message is {row.status}: only unconfirmed ones are settled"
    )


def _not_again(row: MessageRow, exit_: str | None) -> ProblemError:
    why = f"its enrollment ended: {exit_}" if row.message else "mail to people comes again by reminders"
    return ProblemError(409, "not-resent", "The message cannot be resent", f"{why}: settle it as sent or not_sent")
