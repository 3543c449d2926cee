"""The account's rate: kept by the task queue, over all workers and whatever waits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.outgoing import Outgoing
from domain.contacts import ContactProfile
from domain.messages import EmailMessage, Receipt
from runtime.dispatch import Dispatcher
from runtime.in_turns import in_turns
from runtime.settings import Settings
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll
from store.tables import EnrollmentRow
from tests.activities.sending import Post
from tests.flows.specimen_templates import specimen_templates
from tests.flows.specimens.caller import Caller
from tests.temporal_server import temporal_server
from tests.waiting import until
from worker.process import working

CONTACTS, RATE = 30, 8


class Clocked(Post):
    """Knows when each message came."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[float] = []

    def send(self, message: EmailMessage) -> Receipt:
        self.came.append(time.monotonic())
        return super().send(message)


@pytest.fixture
async def own_temporal() -> AsyncIterator[WorkflowEnvironment]:
    """Its queue keeps this test's rate: others are not to be slowed down by it."""
    async with await temporal_server() as environment:
        yield environment


async def test_what_waits_goes_out_at_the_configured_rate(
    own_temporal: WorkflowEnvironment, database: Database, tmp_path: Path
) -> None:
    client = own_temporal.client
    post = Clocked()
    settings = Settings(data_dir=tmp_path, email_rate=RATE)
    flows = {"caller": Caller}
    dispatcher = Dispatcher(database, client, {"caller": Caller.about})
    rows: list[EnrollmentRow] = []
    async with database.write() as session:
        for number in range(CONTACTS):
            contact = (
                await upsert_contact(session, ContactProfile(email=f"c{number}@example.com"), {}, "test")
            ).contact
            rows.append(await enroll(session, flow="caller", contact_id=contact.id, settings={}, reenroll_after=None))
    await in_turns(dispatcher.start, rows)
    async with working(client, settings, database, Outgoing(post), specimen_templates(), flows):
        await until(lambda: len(post.came) == CONTACTS)
        for row in rows:
            await dispatcher.cancel(row)
    # Slower is no fault: of a machine that is busy nothing can be told. What the queue may let through at once is a
    # second's worth, and as much again while the others come.
    assert post.came[-1] - post.came[0] >= (CONTACTS - 2 * RATE) / RATE
