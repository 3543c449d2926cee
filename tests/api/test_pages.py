"""The pages for people."""

from __future__ import annotations

import re
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from api.console.texts import TEXTS, preferred
from domain.messages import EmailMessage
from integrations.outbox.mailer import OutboxMailer
from runtime.settings import Settings
from store.tables import new_id
from tests.api.caller import Caller, calling
from tests.api.page import assert_page

HTML = "<html><head><title>Hello</title></head><body><h1>Hello Ada</h1><script>alert(1)</script></body></html>"


def _deliver(settings: Settings, **changes: Any) -> EmailMessage:
    message = EmailMessage.model_validate(
        {
            "id": new_id(),
            "flow": "onboarding",
            "step": "welcome",
            "sender": settings.sender,
            "to_email": "ada@example.com",
            "to_name": "Ada Lovelace",
            "subject": "Welcome, <Ada> & co.",
            "html": HTML,
            "text": "Hello Ada, in <plain> text",
            "unsubscribe_url": "http://127.0.0.1:8000/unsubscribe/token",
            **changes,
        }
    )
    OutboxMailer(settings.outbox_folder).send(message)
    return message


def test_both_languages_say_the_same_things() -> None:
    assert TEXTS["es"].keys() == TEXTS["en"].keys()


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        ("", "en"),
        ("es", "es"),
        ("es-CL,es;q=0.9,en;q=0.8", "es"),
        ("de, fr;q=0.9, es;q=0.4, en;q=0.5", "en"),
        ("de", "en"),
        ("es;q=0, en;q=0.1", "en"),
        ("ES-419", "es"),
        (";q=;;, es;q=x, *", "en"),
    ],
)
def test_language_is_the_readers_first_that_is_spoken(accept_language: str, language: str) -> None:
    assert preferred(accept_language) == language


async def test_start_page_leads_to_everything(api: Caller) -> None:
    html = assert_page(await api.get("/"))
    for link in ("/docs", "/openapi.json", "/outbox", "http://127.0.0.1:8233/"):
        assert f'href="{link}"' in html
    spanish = assert_page(await api.http.get("/", headers={"Accept-Language": "es-CL"}))
    assert '<html lang="es">' in spanish
    assert "Bandeja de salida" in spanish
    style = await api.get("/console.css")
    assert style.headers["content-type"].startswith("text/css")


async def test_empty_outbox_says_so(api: Caller) -> None:
    assert TEXTS["en"]["outbox_empty"] in assert_page(await api.get("/outbox"))


async def test_outbox_lists_messages_newest_first_a_page_at_a_time(api: Caller, settings: Settings) -> None:
    messages = [_deliver(settings, subject=f"Number {number:03}") for number in range(60)]
    first = assert_page(await api.get("/outbox"))
    assert re.findall(r"Number (\d{3})", first) == [f"{number:03}" for number in range(59, 9, -1)]
    assert "onboarding · welcome" in first
    assert "Ada Lovelace &lt;ada@example.com&gt;" in first
    older = re.search(r'href="(/outbox\?before=[^"]+)" rel="next"', first)
    assert older is not None
    rest = assert_page(await api.get(older[1]))
    assert re.findall(r"Number (\d{3})", rest) == [f"{number:03}" for number in range(9, -1, -1)]
    assert 'rel="next"' not in rest
    assert f'href="/outbox/{messages[0].id}"' in rest


async def test_message_is_shown_as_the_contact_sees_it_and_cannot_run_anything(api: Caller, settings: Settings) -> None:
    message = _deliver(settings)
    html = assert_page(await api.get(f"/outbox/{message.id}"))
    assert "Welcome, &lt;Ada&gt; &amp; co." in html
    assert "As its reader sees it" in html, "it may be of the team"
    assert "Hello Ada, in &lt;plain&gt; text" in html
    assert "List-Unsubscribe-Post" in html
    assert f'src="/outbox/{message.id}/html"' in html
    assert 'sandbox="allow-popups' in html
    shown = await api.get(f"/outbox/{message.id}/html")
    assert shown.text.rstrip() == HTML.replace("<head>", '<head><base target="_blank">')
    assert shown.headers["content-security-policy"].startswith("sandbox ")
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert "allow-scripts" not in shown.headers["content-security-policy"]
    raw = await api.get(f"/outbox/{message.id}.eml")
    assert raw.headers["content-type"] == "message/rfc822"
    assert raw.content == (settings.outbox_folder / f"{message.id}.eml").read_bytes()


@pytest.mark.parametrize("message_id", ["019aaf00-0000-7000-8000-000000000000", "x", "%00", "a" * 3000])
@pytest.mark.parametrize("suffix", ["", "/html", ".eml"])
async def test_unknown_message_is_a_page_that_says_so(api: Caller, message_id: str, suffix: str) -> None:
    answer = await api.get(f"/outbox/{message_id}{suffix}")
    assert TEXTS["en"]["no_message_about"] in assert_page(answer, 404)


async def test_outbox_leads_to_no_file_elsewhere(api: Caller, settings: Settings) -> None:
    message = _deliver(settings)
    (settings.data_dir / "secret.eml").write_bytes((settings.outbox_folder / f"{message.id}.eml").read_bytes())
    for path in ("/outbox/..%2fsecret.eml", "/outbox/..%2fsecret", "/outbox/%2e%2e%2fsecret/html"):
        assert (await api.get(path)).status_code == 404


async def test_bad_page_of_the_outbox_is_refused(api: Caller) -> None:
    assert (await api.get("/outbox?before=%00")).status_code == 422


async def test_outbox_says_when_emails_go_elsewhere(settings: Settings, temporal: WorkflowEnvironment) -> None:
    message = _deliver(settings)
    sending = Settings.model_validate({**settings.model_dump(exclude_unset=True), "mailer": "sendgrid"})
    async with calling(sending, temporal.client) as api:
        html = assert_page(await api.get("/outbox"))
        assert_page(await api.get(f"/outbox/{message.id}"), 404)
    assert TEXTS["en"]["outbox_unused"] in html
    assert message.id not in html
