"""What is wrong with a template is told at start-up, with its file and what to do, not by a contact."""

from __future__ import annotations

import pytest

from domain.flows import FlowSettings
from tests.emails.project import BODY, FOOTER, TEXT, Project, TrialSettings

ES = "emails/trial/tip/es/body.mjml"


def test_a_sound_project_has_no_problems(project: Project) -> None:
    assert project.problems("tip") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ plam }}", f"{ES} uses {{{{ plam }}}}, which TrialSettings has not: add the field or edit the file"),
        (
            "{% if false %}{{ plam }}{% endif %}",
            f"{ES} uses {{{{ plam }}}}, which TrialSettings has not: add the field or edit the file",
        ),
        ("{{ range(3) }}", f"{ES} uses {{{{ range }}}}, which TrialSettings has not: add the field or edit the file"),
        (
            "{{ sender.phone }}",
            f"{ES}:6 uses sender.phone, which does not exist: use one of email, name, postal_address, website",
        ),
        (
            "{{ contact.attributes.seats }}",
            f"{ES}:6 uses contact.attributes.seats, which a contact may lack: "
            'write contact.attributes.seats|default("…")',
        ),
        ("{{ contact }}", f"{ES}:6 uses contact as a whole: name one of its fields"),
        ("{% set c = contact %}", f"{ES}:6 uses contact as a whole: name one of its fields"),
        (
            "{% if false %}{{ plan|shout }}{% endif %}",
            f"{ES}:6 uses the filter shout, which does not exist: mend its name",
        ),
        (
            "{% if plan is lovely %}x{% endif %}",
            f"{ES}:6 uses the test lovely, which does not exist: mend its name",
        ),
        ('{% include "x" %}', f"{ES}:6 pulls in another Jinja template: use mj-include"),
        ("{% if plan %}never ended", f"{ES}:6 is not valid Jinja (Unexpected end of template"),
        ("\n{{ plan ", f"{ES}:7 is not valid Jinja"),
        ("1 < 2", f"{ES} is not valid MJML ("),
        ("<b>never closed", f"{ES} is not valid MJML ("),
        ("""<a href='{{ plan|replace("a", "b") }}'>x</a>""", f"{ES} is not valid Jinja once compiled"),
        ('<img src="cid:logo">', f'{ES}:6 has <img> without alt: describe the image, or write alt=""'),
        ("<mj-buton>x</mj-buton>", f"{ES}:6 has <mj-buton>, which is not a tag that may be used"),
        ('<mj-button href="#">x</mj-button>', f"{ES}:6 has <mj-button> inside <mj-text>, which holds no MJML"),
        ('<img alt="" src="https://cdn.example/a.png">', f"{ES} loads https://cdn.example/a.png when opened"),
        ('<img alt="" src="//cdn.example/a.png">', f"{ES} loads //cdn.example/a.png when opened"),
    ],
)
def test_a_fault_in_the_text_of_a_body_is_told(project: Project, text: str, problem: str) -> None:
    project.text(text)
    assert [found for found in project.problems() if found.startswith(problem)], project.problems()


@pytest.mark.parametrize("access", ["contact.frist_name", 'contact["frist_name"]', "contact.model_dump()"])
def test_a_field_that_contacts_lack_is_told_with_those_they_have(project: Project, access: str) -> None:
    project.text("{% if false %}{{ ACCESS }}{% endif %}".replace("ACCESS", access))
    (problem,) = project.problems()
    assert problem.startswith(f"{ES}:6 uses contact.")
    assert "which does not exist: use one of attributes, company, country, email, first_name" in problem


def test_a_field_named_by_a_variable_is_told(project: Project) -> None:
    project.text("{{ contact[plan] }}")
    assert project.problems()[0].startswith(f"{ES}:6 uses contact.[…], which does not exist")


@pytest.mark.parametrize(
    ("tidy", "spoiled", "problem"),
    [
        ("<mj-text>TEXT</mj-text>", "<p>TEXT</p>", f"{ES}:6 has the HTML tag <p> outside mj-text: move it into"),
        ("<mj-text>TEXT</mj-text>", "TEXT", f"{ES}:6 has text outside mj-text (Hello …): move it into mj-text"),
        ("<mj-text>TEXT</mj-text>", "{% if plan %}<mj-text>TEXT</mj-text>{% endif %}", f"{ES}:6 has text outside"),
        ("<mj-text>TEXT</mj-text>", '<mj-image src="cid:a" />', f"{ES}:6 has <mj-image> without alt"),
        ("</mj-column>", "</mj-section>", f"{ES}:7 closes <mj-section>, which is not the tag open there"),
        ("</mjml>", "", f"{ES}:12 never closes <mjml>: add </mjml>"),
        ("</mj-head>", '<mj-font name="X" href="https://x" /></mj-head>', f"{ES}:2 has <mj-font>, which is not a tag"),
        ("footer.mjml", "foot.mjml", f"{ES}:9 includes 'foot.mjml', which neither layout/ nor layout/es/ has: add it"),
        ("footer.mjml", "../en/footer.mjml", f"{ES}:9 includes '../en/footer.mjml', which neither layout/ nor"),
        ("footer.mjml", "/etc/passwd", f"{ES}:9 includes '/etc/passwd', which neither layout/ nor layout/es/ has"),
        ('lang="LOCALE"', 'lang="en"', f'{ES} does not say its language: begin it with <mjml lang="es">'),
    ],
)
def test_a_fault_in_the_mjml_of_a_body_is_told(project: Project, tidy: str, spoiled: str, problem: str) -> None:
    project.body(BODY.replace(tidy, spoiled).replace("TEXT", TEXT))
    assert [found for found in project.problems() if found.startswith(problem)], project.problems()


@pytest.mark.parametrize(
    "element",
    [
        '<mj-social><mj-social-element name="facebook" href="https://a.example">A</mj-social-element></mj-social>',
        "<mj-text><div style=\"background: url('https://cdn.example/a.png')\">x</div></mj-text>",
    ],
)
def test_what_a_mail_would_load_when_opened_is_told(project: Project, element: str) -> None:
    project.body(BODY.replace("<mj-text>TEXT</mj-text>", element))
    (problem,) = project.problems()
    assert problem.startswith(f"{ES} loads https://")
    assert problem.endswith("when opened: delete it, or serve it from {{ sender.website }}")


def test_a_fault_in_the_layout_is_told_once_with_the_layouts_file(project: Project) -> None:
    project.write("layout/es/footer.mjml", FOOTER + "<mj-txt>{{ phone }}</mj-txt>\n")
    problems = project.problems()
    assert problems[0].startswith("emails/layout/es/footer.mjml:5 has <mj-txt>, which is not a tag")
    assert problems[-1].startswith("emails/layout/es/footer.mjml uses {{ phone }}, which TrialSettings has not")


def test_a_part_that_includes_a_part_is_told(project: Project) -> None:
    project.write("layout/es/footer.mjml", '<mj-include path="footer.mjml" />\n' + FOOTER)
    assert project.problems()[0].startswith(
        "emails/layout/es/footer.mjml:1 includes 'footer.mjml', but is a part itself"
    )


@pytest.mark.parametrize(
    ("subject", "problem"),
    [
        ("", "is empty: write the subject"),
        (" \n", "is empty: write the subject"),
        ("one\ntwo\n", "has 2 lines: write one"),
        ("x" * 121, "has 121 characters: shorten it to 120"),
        ("{% if plan %}" + "x" * 121 + "{% else %}y{% endif %}", "has 121 characters: shorten it to 120"),
        ("{{ plam }}", "uses {{ plam }}, which TrialSettings has not: add the field or edit the file"),
    ],
)
def test_a_fault_in_a_subject_is_told(project: Project, subject: str, problem: str) -> None:
    project.write("trial/tip/es/subject.txt", subject)
    assert project.problems() == [f"emails/trial/tip/es/subject.txt {problem}"]


def test_the_longest_branch_of_a_subject_counts_and_its_code_does_not(project: Project) -> None:
    project.write("trial/tip/es/subject.txt", "{% if plan %}" + "x" * 119 + "{% else %}" + "y" * 120 + "{% endif %}")
    assert project.problems() == []


@pytest.mark.parametrize(
    ("file", "mend"),
    [
        ("trial/tip/message.toml", "add it"),
        ("trial/tip/es/subject.txt", "add it"),
        ("trial/tip/es/body.mjml", "add it"),
    ],
)
def test_a_missing_file_is_told(project: Project, file: str, mend: str) -> None:
    (project.root / file).unlink()
    assert project.problems() == [f"emails/{file} is missing: {mend}"]


def test_a_file_that_is_not_utf_8_is_told(project: Project) -> None:
    (project.root / "trial/tip/es/subject.txt").write_bytes("año".encode("latin-1"))
    assert project.problems() == ["emails/trial/tip/es/subject.txt is not UTF-8: save it as UTF-8"]


def test_a_locale_that_another_message_has_is_asked_of_every_message(project: Project) -> None:
    project.write("other/hello/pt/subject.txt", "Oi\n")
    assert project.problems() == ["emails/trial/tip/pt is missing: write the message in pt"]


def test_a_folder_that_no_locale_is_called_by_is_told(project: Project) -> None:
    project.write("trial/tip/es_CL/subject.txt", "Hola\n")
    assert project.problems() == ["emails/trial/tip/es_CL is not named as a locale: rename it, like es or es-CL"]


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ('class = "newsletter"\ntopic = "product"', "has a wrong class (Input should be 'transactional', 'relation"),
        ('class = "marketing"', "has a wrong topic (Field required): mend the entry"),
        ('class = "marketing"\ntopic = "No Good"', "has a wrong topic (String should match pattern"),
        ('class = "marketing"\ntopic = "a"\ntopics = 1', "has a wrong topics (Extra inputs are not permitted)"),
        ("class = marketing", "is not valid TOML ("),
    ],
)
def test_a_wrong_message_toml_is_told(project: Project, toml: str, problem: str) -> None:
    project.write("trial/tip/message.toml", toml)
    assert [found for found in project.problems() if found.startswith(f"emails/trial/tip/message.toml {problem}")]


NEEDED = ("unsubscribe_url", "sender.name", "sender.postal_address")


def not_always_shown(needed: str) -> str:
    return (
        f"{ES} does not always show {{{{ {needed} }}}}, as all but transactional messages must:"
        ' add it, or <mj-include path="footer.mjml" />'
    )


@pytest.mark.parametrize("needed", NEEDED)
@pytest.mark.parametrize("message_class", ["relationship", "marketing"])
def test_who_writes_and_how_to_opt_out_may_not_be_left_out(project: Project, message_class: str, needed: str) -> None:
    project.write("trial/tip/message.toml", f'class = "{message_class}"\ntopic = "product"\n')
    project.write("layout/es/footer.mjml", FOOTER.replace(f"{{{{ {needed} }}}}", ""))
    assert project.problems() == [not_always_shown(needed)]


@pytest.mark.parametrize("needed", NEEDED)
@pytest.mark.parametrize(
    "hidden",
    [
        "{% if contact.company %}SHOWN{% endif %}",
        "{% if unsubscribe_url and contact.company %}SHOWN{% endif %}",
        "{% if unsubscribe_url %}{% if contact.company %}SHOWN{% endif %}{% endif %}",
        "{% if unsubscribe_url %}Hello{% else %}SHOWN{% endif %}",
        "{% for _ in contact.company or '' %}SHOWN{% endfor %}",
        "<!-- SHOWN -->",
        '<span style="display: none">SHOWN</span>',
        '<span title="SHOWN">Hello</span>',
    ],
)
def test_who_writes_and_how_to_opt_out_is_for_every_contact_to_see(project: Project, hidden: str, needed: str) -> None:
    shown = f"{{{{ {needed} }}}}"
    footer = FOOTER.replace(shown, "").replace("</mj-text>", f"{hidden.replace('SHOWN', shown)}</mj-text>")
    project.write("layout/es/footer.mjml", footer)
    assert project.problems() == [not_always_shown(needed)]


@pytest.mark.parametrize("needed", NEEDED)
def test_what_an_expression_may_leave_out_is_told(project: Project, needed: str) -> None:
    spoiled = f"{{{{ {needed} if contact.company else '' }}}}"
    project.write("layout/es/footer.mjml", FOOTER.replace(f"{{{{ {needed} }}}}", spoiled))
    assert project.problems() == [not_always_shown(needed)]


@pytest.mark.parametrize("tag", ["mj-preview", "mj-title"])
def test_a_sender_who_is_named_in_the_head_alone_is_told(project: Project, tag: str) -> None:
    project.write("layout/es/footer.mjml", FOOTER.replace("{{ sender.name }}", ""))
    head = f"<{tag}>{{{{ sender.name }}}}</{tag}>"
    project.body(BODY.replace("<mj-preview>In short</mj-preview>", head).replace("TEXT", TEXT))
    assert project.problems() == [not_always_shown("sender.name")]


@pytest.mark.parametrize("link", ['<a href="{{ unsubscribe_url }}"> </a>', '<a href="{{ unsubscribe_url }}"></a>Stop'])
def test_an_opt_out_without_a_word_to_click_on_is_told(project: Project, link: str) -> None:
    project.write("layout/es/footer.mjml", FOOTER.replace('<a href="{{ unsubscribe_url }}">Stop</a>', link))
    assert project.problems() == [not_always_shown("unsubscribe_url")]


@pytest.mark.parametrize("name", ["{{ sender.name|upper }}", "{{ 'From ' ~ sender.name }}", "<b>{{ sender.name }}</b>"])
def test_a_sender_may_be_named_in_any_form(project: Project, name: str) -> None:
    project.write("layout/es/footer.mjml", FOOTER.replace("{{ sender.name }}", name))
    assert project.problems() == []


def test_a_transactional_message_needs_no_opt_out(project: Project) -> None:
    project.write("trial/tip/message.toml", 'class = "transactional"\ntopic = "receipts"\n')
    project.write("layout/es/footer.mjml", "<mj-section></mj-section>")
    assert project.problems() == []


def test_a_message_that_the_flow_sends_and_nobody_wrote_is_told(project: Project) -> None:
    assert project.problems("tip", "case-study") == [
        "emails/trial/case-study is missing, but trial sends it: add it or edit the flow"
    ]


def test_a_setting_that_hides_part_of_the_context_is_told(project: Project) -> None:
    class Shadowing(TrialSettings):
        sender: str = "me"

    assert project.problems(settings_model=Shadowing) == [
        "Shadowing has a field sender, which means something else to templates: rename the field"
    ]


def test_all_problems_are_told_at_once(project: Project) -> None:
    class Bare(FlowSettings):
        pass

    project.write("trial/tip/es/subject.txt", "")
    project.text("{{ contact.frist_name }} {{ plan|shout }}")
    (project.root / "trial/tip/message.toml").unlink()
    problems = project.problems("tip", "case-study", settings_model=Bare)
    assert [problem.split()[0] for problem in problems] == [
        "emails/trial/case-study",
        "emails/trial/tip/message.toml",
        "emails/trial/tip/es/subject.txt",
        f"{ES}:6",
        f"{ES}:6",
        "emails/trial/tip/en/body.mjml",
        ES,
    ]
