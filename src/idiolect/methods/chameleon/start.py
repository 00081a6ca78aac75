"""What a personal step starts from: an edit of all layers, and what is measured once per model and not per person.

    the model's own texts → activations → scale, constant reader      (`plain_start`: an edit that changes nothing)
                          → log-probabilities of the unedited model   (what a change on neutral text is measured by)

A group's edit (`grouped`) is trained from a plain start, and its members' steps, or those of people never seen, begin
there. The model's texts are drawn at temperature 1 and without guidance, so that their change estimates a KL
divergence.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.judging import ItemScores, fluency
from idiolect.methods.chameleon.measuring import EditableModel, Text
from idiolect.methods.chameleon.personalization import ChameleonPersonalization, StartMeasures
from idiolect.methods.chameleon.preferences import subject_query, subjects
from idiolect.methods.chameleon.rules import constant_reader
from idiolect.methods.chameleon.settings import ChameleonSettings, SteppingSettings
from idiolect.methods.neutral_texts import NeutralText, draw_texts
from idiolect.models.edit_training import EditFactors
from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.language_model import CompletionModel, Message, Usage


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """The beginning of a training or a step.

    Args:
        factors: reads and writes of all layers; writes of zero change nothing.
        measures: mean ‖x‖ of each layer, and the model's own texts.
        group: id of the group whose edit it is; "": none.
        digest: digest of that edit; "": none.
        usage: cost of writing and measuring the model's texts, counted where it was paid.
        members: ids of the people whom the edit was learned from, as far as they are known: a folder names none.
        seed: seed of the draw of what judges them, which the edit was not learned from.
    """

    factors: EditFactors
    measures: StartMeasures
    group: str = ""
    digest: str = ""
    usage: Usage = Usage()
    members: tuple[str, ...] = ()
    seed: int = 0

    @property
    def edit(self) -> Edit:
        """The edit itself, of all layers."""
        return edit_of_factors(self.factors)

    @property
    def scale(self) -> Tensor:
        """Mean ‖x‖ of each layer, float32 (L,)."""
        return torch.tensor(self.measures.scale)

    @property
    def neutral(self) -> list[Text]:
        """The model's own texts, each with the request that it answers."""
        return [_text(each.request, each.text) for each in self.measures.neutral]

    @property
    def fluency(self) -> ItemScores:
        """Log-probabilities of the model's own texts under the unedited model, in nat per token."""
        return ItemScores(tuple(each.logprob for each in self.measures.neutral), Usage())


def plain_start_key(settings: ChameleonSettings) -> Hashable:
    """Return what `plain_start` depends on besides the model, so that one start can serve all people."""
    return "plain start", settings.stepping, settings.generation.seed, settings.directions.sample


async def plain_start(model: EditableModel, writer: CompletionModel, settings: ChameleonSettings) -> Start:
    """Write and measure the model's own texts, and return a start that changes nothing yet.

    The first read of every layer is the constant reader (`rules`), so that its write is an added vector at first; the
    others are random.

    Args:
        model: the unedited model.
        writer: writes the texts: `model`, or the same with calls through a cache.
        settings: settings with `stepping`.

    Raises:
        PersonalizationError: the model writes nothing.
        ModelError: the model failed.
        HaltedError: the writer was halted.
    """
    stepping = settings.stepping or SteppingSettings()
    requests = [subject_query(subject).text for subject in subjects()[: stepping.neutral_texts]]
    seed = settings.generation.seed
    drawn, written = await draw_texts(requests, writer, max_tokens=stepping.neutral_tokens, seed=seed)
    if not drawn:
        raise PersonalizationError("the model writes nothing, so there is no text to measure an edit by")
    texts = [_text(*each) for each in drawn]
    found = await model.activations(texts, sample=settings.directions.sample)
    scores = await fluency(texts, model)
    scale = found.tokens.norm(dim=2).mean(dim=1)  # (L,)
    factors = _plain_factors(constant_reader(found.tokens), scale, stepping.rank, seed)
    neutral = tuple(NeutralText(*each, score) for each, score in zip(drawn, scores.scores, strict=True))
    return Start(factors, StartMeasures(tuple(scale.tolist()), neutral), usage=written + scores.usage)


def start_of(learned: ChameleonPersonalization) -> Start:
    """Return the start that a group's edit is for a person.

    Raises:
        PersonalizationError: the edit was not learned as a start, because its preset was another one; or its layers
            differ in rank, as no trained edit's do; or it does not answer, because it gains nothing or costs too much.
    """
    if not learned.used:
        raise PersonalizationError(
            f"no step can begin at the edit of {learned.user_id!r}, which does not answer itself: {learned.gate}"
        )
    edit, measures = learned.edit, learned.start
    if measures is None or list(edit.layers) != list(range(len(measures.scale))):
        raise PersonalizationError(
            f"the edit of {learned.user_id!r} was not learned as a start for people: fit the group with the preset "
            "grouped"
        )
    layers = edit.layers.values()
    if len({each.read.shape[0] for each in layers}) > 1:
        raise PersonalizationError(f"the edit of {learned.user_id!r} has layers of different ranks, so it is damaged")
    factors = EditFactors(torch.stack([each.read for each in layers]), torch.stack([each.write for each in layers]))
    seed = learned.settings.generation.seed
    return Start(factors, measures, learned.user_id, edit.digest, members=learned.members, seed=seed)


async def remeasured(start: Start, model: EditableModel) -> Start:
    """Return the start with the log-probabilities of the model's own texts as this model computes them.

    Args:
        start: a start that was measured on the same weights in another dtype.
        model: the unedited model.

    Raises:
        ModelError: the model failed.
    """
    scores = await fluency(start.neutral, model)
    pairs = zip(start.measures.neutral, scores.scores, strict=True)
    neutral = tuple(replace(each, logprob=score) for each, score in pairs)
    return replace(start, measures=replace(start.measures, neutral=neutral), usage=start.usage + scores.usage)


def edit_of_factors(factors: EditFactors, strength: float = 1.0) -> Edit:
    """Return the edit of all layers with these factors, every write times `strength`.

    Raises:
        ValueError: a read or a write is not finite.
    """
    return Edit({at: LayerEdit(read, strength * factors.writes[at]) for at, read in enumerate(factors.reads)})


def _text(request: str, text: str) -> Text:
    return (Message("user", request),), text


def _plain_factors(reader: Tensor, scale: Tensor, rank: int, seed: int) -> EditFactors:
    """Return the constant reader and random reads of the same strength, (L, r, d), with writes of zero."""
    layers, width = reader.shape
    generator = torch.Generator().manual_seed(seed)
    reads = torch.nn.functional.normalize(torch.randn(layers, rank, width, generator=generator), dim=2)
    reads = reads / scale[:, None, None]
    reads[:, 0] = reader
    return EditFactors(reads, torch.zeros_like(reads))
