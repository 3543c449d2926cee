"""Many contacts inserted or updated at once, each as `store.contacts.upsert_contact` would."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.contacts import ContactProfile
from domain.import_columns import ContactLine, Fault
from domain.limits import MAX_OBJECT_CHARACTERS
from store.among import among
from store.contacts import TooManyAttributes, merge_attributes
from store.insertion import insert_many
from store.suppressions import link_suppressions_of
from store.tables import ContactRow, ErasureRow, new_id, now

_FIELDS = tuple(ContactProfile.model_fields)
_BEING_ERASED = "the contact is being erased: nothing is added to them any more"
_TOO_MANY = f"attributes: with those that the contact has, more than {MAX_OBJECT_CHARACTERS} characters"


class Fate(StrEnum):
    """What a line made of its contact."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Overtaken(Exception):
    """Another transaction made a contact that was new to this one: nothing is written, and trying again helps."""


class Kept(NamedTuple):
    line: ContactLine
    contact_id: str
    fate: Fate


class Upserts(NamedTuple):
    """`contacts` are those that were known before, by id."""

    kept: list[Kept]
    faults: list[Fault]
    contacts: Mapping[str, ContactRow]


async def upsert_contacts(session: AsyncSession, lines: Sequence[ContactLine]) -> Upserts:
    """Insert or update the contacts of these lines, in their order: of two on one address, the later one wins.

    One who is being erased is a fault. Contacts that were there stay locked. Any number of these at once, and upserts
    of single contacts, wait for each other in no circle: each locks what is there first, in the order of ids, and
    inserts then, in that of addresses.
    Raises: Overtaken.
    """
    plan = await _plan(session, lines, lock=True)
    await _insert(session, plan)
    await _update(session, plan)
    return plan.upserts()


async def foreseen(session: AsyncSession, lines: Sequence[ContactLine]) -> Upserts:
    """What `upsert_contacts` would do, written nowhere."""
    return (await _plan(session, lines, lock=False)).upserts()


@dataclass
class _Contact:
    """One contact as the lines so far have them; `row` is None if they are new."""

    id: str
    values: dict[str, Any]
    row: ContactRow | None = None
    changed: bool = False


@dataclass
class _Plan:
    contacts: dict[str, _Contact]
    """By address."""
    erasing: Collection[str]
    kept: list[Kept] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, line: ContactLine) -> None:
        email = line.profile.email
        contact = self.contacts.get(email)
        if contact is None:
            contact = self.contacts[email] = _Contact(new_id(), line.profile.model_dump())
            self.kept.append(Kept(line, contact.id, Fate.CREATED))
            return
        if contact.id in self.erasing:
            self.faults.append(Fault(line.line, None, _BEING_ERASED))
            return
        changes = line.profile.model_dump(exclude_unset=True)
        present, attributes = contact.values["attributes"], changes.pop("attributes", {})
        if not attributes.items() <= present.items():
            try:
                changes["attributes"] = merge_attributes(present, attributes)
            except TooManyAttributes:
                self.faults.append(Fault(line.line, None, _TOO_MANY))
                return
        is_new = any(contact.values[name] != value for name, value in changes.items())
        contact.values |= changes
        contact.changed |= is_new
        self.kept.append(Kept(line, contact.id, Fate.UPDATED if is_new else Fate.UNCHANGED))

    def upserts(self) -> Upserts:
        known = {contact.id: contact.row for contact in self.contacts.values() if contact.row is not None}
        return Upserts(self.kept, self.faults, known)


async def _plan(session: AsyncSession, lines: Sequence[ContactLine], *, lock: bool) -> _Plan:
    emails = {line.profile.email for line in lines}
    query = select(ContactRow).where(among(session, col(ContactRow.email), emails)).order_by(col(ContactRow.id))
    # Rows that only refer to a contact are not kept waiting: a file may hold the contacts of everything under way.
    rows = (await session.exec(query.with_for_update(key_share=True) if lock else query)).all()
    ids = [row.id for row in rows]
    erasing = await session.exec(select(ErasureRow.contact_id).where(among(session, col(ErasureRow.contact_id), ids)))
    known = {row.email: _Contact(row.id, {name: getattr(row, name) for name in _FIELDS}, row) for row in rows}
    plan = _Plan(known, {contact_id for contact_id in erasing if contact_id is not None})
    for line in lines:
        plan.add(line)
    return plan


async def _insert(session: AsyncSession, plan: _Plan) -> None:
    new = [contact for _, contact in sorted(plan.contacts.items()) if contact.row is None]
    at = now()
    # Made once for its defaults: it takes as long as all else that is done for a contact.
    like = ContactRow(email="", locale="", created_at=at, updated_at=at).model_dump()
    rows = [{**like, **contact.values, "id": contact.id} for contact in new]
    if await insert_many(session, ContactRow, rows) < len(rows):
        raise Overtaken
    if rows:
        await link_suppressions_of(session, {row["email"]: row["id"] for row in rows})


async def _update(session: AsyncSession, plan: _Plan) -> None:
    at = now()
    changed = [contact for contact in plan.contacts.values() if contact.row is not None and contact.changed]
    if changed:
        rows = [{**contact.values, "id": contact.id, "updated_at": at} for contact in changed]
        await session.exec(update(ContactRow), params=rows)
