"""LangMem's prompt optimizers as they come, with a chat model that is one of our optimizers.

The package `langmem` is not among this project's extras, because it brings about thirty packages. See
docs/results/strong-models.md for how to install it beside them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langmem import create_prompt_optimizer

from idiolect import Opinion
from idiolect.methods.answering import AnsweringSettings, question_block
from idiolect.methods.fermi.memory import ScoredAnswer
from idiolect.models.language_model import CompletionRequest, Message, SamplingParams
from simulated_models.language import statements
from simulated_models.metering import Metered
from simulated_models.optimizer import Optimizer
from simulated_models.reading import read

LangMemKind = Literal["gradient", "metaprompt"]

Ask = Callable[[str, int], str]

CALLS: dict[LangMemKind, int] = {"gradient": 3, "metaprompt": 5}
"""Calls of one update with LangMem's defaults: it always makes as many."""


class ChatDouble(BaseChatModel):
    """A chat model that calls the tool it is given, with what an optimizer reads in the messages.

    Args:
        asks: whom it asks, with the first message and the number of messages; the last one is set for each update.
        tools: names of the tools that the current chain offers.
    """

    asks: list[Ask]
    tools: tuple[str, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "simulated"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> ChatDouble:  # type: ignore[override]
        """Return the model with the names of the tools."""
        return self.model_copy(update={"tools": tuple(map(_name, tools))})

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        said = self.asks[-1](str(messages[0].content), len(messages))
        if "OptimizedPromptOutput" in self.tools:
            call = {"name": "OptimizedPromptOutput", "args": {"analysis": "See the sessions.", "improved_prompt": said}}
        elif "recommend" in self.tools:
            advice = {"warrants_adjustment": True, "hypotheses": "The prompt lacks this.", "full_recommendations": said}
            call = {"name": "recommend", "args": advice}
        else:
            call = {"name": "think", "args": {"thought": "The sessions have a pattern."}}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[{**call, "id": "1"}]))])


def _name(tool: Any) -> str:
    """A tool's name: tools come as objects with a name, as functions, or as OpenAI's schemas."""
    if isinstance(tool, dict):
        return str(tool.get("name") or tool["function"]["name"])
    return str(getattr(tool, "name", None) or tool.__name__)


def replies(optimizer: Optimizer) -> Callable[[CompletionRequest], str]:
    """Return what the optimizer writes when LangMem asks: the text itself.

    The last step of the gradient optimizer shows recommendations instead of sessions. They are followed, not doubted.
    """

    def reply(request: CompletionRequest) -> str:
        content = request.messages[-1].content
        seen, rng = read(content), random.Random(f"{request.sampling.seed}")
        if "<recommendations>" in content:
            advice = content[content.index("<recommendations>") : content.index("</recommendations>")]
            return advice.removeprefix("<recommendations>").strip() if statements(advice) else seen.text
        return optimizer.text(seen, rng)

    return reply


def asked(model: Metered, seed: int, content: str, messages: int) -> str:
    """Make and pay one call of LangMem's; the number of messages tells its steps on one content apart."""
    request = CompletionRequest((Message("user", content),), SamplingParams(temperature=1.0, seed=seed), messages)
    return model.ask([request])[0]


@cache
def _opened(kind: LangMemKind) -> tuple[Any, list[Ask]]:
    """LangMem's optimizer, which takes a while to build, and the list whose last entry it asks."""
    asks: list[Ask] = []
    double = ChatDouble(asks=[])
    double.asks = asks
    return create_prompt_optimizer(double, kind=kind), asks


def improved(kind: LangMemKind, text: str, judged: Sequence[tuple[Opinion, ScoredAnswer]], ask: Ask) -> str:
    """Return LangMem's new text after sessions with feedback, one a known answer."""
    sessions = [
        (
            [
                {"role": "user", "content": question_block(opinion.question, AnsweringSettings())},
                {"role": "assistant", "content": answer.response.text or "(no answer)"},
            ],
            "Right: the person said the same." if answer.score == 1 else f"Wrong. The person said: {opinion.answer}",
        )
        for opinion, answer in judged
    ]
    optimizer, asks = _opened(kind)
    asks[:] = [ask]
    new: str = optimizer.invoke({"trajectories": sessions, "prompt": text})
    return new
