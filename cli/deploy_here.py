"""What `cauce up` does about flows that were edited since it last ran: there is one machine, and the new code is on it.

Contacts who follow get new runs on it, with the memory that the server's history tells. Contacts who are pinned finish
on the code that they started with: it was kept when it was at hand, and gets a worker of its own.
"""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from cli.deploy import Deployer, moved
from cli.failures import CommandFailed
from cli.forecast_view import forecast_table
from cli.kept_code import KeptCode
from cli.machine import Machine
from cli.supervisor import Supervisor
from cli.terminal import say, show
from domain.flows import OnEdit
from runtime.databases import open_database
from runtime.deployments import Deployments, NotPolled
from runtime.moving import open_runs
from runtime.rollout import Overtaken
from runtime.runs import TemporalUnavailable
from workflows.builds import build_id
from workflows.discovery import FlowClass, discover_flows

_OBSTACLES = (CommandFailed, NotPolled, Overtaken, RPCError, SQLAlchemyError, TemporalUnavailable)


class DeployHere:
    """For one `cauce up`, whose worker runs the code at hand by now, and no other worker runs."""

    def __init__(self, machine: Machine, supervisor: Supervisor, kept: KeptCode) -> None:
        self._machine = machine
        self._supervisor = supervisor
        self._kept = kept
        self._flows = discover_flows()

    async def run(self) -> None:
        """Bring every flow to the code at hand. What stands in the way is said, and holds up nothing else."""
        database = open_database(self._machine.settings)
        try:
            client = await self._machine.connect()
            deployer, deployments = Deployer(client, database, self._flows), Deployments(client)
            needed = {(name, build_id(flow)) for name, flow in self._flows.items()}
            for name, flow in self._flows.items():
                builds = {run.build async for run in open_runs(client, name) if run.build} - {build_id(flow)}
                needed |= {(name, build) for build in builds}
                await self._try_to_bring(deployer, deployments, name, flow, sorted(builds))
            gone = await deployer.gone_flows()
            for name, contacts in gone.items():
                say(f"{name}: {contacts} contacts are in this flow, which the code has no longer")
            if not gone:  # whose code may be wanted again
                await asyncio.to_thread(self._kept.forget_all_but, needed)
        except _OBSTACLES as error:
            say(f"flows are not all on the code at hand: {error}; run `cauce deploy` later")
        finally:
            await database.close()

    async def _try_to_bring(
        self, deployer: Deployer, deployments: Deployments, name: str, flow: FlowClass, builds: list[str]
    ) -> None:
        try:
            await self._bring(deployer, deployments, name, flow, builds)
        except _OBSTACLES as error:
            say(f"{name} is not on the code at hand: {error}; run `cauce deploy {name}` later")

    async def _bring(
        self, deployer: Deployer, deployments: Deployments, name: str, flow: FlowClass, builds: list[str]
    ) -> None:
        hosted = await self._host(name, builds) if flow.about.on_edit is OnEdit.PIN else []
        if not builds and (await deployments.of(name)).current == build_id(flow):
            return
        situation = await deployer.look(name, hosted=[build_id(flow), *hosted])
        if builds:
            show(forecast_table([situation]))
        rolled = await deployer.carry_out(situation, gone=[build for build in builds if build not in hosted])
        say(f"{name} … build {situation.build} is current{moved(rolled) if builds else ''}")

    async def _host(self, name: str, builds: list[str]) -> list[str]:
        """Start a worker for each build that contacts are pinned to; answer which of them have one now."""
        hosted = []
        for build in builds:
            place = self._kept.place_of(name, build)
            if place is None:
                continue
            try:
                await self._supervisor.start(self._machine.conductor(name, build, place))
                hosted.append(build)
            except CommandFailed as failure:
                say(str(failure))
        return hosted
