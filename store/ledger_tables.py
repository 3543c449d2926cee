"""The tables of the ledger: each message, what became of it, and the providers that it was handed to."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import JsonValue
from sqlalchemy import JSON, Index, String, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel

from domain.deliveries import DeliveryKind, Sign
from domain.messages import MessageClass, MessageStatus
from store.tables import moment, month_of, new_id, now, uuid

_WHAT_CAME = ("status", "opened", "clicked", "machine_opened", "machine_clicked")
_WHY_NOT = text("entered_on IS NOT NULL AND status IN ('deferred', 'dropped', 'rejected', 'skipped', 'unconfirmed')")
_OF_BROADCAST_OPEN = text("broadcast_id IS NOT NULL AND status IN ('deferred', 'ready', 'sending')")
_REPORTED = (
    # Each has all that a report counts, in the order in which it is grouped: no row is read, and nothing sorted. With a
    # day in place of a moment most entries are alike: PostgreSQL keeps those but once.
    Index(
        "ix_messages_report",
        "flow",
        "step",
        "message",
        *_WHAT_CAME,
        "build",
        "month",
        "entered_on",
        sqlite_where=text("entered_on IS NOT NULL"),
        postgresql_where=text("entered_on IS NOT NULL"),
    ),
    Index(
        "ix_messages_why_not",
        "flow",
        "step",
        "status",
        "reason",
        "build",
        "month",
        "entered_on",
        sqlite_where=_WHY_NOT,
        postgresql_where=_WHY_NOT,
    ),
    Index(
        "ix_messages_broadcast",
        "broadcast_id",
        # PostgreSQL takes it in place of the unique key while it has no figures of a broadcast, which just began.
        "contact_id",
        "variant",
        *_WHAT_CAME,
        sqlite_where=text("broadcast_id IS NOT NULL"),
        postgresql_where=text("broadcast_id IS NOT NULL"),
    ),
)


class MessageRow(SQLModel, table=True):
    """The ledger: one row for each enrollment and step that sends, and for each contact of a broadcast."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("enrollment_id", "step", "month"),
        UniqueConstraint("broadcast_id", "contact_id", "month"),
        Index("ix_messages_contact", "contact_id", "id"),
        Index("ix_messages_status", "status", "id"),
        Index("ix_messages_handed_over", "contact_id", "handed_over_at"),
        *_REPORTED,
        Index(
            "ix_messages_broadcast_open",
            "broadcast_id",
            "deferred_until",
            sqlite_where=_OF_BROADCAST_OPEN,
            postgresql_where=_OF_BROADCAST_OPEN,
        ),
        Index(
            "ix_messages_resend_asked",
            "resend_asked_at",
            sqlite_where=text("resend_asked_at IS NOT NULL"),
            postgresql_where=text("resend_asked_at IS NOT NULL"),
        ),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    month: date = Field(
        default_factory=lambda: month_of(now()),
        description="the first day of the month, in UTC, in which its enrollment or broadcast was made",
    )
    flow: str
    enrollment_id: str | None = Field(default=None, sa_type=String(36), foreign_key="enrollments.id")
    broadcast_id: str | None = Field(default=None, sa_type=String(36), description="in place of an enrollment")
    contact_id: str = uuid(foreign_key="contacts.id")
    person_id: str | None = Field(
        default=None, sa_type=String(36), description="of the team, who gets it in place of the contact"
    )
    step: str
    entered_on: date | None = Field(
        default=None, description="the day, in UTC, on which the contact entered the flow; null: in no flow's report"
    )
    build: str | None = Field(default=None, description="as its enrollment has it")
    variant: str | None = Field(default=None, description="of a broadcast that tests subjects")
    message: str | None = Field(default=None, description="its template: a folder of the flow in emails/")
    message_class: MessageClass | None = Field(default=None, sa_type=String(16))
    topic: str | None = None
    status: MessageStatus = Field(sa_type=String(16))
    opened: bool = Field(default=False, sa_column_kwargs={"server_default": false()}, description="by a person")
    clicked: bool = Field(default=False, sa_column_kwargs={"server_default": false()}, description="by a person")
    machine_opened: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    machine_clicked: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    handovers: int = Field(
        default=0, description="how often it was handed to a provider: more than once only if it was surely not taken"
    )
    subject: str | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    reason: str | None = None
    created_at: datetime = moment(default_factory=now)
    updated_at: datetime = moment(default_factory=now)
    deferred_until: datetime | None = moment(default=None, nullable=True)
    handed_over_at: datetime | None = moment(
        default=None, nullable=True, description="last; null while no provider can have it: what frequency caps count"
    )
    sent_at: datetime | None = moment(default=None, nullable=True)
    resend_asked_at: datetime | None = moment(
        default=None, nullable=True, description="when a doubt about it was settled by having it handed over once more"
    )
    decision: dict[str, JsonValue] = Field(
        default={},
        sa_type=JSON,
        sa_column_kwargs={"server_default": "{}"},
        description="the latest decision with the inputs it had",
    )
    attempts: list[dict[str, JsonValue]] = Field(
        default=[],
        sa_type=JSON,
        sa_column_kwargs={"server_default": "[]"},
        description="what became of each handover, and who settled it",
    )


class DeliveryEventRow(SQLModel, table=True):
    """What a provider told of a message, as it told it, and what that means in our words. Kept whatever it is."""

    __tablename__ = "delivery_events"
    __table_args__ = (Index("ix_delivery_events_message", "message_id", "occurred_at"),)

    id: str = Field(primary_key=True, description="provider:its id of the event; of one without, a digest of it")
    provider: str
    message_id: str | None = Field(default=None, sa_type=String(36), description="null: it names no message of ours")
    kind: DeliveryKind = Field(sa_type=String(16))
    occurred_at: datetime = moment()
    received_at: datetime = moment(default_factory=now)
    url: str | None = Field(default=None, description="of a click: where the link leads")
    reason: str | None = Field(default=None, description="why the message did not arrive; nothing personal")
    automated: Sign | None = Field(
        default=None, sa_type=String(16), description="what tells that a machine opened or clicked; null: a person did"
    )
    raw: JsonValue = Field(
        default=None, sa_type=JSON, description="as it came; of one that names no message of ours, nothing personal"
    )


class ProviderRow(SQLModel, table=True):
    """How a provider fares, for all workers."""

    __tablename__ = "providers"

    name: str = Field(primary_key=True)
    circuit: dict[str, JsonValue] = Field(default={}, sa_type=JSON)
