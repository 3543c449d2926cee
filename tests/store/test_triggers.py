"""Whom triggers enroll when events come in, contacts change, or a segment is looked at; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlmodel import select

from domain.contacts import ContactProfile
from domain.flows import Exit, FlowType, Goal, OnEdit, Outcome
from domain.segments import Segment
from domain.triggers import Trigger, declared_id
from store import triggers
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, record_outcome
from store.erasure_requests import request_erasure
from store.events import record_event
from store.list_tables import SegmentMemberRow, SegmentRow, TriggerRow, WatchedSegmentRow
from store.segment_watching import begin_look, end_look, forget_page, forget_unwatched, page_of_entries
from store.segments import create_segment, delete_segment, replace_segment
from store.tables import ContactRow, EnrollmentRow, EventRow, new_id, now, on_clock
from store.trigger_rows import add_trigger, change_trigger, delete_trigger
from store.triggers import Happened, enroll_by_triggers, enroll_entered, watched_segments

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
THRICE = Trigger(event="clicked", times=3, within=timedelta(days=7))
VIP = Segment.model_validate({"kind": "contact", "field": "score", "at_least": 50})
"""In terms of a field that tests change."""


def flow(*declared: Trigger, **rules: Any) -> FlowType:
    goal = Goal(event="bought", target=0.1, within=timedelta(days=1))
    return FlowType(title="A flow", goal=goal, owner="sales", on_edit=OnEdit.FOLLOW, triggers=declared, **rules)


async def happens(
    database: Database,
    contact: ContactRow,
    flows: dict[str, FlowType],
    name: str,
    at: datetime | None = None,
    event_id: str | None = None,
) -> list[EnrollmentRow]:
    """As the API takes an event."""
    event = EventRow(id=event_id or new_id(), contact_id=contact.id, name=name, occurred_at=at or now())
    async with database.write() as session:
        if not await record_event(session, contact, event):
            return []
        return await enroll_by_triggers(session, flows, [contact.id], [Happened.of(event)])


async def end(database: Database, enrollments: Sequence[EnrollmentRow]) -> None:
    async with database.write() as session:
        for row in enrollments:
            await record_outcome(session, row.id, Outcome(exit=Exit.COMPLETED, step=None))


async def enrollments(database: Database) -> list[EnrollmentRow]:
    async with database.read() as session:
        return list(await session.exec(select(EnrollmentRow)))


async def test_an_event_enrolls_the_contact_with_the_triggers_settings_and_says_what_began_it(
    database: Database, ada: ContactRow
) -> None:
    flows = {"welcome": flow(Trigger(event="signed_up", settings={"hand_after": "P2D"})), "other": flow()}
    (row,) = await happens(database, ada, flows, "signed_up", event_id="crm-1")
    assert (row.flow, row.contact_id, row.origin, row.settings) == ("welcome", ada.id, "trigger", {"hand_after": "P2D"})
    assert row.idempotency_key == f"trigger:{declared_id('welcome', flows['welcome'].triggers[0])}:crm-1"
    assert await happens(database, ada, flows, "visited") == []


async def test_an_event_that_comes_twice_enrolls_once(database: Database, ada: ContactRow) -> None:
    flows = {"welcome": flow(Trigger(event="signed_up"))}
    await end(database, await happens(database, ada, flows, "signed_up", event_id="crm-1"))
    assert await happens(database, ada, flows, "signed_up", event_id="crm-1") == []
    assert len(await enrollments(database)) == 1


async def test_the_same_event_in_two_processes_at_once_enrolls_once(database: Database, ada: ContactRow) -> None:
    flows = {"welcome": flow(Trigger(event="signed_up"))}
    made = await asyncio.gather(*(happens(database, ada, flows, "signed_up", event_id="crm-1") for _ in range(4)))
    assert sorted(map(len, made)) == [0, 0, 0, 1]
    assert len(await enrollments(database)) == 1


async def test_of_events_in_several_processes_at_once_the_last_one_sees_them_all(
    database: Database, ada: ContactRow
) -> None:
    flows = {"nurturing": flow(THRICE)}
    await asyncio.gather(*(happens(database, ada, flows, "clicked", NOON) for _ in range(3)))
    assert [row.flow for row in await enrollments(database)] == ["nurturing"]


async def test_often_enough_is_by_when_events_happened_in_whatever_order_they_come(
    database: Database, ada: ContactRow
) -> None:
    flows = {"nurturing": flow(THRICE)}
    made = [await happens(database, ada, flows, "clicked", NOON + timedelta(days=day)) for day in (7, 3, 0)]
    assert [len(each) for each in made] == [0, 0, 1]


async def test_of_a_contact_with_many_events_those_next_to_it_are_enough_to_tell(
    database: Database, ada: ContactRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "_FEW", 3)
    flows = {"nurturing": flow(THRICE)}
    async with database.write() as session:
        for day in (-40, -34, -30, -24, 30, 36):
            at = NOON + timedelta(days=day)
            session.add(EventRow(id=new_id(), contact_id=ada.id, name="clicked", occurred_at=at))
    for day, enough in ((-37, True), (27, False), (20, False), (23, True)):
        made = await happens(database, ada, flows, "clicked", NOON + timedelta(days=day))
        assert bool(made) is enough, day
        await end(database, made)


async def test_events_too_far_apart_of_another_name_or_of_another_contact_do_not_count(
    database: Database, ada: ContactRow
) -> None:
    async with database.write() as session:
        grace = (await upsert_contact(session, ContactProfile(email="grace@example.com"), {}, "test")).contact
    flows = {"nurturing": flow(THRICE)}
    for contact, name, day in ((ada, "clicked", 0), (ada, "clicked", 5), (ada, "opened", 6), (grace, "clicked", 6)):
        assert await happens(database, contact, flows, name, NOON + timedelta(days=day)) == []
    # Long late: it is of the week of its own day.
    assert await happens(database, ada, flows, "clicked", NOON - timedelta(days=90)) == []
    assert await happens(database, ada, flows, "clicked", NOON + timedelta(days=7, seconds=1)) == []
    assert len(await happens(database, ada, flows, "clicked", NOON + timedelta(days=7))) == 1


@pytest.mark.parametrize(
    ("reenroll", "flows_rule", "days_later", "enrolls"),
    [
        ("as_flow", timedelta(days=30), 31, True),
        ("never", timedelta(0), 700, False),
        ("P30D", None, 29, False),
    ],
)
async def test_who_was_in_the_flow_enters_it_again_as_the_trigger_says(
    database: Database, ada: ContactRow, reenroll: str, flows_rule: timedelta | None, days_later: int, enrolls: bool
) -> None:
    trigger = Trigger.model_validate({"event": "clicked", "reenroll": reenroll})
    flows = {"nurturing": flow(trigger, reenroll_after=flows_rule)}
    first = await happens(database, ada, flows, "clicked")
    assert await happens(database, ada, flows, "clicked") == []  # in the flow now
    await end(database, first)
    later = now() + timedelta(days=days_later, seconds=1)
    with on_clock(lambda: later):
        assert bool(await happens(database, ada, flows, "clicked")) is enrolls


async def test_a_contact_who_is_being_erased_is_enrolled_by_nothing(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        await request_erasure(session, ada.id, "api")
    assert await happens(database, ada, {"welcome": flow(Trigger(event="signed_up"))}, "signed_up") == []


async def test_what_operators_added_works_until_it_is_off_changed_or_deleted(
    database: Database, ada: ContactRow
) -> None:
    flows = {"welcome": flow()}
    async with database.write() as session:
        row = await add_trigger(session, "welcome", Trigger(event="signed_up"), active=True)
        await add_trigger(session, "gone_from_the_code", Trigger(event="signed_up"), active=True)

    async def change(trigger: Trigger, *, active: bool) -> None:
        async with database.write() as session:
            known = await session.get_one(TriggerRow, row.id)
            await change_trigger(session, flows, known, trigger, active=active)

    (made,) = await happens(database, ada, flows, "signed_up", event_id="crm-1")
    assert made.idempotency_key == f"trigger:{row.id}:crm-1"
    await end(database, [made])
    await change(Trigger(event="signed_up"), active=False)
    assert await happens(database, ada, flows, "signed_up") == []
    await change(Trigger(event="visited"), active=True)
    assert await happens(database, ada, flows, "signed_up") == []
    await end(database, await happens(database, ada, flows, "visited"))
    async with database.write() as session:
        await delete_trigger(session, flows, await session.get_one(TriggerRow, row.id))
    assert await happens(database, ada, flows, "visited") == []
    assert len(await enrollments(database)) == 2


class Watched:
    """A segment of contacts with a high score, watched by a flow of each kind of trigger."""

    def __init__(self, database: Database, segment_id: str) -> None:
        self.database = database
        self.segment_id = segment_id
        self.flows = {"greeting": flow(Trigger(segment="vip")), "follow_up": flow()}

    async def contact(self, name: str, score: int) -> tuple[ContactRow, list[str]]:
        """Keep a contact with this score; answer the flows that they enter by that."""
        async with self.database.write() as session:
            profile = ContactProfile(email=f"{name}@example.com")
            row = (await upsert_contact(session, profile, {}, "test")).contact
            row.score = score
            session.add(row)
            await session.flush()
            made = await enroll_by_triggers(session, self.flows, [row.id], [])
        return row, sorted(each.flow for each in made)

    async def unnoticed(self, name: str, score: int) -> None:
        """Keep a contact as an import or a flow does, which no trigger is told of."""
        async with self.database.write() as session:
            row = (await upsert_contact(session, ContactProfile(email=f"{name}@example.com"), {}, "test")).contact
            row.score = score

    async def look(self, since: datetime | None = None, limit: int = 2) -> list[str] | None:
        """Look at all of it; answer the addresses of who entered. None: it was looked at since then."""
        async with self.database.write() as session:
            look = await begin_look(session, self.segment_id, since or now())
            if look is None:
                return None
            while await forget_page(session, look, limit) == limit:
                continue
            after: str | None = ""
            made: list[EnrollmentRow] = []
            while after is not None:
                entered, after = await page_of_entries(session, look, after, limit)
                if not look.begins:
                    made += await enroll_entered(session, self.flows, self.segment_id, entered)
            await end_look(session, look)
            emails = dict(list(await session.exec(select(ContactRow.id, ContactRow.email))))
        return sorted(f"{row.flow} {emails[row.contact_id].partition('@')[0]}" for row in made)

    async def members(self) -> int:
        async with self.database.read() as session:
            query = select(SegmentMemberRow).where(SegmentMemberRow.segment_id == self.segment_id)
            return len(list(await session.exec(query)))


@pytest.fixture
async def vip(database: Database) -> Watched:
    async with database.write() as session:
        segment = await create_segment(session, "vip", "", VIP)
        await add_trigger(session, "follow_up", Trigger(segment=segment.id), active=True)
    return Watched(database, segment.id)


async def test_who_is_in_a_segment_when_it_is_looked_at_first_has_not_entered_it(vip: Watched) -> None:
    for number in range(5):
        await vip.unnoticed(f"present-{number}", 60)
    assert (await vip.contact("early", 60))[1] == []  # nobody knows yet who was in it
    assert await vip.look() == []
    assert await vip.members() == 6
    assert (await vip.contact("early", 70))[1] == []


async def test_a_contact_whose_change_brings_them_into_a_segment_is_enrolled_once(vip: Watched) -> None:
    await vip.look()
    assert (await vip.contact("ada", 10))[1] == []
    assert (await vip.contact("ada", 50))[1] == ["follow_up", "greeting"]
    assert (await vip.contact("ada", 90))[1] == []
    assert await vip.look() == []
    assert len(await enrollments(vip.database)) == 2


async def test_who_left_a_segment_enters_it_again_if_the_rule_lets_them(vip: Watched) -> None:
    await vip.look()
    await vip.contact("ada", 50)
    await end(vip.database, await enrollments(vip.database))
    assert (await vip.contact("ada", 10))[1] == []
    assert await vip.members() == 0
    assert (await vip.contact("ada", 50))[1] == ["follow_up", "greeting"]


async def test_an_event_brings_a_contact_into_a_segment_of_events(database: Database, ada: ContactRow) -> None:
    clicks = {"kind": "event", "name": "clicked", "at_least": 2, "within": "P7D"}
    async with database.write() as session:
        segment = await create_segment(session, "keen", "", Segment.model_validate(clicks))
    keen = Watched(database, segment.id)
    keen.flows = {"sales": flow(Trigger(segment="keen"))}
    await keen.look()
    assert await happens(database, ada, keen.flows, "clicked") == []
    (row,) = await happens(database, ada, keen.flows, "clicked", event_id="second")
    assert row.idempotency_key is not None
    assert row.idempotency_key.endswith(":second")


async def test_a_look_finds_whom_nobody_noticed_page_by_page_and_forgets_who_left(vip: Watched) -> None:
    await vip.look()
    for number in range(5):
        await vip.unnoticed(f"new-{number}", 60)
    assert await vip.look() == [f"{name} new-{number}" for name in ("follow_up", "greeting") for number in range(5)]
    for number in range(3):
        await vip.unnoticed(f"new-{number}", 0)
    assert await vip.look() == []
    assert await vip.members() == 2


async def test_a_segment_is_looked_at_by_one_worker_at_a_time(vip: Watched) -> None:
    assert await vip.look() == []
    assert await vip.look(since=now() - timedelta(minutes=1)) is None


async def test_two_workers_and_the_api_at_once_enroll_each_contact_once(vip: Watched) -> None:
    await vip.look()
    for number in range(6):
        await vip.unnoticed(f"new-{number}", 60)
    changes = [vip.contact(f"new-{number}", 70) for number in range(6)]
    await asyncio.gather(vip.look(), vip.look(), *changes)
    assert sorted(row.flow for row in await enrollments(vip.database)) == ["follow_up"] * 6 + ["greeting"] * 6
    assert await vip.members() == 6


async def test_who_an_edit_of_the_segment_brings_in_has_not_entered_it(vip: Watched) -> None:
    await vip.look()
    await vip.contact("ada", 30)
    await vip.contact("grace", 60)
    async with vip.database.write() as session:
        row = await session.get_one(SegmentRow, vip.segment_id)
        wider = Segment.model_validate({"kind": "contact", "field": "score", "at_least": 20})
        await replace_segment(session, row, row.name, "", wider)
    assert (await vip.contact("ada", 31))[1] == []
    assert await vip.look(since=now() - timedelta(days=1)) == []  # at once, however lately it was looked at
    assert await vip.members() == 2
    assert (await vip.contact("linus", 25))[1] == ["follow_up", "greeting"]


async def test_a_segment_that_is_watched_again_begins_anew(vip: Watched) -> None:
    vip.flows = {"follow_up": flow()}
    await vip.look()

    async def turn(active: bool) -> None:
        async with vip.database.write() as session:
            (row,) = await session.exec(select(TriggerRow))
            await change_trigger(session, vip.flows, row, Trigger(segment=vip.segment_id), active=active)

    await turn(False)
    assert (await vip.contact("ada", 60))[1] == []
    await turn(True)
    assert await vip.look() == []
    assert (await vip.contact("grace", 60))[1] == ["follow_up"]


async def test_a_deleted_segment_takes_what_was_known_of_its_members_with_it(database: Database) -> None:
    async with database.write() as session:
        segment = await create_segment(session, "vip", "", VIP)
    vip = Watched(database, segment.id)
    await vip.look()
    await vip.contact("ada", 60)
    async with database.write() as session:
        await delete_segment(session, await session.get_one(SegmentRow, segment.id))
    assert await vip.members() == 0
    assert (await vip.contact("grace", 60))[1] == []
    async with database.write() as session:
        assert await watched_segments(session, vip.flows) == set()


async def test_what_nothing_watches_any_more_is_forgotten_after_a_while(vip: Watched) -> None:
    for number in range(3):
        await vip.unnoticed(f"present-{number}", 60)
    await vip.look()

    async def forget(before: datetime) -> int:
        async with vip.database.write() as session:
            return await forget_unwatched(session, [], before, 2)

    assert await forget(now() - timedelta(days=1)) == 0
    assert [await forget(now() + timedelta(seconds=1)) for _ in range(3)] == [2, 1, 0]
    async with vip.database.read() as session:
        assert list(await session.exec(select(WatchedSegmentRow))) == []


async def test_without_triggers_an_event_costs_one_query_more(database: Database, ada: ContactRow) -> None:
    flows = {"welcome": flow()}
    statements: list[str] = []
    async with database.write() as session:
        connection = (await session.connection()).sync_connection
        assert connection is not None
        sqlalchemy_event.listen(connection, "before_cursor_execute", lambda *said: statements.append(said[2]))
        happened = [Happened(new_id(), ada.id, "clicked", now())]
        assert await enroll_by_triggers(session, flows, [ada.id], happened) == []
    assert len(statements) == 1


async def test_an_enrollment_by_the_api_and_one_by_a_trigger_are_one(database: Database, ada: ContactRow) -> None:
    flows = {"welcome": flow(Trigger(event="signed_up"))}
    async with database.write() as session:
        await enroll(session, flow="welcome", contact_id=ada.id, settings={}, reenroll_after=timedelta(0))
    assert await happens(database, ada, flows, "signed_up") == []
