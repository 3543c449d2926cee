"""`cauce deploy`: contacts onto the flows' code at hand, told beforehand, and back again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

from temporalio.client import Client
from temporalio.service import RPCError

from cli.failures import CommandFailed
from cli.flows import known_flows
from cli.forecast_view import as_json, forecast_table, progress_bar
from cli.terminal import say, show
from domain.flows import OnEdit
from rehearsal.forecast import Fate, Forecast, Forecaster
from runtime.databases import open_database
from runtime.deployments import Deployment, Deployments, NotPolled
from runtime.dispatch import Dispatcher
from runtime.moving import Mover, gone_flows
from runtime.rollout import Overtaken, Rolled, Rollout
from runtime.runs import TemporalUnavailable
from runtime.settings import Settings
from runtime.temporal import connect, temporal_address
from store.database import Database
from workflows.builds import build_id
from workflows.discovery import FlowClass, discover_flows

FlowT = TypeVar("FlowT")
DoneT = TypeVar("DoneT")

_REGISTERS_WITHIN = timedelta(seconds=10)


class NothingToDo(CommandFailed):
    """This flow stands already where the command would bring it."""


@dataclass(frozen=True)
class Situation:
    """A flow's deployment as the server has it, the code at hand, and what would become of each contact."""

    name: str
    flow: FlowClass
    build: str
    deployment: Deployment
    forecasts: list[Forecast]

    @property
    def lost(self) -> list[Forecast]:
        return [forecast for forecast in self.forecasts if forecast.fate is Fate.CANNOT]

    @property
    def moves_everybody(self) -> bool:
        return self.flow.about.on_edit is OnEdit.FOLLOW


class Deployer:
    """Works on one server and database. `gone` and `hosted` are builds known to have no worker, or to get one."""

    def __init__(self, client: Client, database: Database, flows: Mapping[str, FlowClass]) -> None:
        self._client = client
        self._flows = flows
        self._deployments = Deployments(client)
        abouts = {name: flow.about for name, flow in flows.items()}
        self._mover = Mover(client, database, Dispatcher(database, client, abouts), abouts)

    async def look(self, name: str, *, move_pinned: bool = False, hosted: Collection[str] | None = None) -> Situation:
        """See what a deploy of a flow would do. `hosted`: builds with a worker, if not all that poll."""
        flow = self._flows[name]
        if hosted is None:
            hosted = await self._deployments.alive(name)
        forecaster = Forecaster(self._client, name, flow, hosted, move_pinned=move_pinned)
        with progress_bar(f"{name}: looking at open enrollments") as report:
            forecasts = await forecaster.all(report)
        return Situation(name, flow, build_id(flow), await self._deployments.of(name), forecasts)

    async def gone_flows(self) -> Counter[str]:
        """How many contacts are in flows that are gone from the code."""
        return await gone_flows(self._client, self._flows)

    async def carry_out(
        self, situation: Situation, *, move_pinned: bool = False, gone: Collection[str] = ()
    ) -> Rolled | None:
        """Make the code at hand current, and move whom the situation says; None if the flow pins and nobody moves.

        Raises: CommandFailed if no worker runs the code at hand, RPCError, TemporalUnavailable.
        """
        if situation.deployment.current != situation.build:
            await self._make_current(situation.name, situation.build)
        if situation.deployment.ramping not in (None, situation.build):
            await self._deployments.ramp(situation.name, None, 0)
        if not (situation.moves_everybody or move_pinned):
            return None
        return await self._roll(situation.name, situation.build, {each.run.run_id for each in situation.lost}, gone)

    async def ramp(self, situation: Situation, percentage: float) -> Rolled | None:
        """Give the code at hand a share of the contacts; the server picks which, and a larger share includes them."""
        name, build = situation.name, situation.build
        if situation.deployment.current == build:
            raise NothingToDo(
                f"{name}: build {build} gets all contacts already; a ramp is for code that is not current"
            )
        await self._once_known(name, build, partial(self._deployments.ramp, name, build, percentage))
        if not situation.moves_everybody:
            return None
        lost = {each.run.run_id for each in situation.lost}
        return await Rollout(self._client, self._mover, situation.name, situation.build, leave=lost).ask_all()

    async def roll_back(self, name: str) -> tuple[str, Rolled | None]:
        """End a ramp, or make the version current that was so before, and move the contacts back to it.

        Returns: that version. Raises: NothingToDo if there is none, CommandFailed if no worker runs it.
        """
        deployment = await self._deployments.of(name)
        if deployment.ramping is not None and deployment.current is not None:
            await self._deployments.ramp(name, None, 0)
            build = deployment.current
        elif deployment.previous is not None:
            build = deployment.previous
            await self._make_current(name, build)
        else:
            raise NothingToDo(f"{name} has no earlier version to go back to")
        if self._flows[name].about.on_edit is OnEdit.PIN:
            return build, None
        return build, await self._roll(name, build, (), ())

    async def _roll(self, name: str, build: str, leave: Collection[str], gone: Collection[str]) -> Rolled:
        rollout = Rollout(self._client, self._mover, name, build, leave=leave, gone=gone)
        with progress_bar(f"{name}: moving contacts to build {build}") as report:
            return await rollout.run(lambda rolled: report(rolled.moved, rolled.behind_at_first))

    async def _make_current(self, name: str, build: str) -> None:
        await self._once_known(name, build, partial(self._deployments.make_current, name, build))

    async def _once_known(self, name: str, build: str, tell: Callable[[], Awaitable[None]]) -> None:
        """Wait a little for a worker that has just been started."""
        deadline = time.monotonic() + _REGISTERS_WITHIN.total_seconds()
        while True:
            try:
                return await tell()
            except NotPolled:
                if time.monotonic() > deadline:
                    raise _no_worker(name, build) from None
            await asyncio.sleep(0.2)


async def deploy(
    settings: Settings,
    names: Collection[str],
    *,
    preview: bool,
    ramp: float | None,
    rollback: bool,
    move_pinned: bool,
    json: bool,
) -> bool:
    """The command. Returns: whether every contact could be carried. Raises: CommandFailed."""
    flows = discover_flows()
    chosen = known_flows(names) or list(flows)
    async with deployer(settings, flows) as deploying:
        if rollback:
            carried = True
            async for name, (build, rolled) in _each(chosen, deploying.roll_back, named=bool(names)):
                say(f"{name}: build {build} is current again{moved(rolled)}")
                carried = carried and not (rolled and rolled.left)
            return carried
        situations = [await deploying.look(name, move_pinned=move_pinned) for name in chosen]
        gone = await deploying.gone_flows()
        carried = not gone and not any(situation.lost for situation in situations)
        if json:
            say(as_json(situations, gone))
        else:
            show(forecast_table(situations))
            for name, contacts in gone.items():
                say(
                    f"{name}: {contacts} contacts are in this flow, which the code has no longer: bring it back until "
                    "they are out of it, or cancel their enrollments"
                )
        if preview:
            return carried
        if ramp is not None:
            to_share = partial(deploying.ramp, percentage=ramp)
            async for situation, rolled in _each(situations, to_share, named=bool(names)):
                say(f"{situation.name}: build {situation.build} gets {ramp:g} % of the contacts{moved(rolled)}")
            return carried
        for situation in situations:
            rolled = await deploying.carry_out(situation, move_pinned=move_pinned)
            carried = carried and not (rolled and rolled.left)
            say(f"{situation.name}: build {situation.build} is current{moved(rolled)}")
        return carried


async def _each(
    flows: Sequence[FlowT], do: Callable[[FlowT], Awaitable[DoneT]], *, named: bool
) -> AsyncIterator[tuple[FlowT, DoneT]]:
    """What was done with each flow. Where all are meant, those with nothing to do are passed by.

    Raises: NothingToDo for a flow that was named, or if there is nothing to do with any.
    """
    idle = []
    for flow in flows:
        try:
            done = await do(flow)
        except NothingToDo as nothing:
            if named:
                raise
            idle.append(nothing)
        else:
            yield flow, done
    if len(idle) == len(flows):
        raise NothingToDo("; ".join(map(str, idle)))


@asynccontextmanager
async def deployer(settings: Settings, flows: Mapping[str, FlowClass]) -> AsyncIterator[Deployer]:
    """Connected to what the environment names. Raises: CommandFailed."""
    database = open_database(settings)
    try:
        await database.require_current()
        try:
            client = await connect(settings.encryption_keys)
        except RuntimeError:
            raise CommandFailed(
                f"Temporal at {temporal_address()} does not answer: start it by `cauce up`, or set TEMPORAL_ADDRESS"
            ) from None
        try:
            yield Deployer(client, database, flows)
        except RPCError as error:
            raise CommandFailed(f"Temporal refuses: {error.message}") from error
        except TemporalUnavailable as error:
            raise CommandFailed(f"Temporal went away ({error}): repeat the command, it goes on from there") from error
        except (NotPolled, Overtaken) as error:
            raise CommandFailed(str(error)) from error
    finally:
        await database.close()


def moved(rolled: Rolled | None) -> str:
    if rolled is None:
        return "; contacts finish on the version that they started with"
    left = "".join(f"\n  stays behind: {reason}" for reason in rolled.left.values())
    return f"; {rolled.moved} of {rolled.behind_at_first} contacts who were behind have moved{left}"


def _no_worker(name: str, build: str) -> CommandFailed:
    return CommandFailed(
        f"no worker runs {name} with build {build}: start `cauce worker` with that code beside the other, or, on one "
        "machine, put that code in place and restart `cauce up`, which does the rest itself"
    )
