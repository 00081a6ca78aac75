"""Builds docs/meta-prompts.md: three meta-prompts of form "diagnosis", replies to them, and what is learned from these.

    python scripts/build_meta_prompts.py

`docs/meta-prompts.json` has the replies, in order. Each was written once, by a large language model that read the
request, and none may be changed or replaced. As long as one is missing, its request is printed instead, because a
request shows the texts of earlier replies. When the meta-prompt changes, empty the list, and have all three written
again, with new remarks at the end of the page.

Learning is the product's own, with the preset `api`. Only the models are doubles: the optimizer, which has the replies
(to all other draws it writes no text), and the answering model (see `Respondent`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.proposal import Round, parse_proposal
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from idiolect.models.similarity import Bm25Similarity
from idiolect.people.bundled import ATTRIBUTION, bundled_groups
from idiolect.people.splits import split_opinions
from idiolect.people.user import User

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, REPLIES = DOCS / "meta-prompts.md", DOCS / "meta-prompts.json"

PERSON = "fwc-f57d1c94"  # one of the development people; nothing is reported on them
OPINIONS = 20
SETTINGS = preset("api")


@dataclass(frozen=True)
class Draw:
    """One draw of the run: its iteration and its index there, from 0, and its heading and introduction on the page."""

    iteration: int
    index: int
    heading: str
    introduction: str


# Draw k of iteration t is of fold (k + t) mod 4 and of kind k, so all three are of fold 0, and know each other's texts.
DRAWS = (
    Draw(
        0,
        0,
        "A first draw: dispositions",
        "The only text so far is the profile prompt, and the optimizer sees what it gets wrong.",
    ),
    Draw(
        1,
        3,
        "A later draw: a biography",
        "The text that was learned from the first reply is the parent. Only its failures are shown.",
    ),
    Draw(
        2,
        2,
        "A draw without failures: departures from what one would expect",
        "The text that was learned from the second reply is the parent. The model gets everything right under it.",
    ),
)

INTRODUCTION = f"""\
# Meta-prompts and proposals

Use this page if you want to see what an optimizer is asked with the preset `api`, and what it may reply. It shows three
requests in [the form `diagnosis`](methods.md#meta-prompt-of-form-diagnosis), word for word, a reply to each, and what
Fermi learns from the reply.

- **The requests** are made by the code that learns, for one of the bundled development people with {OPINIONS} opinions.
  It is a person for whom draws of these three sorts occur. All three are draws of one fold, so they show the texts from
  earlier replies. The five opinions of that fold are [never shown to the optimizer](methods.md#crossed-scores), and
  score the new texts.
- **The replies** were written by a large language model, which also knew how this page is made: one try for each
  request, unedited and unselected. To all other draws, no text is replied.
- **The answering model is a stand-in.** Under the profile prompt it gives the most frequent rating of the other
  development people (the lowest of several). Under the text from the first reply it goes one step from there towards
  the person's own answer, under the text from the second reply two steps, whatever the texts say. So the failures are
  plausible, but the scores mean nothing: **nothing on this page says how accurate the answers under these texts are.**

`python scripts/build_meta_prompts.py` builds this page, and a test compares it with what the code renders now. The
person's answers are from {ATTRIBUTION}.
"""

REMARKS = """\
## What the replies show

- All three have the form that is asked for, and the parser takes the text in square brackets without the diagnosis.
- Two texts are a little longer than 150 words. They are accepted, because only their characters are limited
  (`meta_prompt.max_chars`).
- No text quotes a question, so all five opinions of the fold score each of them. But the texts restate answers that
  their optimizer saw in other words, the biography above all. The filter of quotations does not recognize that. It is
  what [crossed scores](methods.md#crossed-scores) are for.
- The third request shows 4 of 15 right answers, and a parent that is right on all of them. Most of what its reply says
  of other questions comes from the earlier texts.
"""


class Respondent:
    """An answering model that does not read the texts: the k-th brings it k steps nearer to the person's own answers.

    Args:
        user: the person.
        others: people whose most frequent rating it gives under the profile prompt.
        texts: learned texts, in order; None: nothing was learned from the reply.
    """

    def __init__(self, user: User, others: Sequence[User], texts: Sequence[str | None]) -> None:
        self._own = {opinion.question.text: int(opinion.answer) for opinion in user.opinions}
        self._texts = tuple(texts)
        self._ratings: dict[str, Counter[int]] = {}
        for opinion in (opinion for other in others for opinion in other.opinions):
            self._ratings.setdefault(opinion.question.text, Counter())[int(opinion.answer)] += 1

    def __call__(self, request: CompletionRequest) -> str:
        """Return the rating."""
        content = request.messages[-1].content
        question = content.rpartition("Question: ")[2].split("\n")[0]
        steps = next((k for k, text in enumerate(self._texts, 1) if text and content.startswith(text)), 0)
        ratings = self._ratings[question]
        usual = min(ratings, key=lambda rating: (-ratings[rating], rating))
        missing = self._own[question] - usual
        return str(usual + max(-steps, min(steps, missing)))


class Proposed:
    """A `CheckpointSink` that keeps what each iteration proposed, as the checkpoints have it."""

    def __init__(self) -> None:
        self.states: dict[int, Mapping[str, Any]] = {}

    def load(self) -> None:
        """Return nothing: each run starts from the beginning."""

    def save(self, payload: Mapping[str, Any]) -> None:
        """Keep the state if proposals were made last, by iteration."""
        state = payload["state"]
        if state["step"] == "score":
            self.states[len(state["history"])] = state


@dataclass(frozen=True)
class Exchange:
    """A request, its reply if there is one, and the prompt that was learned from it (a checkpoint's) if one was."""

    request: str
    reply: str | None
    prompt: Mapping[str, Any] | None


def exchanges(replies: Sequence[str]) -> list[Exchange]:
    """Learn with these replies; return the exchanges of `DRAWS` up to the first one without a reply."""
    development = bundled_groups().development
    person = next(user for user in development if user.id == PERSON)
    user = replace(person, opinions=split_opinions(person, n_train=OPINIONS).train)
    texts = [parse_proposal(reply, SETTINGS.meta_prompt) for reply in replies]
    others = [other for other in development if other.id != PERSON]
    respondent = Respondent(user, others, texts)
    key = (SETTINGS.seed, PERSON)
    places = {Round(key, draw.iteration, ()).seed(draw.index): place for place, draw in enumerate(DRAWS)}
    requests: dict[int, str] = {}

    def write(request: CompletionRequest) -> str:
        place = places.get(request.sampling.seed or 0)
        if place is None:
            return "No text."
        requests[place] = request.messages[-1].content
        return replies[place] if place < len(replies) else "No text."

    answerer = Answerer(FunctionModel("respondent", complete=respondent), SETTINGS.answering)
    optimizer, proposed = FunctionModel("replies", complete=write), Proposed()
    fermi = Fermi(answerer, SETTINGS, optimizer=optimizer, similarity=Bm25Similarity())
    asyncio.run(fermi.fit(user, checkpoints=proposed))
    found = []
    for place, draw in enumerate(DRAWS[: len(replies) + 1]):
        new = proposed.states[draw.iteration]["new"]
        reply = replies[place] if place < len(replies) else None
        found.append(Exchange(requests[place], reply, new[0]["prompt"] if new else None))
    return found


def page(replies: Sequence[str]) -> str:
    """Return the page, in Markdown, with one section for each draw."""
    parts = [INTRODUCTION]
    for number, (draw, exchange) in enumerate(zip(DRAWS, exchanges(replies), strict=True), 1):
        parts += [
            f"## {number}. {draw.heading}\n",
            f"{draw.introduction}\n",
            f"### Request {number}\n",
            _block(exchange.request),
            f"### Reply {number}\n",
            _block(exchange.reply or ""),
            f"### What is learned from reply {number}\n",
            _outcome(exchange),
        ]
    return "\n".join([*parts, REMARKS])


def _block(text: str) -> str:
    """Return a fenced block, whose long lines wrap on the site."""
    return f"```{{.text .wrapped}}\n{text}\n```\n"


def _outcome(exchange: Exchange) -> str:
    """Return what the product's parser and filter of proposals make of the reply."""
    prompt = exchange.prompt
    if prompt is None:
        return "Nothing: the proposal was rejected.\n"
    text, most = prompt["text"], SETTINGS.meta_prompt.max_chars
    quoted, known = len(prompt["quotes"]), len({*prompt["seen"], *prompt["quotes"]})
    lines = (
        f"The proposal was accepted. The text has {len(text.split())} words (at most 150 were asked for), and",
        f"{len(text)} of the {most} characters that it may have. It quotes {quoted} of the {OPINIONS} opinions, and is",
        f"scored on {OPINIONS - known}. It is stored as:",
    )
    return "\n".join([*lines, "", _block(text)])


def main() -> None:
    """Write the page, or print the request that has no reply yet."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    replies: list[str] = json.loads(REPLIES.read_text(encoding="utf-8"))
    if len(replies) < len(DRAWS):
        print(exchanges(replies)[-1].request)  # noqa: T201
    else:
        PAGE.write_text(page(replies), encoding="utf-8")


if __name__ == "__main__":
    main()
