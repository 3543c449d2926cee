"""The process that serves the API."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api.serve import _listener, serve
from runtime.settings import Settings, SettingsError
from store.database import DatabaseNotReady

PROGRAM = (
    "import sys; from api.serve import serve; from runtime.settings import load_settings; "
    "from runtime.logs import configure_logs; configure_logs('api', 'INFO'); "
    "serve(load_settings(), '127.0.0.1', int(sys.argv[1]))"
)


def test_without_keys_only_this_machine_is_served(settings: Settings, unused_port: Callable[[], int]) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "cauce.example.com"):  # noqa: S104 (refused, which is the point)
        with pytest.raises(SettingsError, match="CAUCE_API_KEYS"):
            serve(settings, host, unused_port())


def test_address_that_is_taken_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}"):
            serve(settings, "127.0.0.1", port)


def test_database_without_its_migrations_is_not_served(tmp_path: Path, unused_port: Callable[[], int]) -> None:
    with pytest.raises(DatabaseNotReady, match="cauce migrate"):
        serve(Settings.model_validate({"data_dir": tmp_path}), "127.0.0.1", unused_port())


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_process_serves_until_it_is_told_to_stop_and_ends_well(
    database_url: str, tmp_path: Path, unused_port: Callable[[], int], stop: signal.Signals
) -> None:
    port = unused_port()
    environment = {
        **os.environ,
        "CAUCE_DATABASE_URL": database_url,
        "CAUCE_DATA_DIR": str(tmp_path / "data"),
        "TEMPORAL_ADDRESS": f"127.0.0.1:{unused_port()}",
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        _await_alive(port, process)
        httpx.get(f"http://127.0.0.1:{port}/v1/contacts?email=ada@example.com", trust_env=False)
        process.send_signal(stop)
        _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert "no API key is configured" in log
    assert '"route": "/v1/contacts"' in log
    assert "ada@" not in log
    assert "Traceback" not in log


def _await_alive(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the process did not serve")


def test_an_answer_does_not_wait_until_its_first_part_is_acknowledged(unused_port: Callable[[], int]) -> None:
    port = unused_port()
    with _listener("127.0.0.1", port) as listener, socket.create_connection(("127.0.0.1", port)):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
