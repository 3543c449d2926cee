from __future__ import annotations

import asyncio
from datetime import date, time
from typing import Any

import pytest
from sqlalchemy import JSON
from sqlmodel import SQLModel

from domain.messages import MessageStatus
from domain.people import Person, PersonProfile
from domain.working_time import OFFICE_HOURS, Absence, Hours, Weekday
from store.database import Database
from store.ledger_tables import MessageRow
from store.people import (
    NAMING,
    AddressTaken,
    StillNamed,
    UnknownDelegates,
    active_people,
    delete_person,
    insert_person,
    page_of_people,
    people_in_role,
    person_by_id,
    update_person,
)
from store.people_tables import (
    AnswerRow,
    ApprovalRequestRow,
    ApprovalRow,
    AssignmentRow,
    LeadRulesRow,
    PersonRow,
    TaskRow,
)
from store.tables import ContactRow, EnrollmentRow, new_id

NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
COLUMNS: list[Any] = [column for columns in NAMING.values() for column in columns]


async def add(database: Database, email: str = "rosa@example.com", **known: Any) -> PersonRow:
    async with database.write() as session:
        return await insert_person(session, PersonProfile(email=email, name="Rosa", **known))


async def change(database: Database, person_id: str, **changes: Any) -> PersonRow | None:
    async with database.write() as session:
        return await update_person(session, person_id, PersonProfile.model_construct(set(changes), **changes))


async def stored(database: Database, person_id: str) -> Person | None:
    async with database.read() as session:
        return await person_by_id(session, person_id)


async def test_a_person_comes_back_as_they_were_given(database: Database) -> None:
    delegate = await add(database, "bo@example.com")
    profile = PersonProfile(
        email="Rosa@Example.com",
        name="Rosa Pérez",
        roles=["sales", "sales_manager"],
        teams=["andes"],
        locale="es-CL",
        time_zone="America/Santiago",
        working_hours={
            Weekday.MONDAY: [Hours(begins=time(9), ends=time(13)), Hours(begins=time(14, 30), ends=time(18, 0, 59))],
            Weekday.SUNDAY: [],
        },
        holidays="CL",
        absences=[Absence(first_day=date(2026, 12, 24), last_day=date(2027, 1, 2), delegate=delegate.id)],
        capacity=0,
        weight=3,
        territories=["CL", "AR/Córdoba"],
        products=["Línea «A»"],
        languages=["es", "en"],
        active=False,
    )
    async with database.write() as session:
        row = await insert_person(session, profile)
    person = await stored(database, row.id)
    assert person is not None
    assert person.model_dump(exclude={"id"}) == profile.model_dump()
    async with database.read() as session:
        kept = await session.get_one(PersonRow, row.id)
    assert kept.working_hours["monday"][1] == {"begins": "14:30:00", "ends": "18:00:59"}
    assert kept.absences == [{"first_day": "2026-12-24", "last_day": "2027-01-02", "delegate": delegate.id}]


async def test_without_hours_somebody_works_office_hours(database: Database) -> None:
    person = await stored(database, (await add(database)).id)
    assert person is not None
    assert person.working_hours == OFFICE_HOURS


async def test_one_address_is_one_person_whatever_its_case_also_at_the_same_time(database: Database) -> None:
    tries = await asyncio.gather(
        *(add(database, email) for email in ("rosa@example.com", "Rosa@Example.com", "ROSA@EXAMPLE.COM")),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in tries) == ["AddressTaken", "AddressTaken", "PersonRow"]


async def test_a_change_touches_only_what_it_names(database: Database) -> None:
    rosa = await add(database, roles=["sales"], capacity=5)
    changed = await change(database, rosa.id, capacity=None, weight=2)
    assert changed is not None
    assert (changed.roles, changed.capacity, changed.weight, changed.name) == (["sales"], None, 2, "Rosa")
    assert changed.updated_at > rosa.updated_at
    again = await change(database, rosa.id, weight=2)
    assert again is not None
    assert again.updated_at == changed.updated_at
    assert await change(database, NOBODY, weight=2) is None


async def test_changes_of_different_things_at_the_same_time_are_all_kept(database: Database) -> None:
    rosa = await add(database)
    changes: dict[str, Any] = {
        "name": "Rosa P.",
        "roles": ["sales"],
        "teams": ["andes"],
        "capacity": 7,
        "weight": 9,
        "territories": ["CL"],
        "languages": ["es"],
        "active": False,
    }
    await asyncio.gather(*(change(database, rosa.id, **{field: value}) for field, value in changes.items()))
    person = await stored(database, rosa.id)
    assert person is not None
    assert {field: getattr(person, field) for field in changes} == changes


async def test_an_address_cannot_be_taken_from_another_person(database: Database) -> None:
    rosa, bo = await add(database), await add(database, "bo@example.com")
    with pytest.raises(AddressTaken):
        await change(database, bo.id, email="rosa@example.com")
    # They swap addresses, and a third one wants the same: nobody waits for anybody in a circle.
    results = await asyncio.gather(
        *(change(database, rosa.id, email="bo@example.com") for _ in range(5)),
        *(change(database, bo.id, email="rosa@example.com") for _ in range(5)),
        return_exceptions=True,
    )
    assert {type(each) for each in results} == {AddressTaken}
    # Only one of two gets an address that was free.
    results = await asyncio.gather(
        *(change(database, person.id, email="free@example.com") for person in (rosa, bo)), return_exceptions=True
    )
    assert sum(isinstance(each, AddressTaken) for each in results) == 1


async def test_a_delegate_is_another_person_that_is_stored(database: Database) -> None:
    rosa, bo = await add(database), await add(database, "bo@example.com")

    def away(*delegates: str | None) -> list[Absence]:
        day = date(2026, 12, 24)
        return [Absence(first_day=day, last_day=day, delegate=delegate) for delegate in delegates]

    with pytest.raises(UnknownDelegates) as refusal:
        await change(database, rosa.id, absences=away(None, rosa.id, bo.id, NOBODY))
    assert refusal.value.absences == [1, 3]
    with pytest.raises(UnknownDelegates):
        await add(database, "new@example.com", absences=away(NOBODY))
    # Each for the other, at the same time.
    await asyncio.gather(
        *(change(database, rosa.id, absences=away(bo.id)) for _ in range(5)),
        *(change(database, bo.id, absences=away(rosa.id)) for _ in range(5)),
    )
    person = await stored(database, rosa.id)
    assert person is not None
    assert person.absences == away(bo.id)


async def test_people_are_listed_by_role_team_address_and_activity_a_page_at_a_time(database: Database) -> None:
    ana = await add(database, "ana@example.com", roles=["sales", "marketing"], teams=["a_b"])
    bea = await add(database, "bea@example.com", roles=["sales_manager"], teams=["a-b"])
    eva = await add(database, "eva@example.com", roles=["sales"], teams=["a-b"], active=False)

    async def listed(limit: int = 10, **filters: Any) -> list[str]:
        async with database.read() as session:
            return [row.id for row in await page_of_people(session, limit=limit, **filters)]

    assert await listed() == [eva.id, bea.id, ana.id]
    assert await listed(limit=1, before=eva.id) == [bea.id]
    assert await listed(role="sales") == [eva.id, ana.id]
    assert await listed(role="sale") == []
    assert await listed(team="a_b") == [ana.id]
    assert await listed(active=False) == [eva.id]
    assert await listed(role="sales", active=True) == [ana.id]
    assert await listed(email="bea@example.com") == [bea.id]
    async with database.read() as session:
        assert [person.id for person in await active_people(session)] == [ana.id, bea.id]
        assert [person.id for person in await people_in_role(session, "sales")] == [ana.id]


async def test_somebody_whom_nothing_names_is_deleted(database: Database) -> None:
    rosa = await add(database)
    async with database.write() as session:
        assert await delete_person(session, rosa.id)
        assert not await delete_person(session, rosa.id)
    assert await stored(database, rosa.id) is None


@pytest.mark.parametrize("column", COLUMNS, ids=str)
async def test_somebody_who_is_named_anywhere_is_not_deleted(database: Database, ada: ContactRow, column: Any) -> None:
    rosa, bo = await add(database), await add(database, "bo@example.com")
    of_run: dict[str, Any] = {
        "enrollment_id": new_id(),
        "contact_id": ada.id,
        "flow": "onboarding",
        "step": "offer",
        "subject": "?",
    }
    approval_id = new_id()
    rows: dict[type[SQLModel], dict[str, Any]] = {
        ApprovalRow: {**of_run, "content_hash": "1"},
        ApprovalRequestRow: {"approval_id": approval_id, "stage": 0, "person_id": bo.id},
        TaskRow: of_run,
        AssignmentRow: {**of_run, "number": 1, "status": "queued"},
        AnswerRow: {"question_id": approval_id, "person_id": bo.id, "choice": "delegate"},
        LeadRulesRow: {"version": 1},
        ContactRow: {"email": "c@example.com", "locale": "en", "time_zone": "UTC"},
        MessageRow: {**of_run, "status": MessageStatus.READY},
        PersonRow: {"email": "p@example.com", "name": "P", "locale": "en", "time_zone": "UTC"},
    }
    names = [{"somewhere": rosa.id}] if isinstance(column.type, JSON) else rosa.id
    async with database.write() as session:
        session.add(EnrollmentRow(id=of_run["enrollment_id"], flow="onboarding", contact_id=ada.id))
        await session.flush()
        session.add(ApprovalRow(id=approval_id, content_hash="2", **of_run))
        await session.flush()
        session.add(column.class_(**{**rows[column.class_], column.key: names}))
    with pytest.raises(StillNamed) as refusal:
        async with database.write() as session:
            await delete_person(session, rosa.id)
    assert refusal.value.by == [kind for kind, columns in NAMING.items() if column in columns]
    assert await stored(database, rosa.id) is not None


def test_every_foreign_key_to_a_person_is_known_to_keep_them() -> None:
    keys = {
        (table.name, key.parent.name)
        for table in SQLModel.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "people"
    }
    assert keys <= {(column.class_.__tablename__, column.key) for column in COLUMNS}
