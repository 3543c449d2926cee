"""`cauce up` as people run it: a process, in a folder and environment of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil

from cli.ending import is_alive
from cli.ports import LOOPBACK, unused_port
from cli.record import Record

COMMAND = (sys.executable, "-P", "-m", "cli.main")
DEADLINE_SECONDS = 60


def environment(data_dir: Path, **variables: str) -> dict[str, str]:
    """What this machine's environment would be if nobody had set anything of ours, and then `variables`."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith(("CAUCE_", "TEMPORAL_"))}
    return {**foreign, "CAUCE_DATA_DIR": str(data_dir), **variables}


def eventually(what: str, condition: Callable[[], Any]) -> Any:
    """The condition's first true answer. Fails, saying `what`, if there is none before the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {DEADLINE_SECONDS} s: {what}")


class Up:
    """A `cauce up` on free ports. Leaving the block kills, by pid, whatever of it still runs."""

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        self.data_dir = folder / "data"
        ports: list[int] = []
        for _ in range(3):
            ports.append(unused_port(ports))
        self.api_url = f"http://{LOOPBACK}:{ports[0]}"
        self.temporal_address = f"{LOOPBACK}:{ports[1]}"
        self.temporal_ui_url = f"http://{LOOPBACK}:{ports[2]}"
        self._words = words
        self._environment = environment(self.data_dir, **variables)
        self._output = folder / "up.out"
        self._seen: set[psutil.Process] = set()
        self.start()

    def start(self) -> None:
        """Run it; when it has run before, again with the same folder and ports."""
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "up", *self.ports, *self._words],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def ports(self) -> list[str]:
        ports = [url.rpartition(":")[2] for url in (self.api_url, self.temporal_address, self.temporal_ui_url)]
        return ["--api-port", ports[0], "--temporal-port", ports[1], "--ui-port", ports[2]]

    @property
    def output(self) -> str:
        return self._output.read_text()

    def until_said(self, text: str) -> None:
        """Wait until `text` was printed. Fails at once if `up` ends before."""
        eventually(f"up said {text!r}", lambda: text in self.output or self.process.poll() is not None)
        assert text in self.output, self.output

    def until_ready(self) -> None:
        self.until_said("Ctrl-C stops everything")
        self.children()

    def children(self) -> dict[str, psutil.Process]:
        """The processes it runs now, by name, from its record."""
        started = Record(self.data_dir).children()
        children = {child.name: process for child in started if (process := child.process())}
        self._seen.update(children.values())
        return children

    def end_by(self, signal_number: signal.Signals) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(DEADLINE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)
        self.children()
        for process in self._seen:
            if is_alive(process):
                process.kill()
