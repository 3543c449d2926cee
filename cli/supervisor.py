"""Keeps programs running: started in order, started again when they die, ended in reverse order."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil

from cli.ending import end
from cli.failures import CommandFailed
from cli.record import Record, Started
from cli.terminal import say

READY_WITHIN = timedelta(seconds=60)
YOUNG = timedelta(seconds=30)
"""Who dies again and again before this age waits longer and longer for the next start."""
LONGEST_PAUSE = timedelta(seconds=30)
_LOOK_EVERY = timedelta(milliseconds=100)
_LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class Program:
    """`ready` tells whether the process of a pid does its work by now. It never raises and never hangs."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[int], Awaitable[bool]]


class Child:
    """A program's process, the latest of them if it was started again."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.start()

    def start(self) -> None:
        """In a session of its own, so that a terminal's Ctrl-C or hang-up does not reach it."""
        with self.program.log.open("ab") as log:
            self._log_began_at = log.tell()
            self._process = subprocess.Popen(
                self.program.command,
                env=self.program.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._began = time.monotonic()
        self.started = Started(
            name=self.program.name, pid=self._process.pid, created=psutil.Process(self._process.pid).create_time()
        )

    @property
    def name(self) -> str:
        return f"{self.program.name} (pid {self._process.pid})"

    @property
    def age(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self._began)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def ready(self) -> bool:
        """Wait until it does its work; False if it has ended, or takes longer than `READY_WITHIN`."""
        while self.alive and self.age < READY_WITHIN:
            if await self.program.ready(self._process.pid):
                return True
            await asyncio.sleep(_LOOK_EVERY.total_seconds())
        return False

    async def ended(self) -> str:
        """Wait until it has ended, and say how."""
        while self.alive:  # noqa: ASYNC110 (nobody sets an Event when a process ends)
            await asyncio.sleep(_LOOK_EVERY.total_seconds())
        status = self._process.returncode
        return f"exited with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"

    async def end(self) -> None:
        if self.alive:
            await end(psutil.Process(self._process.pid))
            await self.ended()

    def kill(self) -> None:
        if self.alive:
            self._process.kill()

    def last_words(self) -> str:
        """The end of what this process, not one before it, wrote to its log."""
        with self.program.log.open("rb") as log:
            log.seek(self._log_began_at)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES_SHOWN:])


class Supervisor:
    """Writes each start to `record`, so that the next `cauce up` can end what a killed one leaves."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._children: list[Child] = []
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self, *programs: Program) -> None:
        """Start programs at once, wait until all are ready, and keep them running from then on.

        Raises: CommandFailed, with the end of its log, if one ends or does not get ready.
        """
        children = []
        for program in programs:
            child = Child(program)
            children.append(child)
            self._children.append(child)
            self._write_record()
        try:
            async with asyncio.TaskGroup() as group:
                for child in children:
                    group.create_task(self._see_ready(child))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def watch(self) -> None:
        """Restart what dies, until cancelled. Raises: OSError if a program cannot be run any more."""
        await asyncio.gather(*self._keepers)

    async def stop(self) -> None:
        """End every child, last started first."""
        for keeper in self._keepers:
            keeper.cancel()
        for child in reversed(self._children):
            if child.alive:
                say(f"{child.program.name} … stopping")
                await child.end()

    def kill(self) -> None:
        """SIGKILL every child now; a `stop` that waits for them ends at once."""
        for child in self._children:
            child.kill()

    async def _see_ready(self, child: Child) -> None:
        if not await child.ready():
            how = "was not ready in time" if child.alive else await child.ended()
            raise CommandFailed(
                f"{child.name} {how} before it worked once; the end of {child.program.log}:\n{child.last_words()}"
            )
        say(f"{child.program.name} … ready")
        self._keepers.append(asyncio.create_task(self._keep(child)))

    async def _keep(self, child: Child) -> None:
        early_deaths = 0
        while True:
            how = await child.ended()
            early_deaths = early_deaths + 1 if child.age < YOUNG else 0
            pause = pause_before_start(early_deaths)
            say(f"{child.name} {how}: starting it again" + (f" in {pause.seconds} s" if pause else ""))
            await asyncio.sleep(pause.total_seconds())
            child.start()
            self._write_record()
            if await child.ready():
                say(f"{child.name} … ready again")
            elif child.alive:
                say(f"{child.name} does not get ready: see {child.program.log}")

    def _write_record(self) -> None:
        self._record.write([child.started for child in self._children])


def pause_before_start(early_deaths: int) -> timedelta:
    """None after the first death, then 1, 3, 7, 15, 30 seconds."""
    return min(timedelta(seconds=2 ** max(early_deaths - 1, 0) - 1), LONGEST_PAUSE)
