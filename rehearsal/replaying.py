"""Says of recorded histories whether contacts whose runs look like them could go on with the code at hand.

In production no contact meets other code under an old history: each version's runs are worked on by that version, and
a contact who moves to another takes along what they remember. So a history of the version at hand has to replay event
by event, and to leave the contact in the step where it left them: if not, something changed that the build id does not
cover, such as the SDK. A history of another version replays too, or it is carried: its memory is read back and the code
at hand begins with it, as `cauce deploy` does it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from domain.memory import present_name, whole_of
from rehearsal.engine import first_steps
from rehearsal.instances import CannotRun
from rehearsal.nondeterminism import in_words
from rehearsal.stage import quiet_runtime
from rehearsal.standing import Standing, moment_of
from runtime.recall import Unreadable, recall
from workflows.builds import build_id
from workflows.discovery import FlowClass, workflow_runner


@dataclass(frozen=True)
class Recorded:
    """One recorded history: `tests/histories/<flow>/<version>/<name>.json`."""

    flow: str
    version: str
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    def __str__(self) -> str:
        return "/".join(self.path.parts[-5:])

    def history(self) -> WorkflowHistory:
        return WorkflowHistory.from_json(f"{self.flow}:recorded", self.path.read_text(encoding="utf-8"))


class Fate(StrEnum):
    """What becomes of a contact whose run looks like a history."""

    REPLAYS = "replays"
    CARRIED = "is carried"
    """Does not replay; the contact moves to the code at hand with their memory."""
    OVER = "is over"
    """Does not replay, and has ended: nobody is in it."""
    STUCK = "is stuck"


@dataclass(frozen=True)
class Verdict:
    """On one history. `told` says in full why a contact is stuck, or where one is carried to."""

    recorded: Recorded
    fate: Fate
    told: str


def recorded_histories(folder: Path, flows: Iterable[str]) -> list[Recorded]:
    """What is recorded of these flows below `folder`, sorted."""
    return [
        Recorded(flow, path.parent.name, path)
        for flow in sorted(flows)
        for path in sorted(folder.glob(f"{flow}/*/*.json"))
    ]


async def replay_all(histories: Iterable[Recorded], flows: Mapping[str, FlowClass]) -> AsyncIterator[Verdict]:
    for recorded in histories:
        yield await replay(recorded, flows[recorded.flow])


async def replay(recorded: Recorded, flow: FlowClass) -> Verdict:
    """Judge one history. Takes some ten milliseconds."""
    history = recorded.history()
    standing = Standing(history)
    waits = standing.wait is not None or standing.held
    at_hand = recorded.version == build_id(flow)
    differs = await differences(history, flow)
    if differs is None and not waits:
        return Verdict(recorded, Fate.REPLAYS, "")
    if not waits and not at_hand:
        return Verdict(recorded, Fate.OVER, "")
    if not waits or (at_hand and differs is not None):
        return Verdict(recorded, Fate.STUCK, _failure(recorded, standing, differs or "", _NEW_VERSION))
    try:
        stood, lands = await landing(history, flow)
    except (CannotRun, Unreadable) as error:
        why = f"with the contact's memory, the code cannot begin: {error}"
        return Verdict(recorded, Fate.STUCK, _failure(recorded, standing, why, _MEND))
    if differs is None and lands == stood:
        return Verdict(recorded, Fate.REPLAYS, "")
    if at_hand:  # the replayer compares waits by their order alone, not by what they are waits for
        why = f"where the history waits in {stood}, the code comes to {lands}"
        return Verdict(recorded, Fate.STUCK, _failure(recorded, standing, why, _NEW_VERSION))
    return Verdict(recorded, Fate.CARRIED, f"to {whole_of(lands)}")


async def differences(history: WorkflowHistory, flow: FlowClass) -> str | None:
    """Replay a history event by event, in the sandbox that workers use; answer what the code does differently."""
    replayer = Replayer(
        workflows=[flow],
        workflow_runner=workflow_runner(),
        data_converter=pydantic_data_converter,
        runtime=quiet_runtime(),
    )
    failure = (await replayer.replay_workflow(history, raise_on_replay_failure=False)).replay_failure
    return None if failure is None else in_words(failure, history)


async def landing(history: WorkflowHistory, flow: FlowClass) -> tuple[str, str]:
    """Where the contact stood, and where they come to as the code at hand begins with the memory of the history.

    Each is a step or part of one. A contact who is held comes to where they go on once resumed.
    Raises: Unreadable, CannotRun.
    """
    recollection = await recall(history, flow.about.renamed)
    stood = present_name(recollection.step or "its beginning", flow.about.renamed)
    enrollment = recollection.enrollment.model_copy(update={"memory": recollection.memory})
    lands = first_steps(flow, enrollment, moment_of(history.events[-1]))
    return stood, lands.part or lands.step or "its end"


_NEW_VERSION = """\
    - the change is meant: it has to be a new version. Any edit of the flow's module makes one, a comment too; record it
      with `cauce flows record {flow}`. Contacts follow or stay pinned, as on_edit in FlowType says
    - a step has another name now: declare it, renamed={{"old": "new"}} in FlowType
    - it is not meant: undo it"""
_MEND = """\
    - mend the code for contacts who come with this memory
    - it is not meant: undo the edit
    - a step has another name now: declare it, renamed={{"old": "new"}} in FlowType
    - nobody is on this version any more: `cauce flows record {flow} --forget {version}`"""


def _failure(recorded: Recorded, standing: Standing, differs: str, ways_out: str) -> str:
    wait = standing.wait
    who = f"who wait in {wait.step}" if wait else f"who come to {standing.step}" if standing.step else "who enter"
    at = wait.summary if wait else standing.step or "its beginning"
    return f"""{recorded.flow}: the code at hand cannot go on from {recorded}
  the contact stood at {at}
  {differs}
  the risk: contacts on version {recorded.version} {who} would be stuck
  the ways out:
{ways_out.format(flow=recorded.flow, version=recorded.version)}"""
