"""Bringing the contacts of a flow onto a version: those who are behind are asked, or replaced, until nobody is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from temporalio.client import Client

from runtime.deployments import Deployments, NotPolled
from runtime.in_turns import in_turns
from runtime.moving import Mover, OpenRun, open_runs
from runtime.recall import Unreadable

_LOOK_EVERY = timedelta(milliseconds=500)
_LOOK_AT_LEAST_EVERY = timedelta(seconds=5)
_LISTED_WITHIN = timedelta(seconds=1)
"""Who entered just now, on the version before: the server's list is some moments late."""
_ANSWERED_WITHIN = timedelta(seconds=15)
"""By a worker that is there: a workflow task waits five seconds for one that is not, and goes to another."""
_ASK_AGAIN = timedelta(seconds=5)


class Overtaken(Exception):
    """Another deploy was begun before this one had ended."""


@dataclass
class Rolled:
    """How far a roll-out is: contacts who were behind, who are, and who stay there, with the reason."""

    behind_at_first: int = 0
    behind: int = 0
    left: dict[str, str] = field(default_factory=dict)
    """By run id."""

    @property
    def moved(self) -> int:
        """Moved, or ended meanwhile."""
        return self.behind_at_first - self.behind


class Rollout:
    """`leave` are run ids that are not to be touched. `gone` are builds that are known to have no worker any more."""

    def __init__(
        self,
        client: Client,
        mover: Mover,
        flow: str,
        build: str,
        *,
        leave: Collection[str] = (),
        gone: Collection[str] = (),
    ) -> None:
        self._client = client
        self._mover = mover
        self._flow = flow
        self._build = build
        self._leave = leave
        self._gone = gone
        self._asked: dict[str, float] = {}
        self.rolled = Rolled()

    async def run(self, report: Callable[[Rolled], None]) -> Rolled:
        """Move everybody who is not on the build, until only those are left who stay. May be cut off and repeated.

        A contact whose message is on its way moves after it. Raises: Overtaken, NotPolled if the build's own workers
        fall silent, RPCError, TemporalUnavailable.
        """
        deployments = Deployments(self._client)
        pause, quiet = _LOOK_EVERY, False
        while True:
            behind = await self._behind()
            contacts = len({run.workflow_id for run in behind})
            pause = _LOOK_EVERY if contacts != self.rolled.behind else min(pause * 1.5, _LOOK_AT_LEAST_EVERY)
            self.rolled.behind = contacts
            self.rolled.behind_at_first = max(self.rolled.behind_at_first, contacts)
            report(self.rolled)
            movable = [run for run in behind if run.run_id not in self.rolled.left]
            if not movable and quiet:
                return self.rolled
            quiet = not movable
            if movable:
                current, alive = (await deployments.of(self._flow)).current, await deployments.alive(self._flow)
                if current != self._build:
                    raise Overtaken(
                        f"build {current} of {self._flow} was made current meanwhile: its contacts go there"
                    )
                if self._build not in alive:
                    raise NotPolled(f"no worker of {self._flow} with build {self._build} asks for work any more")
                await in_turns(partial(self._move, alive - set(self._gone)), movable)
            await asyncio.sleep((_LISTED_WITHIN if quiet else pause).total_seconds())

    async def ask_all(self) -> Rolled:
        """Ask everybody who is not on the build once, as for a ramp, whose share the server picks.

        Returns as soon as all have answered. Who has no worker, or a mistake in their code, does not, and stays behind.
        """
        behind = await self._behind()
        await in_turns(self._mover.ask, behind)
        deadline = time.monotonic() + _ANSWERED_WITHIN.total_seconds()
        while time.monotonic() < deadline:
            if not any(await in_turns(self._mover.is_deciding, behind)):
                break
            await asyncio.sleep(_LOOK_EVERY.total_seconds())
        open_ = await in_turns(self._mover.is_open, behind)
        return Rolled(behind_at_first=len(behind), behind=open_.count(True))

    async def _behind(self) -> list[OpenRun]:
        runs = [run async for run in open_runs(self._client, self._flow)]
        return [run for run in runs if run.build not in (None, self._build) and run.run_id not in self._leave]

    async def _move(self, alive: Collection[str], run: OpenRun) -> None:
        asked = self._asked.get(run.run_id)
        if run.build in alive:
            if asked is not None and time.monotonic() - asked < _ASK_AGAIN.total_seconds():
                return
            self._asked[run.run_id] = time.monotonic()
            if asked is None or not await self._mover.is_failing(run):
                await self._mover.ask(run)
                return
        try:
            await self._mover.replace(run)
        except Unreadable as error:
            self.rolled.left[run.run_id] = str(error)
