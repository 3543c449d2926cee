"""The tables of people and of what they are asked: approvals, tasks, leads, and their answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import JSON, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from store.tables import moment, new_id, now, uuid


class PersonRow(SQLModel, table=True):
    __tablename__ = "people"

    id: str = uuid(default_factory=new_id, primary_key=True)
    email: str = Field(unique=True)
    name: str
    roles: list[str] = Field(default=[], sa_type=JSON)
    teams: list[str] = Field(default=[], sa_type=JSON)
    locale: str
    time_zone: str
    working_hours: dict[str, Any] = Field(default={}, sa_type=JSON)
    holidays: str | None = None
    absences: list[dict[str, Any]] = Field(default=[], sa_type=JSON)
    capacity: int | None = None
    weight: int = 1
    territories: list[str] = Field(default=[], sa_type=JSON)
    products: list[str] = Field(default=[], sa_type=JSON)
    languages: list[str] = Field(default=[], sa_type=JSON)
    active: bool = True
    created_at: datetime = moment(default_factory=now)
    updated_at: datetime = moment(default_factory=now)


class ApprovalRow(SQLModel, table=True):
    """One question of a step. Other content under the same step is another question."""

    __tablename__ = "approvals"
    __table_args__ = (
        UniqueConstraint("enrollment_id", "step", "content_hash"),
        Index("ix_approvals_status", "status", "id"),
        Index("ix_approvals_contact", "contact_id", "id"),
        Index("ix_approvals_flow", "flow"),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    enrollment_id: str = uuid(foreign_key="enrollments.id")
    contact_id: str = uuid(foreign_key="contacts.id")
    flow: str
    step: str
    subject: str
    content: dict[str, JsonValue] = Field(default={}, sa_type=JSON)
    content_hash: str
    stages: list[dict[str, Any]] = Field(default=[], sa_type=JSON)
    stage: int = Field(default=0, description="the one that is asked now, from 0")
    status: str = Field(default="pending", description="pending, approved, rejected, expired or withdrawn")
    created_at: datetime = moment(default_factory=now)
    expires_at: datetime | None = moment(default=None, nullable=True)
    closed_at: datetime | None = moment(default=None, nullable=True)


class ApprovalRequestRow(SQLModel, table=True):
    """Somebody who is asked in one stage of an approval. Its id is what a link in an email stands for."""

    __tablename__ = "approval_requests"
    __table_args__ = (
        UniqueConstraint("approval_id", "stage", "person_id"),
        Index("ix_approval_requests_person", "person_id", "id"),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    approval_id: str = uuid(foreign_key="approvals.id")
    stage: int
    person_id: str = uuid(foreign_key="people.id")
    role: str | None = Field(default=None, description="as what they are asked; null: by name")
    reason: str = Field(default="asked", description="asked, escalated or delegated")
    delegated_to: str | None = Field(default=None, sa_type=String(36), description="who answers in their place")
    created_at: datetime = moment(default_factory=now)


class TaskRow(SQLModel, table=True):
    """Something that a person has to do. Either a person or a role has it."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("enrollment_id", "step"),
        Index("ix_tasks_status", "status", "id"),
        Index("ix_tasks_contact", "contact_id", "id"),
        Index("ix_tasks_flow", "flow"),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    enrollment_id: str = uuid(foreign_key="enrollments.id")
    contact_id: str = uuid(foreign_key="contacts.id")
    flow: str
    step: str
    subject: str
    person_id: str | None = Field(default=None, sa_type=String(36))
    role: str | None = None
    due_at: datetime | None = moment(default=None, nullable=True)
    waited: bool = Field(default=True, description="whether the flow waits for it, and decides which answer counts")
    status: str = Field(default="open", description="open, done, overdue (nobody waits any more) or withdrawn")
    done_by: str | None = Field(default=None, sa_type=String(36))
    created_at: datetime = moment(default_factory=now)
    closed_at: datetime | None = moment(default=None, nullable=True)


class AssignmentRow(SQLModel, table=True):
    """One decision on a lead: offered to a rep or, with no `person_id`, put into the queue. `reasons` explains it."""

    __tablename__ = "assignments"
    __table_args__ = (
        UniqueConstraint("enrollment_id", "step", "number"),
        Index("ix_assignments_person", "person_id", "status"),
        Index("ix_assignments_status", "status", "id"),
        Index("ix_assignments_contact", "contact_id", "id"),
        Index("ix_assignments_flow", "flow"),
        Index(
            "ix_assignments_load",
            "person_id",
            sqlite_where=text("released_at IS NULL AND person_id IS NOT NULL"),
            postgresql_where=text("released_at IS NULL AND person_id IS NOT NULL"),
        ),
        Index(
            "ix_assignments_not_told",
            "id",
            sqlite_where=text("told_at IS NULL AND person_id IS NOT NULL"),
            postgresql_where=text("told_at IS NULL AND person_id IS NOT NULL"),
        ),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    enrollment_id: str = uuid(foreign_key="enrollments.id")
    contact_id: str = uuid(foreign_key="contacts.id")
    flow: str
    step: str
    number: int = Field(description="the how manieth decision on this lead, from 1")
    person_id: str | None = Field(default=None, sa_type=String(36))
    rule: str | None = None
    rules_version: int = Field(default=0, description="in force when it was decided; 0: before there were any")
    status: str = Field(
        description="offered, accepted, declined, lapsed (no answer in time), queued, drained or withdrawn"
    )
    reasons: list[dict[str, Any]] = Field(default=[], sa_type=JSON)
    respond_by: datetime | None = moment(
        default=None, nullable=True, description="null: the rep has not been written to, or is not to answer"
    )
    created_at: datetime = moment(default_factory=now)
    closed_at: datetime | None = moment(default=None, nullable=True)
    released_at: datetime | None = moment(
        default=None, nullable=True, description="since when it takes none of the rep's capacity"
    )
    told_at: datetime | None = moment(
        default=None, nullable=True, description="since when its run knows of it; null: it has just left the queue"
    )


class LeadRulesRow(SQLModel, table=True):
    """The assignment rules, in order. A change makes a new version; the highest counts."""

    __tablename__ = "lead_rules"

    version: int = Field(primary_key=True)
    rules: list[dict[str, Any]] = Field(default=[], sa_type=JSON)
    created_at: datetime = moment(default_factory=now)


class RuleShareRow(SQLModel, table=True):
    """What a person had of a rule's leads, as `domain.lead_strategies.Share`: what its strategy goes by."""

    __tablename__ = "rule_shares"

    rule: str = Field(primary_key=True)
    person_id: str = uuid(primary_key=True)
    given: int = 0
    latest: int = Field(default=0, description="the rule's count of leads when this person got theirs")
    owed: float = Field(default=0, description="of a lead, by weight; below zero, they were given more")


class AnswerRow(SQLModel, table=True):
    """What somebody answered to an approval, a task or a lead: kept before the flow is told of it."""

    __tablename__ = "answers"
    __table_args__ = (
        UniqueConstraint("question_id", "idempotency_key"),
        Index("ix_answers_question", "question_id", "id"),
    )

    id: str = uuid(default_factory=new_id, primary_key=True)
    question_id: str = uuid(description="of the approval, the task or the assignment")
    stage: int = Field(default=0, description="of an approval: the one that it is for, from 0")
    person_id: str = uuid(foreign_key="people.id")
    choice: str = Field(description="approve, reject, delegate, done, accept or decline")
    comment: str | None = None
    delegate_id: str | None = Field(default=None, sa_type=String(36))
    idempotency_key: str | None = None
    request_hash: str | None = None
    status: str = Field(default="given", description="given, taken (it counts) or refused")
    refusal: str | None = None
    created_at: datetime = moment(default_factory=now)
