"""Assignment rules and the queue of leads through the API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from domain.events import LEAD_OFFERED
from domain.flows import enrollment_workflow_id
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases
from tests.store.sales import Sales

NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
EVERYBODY = {"name": "everybody", "role": "sales", "strategy": "round_robin"}
OTHER = {**EVERYBODY, "name": "other"}


@pytest.fixture
def sales(api: Caller) -> Sales:
    return Sales(api.services.database)


async def put(api: Caller, *rules: dict[str, Any], **more: Any) -> httpx.Response:
    return await api.http.put("/v1/lead-rules", json={"rules": rules, **more})


async def assign(api: Caller, queued_id: str, person_id: str, by: str | None) -> httpx.Response:
    headers = {"Cauce-Person": by} if by else {}
    path = f"/v1/lead-queue/{queued_id}/assign"
    return await api.http.post(path, json={"person_id": person_id}, headers=headers)


@on_both_databases
async def test_rules_are_replaced_as_a_whole_and_numbered(api: Caller, sales: Sales) -> None:
    built_in = (await api.get("/v1/lead-rules")).json()
    assert (built_in["version"], built_in["created_at"]) == (0, None)
    assert [(rule["role"], rule["strategy"]) for rule in built_in["rules"]] == [("sales", "sticky_owner")]

    rosa = await sales.rep("rosa")
    big = {"name": "big", "when": {"min_company_size": 200}, "person": rosa, "strategy": "least_loaded"}
    answer = await put(api, big, EVERYBODY, version=0)
    assert answer.status_code == 200, answer.text
    first = answer.json()
    assert first["version"] == 1
    assert (await api.get("/v1/lead-rules")).json() == first
    assert [rule["name"] for rule in first["rules"]] == ["big", "everybody"]
    assert first["rules"][0]["when"]["min_company_size"] == 200

    assert (await put(api, EVERYBODY)).json()["version"] == 2
    # What was read can be written as it is.
    assert (await put(api, *first["rules"], version=2)).json()["rules"] == first["rules"]


async def test_rules_that_somebody_else_has_changed_are_not_overwritten(api: Caller) -> None:
    assert (await put(api, EVERYBODY)).json()["version"] == 1
    problem = assert_problem(await put(api, EVERYBODY, version=0), 409, "rules-changed")
    assert "version 1 is in force" in problem["detail"]


@on_both_databases
async def test_of_changes_at_the_same_time_one_is_made(api: Caller) -> None:
    answers = await asyncio.gather(*(put(api, EVERYBODY, version=0) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert (await api.get("/v1/lead-rules")).json()["version"] == 1


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([], "body.rules"),
        ([EVERYBODY, EVERYBODY], "body"),
        ([EVERYBODY, {**OTHER, "team": "andes"}], "body.rules.1"),
        ([EVERYBODY, {**OTHER, "strategy": "lottery"}], "body.rules.1.strategy"),
        ([EVERYBODY, {**OTHER, "when": {"countries": ["Chile"]}}], "body.rules.1.when.countries.0"),
        ([EVERYBODY, {**OTHER, "when": {"min_score": 2, "max_score": 1}}], "body.rules.1.when"),
        ([EVERYBODY, {"name": "other", "person": NOBODY, "strategy": "round_robin"}], "body.rules.1.person"),
    ],
)
async def test_rules_that_make_no_sense_are_refused(api: Caller, rules: list[Any], field: str) -> None:
    problem = assert_problem(await put(api, *rules), 422, "invalid-request")
    assert fields_at_fault(problem) == [field]
    assert (await api.get("/v1/lead-rules")).json()["version"] == 0


async def test_example_of_the_description_is_accepted(api: Caller) -> None:
    schemas = (await api.get("/openapi.json")).json()["components"]["schemas"]
    (example,) = schemas["RulesRequest"]["examples"]
    assert (await api.http.put("/v1/lead-rules", json=example)).status_code == 200


async def test_leads_that_wait_are_listed_oldest_first_with_the_reasons(api: Caller, sales: Sales) -> None:
    ana = await sales.rep("ana")
    rows = [await sales.queue(lead) for lead in await sales.leads(3)]
    page = (await api.get("/v1/lead-queue", limit=2)).json()
    assert [item["id"] for item in page["items"]] == [row.id for row in rows[:2]]
    first = page["items"][0]
    assert (first["enrollment_id"], first["step"]) == (rows[0].enrollment_id, "assign")
    assert [(reason["person"], reason["because"]) for reason in first["reasons"] if "person" in reason] == [
        (ana, "outside_hours")
    ]
    rest = (await api.get("/v1/lead-queue", limit=2, cursor=page["next_cursor"])).json()
    assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == ([rows[2].id], None)
    await sales.drain()
    assert (await api.get("/v1/lead-queue")).json()["items"] == []


async def test_a_manager_gives_a_lead_to_a_rep_and_its_run_is_told(
    api: Caller, sales: Sales, temporal: WorkflowEnvironment
) -> None:
    boss, ana = await sales.rep("boss", roles=["sales_manager"]), await sales.rep("ana", working_hours={})
    lead = await sales.lead()
    await api.services.dispatcher.start(lead)
    queued = await sales.queue(lead)
    answer = await assign(api, queued.id, ana, by="boss@example.com")
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert (given["person_id"], given["status"], given["reasons"][0]["by"]) == (ana, "accepted", boss)
    handle = temporal.client.get_workflow_handle(enrollment_workflow_id(lead.flow, lead.contact_id))
    assert LEAD_OFFERED in str(await handle.fetch_history())

    assert (await assign(api, queued.id, ana, by=boss)).json()["id"] == given["id"]
    assert_problem(await assign(api, queued.id, boss, by=boss), 409, "not-in-queue")


async def test_a_lead_is_given_also_while_temporal_is_down(api_without_temporal: Caller) -> None:
    sales = Sales(api_without_temporal.services.database)
    ana = await sales.rep("ana", roles=["sales_manager"])
    queued = await sales.queue(await sales.lead())
    assert (await assign(api_without_temporal, queued.id, ana, by=ana)).status_code == 200


async def test_what_cannot_be_given_by_hand_is_said(api: Caller, sales: Sales) -> None:
    ana, gone = await sales.rep("ana", roles=["sales_manager"]), await sales.rep("gone", active=False)
    queued = await sales.queue(await sales.lead())
    for person in (gone, NOBODY):
        assert fields_at_fault(assert_problem(await assign(api, queued.id, person, by=ana), 422)) == ["body.person_id"]
    assert fields_at_fault(assert_problem(await assign(api, queued.id, ana, by=None), 422)) == ["header.Cauce-Person"]
    assert_problem(await assign(api, queued.id, ana, by=gone), 403, "not-yours")
    rep = await sales.rep("rep")
    problem = assert_problem(await assign(api, queued.id, rep, by=rep), 403, "not-yours")
    assert "sales_manager" in problem["detail"]
    assert_problem(await assign(api, NOBODY, ana, by=ana), 404, "not-found")
    assert [item["id"] for item in (await api.get("/v1/lead-queue")).json()["items"]] == [queued.id]
