from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, time, timedelta

import pytest

from api.answering import Refused
from domain.flows import Exit
from domain.questions import Refusal
from domain.working_time import WORKDAYS, Absence, Hours
from rehearsal.enrolled import Journey
from rehearsal.journey import ADA, MARTA, RAUL, ROSA, JourneyStarter
from rehearsal.travelling import Step
from workflows.lead_assignment import LeadAssignment

TEAM = [MARTA, ROSA, RAUL]
AWAY = Absence(first_day=date(2000, 1, 1), last_day=date(2100, 12, 31))
ROSA_AWAY, RAUL_AWAY = (rep.model_copy(update={"absences": [AWAY]}) for rep in (ROSA, RAUL))


async def offers(j: Journey) -> list[tuple[str | None, str]]:
    """To whom the lead went, in order, and what came of it."""
    names = {person.id: person.name.split()[0] for person in await j.people()}
    return [(offer.person_id and names[offer.person_id], offer.status) for offer in await j.offers()]


# -- The rep who is asked first accepts -------------------------------------------------------------------------------


async def test_a_rep_accepts_owns_the_lead_and_calls_and_no_meeting_comes_of_it(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        (letter,) = j.letters(to=ROSA)
        assert letter.subject == "New lead for you: Ada Lovelace"
        assert any("/answer/lead/" in link for link in letter.links)
        await j.travel(hours=1)
        await j.accept()
        contact = await j.contact()
        assert (contact.owner_id, contact.lifecycle_stage) == ((await j.person(ROSA)).id, "sales_accepted")
        assert j.inbox().steps == ["meet-your-advisor"]
        assert j.letters(to=ROSA).subjects[1:] == ["Task for you: Call the lead and offer a meeting"]
        await j.travel(hours=6)
        await j.complete()
        assert Step("call", "done") in await j.steps()
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "worked")
        assert (await j.contact()).lifecycle_stage == "nurture_later"
        assert len(j.letters(to=RAUL)) == 0


async def test_a_call_that_is_not_made_is_reminded_of_and_noted(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        await j.accept()
        await j.travel(hours=23)
        assert [subject.partition(":")[0] for subject in j.letters(to=ROSA).subjects] == [
            "New lead for you",
            "Task for you",
            "Task still open",
            "Task still open",
        ]
        await j.travel(hours=1)
        assert [task.status for task in await j.tasks()] == ["overdue"]
        assert (await j.progress()).step == "for-a-meeting"
        assert "The first call was not made in time" in (await j.timeline())[0].text
        with pytest.raises(Refused) as late:
            await j.complete(by=ROSA)
        assert late.value.refusal is Refusal.NOT_PENDING


async def test_nobody_but_the_rep_answers_an_offer(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        with pytest.raises(Refused) as not_theirs:
            await j.accept(by=RAUL)
        assert not_theirs.value.refusal is Refusal.NOT_ASKED
        assert await offers(j) == [("Rosa", "offered")]


# -- The lead goes on -------------------------------------------------------------------------------------------------


async def test_a_declined_lead_goes_to_the_next_rep_at_once(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        await j.decline()
        assert await offers(j) == [("Rosa", "declined"), ("Raúl", "offered")]
        assert len(j.letters(to=RAUL)) == 1
        await j.accept()
        assert (await j.contact()).owner_id == (await j.person(RAUL)).id


async def test_a_rep_who_leaves_the_team_leaves_the_lead_to_the_next_at_once(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        await j.change(ROSA, active=False)
        assert await offers(j) == [("Rosa", "declined"), ("Raúl", "offered")]


async def test_without_an_answer_in_working_time_the_lead_goes_to_the_next_rep(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM, respond_within=timedelta(hours=12)) as j:
        await j.travel(days=1, hours=2, minutes=59)  # nine hours on Monday, and two hours 59 minutes on Tuesday
        assert await offers(j) == [("Rosa", "offered")]
        await j.travel(minutes=1)
        assert await offers(j) == [("Rosa", "lapsed"), ("Raúl", "offered")]
        with pytest.raises(Refused) as late:
            await j.accept(by=ROSA)
        assert late.value.refusal is Refusal.NOT_ASKED


async def test_a_weekend_is_no_time_to_respond(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=[MARTA, ROSA_AWAY, RAUL]) as j:
        await j.decline()
        await j.travel(days=4, hours=8)
        await j.change(ROSA, absences=[])  # on Friday at 17:00
        await j.travel(days=2, hours=16, minutes=59)
        assert await offers(j) == [("Raúl", "declined"), (None, "drained"), ("Rosa", "offered")]
        await j.travel(minutes=1)
        assert (await offers(j))[-2:] == [("Rosa", "lapsed"), (None, "queued")]


# -- Nobody is left ---------------------------------------------------------------------------------------------------


async def test_a_lead_never_comes_back_to_a_rep_and_the_manager_is_told_each_day(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        await j.decline()
        await j.travel(hours=2)
        assert await offers(j) == [("Rosa", "declined"), ("Raúl", "lapsed"), (None, "queued")]
        assert j.letters(to=MARTA).subjects == ["Lead without an owner: Ada Lovelace"]
        await j.travel(days=3)
        assert await offers(j) == [("Rosa", "declined"), ("Raúl", "lapsed"), (None, "queued")]
        assert (len(j.letters(to=MARTA)), len(j.letters(to=ROSA)), len(j.letters(to=RAUL))) == (4, 1, 1)
        assert j.inbox().steps == []


async def test_a_lead_in_the_queue_is_offered_as_soon_as_somebody_returns(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=[MARTA, ROSA_AWAY, RAUL_AWAY]) as j:
        assert await offers(j) == [(None, "queued")]
        await j.travel(days=1, hours=2)
        await j.change(RAUL, absences=[])
        assert await offers(j) == [(None, "drained"), ("Raúl", "offered")]
        await j.accept()
        assert (await j.contact()).owner_id == (await j.person(RAUL)).id


async def test_a_lead_that_comes_before_the_office_opens_waits_for_it(journey: JourneyStarter) -> None:
    afternoons = {day: [Hours(begins=time(14), ends=time(18))] for day in WORKDAYS}
    late_riser = ROSA.model_copy(update={"working_hours": afternoons})
    async with journey(LeadAssignment, people=[MARTA, late_riser]) as j:
        await j.travel(hours=4, minutes=59)
        assert await offers(j) == [(None, "queued")]
        await j.travel(minutes=1)
        assert await offers(j) == [(None, "drained"), ("Rosa", "offered")]


async def test_a_manager_gives_a_lead_by_hand_and_it_needs_no_acceptance(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=[MARTA, ROSA, RAUL_AWAY]) as j:
        await j.decline()
        await j.give(RAUL, by=MARTA)
        assert await offers(j) == [("Rosa", "declined"), (None, "drained"), ("Raúl", "accepted")]
        assert j.letters(to=RAUL).subjects[0] == "A lead of yours: Ada Lovelace"
        assert (await j.progress()).step == "call"
        assert (await j.contact()).owner_id == (await j.person(RAUL)).id


async def test_reps_with_no_room_get_no_lead(journey: JourneyStarter) -> None:
    busy = ROSA.model_copy(update={"capacity": 0})
    async with journey(LeadAssignment, people=[MARTA, busy]) as j:
        (queued,) = await j.offers()
        assert [reason["because"] for reason in queued.reasons if reason.get("person")] == ["capacity"]
        await j.change(ROSA, capacity=1)
        assert await offers(j) == [(None, "drained"), ("Rosa", "offered")]


# -- The end ----------------------------------------------------------------------------------------------------------


async def decline_all(j: Journey) -> None:
    await j.decline()
    await j.decline()


async def accept_and_call(j: Journey) -> None:
    await j.accept()
    await j.complete()


async def nothing(j: Journey) -> None:
    """Nobody does anything yet."""


WAITS: list[tuple[Callable[[Journey], Awaitable[None]], str]] = [
    (nothing, "assign"),
    (Journey.decline, "assign"),
    (decline_all, "assign"),
    (Journey.accept, "call"),
    (accept_and_call, "for-a-meeting"),
]


@pytest.mark.parametrize(("come", "step"), WAITS, ids=["offered", "offered-again", "in-queue", "call", "for-a-meeting"])
async def test_a_meeting_ends_it_wherever_the_lead_is_and_leaves_nothing_open(
    journey: JourneyStarter, come: Callable[[Journey], Awaitable[None]], step: str
) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        await come(j)
        assert (await j.progress()).step == step
        written = len(j.letters())
        await j.happens("meeting_booked")
        await j.travel(days=30)
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.GOAL, step)
        assert len(j.letters()) == written
        assert all(offer.released_at for offer in await j.offers() if offer.person_id)
        assert not {"offered", "queued"} & {offer.status for offer in await j.offers()}
        assert "open" not in {task.status for task in await j.tasks()}


@pytest.mark.parametrize(
    ("leave", "exit_"),
    [
        (Journey.unsubscribe, Exit.UNSUBSCRIBED),
        (Journey.bounce, Exit.BOUNCED),
        (Journey.complain, Exit.COMPLAINED),
        (Journey.erase, Exit.ERASED),
        (Journey.cancel, Exit.CANCELLED),
    ],
)
async def test_who_leaves_is_offered_to_nobody_any_more(
    journey: JourneyStarter, leave: Callable[[Journey], Awaitable[None]], exit_: Exit
) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        await leave(j)
        await j.travel(days=30)
        assert (await j.outcome()).exit is exit_
        assert await offers(j) == [("Rosa", "withdrawn")]
        assert (j.inbox().steps, len(j.letters())) == ([], 1)
        with pytest.raises(Refused):
            await j.accept(by=ROSA)


async def test_the_reps_capacity_is_taken_until_the_end_and_free_then(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=[MARTA, ROSA]) as j:
        await accept_and_call(j)
        assert [offer.released_at for offer in await j.offers()] == [None]
        await j.outcome()
        assert all(offer.released_at for offer in await j.offers())


async def test_an_offer_that_is_held_leaves_the_rep_their_time(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM) as j:
        await j.travel(hours=1)
        await j.hold()
        await j.travel(hours=5)
        assert await offers(j) == [("Rosa", "offered")]
        await j.resume()
        await j.travel(minutes=59)
        await j.accept()
        assert await offers(j) == [("Rosa", "accepted")]


async def test_contacts_and_people_are_written_to_in_their_own_language(journey: JourneyStarter) -> None:
    in_chile = {"locale": "es-CL"}
    rosa, contact = ROSA.model_copy(update=in_chile), ADA.model_copy(update=in_chile)
    async with journey(LeadAssignment, contact=contact, people=[MARTA, rosa]) as j:
        await j.accept()
        assert j.inbox().subjects == ["Alguien de nuestro equipo te va a contactar"]
        assert [subject.partition(":")[0] for subject in j.letters(to=rosa).subjects] == [
            "Nuevo lead para ti",
            "Tarea para ti",
        ]


async def test_a_lead_who_opted_out_of_sales_gets_no_email_but_a_call(journey: JourneyStarter) -> None:
    async with journey(LeadAssignment, people=TEAM, consent={"sales": False}) as j:
        await j.accept()
        assert (j.inbox().steps, (await j.progress()).step) == ([], "call")
