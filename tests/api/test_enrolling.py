"""Enrolling contacts through the API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from domain.flows import Exit, Outcome
from runtime.settings import Settings
from store.enrollments import record_outcome
from store.tables import now
from tests.api.caller import ADA, Caller, assert_problem, calling, fields_at_fault
from tests.api.databases import on_both_databases
from tests.api.flows import FLOWS

ONBOARDING = "/v1/flows/onboarding/enrollments"


async def _end(api: Caller, enrollment_id: str, outcome: Exit = Exit.COMPLETED) -> None:
    async with api.services.database.write() as session:
        assert await record_outcome(session, enrollment_id, Outcome(exit=outcome, step="series-sent"))


@on_both_databases
async def test_contact_given_along_is_created_enrolled_and_started(api: Caller) -> None:
    answer = await api.post(ONBOARDING, {"contact": ADA, "settings": {"hand_after": "P2D"}})
    assert answer.status_code == 201
    enrollment = answer.json()
    (contact,) = await api.contacts()
    (row,) = await api.enrollments()
    assert answer.headers["location"] == f"/v1/enrollments/{row.id}"
    assert row.started_at is not None
    assert enrollment == {
        "id": row.id,
        "flow": "onboarding",
        "contact_id": contact.id,
        "status": "active",
        "held": False,
        "step": None,
        "next_wake_at": None,
        "skipped_steps": [],
        "outcome": None,
        "workflow_id": f"onboarding:{contact.id}",
        "temporal_url": f"http://127.0.0.1:8233/namespaces/default/workflows/onboarding:{contact.id}",
        "settings": {"hand_after": "P2D"},
        "created_at": enrollment["created_at"],
    }
    run = await api.services.client.get_workflow_handle(f"onboarding:{contact.id}").describe()
    assert await run.memo_value("enrollment_id") == row.id


async def test_contact_known_by_id_is_enrolled(api: Caller) -> None:
    ada = await api.contact()
    assert (await api.enroll(contact_id=ada["id"]))["contact_id"] == ada["id"]


async def test_only_settings_that_the_caller_gave_are_kept_in_one_notation(api: Caller) -> None:
    enrollment = await api.enroll(settings={"hand_after": "PT36H", "tip_after": "P7D"})
    assert enrollment["settings"] == {"hand_after": "P1DT12H", "tip_after": "P7D"}
    (row,) = await api.enrollments()
    assert row.settings == enrollment["settings"]


@on_both_databases
async def test_repeated_request_with_its_key_gets_the_same_answer_whatever_happened_since(api: Caller) -> None:
    request = {"contact": ADA, "settings": {"hand_after": "P2D"}}
    first = await api.post(ONBOARDING, request, idempotency_key="signup-1")
    await api.contact(first_name="Augusta")
    again = await api.post(ONBOARDING, request, idempotency_key="signup-1")
    await _end(api, first.json()["id"])
    later = await api.post(ONBOARDING, request, idempotency_key="signup-1")
    assert first.status_code == again.status_code == later.status_code == 201
    assert first.json() == again.json() == later.json()
    assert first.headers["location"] == again.headers["location"] == later.headers["location"]
    assert len(await api.enrollments()) == 1
    assert (await api.contacts())[0].first_name == "Augusta"


@on_both_databases
async def test_concurrent_requests_with_one_key_make_one_enrollment(api: Caller) -> None:
    answers = await asyncio.gather(
        *[api.post(ONBOARDING, {"contact": ADA}, idempotency_key="signup-1") for _ in range(12)]
    )
    assert [answer.status_code for answer in answers] == [201] * 12
    assert len({answer.text for answer in answers}) == 1
    assert len(await api.enrollments()) == 1
    assert len(await api.contacts()) == 1


@on_both_databases
async def test_key_of_another_request_is_refused_and_changes_nothing(api: Caller) -> None:
    await api.post(ONBOARDING, {"contact": ADA}, idempotency_key="signup-1")
    other = {"contact": {**ADA, "email": "eve@example.com"}}
    problem = assert_problem(
        await api.post(ONBOARDING, other, idempotency_key="signup-1"), 422, "idempotency-key-reused"
    )
    assert fields_at_fault(problem) == ["header.Idempotency-Key"]
    assert len(await api.contacts()) == 1


async def test_order_of_members_does_not_make_another_request(api: Caller) -> None:
    first = await api.post(ONBOARDING, {"contact": ADA, "settings": {}}, idempotency_key="signup-1")
    turned = {"settings": {}, "contact": dict(reversed(ADA.items()))}
    assert (await api.post(ONBOARDING, turned, idempotency_key="signup-1")).json() == first.json()


@on_both_databases
async def test_contact_in_the_flow_is_refused_with_the_active_enrollments_address(api: Caller) -> None:
    active = await api.enroll()
    answer = await api.post(ONBOARDING, {"contact": {**ADA, "first_name": "Augusta"}})
    problem = assert_problem(answer, 409, "already-active")
    assert problem["enrollment"] == answer.headers["location"] == f"/v1/enrollments/{active['id']}"
    assert problem["enrollment_id"] == active["id"]
    assert (await api.contacts())[0].first_name == "Ada", "a refusal leaves the contact as it was"


@on_both_databases
async def test_concurrent_requests_without_a_key_make_one_enrollment(api: Caller) -> None:
    answers = await asyncio.gather(*[api.post(ONBOARDING, {"contact": ADA}) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


@on_both_databases
async def test_contact_may_enter_again_once_the_enrollment_ended(api: Caller) -> None:
    first = await api.enroll()
    await api.services.client.get_workflow_handle(first["workflow_id"]).terminate()
    await _end(api, first["id"])
    second = await api.enroll()
    assert second["id"] != first["id"]
    assert all(row.started_at for row in await api.enrollments())


@on_both_databases
async def test_rule_of_the_flow_says_until_when_a_contact_stays_out(
    settings: Settings, temporal: WorkflowEnvironment
) -> None:
    async with calling(settings, temporal.client, FLOWS) as api:
        for flow in FLOWS:
            await _end(api, (await api.enroll(flow))["id"])
        changed = {"contact": {**ADA, "first_name": "Augusta"}}
        yearly = assert_problem(await api.post("/v1/flows/yearly/enrollments", changed), 409, "not-yet-again")
        once = assert_problem(await api.post("/v1/flows/once/enrollments", changed), 409, "not-yet-again")
        assert yearly["until"][:4] == str(now().year + 1)
        assert once["until"] is None
        assert (await api.contacts())[0].first_name == "Ada"


async def test_unknown_flow_and_unknown_contact_are_not_found(api: Caller) -> None:
    assert_problem(await api.post("/v1/flows/nope/enrollments", {"contact": ADA}), 404, "not-found")
    unknown = {"contact_id": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"}
    assert_problem(await api.post(ONBOARDING, unknown), 404, "not-found")
    assert await api.contacts() == []


@pytest.mark.parametrize(
    ("settings_given", "field"),
    [
        ({"hand_after": "soon"}, "body.settings.hand_after"),
        ({"hand_after": "-P1D"}, "body.settings.hand_after"),
        ({"hand_after": "P9999D"}, "body.settings.hand_after"),
        ({"hand_after": 1e308}, "body.settings.hand_after"),
        ({"hand_after": None}, "body.settings.hand_after"),
        ({"hand_before": "P1D"}, "body.settings.hand_before"),
        ([], "body.settings"),
        ("P1D", "body.settings"),
    ],
)
async def test_bad_setting_is_named_and_nothing_is_stored(api: Caller, settings_given: Any, field: str) -> None:
    answer = await api.post(ONBOARDING, {"contact": ADA, "settings": settings_given})
    assert fields_at_fault(assert_problem(answer, 422, "invalid-request")) == [field]
    assert await api.contacts() == []


@on_both_databases
async def test_whoever_settings_name_to_be_asked_has_to_be_there_to_answer(api: Caller) -> None:
    rosa = (await api.post("/v1/people", {"name": "Rosa", "email": "rosa@example.com"})).json()["id"]
    gone = (await api.post("/v1/people", {"name": "Bo", "email": "bo@example.com", "active": False})).json()["id"]
    nobody = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"

    def request(*people: str, escalate_to: str) -> dict[str, Any]:
        asks = [{"role": "sales_manager"}, *({"person_id": person} for person in people)]
        plan = {"stages": [{"asks": asks}], "escalate_after": "P1D", "escalate_to": {"person_id": escalate_to}}
        return {"contact": ADA, "settings": {"approval": plan}}

    reactivation = "/v1/flows/reactivation/enrollments"
    refused = await api.post(reactivation, request(nobody, rosa, gone, escalate_to=nobody))
    problem = assert_problem(refused, 422, "invalid-request")
    assert fields_at_fault(problem) == [
        "body.settings.approval.stages.0.asks.1.person_id",
        "body.settings.approval.stages.0.asks.3.person_id",
        "body.settings.approval.escalate_to.person_id",
    ]
    assert "GET /v1/people?active=true" in problem["detail"]
    assert await api.contacts() == []

    fit = request(rosa, escalate_to=rosa)
    made = await api.post(reactivation, fit, idempotency_key="signup-1")
    assert made.status_code == 201, made.text
    await api.http.patch(f"/v1/people/{rosa}", json={"active": False})
    assert (await api.post(reactivation, fit, idempotency_key="signup-1")).json() == made.json()


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"contact": ADA, "contact_id": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"},
        {"contact": None, "contact_id": None},
    ],
)
async def test_exactly_one_way_to_name_the_contact_is_needed(api: Caller, request_body: dict[str, Any]) -> None:
    problem = assert_problem(await api.post(ONBOARDING, request_body), 422)
    assert fields_at_fault(problem) == ["body"]
    assert "either contact_id or contact" in problem["detail"]


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "caf\u00e9", "tab\there"])
async def test_idempotency_key_is_printable_ascii_of_200_characters_at_most(api: Caller, key: str) -> None:
    answer = await api.http.post(
        ONBOARDING, json={"contact": ADA}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert fields_at_fault(assert_problem(answer, 422)) == ["header.Idempotency-Key"]
