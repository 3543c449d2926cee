"""Commands of `cauce` side by side, each a process of its own; sooner than new interpreters, since one imports all.

`python -m tests.recovery.beside FOLDER worker "api --port 8001"`: the first one logs to FOLDER/0.log, and so on.
When its standard input ends each gets SIGTERM; it ends with the greatest of their exit statuses.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

import api.serve  # noqa: F401 (the commands import them when they run)
import worker.process  # noqa: F401
from cli.main import app
from workflows.builds import build_id
from workflows.discovery import discover_flows


def main(folder: Path, *commands: str) -> int:
    for flow in discover_flows().values():
        build_id(flow)
    children = [_begin(command.split(), folder / f"{number}.log") for number, command in enumerate(commands)]
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGTERM)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def _begin(command: list[str], log: Path) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with log.open("wb") as output:
            os.dup2(output.fileno(), sys.stderr.fileno())
        app(command, standalone_mode=False)
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
