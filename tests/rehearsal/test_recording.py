"""What is recorded of a flow: a history of each kind, the same on every machine, with nobody in it."""

from __future__ import annotations

import asyncio
import base64
import getpass
import json
import re
import socket
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from rehearsal.recording import forget, histories, record
from rehearsal.replaying import Recorded, differences, landing
from rehearsal.sanitising import BEGINNING
from rehearsal.stage import shipped_templates
from rehearsal.standing import Standing, kind_of, moment_of
from tests.flows.specimen_templates import specimen_templates
from tests.flows.specimens.replies import Replies
from tests.rehearsal.fair import Fair
from workflows.builds import build_id
from workflows.lead_assignment import LeadAssignment
from workflows.reactivation import Reactivation

EXITS = {
    *("exited-goal", "exited-unsubscribed", "exited-bounced", "exited-complained"),
    *("exited-erased", "exited-cancelled"),
}


def stopped(*steps: str) -> set[str]:
    """What is recorded of a wait in which the contact is held, goes on and reaches the goal."""
    return {f"{state}-{step}" for state in ("held", "resumed", "exited-goal-at") for step in steps}


Histories = dict[str, str]


@pytest.fixture
def fair(of_fair: list[Recorded]) -> Histories:
    return {recorded.name: recorded.path.read_text() for recorded in of_fair}


@pytest.fixture
def nurturing(of_nurturing: list[Recorded]) -> Histories:
    return {recorded.name: recorded.path.read_text() for recorded in of_nurturing}


async def test_each_wait_and_each_end_is_found(nurturing: Histories) -> None:
    waits = {"clicked", "clicked-case-study", "pause-1", "pause-2", "two-months"}
    assert set(nurturing) == EXITS | {"finished"} | {f"waiting-{step}" for step in waits} | stopped("clicked")
    for name, text in nurturing.items():
        history = WorkflowHistory.from_json("nurturing:recorded", text)
        standing = Standing(history)
        assert standing.closed is name.startswith(("exited-", "finished"))
        assert standing.held is name.startswith("held-")
        if name.startswith("waiting-"):
            assert standing.wait is not None
            assert f"waiting-{standing.wait.step}" == name
        assert moment_of(history.events[0]) == BEGINNING


async def test_time_in_a_recording_is_what_its_waits_add_up_to(nurturing: Histories) -> None:
    history = WorkflowHistory.from_json("nurturing:recorded", nurturing["finished"])
    fired = [(moment_of(event) - BEGINNING).days for event in history.events if kind_of(event) == "timer_fired"]
    assert fired == [3, 10, 17, 60]
    (two_months,) = Standing(WorkflowHistory.from_json("x", nurturing["waiting-two-months"])).timers.values()
    assert two_months.summary == "two-months: until 2026-03-06 09:00 UTC"


async def test_the_same_code_leaves_the_same_bytes(fair: Histories) -> None:
    assert await histories(Fair, shipped_templates()) == fair


async def test_every_way_to_answer_is_found_and_whoever_is_asked_is_there(fair: Histories) -> None:
    waits = {"morning", "budget", "budget.stage-1.until-expire", "ticket"}
    answers = {"budget.stage-1.reject", "budget.stage-1.expire", "budget.stage-1.delegate", "ticket.overdue"}
    assert set(fair) == EXITS | {"finished"} | {f"waiting-{step}" for step in waits} | stopped(
        "morning", "budget", "ticket"
    ) | {f"finished-with-{answer}" for answer in answers}


async def test_leads_are_recorded_as_offered_declined_lapsed_and_in_the_queue() -> None:
    found = await histories(LeadAssignment)
    waits = {"assign", "assign.queue", "call", "call.until-end", "for-a-meeting"}
    answers = {"assign.answer-1.decline", "assign.answer-1.lapse", "call.overdue"}
    assert set(found) == EXITS | {"finished"} | {f"waiting-{step}" for step in waits} | stopped(
        "assign", "assign.queue", "call"
    ) | {f"finished-with-{answer}" for answer in answers}
    assert_nobody_is_in(found)


async def test_what_is_known_of_a_contact_opens_every_branch() -> None:
    found = await histories(Reactivation)
    assert {"waiting-approve-offer", "finished-with-approve-offer.stage-1.reject"} <= set(found)


async def test_what_people_answered_replays_and_leaves_the_contact_where_they_were(fair: Histories) -> None:
    for name, text in fair.items():
        history = WorkflowHistory.from_json("fair:recorded", text)
        assert await differences(history, Fair) is None, name
        if name.startswith(("waiting-", "held-", "resumed-")):
            stood, lands = await landing(history, Fair)
            assert stood == lands, name


async def test_nobody_and_no_machine_is_in_a_recording(nurturing: Histories, fair: Histories) -> None:
    assert_nobody_is_in(nurturing)
    assert_nobody_is_in(fair)


def assert_nobody_is_in(found: Histories) -> None:
    for text in found.values():
        payloads = [base64.b64decode(data).decode() for data in re.findall(r'"data": "([^"]+)"', text)]
        everything = "\n".join([text, *payloads]).lower()
        for word in ("lovelace", "salas", "example.com", "@", "identity", "sdkversion", f"/{getpass.getuser()}/"):
            assert word not in everything, word
        assert socket.gethostname().lower() + '"' not in everything
        ids = set(re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", everything))
        questions = {id_ for id_ in ids if re.search(f'"question_id":"{id_}"', everything)}
        assert ids
        assert all(id_.startswith("00000000-0000-7000-8000-0000000000") for id_ in ids - questions)


async def test_a_version_is_replaced_and_others_stay(tmp_path: Path) -> None:
    other = tmp_path / "replies" / "0123456789ab"
    stale = tmp_path / "replies" / build_id(Replies) / "waiting-gone.json"
    for path in (other / "finished.json", stale):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    paths = await record(Replies, tmp_path, specimen_templates())
    assert {path.stem for path in paths} == EXITS | stopped("reply-1") | {
        "finished",
        "waiting-reply-1",
        "waiting-reply-2",
    }
    assert not stale.exists()
    assert (other / "finished.json").exists()
    events = await asyncio.to_thread(lambda: json.loads(paths[0].read_text())["events"])
    assert events[0]["eventId"] == "1"
    assert forget(Replies, "0123456789ab", tmp_path)
    assert not forget(Replies, "0123456789ab", tmp_path)
    assert not other.exists()
