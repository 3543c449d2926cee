"""The import rules hold, and a planted violation of each is caught."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from cli.kept_code import PACKAGES
from tests.temporal_server import SCRIPTS
from workflows.discovery import discover_flows

ROOT = Path(__file__).parents[2]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / "lint-imports", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_package_is_kept_and_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tuple(project["importlinter"]["root_packages"]) == PACKAGES
    assert {package.partition(".")[0] for package in project["setuptools"]["packages"]} == set(PACKAGES)


def test_imports_run_down_the_stair() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "violation"),
    [
        ("domain/contacts.py", "import store.database"),
        ("store/ledger.py", "import runtime.settings"),
        ("activities/email.py", "import runtime.settings"),
        ("workflows/onboarding.py", "import runtime.temporal"),
        ("workflows/onboarding.py", "import store.tables"),
        ("worker/process.py", "import api.app"),
        ("integrations/outbox/mailer.py", "import integrations.sendgrid.mailer"),
    ],
)
def test_a_planted_violation_is_caught(tmp_path: Path, module: str, violation: str) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / module
    planted.write_text(f"{planted.read_text()}\n{violation}\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert "BROKEN" in done.stdout


def test_flows_do_not_import_each_other() -> None:
    flows = list(discover_flows())
    for flow in flows:
        source = (ROOT / "workflows" / f"{flow}.py").read_text()
        assert not [other for other in flows if f"workflows.{other}" in source], f"workflows/{flow}.py imports a flow"
