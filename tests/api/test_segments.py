"""Segments through the API: kept, counted, listed, explained, and refused where they make no sense."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest

from domain.flows import FlowType, Goal, OnEdit
from domain.triggers import Trigger
from runtime.settings import Settings
from store.erasure_requests import request_erasure
from store.list_tables import BroadcastRow, BulkEnrollmentRow, ScheduleRow, TriggerRow
from store.tables import now
from tests.api.caller import Caller, assert_problem, calling, client_of_nobody, fields_at_fault
from tests.api.databases import on_both_databases
from tests.api.flows import Told

PATH = "/v1/segments"
NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
CHILE = {"kind": "contact", "field": "country", "is": "CL"}
CLICKED = {"kind": "event", "name": "clicked", "at_least": 2, "within": "P7D"}
CHILEAN_CLICKERS = {"kind": "all", "of": [CHILE, CLICKED]}


@pytest.fixture
def api(api_without_temporal: Caller) -> Caller:
    """Segments need no Temporal."""
    return api_without_temporal


async def create(api: Caller, predicate: Any = CHILE, name: str = "chile", **more: Any) -> httpx.Response:
    return await api.post(PATH, {"name": name, "predicate": predicate, **more})


async def created(api: Caller, predicate: Any = CHILE, name: str = "chile", **more: Any) -> dict[str, Any]:
    answer = await create(api, predicate, name, **more)
    assert answer.status_code == 201, answer.text
    segment: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{PATH}/{segment['id']}"
    return segment


async def put(api: Caller, segment_id: str, predicate: Any = CHILE, name: str = "chile") -> httpx.Response:
    return await api.http.put(f"{PATH}/{segment_id}", json={"name": name, "predicate": predicate})


async def contact(api: Caller, name: str, **profile: Any) -> str:
    return str((await api.contact(email=f"{name}@example.com", **profile))["id"])


async def clicked(api: Caller, contact_id: str, times: int) -> None:
    for _ in range(times):
        event = {"contact_id": contact_id, "name": "clicked", "occurred_at": now().isoformat()}
        assert (await api.post("/v1/events", event)).status_code == 202


async def listed(api: Caller, segment: dict[str, Any], **query: Any) -> list[str]:
    return [each["email"] for each in (await api.get(f"{PATH}/{segment['id']}/contacts", **query)).json()["items"]]


async def count(api: Caller, segment: dict[str, Any]) -> int:
    answer = await api.get(f"{PATH}/{segment['id']}/count")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["count"])


@on_both_databases
async def test_a_segment_is_kept_read_changed_and_deleted(api: Caller) -> None:
    segment = await created(api, description="who lives there")
    assert segment == {
        "id": segment["id"],
        "name": "chile",
        "description": "who lives there",
        "predicate": CHILE,
        "created_at": segment["created_at"],
        "updated_at": segment["created_at"],
    }
    assert (await api.get(f"{PATH}/{segment['id']}")).json() == segment
    other = await created(api, CHILEAN_CLICKERS, "clickers")
    assert (await api.get(PATH)).json() == {"items": [other, segment], "next_cursor": None}

    changed = (await put(api, segment["id"], CLICKED, "clicked")).json()
    assert (changed["name"], changed["description"], changed["predicate"]) == ("clicked", "", CLICKED)
    assert changed["updated_at"] > segment["updated_at"]
    assert (await put(api, segment["id"], CLICKED, "clicked")).json() == changed

    assert (await api.http.delete(f"{PATH}/{segment['id']}")).status_code == 204
    assert_problem(await api.get(f"{PATH}/{segment['id']}"), 404, "not-found")
    assert (await api.get(PATH)).json()["items"] == [other]


@on_both_databases
async def test_names_are_unique(api: Caller) -> None:
    chile, clickers = await created(api), await created(api, CLICKED, "clickers")
    for answer in (await create(api), await put(api, clickers["id"])):
        assert chile["id"] in assert_problem(answer, 409, "name-taken")["detail"]
    assert len((await api.get(PATH)).json()["items"]) == 2


@on_both_databases
async def test_members_are_counted_and_listed_page_by_page(api: Caller) -> None:
    for name in ("ada", "bo", "eve"):
        await contact(api, name, country="CL")
    await contact(api, "zoe", country="AR")
    segment = await created(api)
    assert await count(api, segment) == 3
    first = (await api.get(f"{PATH}/{segment['id']}/contacts", limit=2)).json()
    assert [each["email"] for each in first["items"]] == ["ada@example.com", "bo@example.com"]
    assert await listed(api, segment, limit=2, cursor=first["next_cursor"]) == ["eve@example.com"]
    assert await count(api, await created(api, {"kind": "not", "of": CHILE}, "elsewhere")) == 1


@on_both_databases
async def test_a_contact_is_in_or_out_and_the_clauses_that_decide_are_named(api: Caller) -> None:
    ada, bo = await contact(api, "ada", country="CL"), await contact(api, "bo", country="AR")
    segment = await created(api, CHILEAN_CLICKERS)
    for who, times in ((ada, 2), (bo, 1)):
        await clicked(api, who, times)
    assert await listed(api, segment) == ["ada@example.com"]

    inside = (await api.get(f"{PATH}/{segment['id']}/contacts/{ada}")).json()
    assert (inside["segment_id"], inside["contact_id"], inside["inside"]) == (segment["id"], ada, True)
    assert [each["sentence"] for each in inside["decided_by"]] == [
        "country is CL",
        "at least 2 events clicked in the last 7 days",
    ]
    outside = (await api.get(f"{PATH}/{segment['id']}/contacts/{bo}")).json()
    assert not outside["inside"]
    assert [each["path"] for each in outside["decided_by"]] == ["/of/0", "/of/1"]
    await clicked(api, bo, 1)
    outside = (await api.get(f"{PATH}/{segment['id']}/contacts/{bo}")).json()
    assert outside["decided_by"] == [
        {"path": "/of/0", "kind": "contact", "sentence": "country is CL", "holds": False, "of": []}
    ]
    assert [each["holds"] for each in outside["clauses"]["of"]] == [False, True]
    assert_problem(await api.get(f"{PATH}/{segment['id']}/contacts/{NOBODY}"), 404, "not-found")
    assert_problem(await api.get(f"{PATH}/{NOBODY}/contacts/{ada}"), 404, "not-found")


@on_both_databases
async def test_whoever_is_being_erased_is_in_no_segment(api: Caller) -> None:
    ada = await contact(api, "ada", country="CL")
    segment = await created(api)
    async with api.services.database.write() as session:
        await request_erasure(session, ada, "api")
    assert (await count(api, segment), await listed(api, segment)) == (0, [])
    explanation = (await api.get(f"{PATH}/{segment['id']}/contacts/{ada}")).json()
    assert (explanation["inside"], explanation["being_erased"], explanation["clauses"]["holds"]) == (False, True, True)


@pytest.mark.parametrize("under_way", [True, False])
async def test_a_segment_that_something_uses_is_not_deleted_and_what_does_is_named(
    api: Caller, under_way: bool
) -> None:
    segment = await created(api)
    source, ended = {"segment_id": segment["id"]}, None if under_way else now()
    users: list[Any] = [
        BulkEnrollmentRow(flow="onboarding", source=source, per_second=1, status="running", ended_at=ended),
        BroadcastRow(name="news", message="news", source=source, definition={}, status="sending", ended_at=ended),
        ScheduleRow(name="monthly", kind="broadcast", job={"source": source}, recurrence={}, deleted_at=ended),
    ]
    async with api.services.database.write() as session:
        session.add_all(users)
    answer = await api.http.delete(f"{PATH}/{segment['id']}")
    if not under_way:
        assert answer.status_code == 204
        return
    detail = assert_problem(answer, 409, "segment-in-use")["detail"]
    assert f"bulk enrollment {users[0].id} in flow onboarding" in detail
    assert f"broadcast {users[1].id} (news)" in detail
    assert "schedule monthly" in detail
    assert (await api.get(f"{PATH}/{segment['id']}")).status_code == 200
    assert (await api.http.delete(f"{PATH}/{(await created(api, name='other'))['id']}")).status_code == 204


@on_both_databases
async def test_a_segment_that_a_trigger_watches_is_not_deleted(api: Caller) -> None:
    segment = await created(api)
    trigger = TriggerRow(
        flow="onboarding", segment_id=segment["id"], definition={"segment": segment["id"]}, active=False
    )
    async with api.services.database.write() as session:
        session.add(trigger)
    detail = assert_problem(await api.http.delete(f"{PATH}/{segment['id']}"), 409, "segment-in-use")["detail"]
    assert f"trigger {trigger.id} of flow onboarding" in detail


class Watching(Told):
    about = FlowType(
        title="Whoever comes to Chile",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=1)),
        owner="sales",
        on_edit=OnEdit.FOLLOW,
        triggers=(Trigger(segment="chile"),),
    )


async def test_a_segment_that_a_flow_names_in_its_code_is_neither_deleted_nor_renamed(
    settings: Settings, unused_port: Callable[[], int]
) -> None:
    async with calling(settings, await client_of_nobody(unused_port()), {"watching": Watching}) as api:
        segment = await created(api)
        for answer in (
            await api.http.delete(f"{PATH}/{segment['id']}"),
            await put(api, segment["id"], name="peru"),
        ):
            problem = assert_problem(answer, 409, "segment-in-use")
            assert "a trigger in the code of flow watching" in problem["detail"]
        assert (await put(api, segment["id"], CLICKED)).status_code == 200


@pytest.mark.parametrize(
    ("predicate", "field"),
    [
        ({"kind": "message", "flow": "onbording", "at_most": 0}, "body.predicate.flow"),
        ({"kind": "all", "of": [CHILE, {"kind": "enrollment", "flow": "onbording"}]}, "body.predicate.of.1.flow"),
        ({"kind": "not", "of": {"kind": "consent", "topic": "nws", "state": "none"}}, "body.predicate.of.topic"),
        ({"kind": "message", "topic": "nws"}, "body.predicate.topic"),
    ],
)
async def test_flows_and_topics_that_there_are_not_are_refused(api: Caller, predicate: Any, field: str) -> None:
    segment = await created(api)
    for answer in (await create(api, predicate, "typo"), await put(api, segment["id"], predicate)):
        assert fields_at_fault(assert_problem(answer, 422, "invalid-request")) == [field]
    await created(api, {"kind": "message", "flow": "broadcast"}, "broadcasts")


HOSTILE = [
    "'; DROP TABLE contacts; --",
    "%",
    "_%_",
    "\\",
    "/",
    '"',
    "$.a",
    "\u2028",
    "💐",
    "é",
    ":name",
    "%(name)s",
    "?",
    "a" * 2_000,
]


@on_both_databases
async def test_text_of_any_kind_is_looked_for_as_it_is(api: Caller) -> None:
    company = [text[:200] for text in HOSTILE if text != "\u2028"]
    for at, text in enumerate(company):
        await contact(api, f"c{at}", company=text, attributes={text[:100]: text})
    for at, text in enumerate(company):
        for number, clause in enumerate(
            (
                {"kind": "contact", "field": "company", "is": text},
                {"kind": "attribute", "name": text[:100], "is": text},
                {"kind": "attribute", "name": text[:100], "contains": text},
            )
        ):
            segment = await created(api, clause, f"{at}-{number}")
            assert await listed(api, segment) == [f"c{at}@example.com"], clause


@pytest.mark.parametrize(
    "predicate",
    [
        '{"kind": "attribute", "name": "a", "at_least": NaN}',
        '{"kind": "attribute", "name": "a", "at_least": 1e400}',
        '{"kind": "attribute", "name": "a", "is": 99999999999999999999999}',
        r'{"kind": "attribute", "name": "a", "is": "\ud800"}',
        r'{"kind": "attribute", "name": "\ud800", "is": "a"}',
        r'{"kind": "contact", "field": "company", "contains": "\u0000"}',
        '{"kind": "event", "at_least": 99999999999999999999999}',
        '{"kind": "contact", "field": "created_at", "before": "9999-12-31T23:59:59-14:00"}',
        '{"kind": "contact", "field": "created_at", "within": "P99999999999999999999D"}',
        '{"kind": "not", "of": ' * 150 + "{}" + "}" * 150,
        '{"kind": "all", "of": [' + ", ".join(['{"kind": "suppression"}'] * 60) + "]}",
        '{"kind": "ada.private@example.com"}',
        "null",
        "[]",
    ],
)
async def test_what_no_client_should_send_is_refused_and_not_repeated(api: Caller, predicate: str) -> None:
    body = f'{{"name": "x", "predicate": {predicate}}}'.encode()
    answer = await api.http.post(PATH, content=body, headers={"Content-Type": "application/json"})
    problem = assert_problem(answer, 422, "invalid-request")
    assert all(field.startswith("body.predicate") for field in fields_at_fault(problem))
    assert "ada.private" not in answer.text


async def test_the_schema_is_json_schema_and_takes_what_the_api_takes(api: Caller) -> None:
    schema = (await api.get("/v1/segment-schema")).json()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(CHILEAN_CLICKERS)
    for wrong in ({**CHILE, "is_not": "AR"}, {**CHILE, "is": 5}, {"kind": "all", "of": []}, {**CLICKED, "often": True}):
        assert not validator.is_valid(wrong)
