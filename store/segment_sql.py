"""Segments as SQL: one query for a whole predicate, of the same meaning on SQLite and PostgreSQL.

A clause on rows of another table becomes a semijoin (`contacts.id IN (SELECT contact_id …)`) where it has to hold, an
antijoin (`NOT EXISTS`) where it must not: PostgreSQL then reads that table once, or by index if few contacts are asked
for. Under NOT or OR it would look up each contact: so a negation is pushed down to the clauses, and `any` is a union.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, true, tuple_, union_all
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.sql.expression import Select, SelectOfScalar

from domain.events import NO_ACTS
from domain.messages import MessageStatus
from domain.segment_clauses import ConsentClause, EnrollmentClause, EventClause, MessageClause, SuppressionClause
from domain.segment_fields import AttributeClause
from domain.segments import AllOf, AnyOf, Leaf, NotOf, Predicate, Segment, leaves
from store.ledger_tables import MessageRow
from store.segment_fields import attribute_condition, contact_condition, property_condition
from store.tables import ConsentRow, ContactRow, EnrollmentRow, ErasureRow, EventRow, SuppressionRow

Condition = ColumnElement[bool]

_HAS_REACHED = {
    "sent": (
        *(MessageStatus.SENT, MessageStatus.DROPPED, MessageStatus.DELIVERED, MessageStatus.OPENED),
        *(MessageStatus.CLICKED, MessageStatus.BOUNCED, MessageStatus.COMPLAINED),
    ),
    "delivered": (MessageStatus.DELIVERED, MessageStatus.OPENED, MessageStatus.CLICKED, MessageStatus.COMPLAINED),
    "opened": (MessageStatus.OPENED, MessageStatus.CLICKED),
    "clicked": (MessageStatus.CLICKED,),
}
"""Whoever complains of a message has got it; whether they opened it nobody knows any more."""


def members(segment: Segment, at: datetime, *, among: Sequence[str] | None = None) -> SelectOfScalar[str]:
    """The ids of the contacts in a segment, judged at a moment: `contacts.id`, each once, in no order.

    Callers may add `.where(…)` on `ContactRow`, or use it as a subquery. With `among`, of these contacts alone, each
    found by index: for one contact or a page of them this is faster than a condition that is added. Whoever is being
    erased is in no segment. Times are compared with `at`; fields, attributes and what flows did are as they are now.
    """
    query = select(ContactRow.id).where(col(ContactRow.id).not_in(_being_erased()))
    if among is not None:
        query = query.where(col(ContactRow.id).in_(among))
    return query.where(_Compiling(at, among).condition(segment.root, ContactRow))


def size(segment: Segment, at: datetime) -> SelectOfScalar[int]:
    """How many `members` are.

    Those being erased are few: they are counted by themselves and taken off, since a condition on each contact has
    PostgreSQL misjudge how many are left, and join them in a slower way.
    """
    of_all = _Compiling(at, None).count(segment.root)
    of_erased = _Compiling(at, _being_erased()).count(segment.root)
    return select(of_all.scalar_subquery() - of_erased.scalar_subquery())


def truths(segment: Segment, at: datetime, contact_id: str) -> Select[*tuple[Any, ...]]:
    """One row for the contact, being erased or not: their id, then of each leaf of the segment whether it holds."""
    compiling = _Compiling(at, [contact_id])
    conditions = (compiling.condition(leaf, ContactRow) for _, leaf in leaves(segment.root))
    columns = [func.coalesce(condition, false()).label(f"leaf_{number}") for number, condition in enumerate(conditions)]
    query: Select[*tuple[Any, ...]] = select(col(ContactRow.id), *columns)  # type: ignore[assignment]
    return query.where(col(ContactRow.id) == contact_id)


class _Compiling:
    """What all clauses of a query have in common."""

    def __init__(self, at: datetime, among: Any) -> None:
        """`among`: ids or a query of ids, of the contacts that are asked for; None: all."""
        self._at = at
        self._among = among

    def condition(self, predicate: Predicate, contacts: Any, *, negated: bool = False) -> Condition:
        """True where the predicate holds (or, negated, does not); else false or null."""
        match predicate:
            case NotOf():
                return self.condition(predicate.of, contacts, negated=not negated)
            case AllOf() | AnyOf() if isinstance(predicate, AllOf) is not negated:
                return and_(*(self.condition(each, contacts, negated=negated) for each in predicate.of))
            case AllOf() | AnyOf():
                return self._any(predicate.of, contacts, negated=negated)
            case _:
                return self._leaf(predicate, contacts, negated=negated)

    def count(self, predicate: Predicate) -> Any:
        """For how many contacts it holds. Their own rows are not read where no clause asks for one."""
        wanted = predicate.of if isinstance(predicate, AllOf) else (predicate,)
        first = next(
            (each for each in wanted if isinstance(each, EventClause | MessageClause) and each.bounds[0]), None
        )
        if first is None or any(_is_of_contact(leaf) for _, leaf in leaves(predicate)):
            contacts = self._restricted(select(func.count()).select_from(ContactRow), ContactRow.id)
            return contacts.where(self.condition(predicate, ContactRow))
        found = self._found_by(first).subquery()
        others = [self.condition(each, found.c) for each in wanted if each is not first]
        return select(func.count()).select_from(found).where(*others)

    def _found_by(self, clause: EventClause | MessageClause) -> Any:
        """The ids of those for whom a clause holds that wants one row at least: each once, as `id`."""
        table, wanted = self._rows(clause)
        least, most = clause.bounds
        enough = func.count() == least if most is not None else func.count() >= least
        query = self._restricted(select(table.contact_id.label("id")), table.contact_id)
        query = query.where(wanted).group_by(table.contact_id)
        return query if (least, most) == (1, None) else query.having(enough)

    def _rows(self, clause: EventClause | MessageClause) -> tuple[Any, Condition]:
        """The table that a clause counts rows of, and which."""
        return (
            (EventRow, self._event(clause)) if isinstance(clause, EventClause) else (MessageRow, self._message(clause))
        )

    def _any(self, predicates: Sequence[Predicate], contacts: Any, *, negated: bool) -> Condition:
        if len(predicates) == 1 or all(_is_of_contact(leaf) for each in predicates for _, leaf in leaves(each)):
            return or_(*(self.condition(each, contacts, negated=negated) for each in predicates))
        found = []
        for each in predicates:
            other = aliased(ContactRow)
            found.append(
                self._restricted(select(other.id), other.id).where(self.condition(each, other, negated=negated))
            )
        return contacts.id.in_(union_all(*found))  # type: ignore[no-any-return]

    def _leaf(self, leaf: Leaf, contacts: Any, *, negated: bool) -> Condition:
        match leaf:
            case EventClause() | MessageClause():
                return self._counted(leaf, contacts, negated=negated)
            case EnrollmentClause():
                return self._has(EnrollmentRow, self._enrollment(leaf), contacts, negated=negated)
            case SuppressionClause():
                wanted = true() if leaf.reason is None else col(SuppressionRow.reason) == leaf.reason
                known = col(SuppressionRow.contact_id).is_not(None)
                return self._has(SuppressionRow, and_(known, wanted), contacts, negated=negated)
            case ConsentClause():
                return self._consent(leaf, contacts, negated=negated)
            case AttributeClause():
                condition = attribute_condition(leaf, contacts)
            case _:
                condition = contact_condition(leaf, contacts, self._at)
        return not_(func.coalesce(condition, false())) if negated else condition

    def _counted(self, clause: EventClause | MessageClause, contacts: Any, *, negated: bool) -> Condition:
        table, wanted = self._rows(clause)
        least, most = clause.bounds
        if least == 0:  # at most so many: not one more than that
            assert most is not None  # noqa: S101
            return self._at_least(most + 1, table, wanted, contacts, negated=not negated)
        if most is None:
            return self._at_least(least, table, wanted, contacts, negated=negated)
        return self._has_in(_grouped(table, wanted, func.count() == least), table, contacts, negated=negated)

    def _at_least(self, least: int, table: Any, wanted: Condition, contacts: Any, *, negated: bool) -> Condition:
        if least == 1:
            return self._has(table, wanted, contacts, negated=negated)
        return self._has_in(_grouped(table, wanted, func.count() >= least), table, contacts, negated=negated)

    def _has(self, table: Any, wanted: Condition, contacts: Any, *, negated: bool) -> Condition:
        """The contact has a row like that, or none."""
        if negated:
            theirs = self._restricted(select(1), table.contact_id).select_from(table)
            return ~exists(theirs.where(table.contact_id == contacts.id, wanted))
        return self._has_in(select(table.contact_id).where(wanted), table, contacts, negated=False)

    def _has_in(self, ids: Any, table: Any, contacts: Any, *, negated: bool) -> Condition:
        """The contact's id is among these."""
        restricted = self._restricted(ids, table.contact_id)
        if negated:
            found = restricted.subquery()
            return ~exists().where(found.c.contact_id == contacts.id)
        return contacts.id.in_(restricted)  # type: ignore[no-any-return]

    def _restricted(self, query: Any, contact_id: Any) -> Any:
        return query if self._among is None else query.where(col(contact_id).in_(self._among))

    def _consent(self, clause: ConsentClause, contacts: Any, *, negated: bool) -> Condition:
        by_then = and_(col(ConsentRow.topic) == clause.topic, col(ConsentRow.recorded_at) <= self._at)
        if clause.state == "none":
            return self._has(ConsentRow, by_then, contacts, negated=not negated)
        later = aliased(ConsentRow)
        is_later = tuple_(later.recorded_at, later.id) > tuple_(ConsentRow.recorded_at, ConsentRow.id)
        superseded = exists().where(
            col(later.contact_id) == col(ConsentRow.contact_id),
            col(later.topic) == clause.topic,
            col(later.recorded_at) <= self._at,
            is_later,
        )
        latest = and_(by_then, col(ConsentRow.state) == clause.state, ~superseded)
        return self._has(ConsentRow, latest, contacts, negated=negated)

    def _event(self, clause: EventClause) -> Condition:
        conditions = [col(EventRow.occurred_at) <= self._at]
        if clause.within is not None:
            conditions.append(col(EventRow.occurred_at) > self._at - clause.within)
        if clause.name is not None:
            conditions.append(col(EventRow.name) == clause.name)
        if clause.acts_only:
            conditions.append(col(EventRow.name).not_in(sorted(NO_ACTS)))
        if clause.where is not None:
            conditions.append(property_condition(clause.where, EventRow))
        return and_(*conditions)

    def _message(self, clause: MessageClause) -> Condition:
        handed_over = col(MessageRow.handed_over_at)
        conditions = [handed_over <= self._at, col(MessageRow.person_id).is_(None)]
        if clause.within is not None:
            conditions.append(handed_over > self._at - clause.within)
        given = {name: getattr(clause, name) for name in ("flow", "step", "topic", "broadcast_id")}
        conditions += [col(getattr(MessageRow, name)) == value for name, value in given.items() if value is not None]
        if clause.reached != "handed_over":
            conditions.append(col(MessageRow.status).in_(_HAS_REACHED[clause.reached]))
        return and_(*conditions)

    def _enrollment(self, clause: EnrollmentClause) -> Condition:
        moment = EnrollmentRow.ended_at if clause.state == "ended" else EnrollmentRow.created_at
        conditions: list[Condition] = [] if clause.state == "ever" else [col(EnrollmentRow.status) == clause.state]
        if clause.flow is not None:
            conditions.append(col(EnrollmentRow.flow) == clause.flow)
        if clause.exit is not None:
            conditions.append(col(EnrollmentRow.exit) == clause.exit)
        if clause.within is not None:
            conditions += [col(moment) > self._at - clause.within, col(moment) <= self._at]
        return and_(true(), *conditions)


def _being_erased() -> Any:
    return select(ErasureRow.contact_id).where(col(ErasureRow.contact_id).is_not(None))


def _grouped(table: Any, wanted: Condition, having: Condition) -> Any:
    return select(table.contact_id).where(wanted).group_by(table.contact_id).having(having)


def _is_of_contact(leaf: Leaf) -> bool:
    """The contact's own row answers it."""
    return isinstance(leaf, AttributeClause) or leaf.kind == "contact"
