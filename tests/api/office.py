"""People of a team, what they are asked, and a run that takes their answers: the verbs' part, without their mails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

import httpx
from pydantic import BaseModel
from sqlmodel import select
from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from domain.contacts import ContactProfile
from domain.flows import enrollment_workflow_id
from domain.people import Person
from domain.questions import Answer, Choice, Question, Refusal, Taken, content_hash, question_id
from store.approvals import ask_person, begin_stage, close_approval, open_approval
from store.contacts import upsert_contact
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow, AssignmentRow, TaskRow
from store.tables import ContactRow, EnrollmentRow, new_id, now
from tests.api.caller import Caller

FLOW = "onboarding"
QUEUE = "people-of-the-office"
FACTS = {"discount_percent": 30, "products": ["Pro", "Team"], "first_order": True}


class Pending(BaseModel):
    """What the run asks: the first of these that is not settled."""

    question_id: str
    stage: int
    asked: list[str]
    choices: list[Choice]
    needs: Literal["any", "all"] = "any"


@workflow.defn(name="office", sandboxed=False)
class OfficeFlow:
    @workflow.init
    def __init__(self, pending: list[Pending]) -> None:
        self._questions = [
            Question(each.question_id, "an answer", each.asked, each.choices, each.needs, each.stage)
            for each in pending
        ]
        self._moves = 0
        self._over = False

    @workflow.run
    async def run(self, pending: list[Pending]) -> None:
        await workflow.wait_condition(lambda: self._over)

    @workflow.signal
    def expire(self) -> None:
        self._questions = []

    @workflow.signal
    def end(self) -> None:
        self._over = True

    @workflow.signal
    def move(self, times: int) -> None:
        """As many answers find that the run is going on as another one."""
        self._moves = times

    @workflow.update(name="answer")
    def on_answer(self, answer: Answer) -> Taken:
        if self._moves:
            self._moves -= 1
            raise ApplicationError("moving", type=Refusal.MOVING)
        question = self._pending()
        assert question is not None
        if answer not in question.answers:
            question.take(answer)
        return Taken(settled=question.settled)

    @on_answer.validator
    def _validate(self, answer: Answer) -> None:
        question = self._pending()
        refusal = question.refusal(answer, answer.given_at) if question else Refusal.NOT_PENDING
        if refusal is not None and not (question and answer in question.answers):
            raise ApplicationError("the answer does not count", type=refusal)

    def _pending(self) -> Question | None:
        return next((question for question in self._questions if question.settled is None), None)


class Office:
    """Asks people, each question in an enrollment of its own."""

    def __init__(self, api: Caller, client: Client) -> None:
        self.api = api
        self._client = client

    async def person(self, name: str, *roles: str, **profile: Any) -> Person:
        answer = await self.api.post(
            "/v1/people", {"name": name, "email": f"{name.lower()}@example.com", "roles": roles, **profile}
        )
        assert answer.status_code == 201, answer.text
        return Person.model_validate({name: answer.json()[name] for name in Person.model_fields})

    async def enrollment(self, **known: Any) -> EnrollmentRow:
        """Of a contact of its own, as if its flow had begun."""
        profile = {
            "email": f"ada-{new_id()}@example.com",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "country": "CL",
        }
        async with self.api.services.database.write() as session:
            contact = (
                await upsert_contact(
                    session, ContactProfile.model_validate({**profile, "company": "Engines"}), {}, "test"
                )
            ).contact
            row = EnrollmentRow(flow=FLOW, contact_id=contact.id, started_at=now(), **known)
            session.add(row)
        return row

    async def approval(
        self,
        *stages: Sequence[Person],
        needs: Literal["any", "all"] = "any",
        role: str | None = "sales_manager",
        facts: dict[str, Any] = FACTS,
        enrollment: EnrollmentRow | None = None,
    ) -> ApprovalRow:
        """People are asked in the first stage, all of them as `role`."""
        subject = "A discount of 30 %"
        enrollment = enrollment or await self.enrollment()
        asks = [{"role": role} if role else {"person_id": new_id()}]
        async with self.api.services.database.write() as session:
            row = await open_approval(
                session,
                enrollment,
                step="approve-offer",
                subject=subject,
                facts=facts,
                content_hash=content_hash(subject, facts),
                stages=[{"asks": asks, "needs": needs} for _ in stages],
            )
        await self.begin_stage(row, 0, stages[0], role)
        identity = question_id(row.enrollment_id, f"{row.step}/{row.content_hash}")
        choices = [Choice.APPROVE, Choice.REJECT, Choice.DELEGATE]
        await self._run(
            enrollment,
            [
                Pending(question_id=identity, stage=number, asked=_ids(people), choices=choices, needs=needs)
                for number, people in enumerate(stages)
            ],
        )
        return row

    async def begin_stage(
        self, approval: ApprovalRow, stage: int, people: Sequence[Person], role: str | None = None
    ) -> None:
        async with self.api.services.database.write() as session:
            row = await session.get_one(ApprovalRow, approval.id)
            await begin_stage(session, row, stage, now() + timedelta(days=7))
            for person in people:
                await ask_person(session, row, person.id, role=role, reason="asked")

    async def task(self, *people: Person, role: str | None = None, waited: bool = True, step: str = "call") -> TaskRow:
        enrollment = await self.enrollment()
        row = TaskRow(
            enrollment_id=enrollment.id,
            contact_id=enrollment.contact_id,
            flow=FLOW,
            step=step,
            subject="Call them about the demo",
            person_id=None if role else people[0].id,
            role=role,
            due_at=now() + timedelta(days=2),
            waited=waited,
        )
        await self._add(row)
        pending = Pending(
            question_id=question_id(enrollment.id, step), stage=0, asked=_ids(people), choices=[Choice.DONE]
        )
        await self._run(enrollment, [pending] if waited else [])
        return row

    async def offer(self, rep: Person, number: int = 1) -> AssignmentRow:
        enrollment = await self.enrollment()
        row = AssignmentRow(
            enrollment_id=enrollment.id,
            contact_id=enrollment.contact_id,
            flow=FLOW,
            step="assign",
            number=number,
            person_id=rep.id,
            rule="andes",
            status="offered",
            reasons=[{"rule": "andes", "person": rep.id, "verdict": "chosen", "detail": "2 leads"}],
            respond_by=now() + timedelta(hours=4),
        )
        await self._add(row)
        choices = [Choice.ACCEPT, Choice.DECLINE]
        pending = Pending(
            question_id=question_id(enrollment.id, "assign"), stage=number, asked=[rep.id], choices=choices
        )
        await self._run(enrollment, [pending])
        return row

    async def queued(self, *reasons: dict[str, Any]) -> AssignmentRow:
        """A lead that nobody can take."""
        enrollment = await self.enrollment()
        row = AssignmentRow(
            enrollment_id=enrollment.id,
            contact_id=enrollment.contact_id,
            flow=FLOW,
            step="assign",
            number=1,
            status="queued",
            reasons=list(reasons),
        )
        await self._add(row)
        await self._run(enrollment, [])
        return row

    async def expire(self, approval: ApprovalRow) -> None:
        """As the flow does: first its run asks no more, then the row says so."""
        await self.run_of(approval).signal(OfficeFlow.expire)
        async with self.api.services.database.write() as session:
            await close_approval(session, await session.get_one(ApprovalRow, approval.id), "expired")

    def run_of(self, row: ApprovalRow | TaskRow | AssignmentRow | EnrollmentRow) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(enrollment_workflow_id(row.flow, row.contact_id))

    async def answers(self) -> list[AnswerRow]:
        async with self.api.services.database.read() as session:
            return list(await session.exec(select(AnswerRow).order_by(AnswerRow.id)))

    async def contact(self, row: ApprovalRow | TaskRow | AssignmentRow) -> ContactRow:
        async with self.api.services.database.read() as session:
            return await session.get_one(ContactRow, row.contact_id)

    async def request(self, approval: ApprovalRow, person: Person) -> ApprovalRequestRow:
        async with self.api.services.database.read() as session:
            query = select(ApprovalRequestRow).where(
                ApprovalRequestRow.approval_id == approval.id, ApprovalRequestRow.person_id == person.id
            )
            return (await session.exec(query)).one()

    async def post(
        self, path: str, person: Person | None, body: dict[str, Any] | None = None, key: str | None = None
    ) -> httpx.Response:
        headers = {"Cauce-Person": person.id} if person else {}
        return await self.api.http.post(
            path, json=body, headers={**headers, **({"Idempotency-Key": key} if key else {})}
        )

    async def decide(
        self, approval: ApprovalRow, person: Person, decision: str = "approve", key: str | None = None, **more: Any
    ) -> httpx.Response:
        return await self.post(f"/v1/approvals/{approval.id}/decision", person, {"decision": decision, **more}, key)

    async def read(self, approval: ApprovalRow) -> dict[str, Any]:
        view: dict[str, Any] = (await self.api.get(f"/v1/approvals/{approval.id}")).json()
        return view

    async def _add(self, row: TaskRow | AssignmentRow) -> None:
        async with self.api.services.database.write() as session:
            session.add(row)

    async def _run(self, enrollment: EnrollmentRow, pending: list[Pending]) -> None:
        await self._client.start_workflow(
            OfficeFlow.run,
            pending,
            id=enrollment_workflow_id(enrollment.flow, enrollment.contact_id),
            task_queue=QUEUE,
            memo={"enrollment_id": enrollment.id},
        )


@asynccontextmanager
async def office_of(api: Caller, client: Client) -> AsyncIterator[Office]:
    """An office whose runs answer. `client` reaches Temporal, whether the API does or not."""
    async with Worker(client, task_queue=QUEUE, workflows=[OfficeFlow]):
        yield Office(api, client)


def _ids(people: Sequence[Person]) -> list[str]:
    return [person.id for person in people]
