"""Erasures of contacts: who is being erased, how far that has come, and what was certified."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.erasure import Certificate
from store.tables import ContactRow, ErasureRow, now


class BeingErased(Exception):
    """The contact is being erased: nothing is added to them any more."""

    def __init__(self, erasure_id: str) -> None:
        super().__init__(erasure_id)
        self.erasure_id = erasure_id


async def erasure_of(session: AsyncSession, contact_id: str) -> ErasureRow | None:
    """The erasure of a contact that is under way."""
    found = await session.exec(select(ErasureRow).where(ErasureRow.contact_id == contact_id))
    return found.one_or_none()


async def require_no_erasure(session: AsyncSession, contact_id: str) -> None:
    """Keep the contact from being erased until the transaction is over. Raises: BeingErased."""
    await session.exec(
        select(ContactRow.id).where(ContactRow.id == contact_id).with_for_update(read=True, key_share=True)
    )
    if erasure := await erasure_of(session, contact_id):
        raise BeingErased(erasure.id)


async def note(session: AsyncSession, erasure_id: str, done: Certificate) -> None:
    """Write down what was done; parts of the certificate that `done` does not tell stay as they are."""
    erasure = await session.get_one(ErasureRow, erasure_id, with_for_update=True)
    erasure.done = {**erasure.done, **done.model_dump(mode="json", exclude_none=True)}
    session.add(erasure)


def certificate(erasure: ErasureRow) -> Certificate:
    return Certificate.model_validate(erasure.done)


async def finish(session: AsyncSession, erasure_id: str) -> None:
    """All is done: from here on nothing says whose erasure it was. Twice changes nothing."""
    await session.exec(
        update(ErasureRow)
        .where(col(ErasureRow.id) == erasure_id, col(ErasureRow.finished_at).is_(None))
        .values(finished_at=now(), contact_id=None)
    )


async def mark_begun(session: AsyncSession, erasure_id: str) -> None:
    """Note that its workflow runs."""
    await session.exec(update(ErasureRow).where(col(ErasureRow.id) == erasure_id).values(begun_at=now()))


async def not_begun(
    session: AsyncSession, asked_before: datetime, begun_before: datetime, limit: int, offset: int = 0
) -> list[ErasureRow]:
    """Unfinished ones that no workflow was started for, or for which it was so long ago that it may be gone."""
    begun = col(ErasureRow.begun_at)
    query = select(ErasureRow).where(
        col(ErasureRow.finished_at).is_(None),
        ErasureRow.requested_at < asked_before,
        or_(begun.is_(None), begun < begun_before),
    )
    return list(await session.exec(query.order_by(col(ErasureRow.id)).limit(limit).offset(offset)))


async def page_of_erasures(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    status: Literal["under_way", "finished"] | None = None,
) -> list[ErasureRow]:
    """Erasures older than the id `before`, newest first; a filter that is None lets every row through."""
    conditions: list[ColumnElement[bool] | bool] = []
    if status is not None:
        unfinished = col(ErasureRow.finished_at).is_(None)
        conditions.append(unfinished if status == "under_way" else ~unfinished)
    if before is not None:
        conditions.append(ErasureRow.id < before)
    query = select(ErasureRow).where(*conditions)
    return list(await session.exec(query.order_by(col(ErasureRow.id).desc()).limit(limit)))
