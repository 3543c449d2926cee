"""What is recorded of a flow: a history of each kind, the same on every machine, with nobody in it."""

from __future__ import annotations

import asyncio
import base64
import getpass
import json
import re
import socket
from pathlib import Path

from temporalio.client import WorkflowHistory

from rehearsal.recording import forget, histories, record
from rehearsal.sanitising import BEGINNING
from rehearsal.standing import Standing, kind_of, moment_of
from tests.flows.specimen_templates import specimen_templates
from tests.flows.specimens.nurturing import Nurturing
from tests.flows.specimens.replies import Replies
from workflows.builds import build_id

EXITS = {"exited-goal", "exited-unsubscribed", "exited-bounced", "exited-complained", "exited-cancelled"}


async def test_each_wait_and_each_end_is_found() -> None:
    found = await histories(Nurturing, specimen_templates())
    waits = {"clicked", "clicked-case-study", "pause-1", "pause-2", "two-months"}
    assert set(found) == EXITS | {"finished"} | {f"waiting-{step}" for step in waits}
    for name, text in found.items():
        history = WorkflowHistory.from_json("nurturing:recorded", text)
        standing = Standing(history)
        assert standing.closed is not name.startswith("waiting-")
        if standing.wait is not None:
            assert f"waiting-{standing.wait.step}" == name
        assert moment_of(history.events[0]) == BEGINNING


async def test_time_in_a_recording_is_what_its_waits_add_up_to() -> None:
    found = await histories(Nurturing, specimen_templates())
    history = WorkflowHistory.from_json("nurturing:recorded", found["finished"])
    fired = [(moment_of(event) - BEGINNING).days for event in history.events if kind_of(event) == "timer_fired"]
    assert fired == [3, 10, 17, 60]
    (two_months,) = Standing(WorkflowHistory.from_json("x", found["waiting-two-months"])).timers.values()
    assert two_months.summary == "two-months: until 2026-03-02 09:00 UTC"


async def test_the_same_code_leaves_the_same_bytes() -> None:
    first, second = [await histories(Replies, specimen_templates()) for _ in range(2)]
    assert first == second


async def test_nobody_and_no_machine_is_in_a_recording() -> None:
    for text in (await histories(Nurturing, specimen_templates())).values():
        payloads = [base64.b64decode(data).decode() for data in re.findall(r'"data": "([^"]+)"', text)]
        everything = "\n".join([text, *payloads])
        for word in (
            "lovelace",
            "example.com",
            "@",
            socket.gethostname() + '"',
            "identity",
            "sdkversion",
            f"/{getpass.getuser()}/",
        ):
            assert word not in everything.lower(), word
        ids = set(re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", everything))
        assert ids
        assert all(id_.startswith("00000000-0000-7000-8000-0000000000") for id_ in ids)


async def test_a_version_is_replaced_and_others_stay(tmp_path: Path) -> None:
    other = tmp_path / "replies" / "0123456789ab"
    stale = tmp_path / "replies" / build_id(Replies) / "waiting-gone.json"
    for path in (other / "finished.json", stale):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    paths = await record(Replies, tmp_path, specimen_templates())
    assert {path.stem for path in paths} == EXITS | {"finished", "waiting-reply-1", "waiting-reply-2"}
    assert not stale.exists()
    assert (other / "finished.json").exists()
    events = await asyncio.to_thread(lambda: json.loads(paths[0].read_text())["events"])
    assert events[0]["eventId"] == "1"
    assert forget(Replies, "0123456789ab", tmp_path)
    assert not forget(Replies, "0123456789ab", tmp_path)
    assert not other.exists()
