"""Triggers as operators keep them, and as events, contacts and their choices set them off."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from api.preferences import choose, leave_all
from domain.flows import FlowType, Goal, OnEdit
from domain.messages import MessageStatus
from domain.segments import Segment
from domain.triggers import Trigger
from runtime.dispatch import Dispatcher
from runtime.segment_watching import look_at_segments
from runtime.settings import Settings
from store.ledger_tables import MessageRow
from store.segments import create_segment
from store.tables import ContactRow, EnrollmentRow, now, on_clock
from tests.api.caller import ADA, Caller, assert_problem, calling, client_of_nobody, fields_at_fault
from tests.api.databases import on_both_databases
from tests.api.flows import FLOWS, Told
from tests.integrations.sendgrid_webhook import webhook_event
from tests.waiting import until
from worker.watching import watching
from workflows.discovery import FlowClass, discover_flows

ONBOARDING = "/v1/flows/onboarding/triggers"
NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
AT_ONCE = timedelta(0)


class Keen(Told):
    """Its goal is what begins it, too."""

    about = FlowType(
        title="Whoever is keen",
        goal=Goal(event="activated", target=0.1, within=timedelta(days=1)),
        owner="sales",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"visited"}),
        triggers=(
            Trigger(event="activated"),
            Trigger(event="clicked", times=3, within=timedelta(days=7), reenroll="never"),
            Trigger(segment="vip"),
        ),
    )


WITH_KEEN: dict[str, FlowClass] = {**discover_flows(), **FLOWS, "keen": Keen}


@pytest.fixture
async def keen(settings: Settings, temporal: WorkflowEnvironment) -> AsyncIterator[Caller]:
    """With a flow that declares triggers, beside the shipped ones."""
    async with calling(settings, temporal.client, WITH_KEEN) as caller:
        yield caller


@pytest.fixture
async def keen_alone(settings: Settings, unused_port: Callable[[], int]) -> AsyncIterator[Caller]:
    """The same without Temporal."""
    async with calling(settings, await client_of_nobody(unused_port()), WITH_KEEN) as caller:
        yield caller


async def segment(api: Caller, called: str, **clause: Any) -> str:
    async with api.services.database.write() as session:
        return (await create_segment(session, called, "", Segment.model_validate(clause))).id


async def look(api: Caller) -> int:
    """What a worker does all the time."""
    return await look_at_segments(api.services.dispatcher, AT_ONCE)


async def entered(api: Caller) -> list[str]:
    """The flows that contacts are in by triggers."""
    return sorted(row.flow for row in await api.enrollments() if row.origin == "trigger")


async def signals(temporal: WorkflowEnvironment, row: EnrollmentRow) -> int:
    history = await temporal.client.get_workflow_handle(f"{row.flow}:{row.contact_id}").fetch_history()
    return sum(event.HasField("workflow_execution_signaled_event_attributes") for event in history.events)


async def test_an_operator_adds_reads_changes_and_deletes_a_trigger(api: Caller) -> None:
    made = await api.post(ONBOARDING, {"event": "signed_up", "settings": {"hand_after": "P2D"}})
    assert made.status_code == 201, made.text
    trigger = made.json()
    url = made.headers["Location"]
    assert url == f"/v1/triggers/{trigger['id']}"
    assert (trigger["declared"], trigger["active"], trigger["times"]) == (False, True, 1)
    assert trigger["settings"] == {"hand_after": "P2D"}
    assert (await api.get(url)).json() == trigger
    assert (await api.get(ONBOARDING)).json()["items"] == [trigger]

    thrice = {"event": "clicked", "times": 3, "within": "P7D", "reenroll": "P30D", "active": False}
    changed = (await api.http.put(url, json=thrice)).json()
    assert {name: changed[name] for name in thrice} == thrice
    assert changed["settings"] == {}
    assert changed["updated_at"] > trigger["updated_at"]
    assert (await api.http.put(url, json=thrice)).json() == changed

    assert (await api.http.delete(url)).status_code == 204
    assert_problem(await api.get(url), 404)
    assert_problem(await api.http.delete(url), 404)
    assert_problem(await api.http.put(url, json=thrice), 404)
    assert (await api.get(ONBOARDING)).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({}, ["body"]),
        ({"event": "bought", "segment_id": NOBODY}, ["body"]),
        *(({"event": name}, ["body"]) for name in ("unsubscribed", "bounced", "complained", "erased")),
        ({"event": "clicked", "times": 3}, ["body"]),
        ({"event": "clicked", "times": 0, "within": "P1D"}, ["body.times"]),
        ({"segment_id": NOBODY}, ["body.segment_id"]),
        ({"event": "bought", "settings": {"hand_after": "soon"}}, ["body.settings.hand_after"]),
        ({"event": "bought", "settings": {"no_such": 1}}, ["body.settings.no_such"]),
        ({"event": "bought", "segment": "vip"}, ["body.segment"]),
    ],
)
async def test_what_is_no_trigger_is_refused(api: Caller, body: dict[str, Any], at_fault: list[str]) -> None:
    assert fields_at_fault(assert_problem(await api.post(ONBOARDING, body), 422)) == at_fault
    assert (await api.get(ONBOARDING)).json()["items"] == []


async def test_a_flow_has_not_more_triggers_than_can_be_listed(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.trigger_rows.MAX_OF_A_FLOW", 1)
    assert (await api.post(ONBOARDING, {"event": "bought"})).status_code == 201
    assert_problem(await api.post(ONBOARDING, {"event": "bought"}), 409, "too-many-triggers")
    assert (await api.post("/v1/flows/nurturing/triggers", {"event": "bought"})).status_code == 201


async def test_declared_triggers_are_listed_and_say_so(keen: Caller) -> None:
    segment_id = await segment(keen, "vip", kind="contact", field="score", at_least=50)
    listed = (await keen.get("/v1/flows/keen/triggers")).json()["items"]
    assert [(each["declared"], each["event"], each["times"], each["segment_id"]) for each in listed] == [
        (True, "activated", 1, None),
        (True, "clicked", 3, None),
        (True, None, 1, segment_id),
    ]
    assert (await keen.get("/v1/flows/keen")).json()["triggers"] == [
        "activated",
        "clicked 3 times within 7 days",
        "entering the segment vip",
    ]
    assert_problem(await keen.get("/v1/flows/no_such/triggers"), 404)


async def test_an_event_begins_an_enrollment_which_is_not_told_of_it_though_it_is_its_goal(
    keen: Caller, temporal: WorkflowEnvironment
) -> None:
    await keen.contact()
    event = {"email": ADA["email"], "name": "activated", "id": "crm-1"}
    assert (await keen.post("/v1/events", event)).status_code == 202
    (row,) = await keen.enrollments()
    assert (row.flow, row.origin, row.status) == ("keen", "trigger", "active")
    assert row.started_at is not None
    assert (await keen.post("/v1/events", event)).status_code == 202
    (event_row,) = await keen.events()
    assert event_row.delivered_at is not None
    assert await signals(temporal, row) == 0
    # The next one is of the time within it.
    assert (await keen.post("/v1/events", {**event, "id": "crm-2"})).status_code == 202
    assert await signals(temporal, row) == 1
    assert len(await keen.enrollments()) == 1


@on_both_databases
async def test_an_event_posted_to_several_processes_at_once_enrolls_once(keen_alone: Caller) -> None:
    keen = keen_alone
    await keen.contact()
    event = {"email": ADA["email"], "name": "activated", "id": "crm-1"}
    answers = await asyncio.gather(*(keen.post("/v1/events", event) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert await entered(keen) == ["keen"]


async def test_a_trigger_works_while_temporal_is_away_and_the_sweep_starts_whom_it_enrolled(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    api = api_without_temporal
    await api.post(ONBOARDING, {"event": "signed_up"})
    await api.contact()
    assert (await api.post("/v1/events", {"email": ADA["email"], "name": "signed_up"})).status_code == 202
    (row,) = await api.enrollments()
    assert row.started_at is None
    assert await Dispatcher(api.services.database, temporal.client, api.services.dispatcher.flows).start(row)


@on_both_databases
async def test_a_batch_of_a_thousand_clicks_enrolls_whoever_clicked_three_times_in_a_week(keen_alone: Caller) -> None:
    """400 contacts: every other one clicks three times within a week, the others less often, or over two weeks."""
    keen = keen_alone
    contacts = [ContactRow(email=f"contact-{number}@example.com", locale="en") for number in range(400)]
    messages = []
    clicks = []
    for number, contact in enumerate(contacts):
        days = ((0, 3, 6), (0,), (0, 1, 2), (0, 5, 10))[number % 4]
        past = EnrollmentRow(flow="onboarding", contact_id=contact.id, status="ended")
        message = MessageRow(
            flow="onboarding", enrollment_id=past.id, contact_id=contact.id, step="welcome", status=MessageStatus.SENT
        )
        messages.append((past, message))
        at = now() - timedelta(days=20)
        clicks += [webhook_event("click", message.id, at + timedelta(days=day, minutes=number)) for day in days]
    async with keen.services.database.write() as session:
        for rows in (contacts, *zip(*messages, strict=True)):
            session.add_all(rows)
            await session.flush()
    assert len(clicks) == 1_000
    for _ in range(2):
        answer = await keen.post("/v1/webhooks/sendgrid", clicks[::-1])
        assert answer.status_code == 202, answer.text
    known = {contact.id: number for number, contact in enumerate(contacts)}
    found = Counter(known[row.contact_id] % 4 for row in await keen.enrollments() if row.origin == "trigger")
    assert found == {0: 100, 2: 100}


async def test_who_enters_a_segment_by_a_change_an_event_a_choice_or_an_enrollment_is_enrolled(keen: Caller) -> None:
    clauses: dict[str, dict[str, Any]] = {
        "chilean": {"kind": "contact", "field": "country", "is": "CL"},
        "visitor": {"kind": "event", "name": "visited", "at_least": 1, "within": "P7D"},
        "reader": {"kind": "consent", "topic": "product-news", "state": "granted"},
        "gone": {"kind": "suppression", "reason": "unsubscribed"},
    }
    into = dict(zip(clauses, ("once", "yearly", "nurturing", "keen"), strict=True))
    for name, clause in clauses.items():
        segment_id = await segment(keen, name, **clause)
        made = await keen.post(f"/v1/flows/{into[name]}/triggers", {"segment_id": segment_id})
        assert (made.json()["segment"], made.json()["watching_since"]) == (name, None)
    await keen.contact(country="CL", consent={})  # before anybody watches: nobody enters by it
    assert await look(keen) == 0
    assert await entered(keen) == []
    (listed,) = (await keen.get("/v1/flows/once/triggers")).json()["items"]
    assert listed["watching_since"] is not None

    grace = {"email": "grace@example.com", "country": "CL"}
    enrolled = await keen.post("/v1/flows/onboarding/enrollments", {"contact": grace})
    assert enrolled.status_code == 201
    assert await entered(keen) == ["once"]
    await keen.post("/v1/events", {"email": grace["email"], "name": "visited"})
    assert await entered(keen) == ["once", "yearly"]
    (contact,) = [each for each in await keen.contacts() if each.email == grace["email"]]
    await choose(keen.services, contact.id, [], {"product-news": keen.services.topics["product-news"].wording})
    assert await entered(keen) == ["nurturing", "once", "yearly"]
    await leave_all(keen.services, contact.id)
    assert await entered(keen) == ["keen", "nurturing", "once", "yearly"]
    assert await look(keen) == 0


async def test_a_contact_who_is_enrolled_along_with_a_change_is_in_the_flow_by_the_request(keen: Caller) -> None:
    segment_id = await segment(keen, "chilean", kind="contact", field="country", **{"is": "CL"})
    await keen.post(ONBOARDING, {"segment_id": segment_id})
    await look(keen)
    enrolled = await keen.post("/v1/flows/onboarding/enrollments", {"contact": {**ADA, "country": "CL"}})
    assert enrolled.status_code == 201
    assert await entered(keen) == []


async def test_workers_look_at_watched_segments_by_themselves(keen: Caller, settings: Settings) -> None:
    """Two of them, and a contact whom an import brings in, as far as triggers know."""
    services = keen.services
    often = settings.model_copy(update={"segment_refresh_seconds": 0.05})
    segment_id = await segment(keen, "vip", kind="contact", field="score", at_least=50)
    url = (await keen.post(ONBOARDING, {"segment_id": segment_id})).headers["Location"]
    contact = await keen.contact()

    async def watches() -> bool:
        return (await keen.get(url)).json()["watching_since"] is not None

    async def begun() -> bool:
        return bool((rows := await keen.enrollments()) and all(row.started_at for row in rows))

    flows = {"onboarding": services.flows["onboarding"].about}
    async with (
        watching(services.client, often, services.database, flows),
        watching(services.client, often, services.database, flows),
    ):
        await until(watches)
        async with services.database.write() as session:
            (await session.get_one(ContactRow, contact["id"])).score = 60
        await until(begun)
    assert [row.origin for row in await keen.enrollments()] == ["trigger"]


async def test_time_alone_brings_contacts_into_a_segment(keen: Caller) -> None:
    quiet = {"kind": "event", "name": "visited", "at_most": 0, "within": "P90D"}
    segment_id = await segment(keen, "quiet", **quiet)
    await keen.contact()
    await keen.post("/v1/events", {"email": ADA["email"], "name": "visited"})
    await keen.post(ONBOARDING, {"segment_id": segment_id})
    assert await look(keen) == 0
    in_time, too_late = now() + timedelta(days=89), now() + timedelta(days=91)
    with on_clock(lambda: in_time):
        assert await look(keen) == 0
    with on_clock(lambda: too_late):
        assert await look(keen) == 1
    (row,) = await keen.enrollments()
    assert row.started_at is not None
