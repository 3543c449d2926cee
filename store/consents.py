"""What contacts agreed to, topic by topic. Rows are only added: the latest counts, the others prove what was when.

The latest is the one that was given last, whenever we were told of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.consent import Bearing, ConsentState, Word, bearing
from domain.messages import MessageClass
from store.tables import ConsentRow, MessageRow, now

_IN_ORDER = (col(ConsentRow.recorded_at), col(ConsentRow.id))


async def record_words(session: AsyncSession, contact_id: str, words: Iterable[Word]) -> list[Word]:
    """Keep what these words say that is not known yet; answer those that count from now on.

    Whoever calls it has locked the contact: of two words at once, the second one sees the first. A word without a date
    is given now, and later than any that we were told of before. One with a date in the future is given now.
    """
    counting = []
    for word in words:
        rows = await _rows_on(session, contact_id, word.topic)
        if word.given_at is not None:
            word = word._replace(given_at=min(word.given_at, now()))
        found = bearing(word, [_word(row) for row in rows])
        if found is Bearing.NOTHING:
            continue
        # Clocks of two machines differ: what comes after must not seem to come before.
        at_least = rows[-1].recorded_at + timedelta(microseconds=1) if rows else now()
        session.add(
            ConsentRow(
                contact_id=contact_id,
                topic=word.topic,
                state=word.state,
                source=word.source,
                recorded_by=word.recorded_by,
                wording=word.wording,
                purpose=word.purpose,
                recorded_at=word.given_at or max(now(), at_least),
            )
        )
        await session.flush()
        if found is Bearing.COUNTS:
            counting.append(word)
    return counting


async def consent_of(session: AsyncSession, contact_id: str) -> dict[str, ConsentState]:
    """The contact's latest word by topic."""
    return {row.topic: ConsentState(row.state) for row in reversed(await consent_record(session, contact_id))}


async def consent_record(session: AsyncSession, contact_id: str) -> list[ConsentRow]:
    """Every word of the contact that we were told of, those given last first."""
    query = select(ConsentRow).where(ConsentRow.contact_id == contact_id)
    return list(await session.exec(query.order_by(*(each.desc() for each in _IN_ORDER))))


async def topics_written_about(session: AsyncSession, contact_id: str) -> set[str]:
    """Topics that the contact has had messages about which they may opt out of."""
    query = select(MessageRow.topic).where(
        MessageRow.contact_id == contact_id,
        col(MessageRow.person_id).is_(None),
        col(MessageRow.handed_over_at).is_not(None),
        col(MessageRow.message_class) != MessageClass.TRANSACTIONAL,
    )
    return {topic for topic in await session.exec(query.distinct()) if topic is not None}


async def _rows_on(session: AsyncSession, contact_id: str, topic: str) -> Sequence[ConsentRow]:
    query = select(ConsentRow).where(ConsentRow.contact_id == contact_id, ConsentRow.topic == topic)
    return (await session.exec(query.order_by(*_IN_ORDER))).all()


def _word(row: ConsentRow) -> Word:
    return Word(
        topic=row.topic,
        state=ConsentState(row.state),
        source=row.source,
        recorded_by=row.recorded_by,
        wording=row.wording,
        purpose=row.purpose,
        given_at=row.recorded_at,
    )
