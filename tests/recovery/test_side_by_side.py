"""Two workers and two API processes on one database and one Temporal: they share the work, and do none of it twice.

Forty-five contacts in the suite; as many as CAUCE_TEST_SIDE_BY_SIDE says, with the figures, by hand.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from sqlmodel import func, select

from cli.ports import LOOPBACK, unused_port
from store.database import Database
from store.ledger_tables import MessageRow
from store.partitions import AHEAD, EVENTS, PARTITIONED, later, months, partition_name
from store.tables import EnrollmentRow, EventRow, month_of, now
from tests.cli.processes import environment
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid
from tests.temporal_server import temporal_server
from tests.waiting import until

CONTACTS = int(os.environ.get("CAUCE_TEST_SIDE_BY_SIDE", "45"))
PATIENCE = 60 + CONTACTS / 5
SECRET = "a secret key side by side"
AT_ONCE = 8
"""Requests under way at each API process."""
pytestmark = pytest.mark.timeout(120 + CONTACTS)


class Beside(NamedTuple):
    """What they share, where each API process is reached, and what each of the four has logged."""

    database: Database
    sendgrid: FakeSendGrid
    apis: tuple[httpx.AsyncClient, httpx.AsyncClient]
    folder: Path

    def logged(self, number: int) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / f"{number}.log").read_text().splitlines()]

    def sent_by(self, worker: int) -> list[str]:
        """The ids of the messages that a worker had taken by the provider."""
        return [line["message_id"] for line in self.logged(worker) if line["message"] == "email sent"]


@asynccontextmanager
async def side_by_side(folder: Path, database_url: str) -> AsyncIterator[Beside]:
    ports = (unused_port(), unused_port())
    sendgrid = FakeSendGrid()
    sendgrid.start()
    async with await temporal_server() as temporal:
        variables = {
            "CAUCE_DATABASE_URL": database_url,
            "CAUCE_SECRET_KEY": SECRET,
            "CAUCE_MAILER": "sendgrid",
            "CAUCE_SENDGRID_URL": sendgrid.url,
            "SENDGRID_API_KEY": API_KEY,
            "CAUCE_EMAIL_RATE": "1000",
            "TEMPORAL_ADDRESS": temporal.client.service_client.config.target_host,
        }
        processes = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.recovery.beside", str(folder)),
            *("worker", "worker", *(f"api --port {port}" for port in ports)),
            env=environment(folder / "data", **variables),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        database = Database(database_url, [SECRET])
        try:
            async with (
                httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{ports[0]}", timeout=30) as one,
                httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{ports[1]}", timeout=30) as other,
            ):
                beside = Beside(database, sendgrid, (one, other), folder)
                await until(lambda: all_ready(beside), within=60, every=0.05)
                yield beside
            assert processes.stdin is not None
            processes.stdin.close()
            assert await processes.wait() == 0
        finally:
            if processes.returncode is None:
                os.killpg(processes.pid, signal.SIGKILL)
                await processes.wait()
            await database.close()
            sendgrid.stop()


async def all_ready(beside: Beside) -> bool:
    for worker in (0, 1):
        log = beside.folder / f"{worker}.log"
        if not log.exists() or "worker is ready" not in log.read_text():
            return False
    try:
        answers = [await api.get("/readyz") for api in beside.apis]
    except httpx.TransportError:
        return False
    return all(answer.status_code == 200 for answer in answers)


async def test_two_workers_and_two_apis_share_the_work_and_do_none_of_it_twice(
    tmp_path: Path, postgres_url: str
) -> None:
    last = later(month_of(now()), AHEAD)
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"DROP TABLE {partition_name(EVENTS, last)}")
    async with side_by_side(tmp_path, postgres_url) as beside:
        began = time.monotonic()
        answers = await in_turn([enroll(beside, number) for number in range(CONTACTS)])
        enrolled_after = time.monotonic() - began
        await until(lambda: len(beside.sendgrid.accepted) >= CONTACTS, within=PATIENCE, every=0.05)
        welcomed_after = time.monotonic() - began
        told = await in_turn([tell_both(beside, number) for number in range(CONTACTS)])
        await until(lambda: all_ended(beside.database), within=PATIENCE, every=0.1)
        ended_after = time.monotonic() - began
        async with beside.database.read() as session:
            enrollments = list(await session.exec(select(EnrollmentRow)))
            messages = list(await session.exec(select(MessageRow)))
            events = list(await session.exec(select(EventRow.id)))
            there = {table.name: await months(session, table) for table in PARTITIONED}
    sent_by = [beside.sent_by(worker) for worker in (0, 1)]
    print(  # noqa: T201 (the figures are asked for)
        f"\n{CONTACTS} contacts: enrolled after {enrolled_after:.1f} s, welcomed after {welcomed_after:.1f} s, ended "
        f"after {ended_after:.1f} s; messages by worker: {[len(ids) for ids in sent_by]}"
    )
    assert Counter(answers) == expected_answers()
    assert Counter(told) == {(202, 202): CONTACTS}
    # Each contact is in the flow once, whichever process was asked, and however often.
    assert Counter(Counter(row.contact_id for row in enrollments).values()) == {1: CONTACTS}
    assert {row.exit for row in enrollments} == {"goal"}
    assert sorted(events) == sorted(event_id(number) for number in range(CONTACTS))
    # Each message was handed over once, by one of the workers, and both had some.
    assert Counter((row.step, row.status, row.handovers) for row in messages) == {("welcome", "sent", 1): CONTACTS}
    taken = Counter(body["custom_args"]["cauce_message_id"] for body in beside.sendgrid.accepted)
    assert taken == dict.fromkeys((row.id for row in messages), 1)
    assert sorted(sent_by[0] + sent_by[1]) == sorted(taken)
    assert min(len(ids) for ids in sent_by) >= CONTACTS / 10
    # The month that was missing was made, by one of them.
    assert there == {table.name: [later(last, -by) for by in range(AHEAD + 1, -1, -1)] for table in PARTITIONED}
    made = [line["partition"] for worker in (0, 1) for line in beside.logged(worker) if line["message"] == "made"]
    assert made == [partition_name(EVENTS, last)]


async def in_turn(work: list[Any]) -> list[Any]:
    """Do it, some at once, in the order given."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def when_it_is_its_turn(each: Any) -> Any:
        async with turn:
            return await each

    return await asyncio.gather(*map(when_it_is_its_turn, work))


async def enroll(beside: Beside, number: int) -> tuple[int, ...]:
    """Of three contacts one through either API, one through both at once, and one so with the same key."""
    body = {"contact": {"email": f"c{number}@example.com", "first_name": f"C{number}"}}
    headers = {"Idempotency-Key": f"key-{number}"} if number % 3 == 2 else {}
    asked = beside.apis[number % 2 : number % 2 + 1] if number % 3 == 0 else beside.apis
    answers = await asyncio.gather(
        *(api.post("/v1/flows/onboarding/enrollments", json=body, headers=headers) for api in asked)
    )
    assert len({answer.json()["id"] for answer in answers if answer.is_success}) == 1
    return tuple(sorted(answer.status_code for answer in answers))


def expected_answers() -> dict[tuple[int, ...], int]:
    by_kind = Counter(number % 3 for number in range(CONTACTS))
    return {(201,): by_kind[0], (201, 409): by_kind[1], (201, 201): by_kind[2]}


async def tell_both(beside: Beside, number: int) -> tuple[int, ...]:
    """The event that the flow waits for, with the same id through both APIs at once."""
    body = {"email": f"c{number}@example.com", "name": "activated", "id": event_id(number)}
    answers = await asyncio.gather(*(api.post("/v1/events", json=body) for api in beside.apis))
    return tuple(answer.status_code for answer in answers)


def event_id(number: int) -> str:
    return f"shop-{number}"


async def all_ended(database: Database) -> bool:
    query = select(func.count()).select_from(EnrollmentRow).where(EnrollmentRow.status != "ended")
    async with database.read() as session:
        return (await session.exec(query)).one() == 0
