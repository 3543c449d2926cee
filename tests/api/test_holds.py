"""Holding and resuming an enrollment, a contact and a whole flow: stored at once, told now or later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select
from temporalio.testing import WorkflowEnvironment

from domain.flows import Exit, Outcome
from runtime.dispatch import Dispatcher
from runtime.sweep import Sweep
from store.enrollments import record_outcome
from store.holds import Scope, resume
from store.tables import HoldRow, now
from tests.api.caller import ADA, Caller, assert_problem
from tests.api.databases import on_both_databases
from tests.waiting import until

UNKNOWN = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
SCOPES = ["enrollments", "contacts", "flows"]


def address(made: dict[str, Any], scope: str) -> str:
    targets = {"enrollments": made["id"], "contacts": made["contact_id"], "flows": made["flow"]}
    return f"/v1/{scope}/{targets[scope]}"


async def shown(api: Caller, made: dict[str, Any]) -> bool:
    """Whether the enrollment shows as held."""
    (listed,) = (await api.get("/v1/enrollments", contact_id=made["contact_id"])).json()["items"]
    read = (await api.get(f"/v1/enrollments/{made['id']}")).json()
    assert listed["held"] is read["held"]
    return read["held"] is True


@on_both_databases
@pytest.mark.parametrize("scope", SCOPES)
async def test_hold_and_resume_show_and_doing_them_twice_changes_nothing(
    api_without_temporal: Caller, scope: str
) -> None:
    api = api_without_temporal
    made = await api.enroll()
    other = await api.enroll(contact={"email": "bo@example.com"})
    at = address(made, scope)
    for verb, held in (("resume", False), ("hold", True), ("hold", True), ("resume", False), ("resume", False)):
        answer = await api.post(f"{at}/{verb}")
        assert answer.status_code == 202, answer.text
        assert answer.json() == (await api.get(at)).json()
        assert answer.json()["held"] is await shown(api, made) is held
        assert await shown(api, other) is (held and scope == "flows")
    async with api.services.database.read() as session:
        (row,) = await session.exec(select(HoldRow))
    assert row.resumed_at is not None


async def test_under_two_holds_it_stays_held_until_both_are_lifted(api_without_temporal: Caller) -> None:
    api = api_without_temporal
    made = await api.enroll()
    await api.post(f"/v1/enrollments/{made['id']}/hold")
    await api.post("/v1/flows/onboarding/hold")
    assert (await api.post(f"/v1/enrollments/{made['id']}/resume")).json()["held"] is True
    await api.post("/v1/flows/onboarding/resume")
    assert not await shown(api, made)


async def test_holding_what_has_ended_changes_nothing_and_says_so(api_without_temporal: Caller) -> None:
    api = api_without_temporal
    made = await api.enroll()
    async with api.services.database.write() as session:
        await record_outcome(session, made["id"], Outcome(exit=Exit.GOAL, step="activated"))
    answer = await api.post(f"/v1/enrollments/{made['id']}/hold")
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["held"]) == ("ended", False)
    await api.post("/v1/flows/onboarding/hold")
    assert not await shown(api, made)


async def test_what_is_unknown_is_not_found(api_without_temporal: Caller) -> None:
    for verb in ("hold", "resume"):
        for at in (f"/v1/enrollments/{UNKNOWN}", f"/v1/contacts/{UNKNOWN}", "/v1/flows/nope"):
            assert_problem(await api_without_temporal.post(f"{at}/{verb}"), 404, "not-found")
        for at in ("/v1/enrollments/ada", "/v1/contacts/%00"):
            assert_problem(await api_without_temporal.post(f"{at}/{verb}"), 422)


@pytest.mark.parametrize("scope", ["contacts", "flows"])
async def test_who_enters_what_is_held_is_taken_and_stands_held(api: Caller, scope: str) -> None:
    ada = await api.contact()
    await api.post(f"{address({'id': '', 'contact_id': ada['id'], 'flow': 'onboarding'}, scope)}/hold")
    answer = await api.post("/v1/flows/onboarding/enrollments", {"contact": ADA}, idempotency_key="signup-1")
    assert (answer.status_code, answer.json()["held"]) == (201, True)
    (row,) = await api.enrollments()
    assert row.started_at is not None
    assert row.held_since is not None
    async with api.services.database.write() as session:
        assert await resume(session, Scope(scope[:-1]), ada["id"] if scope == "contacts" else "onboarding")
    again = await api.post("/v1/flows/onboarding/enrollments", {"contact": ADA}, idempotency_key="signup-1")
    assert again.json() == answer.json(), "a repeated request gets the same answer"


async def test_holds_are_accepted_while_temporal_is_down(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    api = api_without_temporal
    made = await api.enroll()
    await _sweep(api, temporal)
    for scope in SCOPES:
        assert (await api.post(f"{address(made, scope)}/hold")).status_code == 202
    assert await shown(api, made)
    (row,) = await api.enrollments()
    assert row.held_since is None, "nobody was there to tell it"


async def test_a_held_contact_starts_held_by_the_sweep(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    api = api_without_temporal
    made = await api.enroll()
    await api.post(f"/v1/contacts/{made['contact_id']}/hold")
    assert (await _sweep(api, temporal))["enrollments_started"] == 1
    (row,) = await api.enrollments()
    assert row.held_since is not None


async def test_holding_a_flow_tells_a_few_runs_and_leaves_the_others_to_the_sweep(api: Caller) -> None:
    for number in range(25):
        await api.enroll(contact={"email": f"contact-{number}@example.com"})
    assert (await api.post("/v1/flows/onboarding/hold")).json()["held"] is True
    asked = [row for row in await api.enrollments() if row.hold_asked_at is not None]
    assert 0 < len(asked) <= 20


async def _sweep(api: Caller, temporal: WorkflowEnvironment) -> dict[str, int]:
    """What a worker does once Temporal is back."""
    flows = {name: flow.about for name, flow in api.services.flows.items()}
    dispatcher = Dispatcher(api.services.database, temporal.client, flows)
    return await Sweep(dispatcher).run(grace=timedelta(0), closed_since=now())


async def test_a_wait_has_as_much_left_after_a_hold_as_before(api_with_worker: Caller) -> None:
    api = api_with_worker
    made = await api.enroll()
    at = f"/v1/enrollments/{made['id']}"

    async def wakes_at() -> str | None:
        moment: str | None = (await api.get(at)).json()["next_wake_at"]
        return moment

    async def waits() -> bool:
        return await wakes_at() is not None

    await until(waits)
    before = await wakes_at()
    assert (await api.post(f"{at}/hold")).json()["held"] is True
    (row,) = await api.enrollments()
    assert row.held_since is not None, "its run has answered"
    assert (await api.post(f"{at}/resume")).json()["held"] is False
    (row,) = await api.enrollments()
    assert row.held_since is None

    async def waits_longer() -> bool:
        after = await wakes_at()
        return before is not None and after is not None and after > before

    await until(waits_longer)
