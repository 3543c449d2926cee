"""Bears workers of lists, each a process of its own, faster than a new interpreter would: all they import is there.

A line on its standard input asks for another one; its standard output answers with the worker's process id.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from datetime import timedelta

from activities import bulk_enrollments
from runtime.databases import open_database
from runtime.dispatch import Dispatcher
from runtime.settings import load_settings
from runtime.sweep import Sweep
from runtime.temporal import connect
from tests.api.flows import FLOWS
from worker.listing import listing
from worker.sweeping import keep_sweeping

ABOUT = {name: flow.about for name, flow in FLOWS.items()}


async def work() -> None:
    database = open_database(load_settings())
    client = await connect(())
    async with listing(client, database, ABOUT, page=int(os.environ["BULK_PAGE"])):
        sweep = Sweep(Dispatcher(database, client, ABOUT))
        await keep_sweeping(sweep, timedelta(seconds=1), asyncio.Event(), doubt_window=timedelta(days=1))


def main() -> None:
    # The suite does not wait as long as an installation does until a worker is given up.
    bulk_enrollments.HEARTBEAT_TIMEOUT = timedelta(seconds=float(os.environ["BULK_HEARTBEAT_SECONDS"]))
    bulk_enrollments.HEARTBEAT_EVERY = bulk_enrollments.HEARTBEAT_TIMEOUT / 4
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how its children ended
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(2, 1)  # the SDK's core logs to its output, which is ours to answer on
            try:
                asyncio.run(work())
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
