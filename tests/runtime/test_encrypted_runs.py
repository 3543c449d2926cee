"""A run whose payloads are encrypted is lived, asked and read like any other, and says nothing in plain."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from domain.contacts import ContactProfile
from domain.questions import Answer, Choice, Taken
from rehearsal.journey import MARTA, JourneysOn
from runtime.dispatch import Dispatcher
from runtime.encryption import ENCODING, EncryptionCodec, data_converter
from runtime.encryption_keys import EncryptionKey
from runtime.moving import open_runs
from runtime.recall import Unreadable, recall
from runtime.runs import TemporalRefused
from runtime.sweep import Sweep
from runtime.temporal import CONTACT_ID, STATE
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, request_cancel
from store.tables import EnrollmentRow, new_id, now
from tests.flows.specimen_templates import with_specimens
from tests.flows.specimens.sealed import Sealed
from tests.waiting import until

KEY = EncryptionKey("2026-11", b"\x01" * 32)
OTHER = EncryptionKey("2027-01", b"\x02" * 32)
FLOWS = {"sealed": Sealed.about}
SAID = [
    b"magenta",
    b"until 3 days after written, or clicked",
    b"Nothing that is said here is for everybody",
    b"goal: bought within 30 days",
    b"ask sales_manager after clicked: yes",
    b"approved",
    b"step noted comes twice",
]
"""Besides ids: settings, orders, summaries, title, details, the trail, results, failures."""


async def client_with(temporal: WorkflowEnvironment, *keys: EncryptionKey) -> Client:
    return await Client.connect(temporal.client.service_client.config.target_host, data_converter=data_converter(keys))


def payloads_in(message: Message) -> Iterator[Payload]:
    """All of them, but search attributes: the server itself works with those."""
    if isinstance(message, Payload):
        yield message
    elif not isinstance(message, SearchAttributes):
        for field, value in message.ListFields():
            if field.message_type is not None:
                is_map = field.message_type.GetOptions().map_entry
                inner: Any = value.values() if is_map else value if field.is_repeated else [value]
                for each in inner:
                    if isinstance(each, Message):
                        yield from payloads_in(each)


def kept(history: WorkflowHistory) -> bytes:
    return b"\n".join(event.SerializeToString() for event in history.events)


async def test_a_run_is_lived_asked_answered_and_read_and_says_nothing_in_plain(
    temporal: WorkflowEnvironment, database: Database
) -> None:
    client = await client_with(temporal, KEY)
    journey = with_specimens(JourneysOn(WorkflowEnvironment.from_client(client), database))
    async with journey(Sealed, people=[MARTA], word="magenta") as j:

        async def waits() -> bool:
            return (await j.progress()).step == "clicked"

        async def is_asked() -> bool:
            return bool(await j.approvals())

        await until(waits)
        await j.happens("clicked")
        await until(is_asked)
        unasked = Answer(id=new_id(), question_id=new_id(), person_id=new_id(), choice=Choice.APPROVE, given_at=now())
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await j.handle.execute_update("answer", unasked, id=unasked.id, result_type=Taken)
        assert isinstance(refusal.value.cause, ApplicationError)
        assert refusal.value.cause.type == "NotPending"
        await j.hold()
        assert (await j.progress()).held
        await j.resume()
        memory = (await recall(await j.handle.fetch_history(), {}, client.data_converter)).memory
        assert memory.finished["clicked"] is True
        assert list(memory.finished)[:2] == ["written", "clicked"]
        await j.approve(by=MARTA)
        with pytest.raises(WorkflowFailureError) as failure:
            await j.handle.result()
        assert "step noted comes twice" in str(failure.value.cause)

        described = await j.description()
        assert described.typed_search_attributes[CONTACT_ID] == j.row.contact_id
        assert described.typed_search_attributes[STATE] == "awaiting_approval"
        assert await described.memo_value("enrollment_id") == j.row.id
        history = await j.handle.fetch_history()
        sealed = [payload for event in history.events for payload in payloads_in(event)]
        plain = [payload.data for payload in sealed if payload.metadata["encoding"] != ENCODING]
        assert all(b'"activity_type":"enrollment.end"' in data for data in plain), "the SDK's own notes, of times"
        opened = b"\n".join(payload.data for payload in await EncryptionCodec([KEY]).decode(sealed))
        for said in (*SAID, j.row.id.encode(), (await j.person(MARTA)).id.encode()):
            assert said in opened, "else to look for it proves nothing"
            assert said not in kept(history)
        with pytest.raises(Unreadable, match="key 2026-11, which CAUCE_ENCRYPTION_KEYS does not have"):
            await recall(history, {}, data_converter([OTHER]))


async def enrolled(database: Database, email: str) -> EnrollmentRow:
    async with database.write() as session:
        contact = (await upsert_contact(session, ContactProfile(email=email), {}, "test")).contact
        return await enroll(session, flow="sealed", contact_id=contact.id, settings={}, reenroll_after=timedelta(0))


async def test_a_process_without_the_key_ends_no_enrollment_that_it_cannot_read(
    temporal: WorkflowEnvironment, database: Database
) -> None:
    row = await enrolled(database, "ada@example.com")
    client = await client_with(temporal, KEY)
    assert await Dispatcher(database, client, FLOWS).start(row)
    async with database.write() as session:
        asked = await request_cancel(session, row.id)
    assert asked is not None
    for keys in ((), (OTHER,)):
        mistaken = Dispatcher(database, await client_with(temporal, *keys), FLOWS)
        with pytest.raises(TemporalRefused, match="key 2026-11, which CAUCE_ENCRYPTION_KEYS does not have"):
            await mistaken.cancel(asked)
    async with database.read() as session:
        assert (await session.get_one(EnrollmentRow, row.id)).status == "active"
    assert await Dispatcher(database, client, FLOWS).cancel(asked)


async def test_a_run_that_cannot_be_read_holds_up_no_other(temporal: WorkflowEnvironment, database: Database) -> None:
    lost, other = await enrolled(database, "ada@example.com"), await enrolled(database, "grace@example.com")
    clients = {row.id: await client_with(temporal, key) for row, key in ((lost, KEY), (other, OTHER))}
    for row in (lost, other):
        assert await Dispatcher(database, clients[row.id], FLOWS).start(row)
    reader = clients[other.id]
    ours = [run async for run in open_runs(reader, "sealed")]
    assert {run.enrollment_id for run in ours} >= {"", other.id}
    for row in (other, lost):
        await reader.get_workflow_handle(f"sealed:{row.contact_id}").terminate()

    async def recorded() -> bool:
        await Sweep(Dispatcher(database, reader, FLOWS)).run(
            grace=timedelta(hours=1), closed_since=now() - timedelta(minutes=1)
        )
        async with database.read() as session:
            return (await session.get_one(EnrollmentRow, other.id)).exit_reason == "terminated in Temporal"

    await until(recorded)
    async with database.read() as session:
        assert (await session.get_one(EnrollmentRow, lost.id)).status == "active"
