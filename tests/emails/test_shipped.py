"""The messages that come with the project."""

from __future__ import annotations

import re
from itertools import product

import pytest

from domain.contacts import Contact
from domain.flows import FlowSettings
from domain.messages import MessageClass
from emails.templates import Rendered, Templates
from tests.emails.project import SENDER, UNSUBSCRIBE, contact

ONBOARDING = ("welcome", "need-a-hand", "training-tip", "check-in")
EACH_IN_EACH_LOCALE = list(product(ONBOARDING, ["en", "es"]))


class OnboardingSettings(FlowSettings):
    """No shipped message prints a setting."""


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates.load()


def render(templates: Templates, message: str, recipient: Contact) -> Rendered:
    return templates.render(
        "onboarding",
        message,
        contact=recipient,
        sender=SENDER,
        settings=OnboardingSettings(),
        unsubscribe_url=UNSUBSCRIBE,
    )


def test_the_messages_of_onboarding_are_sound(templates: Templates) -> None:
    templates.check("onboarding", OnboardingSettings, ONBOARDING)


@pytest.mark.parametrize("message", ONBOARDING)
def test_onboarding_serves_customers_who_may_opt_out_of_it(templates: Templates, message: str) -> None:
    found = templates.message("onboarding", message)
    assert (found.message_class, found.topic) == (MessageClass.RELATIONSHIP, "onboarding")


@pytest.mark.parametrize(("message", "locale"), EACH_IN_EACH_LOCALE)
def test_the_text_part_has_the_links_and_no_html(templates: Templates, message: str, locale: str) -> None:
    text = render(templates, message, contact(locale=locale)).text
    assert f"<{UNSUBSCRIBE}>" in text
    assert f"<{SENDER.website}>" in text or f"<mailto:{SENDER.email}>" in text
    assert SENDER.postal_address in text
    assert not re.search(r"</?[a-z]+[\s>]|&[a-z]+;|[{}]|\n{3}|^ | $", text, re.MULTILINE)


@pytest.mark.parametrize(("message", "locale"), EACH_IN_EACH_LOCALE)
def test_nothing_is_loaded_when_the_mail_is_opened(templates: Templates, message: str, locale: str) -> None:
    html = render(templates, message, contact(locale=locale)).html
    assert not re.search(r"""\bsrc\s*=|url\(|@import|<link\b|<script\b|<iframe\b""", html, re.IGNORECASE)
    addresses = set(re.findall(r"https?://[^\"'\s<]+", html)) - {"http://www.w3.org/1999/xhtml"}
    assert addresses <= {SENDER.website, UNSUBSCRIBE.replace("&", "&amp;")}


@pytest.mark.parametrize(("message", "locale"), EACH_IN_EACH_LOCALE)
def test_a_contact_without_a_name_is_greeted_well(templates: Templates, message: str, locale: str) -> None:
    greeting = {"en": "Hi there,", "es": "Hola:"}[locale]
    named = {"en": "Hi Ada,", "es": "Hola, Ada:"}[locale]
    assert f"\n{greeting}\n" in render(templates, message, contact("", locale)).text
    assert f"\n{named}\n" in render(templates, message, contact("Ada", locale)).text


@pytest.mark.parametrize(("message", "locale"), EACH_IN_EACH_LOCALE)
def test_a_screen_reader_learns_language_and_title(templates: Templates, message: str, locale: str) -> None:
    html = render(templates, message, contact(locale=locale)).html
    assert f'<html lang="{locale}"' in html
    assert re.search(r"<title>[^<]+</title>", html)
    assert html.count("<h1>") == 1
    sizes = {int(size) for size in re.findall(r"font-size:(\d+)px", html)} - {0, 1}
    assert min(sizes) >= 16


@pytest.mark.parametrize(("message", "locale"), EACH_IN_EACH_LOCALE)
def test_every_part_of_a_message_is_as_wide_as_its_body(templates: Templates, message: str, locale: str) -> None:
    html = render(templates, message, contact(locale=locale)).html
    sections = re.findall(r'<div[^>]*style="[^"]*margin:0px auto;[^"]*"', html)
    assert len(sections) == 3
    assert all("max-width:600px" in section for section in sections)
