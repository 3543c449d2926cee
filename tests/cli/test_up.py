"""`cauce up`, with all that it runs."""

from __future__ import annotations

import os
import signal
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.ending import is_alive
from integrations.outbox.reader import Outbox
from tests.cli.conftest import Said
from tests.cli.processes import Up, environment, eventually

Cauce = Callable[..., Said]

KEY = "a-key-for-tests-0123456789"
ANOTHER_TEMPORAL = {"TEMPORAL_PROFILE": "abroad", "TEMPORAL_NAMESPACE": "abroad", "TEMPORAL_TLS": "true"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for all. Its user works with another Temporal, has an API key, and encrypts."""
    keys = {"CAUCE_API_KEYS": KEY, "CAUCE_ENCRYPTION_KEYS": f"2026-11:{b64encode(bytes(32)).decode()}"}
    with Up(tmp_path_factory.mktemp("up"), "--demo", **keys, **ANOTHER_TEMPORAL) as started:
        yield started


@pytest.fixture
def up(machine: Up) -> Up:
    """It runs, whatever the test before did to it."""
    if machine.process.poll() is not None:
        machine.start()
    machine.until_ready()
    return machine


@pytest.fixture
def terminal(up: Up) -> dict[str, str]:
    """The environment of another terminal, where `up` was taken at its word."""
    (exports,) = [line for line in up.output.splitlines() if line.startswith("  export ")]
    variables = dict(word.split("=", 1) for word in exports.split()[1:])
    return environment(up.data_dir, CAUCE_API_KEYS=KEY, **variables)


def welcomed(up: Up, email: str) -> bool:
    return any(email in mail.to and mail.step == "welcome" for mail in Outbox(up.data_dir / "outbox").page(50))


def test_every_address_that_it_names_answers(up: Up) -> None:
    (metrics,) = [word for word in up.output.split() if word.endswith("/metrics")]
    for address in (f"{up.api_url}/docs", f"{up.api_url}/outbox", up.temporal_ui_url, metrics):
        assert address in up.output
        assert httpx.get(address, auth=("", KEY), follow_redirects=True, trust_env=False).is_success, address
    assert str(up.data_dir / "logs") in up.output


def test_the_web_ui_knows_where_it_gets_payloads_decrypted(up: Up) -> None:
    told = httpx.get(f"{up.temporal_ui_url}/api/v1/settings", trust_env=False).json()["Codec"]["Endpoint"]
    assert told == f"{up.api_url}/codec"
    headers = {"Origin": up.temporal_ui_url}
    answer = httpx.post(f"{told}/encode", json={"payloads": [{}]}, headers=headers, auth=("", KEY), trust_env=False)
    assert answer.json()["payloads"][0]["metadata"]["encryption-key-id"] == b64encode(b"2026-11").decode()


def test_what_api_and_worker_tell_temporal_is_encrypted(up: Up) -> None:
    workflows = f"{up.temporal_ui_url}/api/v1/namespaces/default/workflows"

    def read(address: str, **query: str) -> Any:
        return httpx.get(address, params=query, trust_env=False).json()

    def encodings() -> set[str]:
        """Of the API's orders to runs and of the worker's to activities; empty until there are both."""
        found: dict[str, set[str]] = {}
        for run in read(workflows, query="CauceContactId IS NOT NULL").get("executions", []):
            for event in read(f"{workflows}/{run['execution']['workflowId']}/history")["history"]["events"]:
                for kind in ("workflowExecutionStarted", "activityTaskScheduled"):
                    for payload in event.get(f"{kind}EventAttributes", {}).get("input", {}).get("payloads", []):
                        found.setdefault(kind, set()).add(payload["metadata"]["encoding"])
        return set().union(*found.values()) if len(found) == 2 else set()

    assert eventually("orders", encodings) == {b64encode(b"binary/encrypted").decode()}


def test_demo_shows_each_flow_in_a_state_of_its_own(up: Up) -> None:
    up.until_said("demo: read the emails")
    assert welcomed(up, "ana@example.com")
    assert welcomed(up, "ada@example.com")

    def listed(path: str) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = httpx.get(f"{up.api_url}/v1/{path}", headers=headers, trust_env=False)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def exits() -> list[str]:
        return [enrollment["outcome"]["exit"] for enrollment in listed("enrollments?status=ended")]

    def flows_inside() -> set[str]:
        return {enrollment["flow"] for enrollment in listed("enrollments?status=active")}

    eventually("Ada's enrollment ended by its goal", lambda: "goal" in exits())
    eventually("an offer waits for Marta", lambda: listed("approvals?status=pending"))
    eventually("a lead waits for Rosa", lambda: listed("assignments?status=offered"))
    assert {"nurturing", "reactivation", "lead_assignment"} <= flows_inside()


def test_doctor_finds_nothing_wrong(cauce: Cauce, up: Up, terminal: dict[str, str]) -> None:
    def finds_nothing() -> str | None:
        doctor = cauce("doctor", env=terminal)
        return doctor.stdout if doctor.status == 0 else None

    found = eventually("nothing is wrong any more", finds_nothing)
    assert "✗" not in found
    assert f"cauce-worker-{up.children()['worker'].pid}@" in found


def test_enrolled_contact_is_welcomed_and_the_operator_told_where_to_look(
    cauce: Cauce, up: Up, terminal: dict[str, str]
) -> None:
    words = ("enroll", "onboarding", "nora@example.com", "--first-name", "Nora", "--set", "tip_after=PT5S")
    enrolled = cauce(*words, env=terminal)
    assert enrolled.status == 0, enrolled.stderr
    assert f"{up.temporal_ui_url}/namespaces/default/workflows/onboarding:" in enrolled.stdout
    eventually("Nora is welcomed", lambda: welcomed(up, "nora@example.com"))

    again = cauce(*words, env=terminal)
    assert (again.status, again.stdout) == (1, "")
    assert again.stderr.startswith("cauce: the API refused (409 ")
    assert again.stderr.count("\n") == 1


def test_refused_setting_is_named(cauce: Cauce, terminal: dict[str, str]) -> None:
    refused = cauce("enroll", "onboarding", "nils@example.com", "--set", "tip_after=soon", env=terminal)
    assert refused.status == 1
    assert "settings.tip_after" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_second_up_on_the_same_folder_names_the_first(cauce: Cauce, up: Up) -> None:
    second = cauce("up", env=environment(up.data_dir))
    assert second.status == 1
    assert second.stderr == (
        f"cauce: cauce up runs on {up.data_dir} already (pid {up.process.pid}): "
        "stop that one, or give another --data-dir\n"
    )


def test_port_in_use_is_told_before_anything_starts(cauce: Cauce, up: Up, tmp_path: Path) -> None:
    refused = cauce("up", *up.ports, env=environment(tmp_path / "data"))
    port = up.api_url.rpartition(":")[2]
    assert refused.status == 1
    assert refused.stderr == (
        f"cauce: port {port} is in use: stop what listens there, or choose another by --api-port\n"
    )
    assert not (tmp_path / "data" / "temporal.db").exists()


@pytest.mark.parametrize("name", ["api", "worker", "temporal"])
def test_killed_child_is_started_again_and_works(cauce: Cauce, up: Up, terminal: dict[str, str], name: str) -> None:
    killed = up.children()[name]
    killed.kill()
    up.until_said(f"{name} (pid {killed.pid}) was killed by SIGKILL: starting it again")
    successor = eventually(f"{name} has a new process", lambda: up.children().get(name))
    up.until_said(f"{name} (pid {successor.pid}) … ready again")
    assert successor.pid != killed.pid

    email = f"after-{name}@example.com"
    assert cauce("enroll", "onboarding", email, env=terminal).status == 0
    eventually(f"{email} is welcomed", lambda: welcomed(up, email))


def test_killed_up_leaves_nothing_that_the_next_one_does_not_clear(up: Up) -> None:
    orphans = up.children()
    assert up.end_by(signal.SIGKILL) == -signal.SIGKILL
    assert all(is_alive(orphan) for orphan in orphans.values())

    up.start()
    up.until_ready()
    assert not any(is_alive(orphan) for orphan in orphans.values())
    for name, orphan in orphans.items():
        assert f"{name}: ending pid {orphan.pid}, left by a cauce up that was killed" in up.output
    assert set(up.children()) == set(orphans)


def test_ctrl_c_leaves_no_process_behind(up: Up) -> None:
    children = up.children()
    assert set(children) == {"temporal", "worker", "api"}
    # A terminal sends Ctrl-C to a whole session: only `up` is in it.
    assert os.getsid(up.process.pid) not in {os.getsid(child.pid) for child in children.values()}

    assert up.end_by(signal.SIGINT) == 0
    assert not any(is_alive(child) for child in children.values())
    assert up.output.endswith("api … stopping\nworker … stopping\ntemporal … stopping\nstopped\n")
