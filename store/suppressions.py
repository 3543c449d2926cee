"""Addresses that are not written to. They are kept as keyed hashes, which outlive the contact and tell nobody whose."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.suppressions import SuppressionReason
from store.insertion import insert_unless_there
from store.tables import SuppressionRow


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
    row = SuppressionRow(email_hash=hashes[0], reason=reason, source=source, note=note)
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


async def suppressions_of(session: AsyncSession, email: str) -> frozenset[SuppressionReason]:
    """The reasons for which this address is not written to."""
    return await _reasons(session, email_hashes(session, email))


async def _reasons(session: AsyncSession, hashes: Sequence[str]) -> frozenset[SuppressionReason]:
    found = await session.exec(select(SuppressionRow.reason).where(col(SuppressionRow.email_hash).in_(hashes)))
    return frozenset(map(SuppressionReason, found))
