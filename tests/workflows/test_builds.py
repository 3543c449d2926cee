"""A build id tells versions of a flow's code apart, and is the same wherever that code is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASK = "from workflows.builds import build_id; from workflows.onboarding import Onboarding; print(build_id(Onboarding))"


def build_in(project: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", ASK], env={"PYTHONPATH": str(project)}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def build() -> str:
    return build_in(ROOT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for package in ("activities", "domain", "emails", "integrations", "store", "workflows"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_it_is_the_same_elsewhere_and_with_other_line_ends(project: Path, build: str) -> None:
    assert build_in(project) == build
    for path in (project / "workflows").glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert build_in(project) == build


@pytest.mark.parametrize("part", ["workflows/onboarding.py", "workflows/steps.py", "domain/durations.py"])
def test_it_changes_with_all_that_decides_what_a_flow_does(project: Path, build: str, part: str) -> None:
    (project / part).write_text((project / part).read_text() + "\nMORE = 1\n")
    assert build_in(project) != build


def test_it_stays_when_what_is_not_the_flows_changes(project: Path, build: str) -> None:
    for part in ("workflows/another.py", "activities/email.py", "emails/templates.py"):
        with (project / part).open("a") as file:
            file.write("\nMORE = 1\n")
    assert build_in(project) == build
