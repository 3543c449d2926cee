"""What the documents name exists, and what operators need is documented. Each failure says where and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.routing import Match
from temporalio.client import Client

from api.app import create_app
from runtime.settings import Settings
from tests.docs.doc_faults import CHECKS, Project, undocumented

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
async def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    settings = Settings.model_validate({"data_dir": tmp_path_factory.mktemp("docs")})
    app = create_app(settings, await Client.connect("127.0.0.1:1", lazy=True))

    def serves(method: str, path: str) -> bool:
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        return any(route.matches(scope)[0] is Match.FULL for route in app.routes)

    return Project(ROOT, app.openapi(), serves)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_documents_say_what_is_so(project: Project, check: Callable[[Project], Iterator[str]]) -> None:
    assert list(check(project)) == []


PLANTED = [
    ("See `store/ledgers.py`.", "there is no store/ledgers.py"),
    ("See `strore/ledger.py`.", "there is no strore/ledger.py"),
    ("See `ledgers.py`.", "no file is called ledgers.py"),
    ("Write `emails/<flow>/<message>/en/text.mjml`.", "there is no emails/<flow>/<message>/en/text.mjml"),
    ("[Here](design.md).", "the link to design.md leads nowhere"),
    ("[Here](#nowhere).", "there is no heading #nowhere"),
    ("Run `cauce start`.", "there is no `cauce start`"),
    ("Run `cauce up --daemon`.", "--daemon"),
    ("```sh\nCAUCE_MAILER=outbox cauce worker --threads 3\n```", "--threads"),
    ("```sh\ndocker compose exec worker cauce docter\n```", "there is no `cauce docter`"),
    ("Run `make install`.", "there is no `make install`"),
    ('Run `make up ARGS="--port 8001"`.', "--port"),
    ("Set CAUCE_MAIL_RATE.", "nothing reads CAUCE_MAIL_RATE"),
    ("Set `TEMPORAL_HOST`.", "nothing reads TEMPORAL_HOST"),
    ("Set `CAUCE_PIGEON_*`.", "nothing reads CAUCE_PIGEON_*"),
    ("Ask `GET /v1/message`.", "the API has no /v1/message"),
    ("Ask `PUT /v1/events`.", "the API has no PUT /v1/events"),
    ("Ask `GET /v1/messages?state=sent`.", "/v1/messages takes no state"),
    ("Ask `GET /health`.", "nothing is served at GET /health"),
    ("```sh\ncurl http://127.0.0.1:8000/v1/enrolments\n```", "the API has no /v1/enrolments"),
]


@pytest.mark.parametrize(("text", "told"), PLANTED, ids=[case[-1] for case in PLANTED])
def test_a_planted_mistake_is_caught(project: Project, tmp_path: Path, text: str, told: str) -> None:
    found = _faults_of(project, tmp_path, text)
    assert len(found) == 1
    assert told in found[0]


def test_what_is_right_passes(project: Project, tmp_path: Path) -> None:
    text = """
# Words with `code`, and more

<!-- invented: winback -->
[Above](#words-with-code-and-more), [beside](operating.md), `store/ledger.py:SETTLED`, `ledger.py`, `workflows/`,
`workflows/<flow>.py`, `workflows/winback.py`, `emails/winback/`, `.cauce/cauce.db`, `temporalio/samples-python`,
`application/problem+json`, `cauce enroll winback <email>`, `make test ARGS="-k ledger"`, `CAUCE_SENDER_*`,
`POST /v1/flows/onboarding/enrollments`, `/v1/enrollments/{enrollment_id}`, `GET /unsubscribe/{token}`.

```sh
make up ARGS="--demo --api-port 8001" && cauce doctor | head
cauce enroll onboarding ada@example.com \\
    --set tip_after=PT5S > log
curl http://127.0.0.1:8000/v1/messages?status=unconfirmed
```
"""
    assert _faults_of(project, tmp_path, text) == []


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("| `CAUCE_MAILER` |", "| CAUCE_MAILER |", "CAUCE_MAILER is missing"),
        ("| `CAUCE_EMAIL_RATE` | `100` |", "| `CAUCE_EMAIL_RATE` | `50` |", "CAUCE_EMAIL_RATE has the default 50"),
        ("`cauce flows`", "flows", "`cauce flows` is missing"),
        ("`make lock`", "make lock", "`make lock` is missing"),
    ],
)
def test_what_is_left_out_is_missed(project: Project, tmp_path: Path, right: str, wrong: str, told: str) -> None:
    text = (ROOT / "docs/operating.md").read_text()
    assert right in text
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/operating.md").write_text(text.replace(right, wrong))
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    (found,) = undocumented(Project(tmp_path, project.openapi, project.serves))
    assert told in found


def _faults_of(project: Project, tmp_path: Path, text: str) -> list[str]:
    """What is found in a document of this text, as part of the project."""
    for path in ROOT.iterdir():
        if path.name not in ("docs", "README.md", "CHANGELOG.md", ".git"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/operating.md").symlink_to(ROOT / "docs/operating.md")
    (tmp_path / "docs/planted.md").write_text(text)
    planted = Project(tmp_path, project.openapi, project.serves)
    found = [fault for check in CHECKS for fault in check(planted)]
    return [fault for fault in found if fault.startswith("docs/planted.md:")]
