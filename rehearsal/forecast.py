"""What a deploy would do to each contact who is in a flow now, told before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from domain.flows import OnEdit
from domain.memory import Memory, present_name, whole_of
from rehearsal.engine import Landing, first_steps
from rehearsal.instances import CannotRun
from runtime.in_turns import in_turns
from runtime.moving import OpenRun, open_runs
from runtime.recall import Recollection, Unreadable, recall
from runtime.temporal import RPC_TIMEOUT
from workflows.builds import build_id
from workflows.discovery import FlowClass, workflow_runner


class Fate(StrEnum):
    """What a deploy does to a contact."""

    STAYS = "stays"
    """On the version where they are: it is the one at hand, or they are pinned to it."""
    MOVES = "moves"
    """To the version at hand, at their present step."""
    GOES_ON = "goes on"
    """To the version at hand, at once to another step: theirs is gone, or its time is over by now."""
    CANNOT = "cannot be carried"


@dataclass(frozen=True)
class Forecast:
    """One contact's. Steps are named as the version at hand names them."""

    run: OpenRun
    fate: Fate
    step: str | None
    """Where the contact stands; None if between two steps."""
    landing: Landing | None = None
    skips: tuple[str, ...] = ()
    """Steps of the version at hand that the contact will not get, being past them."""
    reason: str | None = None
    """Why the contact cannot be carried."""


class Forecaster:
    """`hosted` are builds that have a worker, or will have one; a contact who is pinned to another cannot go on."""

    def __init__(
        self, client: Client, name: str, flow: FlowClass, hosted: Collection[str], *, move_pinned: bool
    ) -> None:
        self._client = client
        self._name = name
        self._flow = flow
        self._build = build_id(flow)
        self._hosted = hosted
        self._moves = move_pinned or flow.about.on_edit is OnEdit.FOLLOW
        self._now = datetime.now(UTC)

    async def all(self, report: Callable[[int, int], None] = lambda done, of: None) -> list[Forecast]:
        """One for each open run of the flow. `report` is told how many are done, of how many. Raises: RPCError."""
        runs = [run async for run in open_runs(self._client, self._name)]
        done = 0

        async def counted(run: OpenRun) -> Forecast:
            nonlocal done
            forecast = await self.of(run)
            report(done := done + 1, len(runs))
            return forecast

        return await in_turns(counted, runs)

    async def of(self, run: OpenRun) -> Forecast:
        """What would become of the contact of a run. Raises: RPCError."""
        handle = self._client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
        history = await handle.fetch_history(rpc_timeout=RPC_TIMEOUT)
        try:
            recollection = await recall(history, self._flow.about.renamed, self._client.data_converter)
        except Unreadable as error:
            return Forecast(run, Fate.CANNOT, None, reason=str(error))
        step = recollection.step and whole_of(present_name(recollection.step, self._flow.about.renamed))
        if run.build in (None, self._build):
            return await self._on_this_version(run, history, step)
        if self._moves:
            return self._moved(run, recollection, step)
        if run.build in self._hosted:
            return Forecast(run, Fate.STAYS, step)
        return Forecast(
            run,
            Fate.CANNOT,
            step,
            reason=f"pinned to build {run.build}, which no worker runs: start one with that code "
            f"(`cauce worker --only {self._name}`), or give up the pin (`cauce deploy --move-pinned`)",
        )

    async def _on_this_version(self, run: OpenRun, history: WorkflowHistory, step: str | None) -> Forecast:
        """Such a run replays, unless something changed that its build id does not cover."""
        replayer = Replayer(
            workflows=[self._flow], workflow_runner=workflow_runner(), data_converter=self._client.data_converter
        )
        failure = (await replayer.replay_workflow(history, raise_on_replay_failure=False)).replay_failure
        if failure is None:
            return Forecast(run, Fate.STAYS, step)
        return Forecast(run, Fate.CANNOT, step, reason=f"its history does not replay: {failure}")

    def _moved(self, run: OpenRun, recollection: Recollection, step: str | None) -> Forecast:
        memory = recollection.memory
        enrollment = recollection.enrollment.model_copy(update={"memory": memory})
        try:
            landing = first_steps(self._flow, enrollment, self._now)
        except CannotRun as error:
            return Forecast(run, Fate.CANNOT, step, reason=f"the code at hand fails: {error}")
        skips = _skipped_anew(memory, landing, self._flow)
        stands = step is None or landing.step == step
        return Forecast(run, Fate.MOVES if stands else Fate.GOES_ON, step, landing, skips)


def _skipped_anew(memory: Memory, landing: Landing, flow: FlowClass) -> tuple[str, ...]:
    return tuple(step for step in landing.progress.skipped if step not in memory.skipped)
