"""What a broadcast lives through, under skipped time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from domain.broadcasts import BroadcastStatus
from domain.sending_hours import SendingHours
from domain.sending_rules import SendingRules
from domain.working_time import Weekday
from store.broadcasts import change_broadcast
from store.ledger_tables import MessageRow
from store.tables import now
from tests.activities.broadcasting import TOPIC, asked_for, contacts, withdrawn
from tests.integrations.fake_sendgrid import failure
from tests.integrations.scripted_server import Answer, Request
from tests.waiting import until
from tests.workflows.broadcast_stage import BroadcastStage, staged
from tests.workflows.closing import result_of
from tests.workflows.short_broadcasts import ShortBroadcasts
from workflows.discovery import workflow_runner
from workflows.lists.broadcast import BroadcastWorkflow

SUBJECTS = [
    {"name": "news", "subject": {"en": "News", "es": "Novedades"}},
    {"name": "question", "subject": {"en": "A question", "es": "Una pregunta"}},
]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[BroadcastStage]:
    async with staged(tmp_path) as begun:
        yield begun


def hours_begin() -> datetime:
    return (now() + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)


def in_two_days() -> SendingRules:
    """Sending hours are on that day of the week alone."""
    day = list(Weekday)[hours_begin().weekday()]
    return SendingRules(hours=SendingHours(begins=time(0), ends=time(23, 59), days=(day,)))


async def details(handle: WorkflowHandle[Any, Any]) -> str:
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return str(metadata.current_details)


def summaries(history: Any) -> list[str]:
    """Of its activities, in the order in which they were scheduled."""
    return [
        pydantic_data_converter.payload_converter.from_payload(event.user_metadata.summary)
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]


async def test_everybody_gets_it_once_in_batches_and_the_holdout_nothing(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 50), holdout=0.1)
    async with stage.conducted(row, batch=20) as handle:
        ended = await stage.until(row, BroadcastStatus.FINISHED)
        done = await result_of(handle)
        history = await handle.fetch_history()
    taken = Counter(letter.message_id for letter in stage.sendgrid.delivered())
    rows = await stage.messages(row)
    assert (max(taken.values()), len(stage.sendgrid.accepted)) == (1, 3)
    assert taken.keys() == {each.id for each in rows if each.status == "sent"}
    assert await stage.statuses(row) == {"sent": 45, "skipped": 5}
    assert {each.reason for each in rows if each.status == "skipped"} == {"holdout group"}
    assert (ended.size, done["sent"], done["skipped"]) == (50, 45, 5)
    assert summaries(history)[1:3] == ["batch 1: 0 to 20 of 45", "batch 2: 20 to 40 of 45"]
    assert not any(contact in history.to_json() for contact in ("@example.com", rows[0].contact_id))


async def test_its_cost_grows_with_batches_and_not_with_contacts(stage: BroadcastStage) -> None:
    people = await contacts(stage.database, 60)
    events = {}
    for number, batch in ((10, 10), (60, 60), (60, 10)):
        row = await asked_for(stage.database, people[:number])
        async with stage.conducted(row, batch=batch) as handle:
            await result_of(handle)
            events[number, batch] = len((await handle.fetch_history()).events)
    # A workflow task more or less is chance.
    assert abs(events[10, 10] - events[60, 60]) <= 3
    assert events[60, 10] - events[60, 60] <= 5 * 6 + 3


async def test_a_long_one_continues_as_new_and_leaves_nobody_out(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 50))
    async with stage.conducted(row, batch=5, workflow=ShortBroadcasts) as handle:
        first = await handle.describe()
        await stage.until(row, BroadcastStatus.FINISHED)
        assert (await handle.describe()).run_id != first.run_id
    taken = Counter(letter.message_id for letter in stage.sendgrid.delivered())
    assert (len(taken), max(taken.values())) == (50, 1)


async def test_it_waits_for_its_time_and_takes_who_is_there_then(stage: BroadcastStage) -> None:
    at = now() + timedelta(hours=6)
    row = await asked_for(stage.database, await contacts(stage.database, 3), at=at)
    async with stage.conducted(row) as handle:
        await stage.time.skip(timedelta(hours=5, minutes=50))
        assert await stage.statuses(row) == {}
        assert "begins: until" in await details(handle)
        await stage.time.skip(timedelta(minutes=11))
        await stage.until(row, BroadcastStatus.FINISHED)
    assert await stage.statuses(row) == {"sent": 3}


async def test_each_gets_it_when_their_own_clock_shows_the_time(stage: BroadcastStage) -> None:
    midnight = (now() + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    zones = {"Asia/Tokyo": -9, "Europe/London": 0, "America/Bogota": 5}
    ids = [(await contacts(stage.database, 1, email=f"{zone[-3:]}@example.com", time_zone=zone))[0] for zone in zones]
    row = await asked_for(stage.database, ids, at_local=midnight.replace(hour=9, tzinfo=None))
    async with stage.conducted(row):
        for count, offset in enumerate(zones.values()):
            moment = midnight + timedelta(hours=9 + offset)
            await stage.time.skip(moment - timedelta(minutes=1) - now())
            assert len(stage.sendgrid.delivered()) == count
            await stage.time.skip(timedelta(minutes=2))
            await until(lambda count=count: len(stage.sendgrid.delivered()) == count + 1)
        await stage.until(row, BroadcastStatus.FINISHED)
    assert await stage.statuses(row) == {"sent": 3}


async def test_those_in_quiet_hours_get_it_when_these_are_over_and_nobody_is_polled(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 10))
    async with stage.conducted(row, in_two_days()) as handle:
        await until(lambda: _has(stage, row, {"deferred": 10}))
        await stage.time.skip(hours_begin() + timedelta(hours=2) - now())
        await stage.until(row, BroadcastStatus.FINISHED)
        batches = [words for words in summaries(await handle.fetch_history()) if words.startswith("batch")]
    assert await stage.statuses(row) == {"sent": 10}
    assert len(batches) <= 2 + 10


async def _has(stage: BroadcastStage, row: Any, statuses: dict[str, int]) -> bool:
    return dict(await stage.statuses(row)) == statuses


async def test_the_subject_that_people_clicked_most_goes_to_the_rest(stage: BroadcastStage) -> None:
    test = {"share": 0.2, "after": "PT4H", "variants": SUBJECTS}
    row = await asked_for(stage.database, await contacts(stage.database, 100), test=test)
    async with stage.conducted(row) as handle:
        await until(lambda: _has(stage, row, {"sent": 20}))
        tested = await stage.messages(row)
        assert Counter(each.variant for each in tested) == {"news": 10, "question": 10}
        async with stage.database.write() as session:
            for each in [each for each in tested if each.variant == "question"][:3]:
                message = await session.get_one(MessageRow, each.id)
                message.status, message.clicked = "clicked", True  # type: ignore[assignment]
                session.add(message)
        await stage.time.skip(timedelta(hours=3, minutes=55))
        assert len(await stage.messages(row)) == 20
        assert "clicks on the subjects are counted" in await details(handle)
        await stage.time.skip(timedelta(minutes=6))
        ended = await stage.until(row, BroadcastStatus.FINISHED)
    assert ended.winner == "question"
    assert Counter(letter.subject for letter in stage.sendgrid.delivered()) == {"News": 10, "A question": 90}


async def test_a_held_one_hands_nothing_over_until_it_is_resumed(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 40), at=now() + timedelta(hours=1))
    async with stage.conducted(row, batch=10) as handle:
        await stage.change(row, BroadcastStatus.HELD)
        await stage.time.skip(timedelta(hours=2))
        assert stage.sendgrid.delivered() == []
        assert "held: until somebody resumes it" in await details(handle)
        await stage.change(row, BroadcastStatus.SENDING)
        await stage.until(row, BroadcastStatus.FINISHED)
    assert await stage.statuses(row) == {"sent": 40}


async def test_what_all_letters_share_refused_holds_it_and_nobody_is_thrown_away(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 30))
    stage.sendgrid.script(*[failure(400, ("The content is bad", "content.0.value"))] * 3)
    async with stage.conducted(row, batch=10):
        held = await stage.until(row, BroadcastStatus.HELD)
        assert "content.0.value" in (held.reason or "")
        stage.sendgrid._script.clear()

        async def is_finished_with_a_persons_help() -> bool:
            # The other batch that was under way may be refused, and hold it, after it was resumed.
            status = (await stage.stored(row)).status
            if status == BroadcastStatus.HELD:
                await stage.change(row, BroadcastStatus.SENDING)
            return status == BroadcastStatus.FINISHED

        await until(is_finished_with_a_persons_help, within=20)
    assert await stage.statuses(row) == {"sent": 30}


async def test_a_cancelled_one_skips_who_has_not_got_it(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 30))
    async with stage.conducted(row, in_two_days()):
        await until(lambda: _has(stage, row, {"deferred": 30}))
        await stage.change(row, BroadcastStatus.CANCELLING)
        await stage.until(row, BroadcastStatus.CANCELLED)
    assert {(each.status, each.reason) for each in await stage.messages(row)} == {
        ("skipped", "the broadcast was cancelled")
    }


async def test_one_cancelled_just_before_it_looks_who_waits_ends_at_once(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 30))
    async with stage.conducted(row, in_two_days()) as handle:
        await until(lambda: _has(stage, row, {"deferred": 30}))
        async with stage.database.write() as session:  # its workflow was told, and had not looked yet
            await change_broadcast(session, row.id, BroadcastStatus.CANCELLING)
        await handle.signal("look")
        await stage.until(row, BroadcastStatus.CANCELLED)
    assert await stage.statuses(row) == {"skipped": 30}


async def test_one_cancelled_in_temporal_leaves_nobody_unlisted(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 5), at=now() + timedelta(days=1))
    async with stage.conducted(row) as handle:
        await until(lambda: _waits(handle))
        await handle.cancel()
        cancelled = await stage.until(row, BroadcastStatus.CANCELLED)
        with pytest.raises(WorkflowFailureError):
            await result_of(handle)
        assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert cancelled.reason == "cancelled in Temporal"
    assert await stage.statuses(row) == {"skipped": 5}


async def test_one_cancelled_in_temporal_during_a_batch_sends_no_other(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 50))
    arrived, go_on, take = Event(), Event(), stage.sendgrid.answer

    def slowly(request: Request) -> Answer:
        arrived.set()
        go_on.wait(20)
        return take(request)

    stage.sendgrid.answer = slowly  # type: ignore[method-assign]
    async with stage.conducted(row, batch=10) as handle:
        await until(arrived.is_set)
        await handle.cancel()
        await until(lambda: _has_passed_it_on(handle))
        go_on.set()
        await stage.until(row, BroadcastStatus.CANCELLED)
    # Two batches may be under way at once: they are brought to their end.
    assert (await stage.statuses(row))["skipped"] >= 30


async def _has_passed_it_on(handle: WorkflowHandle[Any, Any]) -> bool:
    events = (await handle.fetch_history()).events
    return any(event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED for event in events)


async def _waits(handle: WorkflowHandle[Any, Any]) -> bool:
    return "begins" in await details(handle)


async def _rests(handle: WorkflowHandle[Any, Any]) -> bool:
    return "some are to get it then" in await details(handle)


async def test_a_run_that_was_lost_begins_anew_and_repeats_nothing(stage: BroadcastStage) -> None:
    row = await asked_for(stage.database, await contacts(stage.database, 30))
    async with stage.conducted(row, in_two_days(), batch=10) as handle:
        await until(lambda: _rests(handle))
        await handle.terminate()
    async with stage.conducted(row, batch=10):
        await stage.time.skip(hours_begin() + timedelta(hours=2) - now())
        await stage.until(row, BroadcastStatus.FINISHED)
    assert await stage.statuses(row) == {"sent": 30}
    assert max(Counter(letter.message_id for letter in stage.sendgrid.delivered()).values()) == 1


async def test_its_histories_are_replayed_by_the_code_at_hand(stage: BroadcastStage) -> None:
    test = {"share": 0.2, "after": "PT1H", "variants": SUBJECTS}
    row = await asked_for(stage.database, await contacts(stage.database, 30), test=test, holdout=0.1)
    async with stage.conducted(row, batch=5) as handle:
        await until(lambda: _has(stage, row, {"sent": 6}))
        await stage.change(row, BroadcastStatus.HELD)
        await stage.time.skip(timedelta(hours=2))
        waiting = await handle.fetch_history()
        await stage.change(row, BroadcastStatus.SENDING)
        await stage.until(row, BroadcastStatus.FINISHED)
        await asyncio.sleep(0)
        whole = await handle.fetch_history()
    replayer = Replayer(
        workflows=[BroadcastWorkflow], workflow_runner=workflow_runner(), data_converter=pydantic_data_converter
    )
    for history in (waiting, whole):
        await replayer.replay_workflow(history)


async def test_who_withdraws_while_it_waits_does_not_get_it(stage: BroadcastStage) -> None:
    ids = await contacts(stage.database, 4)
    row = await asked_for(stage.database, ids)
    async with stage.conducted(row, in_two_days()):
        await until(lambda: _has(stage, row, {"deferred": 4}))
        async with stage.database.write() as session:
            session.add(withdrawn(ids[0]))
        await stage.time.skip(hours_begin() + timedelta(hours=2) - now())
        await stage.until(row, BroadcastStatus.FINISHED)
    reasons = {each.contact_id: each.reason for each in await stage.messages(row)}
    assert reasons == {ids[0]: f"contact opted out of {TOPIC}", **dict.fromkeys(ids[1:])}
