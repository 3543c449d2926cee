from __future__ import annotations

from pathlib import Path

import pytest

from domain.flows import FlowSettings
from emails.templates import TemplateError
from emails.topics import Topics, TopicsError
from rehearsal.stage import shipped_templates
from tests.emails.project import SENDER, Project, contact
from tests.topics import topics_toml

SOUND = topics_toml("product")


def test_shipped_topics_are_sound_and_say_different_things_in_each_language() -> None:
    topics = Topics.load()
    assert list(topics) == ["newsletter", "product-news", "offers", "onboarding", "sales"]
    assert [name for name, topic in topics.items() if topic.public] == ["newsletter", "product-news", "offers"]
    for topic in topics.values():
        english, spanish = topic.text("en").model_dump(), topic.text("es").model_dump()
        assert all(english[entry] != spanish[entry] for entry in english)


def test_topics_of_a_flow_come_beside_those_of_the_project(project: Project) -> None:
    project.write("trial/topics.toml", topics_toml("trials", wording="7"))
    topics = Topics.load(project.root)
    assert list(topics) == ["product", "trials"]
    assert topics["trials"].wording == "7"
    project.write("trial/tip/message.toml", 'class = "marketing"\ntopic = "trials"\n')
    assert project.problems() == []


def test_without_any_file_there_are_no_topics(tmp_path: Path) -> None:
    assert dict(Topics.load(tmp_path)) == {}


@pytest.mark.parametrize("message_class", ["marketing", "relationship"])
def test_a_message_about_what_nobody_described_is_a_problem_and_cannot_be_sent(
    project: Project, message_class: str
) -> None:
    project.write("trial/tip/message.toml", f'class = "{message_class}"\ntopic = "gossip"\n')
    assert project.problems() == [
        "emails/trial/tip/message.toml is about gossip, which is not described as a topic: describe it in "
        "emails/topics.toml or emails/trial/topics.toml, or name one that is (product)"
    ]
    with pytest.raises(TemplateError, match="not described as a topic"):
        project.render(contact())


def test_transactional_messages_need_no_topic(project: Project) -> None:
    project.write("trial/tip/message.toml", 'class = "transactional"\ntopic = "receipts"\n')
    assert project.problems() == []


WRONG = [
    ("[product", "emails/topics.toml is not valid TOML ("),
    (SOUND.replace('wording = "1"', 'wording = "a b"'), "emails/topics.toml has a wrong product.wording (String sh"),
    (SOUND.replace('wording = "1"\n', ""), "emails/topics.toml has a wrong product.wording (Field required): mend the"),
    (SOUND.replace("public = true", 'public = "yes"'), "emails/topics.toml has a wrong product.public (Input should"),
    (SOUND.replace("public = true", "public = true\nlist = 1"), "emails/topics.toml has a wrong product.list (Extra i"),
    (SOUND.replace('title = "product"', 'title = " "'), "emails/topics.toml has a wrong product.en.title (String sho"),
    (SOUND.partition("[product.es]")[0], "emails/topics.toml has a wrong product.es (Field required): mend the entry"),
    (SOUND.replace("[product", "[Product"), "emails/topics.toml has a wrong Product (String should match pattern"),
    ('product = "news"', "emails/topics.toml has a wrong product (Input should be a valid dictionary"),
]


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_faulty_topic_is_told_where_topics_are_loaded_and_where_a_message_is_about_it(
    project: Project, text: str, told: str
) -> None:
    project.write("topics.toml", text)
    with pytest.raises(TopicsError) as refused:
        Topics.load(project.root)
    assert [problem for problem in refused.value.problems if problem.startswith(told)]
    assert [problem for problem in project.problems() if problem.startswith(told)] or "[Product" in text
    assert project.problems() != []


def test_a_topic_described_twice_is_told_to_the_flow_that_does_so(project: Project) -> None:
    project.write("trial/topics.toml", SOUND)
    told = "emails/trial/topics.toml describes product, which emails/topics.toml describes too: delete one of the two"
    assert project.problems() == [told]
    with pytest.raises(TopicsError) as refused:
        Topics.load(project.root)
    assert refused.value.problems == (told,)


def test_topics_that_are_not_utf_8_are_told(project: Project) -> None:
    (project.root / "topics.toml").write_bytes(SOUND.encode() + b"\n# caf\xe9")
    assert project.problems() == ["emails/topics.toml is not UTF-8: save it as UTF-8"]


@pytest.mark.parametrize("locale", ["en", "es"])
@pytest.mark.parametrize("message", ["confirm", "reminder"])
def test_mails_of_the_confirmation_lead_to_its_page_and_offer_no_opt_out(message: str, locale: str) -> None:
    url = "https://news.example/confirm/token"
    rendered = shipped_templates().render(
        "confirmation",
        message,
        contact=contact(locale=locale),
        sender=SENDER,
        settings=FlowSettings(),
        unsubscribe_url=None,
        links={"confirm_url": url},
    )
    assert rendered.locale == locale
    assert rendered.html.count(f'href="{url}"') == 1
    assert f"<{url}>" in rendered.text
    assert SENDER.postal_address in rendered.text
    assert "30 d" in rendered.text, "how long the link works"
    assert "nsubscribe or" not in rendered.text
