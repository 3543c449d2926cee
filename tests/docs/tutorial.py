"""Does what docs/adding-a-flow.md says, block by block, in a copy of the project.

A block of shell commands is run; the text below it is looked for in its output, `…` standing for anything. A diff is
applied. Python is found in the project as it is then, or added to the file that its first line names. `make up` and
`cauce worker` are for terminals of their own: they run on, and `make up` a second time follows a Ctrl-C.
"""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import httpx

from tests.cli.processes import COMMAND, DEADLINE_SECONDS, Up, eventually
from tests.project_copy import running_from

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCK_SECONDS = 240
"""Half a dozen commands one after the other, on a machine that does other things too."""
_WORKS = "worker is ready"
_AT_THE_END = re.compile(r"# at the end of (\S+)\n")


class Block(NamedTuple):
    line: int
    language: str
    text: str


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text()
    for found in _BLOCK.finditer(text):
        yield Block(text.count("\n", 0, found.start()) + 1, found[1], found[2])


class Tutorial:
    """`project` is the copy; whatever runs on in it ends with the block."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project = project
        self.output = ""
        self.up: Up | None = None
        self._folder = folder
        self._workers: list[subprocess.Popen[bytes]] = []
        self._environment = running_from(project, self._environment_of_its_own())

    def follow(self, block: Block) -> None:
        match block.language:
            case "sh":
                self._run(block.text)
            case "text":
                self._expect(block.text)
            case "diff":
                self._edit(block.text)
            case "python":
                self._read(block.text)
            case _:
                raise AssertionError(f"nobody follows a block of {block.language}")

    def steps(self) -> dict[str, list[str]]:
        """Where the contacts are, and what they were made to skip."""
        if self.up is None:
            return {}
        items = httpx.get(f"{self.up.api_url}/v1/enrollments").json()["items"]
        return {item["step"]: item["skipped_steps"] for item in items}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end_workers()
        if self.up is not None:
            self.up.__exit__(*exception)

    def _environment_of_its_own(self) -> Path:
        """A .venv of which make finds that nothing is missing, and whose programs use the copy's packages."""
        programs = self.project / ".venv" / "bin"
        programs.mkdir(parents=True)
        # Without plugins that no flow's test uses: they take two seconds to be loaded.
        pytest = "-m pytest -p no:schemathesis -p no:xdist -p no:hypothesispytest"
        for name, words in {"cauce": "-m cli.main", "pytest": pytest, "uv": "-c 'raise SystemExit(1)'"}.items():
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            program.chmod(0o755)
        (programs / "activate").touch()
        (programs.parent / ".installed").touch()
        return programs

    def _run(self, commands: str) -> None:
        if commands.strip() == "make up":
            self._run_up()
        elif commands.strip() == "cauce worker":
            self._run_worker()
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", commands],
                cwd=self.project,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_BLOCK_SECONDS,
            )
            self.output = done.stdout
            assert done.returncode == 0, f"{commands}exit status {done.returncode}\n{done.stdout}"

    def _run_up(self) -> None:
        """The caller's working directory is the copy: `up` runs there too."""
        self._end_workers()
        if self.up is None:
            self.up = Up(self._folder, PYTHONPATH=str(self.project))
            self._environment |= {
                "CAUCE_DATA_DIR": str(self.up.data_dir),
                "CAUCE_API_URL": self.up.api_url,
                "TEMPORAL_ADDRESS": self.up.temporal_address,
                "CAUCE_TEMPORAL_UI_URL": self.up.temporal_ui_url,
            }
        else:
            self.up.end_by(signal.SIGINT)
            self.up.start()
            self.up.until_said("have moved")
        self.up.until_ready()
        self.output = self.up.output

    def _run_worker(self) -> None:
        path = self._folder / "worker.log"
        with path.open("wb") as log:
            command = [*COMMAND, "worker"]
            worker = subprocess.Popen(command, cwd=self.project, env=self._environment, stdout=log, stderr=log)
        self._workers.append(worker)
        eventually("a worker runs", lambda: _WORKS in path.read_text() or worker.poll() is not None)
        assert worker.poll() is None, path.read_text()

    def _end_workers(self) -> None:
        while self._workers:
            worker = self._workers.pop()
            worker.kill()
            worker.wait(DEADLINE_SECONDS)

    def _expect(self, lines: str) -> None:
        """In this order, with anything between them."""
        said = [" ".join(line.split()) for line in self.output.splitlines()]
        for line in lines.splitlines():
            pattern = ".*".join(map(re.escape, re.split(r"\s*…\s*", " ".join(line.split()))))
            at = next((at for at, found in enumerate(said) if re.search(pattern, found)), None)
            assert at is not None, f"{line!r} is not said, or not in this order:\n{self.output}"
            said = said[at + 1 :]

    def _edit(self, diff: str) -> None:
        header, *lines = diff.splitlines()
        path = self.project / header.removeprefix("+++ ")
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        source = path.read_text()
        assert source.count(before) == 1, f"{path.name} has {source.count(before)} times:\n{before}"
        path.write_text(source.replace(before, after))

    def _read(self, source: str) -> None:
        if added := _AT_THE_END.match(source):
            path = self.project / added[1]
            path.write_text(f"{path.read_text()}{source.removeprefix(added[0])}")
        elif source.startswith("# for example\n"):
            ast.parse(f"async def journey(self):\n{textwrap.indent(source, '    ')}")
        else:
            found = [path for path in (self.project / "workflows").glob("*.py") if source in path.read_text()]
            assert found, f"no flow has\n{source}"
