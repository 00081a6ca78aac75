"""What is handed out while a text is written: never a thought, half of a stop string, or something taken back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.models.streamed_text import StreamedText
from idiolect.models.thoughts import after_thoughts


def handed_out(pieces: Sequence[str], *, stop: tuple[str, ...] = (), opened: bool = False) -> list[str]:
    """What is handed out after each piece; the last entry is the rest at the end."""
    text = StreamedText(stop=stop, opened=opened)
    out = [text.add(piece) for piece in pieces]
    out.append(text.end(whole("".join(pieces), stop=stop, opened=opened)))
    assert "".join(out) == text.said
    return out


def whole(written: str, *, stop: tuple[str, ...] = (), opened: bool = False) -> str:
    """As a model's `complete` reads it."""
    text = after_thoughts(written, opened=opened).text
    ends = [at for each in stop if (at := text.find(each)) >= 0]
    return text[: min(ends)] if ends else text


def chopped(text: str, size: int) -> list[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


THOUGHTFUL = (
    "<think>I wonder.</think>Tea, I think.",
    "<think>\nI wonder. Is x < y?\n</think>\n\nTea, I think.\n\nAnd [more](url).",
    '<details type="reasoning" done="true">\nhm\n</details>\nTea.',
    "[THINK]I wonder[/THINK]Tea, I think.",
    "◁think▷I wonder◁/think▷Tea, I think.",
    "<|channel|>analysis<|message|>I wonder<|end|><|start|>assistant<|channel|>final<|message|>Tea, I think.<|return|>",
    "analysisI wonder. Tea?assistantfinalTea, I think.",
    "Thinking...\nI wonder.\n...done thinking.\n\nTea, I think.",
    "Here is my thought process:\nI wonder.\nHere is my response:\nTea, I think.",
    "<|begin_of_thought|>I wonder<|end_of_thought|><|begin_of_solution|>Tea, I think.<|end_of_solution|>",
    "<think>I wonder, and do not come to an end",
    "Thinking... is what I do best.",
    "Analysis shows: tea. <b>Tea</b> if x < y, [then] <a href='u'>so</a>.",
    "   \n Tea.  ",
    "Tea, I think. <think>Or not?</think>",
)


@pytest.mark.parametrize("written", THOUGHTFUL)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_pieces_are_what_is_said_after_the_thoughts(written: str, size: int) -> None:
    out = handed_out(chopped(written, size))
    assert "".join(out) == whole(written)
    assert "wonder" not in "".join(out)


def test_words_are_handed_out_before_the_end() -> None:
    """All but what may still become something else."""
    assert handed_out(["Te", "a, ", "I think", "."]) == ["Te", "a,", " I think", ".", ""]
    assert handed_out(["<think>no</think>", "Yes", " it", " is"]) == ["", "Yes", " it", " is", ""]
    assert handed_out(["<|channel|>final<|message|>Yes", " it", " is"]) == ["Yes", " it", " is", ""]


def test_a_character_is_handed_out_when_it_is_whole() -> None:
    assert handed_out(["Caf\ufffd"])[0] == "Caf"
    assert handed_out(["\ud83d"])[0] == ""


@pytest.mark.parametrize("size", [1, 2, 5])
def test_no_part_of_a_stop_string_is_handed_out(size: int) -> None:
    out = handed_out(chopped("One. Two.\nEND\nThree", size), stop=("\nEND\n", "Four"))
    assert "".join(out) == "One. Two."
    assert "".join(handed_out(chopped("One.\nEN", size), stop=("\nEND\n",))) == "One.\nEN"
    assert handed_out(["One.\nEN", "T"], stop=("\nEND\n",)) == ["One.", "\nENT", ""]


@pytest.mark.parametrize("size", [1, 4])
def test_a_stop_string_in_a_thought_ends_nothing(size: int) -> None:
    out = handed_out(chopped("<think>One. STOP</think>Two. STOP Three", size), stop=("STOP",))
    assert "".join(out) == "Two. "


@pytest.mark.parametrize("size", [1, 5, 400])
def test_a_thought_that_the_prompt_has_opened_is_not_handed_out(size: int) -> None:
    written = "I wonder. " * 20 + "</think>\n\nTea."
    assert "".join(handed_out(chopped(written, size), opened=True)) == "Tea."
    assert "".join(handed_out(chopped("I wonder", size), opened=True)) == ""


def test_words_that_turn_out_to_be_a_thought_stay_and_the_answer_follows() -> None:
    """Nobody can take them back from a reader; a model that does so is remembered (`retracted`)."""
    text = StreamedText()
    out = text.add("I wonder.") + text.add("</think>") + text.add("Tea.")
    assert out == "I wonder."
    assert text.end("Tea.") == "\n\nTea."
    assert (text.said, text.retracted) == ("I wonder.\n\nTea.", True)
    plain = StreamedText()
    plain.add("Tea.")
    assert (plain.end("Tea."), plain.retracted) == ("", False)


def test_a_withheld_answer_leaves_what_was_said() -> None:
    text = StreamedText()
    text.add("Tea is made")
    assert text.end("") == ""
    assert (text.said, text.retracted) == ("Tea is made", False)


_WRITTEN = st.lists(
    st.sampled_from(
        ["Tea", " ", "\n", "<", ">", "<th", "ink>", "[", "]", "STOP", "ST", "é", "雨", "analysis", "Thinking", "..."]
    )
)


@given(_WRITTEN, st.integers(1, 9))
def test_pieces_of_any_text_without_a_closing_mark_are_its_beginning(parts: list[str], size: int) -> None:
    written = "".join(parts)
    out = handed_out(chopped(written, size), stop=("STOP",))
    assert "".join(out) == whole(written, stop=("STOP",))
    assert "STOP" not in "".join(out)
