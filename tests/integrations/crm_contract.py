"""What every CRM owes: inherit `CrmContract`, provide `crm`, and each promise is tested."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from domain.contacts import ContactProfile
from domain.crm import (
    MAX_SCORE,
    AddNote,
    AddScore,
    AppliedChange,
    Change,
    Crm,
    CrmChange,
    CrmRefused,
    NoLongerWanted,
    SetFields,
    SetLifecycle,
    SetOwner,
    Sunset,
)
from domain.flows import Exit, Outcome
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, record_outcome, request_cancel
from store.people_tables import PersonRow
from store.suppressions import suppressions_of
from store.tables import ContactRow, CrmChangeRow, EnrollmentRow

NOBODY = "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"


async def enrolled(database: Database, flow: str = "nurturing") -> EnrollmentRow:
    """Ada, in a flow."""
    profile = ContactProfile(email="ada@example.com", attributes={"plan": "free", "seats": 3})
    async with database.write() as session:
        ada = (await upsert_contact(session, profile, {}, "test")).contact
        return await enroll(session, flow=flow, contact_id=ada.id, settings={}, reenroll_after=timedelta(0))


async def ended(database: Database, enrollment: EnrollmentRow) -> None:
    async with database.write() as session:
        await record_outcome(session, enrollment.id, Outcome(exit=Exit.GOAL, step="guide"))


async def contact_of(database: Database, enrollment: EnrollmentRow) -> ContactRow:
    async with database.read() as session:
        return await session.get_one(ContactRow, enrollment.contact_id)


async def changes(database: Database) -> list[CrmChangeRow]:
    async with database.read() as session:
        return list(await session.exec(select(CrmChangeRow)))


def asked(
    enrollment: EnrollmentRow,
    change: Change,
    step: str = "clicked-guide",
    *,
    aliases: tuple[str, ...] = (),
    asked_at: datetime | None = None,
) -> CrmChange:
    return CrmChange(
        enrollment_id=enrollment.id,
        step=step,
        aliases=aliases,
        change=change,
        asked_at=asked_at or datetime.now(UTC),
    )


class CrmContract:
    @pytest.fixture
    async def enrollment(self, database: Database) -> EnrollmentRow:
        return await enrolled(database)

    @pytest.fixture
    def crm(self, database: Database) -> Crm:
        raise NotImplementedError

    async def test_fields_are_set_by_name_and_a_null_one_goes(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        await crm.apply(asked(enrollment, SetFields(fields={"plan": "team", "seats": None, "tags": ["a"]})))
        assert (await contact_of(database, enrollment)).attributes == {"plan": "team", "tags": ["a"]}

    async def test_stage_and_owner_are_set(self, database: Database, crm: Crm, enrollment: EnrollmentRow) -> None:
        rosa = PersonRow(email="rosa@example.com", name="Rosa", locale="es", time_zone="UTC")
        async with database.write() as session:
            session.add(rosa)
        await crm.apply(asked(enrollment, SetLifecycle(stage="qualified"), "stage"))
        await crm.apply(asked(enrollment, SetOwner(person_id=rosa.id), "owner"))
        contact = await contact_of(database, enrollment)
        assert (contact.lifecycle_stage, contact.owner_id) == ("qualified", rosa.id)
        await crm.apply(asked(enrollment, SetOwner(person_id=None), "no-owner"))
        assert (await contact_of(database, enrollment)).owner_id is None

    async def test_a_note_is_kept_and_changes_nothing(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        before = await contact_of(database, enrollment)
        await crm.apply(asked(enrollment, AddNote(text="Asked for a demo.")))
        assert await contact_of(database, enrollment) == before
        (row,) = await changes(database)
        assert (row.kind, row.change, row.contact_id) == ("note", {"text": "Asked for a demo."}, before.id)

    async def test_a_sunset_suppresses_the_address(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        await crm.apply(asked(enrollment, Sunset(), "sunset"))
        await crm.apply(asked(enrollment, Sunset(), "sunset-again"))
        async with database.read() as session:
            assert await suppressions_of(session, "ada@example.com") == {"sunset"}

    async def test_points_add_up_and_the_result_is_the_sum(self, crm: Crm, enrollment: EnrollmentRow) -> None:
        for number, (points, score) in enumerate([(30, 30), (15, 45), (-50, -5)]):
            applied = await crm.apply(asked(enrollment, AddScore(points=points), f"step-{number}"))
            assert applied.result == {"score": score}

    async def test_a_retry_is_answered_as_the_first_time_and_applies_nothing(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        first = await crm.apply(asked(enrollment, AddScore(points=10)))
        await crm.apply(asked(enrollment, AddScore(points=5), "another"))
        again = await crm.apply(asked(enrollment, AddScore(points=10)))
        assert again.model_dump(exclude={"owed"}) == first.model_dump(exclude={"owed"})
        assert (await contact_of(database, enrollment)).score == 15

    async def test_attempts_of_one_step_at_once_apply_once(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        attempts = [crm.apply(asked(enrollment, AddScore(points=10))) for _ in range(10)]
        assert len({applied.id for applied in await asyncio.gather(*attempts)}) == 1
        assert (await contact_of(database, enrollment)).score == 10

    async def test_a_step_that_was_renamed_since_is_the_same_step(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        first = await crm.apply(asked(enrollment, AddScore(points=10), "clicked"))
        again = await crm.apply(asked(enrollment, AddScore(points=10), "clicked-guide", aliases=("clicked",)))
        assert (again.id, again.step) == (first.id, "clicked")
        assert (await contact_of(database, enrollment)).score == 10

    async def test_the_same_step_of_another_enrollment_is_another(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        other = await enrolled(database, "reactivation")
        applied = [await crm.apply(asked(row, AddScore(points=10))) for row in (enrollment, other)]
        assert [change.result["score"] for change in applied] == [10, 20]
        assert [change.flow for change in applied] == ["nurturing", "reactivation"]

    async def test_of_a_hundred_parallel_additions_none_is_lost_and_ids_tell_their_order(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        orders = [asked(enrollment, AddScore(points=number), f"step-{number}") for number in range(1, 101)]
        applied: list[AppliedChange] = await asyncio.gather(*map(crm.apply, orders))
        assert (await contact_of(database, enrollment)).score == 5050
        score = 0
        for change in sorted(applied, key=lambda change: change.id):
            assert isinstance(change.change, AddScore)
            score += change.change.points
            assert change.result == {"score": score}

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (SetFields(fields={"more": "x" * 19_990}), "attributes would hold more than 20000 characters"),
            (SetOwner(person_id=NOBODY), f"there is no person {NOBODY}"),
            (AddScore(points=1), "the score would be beyond"),
        ],
    )
    async def test_a_change_that_cannot_be_made_is_refused_for_good(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow, change: Change, reason: str
    ) -> None:
        async with database.write() as session:
            contact = await session.get_one(ContactRow, enrollment.contact_id)
            contact.score = MAX_SCORE
        before = await contact_of(database, enrollment)
        for _ in range(2):
            with pytest.raises(CrmRefused, match=reason):
                await crm.apply(asked(enrollment, change))
        assert await contact_of(database, enrollment) == before
        (row,) = await changes(database)
        assert reason in (row.refusal or "")

    async def test_who_left_or_is_to_leave_is_not_changed(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        async with database.write() as session:
            await request_cancel(session, enrollment.id)
        with pytest.raises(NoLongerWanted, match="cancelled"):
            await crm.apply(asked(enrollment, AddScore(points=10)))
        await ended(database, enrollment)
        with pytest.raises(NoLongerWanted, match="the enrollment ended: goal"):
            await crm.apply(asked(enrollment, AddScore(points=10)))
        assert (await contact_of(database, enrollment)).score == 0
        assert await changes(database) == []

    async def test_what_was_done_before_they_left_is_answered_afterwards(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow
    ) -> None:
        first = await crm.apply(asked(enrollment, AddScore(points=10)))
        await ended(database, enrollment)
        assert (await crm.apply(asked(enrollment, AddScore(points=10)))).id == first.id
