"""Simulates the flows of another revision of this project: its own code, in a folder and a process of its own.

`python -m rehearsal.revision` is what runs there: it reads an order from standard input, and writes the result or what
is wrong to standard output, as JSON.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ValidationError

from rehearsal.behaviour import Behaviour
from rehearsal.funnel import Report
from rehearsal.simulation import Asked, CannotSimulate, message_types, simulate
from workflows.discovery import discover_flows

ROOT = Path(__file__).parents[1]
FORMAT = 2
"""Of what two revisions say to each other, and of how contacts are drawn: a change of either needs another number."""
_ABOUT_BYTECODE = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"})
_SIMULATOR = Path("rehearsal", "revision.py")


class Order(BaseModel):
    """What a revision is asked. `behaviour` as a file would have it."""

    format: int = FORMAT
    asked: Asked
    behaviour: dict[str, object]


class Said(BaseModel):
    """What it answers: one of the two."""

    format: int = FORMAT
    report: Report | None = None
    problem: str | None = None


class Revision:
    """A revision that simulates beside this process: begin it by `with`, and ask for its report inside."""

    def __init__(self, name: str, asked: Asked, behaviour: Behaviour, root: Path = ROOT) -> None:
        self.name = name
        self._order = Order(asked=asked, behaviour=behaviour.model_dump(mode="json", exclude_unset=True))
        self._root = root
        self._folder = TemporaryDirectory(prefix="cauce-revision-")

    def __enter__(self) -> Self:
        """Unpack the revision and let it begin. Raises: CannotSimulate."""
        try:
            self._process = self._begun(Path(self._folder.name))
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def report(self) -> Report:
        """Wait until it is done. Raises: CannotSimulate."""
        output, errors = self._process.communicate()
        try:
            said = Said.model_validate_json(output)
        except ValidationError:
            last = (errors.strip().splitlines() or ["it says nothing"])[-1]
            raise CannotSimulate(f"revision {self.name} does not come to a result: {last}") from None
        if said.format != FORMAT:
            raise CannotSimulate(
                f"revision {self.name} simulates in another way (format {said.format}, here {FORMAT}): "
                "choose one whose simulator is like this one's"
            )
        if said.report is None:
            raise CannotSimulate(f"revision {self.name}: {said.problem}")
        return said.report

    def _begun(self, folder: Path) -> subprocess.Popen[str]:
        self._unpack(folder)
        if not (folder / _SIMULATOR).exists():
            raise CannotSimulate(f"revision {self.name} is too old to simulate: it has no {_SIMULATOR.as_posix()}")
        # Its code is imported anew for each contact: compiled once, and kept in its folder, it runs twice as fast.
        inherited = {name: value for name, value in os.environ.items() if name not in _ABOUT_BYTECODE}
        process = subprocess.Popen(
            [sys.executable, "-m", "rehearsal.revision"],
            cwd=folder,
            env={**inherited, "PYTHONPATH": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it has ended already: its report tells why
            process.stdin.write(self._order.model_dump_json())
            process.stdin.close()
        process.stdin = None
        return process

    def _unpack(self, folder: Path) -> None:
        commit = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{self.name}^{{commit}}")
        if commit is None:
            raise CannotSimulate(f"--compare {self.name}: no such revision here: see `git log --oneline`")
        archive = self._git("archive", "--format=tar", commit.decode().strip())
        if archive is None:
            raise CannotSimulate(f"--compare {self.name}: git archives nothing of it: is this project in it?")
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder, filter="data")

    def _git(self, *words: str) -> bytes | None:
        """What git answers; None if it refuses. Raises: CannotSimulate without git or a repository."""
        program = shutil.which("git")
        if program is None:
            raise CannotSimulate("--compare needs git, which is not on the PATH: install it")
        # The words are ours, and the one that a person gives stands behind --end-of-options.
        done = subprocess.run([program, "-C", self._root, *words], capture_output=True)  # noqa: S603
        if b"not a git repository" in done.stderr:
            raise CannotSimulate(f"--compare needs a git repository, and {self._root} is in none")
        return None if done.returncode else done.stdout


def main() -> None:
    """Follow the order on standard input."""
    said = Said()
    order = Order.model_validate_json(sys.stdin.buffer.read())
    if order.format == FORMAT:
        try:
            said.report = _report(order)
        except CannotSimulate as error:
            said.problem = str(error)
    sys.stdout.write(said.model_dump_json())


def _report(order: Order) -> Report:
    flows = discover_flows()
    name = order.asked.flow
    if name not in flows:
        raise CannotSimulate(f"there is no flow {name}: it has {', '.join(flows) or 'none'}")
    behaviour = Behaviour.model_validate(order.behaviour)
    stories = simulate(order.asked, flows[name], message_types(name), behaviour)
    return Report.of(order.asked, flows[name].about.goal, stories)


if __name__ == "__main__":
    main()
