"""What an optimizer's request shows: the text to improve, and the person's answers with the model's responses.

Everything comes out of the request's characters. Nothing that a request does not show can be read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from simulated_models.language import CHOICES, items_in, named_choice

_CHOICE = "|".join(CHOICES)
_PROMPT = re.compile(r'<prompt number="\d+" score="(?P<score>\d+)">\n(?P<body>.*?)</prompt>', re.DOTALL)
_FAILURE = re.compile(r'<failure number="(?P<number>\d+)">\n(?P<body>.*?)</failure>', re.DOTALL)
_ANSWERED = re.compile(rf"^(?:Person's answer|Answer): ({_CHOICE})", re.MULTILINE)
_RESPONDED = re.compile(
    r"^(?:Answer under this text|Model's answer|Model's answer, wrong): (.*?)\s*\Z", re.MULTILINE | re.DOTALL
)
_OTHERS = re.compile(r"<(?:opinion|example)>\n(?P<body>.*?)</(?:opinion|example)>", re.DOTALL)
_NUMBERED = re.compile(r'<opinion number="(?P<number>\d+)">\n(?P<body>.*?)</opinion>', re.DOTALL)
_HOW_MANY = re.compile(r"^State (\d+) dispositions", re.MULTILINE)
_COMMON = re.compile(r"Also wrong under this text, of the numbered ones above: ([\d, ]+)\.")
_TEXT_ENDS = re.compile(r"\n(?:With this text these|Also wrong under|None of the numbered|Further wrong answers)")
_FEEDBACK = re.compile(rf"Wrong\. The person said: ({_CHOICE})")
_RIGHT = "Right: the person said the same."
_GENERATED = re.compile(r"## Generated Outputs\n(.*?)\n\n## Feedback", re.DOTALL)
_SESSION = re.compile(r"<session_(\w+)>\n(?P<body>.*?)</session_\1>", re.DOTALL)
_MODEL_SAID = re.compile(r"=+ Ai Message =+\s*(.*?)\s*(?:Feedback for session|\Z)", re.DOTALL)
_CURRENT = re.compile(r"<current_prompt>\n(.*?)\n</current_prompt>", re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """One of the person's answers, as a request shows it; `wrong` if the model's response is shown to be wrong.

    Only a request for dispositions numbers the answers.
    """

    item: str
    answer: int
    response: str | None = None
    wrong: bool = False
    number: int = 0


@dataclass(frozen=True)
class Seen:
    """What a request shows.

    Args:
        text: the text to improve.
        shown: answers of the person.
        about_scale: the request asks for a text about the use of the scale.
        scores_only: the request says nothing of what was wrong.
        fenced: the reply is to stand between backticks.
        dispositions: number of dispositions that are asked for instead of a text.
    """

    text: str
    shown: tuple[Shown, ...]
    about_scale: bool = False
    scores_only: bool = False
    fenced: bool = False
    dispositions: int = 0


def read(content: str) -> Seen:
    """What a request shows, whoever sent it.

    Raises:
        ValueError: it is a request of another kind.
    """
    if content.startswith("I provided an assistant with the following instructions"):
        return _gepa(content)
    if "<current_prompt>" in content:
        return _langmem(content)
    if content.startswith("You describe one particular person"):
        return _dispositions(content)
    if content.startswith("You improve the text"):
        return _diagnosis(content)
    if "<memory>" in content:
        return _paper(content)
    raise ValueError(f"a request that no simulated optimizer knows: {content[:60]!r}")


def _paper(content: str) -> Seen:
    prompts = [(int(match["score"]), match["body"]) for match in _PROMPT.finditer(content)]
    best = max(prompts, key=lambda each: each[0])[1]
    # Where every text shows its failures, those of others say nothing about the best one.
    failures = _failures(best) or _failures(content)
    common = _COMMON.search(best)
    wanted = {int(number) for number in common[1].split(",")} if common else set(failures)
    others = [_shown(match["body"], wrong=False) for match in _OTHERS.finditer(content)]
    shown = [*(each for number, each in failures.items() if number in wanted), *others]
    scores_only = "Learn from the wrong answers" not in content
    return Seen(_TEXT_ENDS.split(best)[0].strip(), tuple(filter(None, shown)), scores_only=scores_only)


def _failures(content: str) -> dict[int, Shown | None]:
    return {int(match["number"]): _shown(match["body"], wrong=True) for match in _FAILURE.finditer(content)}


def _diagnosis(content: str) -> Seen:
    first = _PROMPT.search(content)
    assert first is not None
    failures = [_shown(match["body"], wrong=True) for match in _FAILURE.finditer(content)]
    others = [_shown(match["body"], wrong=False) for match in _OTHERS.finditer(content)]
    about_scale = "Write about how this person uses the choices" in content
    return Seen(first["body"].strip(), tuple(filter(None, [*failures, *others])), about_scale=about_scale)


def _dispositions(content: str) -> Seen:
    shown = []
    for match in _NUMBERED.finditer(content):
        one = _shown(match["body"], wrong="Model's answer, wrong: " in match["body"])
        if one is not None:
            shown.append(replace(one, number=int(match["number"])))
    asked = _HOW_MANY.search(content)
    assert asked is not None
    return Seen("", tuple(shown), dispositions=int(asked[1]))


def _shown(body: str, *, wrong: bool) -> Shown | None:
    items, answer, response = items_in(body), _ANSWERED.search(body), _RESPONDED.search(body)
    if not items or answer is None:
        return None
    return Shown(items[0], CHOICES.index(answer[1]), response[1] if response else None, wrong)


def _gepa(content: str) -> Seen:
    text = content.split("```\n", 2)[1].strip()
    shown = []
    for block in content.split("# Example ")[1:]:
        said = _GENERATED.search(block)
        shown.append(_judged(block, said[1] if said else ""))
    return Seen(text, tuple(filter(None, shown)), fenced=True)


def _langmem(content: str) -> Seen:
    current = _CURRENT.search(content)
    assert current is not None
    shown = []
    for match in _SESSION.finditer(content):
        said = _MODEL_SAID.search(match["body"])
        shown.append(_judged(match["body"], said[1] if said else ""))
    return Seen(current[1].strip(), tuple(filter(None, shown)))


def _judged(block: str, response: str) -> Shown | None:
    """An answer from feedback, which states the person's if the response is wrong; otherwise it is the response's."""
    items, feedback = items_in(block), _FEEDBACK.search(block)
    if not items:
        return None
    if feedback is not None:
        return Shown(items[0], CHOICES.index(feedback[1]), response, wrong=True)
    right = named_choice(response) if _RIGHT in block else None
    return None if right is None else Shown(items[0], right, response)
