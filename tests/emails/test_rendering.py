"""What a contact gets from a template."""

from __future__ import annotations

from typing import Any

import mjml
import pytest

from domain.contacts import Contact
from domain.messages import MessageClass
from emails.templates import TemplateError, Templates, UnknownMessage
from tests.emails.project import BODY, SENDER, UNSUBSCRIBE, Project, TrialSettings, contact


def test_a_contact_reads_the_message_in_their_language_with_their_name_and_plan(project: Project) -> None:
    rendered = project.render(contact("José"))
    assert rendered.locale == "es"
    assert rendered.subject == "es: José"
    assert "Hello José, your plan is team" in rendered.html


@pytest.mark.parametrize(("asked", "got"), [("es-CL", "es"), ("en-GB", "en"), ("pt-BR", "en"), ("quz", "en")])
def test_a_locale_that_is_not_written_falls_back_to_its_language_then_to_english(
    project: Project, asked: str, got: str
) -> None:
    rendered = project.render(contact(locale=asked))
    assert rendered.locale == got
    assert rendered.subject == f"{got}: Ada"
    assert f'lang="{got}"' in rendered.html


def test_a_region_with_its_own_wording_is_preferred_to_its_language(project: Project) -> None:
    project.write("layout/es-CL/footer.mjml", (project.root / "layout/es/footer.mjml").read_text())
    project.write("trial/tip/es-CL/subject.txt", "Cachai\n")
    project.text("Hola po", "es-CL")
    assert project.problems() == []
    assert project.render(contact(locale="es-CL")).subject == "Cachai"
    assert project.render(contact(locale="es-MX")).locale == "es"


def test_markup_in_a_name_is_shown_and_never_run(project: Project) -> None:
    rendered = project.render(contact("<script>alert(1)</script>"))
    assert "<script" not in rendered.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in rendered.html


def test_jinja_in_a_name_is_shown_and_never_run(project: Project) -> None:
    rendered = project.render(contact("{{ 7 * 7 }}"))
    assert rendered.subject == "es: {{ 7 * 7 }}"
    assert "49" not in rendered.text


def test_a_subject_is_not_escaped_as_html(project: Project) -> None:
    project.write("trial/tip/es/subject.txt", "{{ sender.name }}: {{ contact.first_name }}\n")
    assert project.render(contact("O'Neil")).subject == "Acme & Sons: O'Neil"


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r", "\u2028", "\x85", "\x00", "\x0b"])
def test_a_line_end_in_a_name_cannot_begin_another_header(project: Project, line_end: str) -> None:
    # Not validated: as a row that another program wrote.
    forged = Contact.model_construct(
        **{**contact().model_dump(), "first_name": f"Ada{line_end}Bcc: all@example.com"},
    )
    subject = project.render(forged).subject
    assert subject == "es: Ada Bcc: all@example.com"
    assert subject.isprintable()


def test_a_value_that_is_not_known_prints_as_nothing(project: Project) -> None:
    project.text("Company: {{ contact.company }}.")
    assert "Company: ." in project.render(contact()).html


def test_an_attribute_that_a_contact_may_lack_has_a_default(project: Project) -> None:
    project.text('{{ contact.attributes.seats|default("some") }} seats')
    assert project.problems() == []
    assert "some seats" in project.render(contact()).html
    with_seats = contact().model_copy(update={"attributes": {"seats": 12}})
    assert "12 seats" in project.render(with_seats).html


def test_the_text_part_reads_as_paragraphs_and_keeps_every_link(project: Project) -> None:
    project.body(
        BODY.replace(
            "<mj-text>TEXT</mj-text>",
            "<mj-text>Hello</mj-text>"
            '<mj-text>See <a href="{{ sender.website }}/a?b=1&amp;c=2">our guide</a>. <b>Soon</b>.</mj-text>'
            "<mj-text><ul><li>one</li><li>two</li></ul></mj-text>"
            '<mj-button href="{{ sender.website }}">Start</mj-button>',
        )
    )
    assert project.render(contact()).text == (
        "Hello\n\n"
        "See our guide <https://acme.example/a?b=1&c=2>. Soon.\n\n"
        "* one\n* two\n\n"
        "Start <https://acme.example>\n\n"
        f"Acme & Sons, Av. Providencia 1234, Santiago, Chile Stop <{UNSUBSCRIBE}>\n"
    )


def test_the_body_is_compiled_once_and_not_for_each_contact(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    mjml2html = mjml.mjml2html

    def counting(source: str, **options: Any) -> str:
        compiled.append(source)
        return mjml2html(source, **options)

    monkeypatch.setattr(mjml, "mjml2html", counting)
    templates = Templates.load(project.root)
    for name in ("Ada", "Grace", "Joan"):
        templates.render(
            "trial",
            "tip",
            contact=contact(name),
            sender=SENDER,
            settings=TrialSettings(),
            unsubscribe_url=UNSUBSCRIBE,
        )
    assert len(compiled) == 2  # en, es


def test_a_message_tells_its_class_and_topic(project: Project) -> None:
    found = Templates.load(project.root).message("trial", "tip")
    assert found.message_class is MessageClass.RELATIONSHIP
    assert found.topic == "product"


@pytest.mark.parametrize(("flow", "message"), [("trial", "tips"), ("trail", "tip"), ("layout", "en")])
def test_an_unknown_message_is_told_with_where_to_add_it(project: Project, flow: str, message: str) -> None:
    with pytest.raises(LookupError, match=f"add emails/{flow}/{message}") as raised:
        Templates.load(project.root).message(flow, message)
    assert isinstance(raised.value, UnknownMessage)


def test_only_a_transactional_message_goes_out_without_a_way_to_opt_out(project: Project) -> None:
    with pytest.raises(ValueError, match="trial/tip is relationship: pass the contact's unsubscribe_url"):
        project.render(contact(), unsubscribe_url=None)
    project.write("trial/tip/message.toml", 'class = "transactional"\ntopic = "receipts"\n')
    rendered = project.render(contact(), unsubscribe_url=None)
    assert "Stop" not in rendered.text


def test_a_faulty_message_is_never_sent_and_stops_no_other(project: Project) -> None:
    for path in ("message.toml", "en/subject.txt", "en/body.mjml", "es/subject.txt", "es/body.mjml"):
        project.write(f"trial/sound/{path}", (project.root / "trial/tip" / path).read_text())
    project.text("{{ contact.frist_name }}", "en")
    templates = Templates.load(project.root)
    with pytest.raises(TemplateError, match="frist_name"):
        project.render(contact())
    assert templates.render(
        "trial", "sound", contact=contact(), sender=SENDER, settings=TrialSettings(), unsubscribe_url=UNSUBSCRIBE
    ).subject
