"""The tables. Everything that is listed, counted or searched is here; where each enrollment is, is in Temporal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from typing import Any

import uuid_utils
from pydantic import JsonValue
from sqlalchemy import JSON, DateTime, Dialect, Index, String, TypeDecorator, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from domain.consent import ConsentState
from domain.suppressions import SuppressionReason


class UtcDateTime(TypeDecorator[datetime]):
    """Aware in, aware out, in UTC: SQLite itself forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: store aware datetimes")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value if value is None else value.astimezone(UTC)
        return value.replace(tzinfo=UTC)


def new_id() -> str:
    """A UUID of version 7: ids sort by the time they were made."""
    return str(uuid_utils.uuid7())


_clock: ContextVar[Callable[[], datetime] | None] = ContextVar("cauce_clock", default=None)


def now() -> datetime:
    """In UTC: the machine's time, except within `on_clock`."""
    clock = _clock.get()
    return clock() if clock else datetime.now(UTC)


def day_of(moment: datetime) -> date:
    """The day of an aware moment, in UTC."""
    return moment.astimezone(UTC).date()


def month_of(moment: datetime) -> date:
    """The first day of the month of an aware moment, in UTC."""
    return day_of(moment).replace(day=1)


@contextmanager
def on_clock(clock: Callable[[], datetime]) -> Iterator[None]:
    """Let `now` tell another time in this block, and in tasks begun in it: in a rehearsal, days pass in no time."""
    before = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(before)


def moment(**options: Any) -> Any:
    return Field(sa_type=UtcDateTime, **options)


def uuid(**options: Any) -> Any:
    return Field(sa_type=String(36), **options)


class ContactRow(SQLModel, table=True):
    __tablename__ = "contacts"

    id: str = uuid(default_factory=new_id, primary_key=True)
    email: str = Field(unique=True)
    first_name: str = ""
    last_name: str = ""
    locale: str
    time_zone: str | None = Field(default=None, description="null: not known")
    country: str | None = None
    region: str | None = None
    company: str | None = None
    lifecycle_stage: str | None = None
    score: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    owner_id: str | None = Field(default=None, sa_type=String(36), description="the person who owns the lead")
    attributes: dict[str, JsonValue] = Field(default={}, sa_type=JSON)
    created_at: datetime = moment(default_factory=now)
    updated_at: datetime = moment(default_factory=now)


class ConsentRow(SQLModel, table=True):
    """One word of a contact on one topic. Rows are only added: the latest counts, the others prove what was when."""

    __tablename__ = "consents"
    __table_args__ = (Index("ix_consents_contact_topic", "contact_id", "topic", "id"),)

    id: str = uuid(default_factory=new_id, primary_key=True)
    contact_id: str = uuid(foreign_key="contacts.id")
    topic: str
    state: ConsentState = Field(sa_type=String(16))
    source: str = Field(description="where it was given: api, preferences, confirmation, a form's name")
    recorded_by: str = Field(description="who told us: contact, api, or a provider's name")
    wording: str | None = Field(default=None, description="version of the text that they agreed to")
    purpose: str | None = Field(default=None, description="what that text said the emails are for")
    recorded_at: datetime = moment(default_factory=now)


class SuppressionRow(SQLModel, table=True):
    """An address that is not written to. Only its keyed hash is kept, so that it outlives the contact's erasure."""

    __tablename__ = "suppressions"
    __table_args__ = (
        Index("ix_suppressions_newest", "created_at", "email_hash"),
        Index("ix_suppressions_contact", "contact_id"),
    )

    email_hash: str = Field(primary_key=True)
    reason: SuppressionReason = Field(primary_key=True, sa_type=String(16))
    source: str = Field(description="event, api, or whatever had it suppressed")
    contact_id: str | None = Field(
        default=None,
        sa_type=String(36),
        foreign_key="contacts.id",
        ondelete="SET NULL",
        description="who has the address now, if anybody is known to",
    )
    note: str | None = Field(default=None, description="of whoever suppressed it by hand; nothing personal")
    created_at: datetime = moment(default_factory=now)


class EnrollmentRow(SQLModel, table=True):
    __tablename__ = "enrollments"
    __table_args__ = (
        UniqueConstraint("flow", "idempotency_key"),
        Index(
            "ux_enrollments_active",
            "flow",
            "contact_id",
            unique=True,
            sqlite_where=text("status = 'active'"),
            postgresql_where=text("status = 'active'"),
        ),
        Index("ix_enrollments_contact", "contact_id", "id"),
        Index("ix_enrollments_status", "status", "id"),
        Index("ix_enrollments_report", "flow", "exit", "last_step", "build", "created_at", "ended_at"),
        Index(
            "ix_enrollments_bulk",
            "bulk_id",
            "started_at",
            sqlite_where=text("bulk_id IS NOT NULL"),
            postgresql_where=text("bulk_id IS NOT NULL"),
        ),
        Index(
            "ix_enrollments_replacing",
            "replacing_since",
            sqlite_where=text("replacing_since IS NOT NULL"),
            postgresql_where=text("replacing_since IS NOT NULL"),
        ),
        Index(
            "ix_enrollments_held",
            "held_since",
            sqlite_where=text("held_since IS NOT NULL"),
            postgresql_where=text("held_since IS NOT NULL"),
        ),
        Index(
            "ix_enrollments_hold_asked",
            "hold_asked_at",
            sqlite_where=text("hold_asked_at IS NOT NULL"),
            postgresql_where=text("hold_asked_at IS NOT NULL"),
        ),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    flow: str
    contact_id: str = uuid(foreign_key="contacts.id")
    settings: dict[str, JsonValue] = Field(default={}, sa_type=JSON)
    status: str = Field(default="active", description="active or ended")
    idempotency_key: str | None = None
    request_hash: str | None = None
    created_at: datetime = moment(default_factory=now)
    started_at: datetime | None = moment(default=None, nullable=True)
    cancel_requested_at: datetime | None = moment(default=None, nullable=True)
    cancel_told_at: datetime | None = moment(default=None, nullable=True)
    ended_at: datetime | None = moment(default=None, nullable=True)
    exit: str | None = None
    exit_reason: str | None = None
    last_step: str | None = None
    build: str | None = Field(
        default=None, description="of the flow's code, that it began on; null until its run has told it"
    )
    skipped_steps: list[str] = Field(
        default=[],
        sa_type=JSON,
        sa_column_kwargs={"server_default": "[]"},
        description="when it ended: inserted by edits where the contact had passed",
    )
    replacing_since: datetime | None = moment(
        default=None, nullable=True, description="what was told to its run since then may have to be told to a new run"
    )
    origin: str = Field(
        default="api",
        sa_column_kwargs={"server_default": "api"},
        description="api, hand-over, goal, schedule, bulk or trigger",
    )
    bulk_id: str | None = Field(default=None, sa_type=String(36), description="the bulk enrollment that it is part of")
    requested_by: str | None = Field(
        default=None, sa_type=String(36), description="the person of the team who had the contact enrolled"
    )
    came_from: str | None = Field(
        default=None, sa_type=String(36), description="the enrollment that handed the contact over"
    )
    held_since: datetime | None = moment(
        default=None, nullable=True, description="when its run answered that it holds; null: it was told of no hold"
    )
    hold_asked_at: datetime | None = moment(
        default=None, nullable=True, description="when its run was told to hold or to resume, and has not answered yet"
    )


class HoldRow(SQLModel, table=True):
    """One enrollment, one contact or a whole flow held, from one moment to another."""

    __tablename__ = "holds"
    __table_args__ = (
        Index(
            "ux_holds_open",
            "scope",
            "target",
            unique=True,
            sqlite_where=text("resumed_at IS NULL"),
            postgresql_where=text("resumed_at IS NULL"),
        ),
        Index("ix_holds_target", "scope", "target"),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    scope: str = Field(description="enrollment, contact or flow")
    target: str = Field(description="the enrollment's or contact's id, or the flow's name")
    held_at: datetime = moment(default_factory=now)
    resumed_at: datetime | None = moment(default=None, nullable=True)


class CrmChangeRow(SQLModel, table=True):
    """What a step changed of a contact: one row for each enrollment and step, so that a retry applies once."""

    __tablename__ = "crm_changes"
    __table_args__ = (
        UniqueConstraint("enrollment_id", "step"),
        Index("ix_crm_changes_contact", "contact_id", "id"),
        Index(
            "ix_crm_changes_owed",
            "id",
            sqlite_where=text("mirror = 'owed'"),
            postgresql_where=text("mirror = 'owed'"),
        ),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    enrollment_id: str = uuid(foreign_key="enrollments.id")
    contact_id: str = uuid(foreign_key="contacts.id")
    step: str
    kind: str = Field(description="fields, lifecycle, score, owner, note, sunset or, of no change, hand_over")
    change: dict[str, JsonValue] = Field(default={}, sa_type=JSON)
    result: dict[str, JsonValue] = Field(default={}, sa_type=JSON)
    refusal: str | None = Field(default=None, description="why nothing was changed")
    mirror: str | None = Field(default=None, description="owed, told or refused; null: there is none")
    mirror_refusal: str | None = None
    created_at: datetime = moment(default_factory=now)
    lifted_at: datetime | None = moment(
        default=None, nullable=True, description="of a sunset: since when there is marketing again, for they acted"
    )


class EventRow(SQLModel, table=True):
    """Something that happened to a contact. `id` is the sender's, or ours if they gave none."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_contact", "contact_id", "received_at"),
        Index("ix_events_happened", "contact_id", "occurred_at", "id"),
        # By name first: it answers for one contact as well, and for all of them it reads the events of this name alone.
        Index("ix_events_named", "name", "contact_id", "occurred_at"),
        Index(
            "ix_events_undelivered",
            "received_at",
            sqlite_where=text("delivered_at IS NULL"),
            postgresql_where=text("delivered_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    contact_id: str = uuid(foreign_key="contacts.id")
    name: str
    occurred_at: datetime = moment()
    properties: dict[str, JsonValue] = Field(default={}, sa_type=JSON)
    received_at: datetime = moment(default_factory=now)
    delivered_at: datetime | None = moment(default=None, nullable=True)


class ErasureRow(SQLModel, table=True):
    """The erasure of one contact: what is to be done, and afterwards the certificate. No personal data in it."""

    __tablename__ = "erasures"

    id: str = uuid(default_factory=new_id, primary_key=True)
    contact_id: str | None = Field(
        default=None, sa_type=String(36), unique=True, description="null as soon as all is erased"
    )
    email_hash: str = Field(description="keyed, as in suppressions")
    requested_by: str = Field(description="api, or the id of the person of the team who asked for it")
    requested_at: datetime = moment(default_factory=now)
    begun_at: datetime | None = moment(default=None, nullable=True, description="when its workflow was started last")
    finished_at: datetime | None = moment(default=None, nullable=True)
    done: dict[str, JsonValue] = Field(
        default={}, sa_type=JSON, description="what was done so far, as domain.erasure.Certificate"
    )
