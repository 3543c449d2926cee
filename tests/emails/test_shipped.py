"""The messages to contacts that come with the project."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import product

import pytest

from domain.contacts import Contact
from domain.flows import FlowSettings
from domain.messages import MessageClass
from emails.templates import Rendered, Templates
from tests.emails.project import SENDER, UNSUBSCRIBE, contact

MARKETING, RELATIONSHIP = MessageClass.MARKETING, MessageClass.RELATIONSHIP
INTERESTS = ("productivity", "growth", "teamwork")
FLOWS = {
    "onboarding": ("welcome", "need-a-hand", "training-tip", "check-in"),
    "nurturing": (*(f"{interest}-{piece}" for interest in INTERESTS for piece in (1, 2, 3)), "reminder"),
    "reactivation": ("we-miss-you", "offer-small", "offer-medium", "offer-large", "last-chance"),
    "lead_assignment": ("meet-your-advisor",),
}
EACH_IN_EACH_LOCALE = [
    (flow, message, locale) for flow, messages in FLOWS.items() for message, locale in product(messages, ["en", "es"])
]
in_each_locale = pytest.mark.parametrize(("flow", "message", "locale"), EACH_IN_EACH_LOCALE)
CLIPPED_BY_GMAIL = 102 * 1024
NAME_IN_EACH_WAY = ['O\'Neil & "Söhne"', "<b>Ada</b>", "{{ 7 }}", "مريم", "n" * 200]


class Settings(FlowSettings):
    """What reactivation's messages print; the others print no setting."""

    small_offer: int = 10
    medium_offer: int = 15
    large_offer: int = 25
    offer_valid_for: timedelta = timedelta(days=10)


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates.load()


def render(templates: Templates, flow: str, message: str, recipient: Contact, **settings: object) -> Rendered:
    return templates.render(
        flow,
        message,
        contact=recipient,
        sender=SENDER,
        settings=Settings.model_validate(settings),
        unsubscribe_url=UNSUBSCRIBE,
    )


@pytest.mark.parametrize("flow", FLOWS)
def test_the_messages_of_a_flow_are_sound(templates: Templates, flow: str) -> None:
    templates.check(flow, Settings if flow == "reactivation" else FlowSettings, FLOWS[flow])


@pytest.mark.parametrize(
    ("flow", "kind"),
    [
        ("onboarding", (RELATIONSHIP, "onboarding")),
        ("nurturing", (MARKETING, "newsletter")),
        ("reactivation", (MARKETING, "offers")),
        ("lead_assignment", (RELATIONSHIP, "sales")),
    ],
)
def test_a_flow_writes_under_one_class_and_topic(
    templates: Templates, flow: str, kind: tuple[MessageClass, str]
) -> None:
    found = [templates.message(flow, message) for message in FLOWS[flow]]
    assert {(message.message_class, message.topic) for message in found} == {kind}


@in_each_locale
def test_a_message_has_one_headline_one_button_and_a_line_for_the_inbox(
    templates: Templates, flow: str, message: str, locale: str
) -> None:
    rendered = render(templates, flow, message, contact(locale=locale))
    assert rendered.html.count("<h1>") == 1
    assert len(re.findall(r'href="(https://acme\.example|mailto:hello@acme\.example)"', rendered.html)) == 1
    assert re.search(r'<div style="display:none[^>]*>[^<]+</div>', rendered.html)
    assert len(rendered.subject) < 60


@in_each_locale
def test_any_name_is_shown_as_it_is(templates: Templates, flow: str, message: str, locale: str) -> None:
    for name in NAME_IN_EACH_WAY:
        rendered = render(templates, flow, message, contact(name, locale))
        assert f" {name}" in rendered.text
        assert len(rendered.html.encode()) < CLIPPED_BY_GMAIL


@pytest.mark.parametrize(("size", "percent"), [("small", "10"), ("medium", "15"), ("large", "25")])
def test_an_offer_says_how_much_and_for_how_long(templates: Templates, size: str, percent: str) -> None:
    in_english = render(templates, "reactivation", f"offer-{size}", contact(locale="en"))
    in_spanish = render(templates, "reactivation", f"offer-{size}", contact(), offer_valid_for=timedelta(days=1))
    assert f"{percent}%" in in_english.subject
    assert re.search(rf"\n{percent}%\n\noff your next purchase, for 10 days from", in_english.text)
    assert f"{percent} %" in in_spanish.subject
    assert re.search(rf"\n{percent} %\n\nde descuento en tu próxima compra, durante 1 día desde", in_spanish.text)


@pytest.mark.parametrize("locale", ["en", "es"])
def test_the_last_chance_names_no_percentage(templates: Templates, locale: str) -> None:
    rendered = render(templates, "reactivation", "last-chance", contact(locale=locale))
    assert "%" not in rendered.subject + rendered.text


@in_each_locale
def test_the_text_part_has_the_links_and_no_html(templates: Templates, flow: str, message: str, locale: str) -> None:
    text = render(templates, flow, message, contact(locale=locale)).text
    assert f"<{UNSUBSCRIBE}>" in text
    assert f"<{SENDER.website}>" in text or f"<mailto:{SENDER.email}>" in text
    assert SENDER.postal_address in text
    assert not re.search(r"</?[a-z]+[\s>]|&[a-z]+;|[{}]|\n{3}|^ | $", text, re.MULTILINE)


@in_each_locale
def test_nothing_is_loaded_when_the_mail_is_opened(templates: Templates, flow: str, message: str, locale: str) -> None:
    html = render(templates, flow, message, contact(locale=locale)).html
    assert not re.search(r"""\bsrc\s*=|url\(|@import|<link\b|<script\b|<iframe\b""", html, re.IGNORECASE)
    addresses = set(re.findall(r"https?://[^\"'\s<]+", html)) - {"http://www.w3.org/1999/xhtml"}
    assert addresses <= {SENDER.website, UNSUBSCRIBE.replace("&", "&amp;")}


@in_each_locale
def test_a_contact_without_a_name_is_greeted_well(templates: Templates, flow: str, message: str, locale: str) -> None:
    greeting = {"en": "Hi there,", "es": "Hola:"}[locale]
    named = {"en": "Hi Ada,", "es": "Hola, Ada:"}[locale]
    assert f"\n{greeting}\n" in render(templates, flow, message, contact("", locale)).text
    assert f"\n{named}\n" in render(templates, flow, message, contact("Ada", locale)).text


@in_each_locale
def test_a_screen_reader_learns_language_and_title(templates: Templates, flow: str, message: str, locale: str) -> None:
    html = render(templates, flow, message, contact(locale=locale)).html
    assert f'<html lang="{locale}"' in html
    assert re.search(r"<title>[^<]+</title>", html)
    sizes = {int(size) for size in re.findall(r"font-size:(\d+)px", html)} - {0, 1}
    assert min(sizes) >= 16


@in_each_locale
def test_every_part_of_a_message_is_as_wide_as_its_body(
    templates: Templates, flow: str, message: str, locale: str
) -> None:
    html = render(templates, flow, message, contact(locale=locale)).html
    sections = re.findall(r'<div[^>]*style="[^"]*margin:0px auto;[^"]*"', html)
    assert len(sections) >= 3
    assert all("max-width:600px" in section for section in sections)
