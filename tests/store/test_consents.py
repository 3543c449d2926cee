from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from domain.consent import CONTACT, ConsentState, Word
from domain.messages import MessageClass, MessageStatus
from store.consents import consent_of, consent_record, record_words, topics_written_about
from store.database import Database
from store.ledger_tables import MessageRow
from store.tables import ContactRow, EnrollmentRow, new_id, now, on_clock

GRANTED, WITHDRAWN = ConsentState.GRANTED, ConsentState.WITHDRAWN


async def tell(database: Database, contact: ContactRow, *words: Word) -> list[Word]:
    async with database.write() as session:
        return await record_words(session, contact.id, words)


async def latest(database: Database, contact: ContactRow) -> dict[str, ConsentState]:
    async with database.read() as session:
        return await consent_of(session, contact.id)


async def recorded(database: Database, contact: ContactRow) -> list[tuple[str, str, datetime]]:
    async with database.read() as session:
        return [(row.state, row.source, row.recorded_at) for row in await consent_record(session, contact.id)]


async def test_a_word_is_kept_with_all_that_is_told_of_it(database: Database, ada: ContactRow) -> None:
    given_at = now() - timedelta(days=30)
    word = Word("offers", GRANTED, "trade fair", "api", "3", "To send offers", given_at)
    assert await tell(database, ada, word) == [word]
    async with database.read() as session:
        (row,) = await consent_record(session, ada.id)
    assert (row.topic, row.state, row.source, row.recorded_by) == ("offers", "granted", "trade fair", "api")
    assert (row.wording, row.purpose, row.recorded_at) == ("3", "To send offers", given_at)


async def test_an_imported_older_word_is_kept_as_history_and_not_twice(database: Database, ada: ContactRow) -> None:
    long_ago = now() - timedelta(days=900)
    old = Word("offers", GRANTED, "import", "api", given_at=long_ago)
    assert len(await tell(database, ada, Word("offers", WITHDRAWN, "preferences", CONTACT))) == 1
    for _ in range(2):
        assert await tell(database, ada, old) == []
    assert await latest(database, ada) == {"offers": "withdrawn"}
    record = await recorded(database, ada)
    assert [(state, source) for state, source, _ in record] == [("withdrawn", "preferences"), ("granted", "import")]
    assert record[1][2] == long_ago


async def test_words_of_one_request_see_each_other(database: Database, ada: ContactRow) -> None:
    await tell(database, ada, Word("offers", GRANTED, "api", "api"), Word("offers", WITHDRAWN, "api", "api"))
    assert await latest(database, ada) == {"offers": "withdrawn"}


async def test_a_withdrawal_counts_although_this_machines_clock_is_behind(database: Database, ada: ContactRow) -> None:
    await tell(database, ada, Word("offers", GRANTED, "api", "api"))
    behind = now() - timedelta(hours=1)
    with on_clock(lambda: behind):
        await tell(database, ada, Word("offers", WITHDRAWN, "preferences", CONTACT))
    assert await latest(database, ada) == {"offers": "withdrawn"}


async def test_a_word_from_the_future_is_one_of_now_so_that_a_withdrawal_comes_after_it(
    database: Database, ada: ContactRow
) -> None:
    tomorrow = now() + timedelta(hours=20)
    await tell(database, ada, Word("offers", GRANTED, "import", "api", given_at=tomorrow))
    await tell(database, ada, Word("offers", WITHDRAWN, "preferences", CONTACT))
    assert await latest(database, ada) == {"offers": "withdrawn"}
    assert all(at <= now() for _, _, at in await recorded(database, ada))


async def test_topics_written_about_are_those_of_messages_that_went_out_to_the_contact(
    database: Database, ada: ContactRow
) -> None:
    def message(step: str, topic: str | None, **known: Any) -> MessageRow:
        columns: dict[str, Any] = {
            "flow": enrollment.flow,
            "enrollment_id": enrollment.id,
            "contact_id": ada.id,
            "step": step,
            "status": MessageStatus.SENT,
            "message_class": MessageClass.RELATIONSHIP,
            "topic": topic,
            "handed_over_at": now(),
        }
        return MessageRow(**{**columns, **known})

    enrollment = EnrollmentRow(flow="onboarding", contact_id=ada.id)
    async with database.write() as session:
        session.add(enrollment)
        await session.flush()
        session.add_all(
            [
                message("welcome", "onboarding"),
                message("tip", "onboarding"),
                message("news", "newsletter", message_class=MessageClass.MARKETING),
                message("receipt", "receipts", message_class=MessageClass.TRANSACTIONAL),
                message("skipped", "offers", handed_over_at=None, status=MessageStatus.SKIPPED),
                message("to-the-team", "leads", person_id=new_id()),
                message("of-earlier-versions", None, message_class=None),
            ]
        )
    async with database.read() as session:
        assert await topics_written_about(session, ada.id) == {"onboarding", "newsletter"}
        assert await topics_written_about(session, new_id()) == set()
