"""Proposals: K different draws, reading of replies, composed demonstrations, and the filter."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect import Opinion, Question
from idiolect.errors import ContextLengthError
from idiolect.methods.fermi.memory import Memory
from idiolect.methods.fermi.meta_prompt import Context, meta_prompt
from idiolect.methods.fermi.prompt import Failure, Prompt
from idiolect.methods.fermi.proposal import (
    DemonstrationProposer,
    LlmProposer,
    Proposal,
    ProposalFilter,
    Round,
    parse_proposal,
)
from idiolect.methods.fermi.settings import DemonstrationSettings, MetaPromptSettings
from idiolect.methods.shortening import size_of
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Completion, CompletionRequest, Usage
from tests.methods.fermi.test_meta_prompt import HIGH, LOW, OPINIONS, context
from tests.methods.people import scored, steady

ROUND = Round((7, "ann"), 3, (4, 5, 6, 7))
SETTINGS = MetaPromptSettings()


async def test_every_draw_is_a_request_of_its_own() -> None:
    model = FunctionModel(complete=lambda _: "[A text that is long enough.]")
    await LlmProposer(model, MetaPromptSettings(max_tokens=99, temperature=0.7)).propose(context(), ROUND)
    requests = model.completion_requests
    assert [r.draw for r in requests] == [4, 5, 6, 7]
    assert [r.sampling.seed for r in requests] == [ROUND.seed(draw) for draw in (4, 5, 6, 7)]
    assert len({r.sampling.seed for r in requests}) == 4
    assert len({r.messages for r in requests}) == 1
    assert {(r.sampling.max_tokens, r.sampling.temperature, r.sampling.stop, r.prefill) for r in requests} == {
        (99, 0.7, (), "")
    }


def test_a_seed_depends_on_all_of_seed_user_iteration_and_draw() -> None:
    rounds = [Round((7, "ann"), 3, ()), Round((8, "ann"), 3, ()), Round((7, "bob"), 3, ()), Round((7, "ann"), 4, ())]
    seeds = [r.seed(draw) for r in rounds for draw in range(12)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_can_not_be_forged_by_a_user_id() -> None:
    assert Round((1, "a', 1, 2"), 3, ()).seed(4) != Round((1, "a"), 1, ()).seed(2)


@pytest.mark.parametrize("hash_seed", ["0", "1", "31337"])
def test_seeds_are_the_same_in_every_process(hash_seed: str) -> None:
    code = "from idiolect.methods.fermi.proposal import Round; print(Round((7, 'ann'), 3, ()).seed(5))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(said.stdout) == ROUND.seed(5) == 31241722594359390


async def test_no_word_of_a_thought_is_a_prompt() -> None:
    replies = iter(["<think>[Not this.] Or [that one?]</think>\n[The text.]", "Maybe [this]?\n</think>", "<think>[Cut"])
    model = FunctionModel(complete=lambda _: next(replies))
    made = await LlmProposer(model, SETTINGS).propose(context(), replace(ROUND, draws=(0, 1, 2)))
    assert [each.prompt and each.prompt.text for each in made.proposals] == ["The text.", None, None]


async def test_llm_proposals_carry_what_drove_them_and_what_they_cost() -> None:
    replies = iter(["Hm. [The first text.]", "no brackets"])
    model = FunctionModel(complete=lambda _: Completion(next(replies), "stop", Usage(1, 10, 5, 10)))
    made = await LlmProposer(model, SETTINGS).propose(context(LOW, HIGH), replace(ROUND, draws=(0, 1)))
    failures = (Failure(0, "no"), Failure(1, "Hm, ] maybe"), Failure(3, "no"))
    assert made.proposals == (
        Proposal(0, Prompt("The first text.", origin="llm", driven_by=failures)),
        Proposal(1, None, "no text in square brackets"),
    )
    assert made.usage == Usage(2, 20, 10, 20)


@pytest.mark.parametrize(
    ("reply", "reason", "text"),
    [
        ("likes tea", "stop", "likes tea"),
        ("likes [green", "stop", "likes [green]"),
        ("likes tea and", "length", None),
    ],
)
async def test_a_prefilled_bracket_is_closed_by_the_stop(reply: str, reason: str, text: str | None) -> None:
    model = FunctionModel(complete=lambda _: Completion(reply, reason, Usage()))  # type: ignore[arg-type]
    proposer = LlmProposer(model, MetaPromptSettings(prefill="["))
    made = await proposer.propose(context(), replace(ROUND, draws=(0,)))
    request = model.completion_requests[0]
    assert (request.prefill, request.sampling.stop) == ("[", ("]",))
    prompt = made.proposals[0].prompt
    assert (prompt.text if prompt else None) == text


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("[A text.]", "A text."),
        ("Reasoning.\n\n[ A text. ]\nDone.", "A text."),
        ("[first] and then [second]", "second"),
        ("[outer [inner] text]", "outer [inner] text"),
        ("[[A text.]]", "[A text.]"),
        ("[A text.] []", "A text."),
        ("[A text.] [ \n ]", "A text."),
        ("I see [1] and [2, 3]. [The answer]", "The answer"),
        ("scores in [0, 100) are low. [The answer]", "The answer"),
        ("] first [The answer]", "The answer"),
        ("[The answer] and [then it brea", "The answer"),
        ("[two\nlines]", "two\nlines"),
        ("[<INS>]", None),
        ("[< ins > A text. </INS>]", "A text."),
        ('["A text."]', "A text."),
        ("[“A text.”]", "A text."),
        ('[They say "yes"]', 'They say "yes"'),
        ("no brackets", None),
        ("[never closed", None),
        ("never opened]", None),
        ("[]", None),
        ("", None),
    ],
)
def test_parse_proposal_takes_the_last_outermost_brackets(reply: str, text: str | None) -> None:
    assert parse_proposal(reply, SETTINGS) == text


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("A text.\n\nBecause.", "A text."),
        ("[never closed\n\nx", "never closed"),
        ("x [A text.]", "A text."),
        (" \n\n ", None),
        ("[]", None),
    ],
)
def test_parse_proposal_with_optional_brackets_takes_the_first_paragraph(reply: str, text: str | None) -> None:
    assert parse_proposal(reply, MetaPromptSettings(brackets="optional")) == text


@steady
@given(st.text(st.sampled_from("[] ab\n"), max_size=30))
def test_parse_proposal_returns_text_of_the_reply_in_balance(reply: str) -> None:
    text = parse_proposal(reply, SETTINGS)
    if text is not None:
        assert f"{text}" in reply
        assert text == text.strip() != ""
        assert text.count("[") == text.count("]")


def test_parse_proposal_of_many_brackets_is_quick() -> None:
    assert parse_proposal("[" * 100_000 + "x" + "]" * 100_000, SETTINGS) is not None
    assert parse_proposal("[a]" * 100_000, SETTINGS) == "a"


async def compose(
    scores: list[float], *, shown: tuple[int, ...] = (), settings: DemonstrationSettings | None = None
) -> list[Prompt]:
    parent = scored(Prompt("Go.", shown, quotes=(4,)), scores)
    made = await DemonstrationProposer(settings or DemonstrationSettings(max_demonstrations=3)).propose(
        context(parent), ROUND
    )
    assert made.usage == Usage()
    assert [p.draw for p in made.proposals] == list(ROUND.draws)
    return [p.prompt for p in made.proposals if p.prompt]


async def test_demonstrations_are_the_failures_first() -> None:
    for prompt in await compose([1.0, 0.0, 1.0, 0.5, 1.0]):
        assert {1, 3} < set(prompt.demonstrations)
        assert len(prompt.demonstrations) == 3
        assert prompt.demonstrations == tuple(sorted(prompt.demonstrations))
        assert (prompt.text, prompt.quotes, prompt.origin) == ("Go.", (4,), "demonstrations")
        assert [f.index for f in prompt.driven_by] == [1, 3]


async def test_demonstrations_stay_while_there_is_room() -> None:
    for prompt in await compose([1.0, 1.0, 0.0, 0.0, 0.0], shown=(0, 1)):
        assert {0, 1} < set(prompt.demonstrations)
        assert len(prompt.driven_by) == 1


async def test_a_share_of_the_demonstrations_stays_when_there_is_no_room() -> None:
    settings = DemonstrationSettings(max_demonstrations=3, keep_share=2 / 3)
    prompts = await compose([1.0, 1.0, 1.0, 0.0, 0.0], shown=(0, 1, 2), settings=settings)
    assert all(len(set(p.demonstrations) & {0, 1, 2}) == 2 for p in prompts)
    assert len({p.demonstrations for p in prompts}) > 1


async def test_demonstrations_are_composed_the_same_way_again() -> None:
    assert await compose([0.0] * 5) == await compose([0.0] * 5)


async def test_draws_go_round_the_memory() -> None:
    made = await DemonstrationProposer(DemonstrationSettings()).propose(context(LOW, HIGH), ROUND)
    assert [p.prompt.text for p in made.proposals if p.prompt] == ["The high text.", "The low text."] * 2


def accepted(text: str, *, settings: MetaPromptSettings = SETTINGS, around: Context | None = None) -> str | Prompt:
    """The prompt, or the reason why it was rejected."""
    chosen = ProposalFilter(settings)
    kept = chosen.accept([Proposal(0, Prompt(text, origin="llm"))], around or context())
    return kept[0] if kept else next(iter(chosen.rejected))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 9, "too short"),
        ("x" * 4001, "too long"),
        ('A text with <prompt number="1"> in it', "repeats the meta-prompt"),
        ("A text with < / FAILURE > in it", "repeats the meta-prompt"),
        ("A text with <memory> in it", "repeats the meta-prompt"),
        (" ".join(o.question.text for o in OPINIONS), "quotes too many opinions"),
    ],
)
def test_filter_rejects_by_reason(text: str, reason: str) -> None:
    assert accepted(text) == reason


@pytest.mark.parametrize("text", ["x" * 10, "x" * 4000, "A text with <b>tags</b> of its own"])
def test_filter_accepts_what_is_worth_scoring(text: str) -> None:
    assert accepted(text) == Prompt(text, origin="llm")


def test_filter_marks_what_a_text_quotes() -> None:
    text = "When asked: do you like ITEM b, they say yes."
    assert accepted(text) == Prompt(text, quotes=(1,), origin="llm")
    scoring = ProposalFilter(SETTINGS, skip_quoted=False)
    assert scoring.accept([Proposal(0, Prompt(text, origin="llm"))], context())[0].quotes == ()


def test_filter_with_one_opinion_rejects_its_quote() -> None:
    alone = replace(context(), opinions=(Opinion(Question("Do you like item Z?"), "yes"),), memory=Memory(1))
    assert accepted("Do you like item Z? yes", around=alone) == "quotes too many opinions"


def test_filter_keeps_the_reason_of_a_draw_without_a_text() -> None:
    chosen = ProposalFilter(SETTINGS)
    assert chosen.accept([Proposal(0, None, "no text in square brackets")] * 2, context()) == []
    assert chosen.rejected == {"no text in square brackets": 2}


def test_filter_rejects_repeats_of_anything_seen() -> None:
    chosen = ProposalFilter(SETTINGS)
    chosen.seen.add(Prompt("Answer the question.").identity)
    first = Proposal(0, Prompt("A text about tea.", origin="llm"))
    again = Proposal(1, Prompt("a TEXT  about\ntea.", origin="llm"))
    initial = Proposal(2, Prompt("answer the question.", origin="llm"))
    assert chosen.accept([first, again, initial], context()) == [first.prompt]
    assert chosen.accept([first], context()) == []  # also in a later iteration
    assert chosen.rejected == {"seen before": 3}


def test_filter_tells_demonstrations_apart() -> None:
    chosen = ProposalFilter(SETTINGS)
    prompts = [Prompt("", (0, 1), origin="demonstrations"), Prompt("", (0, 2), origin="demonstrations")]
    assert chosen.accept([Proposal(k, p) for k, p in enumerate([*prompts, prompts[0]])], context()) == prompts


def test_filter_rejects_a_text_that_quotes_more_than_half() -> None:
    quoting = [" ".join(o.question.text for o in OPINIONS[:n]) for n in range(1, len(OPINIONS) + 1)]
    rejected = [accepted(text) == "quotes too many opinions" for text in quoting]
    assert rejected == [n > len(OPINIONS) / 2 for n in range(1, len(OPINIONS) + 1)]


class Narrow:
    """An optimizer that reads so many bytes, and counts what it refuses."""

    def __init__(self, room: int, *, limit: int | None = None) -> None:
        self.room, self.limit, self.refused = room, limit, 0
        self.model = FunctionModel(complete=self.answer)

    def answer(self, request: CompletionRequest) -> str:
        if size_of(request.messages[0].content) > self.room:
            self.refused += 1
            raise ContextLengthError("the prompt is too long", limit=self.limit)
        return "[A text that is long enough.]"

    @property
    def read(self) -> str:
        return self.model.completion_requests[-1].messages[0].content


LONG = replace(
    context(),
    opinions=tuple(
        replace(o, question=replace(o.question, text=f"{o.question.text} {'word ' * 300}")) for o in OPINIONS
    ),
)
WHOLE = size_of(meta_prompt(LONG, SETTINGS))


async def test_meta_prompt_that_is_too_long_shows_fewer_failures() -> None:
    narrow = Narrow(WHOLE - 100)
    made = await LlmProposer(narrow.model, SETTINGS).propose(LONG, ROUND)
    assert narrow.refused == 1
    assert narrow.read.count("<failure number") == 1
    assert "<example>" in narrow.read
    assert [len(p.prompt.driven_by) for p in made.proposals if p.prompt] == [1] * 4


async def test_meta_prompt_loses_examples_and_then_the_ends_of_texts() -> None:
    narrow = Narrow(1900)
    await LlmProposer(narrow.model, SETTINGS).propose(LONG, ROUND)
    assert "<example>" not in narrow.read
    assert "Do you like item" in narrow.read
    assert "…" in narrow.read


async def test_context_that_is_named_saves_refusals() -> None:
    narrow = Narrow(3 * 1500, limit=1500 + SETTINGS.max_tokens)
    proposer = LlmProposer(narrow.model, SETTINGS)
    for _ in range(3):
        await proposer.propose(LONG, ROUND)
    assert narrow.refused == 1


async def test_meta_prompt_is_shortened_alike_by_a_proposer_that_has_learned_nothing_yet() -> None:
    narrow = Narrow(3 * 1500, limit=1500 + SETTINGS.max_tokens)
    known = LlmProposer(narrow.model, SETTINGS)
    await known.propose(LONG, ROUND)
    await known.propose(LONG, ROUND)
    second = narrow.read
    await LlmProposer(narrow.model, SETTINGS).propose(LONG, ROUND)
    assert narrow.read == second


async def test_optimizer_that_reads_no_meta_prompt_is_named() -> None:
    narrow = Narrow(100, limit=50)
    with pytest.raises(ContextLengthError, match="the optimizer's prompt, in its shortest form") as caught:
        await LlmProposer(narrow.model, SETTINGS).propose(LONG, ROUND)
    assert caught.value.remedy is not None
    assert caught.value.remedy.setting == "optimizer"
    assert narrow.refused <= 3


async def test_proposal_that_a_filter_withholds_is_none() -> None:
    model = FunctionModel(complete=lambda _: Completion("", "content_filter", Usage()))
    made = await LlmProposer(model, SETTINGS).propose(context(), ROUND)
    assert [(p.prompt, p.reason) for p in made.proposals] == [(None, "withheld by a content filter")] * 4
