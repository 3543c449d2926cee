"""Bears workers, each a process of its own, faster than a new interpreter would: all that they import is there.

A line on its standard input asks for another one; its standard output answers with the worker's process id.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from functools import partial

from cli.runner import run, until_signalled
from runtime.settings import load_settings
from worker.process import run_worker
from workflows.builds import build_id
from workflows.discovery import discover_flows


def main() -> None:
    for flow in discover_flows().values():
        build_id(flow)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how its children ended
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(2, 1)  # the SDK's core logs to its output, which is ours to answer on
            try:
                run(until_signalled(partial(run_worker, load_settings())))
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
