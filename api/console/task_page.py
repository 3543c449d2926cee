"""The page by which a person says that a task is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fastapi.responses import HTMLResponse

from api.answer_view import answer_view
from api.answering import give_answer
from api.console.answer_form import Form
from api.console.answer_history import Line, of_other
from api.console.asking import DeadLink, Reply, active, flow_fact, is_held, render
from api.console.reader import Reader
from api.wiring import Services
from domain.people import Person
from domain.questions import Choice
from store.answers import taken_answers
from store.people import people_by_ids, person_by_id
from store.people_tables import TaskRow
from store.tables import ContactRow


@dataclass(frozen=True)
class TaskPage:
    services: Services
    task: TaskRow
    person: Person

    @classmethod
    async def opened(cls, services: Services, token: str) -> Self:
        task_id, person_id = services.links.task_and_person(token) or ("", "")
        async with services.database.read() as session:
            task = await session.get(TaskRow, task_id)
            person = active(await person_by_id(session, person_id))
        if task is None:
            raise DeadLink("bad")
        return cls(services, task, person)

    async def answer(self, form: Form) -> None:
        await give_answer(self.services, self.task, form.answer(self.person, Choice.DONE))

    async def show(self, reply: Reply) -> HTMLResponse:
        reader = Reader(self.person)
        async with self.services.database.read() as session:
            task = await session.get_one(TaskRow, self.task.id)
            contact = await session.get_one(ContactRow, task.contact_id)
            answer = next(iter(await taken_answers(session, [task.id])), None)
            named = await people_by_ids(session, [answer.person_id] if answer else [])
            held = await is_held(session, task)
        state = "ask" if task.status == "open" else task.status
        names = {person.id: person.name for person in named}
        done = answer_view(answer) if answer else None
        given = Line(task.created_at, reader.say("told_given"))
        return render(
            self.services,
            "answer_task.html",
            reader,
            reply,
            state,
            kicker=reader.say("task"),
            heading=reader.say(f"task_{state}"),
            subject=self.services.words.say(task.flow, task.subject, reader.language),
            about=self._about(state, task, held, reader),
            facts=[*reader.contact(contact), flow_fact(self.services, reader, task.flow)],
            history=of_other(given, done, task.status, task.closed_at, names, reader),
        )

    def _about(self, state: str, task: TaskRow, held: bool, reader: Reader) -> list[str]:
        lines = [reader.say("task_withdrawn_about")] if state == "withdrawn" else []
        if state == "ask" and task.due_at is not None:
            lines.append(reader.deadline("answer_due", task.due_at, held))
        elif task.closed_at is not None:
            lines.append(reader.say("answer_on", moment=reader.at(task.closed_at)))
        return lines
