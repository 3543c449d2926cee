"""Batches of a broadcast: who gets it, who does not and why, and what the provider may answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from temporalio.testing import ActivityEnvironment

from activities.broadcast_orders import BatchDone
from activities.email import EmailActivities, ResendEmail
from activities.handover import Handover
from activities.outgoing import Outgoing
from domain.broadcasts import BroadcastStatus
from domain.frequency import Cap
from domain.messages import MessageClass, Settlement
from domain.sending_rules import SendingRules
from domain.suppressions import SuppressionReason
from emails.templates import Templates
from integrations.sendgrid.mailer import SendGridMailer
from store.database import Database
from store.holds import Scope, hold
from store.ledger import lock_message, settle_doubt
from store.ledger_tables import MessageRow
from store.suppressions import suppress
from store.tables import ContactRow
from tests.activities.broadcasting import MARISOL, asked_for, contacts, mailing_room, unsubscribe_url, withdrawn
from tests.activities.sending import Paused, Post
from tests.address_keys import ADDRESS_KEYS
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid, failure
from tests.integrations.scripted_server import Answer

on_both = pytest.mark.parametrize("database", ["sqlite_url", "postgres_url"], indirect=True)


@pytest.fixture
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    opened = Database(str(request.getfixturevalue(getattr(request, "param", "sqlite_url"))), ADDRESS_KEYS)
    yield opened
    await opened.close()


async def test_one_request_for_each_language_and_each_reads_their_own(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    ids = await contacts(database, 6)
    async with database.write() as session:
        for contact_id in ids[:2]:
            contact = await session.get_one(ContactRow, contact_id)
            contact.locale, contact.company = "es-CL", "Ñandú & Cía"
            session.add(contact)
    async with mailing_room(database, mailer) as room:
        broadcast = await asked_for(database, ids)
        done = await room.send_all(broadcast)
        rows = {row.id: row for row in await room.rows(broadcast)}
    assert (done.sent, len(sendgrid.accepted)) == (6, 2)
    letters = sendgrid.delivered()
    assert Counter("Calendarios" in letter.text for letter in letters) == {False: 4, True: 2}
    for letter in letters:
        row = rows[letter.message_id]
        assert letter.subject == row.subject
        assert letter.headers["list-unsubscribe"] == f"<{unsubscribe_url(row.contact_id)}>"
        assert f"<{unsubscribe_url(row.contact_id)}>" in letter.text
        assert letter.categories == ("broadcast", "broadcast/product-update")
    spanish = next(letter for letter in letters if "Calendarios" in letter.text)
    assert "en Ñandú & Cía pueden ver" in spanish.text
    assert "en Ñandú &amp; Cía pueden ver" in spanish.html


@on_both
async def test_who_may_not_be_written_to_is_skipped_with_the_reason(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    ids = await contacts(database, 5)
    (unasked,) = await contacts(database, 1, consent=False, email="unasked@example.com")
    async with database.write() as session:
        await suppress(session, "c0@example.com", SuppressionReason.HARD_BOUNCE, "test")
        session.add(withdrawn(ids[1]))
        await hold(session, Scope.CONTACT, ids[2])
    async with mailing_room(database, mailer) as room:
        broadcast = await asked_for(database, [*ids, unasked])
        done = await room.send_all(broadcast)
        found = {row.contact_id: (row.status, row.reason) for row in await room.rows(broadcast)}
    assert (done.sent, done.skipped, done.deferred) == (2, 3, 1)
    assert found == {
        ids[0]: ("skipped", "address suppressed: hard_bounce"),
        ids[1]: ("skipped", "contact opted out of product-news"),
        ids[2]: ("deferred", "the contact is held"),
        **dict.fromkeys(ids[3:], ("sent", None)),
        unasked: ("skipped", "no consent to product-news"),
    }
    assert {letter.to_email for letter in sendgrid.delivered()} == {"c3@example.com", "c4@example.com"}


@on_both
async def test_who_has_had_enough_waits_and_after_too_long_is_given_up(
    database: Database, mailer: SendGridMailer
) -> None:
    ids = await contacts(database, 2)
    rules = SendingRules(caps={MessageClass.MARKETING: (Cap(limit=1, within=timedelta(days=2)),)})
    async with mailing_room(database, mailer, rules=rules) as room:
        await room.send_all(await asked_for(database, ids[:1]))
        patient = await asked_for(database, ids)
        hasty = await asked_for(database, ids, give_up_after="P1D")
        assert (await room.send_all(patient)).deferred == 1
        done = await room.send_all(hasty)
        assert (done.sent, done.deferred, done.skipped) == (0, 0, 2)
        reasons = {row.reason for row in await room.rows(hasty)}
        assert all((reason or "").startswith("given up after 1 day: frequency cap") for reason in reasons)
        room.later(days=1)
        early = await room.send(patient)
        room.later(days=1, minutes=1)
        late = await room.send(patient)
        assert isinstance(early, BatchDone)
        assert isinstance(late, BatchDone)
        assert (early.sent, early.due_at is not None, late.sent, late.due_at) == (0, True, 1, None)


async def test_a_second_attempt_repeats_nothing(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    broadcast = await asked_for(database, await contacts(database, 10))
    async with mailing_room(database, mailer) as room:
        await room.begin(broadcast)
        await room.send(broadcast, 0, 6)
        again = await room.send(broadcast, 0, 6)
        await room.send(broadcast, 6, 10)
        assert again == BatchDone()
        assert await room.statuses(broadcast) == {"sent": 10}
    assert Counter(letter.to_email for letter in sendgrid.delivered()) == dict.fromkeys(
        (f"c{number}@example.com" for number in range(10)), 1
    )


async def test_one_bad_address_is_rejected_and_the_others_get_theirs(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    ids = await contacts(database, 9)
    async with database.write() as session:
        row = await session.get_one(ContactRow, ids[4])
        row.email = "not an address"
        session.add(row)
    async with mailing_room(database, mailer) as room:
        broadcast = await asked_for(database, ids)
        done = await room.send_all(broadcast)
        rejected = [row for row in await room.rows(broadcast) if row.status == "rejected"]
    assert (done.sent, done.rejected, len(sendgrid.accepted)) == (8, 1, 1)
    assert [row.contact_id for row in rejected] == [ids[4]]


@pytest.mark.parametrize("field", ["personalizations.3.to.0.email", "personalizations"])
async def test_letters_that_the_provider_complains_of_are_taken_out_of_the_batch(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid, field: str
) -> None:
    """Whether it names them or not. Nobody gets it twice meanwhile: it takes a batch as a whole or not at all."""

    class Picky(FakeSendGrid):
        def _judge(self, authorization: str, raw: bytes) -> Answer:
            if b"c3@example.com" in raw:
                return failure(
                    400, ("c3@example.com is not liked", field if raw.count(b'"to":') > 1 else "personalizations")
                )
            return super()._judge(authorization, raw)

    with Picky() as picky:
        choosy = SendGridMailer(API_KEY, picky.url)
        async with mailing_room(database, choosy) as room:
            broadcast = await asked_for(database, await contacts(database, 8))
            done = await room.send_all(broadcast)
            assert await room.statuses(broadcast) == {"sent": 7, "rejected": 1}
        choosy.close()
        assert (done.sent, done.rejected) == (7, 1)
        taken = Counter(letter.to_email for letter in picky.delivered())
    named = field != "personalizations"
    if not named:
        assert taken == {f"c{number}@example.com": 1 for number in range(8) if number != 3}
    assert max(taken.values()) == 1


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (failure(503), "ready", "EmailNotAccepted"),
        (failure(429, headers={"X-RateLimit-Reset": str(int(time.time()) + 3000)}), "ready", "EmailNotAccepted"),
        (failure(504), "unconfirmed", None),
        (Answer(lost="cut"), "unconfirmed", None),
    ],
    ids=["out of order", "too many", "lost by a gateway", "cut off"],
)
async def test_what_no_provider_has_is_tried_again_and_what_it_may_have_never(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid, answer: Answer, status: str, kind: str | None
) -> None:
    broadcast = await asked_for(database, await contacts(database, 10))
    async with mailing_room(database, mailer) as room:
        await room.begin(broadcast)
        sendgrid.script(answer)
        first = await room.send(broadcast, 0, 10)
        assert await room.statuses(broadcast) == {status: 10}
        assert (first.kind if isinstance(first, Paused) else None) == kind
        if answer.status == 429:
            assert isinstance(first, Paused)
            assert first.delay is not None
            assert first.delay > timedelta(minutes=40)
        room.later(minutes=10)
        await room.send(broadcast, 0, 10)
        assert await room.statuses(broadcast) == {"sent" if status == "ready" else "unconfirmed": 10}
    assert max(Counter(letter.message_id for letter in sendgrid.delivered()).values(), default=0) <= 1


async def test_after_a_batch_without_an_answer_one_letter_asks_whether_the_provider_is_back(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    broadcast = await asked_for(database, await contacts(database, 30))
    async with mailing_room(database, mailer) as room:
        await room.begin(broadcast)
        sendgrid.script(Answer(lost="cut"), Answer(lost="cut"))
        await room.send(broadcast, 0, 10)
        paused = await room.send(broadcast, 10, 20)
        assert isinstance(paused, Paused)
        assert paused.kind == "ProviderPaused"
        room.later(minutes=1)
        probed = await room.send(broadcast, 10, 20)
        assert isinstance(probed, Paused)
        assert await room.statuses(broadcast) == {"unconfirmed": 11}
        room.later(minutes=10)
        await room.send(broadcast, 10, 20)
        assert await room.statuses(broadcast) == {"unconfirmed": 11, "sent": 9}


@on_both
async def test_a_receipt_that_cannot_be_written_is_kept_in_the_heartbeat(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    broadcast = await asked_for(database, await contacts(database, 10))
    async with mailing_room(database, mailer) as room:
        await room.begin(broadcast)
        kept: list[Any] = []
        room.attempt.on_heartbeat = lambda *details: kept.append(details)
        settle = room.activities._handover._settle

        async def away(_answers: Any) -> None:
            raise OperationalError("", {}, Exception())

        room.activities._handover._settle = away  # type: ignore[assignment, method-assign]
        with pytest.raises(OperationalError):
            await room.send(broadcast, 0, 10)
        room.activities._handover._settle = settle  # type: ignore[method-assign]
        assert await room.statuses(broadcast) == {"sending": 10}
        assert len(str(kept[-1])) < 1000
        room.attempt = ActivityEnvironment()
        room.attempt.info = type(room.attempt.info)(**{**vars(room.attempt.info), "heartbeat_details": kept[-1]})
        await room.send(broadcast, 0, 10)
        assert await room.statuses(broadcast) == {"sent": 10}
    assert sendgrid.requests == 1


@on_both
async def test_what_was_with_the_provider_when_a_worker_died_is_listed_and_not_repeated(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    broadcast = await asked_for(database, await contacts(database, 10))
    async with mailing_room(database, mailer) as room:
        await room.begin(broadcast)
        await room.send(broadcast, 0, 10)
        async with database.write() as session:
            for row in await room.rows(broadcast):
                row.status = "sending"  # type: ignore[assignment]
                await session.merge(row)
        done = await room.send(broadcast, 0, 10)
        assert done == BatchDone()
        assert await room.statuses(broadcast) == {"unconfirmed": 10}
    assert sendgrid.requests == 1


async def test_a_text_that_varies_beyond_values_is_rendered_for_each(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    ids = await contacts(database, 45)
    async with database.write() as session:
        row = await session.get_one(ContactRow, ids[0])
        row.company = "Acme"
        session.add(row)
    async with mailing_room(database, mailer) as room:
        broadcast = await asked_for(database, ids, "your-say")
        done = await room.send_all(broadcast)
    assert (done.sent, len(sendgrid.accepted)) == (45, 45)
    assert Counter("others at Acme use it too" in letter.text for letter in sendgrid.delivered()) == {
        False: 44,
        True: 1,
    }


async def test_whose_values_do_not_fit_the_shared_text_gets_a_message_of_their_own(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    ids = await contacts(database, 6)
    async with database.write() as session:
        row = await session.get_one(ContactRow, ids[0])
        row.company = "Two  Spaces"
        session.add(row)
    async with mailing_room(database, mailer) as room:
        broadcast = await asked_for(database, ids)
        await room.send_all(broadcast)
        assert await room.statuses(broadcast) == {"sent": 6}
    assert sorted(len(body["personalizations"]) for body in sendgrid.accepted) == [1, 5]
    (odd,) = [letter for letter in sendgrid.delivered() if letter.to_email == "c0@example.com"]
    assert "From today Two Spaces can see" in odd.text


@pytest.mark.parametrize("idempotent", [True, False])
async def test_providers_without_batches_get_one_message_after_the_other(database: Database, idempotent: bool) -> None:
    post = Post(idempotent=idempotent)
    async with mailing_room(database, post) as room:
        broadcast = await asked_for(database, await contacts(database, 30))
        await room.send_all(broadcast)
        assert await room.statuses(broadcast) == {"sent": 30}
        async with database.write() as session:
            row = (await room.rows(broadcast))[0]
            row.status = "sending"  # type: ignore[assignment]
            await session.merge(row)
        await room.send(broadcast, 0, 30)
        doubted = {} if idempotent else {"unconfirmed": 1}
        assert await room.statuses(broadcast) == {"sent": 30 - len(doubted), **doubted}
    assert Counter(Counter(post.taken).values()) == ({1: 29, 2: 1} if idempotent else {1: 30})


@on_both
async def test_a_hold_and_a_cancellation_count_before_the_next_batch(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    broadcast = await asked_for(database, await contacts(database, 20), holdout=0.1)
    async with mailing_room(database, mailer) as room:
        await room.begin(broadcast)
        await room.send(broadcast, 0, 5)
        await room.change(broadcast, BroadcastStatus.HELD)
        held = await room.send(broadcast, 5, 10)
        assert held == BatchDone(standing=BroadcastStatus.HELD)
        await room.change(broadcast, BroadcastStatus.SENDING)
        await room.send(broadcast, 5, 10)
        await room.change(broadcast, BroadcastStatus.CANCELLING)
        assert await room.send(broadcast, 10, 18) == BatchDone(standing=BroadcastStatus.CANCELLING)
        assert (await room.end(broadcast)).skipped == 10
        await room.end(broadcast)
        assert await room.statuses(broadcast) == {"sent": 10, "skipped": 10}
        assert (await room.stored(broadcast)).status == BroadcastStatus.CANCELLED
    assert len(sendgrid.delivered()) == 10


async def test_a_template_that_is_gone_holds_it_and_says_so(database: Database, mailer: SendGridMailer) -> None:
    broadcast = await asked_for(database, await contacts(database, 2), "gone")
    async with mailing_room(database, mailer) as room:
        plan = await room.begin(broadcast)
        stored = await room.stored(broadcast)
    assert plan.standing is BroadcastStatus.HELD
    assert "emails/broadcast/gone" in (stored.reason or "")


async def test_no_more_than_the_rate_is_handed_over(database: Database, mailer: SendGridMailer) -> None:
    broadcast = await asked_for(database, await contacts(database, 20))
    async with mailing_room(database, mailer, per_second=100) as room:
        await room.begin(broadcast)
        began = time.monotonic()
        await room.send(broadcast, 0, 20)
    assert time.monotonic() - began >= 0.4


async def test_each_variant_goes_to_an_equal_part_of_the_test_and_the_winner_to_the_rest(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    variants = [{"name": name, "subject": {"en": f"{name} {{{{ contact.first_name }}}}", "es": name}} for name in "abc"]
    test = {"share": 0.3, "variants": variants}
    broadcast = await asked_for(database, await contacts(database, 40), test=test)
    async with mailing_room(database, mailer) as room:
        plan = await room.begin(broadcast)
        await room.send(broadcast, 0, plan.tested)
        rows = await room.rows(broadcast)
        assert Counter(row.variant for row in rows) == {"a": 4, "b": 4, "c": 4}
        async with database.write() as session:
            for row in [row for row in rows if row.variant == "b"][:2]:
                row.status, row.clicked = "clicked", True  # type: ignore[assignment]
                await session.merge(row)
            for row in [row for row in rows if row.variant == "c"]:
                row.status, row.machine_clicked = "opened", True  # type: ignore[assignment]
                await session.merge(row)
        assert (await room.choose_winner(broadcast)).variant == "b"
        await room.send(broadcast, plan.tested, plan.held_out)
    assert len(sendgrid.accepted) == 2
    assert Counter(letter.subject.split()[0] for letter in sendgrid.delivered()) == {"a": 4, "b": 32, "c": 4}


async def test_rows_say_what_was_decided_and_by_what(database: Database, mailer: SendGridMailer) -> None:
    broadcast = await asked_for(database, await contacts(database, 1))
    async with mailing_room(database, mailer) as room:
        await room.send_all(broadcast)
        (row,) = await room.rows(broadcast)
    assert (row.flow, row.step, row.message, row.enrollment_id) == (
        *("broadcast", "product-update", "product-update"),
        None,
    )
    assert (row.message_class, row.topic, row.handovers, row.provider) == ("marketing", "product-news", 1, "sendgrid")
    assert row.decision["consent"] == "granted"
    assert [attempt["outcome"] for attempt in row.attempts] == ["sent"]
    assert row.month == datetime.now(UTC).date().replace(day=1)
    assert isinstance(row, MessageRow)


async def test_a_doubt_that_is_settled_by_resending_goes_out_alone_with_the_subject_it_had(
    database: Database, mailer: SendGridMailer, sendgrid: FakeSendGrid
) -> None:
    variants = [{"name": name, "subject": {"en": f"Subject {name}", "es": name}} for name in "ab"]
    broadcast = await asked_for(
        database, await contacts(database, 2), "your-say", test={"share": 0.5, "variants": variants}
    )
    async with mailing_room(database, mailer) as room:
        sendgrid.script(Answer(status=500, lost="cut"), Answer(status=500, lost="cut"))
        await room.begin(broadcast)
        await room.send(broadcast, 0, 2)
        (doubted, _) = await room.rows(broadcast)
        assert doubted.status == "unconfirmed"
        async with database.write() as session:
            row = await lock_message(session, doubted.id)
            assert row is not None
            settle_doubt(row, Settlement.RESEND, "api")
            session.add(row)
        with ThreadPoolExecutor(1) as threads:
            email = EmailActivities(
                database=database,
                handover=Handover(database, Outgoing(mailer), threads),
                templates=Templates.load(only="broadcast"),
                sender=MARISOL,
                settings_models={},
                unsubscribe_url=unsubscribe_url,
                links={},
                rules=SendingRules(),
            )
            result = await ActivityEnvironment().run(email.resend, ResendEmail(message_id=doubted.id))
        (letter,) = sendgrid.delivered()
    assert (result.status, letter.message_id, letter.subject) == ("sent", doubted.id, doubted.subject)
    assert (doubted.subject or "").startswith("Subject ")
    assert letter.categories == ("broadcast", "broadcast/your-say")
