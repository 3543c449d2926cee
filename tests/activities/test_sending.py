"""When messages go out and by whom: caps, hours, outages, failover, doubts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.email import ResendEmail
from activities.outgoing import Outgoing
from domain.circuit import CircuitRules
from domain.frequency import Cap
from domain.messages import (
    DeliveryAmbiguous,
    InOutage,
    MessageClass,
    MessageRejected,
    MessageStatus,
    ProviderUnavailable,
    RateLimited,
    SendResult,
    Settlement,
)
from domain.sending_hours import SendingHours
from domain.sending_rules import SendingRules
from store.database import Database
from store.ledger import lock_message, settle_doubt
from tests.activities.sending import Desk, Paused, Post, desk
from tests.address_keys import ADDRESS_KEYS

DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
AWAY = ProviderUnavailable("not reached")
SILENT = DeliveryAmbiguous("no answer")
NIGHT = datetime(2026, 6, 2, 3, tzinfo=UTC)
on_both_databases = pytest.mark.parametrize("database_url", ["sqlite_url", "postgres_url"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(getattr(request, "param", "sqlite_url")))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, ADDRESS_KEYS)
    yield opened
    await opened.close()


def sent(result: SendResult | Paused) -> bool:
    return isinstance(result, SendResult) and result.status is MessageStatus.SENT


def seconds(result: SendResult | Paused, kind: str) -> float:
    """Until the next attempt, of one that was told to come again."""
    assert isinstance(result, Paused), result
    assert (result.kind, result.delay is not None) == (kind, True)
    return result.delay.total_seconds() if result.delay else 0


async def entered(at: Desk, count: int, flow: str = "drip") -> list[str]:
    """Enrollments of as many contacts."""
    contacts = [await at.contact(email=f"c{number}@example.com") for number in range(count)]
    return [await at.enter(contact, flow) for contact in contacts]


@on_both_databases
async def test_of_a_hundred_flows_that_write_to_one_contact_at_once_as_many_do_as_the_cap_allows(
    database: Database,
) -> None:
    post, rules = Post(), SendingRules(caps={MessageClass.RELATIONSHIP: (Cap(limit=2, within=DAY),)})
    async with desk(database, Outgoing(post), rules, flows=100) as at:
        ada = await at.contact()
        flows = ["drip", *(f"drip-{number}" for number in range(1, 100))]
        enrolled = [await at.enter(ada, flow) for flow in flows]
        results = await asyncio.gather(*map(at.send, enrolled))
        rows = await at.messages()
    assert len(post.taken) == 2
    assert Counter(row.status for row in rows) == {"sent": 2, "deferred": 98}
    until = {result.until for result in results if isinstance(result, SendResult) and result.until}
    assert until == {at.clock + DAY}


@on_both_databases
async def test_of_two_flows_at_once_one_waits_for_the_gap(database: Database) -> None:
    post = Post()
    async with desk(database, Outgoing(post), SendingRules(minimum_gap=4 * HOUR), flows=2) as at:
        ada = await at.contact()
        both = [await at.enter(ada), await at.enter(ada, "drip-1")]
        await asyncio.gather(*map(at.send, both))
        assert len(post.taken) == 1
        at.clock += 4 * HOUR
        assert all(map(sent, [await at.send(each) for each in both]))
    assert len(post.taken) == 2


async def test_what_a_provider_surely_did_not_take_is_counted_by_no_cap(database: Database) -> None:
    post, rules = Post(), SendingRules(caps={MessageClass.RELATIONSHIP: (Cap(limit=1, within=DAY),)})
    async with desk(database, Outgoing(post), rules, flows=3) as at:
        ada = await at.contact()
        for flow, trouble in (("drip", AWAY), ("drip-1", MessageRejected("no")), ("drip-2", None)):
            post.trouble = trouble
            result = await at.send(await at.enter(ada, flow))
        assert sent(result)


async def test_in_quiet_hours_a_message_waits_and_then_goes_out_in_the_first_part_of_the_morning(
    database: Database,
) -> None:
    post, hours = Post(), SendingHours(begins=time(9), ends=time(18))
    async with desk(database, Outgoing(post), SendingRules(hours=hours)) as at:
        at.at(NIGHT)
        enrolled = await at.enter(await at.contact(country="CL"))
        result = await at.send(enrolled)
        assert isinstance(result, SendResult)
        assert (result.status, result.reason, post.calls) == (MessageStatus.DEFERRED, "quiet hours", 0)
        assert result.until is not None
        nine_in_santiago = datetime(2026, 6, 2, 13, tzinfo=UTC)
        assert nine_in_santiago <= result.until < nine_in_santiago + HOUR
        row = await at.message(enrolled)
        assert (row.status, row.deferred_until, row.handovers) == ("deferred", result.until, 0)
        assert row.decision["hours"] == {
            "time_zone": "America/Santiago",
            "time_zone_of": "country",
            "open": False,
            "opens_at": "2026-06-02T13:00:00Z",
            "closes_at": "2026-06-02T22:00:00Z",
        }
        at.at(result.until)
        assert sent(await at.send(enrolled))


async def test_a_provider_that_is_out_of_order_is_asked_by_few_then_by_one_and_then_by_all(database: Database) -> None:
    post = Post()
    async with desk(database, Outgoing(post, rules=CircuitRules(failures_to_open=3))) as at:
        enrolled = await entered(at, 12)
        post.trouble = AWAY
        for each in enrolled[:3]:
            assert (await at.send(each)) == Paused("EmailNotAccepted", None)
        waits = [seconds(await at.send(each), "ProviderPaused") for each in enrolled[3:]]
        assert post.calls == 3
        assert 30 <= min(waits) < max(waits) < 41, "not all at once"
        at.clock += 45 * SECOND
        probed = [await at.send(each) for each in enrolled]
        assert post.calls == 4
        assert [each for each in probed if isinstance(each, Paused) and each.kind == "EmailNotAccepted"] == probed[:1]
        post.trouble = None
        at.clock += 75 * SECOND
        assert all(map(sent, [await at.send(each) for each in enrolled]))
    assert sorted(post.taken) == sorted({*post.taken})
    assert len(post.taken) == 12
    row = await at.message(enrolled[-1])
    assert (row.handovers, row.reason) == (1, None)


async def test_a_provider_that_goes_silent_makes_few_doubts(database: Database) -> None:
    post = Post()
    async with desk(database, Outgoing(post, rules=CircuitRules(failures_to_open=3))) as at:
        enrolled = await entered(at, 10)
        post.trouble = SILENT
        for each in enrolled:
            await at.send(each)
        statuses = Counter(row.status for row in await at.messages())
    assert statuses == {"unconfirmed": 3, "ready": 7}


@pytest.mark.parametrize("answer", [MessageRejected("no such mailbox"), RateLimited("slowly", 2 * SECOND)])
async def test_who_answers_is_in_order_whatever_they_say(
    database: Database, answer: MessageRejected | RateLimited
) -> None:
    post = Post()
    async with desk(database, Outgoing(post, rules=CircuitRules(failures_to_open=2))) as at:
        enrolled = await entered(at, 6)
        for each, trouble in zip(enrolled, [AWAY, answer, AWAY, answer, AWAY, answer], strict=True):
            post.trouble = trouble
            await at.send(each)
    assert post.calls == 6


async def test_the_second_provider_gets_messages_when_the_first_is_away_for_long_and_only_then(
    database: Database,
) -> None:
    first, second = Post("first"), Post("second")
    outgoing = Outgoing(first, second, failover_after=5 * MINUTE, rules=CircuitRules(failures_to_open=1))
    async with desk(database, outgoing) as at:
        enrolled = await entered(at, 4)
        first.trouble = AWAY
        await at.send(enrolled[0])
        at.clock += 10 * SECOND
        seconds(await at.send(enrolled[1]), "ProviderPaused")
        for _ in range(2):
            at.clock += 100 * SECOND
            await at.send(enrolled[0])
        assert second.taken == []
        at.clock += 95 * SECOND
        assert sent(await at.send(enrolled[1]))
        assert (await at.message(enrolled[1])).provider == "second"
        seconds(await at.send(enrolled[2], InOutage.HOLD), "ProviderPaused")
        first.trouble = None
        at.clock += 10 * MINUTE
        assert sent(await at.send(enrolled[2], InOutage.HOLD))
        assert sent(await at.send(enrolled[3]))
    assert (len(first.taken), len(second.taken)) == (2, 1)


async def test_what_the_first_provider_may_have_never_goes_to_the_second(database: Database) -> None:
    first, second = Post("first"), Post("second")
    outgoing = Outgoing(first, second, failover_after=MINUTE, rules=CircuitRules(failures_to_open=1))
    async with desk(database, outgoing) as at:
        in_doubt, other = await entered(at, 2)
        first.trouble = SILENT
        assert (await at.send(in_doubt)) == SendResult(status=MessageStatus.UNCONFIRMED, reason="no answer")
        at.clock += 15 * SECOND
        first.trouble = AWAY
        at.clock += 30 * MINUTE
        await at.send(other)
        at.clock += SECOND
        assert sent(await at.send(other))
        message = await at.message(in_doubt)
        async with database.write() as session:
            locked = await lock_message(session, message.id)
            assert locked is not None
            settle_doubt(locked, Settlement.RESEND, by="person")
            session.add(locked)
        with at.on_time(), pytest.raises(Exception, match="first is out of order"):
            await ActivityEnvironment().run(at.email.resend, ResendEmail(message_id=message.id))
        assert second.taken == [(await at.message(other)).id]
        first.trouble = None
        at.clock += HOUR
        with at.on_time():
            result = await ActivityEnvironment().run(at.email.resend, ResendEmail(message_id=message.id))
        assert sent(result)
    assert first.taken == [message.id, message.id]


async def test_what_an_idempotent_provider_may_have_goes_to_it_again_and_to_no_other(database: Database) -> None:
    first, second = Post("first", idempotent=True), Post("second")
    outgoing = Outgoing(first, second, failover_after=timedelta(0), rules=CircuitRules(failures_to_open=1))
    async with desk(database, outgoing) as at:
        cut_off, other = await entered(at, 2)
        await at.send(cut_off)
        async with database.write() as session:
            (row,) = await at.messages()
            row.status = MessageStatus.SENDING  # as a worker leaves it that is killed
            session.add(row)
        first.trouble = AWAY
        await at.send(other)
        assert sent(await at.send(other))
        seconds(await at.send(cut_off), "ProviderPaused")
    assert (len(first.taken), len(second.taken)) == (1, 1)


async def test_a_step_may_have_a_task_given_in_place_of_its_message(database: Database) -> None:
    post = Post()
    outgoing = Outgoing(post, failover_after=MINUTE, rules=CircuitRules(failures_to_open=1))
    async with desk(database, outgoing) as at:
        (enrolled,) = await entered(at, 1)
        post.trouble = AWAY
        assert isinstance(await at.send(enrolled, InOutage.TASK), Paused)
        at.clock += 20 * SECOND
        assert isinstance(await at.send(enrolled, InOutage.TASK), Paused)
        at.clock += 2 * MINUTE
        assert isinstance(await at.send(enrolled, InOutage.TASK), Paused), "the probe"
        at.clock += 5 * SECOND
        result = await at.send(enrolled, InOutage.TASK)
        assert isinstance(result, SendResult)
        assert (result.status, result.outage) == (MessageStatus.SKIPPED, True)
        assert "a task is given in its place" in str(result.reason)
        post.trouble = None
        at.clock += HOUR
        again = await at.send(enrolled, InOutage.TASK)
    assert isinstance(again, SendResult)
    assert (again.status, post.taken) == (MessageStatus.SKIPPED, [])


@pytest.mark.parametrize(("exit_", "goes_out"), [("completed", True), ("unsubscribed", False), ("goal", False)])
async def test_a_resent_message_is_judged_anew(database: Database, exit_: str, goes_out: bool) -> None:
    post = Post()
    async with desk(database, Outgoing(post)) as at:
        (enrolled,) = await entered(at, 1)
        post.trouble = SILENT
        await at.send(enrolled)
        await at.end(enrolled, exit_)
        post.trouble = None
        message = await at.message(enrolled)
        async with database.write() as session:
            locked = await lock_message(session, message.id)
            assert locked is not None
            settle_doubt(locked, Settlement.RESEND, by="person")
            session.add(locked)
        result = await ActivityEnvironment().run(at.email.resend, ResendEmail(message_id=message.id))
        twice = await ActivityEnvironment().run(at.email.resend, ResendEmail(message_id=message.id))
        row = await at.message(enrolled)
    assert result.status == twice.status == ("sent" if goes_out else "skipped")
    assert post.calls == (2 if goes_out else 1)
    assert [attempt["outcome"] for attempt in row.attempts] == [
        "unconfirmed",
        "resend",
        *(["sent"] if goes_out else []),
    ]
