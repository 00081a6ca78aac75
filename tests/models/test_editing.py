from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from idiolect.errors import ModelError
from idiolect.models.chat_format import ChatFormat
from idiolect.models.editing import Editor
from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.generation import EncodedPrompt, Generated, generate
from idiolect.models.language_model import SamplingParams
from idiolect.models.network import Network
from idiolect.models.prefix_cache import PrefixCache
from idiolect.models.scoring import EncodedChoices, PackedScorer, PaddedScorer, ScoredChoices
from tests.models import tiny

TOLERANCE = 2e-4
KINDS: dict[str, dict[str, Any]] = {
    "all": {},
    "generated": {"positions": "generated"},
    "gated": {"gate": "positive"},
    "gated and generated": {"positions": "generated", "gate": "positive"},
}


@pytest.fixture
def network() -> Network:
    return Network(tiny.llama())


def ids(rng: random.Random, length: int) -> tuple[int, ...]:
    return tuple(rng.randrange(2, 300) for _ in range(length))


def mixed_edits() -> list[Edit | None]:
    """Of every kind, of other layers and ranks, twice the same, and none."""
    one = LayerEdit(torch.randn(1, 32, generator=torch.Generator().manual_seed(5)), torch.full((1, 32), 0.1))
    kinds: list[Edit | None] = [tiny.edit(seed, **kind) for seed, kind in enumerate(KINDS.values())]
    return [*kinds, None, tiny.edit(0), tiny.edit(9, layers=(1,)), Edit({0: one, 2: one}), None]


def group_edits(number: int, **kind: Any) -> list[Edit]:
    """Of the members of one group: the same reads in objects of their own, other writes; rank 4."""
    drawn = torch.Generator().manual_seed(40)
    reads = torch.randn(3, 4, 32, generator=drawn) / 2
    writes = torch.randn(number, 3, 4, 32, generator=drawn) / 8
    members = [dict(enumerate(map(LayerEdit, reads, mine))) for mine in writes]
    return [Edit(layers, **kind) for layers in members]


def stacked(network: Network, edits: Sequence[Edit | None]) -> list[tuple[int, int]]:
    """How many reads and writes per layer lie in memory for a batch of these rows."""
    rows = network.editor.rows(edits)
    both = [rows._products.factors(at) for at in range(len(rows.layers))]
    sizes = [tuple(factor.shape[0] if factor.stride(0) else 1 for factor in pair) for pair in both if pair is not None]
    return [(reads, writes) for reads, writes in sizes]


def n_hooks(module: Any) -> int:
    return sum(len(m._forward_hooks) for m in module.modules())


def write(items: Sequence[EncodedPrompt], network: Network, *, batch_size: int = 32) -> list[Generated]:
    with torch.inference_mode():
        return generate(items, network=network, decoder=ChatFormat(tiny.tokenizer()), batch_size=batch_size)


def greedy(module: Any, item: EncodedPrompt) -> str:
    """One token after the other, each from a whole pass over everything before it."""
    stops, new = ChatFormat(tiny.tokenizer()).stop_ids, list[int]()
    while len(new) < item.sampling.max_tokens:
        logits = tiny.reference_logits(module, [*item.prompt, *new], item.edit, len(item.prompt) - 1)
        new.append(int(logits[-1].argmax()))
        if new[-1] in stops:
            return ChatFormat(tiny.tokenizer()).decode(new[:-1])
    return ChatFormat(tiny.tokenizer()).decode(new)


# Passes


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_row_equals_the_sum_of_its_terms(network: Network, kind: str) -> None:
    edit, row = tiny.edit(1, **KINDS[kind]), ids(random.Random(0), 12)
    edits = network.editor.rows([None, edit])
    edits.generated = (torch.arange(12) >= 7).expand(2, 12)
    with network.editing(edits):
        plain, edited = network.logits(12, input_ids=torch.tensor([row, row]), use_cache=False)
    torch.testing.assert_close(plain, tiny.reference_logits(network.module, row), atol=1e-4, rtol=0)
    torch.testing.assert_close(edited, tiny.reference_logits(network.module, row, edit, 7), atol=1e-4, rtol=0)
    assert float((edited - plain).abs().max()) > 0.1


@torch.inference_mode()
def test_a_rows_numbers_are_its_own_bit_by_bit(network: Network) -> None:
    rng = random.Random(1)
    rows = torch.tensor([ids(rng, 9) for _ in range(9)])

    def run(edits: list[Edit | None], rows: torch.Tensor) -> torch.Tensor:
        with network.editing(network.editor.rows(edits)):
            return network.logits(9, input_ids=rows, use_cache=False)

    edits = mixed_edits()
    before = run(edits, rows)
    unedited = network.logits(9, input_ids=rows, use_cache=False)
    for row, edit in enumerate(edits):
        others = [tiny.edit(50 + i) if i != row else edit for i in range(9)]
        texts = torch.tensor([ids(rng, 9) for _ in range(9)])
        texts[row] = rows[row]
        assert torch.equal(run(others, texts)[row], before[row])
        if edit is None:
            assert torch.equal(before[row], unedited[row])
        else:
            assert float((before[row] - unedited[row]).abs().max()) > 0.1


@torch.inference_mode()
def test_selected_rows_keep_their_edits(network: Network) -> None:
    edits, row = mixed_edits(), torch.tensor([ids(random.Random(2), 6)])
    editing = network.editor.rows(edits)
    with network.editing(editing):
        before = network.logits(6, input_ids=row.repeat(9, 1), use_cache=False)
        for chosen in ([8, 2, 2, 0, 5], [1, 1, 4]):
            editing.select(chosen)
            after = network.logits(6, input_ids=row.repeat(len(chosen), 1), use_cache=False)
            edits, before = [edits[i] for i in chosen], before[chosen]
            torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_rows_stay_unedited_where_those_with_an_edit_have_left(network: Network) -> None:
    row = torch.tensor([ids(random.Random(12), 6)])
    editing = network.editor.rows([tiny.edit(1, layers=(0,)), tiny.edit(2, layers=(2,)), None])
    plain = network.logits(6, input_ids=row, use_cache=False)
    with network.editing(editing):
        before = network.logits(6, input_ids=row.repeat(3, 1), use_cache=False)
        editing.select([1])
        torch.testing.assert_close(network.logits(6, input_ids=row, use_cache=False), before[1:2], atol=1e-5, rtol=0)
        editing.select([0, 0])
        selected = network.logits(6, input_ids=row.repeat(2, 1), use_cache=False)
        torch.testing.assert_close(selected, before[1].expand_as(selected), atol=1e-5, rtol=0)
    editing = network.editor.rows([tiny.edit(1), None])
    with network.editing(editing):
        network.logits(6, input_ids=row.repeat(2, 1), use_cache=False)
        editing.select([1])
        torch.testing.assert_close(network.logits(6, input_ids=row, use_cache=False), plain, atol=1e-5, rtol=0)


# Groups: equal reads lie in memory once


def test_equal_reads_and_equal_edits_are_not_copied_per_row(network: Network) -> None:
    group = group_edits(5)
    assert stacked(network, group) == [(1, 5)] * 3
    assert stacked(network, [group[2]] * 4) == [(1, 1)] * 3
    assert stacked(network, [*group, None]) == [(6, 6)] * 3  # zeros must not be multiplied by another row's reads
    assert stacked(network, [*group, tiny.edit(1)]) == [(6, 6)] * 3
    assert len(network.editor._reads) == 2
    network.forget_edits()
    assert not network.editor._reads


def test_reads_of_the_same_numbers_in_other_layers_are_not_shared(network: Network) -> None:
    one, other = group_edits(2)
    edits = [Edit({0: one.layers[0], 1: one.layers[2]}), Edit({0: other.layers[0], 2: other.layers[2]})]
    assert stacked(network, edits) == [(2, 2)] * 3


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_rows_of_a_group_equal_the_sum_of_their_terms(network: Network, kind: str) -> None:
    edits, row = group_edits(3, **KINDS[kind]), ids(random.Random(13), 12)
    editing = network.editor.rows(edits)
    editing.generated = (torch.arange(12) >= 7).expand(3, 12)
    with network.editing(editing):
        found = network.logits(12, input_ids=torch.tensor([row] * 3), use_cache=False)
    for logits, edit in zip(found, edits, strict=True):
        torch.testing.assert_close(logits, tiny.reference_logits(network.module, row, edit, 7), atol=1e-4, rtol=0)


@pytest.mark.parametrize("length", [1, 9])
@torch.inference_mode()
def test_a_rows_bits_are_the_same_within_its_group_and_among_others(network: Network, length: int) -> None:
    group, rng = group_edits(9), random.Random(14)
    rows = torch.tensor([ids(rng, length) for _ in range(9)])

    def run(edits: Sequence[Edit | None]) -> torch.Tensor:
        with network.editing(network.editor.rows(edits)):
            return network.logits(length, input_ids=rows, use_cache=False)

    within, alone = run(group), run([group[0]] * 9)
    among = run([group[0], None, *(tiny.edit(70 + i) for i in range(7))])
    assert torch.equal(within[0], among[0])
    assert torch.equal(within[0], alone[0])
    assert float((within - alone)[1:].abs().amax(dim=(1, 2)).min()) > 0.01


def test_a_group_writes_as_each_of_its_members_alone(network: Network) -> None:
    rng, edits = random.Random(15), [*group_edits(6), *group_edits(3, positions="generated")]
    lengths = [1, 20, 3, 9, 2, 20, 4, 1, 12]
    items = [
        EncodedPrompt(ids(rng, rng.randrange(1, 12)), SamplingParams(max_tokens=n), edit=edit)
        for n, edit in zip(lengths, edits, strict=True)
    ]
    assert [row.text for row in write(items, network)] == [greedy(network.module, item) for item in items]


# Generation


@pytest.mark.parametrize("batch_size", [32, 4])
def test_generation_equals_a_plain_loop_row_by_row(network: Network, batch_size: int) -> None:
    rng, sampling = random.Random(3), SamplingParams(max_tokens=12)
    items = [EncodedPrompt(ids(rng, rng.randrange(1, 15)), sampling, edit=edit) for edit in mixed_edits() * 2]
    written = [row.text for row in write(items, network, batch_size=batch_size)]
    assert written == [greedy(network.module, item) for item in items]
    assert written != [row.text for row in write([EncodedPrompt(i.prompt, sampling) for i in items], network)]


def test_one_prompt_under_two_edits_is_read_twice(network: Network) -> None:
    prompt, sampling = ids(random.Random(4), 10), SamplingParams(max_tokens=12)
    edits = [tiny.edit(1), None, tiny.edit(1), tiny.edit(2), None]
    items = [EncodedPrompt(prompt, sampling, edit=edit) for edit in edits]
    rows = write(items, network)
    assert [row.computed for row in rows] == [10, 10, 0, 10, 0]
    assert [row.text for row in rows] == [greedy(network.module, item) for item in items]
    assert len({row.text for row in rows}) == 3


def test_rows_that_end_early_leave_the_others_their_edits(network: Network) -> None:
    rng = random.Random(5)
    lengths = [1, 2, 20, 3, 9, 1, 20, 4, 15]
    items = [
        EncodedPrompt(ids(rng, 8), SamplingParams(max_tokens=n), edit=edit)
        for n, edit in zip(lengths, mixed_edits(), strict=True)
    ]
    rows = write(items, network)
    assert [row.text for row in rows] == [greedy(network.module, item) for item in items]


def test_a_single_token_is_written_under_its_edit(network: Network) -> None:
    item = EncodedPrompt(ids(random.Random(6), 8), SamplingParams(max_tokens=1), edit=tiny.edit(3))
    assert write([item], network)[0].text == greedy(network.module, item)


# Likelihood


def asked(rng: random.Random, edits: Sequence[Edit | None]) -> list[EncodedChoices]:
    """Prompts that share all or some of their tokens, under other edits; one that runs along another's choice."""
    stem = ids(rng, 12)
    items = []
    for edit in edits:
        prompt = stem[: rng.choice([6, 12])] + rng.choice([(), (7,), ids(rng, 3)])
        long = ids(rng, 4)
        items.append(EncodedChoices(prompt, (long, long[:2], (8,), (9, 10)), edit))
        items.append(EncodedChoices(prompt + long[:2], ((8,), long[2:]), rng.choice(edits)))
    return items


def assert_true(scored: list[ScoredChoices], items: list[EncodedChoices], network: Network) -> None:
    for score, item in zip(scored, items, strict=True):
        assert score.logprobs == pytest.approx(tiny.reference_logprobs(network, item), abs=TOLERANCE)


@pytest.mark.parametrize(("capacity", "max_pass"), [(0, 512), (60, 16), (4096, 7), (4096, 512)])
@torch.inference_mode()
def test_packed_scores_equal_one_by_one_cold_and_warm(network: Network, capacity: int, max_pass: int) -> None:
    rng = random.Random(max_pass)
    scorer = PackedScorer(network, cache=PrefixCache(capacity), max_pass_tokens=max_pass)
    items = asked(rng, mixed_edits())
    for _ in ("cold", "warm", "hot"):
        assert_true(scorer.score(items), items, network)
        rng.shuffle(items)
        assert len(scorer.cache) <= capacity


@pytest.mark.parametrize("max_pass", [1, 5, 512])
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_packed_scores_of_a_group_equal_one_by_one(network: Network, kind: str, max_pass: int) -> None:
    scorer = PackedScorer(network, cache=PrefixCache(0), max_pass_tokens=max_pass)
    items = asked(random.Random(16), group_edits(4, **KINDS[kind]))
    assert_true(scorer.score(items), items, network)


@torch.inference_mode()
def test_blocks_of_tokens_are_few_however_uneven_the_edits(network: Network) -> None:
    edits = [*mixed_edits()[:5], *[tiny.edit(1)] * 83, *[tiny.edit(2)] * 7, tiny.edit(3), *[tiny.edit(1)] * 5]
    tokens = network.editor.tokens(edits)
    n, m = len(tokens._tokens) // tokens._size, tokens._size
    distinct = len(set(edits))
    assert n <= 2 * distinct
    assert n * m <= 2 * (len(edits) + distinct)
    x = torch.randn(1, len(edits), 32)
    rows = network.editor.rows(edits)
    for at in range(3):
        each = rows.apply(at, x[0][:, None])[:, 0]  # a row per token
        torch.testing.assert_close(tokens.apply(at, x)[0], each, atol=1e-5, rtol=0)
    with pytest.raises(AssertionError, match="size of the sequence"):
        tokens.apply(0, x[:, 1:])


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@torch.inference_mode()
def test_padded_scores_equal_one_by_one(network: Network, batch_size: int) -> None:
    items = asked(random.Random(batch_size), mixed_edits())
    assert_true(PaddedScorer(network, batch_size=batch_size, max_kept=60).score(items), items, network)


@torch.inference_mode()
def test_prefixes_are_kept_apart_by_edit(network: Network) -> None:
    scorer = PackedScorer(network, cache=PrefixCache(1000), max_pass_tokens=512)
    prompt = ids(random.Random(7), 20)

    def computed(edit: Edit | None) -> int:
        item = EncodedChoices(prompt, ((5,), (6,)), edit)
        (score,) = scorer.score([item])
        assert_true([score], [item], network)
        return score.computed

    assert computed(tiny.edit(1)) == 20
    assert computed(None) == 20
    assert computed(tiny.edit(2)) == 20
    assert [computed(edit) for edit in (tiny.edit(1), None, tiny.edit(2))] == [1, 1, 1]
    assert computed(tiny.edit(3, positions="generated")) == 1  # before the last token it is the unedited model
    assert computed(tiny.edit(3)) == 20


@torch.inference_mode()
def test_computed_tokens_sum_to_what_the_network_saw(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    plain = network.logits

    def counting(keep: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += inputs["input_ids"].numel()
        return plain(keep, **inputs)

    monkeypatch.setattr(network, "logits", counting)
    scorer = PackedScorer(network, cache=PrefixCache(300), max_pass_tokens=20)
    items = asked(random.Random(8), mixed_edits()) * 2
    assert sum(score.computed for score in scorer.score(items)) == seen


@pytest.mark.parametrize("packed", [True, False])
@torch.inference_mode()
def test_scores_do_not_depend_on_neighbours(network: Network, packed: bool) -> None:
    rng = random.Random(9)
    items = [EncodedChoices(ids(rng, 10), (ids(rng, 3),), edit) for edit in mixed_edits()]

    def score(items: list[EncodedChoices]) -> list[ScoredChoices]:
        if packed:
            return PackedScorer(network, cache=PrefixCache(0), max_pass_tokens=512).score(items)
        return PaddedScorer(network, batch_size=32).score(items)

    before = score(items)
    for row, item in enumerate(items):
        others = [EncodedChoices(ids(rng, 10), (ids(rng, 3),), tiny.edit(60 + i)) for i in range(len(items))]
        others[row] = item
        assert score(others)[row].logprobs == pytest.approx(before[row].logprobs, abs=1e-5)


# Hooks


def test_an_unedited_batch_has_no_hooks(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set[int]()
    plain = network.logits

    def looking(keep: Any, **inputs: Any) -> torch.Tensor:
        found.add(n_hooks(network.module))
        return plain(keep, **inputs)

    monkeypatch.setattr(network, "logits", looking)
    prompt = ids(random.Random(10), 8)
    write([EncodedPrompt(prompt, SamplingParams(max_tokens=4))], network)
    with torch.inference_mode():
        for scorer in (
            PaddedScorer(network, batch_size=4),
            PackedScorer(network, cache=PrefixCache(10), max_pass_tokens=64),
        ):
            scorer.score([EncodedChoices(prompt, ((5, 6),))])
    assert found == {0}
    assert "editor" not in vars(network)
    write([EncodedPrompt(prompt, SamplingParams(max_tokens=4), edit=tiny.edit(layers=(0, 2)))], network)
    assert found == {0, 2}
    assert n_hooks(network.module) == 0


@torch.inference_mode()
def test_an_error_inside_a_hook_surfaces_and_the_hooks_are_gone(network: Network) -> None:
    edits = network.editor.rows([tiny.edit()])  # for one row
    with pytest.raises(RuntimeError, match="size"), network.editing(edits):
        network.logits(1, input_ids=torch.tensor([[5, 6], [7, 8]]))
    assert n_hooks(network.module) == 0


def test_an_error_of_the_caller_passes_and_the_hooks_are_gone(network: Network) -> None:
    with pytest.raises(KeyError, match="mine"), network.editing(network.editor.rows([tiny.edit()])):
        raise KeyError("mine")
    assert n_hooks(network.module) == 0


def test_an_edit_whose_hooks_never_ran_is_an_error(network: Network) -> None:
    with pytest.raises(ModelError, match="no effect"), network.editing(network.editor.rows([tiny.edit()])):
        pass
    assert n_hooks(network.module) == 0


def test_an_edit_for_another_shape_of_model_is_refused(network: Network) -> None:
    for edit in (tiny.edit(layers=(3,)), tiny.edit(width=31)):
        with pytest.raises(ModelError, match="the model has 3 layers of width 32"):
            network.editor.rows([None, edit])
        with pytest.raises(ModelError, match="the model has 3 layers of width 32"):
            network.editor.tokens([edit])


def test_kept_copies_of_edits_are_bounded_and_can_be_let_go(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = Editor(network.module)
    size = 2 * 3 * 2 * 32 * 4
    monkeypatch.setattr("idiolect.models.editing._HELD_BYTES", 3 * size)
    for seed in range(5):
        editor.rows([tiny.edit(seed)])
    assert list(editor._held) == [tiny.edit(seed) for seed in (2, 3, 4)]
    editor.rows([tiny.edit(seed) for seed in range(6)])
    assert len(editor._held) == 3
    editor.forget()
    assert not editor._held
    group = group_edits(5)  # of rank 4: there is room for 3 edits with reads of their own, or for these 5
    monkeypatch.setattr("idiolect.models.editing._HELD_BYTES", 6 * size)
    editor.rows(group)
    assert list(editor._held) == group


@torch.inference_mode()
def test_half_precision_edits_in_its_own_dtype() -> None:
    network = Network(copy.deepcopy(tiny.llama()).to(torch.bfloat16))
    row, edit = ids(random.Random(11), 8), tiny.edit(1)
    with network.editing(network.editor.rows([edit])):
        edited = network.logits(8, input_ids=torch.tensor([row]), use_cache=False)[0]
    truth = tiny.reference_logits(tiny.llama(), row, edit)
    plain = tiny.reference_logits(tiny.llama(), row)
    assert float((edited - truth).norm()) < 0.1 * float((plain - truth).norm())
