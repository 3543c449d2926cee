"""Addresses that are not written to. They are kept as keyed hashes, which outlive the contact and tell nobody whose."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, delete, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.suppressions import SuppressionReason
from store.among import among
from store.insertion import insert_unless_there
from store.tables import ContactRow, SuppressionRow


def keyed_hash(key: str, email: str) -> str:
    return rehashed(key, hashlib.sha256(email.lower().encode()).hexdigest())


def rehashed(key: str, unkeyed: str) -> str:
    """Of the plain SHA-256 of an address, as early versions kept it."""
    return hmac.new(key.encode(), unkeyed.encode(), hashlib.sha256).hexdigest()


def email_hashes(session: AsyncSession, email: str) -> list[str]:
    """The hashes that an address may be kept under: by the present key first, then by keys before it."""
    keys: Sequence[str] = session.info["address_keys"]
    return [keyed_hash(key, email) for key in keys]


async def suppress(
    session: AsyncSession, email: str, reason: SuppressionReason, source: str, note: str | None = None
) -> bool:
    """Write to this address no more; answer whether that is new. Twice for one reason changes nothing."""
    hashes = email_hashes(session, email)
    if reason in await _reasons(session, hashes):
        return False
    contact_id = (await session.exec(select(ContactRow.id).where(ContactRow.email == email.lower()))).one_or_none()
    row = SuppressionRow(email_hash=hashes[0], reason=reason, source=source, note=note, contact_id=contact_id)
    return await insert_unless_there(session, row)


async def unsuppress(
    session: AsyncSession, email: str, reason: SuppressionReason, *, before: datetime | None = None
) -> bool:
    """Lift one suppression, if it is older than `before`; answer whether there was one. Others stay."""
    lifting = delete(SuppressionRow).where(
        col(SuppressionRow.email_hash).in_(email_hashes(session, email)), col(SuppressionRow.reason) == reason
    )
    if before is not None:
        lifting = lifting.where(col(SuppressionRow.created_at) < before)
    return (await session.exec(lifting)).rowcount > 0


async def link_suppressions(session: AsyncSession, contact: ContactRow) -> None:
    """Note at suppressions of an address that it is this contact's, who has just become known."""
    theirs = col(SuppressionRow.email_hash).in_(email_hashes(session, contact.email))
    await session.exec(update(SuppressionRow).where(theirs).values(contact_id=contact.id))


async def link_suppressions_of(session: AsyncSession, contact_ids: Mapping[str, str]) -> None:
    """`link_suppressions` for many contacts at once, given as ids by address."""
    by_hash = {each: contact_id for email, contact_id in contact_ids.items() for each in email_hashes(session, email)}
    known = select(SuppressionRow.email_hash).where(among(session, col(SuppressionRow.email_hash), by_hash))
    for found in sorted(set(await session.exec(known))):
        linking = update(SuppressionRow).where(col(SuppressionRow.email_hash) == found)
        await session.exec(linking.values(contact_id=by_hash[found]))


async def suppressions_of(session: AsyncSession, email: str) -> frozenset[SuppressionReason]:
    """The reasons for which this address is not written to."""
    return await _reasons(session, email_hashes(session, email))


class Position(NamedTuple):
    """Of a suppression among all of them."""

    created_at: datetime
    email_hash: str
    reason: SuppressionReason


async def page_of_suppressions(
    session: AsyncSession,
    *,
    limit: int,
    before: Position | None = None,
    email: str | None = None,
    reason: SuppressionReason | None = None,
) -> list[SuppressionRow]:
    """Suppressions older than the one at `before`, newest first; a filter that is None lets every row through."""
    key = at, address, why = col(SuppressionRow.created_at), col(SuppressionRow.email_hash), col(SuppressionRow.reason)
    query = select(SuppressionRow)
    if email is not None:
        query = query.where(col(SuppressionRow.email_hash).in_(email_hashes(session, email)))
    if reason is not None:
        query = query.where(SuppressionRow.reason == reason)
    if before is not None:
        same_address = and_(address == before.email_hash, why < before.reason)
        same_moment = and_(at == before.created_at, or_(address < before.email_hash, same_address))
        query = query.where(or_(at < before.created_at, same_moment))
    return list(await session.exec(query.order_by(*(each.desc() for each in key)).limit(limit)))


async def _reasons(session: AsyncSession, hashes: Sequence[str]) -> frozenset[SuppressionReason]:
    found = await session.exec(select(SuppressionRow.reason).where(col(SuppressionRow.email_hash).in_(hashes)))
    return frozenset(map(SuppressionReason, found))
