"""What many read alike with values put in is what each would have had rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.contacts import Contact
from domain.message_batches import with_values
from domain.messages import Sender
from emails.substitutions import Personal, SharedMessage
from emails.templates import Templates

SENDER = Sender(name="Acme & Sons", email="a@example.com", postal_address="1 Street", website="https://example.com")
URL = "https://example.com/unsubscribe/IjAxYTIi.W_-x~y"
TEMPLATES = Templates.load(only="broadcast")
SHARED = SharedMessage(TEMPLATES, "broadcast", "product-update", SENDER)
BODY = """<mjml lang="en">
  <mj-head><mj-title>A</mj-title><mj-preview>{{ contact.company }}</mj-preview></mj-head>
  <mj-body>
    <mj-section><mj-column>
      <mj-text><h1>{{ contact.last_name }}</h1></mj-text>
      %s
      <mj-include path="footer.mjml" />
    </mj-column></mj-section>
  </mj-body>
</mjml>"""


def contact(**values: Any) -> Contact:
    known: dict[str, Any] = {"id": "1", "email": "ada@example.com", "locale": "en", "attributes": {}}
    texts = dict.fromkeys(("first_name", "last_name"), "")
    others: dict[str, Any] = dict.fromkeys(("time_zone", "country", "region", "company"))
    return Contact.model_construct(**known | texts | others | values)


def reads_the_same(shared: SharedMessage, who: Contact) -> Personal | None:
    skeleton = shared.skeleton(who.locale)
    assert skeleton is not None
    personal = skeleton.personal(who, URL)
    if personal is not None:
        rendered = shared.render(who, URL, {})
        filled = (with_values(skeleton.html, personal.values), with_values(skeleton.text, personal.values))
        assert (personal.subject, *filled) == (rendered.subject, rendered.html, rendered.text)
    return personal


ODD = st.sampled_from(
    [*"^~|`&<>\"';#", "amp;", "&lt", "&#3", " ", "  ", "\u00a0", "\u200b", "0h", "^0t", "^1h", "🙂", "%"]
)
TEXTS = st.lists(ODD | st.text(max_size=6), max_size=6).map("".join)


@given(TEXTS, TEXTS, st.sampled_from(["en", "es", "es-CL", "fr"]))
@example("^1h", "x", "en")
@example("&", "amp;", "en")
@example("&amp", "", "es")
@example("  Ada ", "\u2028", "es")
def test_whatever_contacts_are_called_they_read_what_would_be_rendered(first: str, company: str, locale: str) -> None:
    reads_the_same(SHARED, contact(first_name=first, company=company, locale=locale))


def test_the_usual_contact_is_no_message_of_its_own() -> None:
    for first, company in (("Ada", "Acme"), ("", ""), ("María José", None), ('"<b>"', "Ñandú; 漢字"), ("Ada", "A & B")):
        for locale in ("en", "es", "es-CL"):
            assert reads_the_same(SHARED, contact(first_name=first, company=company, locale=locale)) is not None


def message(tmp_path: Path, body: str, subject: str = "Hi") -> SharedMessage:
    folder = tmp_path / "emails" / "broadcast" / "one"
    (folder / "en").mkdir(parents=True)
    (folder / "message.toml").write_text('class = "marketing"\ntopic = "news"\n')
    (folder / "en" / "subject.txt").write_text(subject)
    (folder / "en" / "body.mjml").write_text(BODY % body)
    layout = tmp_path / "emails" / "layout" / "en"
    layout.mkdir(parents=True)
    source = Path(__file__).parents[2] / "emails" / "layout" / "en" / "footer.mjml"
    inner = source.read_text().split("<mj-column>")[1].split("</mj-column>")[0]
    (layout / "footer.mjml").write_text(inner)
    (tmp_path / "emails" / "topics.toml").write_text(
        '[news]\nwording = "1"\npurpose = "p"\npublic = true\n'
        + "".join(f'[news.{each}]\ntitle = "N"\ndescription = "d"\nagreement = "a"\n' for each in ("en", "es"))
    )
    templates = Templates.load(tmp_path / "emails")
    found = templates._messages["broadcast", "one"]
    assert found.problems == []
    return SharedMessage(templates, "broadcast", "one", SENDER)


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        ("<mj-text>{{ contact.first_name }} and {{ contact.company or 'you' }}</mj-text>", True),
        ("<mj-text>{{ contact.attributes.plan|default('free')|title }}</mj-text>", True),
        ("<mj-text>{{ 'x' if contact.company else 'y' }} {{ 'a' ~ contact.region }}</mj-text>", True),
        ('<mj-button href="https://x.example/{{ contact.attributes.slug|default(1) }}">Go</mj-button>', True),
        ("<mj-text>{% if sender.name %}{{ contact.first_name }}{% endif %}</mj-text>", True),
        ("<mj-text>~^ {{ contact.first_name }}</mj-text>", True),
        ("<mj-text>~^|` {{ contact.first_name }}</mj-text>", False),
        ("<mj-text>R &amp; {{ contact.first_name }}</mj-text>", True),
        ("<mj-text>R&amp;amp{{ contact.first_name }}</mj-text>", False),
        ("<mj-text>{% if contact.company %}x{% endif %}</mj-text>", False),
        ("<mj-text>{% for letter in contact.first_name %}{{ letter }}{% endfor %}</mj-text>", False),
        ("<mj-text>{% set name = contact.first_name %}{{ name }}</mj-text>", False),
        ("<mj-text>{{ contact.first_name|safe }}</mj-text>", False),
        ("<mj-text>{{ contact.first_name|length }}</mj-text>", False),
        ('<mj-text><a href="{{ confirm_url }}">c</a></mj-text>', False),
        ("<mj-text>{% if unsubscribe_url == contact.email %}x{% endif %}</mj-text>", False),
    ],
)
def test_a_template_is_shared_if_it_varies_by_values_alone(tmp_path: Path, body: str, plain: bool) -> None:
    shared = message(tmp_path, body)
    assert shared.is_plain == plain
    if plain:
        for name in ("Ada", "", " x ", "&lt;", "Ñ"):
            who = contact(first_name=name, company=name, region=name, attributes={"slug": name, "plan": name})
            reads_the_same(shared, who)


def test_an_empty_value_that_changes_the_text_around_it_is_rendered_alone(tmp_path: Path) -> None:
    shared = message(tmp_path, "<mj-text>{{ contact.company }}</mj-text><mj-text>Then</mj-text>")
    assert reads_the_same(shared, contact(company="Acme", last_name="L")) is not None
    assert reads_the_same(shared, contact(company="", last_name="L")) is None


def test_a_subject_of_a_test_takes_the_place_of_the_messages_own() -> None:
    subjects = {"en": "{{ contact.first_name }}, one\ntwo", "es": "Fijo"}
    shared = SharedMessage(TEMPLATES, "broadcast", "product-update", SENDER, subjects)
    found = {locale: reads_the_same(shared, contact(first_name="Ada", locale=locale)) for locale in ("en", "es-CL")}
    assert [each and each.subject for each in found.values()] == ["Ada, one two", "Fijo"]
