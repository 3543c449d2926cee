"""Where a contact's timeline comes from: which moments of which rows are told, and how they are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import JsonValue
from sqlalchemy import String, and_, case, cast, func, not_, or_, union_all
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlmodel import SQLModel, col, select

from domain.deliveries import DeliveryKind
from store import timeline_texts as texts
from store.crm import HAND_OVER
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow, AssignmentRow, TaskRow
from store.tables import ConsentRow, ContactRow, CrmChangeRow, EnrollmentRow, EventRow, HoldRow, SuppressionRow
from store.timeline_texts import Known

Column: TypeAlias = SQLCoreOperations[Any]

_BY_HAND = cast(col(AssignmentRow.reasons), String).contains('"verdict": "by_hand"', autoescape=True)
"""A lead that a manager gave: nobody has to accept it."""


@dataclass(frozen=True)
class Who:
    """The contact whose timeline it is, the flows of their enrollments by id, and what their address is kept under."""

    contact: ContactRow
    enrollments: Mapping[str, str]
    email_hashes: Sequence[str]

    def owns(self, table: Any) -> Column:
        return col(table.contact_id) == self.contact.id


@dataclass(frozen=True)
class Source:
    """Moments of one kind in the rows of one table. With a `variety`, the kind of an entry is `kind.variety`.

    `of` finds the contact's rows, by `contact_id` if it is not given. `details` are what programs may want besides.
    """

    kind: str
    table: type[SQLModel]
    at: Column
    tell: Callable[[Any, Known], str]
    variety: Column | None = None
    of: Callable[[Who], Column] | None = None
    details: Callable[[Any], dict[str, JsonValue]] = lambda _row: {}

    @property
    def name(self) -> str:
        """Of this source alone."""
        return self.tell.__name__

    @property
    def key(self) -> Column:
        """Unique among the contact's rows."""
        table: Any = self.table
        return col(SuppressionRow.reason) if table is SuppressionRow else col(table.id)

    def rows_of(self, who: Who) -> Column:
        return self.of(who) if self.of else who.owns(self.table)


def _questions(who: Who) -> Column:
    """Answers to approvals; those to tasks and leads only if they do not count: else the task or lead tells of them."""
    approvals = select(ApprovalRow.id).where(who.owns(ApprovalRow))
    others = union_all(
        select(TaskRow.id).where(who.owns(TaskRow)), select(AssignmentRow.id).where(who.owns(AssignmentRow))
    )
    question = col(AnswerRow.question_id)
    return or_(
        question.in_(approvals), and_(question.in_(select(others.subquery().c.id)), col(AnswerRow.status) != "taken")
    )


def _requests(who: Who) -> Column:
    approvals = select(ApprovalRow.id).where(who.owns(ApprovalRow))
    request = col(ApprovalRequestRow.approval_id).in_(approvals)
    return and_(request, col(ApprovalRequestRow.reason).in_(("escalated", "delegated")))


def _holds(moment: Column) -> Callable[[Who], Column]:
    """Holds of the contact, of their enrollments, and of flows in which the contact was at the moment of the hold."""

    def of(who: Who) -> Column:
        was_in_it = (
            select(EnrollmentRow.id)
            .where(
                who.owns(EnrollmentRow),
                EnrollmentRow.flow == HoldRow.target,
                col(EnrollmentRow.created_at) <= moment,
                or_(col(EnrollmentRow.ended_at).is_(None), col(EnrollmentRow.ended_at) >= moment),
            )
            .correlate(HoldRow)
            .exists()
        )
        scope, target = col(HoldRow.scope), col(HoldRow.target)
        return or_(
            and_(scope == "contact", target == who.contact.id),
            and_(scope == "enrollment", target.in_(who.enrollments)),
            and_(scope == "flow", target.in_(sorted(set(who.enrollments.values()))), was_in_it),
        )

    return of


def _began_held(who: Who) -> Column:
    """Enrollments in a flow that was held when they began."""
    held = (
        select(HoldRow.id)
        .where(
            HoldRow.scope == "flow",
            HoldRow.target == EnrollmentRow.flow,
            col(HoldRow.held_at) < EnrollmentRow.created_at,
            or_(col(HoldRow.resumed_at).is_(None), col(HoldRow.resumed_at) > EnrollmentRow.created_at),
        )
        .correlate(EnrollmentRow)
        .exists()
    )
    return and_(who.owns(EnrollmentRow), held)


def _edited(who: Who) -> Column:
    return and_(who.owns(EnrollmentRow), cast(col(EnrollmentRow.skipped_steps), String) != "[]")


def _deliveries(who: Who) -> Column:
    """What messages to the contact came to, but for what is an event of the contact, and so told by that."""
    messages = select(MessageRow.id).where(who.owns(MessageRow), col(MessageRow.person_id).is_(None))
    told = col(DeliveryEventRow.kind).in_((DeliveryKind.DELIVERED, DeliveryKind.BLOCKED, DeliveryKind.DROPPED))
    automated = col(DeliveryEventRow.automated).is_not(None)
    return and_(col(DeliveryEventRow.message_id).in_(messages), or_(told, automated))


def _origin(row: EnrollmentRow) -> dict[str, JsonValue]:
    return {"came_from": row.came_from} if row.came_from else {}


def _lead_details(row: AssignmentRow) -> dict[str, JsonValue]:
    return {"rule": row.rule, "rules_version": row.rules_version, "reasons": list(row.reasons)}


SOURCES: tuple[Source, ...] = (
    Source(
        "contact.created",
        ContactRow,
        col(ContactRow.created_at),
        texts.became_known,
        of=lambda who: col(ContactRow.id) == who.contact.id,
    ),
    Source(
        "consent",
        ConsentRow,
        col(ConsentRow.recorded_at),
        texts.consent,
        variety=col(ConsentRow.state),
        details=lambda row: {"wording": row.wording, "purpose": row.purpose, "recorded_by": row.recorded_by},
    ),
    Source(
        "event",
        EventRow,
        col(EventRow.occurred_at),
        texts.event,
        variety=col(EventRow.name),
        details=lambda row: {"name": row.name, "properties": row.properties},
    ),
    Source(
        "suppression",
        SuppressionRow,
        col(SuppressionRow.created_at),
        texts.suppression,
        variety=col(SuppressionRow.reason),
        of=lambda who: col(SuppressionRow.email_hash).in_(who.email_hashes),
    ),
    Source("enrollment.entered", EnrollmentRow, col(EnrollmentRow.created_at), texts.entered, details=_origin),
    Source(
        "message",
        MessageRow,
        func.coalesce(col(MessageRow.sent_at), col(MessageRow.updated_at)),
        texts.message,
        variety=col(MessageRow.status),
    ),
    Source(
        "delivery",
        DeliveryEventRow,
        col(DeliveryEventRow.occurred_at),
        texts.delivery,
        variety=col(DeliveryEventRow.kind),
        of=_deliveries,
        details=lambda row: {"message_id": row.message_id, "automated": row.automated, "url": row.url},
    ),
    Source(
        "crm",
        CrmChangeRow,
        col(CrmChangeRow.created_at),
        texts.crm_change,
        variety=col(CrmChangeRow.kind),
        of=lambda who: and_(who.owns(CrmChangeRow), col(CrmChangeRow.kind) != HAND_OVER),
        details=lambda row: {"change": row.change, "result": row.result},
    ),
    Source("sunset.lifted", CrmChangeRow, col(CrmChangeRow.lifted_at), texts.sunset_lifted),
    Source(
        "hand_over",
        CrmChangeRow,
        col(CrmChangeRow.created_at),
        texts.not_handed_over,
        variety=case((col(CrmChangeRow.refusal).is_(None), "already_there"), else_="refused"),
        of=lambda who: and_(who.owns(CrmChangeRow), col(CrmChangeRow.kind) == HAND_OVER),
        details=lambda row: row.result,
    ),
    Source(
        "approval.asked",
        ApprovalRow,
        col(ApprovalRow.created_at),
        texts.approval_asked,
        details=lambda row: {"content": row.content},
    ),
    Source(
        "approval",
        ApprovalRequestRow,
        col(ApprovalRequestRow.created_at),
        texts.approval_asked_too,
        variety=col(ApprovalRequestRow.reason),
        of=_requests,
    ),
    Source("task.given", TaskRow, col(TaskRow.created_at), texts.task_given),
    Source(
        "lead",
        AssignmentRow,
        col(AssignmentRow.created_at),
        texts.lead_decided,
        variety=case((col(AssignmentRow.person_id).is_(None), "queued"), (_BY_HAND, "given"), else_="offered"),
        details=_lead_details,
    ),
    Source(
        "answer",
        AnswerRow,
        col(AnswerRow.created_at),
        texts.answered,
        variety=col(AnswerRow.status),
        of=_questions,
    ),
    Source(
        "approval",
        ApprovalRow,
        col(ApprovalRow.closed_at),
        texts.approval_closed,
        variety=col(ApprovalRow.status),
    ),
    Source("task", TaskRow, col(TaskRow.closed_at), texts.task_closed, variety=col(TaskRow.status)),
    Source(
        "lead",
        AssignmentRow,
        col(AssignmentRow.closed_at),
        texts.lead_closed,
        variety=col(AssignmentRow.status),
        of=lambda who: and_(who.owns(AssignmentRow), not_(_BY_HAND)),
    ),
    Source(
        "hold",
        HoldRow,
        col(HoldRow.held_at),
        texts.held,
        variety=col(HoldRow.scope),
        of=_holds(col(HoldRow.held_at)),
    ),
    Source("hold.flow", EnrollmentRow, col(EnrollmentRow.created_at), texts.began_held, of=_began_held),
    Source(
        "resume",
        HoldRow,
        col(HoldRow.resumed_at),
        texts.resumed,
        variety=col(HoldRow.scope),
        of=_holds(col(HoldRow.resumed_at)),
    ),
    Source(
        "enrollment.cancel_asked",
        EnrollmentRow,
        col(EnrollmentRow.cancel_requested_at),
        texts.cancel_asked,
    ),
    Source(
        "enrollment.steps_skipped",
        EnrollmentRow,
        col(EnrollmentRow.ended_at),
        texts.inserted_behind,
        of=_edited,
        details=lambda row: {"steps": row.skipped_steps},
    ),
    Source(
        "enrollment.ended",
        EnrollmentRow,
        col(EnrollmentRow.ended_at),
        texts.ended,
        details=lambda row: {"exit": row.exit, "reason": row.exit_reason},
    ),
)
"""Of two that tell of the same moment, the later one here is what happened later."""
RANKS = {source.name: rank for rank, source in enumerate(SOURCES)}
