"""What a step's change of a contact comes to, also when the worker or the webhook's receiver fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from activities.crm import ApplyChange, CrmActivities
from domain.crm import AddScore, Change, Crm, CrmResult, SetLifecycle, SetOwner, Sunset
from integrations.webhook.crm import WebhookCrm
from store.crm import DatabaseCrm
from store.database import Database
from store.events import record_event
from store.suppressions import suppressions_of
from store.tables import ContactRow, EnrollmentRow, EventRow, now
from tests.activities.crashing import HARD_EXIT
from tests.activities.crm_attempt import Attempt, CrashPoint, run
from tests.integrations.crm_contract import NOBODY, changes, contact_of, ended, enrolled
from tests.integrations.scripted_server import Answer
from tests.integrations.webhook_receiver import WebhookReceiver

CRASHES: tuple[CrashPoint, ...] = get_args(CrashPoint)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as listening:
        yield listening


@pytest.fixture
async def enrollment(database: Database) -> EnrollmentRow:
    return await enrolled(database)


async def applied(
    crm: Crm, enrollment: EnrollmentRow, change: Change, step: str = "step", *, scheduled: datetime | None = None
) -> CrmResult:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, scheduled_time=scheduled or datetime.now(UTC))
    order = ApplyChange(enrollment_id=enrollment.id, step=step, change=change)
    return await environment.run(CrmActivities(crm).apply, order)


async def test_a_flow_learns_the_score_and_that_other_changes_are_done(
    database: Database, enrollment: EnrollmentRow
) -> None:
    crm = DatabaseCrm(database)
    assert await applied(crm, enrollment, AddScore(points=10), "a") == CrmResult(status="done", score=10)
    assert await applied(crm, enrollment, AddScore(points=5), "b") == CrmResult(status="done", score=15)
    assert await applied(crm, enrollment, SetLifecycle(stage="qualified"), "c") == CrmResult(status="done")


async def test_a_flow_goes_on_after_a_change_that_cannot_be_made(database: Database, enrollment: EnrollmentRow) -> None:
    result = await applied(DatabaseCrm(database), enrollment, SetOwner(person_id=NOBODY))
    assert result == CrmResult(status="refused", reason=f"there is no person {NOBODY}")


async def test_after_the_end_nothing_is_changed(database: Database, enrollment: EnrollmentRow) -> None:
    await ended(database, enrollment)
    result = await applied(DatabaseCrm(database), enrollment, AddScore(points=10))
    assert result == CrmResult(status="skipped", reason="the enrollment ended: goal")
    assert (await contact_of(database, enrollment)).score == 0


async def test_who_acts_once_the_step_has_begun_is_not_sunset(database: Database, enrollment: EnrollmentRow) -> None:
    began = now()
    async with database.write() as session:
        ada = await session.get_one(ContactRow, enrollment.contact_id)
        await record_event(session, ada, EventRow(id="e", contact_id=ada.id, name="bought", occurred_at=now()))
    result = await applied(DatabaseCrm(database), enrollment, Sunset(), scheduled=began)
    assert result.status == "refused"
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == frozenset()


async def test_a_receiver_that_is_down_is_asked_again_when_it_says(
    database: Database, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    crm = WebhookCrm(DatabaseCrm(database, mirrored=True), receiver.url, "0123456789abcdef", allow_private=True)
    receiver.script(Answer(status=429, headers={"Retry-After": "7"}))
    with pytest.raises(ApplicationError, match="the CRM webhook answered 429") as caught:
        await applied(crm, enrollment, AddScore(points=10))
    assert (caught.value.type, caught.value.non_retryable) == ("CrmUnavailable", False)
    assert caught.value.next_retry_delay == timedelta(seconds=7)
    assert caught.value.category is ApplicationErrorCategory.BENIGN
    assert caught.value.__cause__ is None
    assert await applied(crm, enrollment, AddScore(points=10)) == CrmResult(status="done", score=10)
    await crm.close()


def crashed(attempt: Attempt, crash: CrashPoint) -> bool:
    """Make one attempt in a process of its own, and say whether it exited hard."""
    argument = attempt.model_copy(update={"crash": crash}).model_dump_json()
    command = [sys.executable, "-m", "tests.activities.crm_attempt", argument]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == HARD_EXIT


@pytest.mark.parametrize("crash", CRASHES)
async def test_a_worker_that_dies_changes_once_and_tells_at_least_once(
    database: Database, sqlite_url: str, enrollment: EnrollmentRow, receiver: WebhookReceiver, crash: CrashPoint
) -> None:
    attempt = Attempt(enrollment_id=enrollment.id, database_url=sqlite_url, webhook_url=receiver.url)
    assert crashed(attempt, crash)
    for _ in range(2):
        assert await run(attempt) == CrmResult(status="done", score=10)
    assert (await contact_of(database, enrollment)).score == 10
    (row,) = await changes(database)
    assert row.mirror == "told"
    posts = 2 if crash == "before its answer is noted" else 1
    assert [post.json["id"] for post in receiver.posted] == [row.id] * posts
