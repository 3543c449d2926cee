"""docker-compose.yml and the Dockerfile name only what exists; a planted mistake of each kind is caught."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.testing import WorkflowEnvironment

from runtime.settings import load_settings
from runtime.temporal import SEARCH_ATTRIBUTES
from tests.deployment.deployment_faults import CHECKS, COMPOSE, Deployment
from tests.temporal_server import SCRIPTS

ROOT = Path(__file__).parents[2]
FILES = (COMPOSE, "Dockerfile", ".dockerignore", "Makefile", "README.md", "pyproject.toml", "requirements.lock")
GIVEN = {
    "POSTGRES_PASSWORD": "of-postgres",
    "CAUCE_API_KEYS": "0123456789abcdef",
    "CAUCE_SECRET_KEY": "fedcba9876543210",
    "CAUCE_PUBLIC_URL": "https://news.example.com",
}


def fits_the_specification(compose: Path) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPTS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(compose)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_fits_the_compose_specification() -> None:
    done = fits_the_specification(ROOT / COMPOSE)
    assert done.returncode == 0, done.stdout


def test_a_misspelt_key_does_not_fit_the_compose_specification(tmp_path: Path) -> None:
    planted = tmp_path / COMPOSE
    planted.write_text((ROOT / COMPOSE).read_text().replace("depends_on:", "depend_on:", 1))
    assert fits_the_specification(planted).returncode != 0


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_names_only_what_exists(check: Callable[[Deployment], Iterator[str]]) -> None:
    assert list(check(Deployment(ROOT))) == []


@pytest.mark.parametrize("service", ["migrate", "api", "worker"])
def test_what_a_service_is_told_makes_valid_settings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("CAUCE_", "SENDGRID_")):
            monkeypatch.delenv(name)
    for name, value in Deployment(ROOT).environment(service, GIVEN).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert [key.get_secret_value() for key in settings.api_keys] == [GIVEN["CAUCE_API_KEYS"]]
    assert settings.resolved_secret_key() == GIVEN["CAUCE_SECRET_KEY"]
    assert settings.resolved_database_url() == "postgresql://cauce@postgres/cauce"
    assert str(settings.public_url) == "https://news.example.com/"
    assert settings.mailer == "outbox"


PLANTED = [
    (COMPOSE, "      migrate:\n", "      migrations:\n", "migrations, which is no service"),
    (COMPOSE, '    restart: "no"\n', "", "migrate is restarted for ever"),
    (COMPOSE, "command: [cauce, worker]", "command: [cauce, wrker]", "there is no `cauce wrker`"),
    (COMPOSE, "--host, 0.0.0.0", "--bind, 0.0.0.0", "--bind"),
    (COMPOSE, 'command: [cauce, api, --host, 0.0.0.0, --port, "8000"]', "command: [sleep, --port, '8000']", "sleep"),
    (COMPOSE, "  CAUCE_MAILER:\n", "  CAUCE_MAILR:\n", "CAUCE_MAILR, which nothing reads"),
    (COMPOSE, "  SENDGRID_API_KEY:\n", "", "does not pass SENDGRID_API_KEY on"),
    (COMPOSE, "TEMPORAL_ADDRESS: temporal:7233\n  TEMP", "TEMPORAL_ADRESS: temporal:7233\n  TEMP", "TEMPORAL_ADRESS"),
    (COMPOSE, "${CAUCE_SECRET_KEY:?make", "${CAUCE_SECRET_KEY:-make", "CAUCE_SECRET_KEY is not demanded"),
    (COMPOSE, "127.0.0.1:8000:8000", "8000:8000", "publishes 8000:8000"),
    (COMPOSE, "./deploy/temporal-schema.sh:", "./deploy/temporal.sh:", "./deploy/temporal.sh, which does not exist"),
    (
        COMPOSE,
        "DYNAMIC_CONFIG_FILE_PATH: /deploy/temporal-",
        "DYNAMIC_CONFIG_FILE_PATH: /deploy/",
        "nothing is mounted",
    ),
    (COMPOSE, "  build: .", "  build: ./image", "has no Dockerfile"),
    (COMPOSE, "\n  cauce-data:\n", "\n  data:\n", "volume cauce-data, which is not declared"),
    (COMPOSE, "cauce-data:/var/lib/cauce", "cauce-data:/data", "no volume at CAUCE_DATA_DIR"),
    (COMPOSE, "[CauceContactId=Keyword,", "[ContactId=Keyword,", "expected CauceContactId=Keyword"),
    (COMPOSE, "TEMPORAL_NAMESPACE: default", "TEMPORAL_NAMESPACE: cauce", "expected default"),
    (COMPOSE, "  restart: unless-stopped", "  restart: on-failure", "not restarted when it dies"),
    (COMPOSE, "stop_grace_period: 2m", "stop_grace_period: 50s", "worker is killed before it has finished"),
    (COMPOSE, '"/healthz"', '"/health"', "does not ask /healthz"),
    (COMPOSE, "CAUCE_WORKER_METRICS: 0.0.0.0:9464", "CAUCE_WORKER_METRICS: 0.0.0.0:9000", "port 9000"),
    ("Dockerfile", "COPY emails emails\n", "", "package emails is not copied"),
    ("Dockerfile", "COPY store store\n", "COPY stores store\n", "COPY stores, which does not exist"),
    ("Dockerfile", "COPY store store\n", "COPY store storage\n", "store is copied to storage"),
    ("Dockerfile", "uv==", "uv>=", "not pinned to the Makefile's"),
    ("Dockerfile", "--require-hashes ", "", "without the lock's hashes"),
    ("Dockerfile", "USER cauce\n", "", "run as root"),
    ("Dockerfile", "CAUCE_DATA_DIR=/var/lib/cauce", "CAUCE_DATA_DIR=/data", "CAUCE_DATA_DIR is not /var/lib/cauce"),
    (".dockerignore", "!emails\n", "", ".dockerignore: emails"),
    (".dockerignore", "*\n", "", "everything goes to the image"),
]


@pytest.mark.parametrize(("file", "right", "wrong", "told"), PLANTED, ids=[case[-1] for case in PLANTED])
def test_a_planted_mistake_is_caught(tmp_path: Path, file: str, right: str, wrong: str, told: str) -> None:
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    for package in Deployment(ROOT).copied - set(FILES) | {"deploy"}:
        (tmp_path / package).symlink_to(ROOT / package)
    planted = tmp_path / file
    text = planted.read_text()
    assert right in text
    planted.write_text(text.replace(right, wrong, 1))
    found = [fault for check in CHECKS for fault in check(Deployment(tmp_path))]
    assert any(told in fault for fault in found), found


async def test_the_namespace_job_makes_what_cauce_needs_and_may_run_again(temporal: WorkflowEnvironment) -> None:
    namespace = "made-by-the-job"
    attributes = [f"{attribute.name}=Keyword" for attribute in SEARCH_ATTRIBUTES]
    command = ["sh", str(ROOT / "deploy/temporal-namespace.sh"), *attributes]
    client = temporal.client

    def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    for retention in ("30d", "40d"):
        environment = {
            "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
            "TEMPORAL_ADDRESS": client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": namespace,
            "RETENTION": retention,
        }
        done = await asyncio.to_thread(run, environment)
        assert done.returncode == 0, done.stderr
    made = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    assert made.config.workflow_execution_retention_ttl.ToTimedelta().days == 40
    answer = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    for attribute in SEARCH_ATTRIBUTES:
        assert answer.custom_attributes[attribute.name] == IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_well_formed(script: Path) -> None:
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
