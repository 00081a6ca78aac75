"""What an evaluation writes down: a line for every answer, and one for every time that a method learned from a person.

    runner → AnswerRecord, LearningRecord → JSON lines → summary → tables, report

An `Arm` is what gives one column of a table: a method, as it learned from so many opinions with one seed, whether from
the person themself or from somebody else (the control). `from_json` raises a `KeyError` or
`TypeError` for what `to_json` does not give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from idiolect.models.language_model import Usage

Control = Literal["own", "another's"]
Status = Literal["scored", "unparsed", "not scored"]


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """What is compared.

    Args:
        method: its name, with settings that differ from its own in brackets: "fermi", "fermi[iterations=2]".
        control: "own", or "another's": learned from the next person instead.
        n_train: learned from the first so many opinions and texts; None: all there are.
        answered_by: another model than the one learned with answers; "": the same.
    """

    method: str
    control: Control = "own"
    n_train: int | None = None
    answered_by: str = ""

    def __str__(self) -> str:
        parts = [self.method]
        parts += [f"{self.n_train} opinions"] if self.n_train is not None else []
        parts += [f"answered by {self.answered_by}"] if self.answered_by else []
        parts += ["another's"] if self.control == "another's" else []
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One answer.

    Args:
        arm: whose answer.
        seed: of the method.
        user: who was asked about.
        question: key of the question (or text), shared by all who are asked the same.
        index: its place among what this user is asked.
        status: "scored"; "unparsed": no answer could be read from what was said, which is counted as the measures say
            (wrong, or the worst error); "not scored": there is no answer to judge, for instance because nothing could
            be learned from the person: kept apart from wrong, and in no mean.
        values: by measure; empty if not scored.
        reason: why it is not scored, in a few words without people's texts.
        answer: what was answered (a choice, or text); None if nothing could be read.
        said: what the model said, where that differs from the answer.
        truth: what the person had said.
        predicted_share: for questions with a distribution: shares that the method gives to the choices, in order.
    """

    arm: Arm
    seed: int
    user: str
    question: str
    index: int
    status: Status = "scored"
    values: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    answer: str | None = None
    said: str | None = None
    truth: str | None = None
    predicted_share: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `arm` in its parts."""
        return _as_json(self)

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> AnswerRecord:
        """Read what `to_json` gives."""
        return cls(**{**line, "arm": Arm(**line["arm"]), "predicted_share": tuple(line["predicted_share"])})


@dataclass(frozen=True, slots=True)
class MethodCost:
    """The cost of learning or answering.

    Args:
        usage: requests of the method, whether or not the answer was there already, and their tokens; "equal calls"
            counts these requests.
        calls_made: requests that reached a model; the others were known from another method or an earlier run.
        money: US dollars, of the calls made; None where a price isn't known; 0 for models of this process.
        seconds: of wall time; who asks first pays for answers that methods share.
    """

    usage: Usage = Usage()
    calls_made: int = 0
    money: float | None = 0.0
    seconds: float = 0.0

    @property
    def calls(self) -> int:
        """Requests of the method."""
        return self.usage.calls

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.usage.prompt_tokens + self.usage.completion_tokens

    def __add__(self, other: MethodCost) -> MethodCost:
        return MethodCost(
            self.usage + other.usage,
            self.calls_made + other.calls_made,
            None if self.money is None or other.money is None else self.money + other.money,
            self.seconds + other.seconds,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, all on one level."""
        return {
            "calls": self.calls,
            "calls_made": self.calls_made,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "money": self.money,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MethodCost:
        """Read what `to_json` gives."""
        usage = Usage(values["calls"], values["prompt_tokens"], values["completion_tokens"])
        return cls(usage, values["calls_made"], values["money"], values["seconds"])


@dataclass(frozen=True, slots=True)
class LearningRecord:
    """One arm for one person: what it cost, and what is known of what was learned. Written when all its answers are.

    Args:
        arm, seed, user: as in `AnswerRecord`.
        learning: cost of learning; none for the control, since the other person's record has it.
        answering: cost of the answers.
        answers: how many answer records belong to it; fewer in the file means that it was cut off.
        used: whether a gate lets the personalization answer; None where the method has no gate.
        notes: what the method says of itself, JSON values: "layers" (a list of per-layer diagnostics of CHAMELEON),
            "scores_by_iteration" (Fermi's best training score after each), "variant", "steps" (of DPO) …
    """

    arm: Arm
    seed: int
    user: str
    learning: MethodCost = MethodCost()
    answering: MethodCost = MethodCost()
    answers: int = 0
    used: bool | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the model failed, so that the next run tries again."""
        return bool(self.notes.get("failed"))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `arm` in its parts."""
        return {**_as_json(self), "learning": self.learning.to_json(), "answering": self.answering.to_json()}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> LearningRecord:
        """Read what `to_json` gives."""
        costs = {name: MethodCost.from_json(line[name]) for name in ("learning", "answering")}
        return cls(**{**line, "arm": Arm(**line["arm"]), **costs})


def _as_json(record: AnswerRecord | LearningRecord) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(record).items()}
