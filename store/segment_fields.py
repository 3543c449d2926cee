"""Clauses on a contact's own row, and on properties of events, as SQL. True if it holds, else false or null."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, not_, or_
from sqlmodel import col

from domain.segment_clauses import PropertyTest
from domain.segment_fields import (
    AttributeClause,
    ContactClause,
    CreatedClause,
    EmailDomainClause,
    LanguageClause,
    OwnerClause,
    ScoreClause,
)
from domain.segment_values import Value
from store.segment_values import ascii_lower, json_any, json_boolean, json_number, json_text

Condition = ColumnElement[bool]


def contact_condition(clause: ContactClause, contacts: Any, at: datetime) -> Condition:
    operator, value = clause.test
    match clause:
        case ScoreClause() | CreatedClause():
            return _within_bounds(col(getattr(contacts, clause.field)), operator, value, at)
        case EmailDomainClause():
            return _one_of(lambda each: col(contacts.email).endswith(f"@{each}", autoescape=True), operator, value)
        case LanguageClause():
            locale = col(contacts.locale)
            return _one_of(
                lambda each: or_(locale == each, locale.startswith(f"{each}-", autoescape=True)), operator, value
            )
        case OwnerClause():
            column = col(contacts.owner_id)
        case _:
            column = col(getattr(contacts, clause.field))
    if operator == "is_known":
        return func.coalesce(column, "") != "" if value else func.coalesce(column, "") == ""
    return _of_text(column, operator, value)


def attribute_condition(clause: AttributeClause, contacts: Any) -> Condition:
    operator, value = clause.test
    members, name = contacts.attributes, clause.name
    if operator == "is_known":
        known = json_any(members, name)
        return known.is_not(None) if value else known.is_(None)
    if operator in ("contains", "starts_with"):
        return _of_text(json_text(members, name), operator, value)
    if operator in ("at_least", "at_most"):
        return _within_bounds(json_number(members, name), operator, float(value), None)
    return _one_of(lambda each: _member_is(members, name, each), operator, value)


def property_condition(test: PropertyTest, events: Any) -> Condition:
    return _member_is(events.properties, test.property, test.is_)


def _member_is(members: Any, name: str, value: Value) -> Condition:
    match value:
        case bool():
            member = json_boolean(members, name)
            return member.is_(True) if value else member.is_(False)
        case str():
            # The first alone is as quick as can be; the second is asked of those that it lets through.
            return and_(json_any(members, name) == value, json_text(members, name).is_not(None))
        case _:
            return json_number(members, name) == float(value)


def _one_of(is_value: Any, operator: str, value: Any) -> Condition:
    """Of the operators is, is_not and is_one_of."""
    found = or_(*map(is_value, value if operator == "is_one_of" else (value,)))
    return not_(func.coalesce(found, false())) if operator == "is_not" else found


def _of_text(column: Any, operator: str, value: Any) -> Condition:
    match operator:
        case "is":
            found = column == value
        case "is_not":
            found = column.is_distinct_from(value)
        case "is_one_of":
            found = column.in_(value)
        case "contains":
            found = ascii_lower(column).contains(_ascii_lower(value), autoescape=True)
        case _:
            found = ascii_lower(column).startswith(_ascii_lower(value), autoescape=True)
    return found  # type: ignore[no-any-return]


def _within_bounds(column: Any, operator: str, value: Any, at: datetime | None) -> Condition:
    match operator:
        case "is":
            found = column == value
        case "at_least":
            found = column >= value
        case "at_most":
            found = column <= value
        case "before":
            found = column < value
        case "after":
            found = column > value
        case _:
            assert at is not None  # noqa: S101
            found = and_(column > at - value, column <= at)
    return found  # type: ignore[no-any-return]


def _ascii_lower(text: str) -> str:
    return "".join(sign.lower() if sign.isascii() else sign for sign in text)
