"""`cauce deploy` with old and new workers side by side, as processes of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.edited_project import EDIT, contact, copy_packages, edit, mails, where
from tests.cli.processes import COMMAND, DEADLINE_SECONDS, Up, environment, eventually


def variables(up: Up, project: Path) -> dict[str, str]:
    """What a command of a project needs to find this `cauce up`."""
    address = up.temporal_address.removeprefix("http://")
    return environment(up.data_dir, CAUCE_API_URL=up.api_url, TEMPORAL_ADDRESS=address, PYTHONPATH=str(project))


def cauce(up: Up, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], env=variables(up, project), capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )


@contextmanager
def worker(up: Up, project: Path, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen([*COMMAND, "worker"], env=variables(up, project), stdout=output, stderr=output)
    try:
        eventually("the worker is ready", lambda: b"worker is ready" in log.read_bytes())
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def test_a_new_version_is_previewed_deployed_and_rolled_back(tmp_path: Path) -> None:
    edited, without = copy_packages(tmp_path / "edited"), copy_packages(tmp_path / "without")
    edit(edited, EDIT)
    (without / "workflows/onboarding.py").unlink()
    with Up(tmp_path) as up:
        up.until_ready()
        enrolled = contact(up, 1)

        gone = cauce(up, without, "deploy", "--preview")
        assert gone.returncode == 1
        assert "onboarding: 1 contacts are in this flow, which the code has no longer" in gone.stdout

        with worker(up, edited, tmp_path / "worker.log"):
            told = cauce(up, edited, "deploy", "--preview", "--json")
            assert told.returncode == 0, told.stderr
            step = json.loads(told.stdout)["flows"]["onboarding"]["steps"]["time-to-practise"]
            assert (step["contacts"], step["goes_on"], step["skips"]) == (1, 1, {"hello": 1})
            assert step["goes_on_to"] == {"training-tip, at once": 1}
            assert where(up, enrolled)["step"] == "time-to-try", "a preview changes nothing"

            done = cauce(up, edited, "deploy", "onboarding")
            assert done.returncode == 0, done.stderr
            assert "1 of 1 contacts who were behind have moved" in done.stdout
            eventually("the contact goes on", lambda: where(up, enrolled)["step"] == "check-in-day")
            assert where(up, enrolled)["skipped_steps"] == ["hello"]

            back = cauce(up, edited, "deploy", "--rollback")
            assert back.returncode == 0, back.stderr
            assert "is current again; 1 of 1" in back.stdout
            eventually("the contact waits on", lambda: where(up, enrolled)["step"] == "check-in-day")
        assert mails(up, enrolled) == ["need-a-hand", "training-tip", "welcome"]
