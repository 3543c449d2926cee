"""Lives a flow in every way: each answer that contacts and people may give, and what may be known of a contact."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import JsonValue
from temporalio.client import WorkflowHistory

from api.answering import AskedRow
from domain.events import LEAD_OFFERED
from domain.flows import Exit
from domain.memory import whole_of
from domain.people import PersonProfile
from emails.templates import Templates
from rehearsal.enrolled import Journey
from rehearsal.journey import ADA, MARTA, ROSA, journey
from rehearsal.sanitising import sanitised
from rehearsal.stage import flow_name
from rehearsal.standing import Standing, Timer, attributes_of, kind_of
from store.people_tables import AssignmentRow
from workflows.discovery import FlowClass

MOST_JOURNEYS = 100
MOST_WAITS = 500
DEPUTY = PersonProfile(email="deputy@example.com", name="Deputy")
"""To whom approvals are delegated."""
_HASH = re.compile("[0-9a-f]{6}")
_NUMBER = re.compile(r"-\d+$")
_LOOK_UPS = {"contact.among": "among", "contact.bracket": "bounds"}
"""By activity, where its order has the values that it tells apart."""
_ASKING = ("approval.ask", "task.open")


@dataclass(frozen=True)
class Way:
    """Through a flow: what is answered, by place, where it is not the usual; and what is known of the contact.

    `eager`: whatever a flow waits for from the contact happens.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    eager: bool = False
    named: str = ""
    """For what people answer last on it, where it is not the usual."""


@dataclass(frozen=True)
class Crossing:
    """A wait, and the ways on from it, the usual one first; none but time if it has none. `asked` if people are."""

    wait: Timer
    ways_on: tuple[str, ...]
    asked: AskedRow | None = None

    @property
    def place(self) -> str:
        """What an answer is remembered by: all waits for one and the same answer are one place."""
        if isinstance(self.asked, AssignmentRow) or self.asked is None:
            return self.wait.step
        return self.wait.step.rpartition("/")[0]

    @property
    def asks_people(self) -> bool:
        return self.asked is not None or self.wait.event == LEAD_OFFERED

    def answer(self, way: Way) -> str | None:
        """What is answered here; None: nothing, so time passes."""
        chosen = way.answers.get(self.place)
        if chosen in self.ways_on:
            return chosen
        return "yes" if way.eager and "yes" in self.ways_on else next(iter(self.ways_on), None)


class Explorer:
    """`found` are sanitised histories, by name: see `recording.histories`."""

    def __init__(self, flow: FlowClass, templates: Templates) -> None:
        self.found: dict[str, str] = {}
        self._flow = flow
        self._templates = templates
        self._consent = dict.fromkeys(templates.topics(flow_name(flow)), True)
        self._people = [MARTA, ROSA, DEPUTY]
        self._names: dict[str, str] = {}
        """Of waits, by kind."""
        self._tried: set[tuple[str, JsonValue]] = set()
        self._kept_steps: set[str] = set()
        """Steps that do something and are on record."""
        self._ahead: deque[Way] = deque([Way()])
        self._stops: dict[str, Way] = {}
        """Waits in which to hold the contact, by name, and the way there."""

    async def explore(self) -> None:
        for _ in range(MOST_JOURNEYS):
            if not self._ahead:
                break
            await self._live(self._ahead.popleft())
        for name, way in self._stops.items():
            await self._stop(name, way)

    async def exit_by(self, exit_: Exit, leave: Callable[[Journey], Awaitable[None]]) -> None:
        """Leave at the first wait; a flow that never waits cannot be left."""
        async with self._journey(Way()) as j:
            if not (await j.settle()).closed:
                await leave(j)
                await j.outcome()
                self._keep(f"exited-{exit_}", await j.history())

    def _journey(self, way: Way) -> AbstractAsyncContextManager[Journey]:
        contact = ADA.model_copy(update={"attributes": dict(way.attributes)})
        return journey(self._flow, contact, self._consent, self._people, templates=self._templates)

    async def _live(self, way: Way) -> None:
        async with self._journey(way) as j:
            async for standing, crossing in _crossings(self._flow, j):
                history = await j.history()
                if self._lacks_people(history):
                    self._ahead.appendleft(way)
                    return
                name = self._name(crossing.wait.step)
                self._keep(f"waiting-{name}", history)
                if not self._stops or (crossing.asks_people and ("." not in name or name.endswith(".queue"))):
                    self._stops.setdefault(name, way)
                self._look_ahead(crossing, way)
                await _go_on(crossing, way, standing, j)
            history = await j.history()
            self._look_for_attributes(history, way)
            if (await j.settle()).closed and (await j.outcome()).exit is Exit.COMPLETED:
                self._keep("finished", history)
                if way.named:
                    self._keep(f"finished-with-{way.named}", history)
                for step in (order.activity_id for order in _orders(history)):
                    if step not in self._kept_steps:
                        self._keep(f"finished-with-{'.'.join(_told_parts(step))}", history)

    async def _stop(self, name: str, way: Way) -> None:
        """Come to a wait, be held in it, go on, and leave by the goal."""
        async with self._journey(way) as j:
            async for standing, crossing in _crossings(self._flow, j):
                if self._name(crossing.wait.step) == name:
                    break
                await _go_on(crossing, way, standing, j)
            await j.hold()
            self._keep(f"held-{name}", await j.history())
            await j.resume()
            self._keep(f"resumed-{name}", await j.history())
            await j.reach_goal()
            await j.outcome()
            self._keep(f"exited-goal-at-{name}", await j.history())

    def _look_ahead(self, crossing: Crossing, way: Way) -> None:
        """Come here again, for each way on that was not tried yet."""
        for way_on in crossing.ways_on[1:]:
            place = _NUMBER.sub("", crossing.place) if crossing.asks_people else crossing.place
            if self._try(place, way_on):
                named = ".".join([*_told_parts(crossing.place), way_on]) if crossing.asks_people else ""
                self._ahead.append(replace(way, answers={**way.answers, crossing.place: way_on}, named=named))
            if way_on == "yes" and self._try("", way_on):
                self._ahead.append(replace(way, eager=True))

    def _look_for_attributes(self, history: WorkflowHistory, way: Way) -> None:
        for order in _orders(history):
            if values := _LOOK_UPS.get(order.activity_type.name):
                asked = _input(order)
                for value in asked[values]:
                    if self._try(f"{asked['attribute']}=", value):
                        known = {**way.attributes, asked["attribute"]: value}
                        self._ahead.append(replace(way, attributes=known))

    def _lacks_people(self, history: WorkflowHistory) -> bool:
        """Whether somebody is asked in a role that nobody has; from now on somebody has it."""
        roles = {role for person in self._people for role in person.roles}
        orders = (_input(order) for order in _orders(history) if order.activity_type.name in _ASKING)
        missing = {role for order in orders for role in _roles(order)} - roles
        for role in sorted(missing):
            self._people.append(PersonProfile(email=f"{role}@example.com", name=role, roles=[role]))
        return bool(missing)

    def _try(self, place: str, value: JsonValue) -> bool:
        known = (place, value) in self._tried
        self._tried.add((place, value))
        return not known

    def _name(self, step: str) -> str:
        """Of a wait: its step's, and for another kind of wait in the same step, what part of it."""
        whole, *parts = _told_parts(step)
        kind = _NUMBER.sub("", ".".join([whole, *parts])) if parts else whole
        return self._names.setdefault(kind, kind if whole in self._names.values() else whole)

    def _keep(self, name: str, history: WorkflowHistory) -> None:
        if name not in self.found:
            self.found[name] = sanitised(history)
            self._kept_steps.update(order.activity_id for order in _orders(history))


async def _crossings(flow: FlowClass, j: Journey) -> AsyncIterator[tuple[Standing, Crossing]]:
    """Each wait that the contact comes to. Whoever asks for the next one has gone on from the one before."""
    for _ in range(MOST_WAITS):
        standing = await j.settle()
        if standing.closed or standing.wait is None:
            return
        yield standing, await _crossing(standing.wait, flow, j)


async def _crossing(wait: Timer, flow: FlowClass, j: Journey) -> Crossing:
    if wait.event == LEAD_OFFERED:
        return Crossing(wait, ("somebody-comes",))
    if wait.event == "answer":
        questions: Sequence[tuple[Sequence[AskedRow], tuple[str, ...]]] = (
            (await j.approvals(), ("approve", "reject", "expire", "delegate")),
            (await j.tasks(), ("done", "overdue")),
            (await j.offers(), ("accept", "decline", "lapse")),
        )
        for asked, ways_on in questions:
            for row in asked:
                if row.step == whole_of(wait.step) and row.status in ("pending", "open", "offered"):
                    people = await j.whom(row)
                    if people == [(await j.person(DEPUTY)).id]:
                        ways_on = ways_on[:-1]
                    return Crossing(wait, ways_on if people else (), row)
    goals = flow.about.goal.events({})
    return Crossing(wait, ("no", "yes") if wait.event and wait.event not in goals else ())


async def _go_on(crossing: Crossing, way: Way, standing: Standing, j: Journey) -> None:
    answer = crossing.answer(way)
    if answer in _PEOPLE_DO:
        await _PEOPLE_DO[answer](j)
    elif answer == "yes" and crossing.wait.event is not None:
        await j.happens(crossing.wait.event)
    else:
        await j.pass_wait(standing)


async def _hire(j: Journey) -> None:
    number = len(await j.offers())
    await j.hire(ROSA.model_copy(update={"email": f"rep-{number}@example.com"}))


_PEOPLE_DO: Mapping[str | None, Callable[[Journey], Awaitable[None]]] = {
    "approve": Journey.approve,
    "reject": Journey.reject,
    "delegate": lambda j: j.delegate(DEPUTY),
    "done": Journey.complete,
    "accept": Journey.accept,
    "decline": Journey.decline,
    "somebody-comes": _hire,
}
"""By the way on. Other ways are to let time pass."""


def _orders(history: WorkflowHistory) -> Iterator[Any]:
    """What activities were asked for, in order."""
    return (attributes_of(event) for event in history.events if kind_of(event) == "activity_task_scheduled")


def _input(order: Any) -> Any:
    return json.loads(order.input.payloads[0].data)


def _roles(value: Any) -> Iterator[str]:
    """Roles that are asked, wherever an order names them."""
    if isinstance(value, dict):
        if isinstance(role := value.get("role"), str):
            yield role
        for inner in value.values():
            yield from _roles(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _roles(inner)


def _told_parts(step: str) -> list[str]:
    """A step and what part of it, without what was asked in it."""
    return [part for part in step.split("/") if not _HASH.fullmatch(part)]
