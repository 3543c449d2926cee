"""Tasks through the API: what is to be done, and having done it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from domain.people import Person
from runtime.settings import Settings
from store.people_tables import TaskRow
from store.tasks import close_task
from tests.api.caller import Caller, assert_problem, calling, client_of_nobody, fields_at_fault
from tests.api.databases import on_both_databases
from tests.api.office import Office, office_of

NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"


@pytest.fixture
async def office(api: Caller, temporal: WorkflowEnvironment) -> AsyncIterator[Office]:
    async with office_of(api, temporal.client) as office:
        yield office


@pytest.fixture
async def rosa(office: Office) -> Person:
    return await office.person("Rosa", "sales")


@pytest.fixture
async def bo(office: Office) -> Person:
    return await office.person("Bo", "sales")


async def _complete(office: Office, task: TaskRow, person: Person, body: Any = None, key: str | None = None) -> Any:
    return await office.post(f"/v1/tasks/{task.id}/complete", person, body, key)


async def _read(office: Office, task: TaskRow) -> dict[str, Any]:
    view: dict[str, Any] = (await office.api.get(f"/v1/tasks/{task.id}")).json()
    return view


@on_both_databases
@pytest.mark.parametrize("waited", [True, False], ids=["waited", "not waited"])
async def test_task_is_done_once_by_one_of_the_role(office: Office, rosa: Person, bo: Person, waited: bool) -> None:
    task = await office.task(rosa, bo, role="sales", waited=waited)
    stranger = await office.person("Cy", "marketing")
    assert_problem(await _complete(office, task, stranger), 403, "not-yours")
    done = await _complete(office, task, bo, {"comment": "Called"}, key="k1")
    assert (done.status_code, done.json()["choice"], done.json()["comment"]) == (200, "done", "Called")
    view = await _read(office, task)
    assert (view["status"], view["done_by"], view["answer"]) == ("done", bo.id, done.json())
    again = await _complete(office, task, bo, {"comment": "Called"}, key="k1")
    assert (again.status_code, again.json()) == (200, done.json())
    problem = assert_problem(await _complete(office, task, rosa), 409, "no-longer-pending")
    assert problem["detail"].startswith("it was done on 20")


@pytest.mark.parametrize("waited", [True, False], ids=["waited", "not waited"])
async def test_of_two_who_do_it_at_once_one_did(office: Office, rosa: Person, bo: Person, waited: bool) -> None:
    task = await office.task(rosa, bo, role="sales", waited=waited)
    answers = await asyncio.gather(*(_complete(office, task, person) for person in (rosa, bo)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (done,) = [answer.json() for answer in answers if answer.is_success]
    assert (await _read(office, task))["done_by"] == done["person_id"]


async def test_task_that_is_overdue_or_withdrawn_is_not_done_any_more(office: Office, rosa: Person) -> None:
    for status, ended in (("overdue", "it was overdue on 20"), ("withdrawn", "it was withdrawn on 20")):
        task = await office.task(rosa)
        async with office.api.services.database.write() as session:
            await close_task(session, await session.get_one(TaskRow, task.id), status)
        problem = assert_problem(await _complete(office, task, rosa), 409, "no-longer-pending")
        assert problem["detail"].startswith(ended)
        assert (await _read(office, task))["status"] == status


async def test_tasks_are_found_by_status_person_and_role(office: Office, rosa: Person, bo: Person) -> None:
    of_rosa, of_sales = await office.task(rosa), await office.task(bo, role="sales")
    assert (await _complete(office, of_rosa, rosa)).is_success

    async def found(**query: Any) -> list[str]:
        return [item["id"] for item in (await office.api.get("/v1/tasks", **query)).json()["items"]]

    assert await found() == [of_sales.id, of_rosa.id]
    assert await found(status="done") == [of_rosa.id]
    assert await found(status="open") == await found(role="sales") == [of_sales.id]
    assert (
        await found(enrollment_id=of_rosa.enrollment_id) == await found(contact_id=of_rosa.contact_id) == [of_rosa.id]
    )
    first = (await office.api.get("/v1/tasks", limit=1)).json()
    assert await found(cursor=first["next_cursor"]) == [of_rosa.id]


@on_both_databases
async def test_tasks_of_a_person_are_those_of_their_roles_too(office: Office, rosa: Person) -> None:
    cy = await office.person("Cy", "marketing")
    of_rosa, of_sales = await office.task(rosa), await office.task(rosa, role="sales")

    async def found(person_id: str) -> list[str]:
        return [item["id"] for item in (await office.api.get("/v1/tasks", person_id=person_id)).json()["items"]]

    assert await found(rosa.id) == [of_sales.id, of_rosa.id]
    assert await found(cy.id) == await found(NOBODY) == []
    await office.api.http.patch(f"/v1/people/{rosa.id}", json={"active": False})
    assert await found(rosa.id) == [of_rosa.id]


async def test_without_temporal_the_same_key_does_it_later(
    settings: Settings, office: Office, rosa: Person, unused_port: Callable[[], int]
) -> None:
    task, alone = await office.task(rosa), await office.task(rosa, waited=False)
    async with calling(settings, await client_of_nobody(unused_port())) as cut_off:
        away = Office(cut_off, await client_of_nobody(unused_port()))
        assert_problem(await _complete(away, task, rosa, key="k1"), 503, "flow-unavailable")
        assert (await _complete(away, alone, rosa, key="k1")).is_success
    assert (await _complete(office, task, rosa, key="k1")).is_success
    assert (await _read(office, task))["status"] == "done"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"comment": "x" * 2001}, "body.comment"), ({"comment": []}, "body.comment"), ({"done": True}, "body.done")],
)
async def test_bad_member_is_named(office: Office, rosa: Person, body: dict[str, Any], field: str) -> None:
    task = await office.task(rosa)
    assert fields_at_fault(assert_problem(await _complete(office, task, rosa, body), 422)) == [field]
    assert await office.answers() == []


async def test_unknown_task_is_not_found(office: Office, rosa: Person) -> None:
    assert_problem(await office.api.get(f"/v1/tasks/{NOBODY}"), 404, "not-found")
    assert_problem(await office.post(f"/v1/tasks/{NOBODY}/complete", rosa), 404, "not-found")
