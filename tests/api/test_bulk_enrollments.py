"""Bulk enrollments by HTTP: asked for, read, held and cancelled; and a gate that a person opens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from domain.bulk_enrollments import JobStatus
from runtime.bulk_enrolling import begin_bulk_enrollment, record_ended_outside
from runtime.settings import Settings
from runtime.sweep import Sweep
from store.bulk_enrollments import finish, lock_job
from store.bulk_gates import halt
from store.list_tables import BulkEnrollmentRow, ImportRow
from store.tables import now
from tests.api.caller import Caller, assert_problem, calling, fields_at_fault
from tests.temporal_server import temporal_server
from tests.waiting import until
from worker.listing import listing

BULK = "/v1/flows/onboarding/enrollments/bulk"
FOR_A_DAY = {"stages": [{"count": 1, "gate": {"after": "P1D"}}, {"share": 1}]}
ASKING = {"after": "PT0S", "minimum_sent": 0, "approval": {"role": "marketing"}}


async def ids(api: Caller, count: int) -> list[str]:
    return [(await api.contact(email=f"c{number}@example.com"))["id"] for number in range(count)]


async def asked_for(api: Caller, *contact_ids: str, **more: Any) -> dict[str, Any]:
    answer = await api.post(BULK, {"source": {"contact_ids": list(contact_ids)}, **more})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def path(job: dict[str, Any], verb: str = "") -> str:
    return f"/v1/bulk-enrollments/{job['id']}{verb and f'/{verb}'}"


async def put(api: Caller, job: dict[str, Any], change: Any, *args: Any) -> None:
    """Have it be where a workflow would have brought it."""
    async with api.services.database.write() as session:
        row = await lock_job(session, job["id"])
        assert row is not None
        change(row, *args)
        session.add(row)


async def test_contacts_by_id_are_taken_and_the_workflow_is_begun(api: Caller) -> None:
    known = await ids(api, 3)
    job = await asked_for(api, *known, str(uuid4()), settings={"hand_after": "P2D"}, per_second=5)
    assert (job["status"], job["size"], job["position"]) == ("running", 3, 0), "whom nobody knows is left out"
    assert job["source"] == {"contacts": 4}, "ids would outlive an erasure"
    assert (await api.get(path(job))).json() == job
    run = await api.services.client.get_workflow_handle(job["workflow_id"]).describe()
    assert await run.static_summary() == "Enroll many contacts in onboarding"
    assert not set(known) & set(str(run.raw_description).split('"'))


async def test_the_answer_says_where_it_is(api: Caller) -> None:
    answer = await api.post(BULK, {"source": {"contact_ids": await ids(api, 1)}})
    assert answer.headers["Location"] == path(answer.json())


async def test_the_same_key_makes_one_and_another_request_under_it_is_refused(api: Caller) -> None:
    (ada,) = await ids(api, 1)
    body = {"source": {"contact_ids": [ada]}}
    first, again = [await api.post(BULK, body, Idempotency_Key="spring") for _ in range(2)]
    assert first.json()["id"] == again.json()["id"]
    other = await api.post(BULK, {**body, "per_second": 1}, Idempotency_Key="spring")
    assert_problem(other, 422, "idempotency-key-reused")
    assert len((await api.get("/v1/bulk-enrollments")).json()["items"]) == 1


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"source": {}}, "body.source"),
    ({"source": {"contact_ids": []}}, "body.source.contact_ids"),
    ({"source": {"segment_id": str(uuid4())}}, "body.source"),
    ({"source": {"import_id": str(uuid4())}}, "body.source"),
    ({"per_second": 0}, "body.per_second"),
    ({"per_second": 1e9}, "body.per_second"),
    ({"settings": {"hand_after": "soon"}}, "body.settings.hand_after"),
    ({"pilot": {"stages": [{"share": 1}]}}, "body.pilot.stages"),
    ({"pilot": {"stages": [{"share": 0.1}, {"share": 0.5}]}}, "body.pilot"),
    ({"pilot": {"stages": [{"share": 0.1, "count": 3}, {"share": 1}]}}, "body.pilot.stages.0"),
    ({"pilot": {"stages": [{"share": 0.1, "gate": {"after": 3}}, {"share": 1}]}}, "body.pilot.stages.0.gate.after"),
]


async def test_what_cannot_be_done_is_refused_with_the_field(api: Caller) -> None:
    for body, field in UNFIT:
        answer = await api.post(BULK, {"source": {"contact_ids": [str(uuid4())]}, **body})
        assert field in fields_at_fault(assert_problem(answer, 422, "invalid-request")), body


async def test_an_import_that_goes_on_is_no_source_yet(api: Caller) -> None:
    async with api.services.database.write() as session:
        session.add(row := ImportRow())
    problem = assert_problem(await api.post(BULK, {"source": {"import_id": row.id}}), 422)
    assert "not finished" in problem["detail"]


async def test_listed_by_flow_and_status_newest_first(api: Caller) -> None:
    first, second = [await asked_for(api, str(uuid4())) for _ in range(2)]
    (third,) = [await asked_for(api, *await ids(api, 1))]

    async def listed(**query: str) -> list[str]:
        return [job["id"] for job in (await api.get("/v1/bulk-enrollments", **query)).json()["items"]]

    assert await listed() == [third["id"], second["id"], first["id"]]
    assert await listed(status="finished") == [second["id"], first["id"]], "for nobody it is finished at once"
    assert await listed(flow="nurturing") == []


async def test_held_resumed_and_cancelled_and_twice_is_once(api: Caller) -> None:
    job = await asked_for(api, *await ids(api, 2))
    for verb, status in (("hold", "held"), ("resume", "running"), ("cancel", "cancelled")):
        for _ in range(2):
            answer = await api.post(path(job, verb))
            assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert (await api.get(path(job))).json()["reason"] == "cancelled by api"
    problem = assert_problem(await api.post(path(job, "hold")), 409, "not-now")
    assert problem["detail"] == "it is cancelled"
    assert_problem(await api.post(path(job, "resume")), 409, "not-now")


async def test_one_that_is_finished_is_not_cancelled(api: Caller) -> None:
    job = await asked_for(api, *await ids(api, 1))
    await put(api, job, finish)
    assert_problem(await api.post(path(job, "cancel")), 409, "not-now")


async def test_one_that_was_halted_goes_on_only_by_a_person_who_says_why(api: Caller) -> None:
    job = await asked_for(api, *await ids(api, 1))
    await put(api, job, halt, "complaint rate 0.40% (4 of 1000) of messages is above 0.30%")
    person = (await api.post("/v1/people", {"email": "rosa@example.com", "name": "Rosa"})).json()
    note, rosa = {"note": "they were all of one list"}, {"Cauce_Person": person["id"]}
    assert_problem(await api.post(path(job, "hold")), 409, "not-now")
    assert_problem(await api.post(path(job, "resume")), 409, "not-now")
    assert_problem(await api.post(path(job, "resume"), note), 409, "not-now")
    assert_problem(await api.post(path(job, "resume"), **rosa), 409, "not-now")
    assert (await api.post(path(job, "resume"), note, **rosa)).json()["status"] == "running"


async def test_one_that_is_not_there_is_404(api: Caller) -> None:
    for verb in ("", "refused"):
        assert_problem(await api.get(path({"id": str(uuid4())}, verb)), 404, "not-found")
    for verb in ("hold", "resume", "cancel"):
        assert_problem(await api.post(path({"id": str(uuid4())}, verb)), 404, "not-found")


async def test_while_temporal_is_down_it_is_accepted_and_the_sweep_begins_it(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    job = await asked_for(api_without_temporal, *await ids(api_without_temporal, 1))
    assert (await api_without_temporal.post(path(job, "hold"))).json()["status"] == "held"
    async with calling(api_without_temporal.services.settings, temporal.client) as api:
        swept = await Sweep(api.services.dispatcher).run(grace=timedelta(seconds=-1), closed_since=now())
        assert (swept["bulk_enrollments_begun"], swept["bulk_enrollments_told"]) == (1, 1)
        history = await api.services.client.get_workflow_handle(job["workflow_id"]).fetch_history()
        assert "look" in str(history.events)
        again = await Sweep(api.services.dispatcher).run(grace=timedelta(seconds=-1), closed_since=now())
        assert (again["bulk_enrollments_begun"], again["bulk_enrollments_told"]) == (0, 0)


async def test_a_word_that_could_not_be_told_may_be_said_again(api_without_temporal: Caller) -> None:
    api = api_without_temporal
    rosa = await person(api, "rosa", "marketing")
    stages = [{"count": 1, "gate": ASKING}, {"share": 1}]
    job = await asked_for(api, *await ids(api, 2), pilot={"stages": stages})
    problem = assert_problem(await api.post(path(job, "approve"), {"stage": 0}, **rosa), 503, "flow-unavailable")
    assert "send the same request again" in problem["detail"]


# -- With a worker ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def at_work(settings: Settings) -> AsyncIterator[Caller]:
    """A server and a worker of lists of the test's own."""
    async with (
        await temporal_server() as server,
        calling(settings, server.client) as caller,
        listing(server.client, caller.services.database, {n: f.about for n, f in caller.services.flows.items()}),
    ):
        yield caller


async def is_(api: Caller, job: dict[str, Any], status: JobStatus) -> bool:
    found: bool = (await api.get(path(job))).json()["status"] == status
    return found


async def person(api: Caller, name: str, *roles: str) -> dict[str, str]:
    answer = await api.post("/v1/people", {"email": f"{name}@example.com", "name": name, "roles": list(roles)})
    return {"Cauce_Person": answer.json()["id"]}


async def test_a_gate_that_asks_a_person_opens_by_their_word_alone(at_work: Caller) -> None:
    api = at_work
    rosa, raul = await person(api, "rosa", "marketing"), await person(api, "raul", "sales")
    asker = await person(api, "asker", "marketing")
    contacts = await ids(api, 3)
    await api.post("/v1/suppressions", {"email": "c0@example.com", "reason": "manual"})
    stages = [{"count": 1, "gate": ASKING}, {"count": 2, "gate": ASKING}, {"share": 1}]
    answer = await api.post(BULK, {"source": {"contact_ids": contacts}, "pilot": {"stages": stages}}, **asker)
    job = answer.json()
    assert_problem(await api.post(path(job, "approve"), {"stage": 1}, **rosa), 409, "no-longer-pending")
    await until(partial(is_, api, job, JobStatus.AWAITING_APPROVAL))
    assert_problem(await api.post(path(job, "approve"), {"stage": 0}, **raul), 403, "not-yours")
    assert_problem(await api.post(path(job, "approve"), {"stage": 0}, **asker), 403, "not-yours")
    for _ in range(2):
        approved = await api.post(path(job, "approve"), {"stage": 0, "note": "reads well"}, **rosa)
        assert approved.status_code == 200, approved.text
    assert_problem(await api.post(path(job, "decline"), {"stage": 0}, **rosa), 409, "no-longer-pending")

    async def waits_again() -> bool:
        gates = (await api.get(path(job))).json()["gates"]
        return len(gates) == 2 and gates[1]["asked_at"] is not None

    await until(waits_again)
    assert (await api.post(path(job, "decline"), {"stage": 1}, **rosa)).json()["status"] == "halted"
    halted = (await api.get(path(job))).json()
    first, second = halted["gates"]
    assert (first["outcome"], first["person_id"], first["note"]) == ("approved", rosa["Cauce_Person"], "reads well")
    assert (second["outcome"], second["person_id"]) == ("declined", rosa["Cauce_Person"])
    await api.post(path(job, "resume"), {"note": "a misunderstanding"}, **raul)
    await until(partial(is_, api, job, JobStatus.FINISHED))
    assert {row.contact_id for row in await api.enrollments()} == set(contacts[1:])
    assert (await api.get(path(job, "refused"))).json()["items"] == [
        {"contact_id": contacts[0], "reason": "suppressed_manual"}
    ]
    assert (await api.get(path(job))).json()["refusals"] == {"suppressed_manual": 1}
    started = await api.services.client.count_workflows("WorkflowType = 'onboarding'")
    assert started.count == 2


async def test_one_that_is_terminated_in_temporal_is_cancelled_by_the_sweep_unless_it_runs_again(
    at_work: Caller,
) -> None:
    api = at_work
    client, database = api.services.client, api.services.database
    began = now() - timedelta(minutes=1)
    job = await asked_for(api, *await ids(api, 2), pilot=FOR_A_DAY)
    await until(partial(is_, api, job, JobStatus.AT_GATE))
    terminated = client.get_workflow_handle(job["workflow_id"])
    await terminated.terminate("by an operator")
    async with database.read() as session:
        await begin_bulk_enrollment(await session.get_one(BulkEnrollmentRow, job["id"]), client, database)

    async def is_listed() -> bool:
        return (await client.count_workflows("ExecutionStatus = 'Terminated'")).count == 1

    await until(is_listed)
    assert await record_ended_outside(client, began, database) == 0
    await terminated.terminate("by an operator")

    async def noticed() -> bool:
        await Sweep(api.services.dispatcher).run(grace=timedelta(hours=1), closed_since=began)
        return await is_(api, job, JobStatus.CANCELLED)

    await until(noticed, every=0.2)
    assert (await api.get(path(job))).json()["reason"] == "terminated in Temporal"


async def test_one_whose_run_is_gone_is_cancelled_once_somebody_changes_it(at_work: Caller) -> None:
    api = at_work
    job = await asked_for(api, *await ids(api, 2), pilot=FOR_A_DAY)
    await until(partial(is_, api, job, JobStatus.AT_GATE))
    await api.services.client.get_workflow_handle(job["workflow_id"]).terminate("by an operator")
    await api.post(path(job, "hold"))
    assert await is_(api, job, JobStatus.CANCELLED)
    async with api.services.database.read() as session:
        assert (await session.get_one(BulkEnrollmentRow, job["id"])).to_tell_since is None
