"""Contacts, what they agreed to, and addresses that are not written to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from pydantic import JsonValue
from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.contacts import ContactProfile
from domain.limits import MAX_OBJECT_CHARACTERS, size_of
from store.insertion import insert_unless_there
from store.tables import ConsentRow, ContactRow, SuppressionRow, now


class TooManyAttributes(Exception):
    """What the contact has and what is added are together more than a contact may hold."""


class Upserted(NamedTuple):
    contact: ContactRow
    created: bool


async def upsert_contact(
    session: AsyncSession, profile: ContactProfile, consent: Mapping[str, bool], source: str
) -> Upserted:
    """Insert the contact or update the one with this address.

    An update touches only what `profile` sets; attributes are merged by name, and a null one is removed. Consent is
    recorded where it differs from the contact's last word on the topic. Raises: TooManyAttributes.
    """
    created = await insert_unless_there(session, ContactRow.model_validate(profile.model_dump()))
    contact = (await session.exec(select(ContactRow).where(ContactRow.email == profile.email).with_for_update())).one()
    if not created:
        changes = profile.model_dump(exclude_unset=True)
        changes["attributes"] = merge_attributes(contact.attributes, changes.pop("attributes", {}))
        if any(getattr(contact, field) != value for field, value in changes.items()):
            contact.sqlmodel_update(changes, update={"updated_at": now()})
            session.add(contact)
    known = await consent_of(session, contact.id)
    for topic, granted in consent.items():
        if known.get(topic) is not granted:
            session.add(ConsentRow(contact_id=contact.id, topic=topic, granted=granted, source=source))
    await session.flush()
    return Upserted(contact, created)


def merge_attributes(present: Mapping[str, JsonValue], changes: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The contact's attributes after a change by name; a null one is removed. Raises: TooManyAttributes."""
    merged: dict[str, JsonValue] = {name: value for name, value in {**present, **changes}.items() if value is not None}
    if size_of(merged) > MAX_OBJECT_CHARACTERS:
        raise TooManyAttributes
    return merged


async def contact_by_email(session: AsyncSession, email: str) -> ContactRow | None:
    return (await session.exec(select(ContactRow).where(ContactRow.email == email))).one_or_none()


async def consent_of(session: AsyncSession, contact_id: str) -> dict[str, bool]:
    """The contact's latest word by topic."""
    rows = await session.exec(
        select(ConsentRow).where(ConsentRow.contact_id == contact_id).order_by(col(ConsentRow.id))
    )
    return {row.topic: row.granted for row in rows}


def email_hash(email: str) -> str:
    return hashlib.sha256(email.lower().encode()).hexdigest()


async def suppress(session: AsyncSession, email: str, reason: str) -> None:
    """Never write to this address again; doing it twice does nothing."""
    await insert_unless_there(session, SuppressionRow(email_hash=email_hash(email), reason=reason))


async def unsuppress(session: AsyncSession, email: str, reason: str, *, before: datetime) -> bool:
    """Lift one suppression that is older than a moment; answer whether there was one. Others stay."""
    lifted = await session.exec(
        delete(SuppressionRow).where(
            col(SuppressionRow.email_hash) == email_hash(email),
            col(SuppressionRow.reason) == reason,
            col(SuppressionRow.created_at) < before,
        )
    )
    return lifted.rowcount > 0


async def suppressions_of(session: AsyncSession, email: str) -> frozenset[str]:
    """The reasons for which this address is not written to."""
    found = await session.exec(select(SuppressionRow.reason).where(SuppressionRow.email_hash == email_hash(email)))
    return frozenset(found)
