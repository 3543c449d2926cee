"""What contacts agreed to, topic by topic. Rows are only added: the latest counts, the others prove what was when.

The latest is the one that was given last, whenever we were told of it.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import insert
from sqlalchemy import select as select_columns
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.consent import Bearing, ConsentState, Word, bearing
from domain.messages import MessageClass
from store.among import among
from store.ledger_tables import MessageRow
from store.tables import ConsentRow, new_id, now

_IN_ORDER = (col(ConsentRow.recorded_at), col(ConsentRow.id))


class Recorded(NamedTuple):
    """A word that says something new, with when it was given; `counts`: it is the one that holds from now on."""

    contact_id: str
    word: Word
    counts: bool

    def columns(self) -> dict[str, Any]:
        columns = self.word._asdict()
        return {**columns, "id": new_id(), "contact_id": self.contact_id, "recorded_at": columns.pop("given_at")}


async def record_words(
    session: AsyncSession, contact_id: str, words: Iterable[Word], *, is_new: bool = False
) -> list[Word]:
    """Keep what these words say that is not known yet; answer those that count from now on.

    Whoever calls it has locked the contact: of two words at once, the second one sees the first. A word without a date
    is given now, and later than any that we were told of before. One with a date in the future is given now. A contact
    who `is_new` has said nothing before.
    """
    recorded = await record_words_of_many(session, {contact_id: list(words)}, are_new=is_new)
    return [each.word for each in recorded if each.counts]


async def record_words_of_many(
    session: AsyncSession, words: Mapping[str, Sequence[Word]], *, are_new: bool = False
) -> list[Recorded]:
    """`record_words` for many contacts, by id, at once; answer all that is new of them."""
    recorded = await what_is_new(session, words, are_new=are_new)
    if recorded:
        await session.exec(insert(ConsentRow), params=[each.columns() for each in recorded])
    return recorded


async def what_is_new(
    session: AsyncSession, words: Mapping[str, Sequence[Word]], *, are_new: bool = False
) -> list[Recorded]:
    """What `record_words_of_many` would write down, in the order in which the words come."""
    topics = {word.topic for said in words.values() for word in said}
    known = defaultdict[tuple[str, str], list[Word]](list)
    for contact_id, word in await _known(session, words, topics) if topics and not are_new else ():
        known[contact_id, word.topic].append(word)
    recorded = []
    for contact_id, said in words.items():
        for word in said:
            on_topic = known[contact_id, word.topic]
            found = bearing(_not_ahead(word), on_topic)
            if found is not Bearing.NOTHING:
                new = _given(word, on_topic)
                recorded.append(Recorded(contact_id, new, found is Bearing.COUNTS))
                insort(on_topic, new, key=lambda each: each.given_at or now())
    return recorded


def _not_ahead(word: Word) -> Word:
    return word if word.given_at is None else word._replace(given_at=min(word.given_at, now()))


def _given(word: Word, known: Sequence[Word]) -> Word:
    """The word with when it was given, among those that are known on its topic."""
    if word.given_at is not None:
        return _not_ahead(word)
    latest = known[-1].given_at if known else None
    # Clocks of two machines differ: what comes after must not seem to come before.
    return word._replace(given_at=max(now(), latest + timedelta(microseconds=1)) if latest else now())


async def _known(
    session: AsyncSession, contact_ids: Collection[str], topics: Collection[str] | None = None
) -> list[tuple[str, Word]]:
    """Words on these topics, or on all, by contact, in the order in which they were given."""
    row = ConsentRow
    # By column: an import asks for thousands of them.
    query = select_columns(
        col(row.contact_id),
        col(row.topic),
        col(row.state),
        col(row.source),
        col(row.recorded_by),
        col(row.wording),
        col(row.purpose),
        col(row.recorded_at),
    ).where(among(session, col(row.contact_id), contact_ids))
    if topics is not None:
        query = query.where(col(row.topic).in_(topics))
    found = await (await session.connection()).execute(query.order_by(*_IN_ORDER))
    return [(row[0], Word(row[1], ConsentState(row[2]), row[3], row[4], row[5], row[6], row[7])) for row in found]


async def consent_of(session: AsyncSession, contact_id: str) -> dict[str, ConsentState]:
    """The contact's latest word by topic."""
    return {row.topic: ConsentState(row.state) for row in reversed(await consent_record(session, contact_id))}


async def requested_topics(session: AsyncSession, contact_ids: Collection[str]) -> dict[str, set[str]]:
    """Of those of these contacts who have yet to confirm something, on which topics."""
    latest = {(contact_id, word.topic): word.state for contact_id, word in await _known(session, contact_ids)}
    topics = defaultdict[str, set[str]](set)
    for (contact_id, topic), state in latest.items():
        if state is ConsentState.REQUESTED:
            topics[contact_id].add(topic)
    return dict(topics)


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
