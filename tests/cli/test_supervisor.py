"""How programs are kept running, shown with small ones."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from cli.ending import PATIENCE, end, is_alive
from cli.failures import CommandFailed
from cli.record import Record, end_leftovers
from cli.runner import stop_on
from cli.supervisor import Program, Supervisor, pause_before_start
from worker.process import WORKFLOW_GRACE
from worker.scheduling import SCHEDULES_GRACE
from worker.serving import RECORDS_GRACE, SENDING_GRACE

SLEEPS = "import time; print('began', flush=True); time.sleep(300)"
DEAF_TO_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"


def program(folder: Path, code: str) -> Program:
    """Python code that is ready once it has printed `began`."""
    log = folder / "program.log"

    async def ready(_pid: int) -> bool:
        return "began" in await asyncio.to_thread(log.read_text)

    return Program("program", (sys.executable, "-c", code), os.environ, log, ready)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    supervising = Supervisor(Record(tmp_path))
    yield supervising
    supervising.kill()
    await supervising.stop()


def recorded(folder: Path) -> psutil.Process:
    (started,) = Record(folder).children()
    return psutil.Process(started.pid)


async def test_program_that_cannot_start_is_told_with_its_last_words(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"exited with status 3 before it worked once(.|\n)*no such luck$"):
        await supervisor.start(program(tmp_path, "import sys; sys.stderr.write('no such luck'); sys.exit(3)"))


async def test_last_words_are_not_those_of_an_earlier_start(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "program.log").write_text("what an earlier process said\n")
    with pytest.raises(CommandFailed) as failure:
        await supervisor.start(program(tmp_path, "import sys; sys.exit(3)"))
    assert "earlier" not in str(failure.value)


async def test_second_signal_kills_a_child_that_does_not_stop(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(program(tmp_path, DEAF_TO_SIGTERM))
    child = recorded(tmp_path)
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    assert is_alive(child)
    supervisor.kill()
    await asyncio.wait_for(stopping, timeout=10)
    assert not is_alive(child)


async def test_process_that_ignores_sigterm_is_killed_once_its_patience_is_over(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(program(tmp_path, DEAF_TO_SIGTERM))
    child = recorded(tmp_path)
    await end(child, patience=timedelta(milliseconds=200))
    assert not is_alive(child)


async def test_leftover_is_ended_but_not_a_stranger_that_was_given_its_pid(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(program(tmp_path, SLEEPS))
    record, child = Record(tmp_path), recorded(tmp_path)
    (started,) = record.children()

    record.write([started.model_copy(update={"created": started.created - 60})])
    await end_leftovers(record)
    assert is_alive(child)

    record.write([started])
    await end_leftovers(record)
    assert not is_alive(child)
    assert record.children() == []


async def test_first_signal_asks_to_stop_and_the_second_is_told_apart() -> None:
    again = asyncio.Event()
    stop = stop_on(signal.SIGUSR1, again=again.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(stop.wait(), timeout=5)
    assert not again.is_set()
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(again.wait(), timeout=5)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)


async def test_hang_up_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop_on(signal.SIGHUP, again=lambda: None)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_worker_has_longer_to_stop_than_it_gives_what_is_under_way() -> None:
    assert max(SENDING_GRACE, RECORDS_GRACE) + WORKFLOW_GRACE + SCHEDULES_GRACE < PATIENCE


def test_pause_grows_with_every_early_death_up_to_half_a_minute() -> None:
    pauses = [pause_before_start(early_deaths).seconds for early_deaths in range(8)]
    assert pauses == [0, 0, 1, 3, 7, 15, 30, 30]
