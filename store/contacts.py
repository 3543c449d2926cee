"""Contacts, and what they agreed to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue
from sqlalchemy.orm import make_transient_to_detached
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.consent import ConsentState, Word
from domain.contacts import ContactProfile
from domain.limits import MAX_OBJECT_CHARACTERS, size_of
from store.consents import record_words
from store.erasures import BeingErased, erasure_of
from store.insertion import insert_unless_there
from store.suppressions import link_suppressions
from store.tables import ContactRow, now


class TooManyAttributes(Exception):
    """What the contact has and what is added are together more than a contact may hold."""


class Upserted(NamedTuple):
    contact: ContactRow
    created: bool


async def upsert_contact(
    session: AsyncSession, profile: ContactProfile, consent: Mapping[str, bool], source: str
) -> Upserted:
    """Insert the contact or update the one with this address.

    An update touches only what `profile` sets; attributes are merged by name, and a null one is removed. `consent` has
    words without a date, from `source`, as `record_words` keeps them. The contact stays locked.
    Raises: TooManyAttributes, BeingErased.
    """
    contact = await _created(session, profile)
    created = contact is not None
    if contact is None:
        found = await session.exec(select(ContactRow).where(ContactRow.email == profile.email).with_for_update())
        contact = found.one_or_none()
        if contact is None:  # it was erased between the two statements
            return await upsert_contact(session, profile, consent, source)
        if erasure := await erasure_of(session, contact.id):
            raise BeingErased(erasure.id)
        changes = profile.model_dump(exclude_unset=True)
        changes["attributes"] = merge_attributes(contact.attributes, changes.pop("attributes", {}))
        if any(getattr(contact, field) != value for field, value in changes.items()):
            contact.sqlmodel_update(changes, update={"updated_at": now()})
            session.add(contact)
        await session.flush()
    words = {topic: ConsentState.GRANTED if granted else ConsentState.WITHDRAWN for topic, granted in consent.items()}
    said = [Word(topic, state, source, "api") for topic, state in words.items()]
    await record_words(session, contact.id, said, is_new=created)
    return Upserted(contact, created)


async def _created(session: AsyncSession, profile: ContactProfile) -> ContactRow | None:
    """The contact as it was inserted; None if there is one with this address."""
    row = ContactRow.model_validate(profile.model_dump())
    if not await insert_unless_there(session, row):
        return None
    make_transient_to_detached(row)
    session.add(row)
    await link_suppressions(session, row)
    return row


def merge_attributes(present: Mapping[str, JsonValue], changes: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The contact's attributes after a change by name; a null one is removed. Raises: TooManyAttributes."""
    merged: dict[str, JsonValue] = {name: value for name, value in {**present, **changes}.items() if value is not None}
    if size_of(merged) > MAX_OBJECT_CHARACTERS:
        raise TooManyAttributes
    return merged


async def contact_by_email(session: AsyncSession, email: str) -> ContactRow | None:
    return (await session.exec(select(ContactRow).where(ContactRow.email == email))).one_or_none()
