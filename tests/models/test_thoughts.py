"""What is said after the thoughts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.models.thoughts import Spoken, after_thoughts, closing_mark, opens_thought

SAID = Spoken("Oats", thought=True)
CUT_OFF = Spoken("", thought=True, cut_off=True)


@pytest.mark.parametrize(
    "text",
    [
        "<think>Rye? Or oats.</think>Oats",
        "<think>\n\n</think>\n\nOats",
        "<THINK>Rye?</THINK> Oats",
        "Rye, perhaps.\n</think>\n\nOats",
        "<think>one</think>\n<think>two, rye</think>\nOats",
        "<think>a <think>nested</think> thought, rye</think>Oats",
        "<thinking>Rye</thinking>\nOats",
        "<thought>Rye</thought>\nOats",
        "<reasoning>Rye</reasoning>\nOats",
        "<seed:think>Rye</seed:think>Oats",
        "<longcat_think>Rye</longcat_think>Oats",
        '<think duration="3">Rye</think>Oats',
        "Here is my thought process:\nRye?\n\nHere is my response:\nOats",
        '<details type="reasoning" done="true">\n<summary>Thought</summary>\n> Rye\n</details>\nOats',
        "[THINK]Rye[/THINK]Oats",
        "◁think▷Rye◁/think▷Oats",
        "<|begin_of_thought|>Rye<|end_of_thought|>\n<|begin_of_solution|>Oats<|end_of_solution|>",
        "<|START_THINKING|>Rye<|END_THINKING|><|START_RESPONSE|>Oats<|END_RESPONSE|>",
        "<|channel>thought\nRye<channel|>Oats",
        "<|channel|>analysis<|message|>Rye<|end|><|start|>assistant<|channel|>final<|message|>Oats<|return|>",
        "<|channel|>commentary<|message|>Rye<|end|><|channel|>final <|constrain|>text<|message|>Oats",
        "analysisThe user may want rye.assistantfinalOats",
        "Thinking...\nRye?\n...done thinking.\n\nOats",
        "Oats\n<reasoning>Rye is nice, too.</reasoning>",
    ],
)
def test_no_word_of_a_thought_is_said(text: str) -> None:
    spoken = after_thoughts(text)
    assert Spoken(spoken.text.strip(), spoken.thought, spoken.cut_off) == SAID


@pytest.mark.parametrize(
    "text",
    [
        "<think>Rye? Or",
        "<think>",
        "<think>one</think><think>rye",
        "[THINK]Rye",
        "◁think▷Rye",
        "<seed:think>Rye",
        "<longcat_think>Rye",
        "Here is my thought process:\nRye",
        '<details type="reasoning" done="false">\n> Rye',
        "<|channel|>analysis<|message|>Rye would be",
        "Thinking...\nRye",
        "<|begin_of_thought|>Rye",
    ],
)
def test_thoughts_that_do_not_end_say_nothing(text: str) -> None:
    assert after_thoughts(text) == CUT_OFF


def test_a_prompt_may_have_opened_the_thought() -> None:
    assert opens_thought("<|im_start|>assistant\n<think>\n")
    assert not opens_thought("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert after_thoughts("Rye, or", opened=True) == CUT_OFF
    assert after_thoughts("Rye</think>Oats", opened=True) == SAID


@pytest.mark.parametrize(
    "text",
    ["Oats", "I think oats.", " Oats ", "", "analysis of oats", "Thinking of oats", "<b>Oats</b>", "<reason why>"],
)
def test_text_without_thoughts_stays_as_it_is(text: str) -> None:
    assert after_thoughts(text) == Spoken(text)


def test_only_the_final_channel_is_said() -> None:
    assert after_thoughts("<|channel|>final<|message|>Oats") == Spoken("Oats")
    assert after_thoughts("<|channel|>analysis<|message|>Rye<|end|>").cut_off


@given(st.text(), st.text())
def test_what_follows_a_closed_thought_is_what_is_said(thought: str, said: str) -> None:
    text = f"<think>{thought}</think>{said}"
    if said.strip() and "<|channel|>" not in text and "<" not in said and "[" not in said:
        assert after_thoughts(text).text.strip() == said.strip()


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "<|channel|>",
        "<",
        "analysis",
        "Thinking...\n",
        "[THINK]x[/THINK]",
        "<think a=",
        "<details type=reasoning>",
    ],
)
def test_long_texts_take_no_time(piece: str) -> None:
    start = time.perf_counter()
    after_thoughts(piece * (100_000 // len(piece)))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("prompt", "closing"),
    [
        ("assistant\n<think>\n", "</think>"),
        ('<thinking mode="fast">', "</thinking>"),
        ("<seed:think>", "</seed:think>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|begin_of_thought|>\n", "<|end_of_thought|>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<|think|>", "<|/think|>"),
        ("<unused94>", "<unused95>"),
        ("<|channel>thought\n", "<channel|>"),
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        ("assistant\n", ""),
        ("<think>\n\n</think>\n\n", ""),
        ("I <think> so", ""),
    ],
)
def test_a_thought_that_a_prompt_opens_can_be_closed(prompt: str, closing: str) -> None:
    assert closing_mark(prompt) == closing
    if closing:
        assert after_thoughts(f"{closing}\n\nOats", opened=True).text == "Oats"
