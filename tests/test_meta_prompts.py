"""The page of meta-prompts and proposals: its requests are those that the code renders now."""

from __future__ import annotations

import json
import re

import pytest

from idiolect.methods.fermi.proposal import parse_proposal
from scripts.build_meta_prompts import DRAWS, PAGE, REPLIES, SETTINGS, Exchange, exchanges, page

REPLIED: list[str] = json.loads(REPLIES.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def shown() -> list[Exchange]:
    """What the code asks and learns now."""
    return exchanges(REPLIED)


def test_page_is_what_the_code_renders_now() -> None:
    """If this fails after a change to the meta-prompt, have the replies written again: see the script."""
    assert page(REPLIED) == PAGE.read_text(encoding="utf-8")


def test_requests_are_of_the_three_sorts(shown: list[Exchange]) -> None:
    profile, later, without = (exchange.request for exchange in shown)
    first = [re.findall(r'<prompt number="1" score="\d+">\n(.+)\n', request) for request in (profile, later, without)]
    texts = [parse_proposal(reply, SETTINGS.meta_prompt) for reply in REPLIED]
    assert first == [["A person can be described as follows:"], [texts[0]], [texts[1]]]
    assert [request.count("<failure ") > 0 for request in (profile, later, without)] == [True, True, False]
    assert "all of its answers were right" in without
    subjects = ("general dispositions", "short biography", "differs from what one would expect")
    for subject, exchange in zip(subjects, shown, strict=True):
        assert re.search(rf"^Write .*{subject}", exchange.request, re.MULTILINE)


def test_what_is_learned_is_the_text_in_square_brackets(shown: list[Exchange]) -> None:
    learned = [exchange.prompt["text"] for exchange in shown if exchange.prompt is not None]
    assert learned == [reply[reply.index("[") + 1 : reply.index("]")] for reply in REPLIED]


def test_next_request_is_rendered_before_there_is_a_reply(shown: list[Exchange]) -> None:
    """Replies are written one after the other, and each request is what the page shows in the end."""
    for n in range(len(DRAWS)):
        last = exchanges(REPLIED[:n])[-1]
        assert (last.request, last.reply, last.prompt) == (shown[n].request, None, None)


def test_nothing_is_learned_from_a_reply_without_brackets(shown: list[Exchange]) -> None:
    first, second = exchanges(["The person likes food."])
    assert (first.request, first.prompt) == (shown[0].request, None)
    assert "<failure " in second.request
    assert "The person likes food." not in second.request
