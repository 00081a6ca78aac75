"""A learned prompt, told to people and machines: who wrote it, its words, its examples, and the failures behind it."""

from __future__ import annotations

from typing import Any

from idiolect.cli.terminal import one_line, print_wrapped
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization

_SHOWN = 3
_SHOWN_CHARACTERS = 200
_ORIGINS = {
    "initial": "the one that learning starts from",
    "llm": "written by the optimizer",
    "demonstrations": "composed of examples",
}


def origin(prompt: ScoredPrompt) -> str:
    """Who wrote it, in words."""
    return _ORIGINS[prompt.prompt.origin]


def prompt_json(prompt: ScoredPrompt, learned: FermiPersonalization) -> dict[str, Any]:
    """Everything about the prompt; `score` is None while it is not scored on all opinions."""
    opinions = learned.opinions
    return {
        "origin": prompt.prompt.origin,
        "text": prompt.prompt.text,
        "examples": [
            {"question": opinions[index].question.text, "answer": opinions[index].answer}
            for index in prompt.prompt.demonstrations
        ],
        "score": prompt.score if prompt.complete else None,
        "failures": [
            {
                "question": opinions[failure.index].question.text,
                "answer": opinions[failure.index].answer,
                "response": failure.response,
            }
            for failure in prompt.prompt.driven_by
        ],
    }


def print_prompt(prompt: ScoredPrompt, learned: FermiPersonalization, *, indent: int = 2) -> None:
    """Its words, some of its examples, and some of the failures that drove it."""
    opinions = learned.opinions
    print_wrapped(prompt.prompt.text or "(no instruction)", indent=indent, style="green")
    if shown := prompt.prompt.demonstrations:
        print_wrapped(_counted(len(shown), "of the person's answers as example"), indent=indent)
        examples = [f"{_cut(opinions[i].question.text)} → {_cut(opinions[i].answer)}" for i in shown]
        _print_some(examples, indent=indent + 2)
    if driven_by := prompt.prompt.driven_by:
        print_wrapped(_counted(len(driven_by), "wrong answer") + " led to it", indent=indent)
        failures = [
            f"{_cut(opinions[f.index].question.text)} → the model said {_cut(f.response) or 'nothing'}, "
            f"the person {_cut(opinions[f.index].answer)}"
            for f in driven_by
        ]
        _print_some(failures, indent=indent + 2)


def _print_some(lines: list[str], *, indent: int) -> None:
    for line in lines[:_SHOWN]:
        print_wrapped(f"- {line}", indent=indent)
    if len(lines) > _SHOWN:
        print_wrapped(f"- and {len(lines) - _SHOWN} more", indent=indent)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _cut(text: str) -> str:
    return one_line(text, limit=_SHOWN_CHARACTERS)
