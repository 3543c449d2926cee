"""Each part of an erasure: done once however often it is tried, waited for, and certified as it was."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta

import pytest
from sqlmodel import col, select, update
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.erasure import Erasure, ErasureActivities
from domain.erasure import ENDED_FROM_OUTSIDE, Asked, Certificate, ErasureRefused, ProviderReply
from domain.flows import Exit, Outcome
from domain.messages import MessageStatus, ProviderUnavailable
from store.database import Database
from store.enrollments import active_enrollments, record_outcome
from store.erasure_requests import request_erasure
from store.erasures import certificate
from store.ledger_tables import MessageRow
from store.tables import ContactRow, CrmChangeRow, EnrollmentRow, ErasureRow, now
from tests.store.canary import Canary

MINUTE = timedelta(minutes=1)


class Runs:
    """Temporal, as far as an erasure sees it. `there` are the ids of runs, which a look deletes; `later` come after."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.calls: list[str] = []
        self.answering = True
        self.there: list[str] = []
        self.later: list[str] = []

    async def tell_to_leave(self, contact_id: str) -> None:
        self.calls.append("told")
        if self.answering:
            await self._end(contact_id, Outcome(exit=Exit.ERASED, step=None))

    async def end(self, contact_id: str) -> None:
        self.calls.append("ended")
        await self._end(contact_id, Outcome(exit=Exit.ERASED, step=None, reason=ENDED_FROM_OUTSIDE))

    async def delete(self, contact_id: str) -> frozenset[str]:
        self.calls.append("deleted")
        found, self.there, self.later = frozenset(self.there), self.later, []
        return found

    async def _end(self, contact_id: str, outcome: Outcome) -> None:
        async with self._database.write() as session:
            for row in await active_enrollments(session, contact_id):
                await record_outcome(session, row.id, outcome)


class Provider:
    def __init__(self) -> None:
        self.asked: list[tuple[str, set[str]]] = []
        self.fault: Exception | None = None

    def erase(self, email: str, message_ids: Collection[str]) -> ProviderReply:
        assert threading.current_thread() is not threading.main_thread()
        self.asked.append((email, set(message_ids)))
        if self.fault is not None:
            raise self.fault
        return ProviderReply(outcome=Asked.ACCEPTED, detail="job 1")

    def close(self) -> None:
        """Nothing is held open."""


class Case:
    """The erasure of Ada, whose rows are in every table."""

    def __init__(self, database: Database, ada: Canary, erasure: ErasureRow) -> None:
        self.database = database
        self.ada = ada
        self.runs = Runs(database)
        self.providers = {"sendgrid": Provider(), "outbox": Provider()}
        self.activities = ErasureActivities(database, self.runs, self.providers, times_looked=3, settling=MINUTE)
        self.order = Erasure(erasure_id=erasure.id)
        self.heartbeats: list[object] = []

    @property
    def parts(self) -> list[Callable[[Erasure], Awaitable[None]]]:
        each = self.activities
        return [each.leave_flows, each.ask_providers, each.delete_rows, each.delete_histories, each.finish]

    async def attempt(
        self, part: Callable[[Erasure], Awaitable[None]], number: int = 1, since: timedelta = MINUTE
    ) -> ApplicationError | None:
        """Try a part for the how manieth time, `since` it was to be done; answer the failure that is retried."""
        environment = ActivityEnvironment()
        environment.on_heartbeat = lambda *details: self.heartbeats.__setitem__(slice(None), details)
        environment.info = dataclasses.replace(
            environment.info, attempt=number, scheduled_time=now() - since, heartbeat_details=list(self.heartbeats)
        )
        try:
            await environment.run(part, self.order)
        except ApplicationError as error:
            failure = error
        else:
            return None
        assert not failure.non_retryable
        assert [mark for mark in self.ada.marks if mark in str(failure)] == []
        return failure

    async def done(self) -> Certificate:
        return certificate(await self.erasure())

    async def erasure(self) -> ErasureRow:
        async with self.database.read() as session:
            return await session.get_one(ErasureRow, self.order.erasure_id)

    async def message(self, **values: object) -> None:
        async with self.database.write() as session:
            await session.exec(update(MessageRow).values(**values))


@pytest.fixture
async def case(database: Database) -> Case:
    ada = Canary("ada")
    async with database.write() as session:
        await ada.insert(session)
        await session.exec(update(EnrollmentRow).values(status="active", ended_at=None, exit_reason=None))
        await session.exec(update(MessageRow).values(status=MessageStatus.SENT, provider="sendgrid", attempts=[]))
        erasure = await request_erasure(session, ada.contact.id, "api")
    assert erasure is not None
    return Case(database, ada, erasure)


async def test_flows_are_left_and_what_is_under_way_is_waited_for(case: Case) -> None:
    case.runs.answering = False
    waiting = await case.attempt(case.activities.leave_flows)
    assert waiting is not None
    assert (waiting.type, waiting.next_retry_delay) == ("StillUnderWay", timedelta(seconds=2))
    assert (await case.done()).flows is None

    case.runs.answering = True
    await case.message(status=MessageStatus.SENDING)
    handing_over = await case.attempt(case.activities.leave_flows, 2)
    assert handing_over is not None
    assert "messages with a provider: 1" in str(handing_over)
    await case.message(status=MessageStatus.SENT)
    assert await case.attempt(case.activities.leave_flows, 3) is None
    left = (await case.done()).flows
    assert left is not None
    assert (left.enrollments, left.terminated) == (1, 0)
    assert "ended" not in case.runs.calls


async def test_runs_that_do_not_answer_in_time_are_ended_from_outside(case: Case) -> None:
    case.runs.answering = False
    await case.message(status=MessageStatus.SENDING)
    assert await case.attempt(case.activities.leave_flows, 3) is not None
    assert case.runs.calls == ["told"]
    assert await case.attempt(case.activities.leave_flows, 4) is None
    left = (await case.done()).flows
    assert left is not None
    assert (left.enrollments, left.terminated) == (1, 1)


async def test_every_provider_that_had_a_message_is_asked_and_no_other(case: Case) -> None:
    await case.message(provider="outbox", attempts=[{"provider": "sendgrid"}, {"outcome": "settled"}])
    assert await case.attempt(case.activities.ask_providers) is None
    async with case.database.read() as session:
        (message,) = await session.exec(select(MessageRow.id))
    for provider in case.providers.values():
        assert provider.asked == [(case.ada.contact.email, {message})]
    asked = (await case.done()).providers
    assert asked is not None
    assert {(each.provider, each.outcome, each.detail) for each in asked} == {
        ("sendgrid", Asked.ACCEPTED, "job 1"),
        ("outbox", Asked.ACCEPTED, "job 1"),
    }


async def test_who_had_no_message_does_not_learn_the_address(case: Case) -> None:
    assert await case.attempt(case.activities.ask_providers) is None
    assert case.providers["outbox"].asked == []


async def test_a_provider_that_is_away_is_asked_again_and_the_others_are_not(case: Case) -> None:
    await case.message(attempts=[{"provider": "outbox"}])
    case.providers["outbox"].fault = ProviderUnavailable("away", timedelta(minutes=5))
    away = await case.attempt(case.activities.ask_providers)
    assert away is not None
    assert (away.type, away.message, away.next_retry_delay) == ("ProviderAway", "away", timedelta(minutes=5))
    case.providers["outbox"].fault = None
    assert await case.attempt(case.activities.ask_providers, 2) is None
    assert [len(provider.asked) for provider in case.providers.values()] == [1, 2]
    asked = (await case.done()).providers
    assert asked is not None
    assert sorted(each.provider for each in asked) == ["outbox", "sendgrid"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ErasureRefused("no permission"), "no permission"),
        (ProviderUnavailable("away"), "given up after 1 day: away"),
    ],
)
async def test_what_a_provider_does_not_do_is_left_to_people(case: Case, fault: Exception, told: str) -> None:
    case.providers["sendgrid"].fault = fault
    assert await case.attempt(case.activities.ask_providers, since=timedelta(days=1, seconds=1)) is None
    (asked,) = (await case.done()).providers or []
    assert (asked.outcome, asked.detail) == (Asked.BY_HAND, told)


async def test_who_cannot_be_asked_is_left_to_people(case: Case) -> None:
    await case.message(provider="smtp")
    async with case.database.write() as session:
        await session.exec(update(CrmChangeRow).values(mirror="told"))
    assert await case.attempt(case.activities.ask_providers) is None
    asked = (await case.done()).providers
    assert asked is not None
    assert {(each.provider, each.outcome, each.detail) for each in asked} == {
        ("smtp", Asked.BY_HAND, "there is no way to ask it; messages that it had: 1"),
        ("crm-webhook", Asked.BY_HAND, "changes that its receiver may know: 1"),
    }


async def test_runs_are_looked_for_until_none_is_found_and_each_counts_once(case: Case) -> None:
    case.runs.there, case.runs.later = ["run-1", "run-2"], ["run-2", "run-3"]
    for number in (1, 2):
        again = await case.attempt(case.activities.delete_histories, number)
        assert again is not None
        assert (again.type, again.next_retry_delay) == ("LookAgain", MINUTE)
    assert await case.attempt(case.activities.delete_histories, 3) is None
    deleted = (await case.done()).histories
    assert deleted is not None
    assert deleted.runs == 3


async def test_nothing_found_is_believed_at_the_second_look(case: Case) -> None:
    assert await case.attempt(case.activities.delete_histories, 1) is not None
    assert await case.attempt(case.activities.delete_histories, 2) is None
    assert case.runs.calls == ["deleted", "deleted"]


async def test_a_part_that_is_done_is_not_done_again(case: Case) -> None:
    for part in case.parts:
        assert await case.attempt(part, 2) is None
        done, calls = await case.done(), list(case.runs.calls)
        for earlier in case.parts[: case.parts.index(part) + 1]:
            assert await case.attempt(earlier, 2) is None
        assert await case.done() == done
        assert case.runs.calls == calls
    assert len(case.providers["sendgrid"].asked) == 1


async def test_in_the_end_nothing_says_who_it_was(case: Case) -> None:
    for part in case.parts:
        await case.attempt(part, 2)
    erasure = await case.erasure()
    assert (erasure.contact_id, erasure.finished_at is not None) == (None, True)
    assert [mark for mark in case.ada.marks if mark in repr(erasure)] == []
    async with case.database.read() as session:
        assert (await session.exec(select(ContactRow).where(col(ContactRow.id) == case.ada.contact.id))).all() == []
    rows = (await case.done()).rows
    assert rows is not None
    assert rows.by_table["contacts"] == 1
