"""What is wrong with docker-compose.yml and the Dockerfile, as far as that can be told without a Docker engine.

Each check yields one line a fault: the file, what is wrong there, and what it should be.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import psycopg
import yaml

from api.routers import health as health_routes
from api.serve import GRACE_SECONDS
from cli.machine import NAMESPACE
from runtime.temporal import SEARCH_ATTRIBUTES
from tests.deployment.cauce_command import fault_of
from tests.deployment.variables import SETTINGS, known_to_temporal
from worker.process import WORKFLOW_GRACE
from worker.scheduling import SCHEDULES_GRACE
from worker.serving import SENDING_GRACE

COMPOSE = "docker-compose.yml"
SECRETS = frozenset({"POSTGRES_PASSWORD", "CAUCE_API_KEYS", "CAUCE_SECRET_KEY"})
LIBPQ = frozenset(option.envvar.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.envvar)

_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<operator>:?[-?+])?(?P<text>[^}]*)\}")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


class Deployment:
    """The files of one project's root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.compose_text = (root / COMPOSE).read_text()
        self.compose: dict[str, Any] = yaml.safe_load(self.compose_text)
        self.services: dict[str, dict[str, Any]] = self.compose["services"]
        self.ours = {name: service for name, service in self.services.items() if "build" in service}
        self.instructions = _instructions((root / "Dockerfile").read_text())

    @cached_property
    def copied(self) -> set[str]:
        """What the Dockerfile copies from the project."""
        copies = [shlex.split(rest) for word, rest in self.instructions if word == "COPY"]
        return {source for words in copies if not words[0].startswith("--from") for source in words[:-1]}

    def environment(self, service: str, given: Mapping[str, str]) -> dict[str, str]:
        """What the service's processes get, if Compose's own environment is `given`."""
        values = {name: given.get(name) if value is None else value for name, value in self._environment_of(service)}
        return {
            name: _REFERENCE.sub(lambda found: given[found["name"]], str(value))
            for name, value in values.items()
            if value is not None
        }

    def _environment_of(self, service: str) -> list[tuple[str, Any]]:
        return list(self.services[service].get("environment", {}).items())

    def mounts(self, service: str) -> dict[str, str]:
        """What is mounted, by where."""
        parts = [mount.split(":") for mount in self.services[service].get("volumes", [])]
        return {target: source for source, target, *_ in parts}


def dependencies(it: Deployment) -> Iterator[str]:
    for name, service in it.services.items():
        for target, how in service.get("depends_on", {}).items():
            waits = f"{COMPOSE}: {name} waits for {target}"
            if target not in it.services:
                yield f"{waits}, which is no service"
            elif how["condition"] == "service_healthy" and "healthcheck" not in it.services[target]:
                yield f"{waits} to be healthy, but {target} has no healthcheck"
            elif how["condition"] == "service_completed_successfully" and _stays(it.services[target]):
                yield f"{waits} to complete, but {target} is restarted for ever"


def commands(it: Deployment) -> Iterator[str]:
    for name, service in it.ours.items():
        program, *words = service.get("command", [""])
        if program != "cauce":
            yield f"{COMPOSE}: {name} runs {program or 'nothing'}: give it a cauce command"
        elif fault := fault_of(words):
            yield f"{COMPOSE}: {name}: {fault}"


def variables(it: Deployment) -> Iterator[str]:
    for name in it.ours:
        given = dict(it.services[name].get("environment", {}))
        for variable in given:
            if not (variable in SETTINGS or variable in LIBPQ or known_to_temporal(variable)):
                yield f"{COMPOSE}: {name} sets {variable}, which nothing reads: see runtime/settings.py"
        for variable in sorted(set(SETTINGS) - set(given) - {"CAUCE_WORKER_METRICS"}):
            yield f"{COMPOSE}: {name} does not pass {variable} on: add it to x-cauce-environment"
    for reference in _REFERENCE.finditer(it.compose_text):
        if reference["name"] in SECRETS and not (reference["operator"] == ":?" and reference["text"]):
            yield f"{COMPOSE}: {reference['name']} is not demanded: write ${{{reference['name']}:?how to make one}}"
    for secret in sorted(SECRETS - {reference["name"] for reference in _REFERENCE.finditer(it.compose_text)}):
        yield f"{COMPOSE}: {secret} does not come from the environment"


def ports(it: Deployment) -> Iterator[str]:
    for name, service in it.services.items():
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{COMPOSE}: {name} publishes {port} to the network: write 127.0.0.1:{port}"


def files(it: Deployment) -> Iterator[str]:
    declared = it.compose.get("volumes", {})
    for name, service in it.services.items():
        for target, source in it.mounts(name).items():
            if source.startswith("."):
                if not (it.root / source).exists():
                    yield f"{COMPOSE}: {name} mounts {source}, which does not exist"
            elif source not in declared:
                yield f"{COMPOSE}: {name} mounts volume {source}, which is not declared"
            if not PurePosixPath(target).is_absolute():
                yield f"{COMPOSE}: {name} mounts {source} at {target}, which is no absolute path"
        named = [*service.get("entrypoint", []), *service.get("environment", {}).values()]
        for path in named:
            if str(path).startswith("/deploy/") and path not in it.mounts(name):
                yield f"{COMPOSE}: {name} names {path}, where nothing is mounted"
    for name, service in it.ours.items():
        if not (it.root / service["build"] / "Dockerfile").is_file():
            yield f"{COMPOSE}: {name} is built from {service['build']}, which has no Dockerfile"
        if service["environment"]["CAUCE_DATA_DIR"] not in it.mounts(name):
            yield f"{COMPOSE}: {name} has no volume at CAUCE_DATA_DIR"
    if len({it.mounts(name).get(it.services[name]["environment"]["CAUCE_DATA_DIR"]) for name in it.ours}) > 1:
        yield f"{COMPOSE}: the services do not share one volume at CAUCE_DATA_DIR: the API would not see the outbox"


def names(it: Deployment) -> Iterator[str]:
    job = it.services["temporal-namespace"]
    expected = [f"{attribute.name}=Keyword" for attribute in SEARCH_ATTRIBUTES]
    if job["command"] != expected:
        yield f"{COMPOSE}: temporal-namespace makes {job['command']}: expected {', '.join(expected)}"
    for name, service in it.services.items():
        environment = service.get("environment", {})
        if environment.get("TEMPORAL_NAMESPACE", NAMESPACE) != NAMESPACE:
            yield f"{COMPOSE}: {name} uses namespace {environment['TEMPORAL_NAMESPACE']}: expected {NAMESPACE}"
        if environment.get("TEMPORAL_ADDRESS", "temporal:7233") != "temporal:7233":
            yield f"{COMPOSE}: {name} looks for Temporal at {environment['TEMPORAL_ADDRESS']}"
    if "RETENTION" not in job["environment"]:
        yield f"{COMPOSE}: temporal-namespace states no RETENTION"


def lifecycles(it: Deployment) -> Iterator[str]:
    for name, service in it.services.items():
        job = not _stays(service)
        waited_for = any(
            how.get("condition") == "service_completed_successfully"
            for other in it.services.values()
            for target, how in other.get("depends_on", {}).items()
            if target == name
        )
        if job and not waited_for:
            yield f"{COMPOSE}: {name} is not restarted when it dies: restart: unless-stopped"
    graces = {"worker": SENDING_GRACE + WORKFLOW_GRACE + SCHEDULES_GRACE, "api": timedelta(seconds=GRACE_SECONDS)}
    for name, least in graces.items():
        if _duration(it.services[name].get("stop_grace_period", "10s")) <= least:
            yield f"{COMPOSE}: {name} is killed before it has finished: stop_grace_period longer than {least}"


def health(it: Deployment) -> Iterator[str]:
    """The ports of one service agree, and health is asked of what is there."""
    api, worker = it.services["api"], it.services["worker"]
    port = api["command"][api["command"].index("--port") + 1]
    metrics = worker["environment"]["CAUCE_WORKER_METRICS"].rpartition(":")[2]
    for name, service, expected, path in (("api", api, port, "/healthz"), ("worker", worker, metrics, "/metrics")):
        asked = service["healthcheck"]["test"][-1]
        if path not in {getattr(route, "path", None) for route in health_routes.router.routes}:
            yield f"api/routers/health.py: {path} is gone, and {COMPOSE} asks for it"
        if f'("127.0.0.1", {expected},' not in asked or f'"{path}"' not in asked:
            yield f"{COMPOSE}: {name}'s healthcheck does not ask {path} at port {expected}"
    if not [mapping for mapping in api["ports"] if mapping.endswith(f":{port}")]:
        yield f"{COMPOSE}: api listens on {port}, which is not published"
    if api["environment"]["CAUCE_API_URL"] != f"http://api:{port}":
        yield f"{COMPOSE}: CAUCE_API_URL is not http://api:{port}"
    if metrics not in worker["expose"]:
        yield f"{COMPOSE}: worker does not expose its metrics at {metrics}"


def image(it: Deployment) -> Iterator[str]:
    project = tomllib.loads((it.root / "pyproject.toml").read_text())
    packages = {package.partition(".")[0] for package in project["tool"]["setuptools"]["packages"]}
    for package in sorted(packages - it.copied):
        yield f"Dockerfile: package {package} is not copied: COPY {package} {package}"
    for source in sorted(it.copied):
        if not (it.root / source).exists():
            yield f"Dockerfile: COPY {source}, which does not exist"
    for word, rest in it.instructions:
        words = shlex.split(rest)
        if word == "COPY" and len(words) == 2 and words[0] in packages and words[1] != words[0]:
            yield f"Dockerfile: package {words[0]} is copied to {words[1]}: it is imported as {words[0]}"
    ignored = (it.root / ".dockerignore").read_text().splitlines()
    admitted = {line[1:] for line in ignored if line.startswith("!")}
    if "*" not in ignored:
        yield ".dockerignore: everything goes to the image: begin with *"
    for source in sorted(it.copied ^ admitted):
        yield f".dockerignore: {source} is admitted or copied, not both: the Dockerfile's COPY says which"
    uv = re.search(r"^UV_VERSION := (\S+)$", (it.root / "Makefile").read_text(), re.MULTILINE)
    if uv is None or not any(f"uv=={uv[1]} " in rest for word, rest in it.instructions if word == "RUN"):
        yield "Dockerfile: uv is not pinned to the Makefile's UV_VERSION"
    if not any("--require-hashes" in rest for word, rest in it.instructions if word == "RUN"):
        yield "Dockerfile: dependencies are installed without the lock's hashes"
    users = [rest for word, rest in it.instructions if word == "USER"]
    if not users or users[-1] in ("root", "0"):
        yield "Dockerfile: processes run as root: USER cauce"
    data_dirs = {service["environment"]["CAUCE_DATA_DIR"] for service in it.ours.values()}
    for data_dir in sorted(data_dirs):
        if not any(word == "ENV" and f"CAUCE_DATA_DIR={data_dir}" in rest for word, rest in it.instructions):
            yield f"Dockerfile: CAUCE_DATA_DIR is not {data_dir}, as {COMPOSE} has it"


CHECKS: tuple[Callable[[Deployment], Iterator[str]], ...] = (
    dependencies,
    commands,
    variables,
    ports,
    files,
    names,
    lifecycles,
    health,
    image,
)


def _instructions(dockerfile: str) -> list[tuple[str, str]]:
    lines = re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def _stays(service: Mapping[str, Any]) -> bool:
    return service.get("restart") in ("always", "unless-stopped")


def _duration(text: str) -> timedelta:
    return timedelta(**{_UNITS[unit]: int(number) for number, unit in re.findall(r"(\d+)([smh])", text)})
