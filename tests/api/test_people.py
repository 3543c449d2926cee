"""People of the team through the API."""

from __future__ import annotations

from typing import Any

import pytest

from store.people_tables import TaskRow
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases

NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
ROSA: dict[str, Any] = {
    "email": "rosa@example.com",
    "name": "Rosa Pérez",
    "roles": ["sales", "sales_manager"],
    "teams": ["andes"],
    "locale": "es-CL",
    "time_zone": "America/Santiago",
    "working_hours": {"monday": [{"begins": "09:00:00", "ends": "13:30:00"}], "friday": []},
    "holidays": "CL",
    "absences": [{"first_day": "2026-12-24", "last_day": "2027-01-02", "delegate": None}],
    "capacity": 20,
    "weight": 2,
    "territories": ["CL", "AR/Córdoba"],
    "products": ["Línea «A»"],
    "languages": ["es", "en"],
    "active": True,
}


async def add(api: Caller, **person: Any) -> dict[str, Any]:
    answer = await api.post("/v1/people", {"name": "Bo", **person})
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


async def change(api: Caller, person: dict[str, Any], **changes: Any) -> Any:
    return await api.http.patch(f"/v1/people/{person['id']}", json=changes)


@on_both_databases
async def test_person_is_added_changed_and_removed(api: Caller) -> None:
    answer = await api.post("/v1/people", ROSA)
    assert answer.status_code == 201
    rosa = answer.json()
    assert rosa == {**rosa, **ROSA}
    assert answer.headers["location"] == f"/v1/people/{rosa['id']}"
    assert (await api.get(answer.headers["location"])).json() == rosa

    changes: dict[str, Any] = {"capacity": None, "roles": ["sales"], "working_hours": {}, "active": False}
    answer = await change(api, rosa, **changes)
    assert answer.status_code == 200
    changed = answer.json()
    assert changed == {**rosa, **changes, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > rosa["updated_at"]
    assert (await change(api, rosa)).json() == changed

    assert (await api.http.delete(f"/v1/people/{rosa['id']}")).status_code == 204
    assert_problem(await api.get(f"/v1/people/{rosa['id']}"), 404, "not-found")


async def test_time_without_seconds_is_taken(api: Caller) -> None:
    person = await add(api, email="bo@example.com", working_hours={"monday": [{"begins": "09:00", "ends": "17:30"}]})
    assert person["working_hours"] == {"monday": [{"begins": "09:00:00", "ends": "17:30:00"}]}


async def test_examples_of_the_description_are_accepted(api: Caller) -> None:
    schemas = (await api.get("/openapi.json")).json()["components"]["schemas"]
    examples = {
        model: {
            name: given["examples"][0] for name, given in schemas[model]["properties"].items() if "examples" in given
        }
        for model in ("PersonProfile", "PersonChanges")
    }
    person = await add(api, **examples["PersonProfile"])
    assert (await change(api, person, **examples["PersonChanges"])).status_code == 200
    assert all("default" not in given for given in schemas["PersonChanges"]["properties"].values())
    assert "required" not in schemas["PersonChanges"]


async def test_people_are_listed_newest_first_a_page_at_a_time(api: Caller) -> None:
    added = [await add(api, email=f"p{number}@example.com") for number in range(5)]
    first = (await api.get("/v1/people", limit=3)).json()
    rest = (await api.get("/v1/people", limit=3, cursor=first["next_cursor"])).json()
    assert [*first["items"], *rest["items"]] == added[::-1]
    assert rest["next_cursor"] is None


@on_both_databases
async def test_people_are_found_by_role_team_address_and_whether_they_are_active(api: Caller) -> None:
    rep = await add(api, email="rep@example.com", roles=["sales"], teams=["andes"])
    manager = await add(api, email="boss@example.com", roles=["sales_manager", "sales"], active=False)

    async def found(**query: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await api.get("/v1/people", **query)).json()["items"]
        return items

    assert await found(role="sales") == [manager, rep]
    assert await found(role="sales", active="true") == [rep]
    assert await found(role="sales_manager") == [manager]
    assert await found(team="andes") == [rep]
    assert await found(active="false") == [manager]
    assert await found(email="REP@Example.com") == [rep]
    assert await found(role="marketing") == []


async def test_address_of_another_person_is_refused(api: Caller) -> None:
    await add(api, email="rosa@example.com")
    bo = await add(api, email="bo@example.com")
    for answer in (
        await api.post("/v1/people", {"email": "Rosa@Example.com", "name": "R"}),
        await change(api, bo, email="rosa@example.com", name="R"),
    ):
        assert_problem(answer, 409, "address-taken")
        assert "rosa" not in answer.text.lower()
    assert (await api.get(f"/v1/people/{bo['id']}")).json() == bo
    assert (await change(api, bo, email="BO@example.com")).json() == bo


async def test_delegate_is_another_person(api: Caller) -> None:
    rosa, bo = await add(api, email="rosa@example.com"), await add(api, email="bo@example.com")
    day = {"first_day": "2026-12-24", "last_day": "2026-12-24"}
    answer = await change(api, rosa, absences=[{**day, "delegate": bo["id"].upper()}])
    assert answer.json()["absences"] == [{**day, "delegate": bo["id"]}]
    for delegate in (rosa["id"], NOBODY):
        refused = await change(api, rosa, absences=[day, {**day, "delegate": delegate}])
        assert fields_at_fault(assert_problem(refused, 422)) == ["body.absences.1.delegate"]
    refused = await api.post(
        "/v1/people", {"email": "n@example.com", "name": "N", "absences": [{**day, "delegate": NOBODY}]}
    )
    assert fields_at_fault(assert_problem(refused, 422)) == ["body.absences.0.delegate"]


async def test_person_who_has_something_is_made_inactive_and_not_deleted(api: Caller) -> None:
    rosa = await add(api, email="rosa@example.com")
    enrollment = await api.enroll()
    async with api.services.database.write() as session:
        session.add(
            TaskRow(
                enrollment_id=enrollment["id"],
                contact_id=enrollment["contact_id"],
                flow="onboarding",
                step="call",
                subject="Call",
                person_id=rosa["id"],
            )
        )
    problem = assert_problem(await api.http.delete(f"/v1/people/{rosa['id']}"), 409, "person-still-named")
    assert problem["detail"].startswith("tasks name this person: ")
    assert "active=false" in problem["detail"]
    assert (await change(api, rosa, active=False)).json()["active"] is False


async def test_unknown_people_are_not_found(api: Caller) -> None:
    for answer in (
        await api.get(f"/v1/people/{NOBODY}"),
        await api.http.patch(f"/v1/people/{NOBODY}", json={"weight": 2}),
        await api.http.delete(f"/v1/people/{NOBODY}"),
    ):
        assert_problem(answer, 404, "not-found")


HOURS = '"working_hours": {"monday": [{"begins": %s, "ends": "18:00"}]}'
ABSENCE = '"absences": [{"first_day": %s, "last_day": "2026-12-31"}]'


@pytest.mark.parametrize(
    ("member", "field"),
    [
        ('"email": null', "email"),
        (r'"name": "a\u0000"', "name"),
        ('"name": "  "', "name"),
        ('"name": null', "name"),
        ('"roles": ["Sales"]', "roles.0"),
        ('"roles": "sales"', "roles"),
        ('"teams": null', "teams"),
        ('"locale": "Spanish"', "locale"),
        ('"time_zone": "Santiago"', "time_zone"),
        ('"holidays": "Chile"', "holidays"),
        ('"capacity": -1', "capacity"),
        ('"capacity": "5"', "capacity"),
        ('"capacity": ' + "9" * 40, "capacity"),
        ('"weight": 0', "weight"),
        ('"weight": null', "weight"),
        ('"weight": true', "weight"),
        ('"active": 1', "active"),
        ('"active": "yes"', "active"),
        (r'"territories": ["CL/\u0000"]', "territories.0"),
        (r'"territories": ["CL/\ud800"]', "territories.0"),
        (r'"products": ["\u0007"]', "products.0"),
        ('"languages": ["es-CL"]', "languages.0"),
        ('"working_hours": {"lunes": []}', "working_hours.lunes"),
        (HOURS % '"19:00"', "working_hours.monday.0"),
        (HOURS % '"09:00Z"', "working_hours.monday.0.begins"),
        (HOURS % '"24:00"', "working_hours.monday.0.begins"),
        (HOURS % "32400", "working_hours.monday.0.begins"),
        (HOURS % '"9"', "working_hours.monday.0.begins"),
        (HOURS % "null", "working_hours.monday.0.begins"),
        (ABSENCE % '"2027-01-01"', "absences.0"),
        (ABSENCE % '"2026-02-30"', "absences.0.first_day"),
        (ABSENCE % '"1492-10-12"', "absences.0.first_day"),
        (ABSENCE % "20261224", "absences.0.first_day"),
        (ABSENCE % '"2026-12-24T00:00:00Z"', "absences.0.first_day"),
        (ABSENCE % r'"2026-12-24", "delegate": "\u0000"', "absences.0.delegate"),
        (ABSENCE % '"2026-12-24", "delegate": "bo@example.com"', "absences.0.delegate"),
        ('"id": "' + NOBODY + '"', "id"),
    ],
)
async def test_bad_member_of_a_person_is_named(api: Caller, member: str, field: str) -> None:
    bo = await add(api, email="bo@example.com")
    rest = "" if '"email"' in member else ', "email": "rosa@example.com"'
    rest += "" if '"name"' in member else ', "name": "Rosa"'
    for method, path, body in (
        ("POST", "/v1/people", f"{{{member}{rest}}}"),
        ("PATCH", f"/v1/people/{bo['id']}", f"{{{member}}}"),
    ):
        headers = {"Content-Type": "application/json"}
        answer = await api.http.request(method, path, content=body.encode(), headers=headers)
        assert fields_at_fault(assert_problem(answer, 422))[0].removesuffix(".…") == f"body.{field}"
    assert (await api.get("/v1/people")).json()["items"] == [bo]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/people/not-an-id", "path.person_id"),
        ("/v1/people?email=nobody", "query.email"),
        ("/v1/people?role=Sales", "query.role"),
        ("/v1/people?team=%00", "query.team"),
        ("/v1/people?active=maybe", "query.active"),
        ("/v1/people?rol=sales", "query.rol"),
    ],
)
async def test_ill_formed_question_names_the_field(api: Caller, path: str, field: str) -> None:
    assert fields_at_fault(assert_problem(await api.get(path), 422)) == [field]
