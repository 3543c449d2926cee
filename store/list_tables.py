"""The tables of what works on many contacts at once: segments, triggers, imports, bulk enrollments, broadcasts."""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from store.tables import moment, new_id, now, uuid


class SegmentRow(SQLModel, table=True):
    """A predicate over contacts, as `domain.segments` has it."""

    __tablename__ = "segments"

    id: str = uuid(default_factory=new_id, primary_key=True)
    name: str = Field(unique=True)
    description: str = ""
    predicate: dict[str, JsonValue] = Field(sa_type=JSON)
    created_at: datetime = moment(default_factory=now)
    updated_at: datetime = moment(default_factory=now)


class SegmentMemberRow(SQLModel, table=True):
    """Who was in a segment when it was looked at last. Kept for segments alone that a trigger watches."""

    __tablename__ = "segment_members"
    __table_args__ = (Index("ix_segment_members_contact", "contact_id"),)

    segment_id: str = uuid(foreign_key="segments.id", ondelete="CASCADE", primary_key=True)
    contact_id: str = uuid(foreign_key="contacts.id", primary_key=True)
    since: datetime = moment(default_factory=now)


class WatchedSegmentRow(SQLModel, table=True):
    """A segment that a trigger watches, and how far what is known of its members holds."""

    __tablename__ = "watched_segments"

    segment_id: str = uuid(foreign_key="segments.id", ondelete="CASCADE", primary_key=True)
    predicate: dict[str, JsonValue] = Field(sa_type=JSON, description="by which its members are known")
    watching_since: datetime | None = moment(
        default=None, nullable=True, description="since when who is new has entered; null: its members are not known"
    )
    looked_at: datetime | None = moment(default=None, nullable=True, description="when all of it was looked at last")


class TriggerRow(SQLModel, table=True):
    """What enrolls contacts in a flow by itself, added by an operator beside those that the flow's code declares."""

    __tablename__ = "triggers"
    __table_args__ = (Index("ix_triggers_flow", "flow", "id"),)

    id: str = uuid(default_factory=new_id, primary_key=True)
    flow: str
    event: str | None = Field(default=None, description="null: it watches a segment")
    segment_id: str | None = Field(default=None, sa_type=String(36), foreign_key="segments.id")
    definition: dict[str, JsonValue] = Field(sa_type=JSON, description="as domain.triggers has it")
    active: bool = True
    created_at: datetime = moment(default_factory=now)
    updated_at: datetime = moment(default_factory=now)


class ImportRow(SQLModel, table=True):
    """The import of one file of contacts, and how far it has come."""

    __tablename__ = "imports"

    id: str = uuid(default_factory=new_id, primary_key=True)
    idempotency_key: str | None = Field(default=None, unique=True)
    name: str = Field(default="", description="of the file, as its sender calls it")
    dry_run: bool = False
    options: dict[str, JsonValue] = Field(default={}, sa_type=JSON, description="as its request has them")
    delimiter: str = Field(default=",", description="of its cells")
    columns: list[dict[str, JsonValue]] = Field(
        default=[], sa_type=JSON, description="of the file, in their order: name and target"
    )
    status: str = Field(default="running", description="running or finished")
    claim: str | None = Field(
        default=None, sa_type=String(36), description="of the upload that works on it: no other one may, meanwhile"
    )
    claimed_until: datetime | None = moment(
        default=None, nullable=True, description="the upload says so again and again, as long as it lives"
    )
    bytes_done: int = Field(
        default=0, sa_type=BigInteger, description="of the file: a resumed import goes on after them"
    )
    digest: str = Field(default="", description="SHA-256 of those bytes: that it is the same file that goes on")
    lines: int = Field(default=0, description="of the file, header and empty ones among them")
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    bad: int = 0
    created_at: datetime = moment(default_factory=now)
    updated_at: datetime = moment(default_factory=now)
    finished_at: datetime | None = moment(default=None, nullable=True)


class ImportFaultRow(SQLModel, table=True):
    """What is wrong in a line. Nothing that the line says is in it."""

    __tablename__ = "import_faults"

    import_id: str = uuid(foreign_key="imports.id", primary_key=True)
    line: int = Field(primary_key=True)
    number: int = Field(primary_key=True, description="of the faults of this line")
    column: str | None = None
    message: str


class ImportedContactRow(SQLModel, table=True):
    """Who was in an import."""

    __tablename__ = "imported_contacts"
    __table_args__ = (Index("ix_imported_contacts_contact", "contact_id"),)

    import_id: str = uuid(foreign_key="imports.id", primary_key=True)
    contact_id: str = uuid(foreign_key="contacts.id", primary_key=True)


class AudienceMemberRow(SQLModel, table=True):
    """Who a bulk enrollment or a broadcast is for, as it was when it began, in an order drawn by lot."""

    __tablename__ = "audience_members"
    __table_args__ = (
        UniqueConstraint("audience_id", "contact_id"),
        Index("ix_audience_members_contact", "contact_id"),
        Index(
            "ix_audience_members_refused",
            "audience_id",
            "position",
            sqlite_where=text("refused IS NOT NULL"),
            postgresql_where=text("refused IS NOT NULL"),
        ),
    )

    audience_id: str = uuid(primary_key=True)
    """The id of the bulk enrollment or broadcast."""
    position: int = Field(primary_key=True)
    contact_id: str = uuid(foreign_key="contacts.id")
    refused: str | None = Field(default=None, description="of a bulk enrollment: why they were not enrolled")


class BulkEnrollmentRow(SQLModel, table=True):
    """Many contacts enrolled in one flow, in stages if it has a pilot."""

    __tablename__ = "bulk_enrollments"
    __table_args__ = (
        UniqueConstraint("flow", "idempotency_key"),
        Index(
            "ix_bulk_enrollments_not_begun",
            "created_at",
            sqlite_where=text("begun_at IS NULL"),
            postgresql_where=text("begun_at IS NULL"),
        ),
        Index(
            "ix_bulk_enrollments_to_tell",
            "to_tell_since",
            sqlite_where=text("to_tell_since IS NOT NULL"),
            postgresql_where=text("to_tell_since IS NOT NULL"),
        ),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    flow: str
    source: dict[str, JsonValue] = Field(
        sa_type=JSON, description="as domain.audiences has it; of contacts by id only how many they were"
    )
    settings: dict[str, JsonValue] = Field(default={}, sa_type=JSON)
    pilot: dict[str, JsonValue] | None = Field(default=None, sa_type=JSON, nullable=True)
    per_second: float
    status: str = Field(description="one of domain.bulk_enrollments.JobStatus")
    reason: str | None = Field(default=None, description="why it was halted or cancelled")
    size: int | None = Field(default=None, description="of the audience; null: not counted yet")
    position: int = Field(default=0, description="how many of the audience were looked at")
    enrolled: int = 0
    refusals: dict[str, int] = Field(default={}, sa_type=JSON, description="how many were refused, by reason")
    stage: int = 0
    gates: list[dict[str, JsonValue]] = Field(
        default=[], sa_type=JSON, description="what each gate found, and who approved"
    )
    idempotency_key: str | None = None
    request_hash: str | None = None
    requested_by: str | None = Field(default=None, sa_type=String(36))
    schedule_id: str | None = Field(default=None, sa_type=String(36))
    created_at: datetime = moment(default_factory=now)
    begun_at: datetime | None = moment(default=None, nullable=True, description="when its workflow was started")
    to_tell_since: datetime | None = moment(
        default=None, nullable=True, description="when somebody changed it, which its workflow was not told of yet"
    )
    ended_at: datetime | None = moment(default=None, nullable=True)


class BroadcastRow(SQLModel, table=True):
    """One message to many contacts."""

    __tablename__ = "broadcasts"
    __table_args__ = (
        Index(
            "ix_broadcasts_not_begun",
            "created_at",
            sqlite_where=text("begun_at IS NULL"),
            postgresql_where=text("begun_at IS NULL"),
        ),
        Index(
            "ix_broadcasts_to_tell",
            "to_tell_since",
            sqlite_where=text("to_tell_since IS NOT NULL"),
            postgresql_where=text("to_tell_since IS NOT NULL"),
        ),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    name: str
    message: str = Field(description="its template: a folder of emails/broadcast/")
    source: dict[str, JsonValue] = Field(
        sa_type=JSON, description="as domain.audiences has it; of contacts by id only how many they were"
    )
    definition: dict[str, JsonValue] = Field(sa_type=JSON, description="as domain.broadcasts has it")
    status: str = Field(description="one of domain.broadcasts.BroadcastStatus")
    reason: str | None = Field(default=None, description="why it was held or cancelled, if no person did")
    size: int | None = Field(default=None, description="of the audience; null: not counted yet")
    winner: str | None = Field(default=None, description="the variant that the rest of the audience gets")
    idempotency_key: str | None = Field(default=None, unique=True)
    request_hash: str | None = None
    requested_by: str | None = Field(default=None, sa_type=String(36))
    schedule_id: str | None = Field(default=None, sa_type=String(36))
    created_at: datetime = moment(default_factory=now)
    begun_at: datetime | None = moment(default=None, nullable=True, description="when its workflow was started")
    to_tell_since: datetime | None = moment(
        default=None, nullable=True, description="when somebody changed it, which its workflow was not told of yet"
    )
    ended_at: datetime | None = moment(default=None, nullable=True)


class ScheduleRow(SQLModel, table=True):
    """A bulk enrollment or a broadcast that comes again and again."""

    __tablename__ = "schedules"

    id: str = uuid(default_factory=new_id, primary_key=True)
    name: str = Field(unique=True)
    kind: str = Field(description="bulk_enrollment or broadcast")
    job: dict[str, JsonValue] = Field(sa_type=JSON, description="what is asked for each time")
    recurrence: dict[str, JsonValue] = Field(sa_type=JSON, description="as domain.recurrence has it")
    paused: bool = False
    note: str | None = Field(default=None, description="of whoever paused it")
    pause_to_tell: bool = Field(
        default=True, description="Temporal is to take over `paused` and `note`; else they stay as they are there"
    )
    created_at: datetime = moment(default_factory=now)
    updated_at: datetime = moment(default_factory=now)
    told_at: datetime | None = moment(
        default=None, nullable=True, description="when Temporal was told of its latest change; null: not yet"
    )
    deleted_at: datetime | None = moment(default=None, nullable=True)
