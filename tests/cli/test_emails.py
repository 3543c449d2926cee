"""`cauce emails`: what people who write messages see of them before anybody gets one."""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Callable
from email import policy
from email.message import EmailMessage as Rfc5322Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from cli.emails_check import CheckedEmails, check_emails, emails_lines
from cli.ports import unused_port
from inspection.layout import Layout
from inspection.rendered import inbox
from runtime.settings import Settings
from tests.api.caller import calling, client_of_nobody
from tests.cli.conftest import Said
from tests.cli.test_commands import told
from tests.emails.project import Project
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid, failure
from tests.integrations.scripted_server import Answer

Emails = Callable[..., Said]
WELCOME = "onboarding/welcome"


@pytest.fixture
def env(env: dict[str, str]) -> dict[str, str]:
    return {**env, "CAUCE_SENDER_NAME": "Acme & Sons", "CAUCE_PUBLIC_URL": "https://news.acme.example"}


@pytest.fixture
def emails(cauce: Callable[..., Said], env: dict[str, str]) -> Emails:
    """`emails(*words)`: what `cauce emails` says."""

    def run(*words: str, **variables: str) -> Said:
        return cauce("emails", *words, env={**env, **variables})

    return run


@pytest.fixture
def data_dir(env: dict[str, str]) -> Path:
    return Path(env["CAUCE_DATA_DIR"])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the browser was asked to open."""
    addresses: list[str] = []

    def open_in_browser(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", open_in_browser)
    return addresses


def test_a_preview_prints_subject_and_text_and_writes_the_html(emails: Emails, data_dir: Path) -> None:
    said = emails("preview", WELCOME, "--locale", "es")
    file = data_dir / "previews" / "onboarding.welcome.es.html"
    assert said.status == 0
    lines = said.stdout.splitlines()
    assert lines[:4] == [
        "onboarding/welcome in es, as Ada Lovelace would get it",
        "  subject  Te damos la bienvenida a Acme & Sons: por dónde empezar",
        f"  HTML     {file}",
        "  opt-out  https://news.acme.example/unsubscribe/sample, which changes nothing",
    ]
    assert "Hola, Ada:" in lines
    assert "Darse de baja o elegir qué recibir <https://news.acme.example/unsubscribe/sample>" in lines
    assert '<html lang="es"' in file.read_text()
    assert "Hola, Ada:" in file.read_text()
    assert file.parent.stat().st_mode & 0o077 == 0  # a contact's data may be in it


def test_a_preview_is_for_the_contact_and_the_settings_that_are_given(emails: Emails, tmp_path: Path) -> None:
    contact = tmp_path / "zoe.json"
    contact.write_text(json.dumps({"email": "zoe@example.com", "first_name": "Zoë", "locale": "es-CL"}))
    words = ("preview", "reactivation/offer-small", "--contact", str(contact), "--output", str(tmp_path / "out"))
    spanish = emails(*words, "--set", "small_offer=12", "--set", "offer_valid_for=P1D").stdout.splitlines()
    assert spanish[0] == "reactivation/offer-small in es, as Zoë would get it"
    assert "Hola, Zoë:" in spanish
    assert "Usar mi 12 % <https://example.com>" in spanish
    assert any("durante 1 día desde" in line for line in spanish)
    assert emails(*words, "--locale", "en").stdout.startswith("reactivation/offer-small in en,")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "reactivation.offer-small.en.html",
        "reactivation.offer-small.es.html",
    ]


def test_what_is_not_written_in_the_contacts_language_is_shown_in_english(emails: Emails, tmp_path: Path) -> None:
    contact = tmp_path / "ana.json"
    contact.write_text('{"email": "ana@example.com", "first_name": "Ana", "locale": "pt-BR"}')
    assert emails("preview", WELCOME, "--contact", str(contact)).stdout.startswith(f"{WELCOME} in en, as Ana")


@pytest.mark.parametrize(("locale", "line"), [("en", "* offer (%): 25"), ("es", "* oferta (%): 25")])
def test_a_message_to_people_of_the_team_is_previewed_with_a_sample_of_what_is_asked(
    emails: Emails, locale: str, line: str
) -> None:
    said = emails("preview", "people/approval", "--locale", locale)
    assert said.stdout.startswith(f"people/approval in {locale}, as Rosa Pérez would get it")
    assert line in said.stdout.splitlines()
    assert "<https://news.acme.example/answer/approval/sample>" in said.stdout
    assert "opt-out" not in said.stdout


def test_a_preview_opens_in_the_browser_of_a_person_at_a_terminal(
    emails: Emails, opened: list[str], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emails("preview", WELCOME)
    assert opened == []
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    emails("preview", WELCOME, "--no-open")
    assert opened == []
    emails("preview", WELCOME)
    assert opened == [(data_dir / "previews/onboarding.welcome.en.html").as_uri()]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["welcome"], "welcome names no message: write it as flow/message, such as onboarding/welcome"),
        (["boarding/welcome"], "there is no flow boarding, only confirmation, lead_assignment, nurturing,"),
        (["onboarding/welcom"], "onboarding has no message welcom (it has: check-in, need-a-hand, training-tip,"),
        ([WELCOME, "--locale", "pt"], "--locale pt: onboarding/welcome is not written in it, but in en, es"),
        ([WELCOME, "--locale", "es_CL"], "--locale es_CL: is not named as a locale: write it like es or es-CL"),
        ([WELCOME, "--set", "price=1"], "--set price: Extra inputs are not permitted (the flow's settings: hand"),
        ([WELCOME, "--set", "price"], "--set price: expected name=value"),
        (["people/task", "--set", "price=1"], "--set price: messages to people see no settings: leave it out"),
        ([WELCOME, "--contact", "nobody.json"], "nobody.json: No such file or directory: name a JSON file"),
        ([WELCOME, "--output", "/dev/null/x"], "/dev/null/x/onboarding.welcome.en.html: Not a directory: give another"),
    ],
)  # fmt: skip
def test_what_cannot_be_previewed_is_told_in_one_line(emails: Emails, words: list[str], line: str) -> None:
    assert told(emails("preview", *words)).startswith(f"cauce: {line}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"email": "ada@example.com", "country": "cl"}', ": country: String should match pattern"),
        ('{"email": "ada@example.com", "first": "Ada"}', ": first: Extra inputs are not permitted: mend it there (the"),
        ('{"first_name": "Ada"}', ": email: Field required: mend it there (the fields: email, first_name,"),
        ('{"email": "ada", "locale": 1}', ": email: An email address must have an @-sign.; locale: Input should be"),
        ("[]", ' is no JSON object: write {"email": "ada@example.com", "first_name": "Ada"}'),
        ("{", " is not JSON in UTF-8 (Expecting property name enclosed in double quotes"),
        ("[" * 100_000, " is not JSON in UTF-8 ("),
    ],
)
def test_a_wrong_file_of_a_contact_is_told_with_the_field(
    emails: Emails, tmp_path: Path, text: str, fault: str
) -> None:
    file = tmp_path / "ada.json"
    file.write_text(text)
    assert told(emails("preview", WELCOME, "--contact", str(file))).startswith(f"cauce: {file}{fault}")


def test_check_says_of_a_flow_what_was_measured(emails: Emails) -> None:
    said = emails("check", "people")
    assert said.status == 0
    assert said.stdout.startswith("✓ people: 8 messages in en, es; at most 3")
    assert " KB of HTML (Gmail clips at 102) and 5" in said.stdout
    assert said.stdout.endswith(" characters of subject; contrast of 5.9:1 or more\n")


def test_check_as_json_has_each_message_in_each_locale(emails: Emails) -> None:
    document = json.loads(emails("check", "lead_assignment", "--json").stdout)
    (flow,) = document["flows"]
    assert flow["flow"] == "lead_assignment"
    assert [(message["message"], message["locale"], message["faults"]) for message in flow["messages"]] == [
        ("meet-your-advisor", "en", []),
        ("meet-your-advisor", "es", []),
    ]
    assert flow["messages"][1]["subject"] == "Alguien de nuestro equipo te va a contactar"
    assert 5.9 < flow["messages"][1]["least_contrast"] < 5.91
    assert 10_000 < flow["messages"][1]["html_bytes"] < 20_000


def test_check_fails_where_there_is_a_problem(emails: Emails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "SUBJECT_CHARACTERS", 50)
    said = emails("check", "onboarding")
    assert said.status == 1
    assert said.stdout == (
        "emails/onboarding/welcome/es/subject.txt:1: comes to 55 characters, “Te damos la bienvenida a Acme & Sons: "
        "por dónde empezar”, and inboxes show about 50: shorten it\n"
    )


def test_check_warns_of_what_comes_near_the_clip_and_does_not_fail(
    emails: Emails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "NEAR_THE_CLIP", 10_000)
    said = emails("check", "lead_assignment")
    assert said.status == 0
    warning = said.stdout.splitlines()[0]
    assert warning.startswith("warning: emails/lead_assignment/meet-your-advisor/en/body.mjml:1: comes to 12,")


def test_check_names_an_unknown_flow(emails: Emails) -> None:
    assert told(emails("check", "boarding")).startswith("cauce: there is no flow boarding: there are confirmation,")


def test_check_of_all_names_folders_that_no_flow_has(tmp_path: Path) -> None:
    Project(tmp_path)
    layout = Layout.of(tmp_path)
    checked = check_emails([], layout)
    assert not CheckedEmails([], checked.strays).is_sound
    assert "emails/trial:1: no flow is called trial: delete the folder, or rename it" in emails_lines(checked)
    assert "✓ onboarding: no messages" in emails_lines(checked)
    assert check_emails(["onboarding"], layout).is_sound


def kept(data_dir: Path) -> Rfc5322Message:
    (file,) = (data_dir / "outbox").glob("*.eml")
    mail: Rfc5322Message = BytesParser(policy=policy.default).parsebytes(file.read_bytes())
    return mail


def test_a_test_goes_to_the_mailer_marked_and_leaves_nothing_in_the_database(
    emails: Emails, env: dict[str, str], data_dir: Path
) -> None:
    said = emails("send-test", WELCOME, "--to", "Me@Example.com", "--locale", "es")
    mail = kept(data_dir)
    assert said.status == 0
    assert said.stdout.splitlines() == [
        "outbox took “[Test] Te damos la bienvenida a Acme & Sons: por dónde empezar” for me@example.com, as "
        f"{mail['X-Cauce-Message']}",
        f"  see it   {env['CAUCE_API_URL']}/outbox/{mail['X-Cauce-Message']}",
        f"  file     {data_dir}/outbox/{mail['X-Cauce-Message']}.eml",
        "  opt-out  https://news.acme.example/unsubscribe/sample, which changes nothing",
    ]
    assert mail["To"] == "me@example.com"
    assert mail["Subject"] == "[Test] Te damos la bienvenida a Acme & Sons: por dónde empezar"
    assert mail["List-Unsubscribe"] == "<https://news.acme.example/unsubscribe/sample>"
    assert (mail["X-Cauce-Flow"], mail["X-Cauce-Step"]) == ("onboarding", "test")
    assert [path.name for path in data_dir.iterdir()] == ["outbox"]


def test_a_test_of_a_message_to_people_has_no_opt_out(emails: Emails, data_dir: Path) -> None:
    assert "opt-out" not in emails("send-test", "people/task", "--to", "me@example.com").stdout
    assert kept(data_dir)["List-Unsubscribe"] is None


def test_a_test_is_not_sent_to_what_is_no_address(emails: Emails, data_dir: Path) -> None:
    assert told(emails("send-test", WELCOME, "--to", "me")) == "cauce: --to me: An email address must have an @-sign.\n"
    assert not data_dir.exists()


async def test_the_opt_out_of_a_test_changes_nothing(sqlite_url: str, tmp_path: Path) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "database_url": sqlite_url})
    async with calling(settings, await client_of_nobody(unused_port())) as api:
        await api.contact()
        for answer in (await api.get("/unsubscribe/sample"), await api.post("/unsubscribe/sample")):
            assert answer.status_code == 404
        assert [contact.email for contact in await api.contacts()] == ["ada@example.com"]
        assert await api.events() == []


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Answer(headers={"X-Message-Id": "abc"}), None),
        (failure(400, ("no", "subject")), "cauce: rejected for good: SendGrid answered 400: subject\n"),
        (
            failure(429, headers={"X-RateLimit-Reset": "1"}),
            "cauce: not sent: SendGrid answered 429: too many messages: try again in 1 second\n",
        ),
        (
            failure(401),
            "cauce: not sent: SendGrid answered 401: check SENDGRID_API_KEY, CAUCE_SENDGRID_URL and the sender's "
            "verification: mend that, or try again later\n",
        ),
        (
            Answer(lost="cut"),
            "cauce: unconfirmed, it may have gone out (SendGrid gave no answer after the message went out: "
            "RemoteProtocolError): look into the inbox before you send it again\n",
        ),
    ],
    ids=["taken", "rejected", "too many", "wrong key", "no answer"],
)
def test_what_the_mailer_says_is_told(emails: Emails, answer: Answer, line: str | None) -> None:
    with FakeSendGrid() as sendgrid:
        sendgrid.script(answer)
        variables: dict[str, Any] = {"CAUCE_MAILER": "sendgrid", "SENDGRID_API_KEY": API_KEY}
        words = ("send-test", WELCOME, "--to", "me@example.com")
        said = emails(*words, **variables, CAUCE_SENDGRID_URL=sendgrid.url)
        assert sendgrid.requests == 1
    if line is not None:
        assert told(said) == line
        return
    assert said.stdout.startswith(
        "sendgrid took “[Test] Welcome to Acme & Sons: a good first step” for me@example.com, as"
    )
    assert "outbox" not in said.stdout
