"""Imports of contacts: how far each has come, which upload works on it, and what was wrong in its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import insert, update
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.contact_csv import Position
from domain.import_columns import Fault
from store.insertion import insert_many, insert_unless_there
from store.list_tables import ImportedContactRow, ImportFaultRow, ImportRow
from store.tables import now

RUNNING = "running"
FINISHED = "finished"
CLAIM_LASTS = timedelta(seconds=15)
"""After the last sign of life: so long an import waits for an upload whose process was killed."""


class ClaimLost(Exception):
    """Another upload works on the import by now: this one has nothing more to say."""


class Counts(NamedTuple):
    """Of lines, by what came of them."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    bad: int = 0


async def import_by_key(session: AsyncSession, idempotency_key: str | None) -> ImportRow | None:
    if idempotency_key is None:
        return None
    return (await session.exec(select(ImportRow).where(ImportRow.idempotency_key == idempotency_key))).one_or_none()


async def begin(session: AsyncSession, row: ImportRow, claim: str) -> bool:
    """Insert an import that this upload works on; False if one has its idempotency key since a moment ago."""
    row.claim, row.claimed_until = claim, now() + CLAIM_LASTS
    return await insert_unless_there(session, row)


async def claim_import(session: AsyncSession, import_id: str, claim: str) -> ImportRow | None:
    """Have this upload work on an import; None if another one does, or it is finished."""
    row = await session.get(ImportRow, import_id, with_for_update=True)
    if row is None or row.status == FINISHED or is_claimed(row):
        return None
    row.claim, row.claimed_until = claim, now() + CLAIM_LASTS
    session.add(row)
    return row


def is_claimed(row: ImportRow) -> bool:
    """Whether some upload works on it, as far as anybody knows."""
    return row.claimed_until is not None and row.claimed_until > now()


async def claimed(session: AsyncSession, import_id: str, claim: str) -> ImportRow:
    """The import, which no other upload takes until the transaction is over. Raises: ClaimLost."""
    query = select(ImportRow).where(ImportRow.id == import_id, ImportRow.claim == claim).with_for_update()
    row = (await session.exec(query)).one_or_none()
    if row is None:
        raise ClaimLost
    row.claimed_until = now() + CLAIM_LASTS
    session.add(row)
    return row


async def note_progress(session: AsyncSession, row: ImportRow, counts: Counts, position: Position) -> None:
    """Note what came of the lines up to a position, at an import that `claimed` gave."""
    row.created += counts.created
    row.updated += counts.updated
    row.unchanged += counts.unchanged
    row.bad += counts.bad
    row.bytes_done, row.lines, row.digest = position
    row.updated_at = now()
    session.add(row)


async def note_end(session: AsyncSession, row: ImportRow) -> None:
    """The file is at its end, at an import that `claimed` gave."""
    row.status, row.finished_at = FINISHED, now()
    row.claim = row.claimed_until = None
    session.add(row)


async def release(session: AsyncSession, import_id: str, claim: str) -> None:
    """The upload ends here: another one may go on at once."""
    leaving = update(ImportRow).where(col(ImportRow.id) == import_id, col(ImportRow.claim) == claim)
    await session.exec(leaving.values(claim=None, claimed_until=None))


async def keep_faults(session: AsyncSession, import_id: str, faults: Iterable[Fault]) -> None:
    """Keep what is wrong in some lines, each of which is told of once, in their order."""
    numbers = Counter[int]()
    rows = []
    for fault in faults:
        numbers[fault.line] += 1
        rows.append({"import_id": import_id, "number": numbers[fault.line], **fault._asdict()})
    if rows:
        await session.exec(insert(ImportFaultRow), params=rows)


async def keep_imported(session: AsyncSession, import_id: str, contact_ids: Iterable[str]) -> None:
    """Keep who was in the file. Twice changes nothing."""
    rows = [{"import_id": import_id, "contact_id": contact_id} for contact_id in dict.fromkeys(contact_ids)]
    await insert_many(session, ImportedContactRow, rows)


async def page_of_imports(
    session: AsyncSession, *, limit: int, before: str | None = None, idempotency_key: str | None = None
) -> list[ImportRow]:
    """Imports older than the id `before`, newest first; a filter that is None lets every row through."""
    query = select(ImportRow)
    if before is not None:
        query = query.where(ImportRow.id < before)
    if idempotency_key is not None:
        query = query.where(ImportRow.idempotency_key == idempotency_key)
    return list(await session.exec(query.order_by(col(ImportRow.id).desc()).limit(limit)))


async def page_of_faults(
    session: AsyncSession, import_id: str, *, limit: int, after: tuple[int, int] = (0, 0)
) -> Sequence[ImportFaultRow]:
    """What is wrong in the file, in the order of its lines, after a line and number."""
    row, (line, number) = ImportFaultRow, after
    later = or_(col(row.line) > line, (col(row.line) == line) & (col(row.number) > number))
    query = select(row).where(row.import_id == import_id, later)
    return (await session.exec(query.order_by(col(row.line), col(row.number)).limit(limit))).all()
