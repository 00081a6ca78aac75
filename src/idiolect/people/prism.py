"""PRISM: people of many countries, with which of several models' responses to their own prompts they chose.

survey.jsonl, conversations.jsonl → users, one per participant with at least one opinion

Kirk et al., The PRISM Alignment Dataset (arXiv 2404.16019); data: HannahRoseKirk/prism-alignment on Hugging Face. The
first turn of a conversation is an opinion: up to four models responded to the person's opening prompt, the person rated
each response, and the conversation went on with one of them (`if_chosen`). Later turns have two responses of this one
model, and are not read. `prism_profiles.py` makes the profile of a row of the survey. `utterances.jsonl` has the same
conversations in another form, and `metadata.jsonl` is about their texts; neither is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idiolect.errors import DatasetError
from idiolect.escaping import printable
from idiolect.people.broken_records import BrokenRecords, BrokenRecordsLog
from idiolect.people.folders import contents, entries_below
from idiolect.people.json_lines_file import read_objects
from idiolect.people.prism_profiles import is_rating, profile_of
from idiolect.people.response_choices import one_line, question_about
from idiolect.people.text_file import bare_name, present
from idiolect.people.user import Opinion, User, UserProfile, unstorable_part

SURVEY, CONVERSATIONS = "survey.jsonl", "conversations.jsonl"
INSTRUCTION = "Which of these responses to their own prompt did this person choose as the best?"
EMPTY = "EMPTY STRING"
"""What PRISM has in place of a text that is blank."""

SCORES = "scores"
"""Key of `Opinion.extra` for the person's ratings of the responses, one per choice; None where there is none."""


@dataclass(frozen=True, slots=True)
class Prism:
    """The participants that were read.

    Args:
        users: the participants in the order of their first conversation; profile from the survey; opinions with the
            extra keys "id" (the conversation) and `SCORES`.
        broken: lines and conversations that could not be read.
        not_highest: number of opinions whose chosen response was not rated highest.
        tied: number of opinions whose chosen response shares the highest rating with another one.
        left_out: number of responses that were left out because they are blank or equal to another one.
        cut: number of prompts and responses that were cut.
        without_survey: number of participants who are not in the survey, and have no profile.
    """

    users: tuple[User, ...]
    broken: BrokenRecords
    not_highest: int = 0
    tied: int = 0
    left_out: int = 0
    cut: int = 0
    without_survey: int = 0


def read_prism(path: Path) -> Prism:
    """Read the participants with their choices.

    Args:
        path: the folder with `survey.jsonl` and `conversations.jsonl`, a folder somewhat above it, or one of the files.

    Raises:
        DatasetError: a file is missing or not in the published layout, or nobody has a valid conversation.
    """
    conversations, survey = _files(path)
    counts = _Counts()
    opinions: dict[str, list[Opinion]] = {}
    keys = ("user_id", "conversation_id", "conversation_history")
    for place, value in read_objects(conversations, counts.log, *keys):
        try:
            user, opinion = _text(value, "user_id"), counts.opinion(value)
        except ValueError as error:
            counts.log.add(place, str(error))
        else:
            opinions.setdefault(user, []).append(opinion)
    if not opinions:
        broken = f"{counts.log.count} broken records"
        raise DatasetError(f"{printable(conversations.name)}: nobody has a valid conversation ({broken})")
    profiles = _profiles(survey, counts.log)
    users = tuple(User(key, profiles.get(key, UserProfile()), given) for key, given in opinions.items())
    without = sum(key not in profiles for key in opinions)
    return Prism(
        users, counts.log.records, counts.not_highest, counts.tied, counts.left_out, counts.cut, without_survey=without
    )


def _files(path: Path) -> tuple[Path, Path]:
    """Return the conversations and the survey beside them."""
    if path.is_dir():
        found = entries_below(path, lambda entry: bare_name(entry) == CONVERSATIONS and entry.is_file())
        if not found:
            raise DatasetError(f"{printable(str(path))}: contains no {CONVERSATIONS}; {contents(path)}")
        folder = found[0].parent
    elif bare_name(path) in (CONVERSATIONS, SURVEY):
        folder = path.parent
    else:
        what = "is not a file of PRISM" if present(path) else "there is no such file or folder"
        raise DatasetError(f"{printable(str(path))}: {what}; expected the folder with {SURVEY} and {CONVERSATIONS}")
    files = [present(folder / name) for name in (CONVERSATIONS, SURVEY)]
    if files[0] is None or files[1] is None:
        missing = CONVERSATIONS if files[0] is None else SURVEY
        raise DatasetError(f"{printable(str(folder))}: has no {missing}, which belongs there; {contents(folder)}")
    return files[0], files[1]


def _profiles(survey: Path, log: BrokenRecordsLog) -> dict[str, UserProfile]:
    found: dict[str, UserProfile] = {}
    for place, value in read_objects(survey, log, "user_id"):
        try:
            key = _text(value, "user_id")
            if key in found:
                raise ValueError("its user_id is that of an earlier line")
            found[key] = profile_of(value)
        except ValueError as error:
            log.add(place, str(error))
    return found


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text.strip() or unstorable_part(text):
        raise ValueError(f"its {key} is missing, blank or cannot be stored")
    return text.strip()


@dataclass(frozen=True, slots=True)
class _Response:
    text: str
    score: int | float | None
    chosen: bool


@dataclass(slots=True)
class _Counts:
    """A reader of conversations that counts what is remarkable about them."""

    log: BrokenRecordsLog = field(default_factory=BrokenRecordsLog)
    not_highest: int = 0
    tied: int = 0
    left_out: int = 0
    cut: int = 0

    def opinion(self, value: Mapping[str, Any]) -> Opinion:
        """Return the choice in the first turn of a conversation.

        Raises:
            ValueError: there is none.
        """
        conversation = _text(value, "conversation_id")
        prompt, responses = _first_turn(value.get("conversation_history"))
        if sum(each.chosen for each in responses) != 1:
            raise ValueError("not exactly one response of its first turn is chosen")
        chosen = next(each for each in responses if each.chosen)
        if not chosen.text or sum(each.text == chosen.text for each in responses) > 1:
            raise ValueError("the chosen response of its first turn is blank, or equal to another one")
        shown = list({each.text: each for each in responses if each.text}.values())
        built = question_about(INSTRUCTION, "Prompt", prompt, [each.text for each in shown])
        answer = built.question.choices[shown.index(chosen)]
        opinion = Opinion(built.question, answer, {"id": conversation, SCORES: [each.score for each in shown]})
        self.left_out += len(responses) - len(shown)
        self.cut += built.cut
        self._compare(chosen, [each.score for each in shown if not each.chosen and each.score is not None])
        return opinion

    def _compare(self, chosen: _Response, others: list[int | float]) -> None:
        if chosen.score is not None and others:
            self.not_highest += chosen.score < max(others)
            self.tied += chosen.score == max(others)


def _first_turn(history: object) -> tuple[str, list[_Response]]:
    if not isinstance(history, list):
        raise ValueError("its conversation_history is not a list")
    turns = [each for each in history if isinstance(each, dict) and each.get("turn") == 0]
    prompts = [_content(each) for each in turns if each.get("role") == "user"]
    if len(prompts) != 1 or not prompts[0]:
        raise ValueError("its first turn has no prompt, or several")
    return prompts[0], [_response(each) for each in turns if each.get("role") == "model"]


def _content(turn: Mapping[str, Any]) -> str:
    content = turn.get("content")
    if not isinstance(content, str):
        raise ValueError("the content of its first turn is not text")
    text = one_line(content)
    return "" if text == EMPTY else text


def _response(turn: Mapping[str, Any]) -> _Response:
    score, chosen = turn.get("score"), turn.get("if_chosen")
    if not isinstance(chosen, bool):
        raise ValueError("a response of its first turn has no if_chosen that is true or false")
    return _Response(_content(turn), score if is_rating(score) else None, chosen)
