"""What is wrong with messages as their readers get them is told with its file, line and mend."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from domain.flows import FlowSettings
from domain.messages import MessageClass
from emails.html_tree import parse_html
from emails.templates import Rendered
from inspection.faults import Fault
from inspection.rendered import contrast, identity, inbox, links, page, text_part
from inspection.rendered.checks import RULES, WARNINGS, CheckedFlow, check_messages
from inspection.rendered.reading import Reading, ReadMessage
from inspection.rendered.rendering import Rendering
from inspection.rendered.samples import SENDER, samples
from tests.emails.project import BODY, FOOTER, Project, TrialSettings
from workflows.discovery import discover_flows

ES = "emails/trial/tip/es/body.mjml"
OPT_OUT = "https://news.acme.example/unsubscribe/sample"
SOUND = BODY.replace("<mj-preview>", "<mj-title>A tip</mj-title><mj-preview>").replace(
    "TEXT", "<h1>A tip</h1></mj-text><mj-text>TEXT"
)
_, UNKNOWN, LONG = samples("es")
BARE = UNKNOWN.who


@pytest.fixture
def sound(project: Project) -> Project:
    for locale in ("en", "es"):
        project.body(SOUND.replace("TEXT", "Hello"), locale)
    return project


def check(project: Project, settings_model: type[FlowSettings] = TrialSettings) -> CheckedFlow:
    return check_messages(Rendering(project.root), "trial", settings_model)


def test_shipped_messages_have_no_problem_in_any_locale() -> None:
    models = {name: flow.settings_model for name, flow in discover_flows().items()}
    models |= dict.fromkeys(("broadcast", "people"), FlowSettings)
    rendering = Rendering()
    checked = [check_messages(rendering, flow, model) for flow, model in models.items()]
    assert [str(fault) for flow in checked for fault in (*flow.all_faults, *flow.warnings)] == []
    done = [(flow.flow, message.message, message.locale) for flow in checked for message in flow.messages]
    written = [(*key, locale) for key, message in rendering.messages.items() for locale in message.by_locale]
    assert sorted(done) == sorted(written)


def test_a_sound_message_is_measured(sound: Project) -> None:
    sound.body(SOUND.replace("TEXT", "Hello {{ contact.company }}"))
    checked = check(sound)
    assert checked.all_faults == []
    english, spanish = checked.messages
    assert (english.locale, spanish.locale) == ("en", "es")
    assert (spanish.message, spanish.subject) == ("tip", "es: Ada")
    assert round(spanish.least_contrast, 1) == 9.4  # of a link that says no colour
    longest = Rendering(sound.root).render("trial", "tip", LONG, TrialSettings())
    assert spanish.html_bytes == len(longest.html.encode())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '<a href="http://acme.example/x">Here</a>',
            f"{ES}:6: links to 'http://acme.example/x' by “Here”, which is not https: write it as https://…,",
        ),
        (
            '<span style="color: #777777">Pale words</span>',
            f"{ES}:6: “Pale words” is #777777 on #ffffff, a contrast of 4.47:1: set the two further apart, since",
        ),
        (
            '<span style="color: hsl(0,0%,0%)">Ink</span>',
            f"{ES}:6: has color: hsl(0,0%,0%), which not every email client paints: write the colour that is to be",
        ),
        (
            '<span style="opacity: .5">Ink</span>',
            f"{ES}:6: has opacity: .5, which not every email client paints: write the colour that is to be",
        ),
        ('<a href="{{ sender.website }}"> </a>', f"{ES}:1: links to 'https://acme.example' without a word: say in"),
        ("<h1>Another</h1>", f"{ES}:6: has no headline, or several: write exactly one, as <h1> in an <mj-text>"),
        ('<img alt="" src="cid:logo">'.replace(">", " />"), f"{ES}:6: shows the image 'cid:logo', which is not https:"),
        (
            "{{ contact.company|length }}",
            f"{ES}:1: cannot be rendered for a reader {BARE} (TypeError: object of type 'NoneType' has no len()): mend",
        ),
        ("{{ contact.company }}" * 600, f"{ES}:1: comes to "),
        ("{{ plam }}", f"{ES}:1: uses {{{{ plam }}}}, which TrialSettings has not: add the field or edit the file"),
        ("{{ contact.frist_name }}", f"{ES}:6: uses contact.frist_name, which does not exist: use one of"),
    ],
)
def test_a_fault_is_told_once_with_the_line_where_it_is_written(sound: Project, text: str, problem: str) -> None:
    sound.body(SOUND.replace("TEXT", text))
    (fault,) = check(sound).all_faults
    assert str(fault).startswith(problem)


@pytest.mark.parametrize(
    ("tag", "what"),
    [("mj-preview", "has no line of preview: say"), ("mj-title", "has no title: write")],
)
def test_what_the_head_leaves_out_is_told(sound: Project, tag: str, what: str) -> None:
    sound.body(re.sub(rf"<{tag}>.*</{tag}>", "", SOUND))
    (fault,) = check(sound).all_faults
    assert str(fault).startswith(f"{ES}:2: {what}")


def test_every_rule_is_applied() -> None:
    modules = (contrast, identity, inbox, links, page, text_part)
    written = [rule for module in modules for rule in vars(module).values() if _is_rule(rule, module)]
    assert len(written) > 10
    assert set(written) == {*RULES, *WARNINGS}


def _is_rule(found: object, module: ModuleType) -> bool:
    is_ours = inspect.isfunction(found) and found.__module__ == module.__name__ and not found.__name__.startswith("_")
    return is_ours and found.__annotations__ == {"message": "ReadMessage", "return": "Iterator[Fault]"}


def test_a_fault_of_a_part_that_messages_share_is_told_once_with_the_parts_file(sound: Project) -> None:
    for path in ("message.toml", "en/subject.txt", "en/body.mjml", "es/subject.txt", "es/body.mjml"):
        sound.write(f"trial/other/{path}", (sound.root / "trial/tip" / path).read_text())
    sound.write("layout/es/footer.mjml", FOOTER.replace(">Stop<", ' style="color: #999999">Stop<'))
    (fault,) = check(sound).all_faults
    assert str(fault).startswith("emails/layout/es/footer.mjml:3: “Stop” is #999999 on #ffffff")


def test_what_only_filters_take_away_of_the_sender_is_told(sound: Project) -> None:
    sound.write("layout/es/footer.mjml", FOOTER.replace("sender.name", "sender.name|truncate(4, true, '…', 0)"))
    what = "is relationship and does not show the sender's name in its"
    mend = 'add it, or <mj-include path="footer.mjml" />'
    lines = list(map(str, check(sound).all_faults))
    assert lines == [f"{ES}:1: {what} {part}: {mend}" for part in ("HTML", "text part")]


def test_a_setting_without_a_default_leaves_messages_without_a_sample(sound: Project) -> None:
    class Demanding(TrialSettings):
        price: int

    (fault,) = check(sound, Demanding).all_faults
    assert str(fault).startswith("workflows/trial.py:1: Demanding has no default for price, so its messages have no")


def test_a_fault_is_told_where_the_body_shows_it_and_not_where_subject_or_title_say_the_same(sound: Project) -> None:
    sound.write("trial/tip/es/subject.txt", "Prices\n")
    sound.body(
        SOUND.replace("A tip</mj-title>", "Prices</mj-title>").replace("TEXT", '<b style="color: #888">Prices</b>')
    )
    (fault,) = check(sound).all_faults
    assert str(fault).startswith(f"{ES}:6: “Prices” is #888888 on #ffffff")


def test_a_transactional_message_has_no_link_to_opt_out(sound: Project) -> None:
    sound.write("trial/tip/message.toml", 'class = "transactional"\ntopic = "receipts"\n')
    assert "Stop" not in Rendering(sound.root).render("trial", "tip", LONG, TrialSettings()).text


def test_a_transactional_message_needs_no_sender_and_no_opt_out(sound: Project) -> None:
    sound.write("trial/tip/message.toml", 'class = "transactional"\ntopic = "receipts"\n')
    for locale in ("en", "es"):
        sound.write(f"layout/{locale}/footer.mjml", "<mj-section></mj-section>")
    assert check(sound).all_faults == []


def test_messages_to_people_are_checked_too(sound: Project) -> None:
    sound.add_people_mail("task", '<a href="{{ url }}/../..">{{ person.name }}</a> <a href="/task">{{ subject }}</a>')
    checked = check_messages(Rendering(sound.root), "people", FlowSettings)
    told = [str(fault) for fault in checked.all_faults if fault.path.startswith("emails/people/task/es/")]
    assert any("links to '/task' by “Una oferta mayor que el límite”, which is not https" in line for line in told)
    assert any(fault.what == "is missing" for fault in checked.faults)  # the other messages


# Each rule by itself.

HEAD = "<head><title>A tip</title></head>"
PREVIEW = '<div style="display:none">In short</div>'


def read(*bodies: str, subject: str = "A tip", text: str | None = None, head: str = HEAD) -> ReadMessage:
    """A marketing message whose samples get these bodies, or all of them the only one."""
    chosen = bodies * 3 if len(bodies) == 1 else bodies
    pages = [f"<html>{head}<body>{PREVIEW}{body}</body></html>" for body in chosen]
    rendered = [Rendered(subject, html, parse_html(html).words if text is None else text, "es") for html in pages]
    return ReadMessage(
        folder="emails/trial/tip",
        locale="es",
        message_class=MessageClass.MARKETING,
        sources=[],
        sender=SENDER,
        unsubscribe_url=OPT_OUT,
        readings=[Reading(sample, each) for sample, each in zip(samples("es"), rendered, strict=True)],
    )


def told(rule: Callable[[ReadMessage], Iterator[Fault]], message: ReadMessage) -> set[str]:
    return {fault.what for fault in rule(message)}


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://acme.example", "is not https"),
        ("/offers", "is not https"),
        ("//acme.example/offers", "is not https"),
        ("acme.example", "is not https"),
        ("#top", "is not https"),
        ("", "is not https"),
        ("javascript:alert(1)", "is not https"),
        ("https:///offers", "names no host"),
        ("https://acme.example/an offer", "has a blank in it"),
        ("https://[acme.example", "is not an address"),
        ("mailto:", "says not whom to mailto"),
    ],
)
def test_a_link_that_does_not_work_in_an_email_is_told(address: str, problem: str) -> None:
    message = read(f'<a href="{address}">Here</a>')
    assert told(links.links_are_absolute, message) == {f"links to {address!r} by “Here”, which {problem}"}


@pytest.mark.parametrize(
    "address", ["https://acme.example/a?b=1#c", "mailto:a@acme.example", "tel:+5622", "HTTPS://A.CL"]
)
def test_a_link_that_works_in_an_email_is_not_told(address: str) -> None:
    assert told(links.links_are_absolute, read(f'<a href="{address}">Here</a>')) == set()


def test_what_a_link_says_may_be_an_image() -> None:
    link = '<a href="https://acme.example"><img src="https://acme.example/a.png" alt="{}"></a>'
    assert told(links.links_have_words, read(link.format("Our prices"))) == set()
    assert told(links.links_have_words, read(link.format(""))) == {"links to 'https://acme.example' without a word"}


@pytest.mark.parametrize(
    ("body", "address"),
    [
        ('<img src="http://acme.example/a.png" alt="">', "http://acme.example/a.png"),
        ('<img src="data:image/png;base64,AAAA" alt="">', "data:image/png;base64,AAAA"),
        ('<table background="/a.png"></table>', "/a.png"),
    ],
)
def test_an_image_that_nobody_would_see_is_told(body: str, address: str) -> None:
    assert told(links.images_are_absolute, read(body)) == {f"shows the image {address!r}, which is not https"}


def test_the_text_part_has_every_link_that_the_html_shows() -> None:
    body = '<a href="https://acme.example">Prices</a><p style="display:none"><a href="https://x.example">x</a></p>'
    assert told(text_part.text_has_every_link, read(body, text="Prices <https://acme.example>")) == set()
    lacking = "links to 'https://acme.example' by “Prices”, which its text part does not"
    assert told(text_part.text_has_every_link, read(body, text="Prices")) == {lacking}


def test_a_text_part_without_text_is_told() -> None:
    assert told(text_part.text_is_there, read("Hello", text=" \n")) == {"has no text part"}


def test_opt_out_has_to_be_a_link_with_words_in_the_html_and_an_address_in_the_text() -> None:
    def lacking(body: str, text: str) -> set[str]:
        found = told(identity.opt_out_is_offered, read(body, text=text))
        return {what.partition("the opt-out link in its ")[2] for what in found}

    link = f'<a href="{OPT_OUT}">Stop</a>'
    assert lacking(link, f"Stop <{OPT_OUT}>") == set()
    assert lacking(link, "Stop") == {"text part"}
    assert lacking(f'<a href="{OPT_OUT}"></a>', f"<{OPT_OUT}>") == {"HTML"}
    assert lacking(f'<p style="display:none">{link}</p>', "") == {"HTML", "text part"}


def test_who_writes_and_from_where_is_looked_for_in_both_parts() -> None:
    shown = f"<p>{SENDER.name.upper().replace('&', '&amp;')}</p><p>{SENDER.postal_address}</p>"
    assert told(identity.sender_is_named, read(shown)) == set()
    assert told(identity.sender_is_named, read(shown, text=SENDER.name)) == {
        "is marketing and does not show the sender's postal address in its text part"
    }
    assert told(identity.sender_is_named, read(shown, "", shown)) == {
        f"is marketing and does not show the sender's {what} in its {part} for a reader {BARE}"
        for what in ("name", "postal address")
        for part in ("HTML", "text part")
    }


@pytest.mark.parametrize(
    ("bodies", "problem"),
    [
        (["<p>Tip</p>"], "has no headline, or several"),
        (["<h1>A</h1><h1>B</h1>"], "has no headline, or several"),
        (["<h1>A</h1>", "<p>A</p>", "<h1>A</h1>"], f"has no headline, or several for a reader {BARE}"),
        (['<h1 style="display:none">A</h1>'], "has no headline, or several"),
        (["<h1>A</h1>", "<h1> </h1>", "<h1>A</h1>"], f"has an empty headline for a reader {BARE}"),
    ],
)  # fmt: skip
def test_one_headline_says_something_to_everybody(bodies: list[str], problem: str) -> None:
    assert told(page.headline_is_one, read(*bodies)) == {problem}
    assert told(page.headline_is_one, read("<h1>A</h1>")) == set()


@pytest.mark.parametrize("head", ["", "<head></head>", "<head><title> </title></head>"])
def test_a_page_without_a_title_is_told(head: str) -> None:
    assert told(page.title_is_told, read("Hello", head=head)) == {"has no title"}
    assert told(page.title_is_told, read("Hello")) == set()


def test_an_inbox_needs_a_line_of_preview_before_all_that_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(inbox.preview_is_there, read("Hello")) == set()
    for preview in ("", '<div style="display:none"> </div>', f"<p>Hello</p>{PREVIEW}"):
        monkeypatch.setattr("tests.emails.test_rendered.PREVIEW", preview)
        assert told(inbox.preview_is_there, read("<p>Hello</p>")) == {"has no line of preview"}


def test_a_subject_is_short_and_never_empty() -> None:
    assert told(inbox.subject_fits, read("", subject="x" * 60)) == set()
    assert told(inbox.subject_fits, read("", subject="")) == {"is empty"}
    (fault,) = inbox.subject_fits(read("", subject="x" * 61))
    assert str(fault).startswith("emails/trial/tip/es/subject.txt:1: comes to 61 characters, “xxx")


@pytest.mark.parametrize(
    ("kilobytes", "clipped", "warned"), [(79, False, False), (81, False, True), (101, False, True), (103, True, False)]
)
def test_what_gmail_clips_is_told_and_what_comes_near_is_warned_of(kilobytes: int, clipped: bool, warned: bool) -> None:
    message = read("é" * (kilobytes * 512), "", "")  # two bytes each
    assert bool(told(inbox.html_is_not_clipped, message)) is clipped
    assert bool(told(inbox.html_is_far_from_the_clip, message)) is warned


def test_each_pair_of_colours_is_told_once_and_large_texts_may_be_paler() -> None:
    pale = '<p style="color:#888888;font-size:{}px">{}</p>'
    message = read(pale.format(16, "One") + pale.format(16, "Two") + pale.format(24, "Three"))
    assert told(contrast.text_is_legible, message) == {"“One” is #888888 on #ffffff, a contrast of 3.54:1"}
    assert round(contrast.least_contrast(message), 2) == 3.54


def test_contrast_that_just_fails_is_not_rounded_up_to_what_is_asked() -> None:
    (what,) = told(contrast.text_is_legible, read('<p style="color:rgb(118.7,118.7,118.7)">Pale</p>'))
    assert what.endswith("a contrast of 4.49:1")
