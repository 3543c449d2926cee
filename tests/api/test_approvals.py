"""Approvals through the API: what is asked, and who decides it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from domain.people import Person
from runtime.settings import Settings
from tests.api.caller import Caller, assert_problem, calling, client_of_nobody, fields_at_fault
from tests.api.databases import on_both_databases
from tests.api.office import FACTS, Office, office_of

NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"


@pytest.fixture
async def office(api: Caller, temporal: WorkflowEnvironment) -> AsyncIterator[Office]:
    async with office_of(api, temporal.client) as office:
        yield office


@pytest.fixture
async def rosa(office: Office) -> Person:
    return await office.person("Rosa", "sales_manager")


@pytest.fixture
async def bo(office: Office) -> Person:
    return await office.person("Bo", "sales_manager")


async def _found(office: Office, **query: Any) -> list[str]:
    answer = await office.api.get("/v1/approvals", **query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@on_both_databases
async def test_approval_is_read_decided_and_closed_at_once(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo])
    view = await office.read(approval)
    assert view["facts"] == FACTS
    assert (view["status"], view["closed_at"], view["content_hash"]) == ("pending", None, approval.content_hash)
    assert view["stage"]["number"] == view["stage"]["of"] == 1
    assert [(asked["name"], asked["role"], asked["answer"]) for asked in view["asked"]] == [
        ("Rosa", "sales_manager", None),
        ("Bo", "sales_manager", None),
    ]

    answer = await office.decide(approval, rosa, comment="Fine\nby me")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["choice"], answer.json()["comment"]) == ("approve", "Fine\nby me")
    view = await office.read(approval)
    assert (view["status"], view["closed_at"] is not None) == ("approved", True)
    assert [asked["answer"] for asked in view["asked"]] == [answer.json(), None]


async def test_comment_stays_out_of_temporal(office: Office, rosa: Person) -> None:
    approval = await office.approval([rosa])
    assert (await office.decide(approval, rosa, "reject", comment="Ada told me in private")).is_success
    history = await office.run_of(approval).fetch_history()
    assert "private" not in str(history.to_json())


async def test_person_is_named_by_address_too(office: Office, rosa: Person) -> None:
    approval = await office.approval([rosa])
    path = f"/v1/approvals/{approval.id}/decision"
    answer = await office.api.post(path, {"decision": "approve"}, Cauce_Person="ROSA@example.com")
    assert answer.json()["person_id"] == rosa.id


@on_both_databases
async def test_of_two_decisions_at_once_exactly_one_counts(office: Office, rosa: Person, bo: Person) -> None:
    for _ in range(5):
        approval = await office.approval([rosa, bo])
        decisions = await asyncio.gather(
            office.decide(approval, rosa, "approve"), office.decide(approval, bo, "reject")
        )
        assert sorted(decision.status_code for decision in decisions) == [200, 409]
        (taken,) = [decision.json() for decision in decisions if decision.is_success]
        (late,) = [decision for decision in decisions if not decision.is_success]
        assert_problem(late, 409, "no-longer-pending")
        view = await office.read(approval)
        assert view["status"] == {"approve": "approved", "reject": "rejected"}[taken["choice"]]
        assert [asked["answer"] for asked in view["asked"] if asked["answer"]] == [taken]


@on_both_databases
async def test_same_key_gets_the_same_answer_and_decides_once(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo], needs="all")
    first, second = await asyncio.gather(
        office.decide(approval, rosa, key="k1", comment="yes"), office.decide(approval, rosa, key="k1", comment="yes")
    )
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert (await office.decide(approval, bo, "reject")).is_success
    again = await office.decide(approval, rosa, key="k1", comment="yes")
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(await office.answers()) == 2


async def test_refusal_is_the_same_under_the_same_key(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa])
    first = assert_problem(await office.decide(approval, bo, key="k1"), 403, "not-yours")
    assert (await office.decide(approval, rosa)).is_success
    assert assert_problem(await office.decide(approval, bo, key="k1"), 403, "not-yours") == first


async def test_key_with_another_decision_is_refused(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo], needs="all")
    assert (await office.decide(approval, rosa, key="k1")).is_success
    for answer in (
        await office.decide(approval, rosa, "reject", key="k1"),
        await office.decide(approval, rosa, key="k1", comment="more"),
        await office.decide(approval, bo, key="k1"),
    ):
        problem = assert_problem(answer, 422, "idempotency-key-reused")
        assert fields_at_fault(problem) == ["header.Idempotency-Key"]
    other = await office.approval([rosa])
    assert (await office.decide(other, rosa, "reject", key="k1")).is_success


async def test_all_have_to_approve_and_nobody_decides_twice(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo], needs="all")
    assert (await office.decide(approval, rosa)).is_success
    assert (await office.read(approval))["status"] == "pending"
    problem = assert_problem(await office.decide(approval, rosa, "reject"), 409, "already-answered")
    assert "approve on 20" in problem["detail"]
    assert (await office.decide(approval, bo)).is_success
    assert (await office.read(approval))["status"] == "approved"


async def test_each_stage_asks_its_own_people(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa], [bo, rosa])
    assert_problem(await office.decide(approval, bo), 403, "not-yours")
    assert (await office.decide(approval, rosa)).is_success
    assert (await office.read(approval))["status"] == "pending"
    assert_problem(await office.decide(approval, rosa, "reject"), 409, "no-longer-pending")
    await office.begin_stage(approval, 1, [bo, rosa])
    assert (await office.decide(approval, rosa)).is_success
    view = await office.read(approval)
    assert (view["status"], view["stage"]["number"], view["stage"]["of"]) == ("approved", 2, 2)
    assert [(asked["name"], asked["stage"], bool(asked["answer"])) for asked in view["asked"]] == [
        ("Rosa", 1, True),
        ("Bo", 2, False),
        ("Rosa", 2, True),
    ]


async def test_decision_after_expiry_is_refused_and_says_so(office: Office, rosa: Person) -> None:
    approval = await office.approval([rosa])
    await office.run_of(approval).signal("expire")
    assert_problem(await office.decide(approval, rosa), 409, "no-longer-pending")
    await office.expire(approval)
    problem = assert_problem(await office.decide(approval, rosa), 409, "no-longer-pending")
    assert problem["detail"].startswith("it expired on 20")
    assert (await office.read(approval))["status"] == "expired"


async def test_decision_for_a_run_that_is_gone_ends_its_enrollment(office: Office, rosa: Person) -> None:
    approval = await office.approval([rosa])
    await office.run_of(approval).terminate()
    problem = assert_problem(await office.decide(approval, rosa), 409, "no-longer-pending")
    assert problem["detail"].startswith("it was withdrawn on 20")
    (enrollment,) = await office.api.enrollments()
    assert (enrollment.status, enrollment.exit) == ("ended", "cancelled")


async def test_run_that_moves_is_asked_again(office: Office, rosa: Person) -> None:
    approval = await office.approval([rosa])
    await office.run_of(approval).signal("move", 2)
    assert (await office.decide(approval, rosa)).is_success
    assert (await office.read(approval))["status"] == "approved"


@on_both_databases
async def test_delegate_decides_in_ones_place(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa])
    path = f"/v1/approvals/{approval.id}/delegation"
    for _ in range(2):
        answer = await office.post(path, rosa, {"to": bo.id, "comment": "I am away"}, key="k1")
        assert (answer.status_code, answer.json()["delegate_id"]) == (200, bo.id)
    asked_rosa, asked_bo = (await office.read(approval))["asked"]
    assert (asked_rosa["delegated_to"], asked_rosa["answer"]["comment"]) == (bo.id, "I am away")
    assert (asked_bo["name"], asked_bo["reason"]) == ("Bo", "delegated")
    assert await _found(office, person_id=rosa.id) == []
    assert await _found(office, person_id=bo.id, role="sales_manager") == [approval.id]

    problem = assert_problem(await office.decide(approval, rosa), 403, "not-yours")
    assert "gave it to somebody else" in problem["detail"]
    back = await office.post(path, bo, {"to": rosa.id})
    assert fields_at_fault(assert_problem(back, 422)) == ["body.to"]
    assert (await office.decide(approval, bo)).is_success


async def test_delegate_is_another_active_person_who_did_not_ask(office: Office, rosa: Person, bo: Person) -> None:
    gone = await office.person("Gone", active=False)
    approval = await office.approval([rosa], enrollment=await office.enrollment(requested_by=bo.id))
    for to in (rosa.id, gone.id, bo.id, NOBODY):
        answer = await office.post(f"/v1/approvals/{approval.id}/delegation", rosa, {"to": to})
        assert fields_at_fault(assert_problem(answer, 422)) == ["body.to"]
    problem = assert_problem(await office.decide(approval, bo), 403, "not-yours")
    assert "enrolled" in problem["detail"]
    assert (await office.read(approval))["asked"][0]["delegated_to"] is None


async def test_approvals_are_found_by_who_is_asked_now(office: Office, rosa: Person, bo: Person) -> None:
    first = await office.approval([rosa], [bo], role="marketing")
    second = await office.approval([bo], role="sales_manager")
    assert await _found(office) == [second.id, first.id]
    assert await _found(office, role="marketing") == [first.id]
    assert await _found(office, person_id=bo.id) == [second.id]
    assert await _found(office, enrollment_id=first.enrollment_id) == [first.id]
    assert await _found(office, contact_id=second.contact_id, status="pending") == [second.id]
    assert (await office.decide(first, rosa)).is_success
    await office.begin_stage(first, 1, [bo], "sales")
    assert await _found(office, role="marketing") == []
    assert await _found(office, person_id=bo.id) == [second.id, first.id]
    assert (await office.decide(first, bo)).is_success
    assert await _found(office, role="marketing", status="approved") == [first.id]
    assert await _found(office, status="pending") == [second.id]


async def test_approvals_come_a_page_at_a_time(office: Office, rosa: Person) -> None:
    made = [(await office.approval([rosa])).id for _ in range(3)]
    first = (await office.api.get("/v1/approvals", limit=2)).json()
    rest = (await office.api.get("/v1/approvals", limit=2, cursor=first["next_cursor"])).json()
    assert [item["id"] for item in [*first["items"], *rest["items"]]] == made[::-1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("header", [None, "nobody@example.com", NOBODY, "x", "rosa @example.com", ""])
async def test_who_decides_has_to_be_named(office: Office, rosa: Person, header: str | None) -> None:
    approval = await office.approval([rosa])
    headers = {} if header is None else {"Cauce-Person": header}
    path = f"/v1/approvals/{approval.id}/decision"
    answer = await office.api.http.post(path, json={"decision": "approve"}, headers=headers)
    assert fields_at_fault(assert_problem(answer, 422)) == ["header.Cauce-Person"]
    assert await office.answers() == []


async def test_person_who_is_not_active_decides_nothing(office: Office, rosa: Person) -> None:
    approval = await office.approval([rosa])
    await office.api.http.patch(f"/v1/people/{rosa.id}", json={"active": False})
    assert_problem(await office.decide(approval, rosa), 403, "not-yours")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.decision"),
        ({"decision": "delegate"}, "body.decision"),
        ({"decision": "maybe"}, "body.decision"),
        ({"decision": "approve", "comment": "x" * 2001}, "body.comment"),
        ({"decision": "approve", "comment": "a\0b"}, "body.comment"),
        ({"decision": "approve", "comment": 1}, "body.comment"),
        ({"decision": "approve", "by": "me"}, "body.by"),
    ],
)
async def test_bad_member_of_a_decision_is_named(
    office: Office, rosa: Person, body: dict[str, Any], field: str
) -> None:
    approval = await office.approval([rosa])
    answer = await office.post(f"/v1/approvals/{approval.id}/decision", rosa, body)
    assert fields_at_fault(assert_problem(answer, 422)) == [field]
    assert await office.answers() == []


async def test_unknown_approval_is_not_found(office: Office, rosa: Person) -> None:
    for answer in (
        await office.api.get(f"/v1/approvals/{NOBODY}"),
        await office.post(f"/v1/approvals/{NOBODY}/decision", rosa, {"decision": "approve"}),
        await office.post(f"/v1/approvals/{NOBODY}/delegation", rosa, {"to": rosa.id}),
    ):
        assert_problem(answer, 404, "not-found")


async def test_without_temporal_the_answer_is_kept_and_the_same_key_brings_it(
    settings: Settings, office: Office, rosa: Person, unused_port: Callable[[], int]
) -> None:
    approval = await office.approval([rosa])
    async with calling(settings, await client_of_nobody(unused_port())) as cut_off:
        away = Office(cut_off, await client_of_nobody(unused_port()))
        answer = await away.decide(approval, rosa, key="k1")
        assert "same Idempotency-Key" in assert_problem(answer, 503, "flow-unavailable")["detail"]
        assert answer.headers["retry-after"]
        assert [row.status for row in await office.answers()] == ["given"]
        assert (await away.read(approval))["status"] == "pending"
    answer = await office.decide(approval, rosa, key="k1")
    assert answer.status_code == 200
    assert [(row.status, row.id) for row in await office.answers()] == [("taken", answer.json()["id"])]


async def test_without_a_worker_the_answer_counts_once_there_is_one(api: Caller, temporal: WorkflowEnvironment) -> None:
    unattended = Office(api, temporal.client)
    rosa = await unattended.person("Rosa")
    approval = await unattended.approval([rosa])
    assert_problem(await unattended.decide(approval, rosa, key="k1"), 503, "flow-unavailable")
    async with office_of(api, temporal.client) as office:
        assert (await office.decide(approval, rosa, key="k1")).is_success
    assert [row.status for row in await office.answers()] == ["taken"]


async def test_without_temporal_what_is_closed_is_still_refused(
    settings: Settings, office: Office, rosa: Person, unused_port: Callable[[], int]
) -> None:
    approval = await office.approval([rosa])
    await office.expire(approval)
    async with calling(settings, await client_of_nobody(unused_port())) as cut_off:
        away = Office(cut_off, await client_of_nobody(unused_port()))
        assert_problem(await away.decide(approval, rosa), 409, "no-longer-pending")


async def test_answer_that_was_lost_on_the_way_back_is_found_by_the_next_one(
    settings: Settings, office: Office, rosa: Person, bo: Person
) -> None:
    """The flow took it, and the API died before it noted that."""
    approval = await office.approval([rosa, bo], needs="all")
    assert (await office.decide(approval, rosa, comment="yes")).is_success
    async with office.api.services.database.write() as session:
        (given,) = await office.answers()
        given.status = "given"
        await session.merge(given)
    assert (await office.read(approval))["asked"][0]["answer"] is None
    assert_problem(await office.decide(approval, rosa), 409, "already-answered")
    assert (await office.read(approval))["asked"][0]["answer"]["comment"] == "yes"


async def test_stage_of_a_kept_answer_does_not_change(office: Office, rosa: Person) -> None:
    """It was meant for a stage that is over when it is told: it decides nothing of the next one."""
    approval = await office.approval([rosa], [rosa])
    assert (await office.decide(approval, rosa, key="k1")).is_success
    async with office.api.services.database.write() as session:
        (given,) = await office.answers()
        given.status = "given"
        await session.merge(given)
    await office.begin_stage(approval, 1, [rosa])
    assert (await office.decide(approval, rosa, key="k1")).is_success
    view = await office.read(approval)
    assert (view["status"], view["stage"]["number"]) == ("pending", 2)
    assert [bool(asked["answer"]) for asked in view["asked"]] == [True, False]
