"""What a `cauce up` keeps in its data folder for the next one: that it runs, and which processes it started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from cli.ending import end, is_alive
from cli.failures import CommandFailed
from cli.terminal import say

_CLOCK_SHIFT_SECONDS = 2.0
"""By how much a process's time of creation may seem to move when the machine's clock is set right."""


class Started(BaseModel):
    """One process: its pid alone could by now be another's, its time of creation tells them apart."""

    name: str
    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """The process, or None once it is gone."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _CLOCK_SHIFT_SECONDS
        except psutil.NoSuchProcess:
            return None
        return process if same and is_alive(process) else None


class _Contents(BaseModel):
    pid: int
    children: list[Started] = []


class Record:
    """`up.json` in a data folder. It is whole at any time, and `hold` has it to itself."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "up.json"

    def write(self, children: list[Started]) -> None:
        """`children`: in the order in which they were started."""
        draft = self._path.with_suffix(".draft")
        draft.write_text(_Contents(pid=os.getpid(), children=children).model_dump_json(indent=2))
        draft.replace(self._path)

    def children(self) -> list[Started]:
        """What the last `write` told of; nothing if there was none."""
        contents = self._read()
        return contents.children if contents else []

    def owner(self) -> int | None:
        """The pid of the `cauce up` that wrote last."""
        contents = self._read()
        return contents.pid if contents else None

    def _read(self) -> _Contents | None:
        try:
            return _Contents.model_validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


@contextmanager
def hold(data_dir: Path) -> Iterator[Record]:
    """Be the only `cauce up` on a data folder, which is made when missing. Raises: CommandFailed."""
    record = Record(data_dir)
    lock = FileLock(data_dir / "up.lock", blocking=False)
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except Timeout:
        raise CommandFailed(
            f"cauce up runs on {data_dir} already (pid {record.owner()}): stop that one, or give another --data-dir"
        ) from None
    except OSError as error:
        raise CommandFailed(
            f"the data folder {data_dir} cannot be used ({error.strerror}): mend it, or give another --data-dir"
        ) from error
    with lock:
        record.write(record.children())
        yield record


async def end_leftovers(record: Record) -> None:
    """End, last started first, what an earlier `cauce up` that was killed has left running."""
    for started in reversed(record.children()):
        if process := started.process():
            say(f"{started.name}: ending pid {started.pid}, left by a cauce up that was killed")
            await end(process)
    record.write([])
