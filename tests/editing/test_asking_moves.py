"""Contacts who wait for people move to other code with what was asked and answered; nobody is asked twice."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.flows import Progress
from domain.people import PersonProfile
from domain.questions import Answer, Choice, Taken, question_id
from emails.templates import Templates
from runtime.in_turns import in_turns
from store.database import Database
from store.ledger_tables import MessageRow
from store.people import insert_person
from store.people_tables import ApprovalRow, PersonRow, TaskRow
from store.tables import CrmChangeRow, EnrollmentRow, new_id, now
from tests.editing.asking_after import AskingAfter
from tests.editing.asking_before import AskingBefore
from tests.editing.asking_dearer import AskingDearer
from tests.editing.fleet import FLOW, Fleet
from tests.waiting import until
from workflows.builds import build_id

OLD = build_id(AskingBefore)


@pytest.fixture
async def team(fleet: Fleet, database: Database) -> dict[str, str]:
    """Ids by name: Marta and Manuel are managers, Mia is in marketing."""
    fleet.templates = Templates.load()
    roles = {"marta": "sales_manager", "manuel": "sales_manager", "mia": "marketing"}
    async with database.write() as session:
        profiles = [PersonProfile(email=f"{name}@example.com", name=name, roles=[role]) for name, role in roles.items()]
        return {row.name: row.id for row in [await insert_person(session, profile) for profile in profiles]}


async def answer(fleet: Fleet, row: EnrollmentRow, person_id: str, choice: Choice) -> Taken:
    async with fleet.database.read() as session:
        if choice is Choice.DONE:
            task = (await session.exec(select(TaskRow).where(TaskRow.enrollment_id == row.id))).one()
            question, stage = question_id(row.id, task.step), 0
        else:
            approval = await newest_approval(session, row)
            question, stage = question_id(row.id, f"{approval.step}/{approval.content_hash}"), approval.stage
    given = Answer(id=new_id(), question_id=question, stage=stage, person_id=person_id, choice=choice, given_at=now())
    handle = fleet.client.get_workflow_handle(f"{FLOW}:{row.contact_id}")
    taken: Taken = await handle.execute_update("answer", given, id=given.id, result_type=Taken)
    return taken


async def newest_approval(session: AsyncSession, row: EnrollmentRow) -> ApprovalRow:
    query = select(ApprovalRow).where(ApprovalRow.enrollment_id == row.id).order_by(col(ApprovalRow.id).desc())
    approval = (await session.exec(query)).first()
    assert approval is not None
    return approval


async def update(fleet: Fleet, row: EnrollmentRow, name: str) -> Progress:
    handle = fleet.client.get_workflow_handle(f"{FLOW}:{row.contact_id}")
    progress: Progress = await handle.execute_update(name, id=f"{name}-{row.id}", result_type=Progress)
    return progress


async def stands_at(fleet: Fleet, row: EnrollmentRow, step: str) -> None:
    async def there() -> bool:
        (at,) = await fleet.progress([row])
        return at.step == step and at.next_wake_at is not None

    await until(there)


async def told(fleet: Fleet, row: EnrollmentRow) -> dict[str, str]:
    """The notes that the flow left, by step."""
    async with fleet.database.read() as session:
        changes = await session.exec(select(CrmChangeRow).where(CrmChangeRow.enrollment_id == row.id))
        return {change.step: str(change.change["text"]) for change in changes}


async def letters(fleet: Fleet) -> Counter[tuple[str, str]]:
    """How many each person got about each enrollment's approval or task."""
    async with fleet.database.read() as session:
        rows = list(await session.exec(select(MessageRow).where(col(MessageRow.person_id).is_not(None))))
        people = {row.id: row.name for row in await session.exec(select(PersonRow))}
    assert {row.status for row in rows} <= {"sent"}
    return Counter((str(row.enrollment_id), people[str(row.person_id)]) for row in rows)


@pytest.mark.parametrize("gone", [False, True], ids=["old workers still there", "old workers gone"])
async def test_what_people_were_asked_and_answered_moves_along(fleet: Fleet, team: dict[str, str], gone: bool) -> None:
    async with fleet.emailing():
        async with fleet.working(AskingBefore):
            first_stage, second_stage, held, called, asleep = [await fleet.enroll("") for _ in range(5)]
            for row in fleet.rows:
                await stands_at(fleet, row, "approve")
                assert (await answer(fleet, row, team["marta"], Choice.APPROVE)).settled is None
            await update(fleet, held, "hold")
            for row in (second_stage, called, asleep):
                assert (await answer(fleet, row, team["manuel"], Choice.APPROVE)).settled is Choice.APPROVE
            for row in (called, asleep):
                await until_asked(fleet, row)
                await answer(fleet, row, team["mia"], Choice.APPROVE)
                await stands_at(fleet, row, "call")
            await answer(fleet, asleep, team["mia"], Choice.DONE)
            await stands_at(fleet, asleep, "morning")
            await until_asked(fleet, second_stage)
            before = await letters(fleet)
        async with fleet.working(*([AskingAfter] if gone else [AskingBefore, AskingAfter])):
            deployer = fleet.deployer(AskingAfter)
            situation = await deployer.look(FLOW)
            rolled = await deployer.carry_out(situation, gone=[OLD] if gone else [])
            assert rolled is not None
            assert not rolled.left
            for row, step in ((first_stage, "approve-discount"), (called, "call"), (asleep, "morning")):
                await stands_at(fleet, row, step)
            assert await letters(fleet) == before, "nobody is written to twice"
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await answer(fleet, first_stage, team["marta"], Choice.REJECT)
            assert isinstance(refused.value.cause, ApplicationError)
            assert refused.value.cause.type == "AlreadyAnswered"
            (at,) = await fleet.progress([held])
            assert at.held
            await update(fleet, held, "resume")
            for row in (first_stage, held):
                await answer(fleet, row, team["manuel"], Choice.APPROVE)
                await until_asked(fleet, row)
            for row in (first_stage, held, second_stage):
                await answer(fleet, row, team["mia"], Choice.APPROVE)
            for row in (first_stage, held, second_stage, called):
                await stands_at(fleet, row, "call")
                await answer(fleet, row, team["mia"], Choice.DONE)
            for row in fleet.rows:
                await stands_at(fleet, row, "morning")
                assert await told(fleet, row) == {"decided": "approved", "called": "done"}, "inserted is skipped"
            once = {(row.id, name): 1 for row in fleet.rows for name in ("marta", "manuel")}
            assert await letters(fleet) == Counter({**once, **{(row.id, "mia"): 2 for row in fleet.rows}})
            await in_turns(lambda row: fleet.happens(row, "bought"), fleet.rows)
            await until(lambda: fleet.have_ended(fleet.rows))


async def test_what_has_changed_is_asked_again_unless_it_had_its_effect(fleet: Fleet, team: dict[str, str]) -> None:
    async with fleet.emailing():
        async with fleet.working(AskingBefore):
            pending, decided = [await fleet.enroll("") for _ in range(2)]
            for row in fleet.rows:
                await stands_at(fleet, row, "approve")
                await answer(fleet, row, team["marta"], Choice.APPROVE)
            await answer(fleet, decided, team["manuel"], Choice.REJECT)
            await stands_at(fleet, decided, "call")
        async with fleet.working(AskingDearer):
            deployer = fleet.deployer(AskingDearer)
            await deployer.carry_out(await deployer.look(FLOW), gone=[OLD])
            await stands_at(fleet, pending, "approve")
            await stands_at(fleet, decided, "call")
            async with fleet.database.read() as session:
                rows = await session.exec(select(ApprovalRow).order_by(col(ApprovalRow.id)))
                found = [(row.enrollment_id, row.content["percent"], row.status) for row in rows]
            assert found == [
                (pending.id, 30, "withdrawn"),
                (decided.id, 30, "rejected"),
                (pending.id, 40, "pending"),
            ]
            # Both are asked anew: what Marta said of the other discount does not count.
            for name in ("marta", "manuel"):
                await answer(fleet, pending, team[name], Choice.APPROVE)
            await until_asked(fleet, pending)


async def until_asked(fleet: Fleet, row: EnrollmentRow) -> None:
    """Wait until the second stage is asked."""

    async def asked() -> bool:
        async with fleet.database.read() as session:
            approval = await newest_approval(session, row)
        (at,) = await fleet.progress([row])
        return approval.stage == 1 and at.next_wake_at is not None

    await until(asked)
