"""`kill -9` while people are asked and contacts are being enrolled: nobody is asked or enrolled twice."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from domain.contacts import ContactProfile
from runtime.schedules import schedule_id
from store.contacts import upsert_contact
from store.database import Database
from tests.address_keys import ADDRESS_KEYS
from tests.cli.processes import Up, eventually
from tests.recovery.test_kill import kill, outcome, restarted

pytestmark = pytest.mark.timeout(300)

QUIET = 250
"""Contacts: more than two pages of the schedule's activity."""
MANAGER = {"email": "marta@example.com", "name": "Marta", "roles": ["sales_manager"]}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("recovery-people"), CAUCE_SWEEP_SECONDS="1") as running:
        running.until_ready()
        yield running


@pytest.fixture(scope="module")
def api(up: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=up.api_url, timeout=20, transport=httpx.HTTPTransport(retries=3)) as client:
        assert client.post("/v1/people", json=MANAGER).status_code == 201
        yield client


def test_an_approval_outlives_a_killed_worker_and_is_decided_by_its_link(up: Up, api: httpx.Client) -> None:
    contact = {
        "email": "quiet@example.com",
        "attributes": {"lifetime_value_cents": 900_000},
        "consent": {"offers": True},
    }
    settings = {"offer_after": "PT0S", "offer_valid_for": "PT2S", "last_chance_before": "PT1S"}
    answer = api.post("/v1/flows/reactivation/enrollments", json={"contact": contact, "settings": settings})
    enrollment = answer.raise_for_status().json()["id"]
    link = eventually("Marta is written to", lambda: link_to_answer(up))
    restarted(up, "worker", api)
    assert api.get(link).status_code == 200
    assert api.head(link).status_code in (200, 405)
    assert [row["status"] for row in approvals(api)] == ["pending"], "who only looks decides nothing"
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', api.get(link).text))
    decision = {**form, "choice": "approve"}
    eventually("a worker takes the decision", lambda: api.post(link, data=decision).status_code in (200, 303))
    assert outcome(api, enrollment) == "completed"
    assert [row["status"] for row in approvals(api)] == ["approved"]
    items = api.get("/v1/messages", params={"enrollment_id": enrollment}).json()["items"]
    counted = Counter((item["step"], item["status"]) for item in items)
    assert counted["offer", "sent"] == 1
    assert set(counted.values()) == {1}


def test_a_killed_enrollment_of_inactive_contacts_goes_on_and_enrolls_each_once(up: Up, api: httpx.Client) -> None:
    asyncio.run(quiet_contacts(up))
    asyncio.run(trigger(up))
    eventually("some are enrolled", lambda: enrolled(up))
    kill(up.children()["worker"])
    eventually("it goes on to its end", lambda: asyncio.run(runs(up)) >= 1)
    assert len(enrolled(up)) == QUIET
    asyncio.run(trigger(up))
    eventually("it ran again", lambda: asyncio.run(runs(up)) >= 2)
    assert set(Counter(enrolled(up)).values()) == {1}
    assert len(enrolled(up)) == QUIET


def approvals(api: httpx.Client) -> list[dict[str, object]]:
    items: list[dict[str, object]] = api.get("/v1/approvals").raise_for_status().json()["items"]
    return items


def link_to_answer(up: Up) -> str | None:
    for path in (up.data_dir / "outbox").glob("*.eml"):
        text = path.read_text().replace("=\n", "").replace("=3D", "=")
        if found := re.search(r"http://[^\s\"<>]+(/answer/approval/[^\s\"<>]+)", text):
            return found[1]
    return None


async def quiet_contacts(up: Up) -> None:
    database = Database(f"sqlite:///{up.data_dir / 'cauce.db'}", ADDRESS_KEYS)
    async with database.write() as session:
        for number in range(QUIET):
            profile = ContactProfile(email=f"inactive-{number}@example.com")
            contact = (await upsert_contact(session, profile, {}, "test")).contact
            contact.created_at = datetime.now(UTC) - timedelta(days=200)
    await database.close()


async def _client(up: Up) -> Client:
    return await Client.connect(up.temporal_address, data_converter=pydantic_data_converter)


async def trigger(up: Up) -> None:
    await (await _client(up)).get_schedule_handle(schedule_id("reactivation")).trigger()
    await asyncio.sleep(0.1)  # or the process may abort as it ends: sdk-python issue 300


async def runs(up: Up) -> int:
    """How many have ended; 0 while one is under way, during which the schedule begins no other."""
    description = await (await _client(up)).get_schedule_handle(schedule_id("reactivation")).describe()
    return 0 if description.info.running_actions else description.info.num_actions


def enrolled(up: Up) -> list[str]:
    with closing(sqlite3.connect(up.data_dir / "cauce.db")) as connection:
        rows = connection.execute("SELECT contact_id FROM enrollments WHERE origin = 'schedule'").fetchall()
    return [contact_id for (contact_id,) in rows]
