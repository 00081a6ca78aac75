"""A planted world in which Fermi's claim can be checked, because the truth is known. Never reported as a result.

A simulated respondent has one hidden preference per topic. The answering model follows a prompt exactly as far as it
names preferences ("tea means amber"), of which it remembers only the last few it reads; otherwise it takes the first
choice, which is never right. The optimizer is a reader of meta-prompts with these abilities and no others:

- from a failure shown in full it infers one preference (the topic and what the person said);
- it extends the best prompt *whose failures it is told*, in full or by index, by at most two preferences a draw
  (it can't tell from a prompt's text what that prompt gets wrong);
- it reads only so many characters; what lies beyond is lost on it;
- scores tell it which prompt is best, never what the person prefers: without failures it guesses.

Another optimizer memorizes: it writes down what the person answered in each case that it sees, in other words than the
question's, and infers nothing. Its texts are right on what it saw, and worth nothing on any other case.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from idiolect import Opinion, Question, User
from idiolect.models.language_model import Completion, CompletionRequest, Usage
from idiolect.models.similarity import FloatArray

TOPICS = ("tea", "shoes", "music", "travel", "gardens", "books", "cheese", "weather",
          "sports", "films", "pets", "cars")  # fmt: skip
_NAMES = """
amber basalt cedar dune ember fjord grove heath indigo jade kelp lilac maple nectar
olive pearl quartz reed sage topaz umber violet willow yarrow zinc
"""
OPTIONS = ("none", *_NAMES.split())
KEPT = 8  # preferences of a prompt that the answering model keeps: one prompt can't serve all twelve topics
RULES_PER_DRAW = 2
READS_CHARACTERS = 8000

_RULE = re.compile(r"(\w+) means (\w+)")
_EXAMPLE = re.compile(r"Question: About (\w+), case \d+[^\n]*\n(?:Choices:[^\n]*\n)?Answer: (\w+)")
_ASKED = re.compile(r"Question: About (\w+), case (\d+)")
_MEMORIZED = re.compile(r"(\w+)/(\d+) was (\w+)")
_SHOWN = re.compile(r"Question: About (\w+), case (\d+)[^\n]*\n(?:Choices:[^\n]*\n)?(?:Person's answer|Answer): (\w+)")


def question(topic: str, case: int) -> Question:
    """A case of a topic."""
    return Question(f"About {topic}, case {case}: what do you choose?", OPTIONS)


@dataclass(frozen=True)
class Respondent:
    """The person: hidden preferences, training opinions and test questions with the right answers."""

    user: User
    preferences: dict[str, str]
    test: tuple[Opinion, ...]


def respondent(seed: int, *, train_cases: int = 3, test_cases: int = 2) -> Respondent:
    """A person with seeded preferences."""
    rng = random.Random(seed)
    preferences = {topic: rng.choice(OPTIONS[1:]) for topic in TOPICS}

    def cases(first: int, n: int) -> tuple[Opinion, ...]:
        return tuple(Opinion(question(t, c), preferences[t]) for c in range(first, first + n) for t in TOPICS)

    train = cases(0, train_cases)
    return Respondent(User(f"planted-{seed}", opinions=train), preferences, cases(train_cases, test_cases))


class AnsweringModel:
    """Follows a prompt as far as it names the preference, in words or by example."""

    name = "planted-answering"

    def __init__(self, *, keeps: int = KEPT) -> None:
        self.keeps = keeps
        self.calls = 0

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Greedy answers."""
        self.calls += len(requests)
        return [Completion(self._answer(r.messages[-1].content), "stop", Usage(1, 100, 1, 100)) for r in requests]

    def _answer(self, content: str) -> str:
        asked, case = _ASKED.findall(content)[-1]
        prompt = content[: content.rindex("Question:")]
        memorized = {(topic, number): option for topic, number, option in _MEMORIZED.findall(prompt)}
        if (asked, case) in memorized:
            return memorized[asked, case]
        named = sorted((*_RULE.finditer(prompt), *_EXAMPLE.finditer(prompt)), key=lambda match: match.start())
        kept: dict[str, str] = {match[1]: match[2] for match in named[-self.keeps :]}
        return kept.get(asked, OPTIONS[0])


class Optimizer:
    """Infers preferences from failures shown in full, and from nothing else."""

    name = "planted-optimizer"

    def __init__(self, *, reads: int = READS_CHARACTERS) -> None:
        self.reads = reads
        self.longest = 0

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """One proposal a draw, in square brackets."""
        return [Completion(self._propose(r), "stop", Usage(1, 1000, 50, 1000)) for r in requests]

    def _propose(self, request: CompletionRequest) -> str:
        content = request.messages[-1].content
        self.longest = max(self.longest, len(content))
        rng = random.Random(request.sampling.seed)
        prompts = re.findall(r'<prompt number="\d+" score="(\d+)">\n(.*?)</prompt>', content[: self.reads], re.DOTALL)
        told = [p for p in prompts if "<failure" in p[1] or "Also wrong" in p[1]] or prompts
        best = max(told, key=lambda p: int(p[0]))[1] if told else ""
        failures = {
            int(number): (topic, said)
            for _, body in prompts
            for number, topic, said in re.findall(
                r'<failure number="(\d+)">\nQuestion: About (\w+),[^\n]*\nPerson\'s answer: (\w+)', body
            )
        }
        common = re.search(r"Also wrong under this text[^:]*: ([\d, ]+)\.", best)
        own = {int(n) for n in re.findall(r'<failure number="(\d+)">', best)}
        useful = {int(n) for n in common[1].split(",")} if common else own
        known = [failures[n] for n in sorted(failures) if n in useful] or [failures[n] for n in sorted(failures)]
        topics = sorted(set(known)) or [(t, rng.choice(OPTIONS[1:])) for t in rng.sample(TOPICS, RULES_PER_DRAW)]
        added = rng.sample(topics, min(RULES_PER_DRAW, len(topics)))
        rules = _RULE.findall(best.split("\n")[0]) + added
        return "Reasoning. [" + "; ".join(f"{topic} means {option}" for topic, option in rules) + "]"


class MemorizingOptimizer:
    """Writes every answer that it can read into its text, in other words, and infers nothing."""

    name = "planted-memorizer"

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """One proposal a draw; those of a draw differ in nothing but a number."""
        return [Completion(self._propose(r), "stop", Usage(1, 1000, 50, 1000)) for r in requests]

    def _propose(self, request: CompletionRequest) -> str:
        content = request.messages[-1].content
        seen = dict.fromkeys((*_MEMORIZED.findall(content), *_SHOWN.findall(content)))
        facts = "; ".join(f"{topic}/{case} was {option}" for topic, case, option in seen)
        return f"[Version {request.draw} of what is known: {facts}]"


class TopicSimilarity:
    """1 for the same topic, else 0."""

    name = "planted-topics"

    async def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> FloatArray:
        """Shape (queries, documents)."""

        def topic(text: str) -> str:
            return text.split()[1]

        rows = [[float(topic(q) == topic(d)) for d in documents] for q in queries]
        return np.array(rows, dtype=np.float32).reshape(len(queries), len(documents))
