"""Contacts with a value of their own in every column of every table that holds anything of contacts."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args

from sqlalchemy import JSON, Column, Date, String, inspect
from sqlmodel import AutoString, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.suppressions import SuppressionReason
from store.holds import Scope
from store.ledger_tables import DeliveryEventRow
from store.list_tables import ImportRow, SegmentRow
from store.people_tables import AnswerRow, PersonRow
from store.personal_data import HOLDINGS
from store.suppressions import suppress
from store.tables import ContactRow, HoldRow, UtcDateTime, month_of, new_id, now

REFERS_TO = {(DeliveryEventRow, "message_id"): "messages", (HoldRow, "target"): "enrollments"}
"""By column, a table that it refers to without a foreign key."""
QUESTIONS = ("approvals", "tasks", "assignments")


class Canary:
    """One contact, called `name`. `marks` are the values that nobody else has."""

    def __init__(self, name: str) -> None:
        self.marks: list[str] = []
        self._name = name
        self._made: dict[str, Any] = {}

    @property
    def contact(self) -> ContactRow:
        contact: ContactRow = self._made["contacts"]
        return contact

    async def insert(self, session: AsyncSession) -> None:
        person = (await session.exec(select(PersonRow))).first()
        self._made["people"] = person or PersonRow(email="rosa@example.com", name="Rosa", locale="es", time_zone="UTC")
        session.add(self._made["people"])
        # Lists that they are in, which are nobody's own.
        self._made["segments"], self._made["imports"] = SegmentRow(name=f"of {self._name}", predicate={}), ImportRow()
        session.add_all((self._made["segments"], self._made["imports"]))
        await session.flush()
        for holding in reversed(HOLDINGS):
            for fixed in self._variants(holding.table):
                row = self._row(holding.table, fixed)
                session.add(row)
                await session.flush()
                self._made[holding.name] = row
        await suppress(session, self.contact.email, SuppressionReason.MANUAL, "api", note=self._mark("note"))

    def _variants(self, table: type[SQLModel]) -> Iterator[dict[str, Any]]:
        if table is HoldRow:
            yield {"scope": Scope.CONTACT, "target": self.contact.id}
            yield {"scope": Scope.ENROLLMENT}
        elif table is AnswerRow:
            yield from ({"question_id": self._made[question].id} for question in QUESTIONS)
        else:
            yield {}

    def _row(self, table: type[SQLModel], fixed: dict[str, Any]) -> SQLModel:
        columns = inspect(table).columns
        made = {column.key: self._value(table, column) for column in columns if column.key not in fixed}
        return table(**fixed, **made)

    def _value(self, table: type[SQLModel], column: Column[Any]) -> Any:
        foreign = next((key.column.table.name for key in column.foreign_keys), None)
        referred = REFERS_TO.get((table, column.key), foreign)
        if referred is not None:
            return self._made[referred].id
        choices = _choices(table, column.key)
        if choices:
            return choices[0]
        if isinstance(column.type, JSON):
            kept = {self._mark(column.key): self._mark(column.key)}
            return [kept] if table.model_fields[column.key].default_factory is list else kept
        if isinstance(column.type, Date):
            return month_of(now())
        if column.primary_key and isinstance(column.type, String):
            self.marks.append(made := new_id())
            return made
        if isinstance(column.type, String | AutoString):
            return self._mark(column.key)
        return now() if isinstance(column.type, UtcDateTime) else column.type.python_type(len(self.marks))

    def _mark(self, column: str) -> str:
        mark = f"{self._name}-{len(self.marks)}-{column}"[:36]
        self.marks.append(mark)
        return mark


def _choices(table: type[SQLModel], column: str) -> list[Enum]:
    annotation = table.model_fields[column].annotation
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, Enum)]
    return list(kinds[0]) if kinds else []


async def everything(session: AsyncSession) -> dict[str, list[str]]:
    """By table, every row of the database as text."""
    found = {}
    for table in SQLModel.metadata.sorted_tables:
        rows = await (await session.connection()).execute(table.select())
        found[table.name] = sorted(repr(tuple(row)) for row in rows)
    return found
