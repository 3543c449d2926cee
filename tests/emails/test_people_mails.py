"""What people of the team get, and what is wrong with such a template."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from domain.contacts import Contact
from domain.messages import MessageClass
from domain.people import Person
from emails.templates import PEOPLE_MESSAGES, Rendered, TemplateError, Templates
from tests.emails.project import SENDER, Project, contact

URL = "https://cauce.example/answer/abc?a=1&b=2"
SUBJECT = "A discount of 25 % for O'Neil & Söhne <Ltd>, a customer of many years"
FACTS = (("Offer", "25 %"), ("Why", "<b>above</b> the limit"))
OTHERS = ("Luis", "Eva")
UNTIL = datetime(2026, 11, 24, 15, 0, tzinfo=ZoneInfo("America/Santiago"))
in_each_locale = pytest.mark.parametrize(("message", "locale"), list(product(PEOPLE_MESSAGES, ["en", "es"])))


@pytest.fixture(scope="module")
def shipped() -> Templates:
    return Templates.load()


def person(locale: str = "es", name: str = "Rosa Pérez") -> Person:
    return Person(id="0190b6", email="rosa@example.com", name=name, locale=locale)


def render(
    templates: Templates,
    message: str,
    reader: Person,
    lead: Contact | None = None,
    facts: tuple[tuple[str, str], ...] = FACTS,
    until: datetime | None = UNTIL,
    others: tuple[str, ...] = OTHERS,
    in_place_of: tuple[str, ...] = (),
) -> Rendered:
    return templates.render_for_person(
        message,
        person=reader,
        contact=lead or contact(),
        sender=SENDER,
        subject=SUBJECT,
        facts=facts,
        url=URL,
        until=until,
        others=others,
        in_place_of=in_place_of,
    )


def test_the_mails_to_people_are_sound_and_transactional(shipped: Templates) -> None:
    shipped.check_people()
    classes = {shipped.message("people", message).message_class for message in PEOPLE_MESSAGES}
    assert classes == {MessageClass.TRANSACTIONAL}


@in_each_locale
def test_a_person_reads_what_is_asked_about_whom_until_when_and_where_to_answer(
    shipped: Templates, message: str, locale: str
) -> None:
    lead = contact().model_copy(update={"last_name": "Lovelace", "company": "Analytical Engines"})
    rendered = render(shipped, message, person(locale), lead)
    assert f"\n{SUBJECT}\n" in rendered.text
    assert "Ada Lovelace, Analytical Engines\n" in rendered.text
    assert "* Offer: 25 %\n* Why: <b>above</b> the limit\n" in rendered.text
    assert "Luis, Eva\n" in rendered.text
    assert {"en": "November 24, 2026", "es": "24 de noviembre de 2026"}[locale] in rendered.text
    assert rendered.text.count(f"<{URL}>") == 1
    assert "subscri" not in rendered.html


@pytest.mark.parametrize(("locale", "told"), [("en", "In place of: Luis, Eva"), ("es", "En lugar de: Luis, Eva")])
def test_a_delegate_reads_whose_decision_they_have(shipped: Templates, locale: str, told: str) -> None:
    assert told in render(shipped, "approval", person(locale), others=(), in_place_of=OTHERS).text


@in_each_locale
def test_what_is_not_known_leaves_no_gap(shipped: Templates, message: str, locale: str) -> None:
    rendered = render(shipped, message, person(locale), contact(""), (), None, ())
    (fact,) = re.findall(r"^\* (.*)$", rendered.text, re.MULTILINE)
    assert fact == {"en": "Contact: no name on record", "es": "Contacto: sin nombre registrado"}[locale]
    assert not re.search(r"None|deadline|plazo|\n{3}|^ | $", rendered.text, re.MULTILINE)


@in_each_locale
def test_a_mail_to_a_person_is_fit_for_an_inbox(shipped: Templates, message: str, locale: str) -> None:
    long = tuple((f"Fact {number}", "n" * 200) for number in range(50))
    rendered = render(shipped, message, person(locale, "n" * 200), facts=long)
    assert len(rendered.subject) <= 60
    assert len(rendered.html.encode()) < 102 * 1024
    assert f'<html lang="{locale}"' in rendered.html
    assert rendered.html.count("<h1>") == 1
    assert re.search(r'<div style="display:none[^>]*>[^<]+</div>', rendered.html)
    assert re.findall(r'href="([^"]*)"', rendered.html) == [URL.replace("&", "&amp;")]
    assert not re.search(r"\bsrc\s*=|url\(|@import|<link\b|<script\b", rendered.html, re.IGNORECASE)


@pytest.mark.parametrize(
    ("locale", "until", "told"),
    [
        ("en", UNTIL, "Tuesday, November 24, 2026, 3:00 PM (Chile Summer Time)"),
        ("en-GB", UNTIL, "Tuesday, 24 November 2026, 15:00 (Chile Summer Time)"),
        ("es", UNTIL, "martes, 24 de noviembre de 2026, 15:00 (hora de verano de Chile)"),
        ("es", UNTIL.replace(tzinfo=UTC), "martes, 24 de noviembre de 2026, 15:00 (tiempo universal coordinado)"),
        ("es-XX", UNTIL, "martes, 24 de noviembre de 2026, 15:00 (hora de verano de Chile)"),
        ("pt-BR", UNTIL, "Tuesday, November 24, 2026, 3:00 PM (Chile Summer Time)"),  # as the words around it
    ],
)
def test_a_deadline_is_written_as_the_person_writes_it(
    shipped: Templates, locale: str, until: datetime, told: str
) -> None:
    assert f": {told}\n" in render(shipped, "task", person(locale), until=until).text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("valid_for", "told"),
    [
        (timedelta(days=30), "30 días"),
        (timedelta(days=2, hours=23), "2 días"),
        (timedelta(hours=23), "23 horas"),
        (timedelta(minutes=1), "1 minuto"),
        (timedelta(seconds=5), "5 segundos"),
    ],
)
def test_a_duration_promises_no_more_than_it_lasts(project: Project, valid_for: timedelta, told: str) -> None:
    project.text("{{ remind_after|duration }}")
    assert told in project.render(contact(), remind_after=valid_for).html


def test_a_template_in_a_language_without_known_dates_writes_them_in_english(project: Project) -> None:
    for file in ("subject.txt", "body.mjml"):
        text = (project.root / "trial/tip/es" / file).read_text().replace('lang="es"', 'lang="qqq"')
        project.write(f"trial/tip/qqq/{file}", text.replace("{{ plan }}", "{{ remind_after|duration }}"))
    project.write("layout/qqq/footer.mjml", (project.root / "layout/es/footer.mjml").read_text())
    assert "3 days" in project.render(contact(locale="qqq")).text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ plan }}", "es/body.mjml uses {{ plan }}, which mails to people do not see: use one of contact, facts,"),
        ("{{ unsubscribe_url }}", "es/body.mjml uses {{ unsubscribe_url }}, which mails to people do not see"),
        ("{{ person.nmae }}", "es/body.mjml:6 uses person.nmae, which does not exist: use one of absences, active,"),
        ("{{ person }}", "es/body.mjml:6 uses person as a whole: name one of its fields"),
    ],
)
def test_a_fault_in_a_mail_to_people_is_told_and_it_is_not_sent(project: Project, text: str, problem: str) -> None:
    project.add_people_mail("task", text)
    with pytest.raises(TemplateError) as checked:
        Templates.load(project.root).check_people()
    assert [found for found in checked.value.problems if found.startswith(f"emails/people/task/{problem}")]
    with pytest.raises(TemplateError):
        render(Templates.load(project.root), "task", person())


def test_a_mail_to_people_that_is_missing_or_of_another_class_is_told(project: Project) -> None:
    project.add_people_mail("task", "{{ person.name }}", message_class="relationship")
    with pytest.raises(TemplateError) as checked:
        Templates.load(project.root).check_people()
    assert "emails/people/approval is missing: add it" in checked.value.problems
    assert (
        "emails/people/task/message.toml is of another class than transactional, as mails to people are: mend the entry"
        in checked.value.problems
    )


def test_what_mails_to_people_see_is_unknown_to_a_flow(project: Project) -> None:
    project.text("{{ person.name }}")
    (problem,) = project.problems()
    assert problem.startswith("emails/trial/tip/es/body.mjml uses {{ person }}, which TrialSettings has not")
