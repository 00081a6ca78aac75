import copy
import math
import threading

import pytest
import torch

from idiolect.errors import HaltedError, ModelError
from idiolect.models.answer_likelihood import Target, log_likelihoods, passes
from idiolect.models.edit_training import (
    EditFactors,
    EditTraining,
    PassSettings,
    train_edit,
    write_gradient,
)
from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.language_model import ChoiceRequest, ChosenAnswer
from idiolect.models.network import Network
from tests.models import tiny

PACKED, PADDED = PassSettings(packed=True, max_tokens=64), PassSettings(packed=False, max_tokens=64)
TEXTS = [Target((5, 6, 7), ((8, 9, 10, 11),)), Target((5, 6, 7), ((20, 21),)), Target((30, 31), ((32, 33, 34),))]
CHOSEN = Target((40, 41, 42), ((1, 2), (3,), (4, 5, 6)), chosen=2)
TARGETS = [*TEXTS, CHOSEN]


def factors(network: Network, *, rank: int = 2, size: float = 0.05) -> EditFactors:
    generator = torch.Generator().manual_seed(3)
    shape = (network.config.num_hidden_layers, rank, network.config.hidden_size)
    return EditFactors(torch.randn(shape, generator=generator), size * torch.randn(shape, generator=generator))


def edit_of(found: EditFactors) -> Edit:
    return Edit({at: LayerEdit(found.reads[at], found.writes[at]) for at in range(len(found.reads))})


async def likelihoods(model, edit: Edit | None, answers: list[ChosenAnswer]) -> list[float]:
    found = await model.with_edit(edit).choice_logprobs([answer.request for answer in answers])
    return [
        each.per_token[0]
        if len(each.logprobs) == 1
        else each.logprobs[answer.chosen] - math.log(sum(map(math.exp, each.logprobs)))
        for answer, each in zip(answers, found, strict=True)
    ]


@torch.inference_mode()
def test_likelihoods_are_the_same_packed_and_padded_and_do_not_depend_on_their_neighbours():
    network = Network(tiny.llama())
    together = log_likelihoods(network, TARGETS, packed=True)
    alone = torch.cat([log_likelihoods(network, [each], packed=True) for each in TARGETS])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together, log_likelihoods(network, TARGETS, packed=False), atol=1e-5)


@torch.inference_mode()
def test_a_text_counts_per_token_and_a_choice_among_the_choices():
    network = Network(tiny.llama())
    text, chosen = log_likelihoods(network, [TEXTS[0], CHOSEN], packed=True).tolist()
    ids = network.tensor([(5, 6, 7, 8, 9, 10)])
    logprobs = network.logits(torch.arange(2, 6), input_ids=ids)[0].log_softmax(dim=1)
    per_token = logprobs.gather(1, torch.tensor([[8], [9], [10], [11]]))
    assert text == pytest.approx(float(per_token.mean()), abs=1e-5)
    each = [log_likelihoods(network, [Target(CHOSEN.prompt, (ids,))], packed=True) * len(ids) for ids in CHOSEN.choices]
    assert chosen == pytest.approx(float(torch.cat(each).log_softmax(0)[2]), abs=1e-5)


def test_passes_hold_every_target_once_and_share_prompts():
    assert list(passes(TARGETS, max_tokens=9, packed=True)) == [[0, 1], [2], [3]]
    assert list(passes(TARGETS, max_tokens=1, packed=True)) == [[0], [1], [2], [3]]
    assert list(passes(TARGETS, max_tokens=1000, packed=True)) == [[0, 1, 2, 3]]
    assert list(passes([], max_tokens=9, packed=True)) == []


def test_passes_of_padded_rows_count_every_row_with_its_padding():
    prompt = tuple(range(1, 21))
    many = [Target(prompt, ((1,),)) for _ in range(10)]
    assert [len(each) for each in passes(many, max_tokens=63, packed=True)] == [10]
    assert [len(each) for each in passes(many, max_tokens=63, packed=False)] == [3, 3, 3, 1]
    mixed = [CHOSEN, Target((1,), ((2,),)), Target((1,), ((2,) * 30,)), Target((3,), ((2,),))]
    found = list(passes(mixed, max_tokens=30, packed=False))
    assert found == [[1, 3, 0], [2]]
    assert sorted(i for each in passes(mixed, max_tokens=20, packed=False) for i in each) == [0, 1, 2, 3]
    for batch in passes([*TARGETS, *mixed], max_tokens=40, packed=False):
        rows = [[*TARGETS, *mixed][i] for i in batch]
        size = sum(len(row.choices) for row in rows) * max(row.longest for row in rows)
        assert size <= 40 or len(batch) == 1


def test_one_long_target_gets_a_pass_of_its_own():
    long = Target((1,), (tuple(range(50)),))
    assert list(passes([TEXTS[0], long, TEXTS[1]], max_tokens=10, packed=True)) == [[1], [0, 2]]


@pytest.mark.parametrize("passing", [PACKED, PADDED], ids=["packed", "padded"])
def test_the_gradient_is_the_slope_along_any_direction(passing):
    network = Network(tiny.llama())
    at = factors(network)
    direction = torch.randn(at.writes.shape, generator=torch.Generator().manual_seed(0))
    step = 1e-2

    def total(sign: float) -> float:
        moved = edit_of(EditFactors(at.reads, at.writes + sign * step * direction / direction.norm()))
        with torch.inference_mode(), network.editing(network.editor.rows([moved])):
            return float(log_likelihoods(network, [TARGETS[0]], packed=False))

    one = write_gradient(network, at, TARGETS[:1], passing)
    slope = (total(1) - total(-1)) / (2 * step)
    assert slope == pytest.approx(float((one * direction).sum() / direction.norm()), rel=0.02, abs=1e-4)


def test_gradients_add_up_over_targets_however_they_are_passed():
    network = Network(tiny.llama())
    at = factors(network)
    together = write_gradient(network, at, TARGETS, PACKED)
    parts = [write_gradient(network, at, [each], PADDED) for each in TARGETS]
    assert torch.allclose(together, torch.stack(parts).sum(dim=0), atol=1e-4)
    assert torch.allclose(together, write_gradient(network, at, TARGETS, PassSettings(True, 4)), atol=1e-4)


def test_training_makes_targets_likelier_and_leaves_the_network_as_it_was():
    network = Network(tiny.llama())
    before = {name: each.clone() for name, each in network.module.named_parameters()}
    start, scale = factors(network, size=0.0), torch.ones(network.config.num_hidden_layers)
    settings = EditTraining(epochs=4, batch_size=2, learning_rate=0.02)
    steps: list[tuple[int, int]] = []
    found = train_edit(
        network, start, scale, TARGETS, settings, PACKED, lambda done, total: steps.append((done, total))
    )
    gained = [_of(network, found, each) - _of(network, start, each) for each in TARGETS]
    assert sum(gained) > 0.1
    assert steps == [(done, 8) for done in range(1, 9)]
    assert all(torch.equal(before[name], each) for name, each in network.module.named_parameters())
    assert all(each.requires_grad for each in network.module.parameters())


def test_training_is_the_same_with_the_same_seed_and_padded():
    network = Network(tiny.llama())
    start, scale = factors(network), torch.ones(network.config.num_hidden_layers)
    settings = EditTraining(epochs=2, batch_size=3, learning_rate=1e-3)
    one = train_edit(network, start, scale, TARGETS, settings, PACKED)
    again = train_edit(network, start, scale, TARGETS, settings, PACKED)
    padded = train_edit(network, start, scale, TARGETS, settings, PADDED)
    assert torch.equal(one.writes, again.writes)
    assert torch.allclose(one.writes, padded.writes, atol=1e-4)


def test_nothing_to_learn_from_is_an_error():
    network = Network(tiny.llama())
    start, scale = factors(network), torch.ones(network.config.num_hidden_layers)
    with pytest.raises(ValueError, match="no targets"):
        write_gradient(network, start, [], PACKED)
    with pytest.raises(ValueError, match="no targets"):
        train_edit(network, start, scale, [], EditTraining(), PACKED)
    with pytest.raises(ValueError, match="both must be"):
        EditFactors(torch.zeros(2, 1, 3), torch.zeros(2, 1, 4))
    with pytest.raises(ValueError, match="chosen"):
        Target((1,), ((2,),), chosen=1)
    with pytest.raises(ValueError, match="empty"):
        Target((1,), ((),))


@pytest.mark.parametrize("passing", [PACKED, PADDED], ids=["packed", "padded"])
def test_in_bfloat16_the_edit_and_its_gradients_are_float32(passing):
    """The gradient of a write is a sum over tokens; in bfloat16 it would have 8 bits, and so would the edit."""
    small = Network(copy.deepcopy(tiny.llama()).to(torch.bfloat16))
    dtypes, at = set(), factors(small)
    original = torch.Tensor.__matmul__

    def product(one, other):
        if at.reads.shape[1] in (other.shape[-1], one.shape[-1]):  # of rank 2: the edit's two products
            dtypes.add((one.dtype, other.dtype))
        return original(one, other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "__matmul__", product)
        found = write_gradient(small, at, TARGETS, passing)
    assert dtypes == {(torch.float32, torch.float32)}
    assert not torch.equal(found, found.bfloat16().float())
    whole = write_gradient(Network(tiny.llama()), at, TARGETS, passing)
    assert torch.nn.functional.cosine_similarity(found.flatten(), whole.flatten(), dim=0) > 0.95


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"read_factor": -1.0},
        {"read_factor": math.inf},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        EditTraining(**wrong)


def test_an_observer_of_passes_sees_all_of_them_and_can_stop_the_work():
    network = Network(tiny.llama())
    at, seen = factors(network), list[tuple[int, int]]()
    passing = PassSettings(packed=True, max_tokens=9)
    write_gradient(network, at, TARGETS, passing, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]

    def stop(done, _total):
        seen.append((done, 0))
        raise HaltedError("enough")

    with pytest.raises(HaltedError):
        write_gradient(network, at, TARGETS, passing, stop)
    assert seen[3:] == [(1, 0)]
    assert not any(module._forward_hooks for module in network.module.modules())
    assert all(each.requires_grad for each in network.module.parameters())


async def test_whether_a_network_packs_is_found_out_in_the_models_thread(monkeypatch):
    """A pass in another thread would meet the hooks of the pass that the model's thread is in."""
    threads = []

    def packs(_network):
        threads.append(threading.current_thread().name)
        return True

    monkeypatch.setattr("idiolect.models.local.packs", packs)
    answers = [ChosenAnswer(ChoiceRequest(tiny.ask("Write."), ("I do agree",)))]
    for work in ("train", "gradient"):
        model = tiny.local_model()
        start = factors(model.network)
        if work == "train":
            await model.train_edit(start, torch.ones(len(start.reads)), answers, EditTraining(epochs=1))
        else:
            await model.write_gradient(start, answers)
    assert len(threads) == 2
    assert all(name.startswith("idiolect-local-model") for name in threads)


async def test_a_closed_model_trains_nothing(monkeypatch):
    model = tiny.local_model()
    model.close()
    monkeypatch.setattr("idiolect.models.local.packs", lambda _network: pytest.fail("the model is closed"))
    answers = [ChosenAnswer(ChoiceRequest(tiny.ask("Write."), ("I do agree",)))]
    start = factors(model.network)
    with pytest.raises(ModelError, match="is closed"):
        await model.train_edit(start, torch.ones(len(start.reads)), answers, EditTraining())


async def test_no_answers_are_an_error_of_the_caller():
    model = tiny.local_model()
    start = factors(model.network)
    with pytest.raises(ValueError, match="no answers to learn from"):
        await model.write_gradient(start, [])
    with pytest.raises(ValueError, match="no answers to learn from"):
        await model.train_edit(start, torch.ones(len(start.reads)), [], EditTraining())


async def test_a_model_trains_on_requests_as_it_is_asked():
    model = tiny.local_model()
    answers = [
        ChosenAnswer(ChoiceRequest(tiny.ask("Do you agree?"), ("agree", "disagree")), 1),
        ChosenAnswer(ChoiceRequest(tiny.ask("Write."), ("I do agree",))),
    ]
    start = factors(model.network, size=0.0)
    scale = torch.ones(model.network.config.num_hidden_layers)
    gradient = await model.write_gradient(start, answers)
    assert gradient.shape == start.writes.shape
    assert float(gradient.norm()) > 0
    found = await model.train_edit(start, scale, answers, EditTraining(epochs=8, learning_rate=0.02))
    before, after = (
        await likelihoods(model, None, answers),
        await likelihoods(model, edit_of(found), answers),
    )
    assert sum(after) > sum(before)


async def test_a_prompt_that_is_too_long_is_an_error():
    model = tiny.local_model()
    too_long = ChosenAnswer(ChoiceRequest(tiny.ask("agree " * 5000), ("agree",)))
    with pytest.raises(ModelError, match="can read at most"):
        await model.write_gradient(factors(model.network), [too_long])


@torch.inference_mode()
def _of(network: Network, found: EditFactors, target: Target) -> float:
    with network.editing(network.editor.rows([edit_of(found)] * len(target.choices))):
        return float(log_likelihoods(network, [target], packed=False))
