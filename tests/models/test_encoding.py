"""Token ids of requests: what is written, scored, captured and learned follows the same prompt."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from idiolect.errors import ContextLengthError
from idiolect.models.chat_format import ChatFormat
from idiolect.models.encoding import RequestEncoder
from idiolect.models.language_model import ChoiceRequest, ChosenAnswer, CompletionRequest, SamplingParams
from idiolect.models.network import Network
from tests.models import tiny

ALWAYS_OPENS = tiny.CHATML + "{{ '<think>\n' }}"
CHOOSES = tiny.CHATML + "{% if enable_thinking is false %}<think></think>{% endif %}"


def encoder(template: str) -> RequestEncoder:
    tokenizer: Any = copy.copy(tiny.tokenizer())
    tokenizer.chat_template = template
    return RequestEncoder(ChatFormat(tokenizer), Network(tiny.llama()))


@pytest.mark.parametrize("template", [tiny.CHATML, ALWAYS_OPENS, CHOOSES], ids=["plain", "opens", "chooses"])
@pytest.mark.parametrize("prefill", ["", "I "])
def test_an_answer_is_scored_and_learned_under_the_prompt_that_it_is_written_under(template: str, prefill: str) -> None:
    encode, asked = encoder(template), tiny.ask("Do you agree?")
    request = ChoiceRequest(asked, ("agree", "disagree"), prefill)
    written = encode.prompt(CompletionRequest(asked, SamplingParams(4), prefill=prefill, thinking=False), None)
    assert encode.choices(request, None).prompt == written.prompt
    (target,) = encode.targets([ChosenAnswer(request, 1)])
    assert target.prompt == written.prompt
    if not prefill:
        text = encode.text(asked, "agree")
        assert text.ids[: text.start] == written.prompt


def test_choices_under_a_template_without_thoughts_follow_the_rendered_prompt_alone() -> None:
    asked = tiny.ask("Do you agree?")
    request = ChoiceRequest(asked, ("agree",))
    assert encoder(tiny.CHATML).choices(request, None).prompt == ChatFormat(tiny.tokenizer()).prompt_ids(asked)


def test_a_prompt_that_no_number_of_tokens_can_hold_is_refused_before_it_is_tokenized() -> None:
    tokenizer: Any = copy.copy(tiny.tokenizer())
    network = Network(tiny.llama())
    assert network.max_length is not None
    encode = RequestEncoder(ChatFormat(tokenizer), network)
    asked = tiny.ask("t" * (network.max_length * max(map(len, tokenizer.get_vocab())) + 1))
    for refused in (
        lambda: encode.prompt(CompletionRequest(asked, SamplingParams(4)), None),
        lambda: encode.choices(ChoiceRequest(asked, ("agree",)), None),
        lambda: encode.text(asked, "agree"),
    ):
        with pytest.raises(ContextLengthError, match=r"has [\d,]+ characters; the model can read at most"):
            refused()
