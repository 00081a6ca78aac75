"""Open-weights language models in this process: the embedded one, a Hugging Face id, or a folder.

`LocalModel` turns requests into token ids (`chat_format`), merges those of concurrent tasks (`coalescing`) and runs
them in one worker thread (`scoring`, `generation`), so that the event loop stays free; `token_stream` hands a text out
from there. `loading` finds the weights. `edited.EditedModel` is the same model under an edit (`edits`). Its requests
join the batches of the model and of all its other views, so that one batch serves many people.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from idiolect.errors import IdiolectError, MissingExtraError, ModelError

try:
    import gguf  # noqa: F401 (imported here for the message below)
    import psutil  # noqa: F401
    import threadpoolctl  # noqa: F401
    import torch
    import transformers  # noqa: F401
except ImportError as error:
    raise MissingExtraError.of("local models need", "local", error) from error

from idiolect.models.activations import Activations, capture
from idiolect.models.answer_likelihood import Target
from idiolect.models.chat_format import ChatFormat, generation_eos
from idiolect.models.coalescing import Coalescer
from idiolect.models.description import ModelDescription
from idiolect.models.edit_training import (
    EditFactors,
    EditTraining,
    OnStep,
    PassSettings,
    ignore_step,
    train_edit,
    write_gradient,
)
from idiolect.models.edited import EditedModel
from idiolect.models.edits import Edit
from idiolect.models.encoding import RequestEncoder, choice_logprobs_of, completion_of
from idiolect.models.fingerprint import fingerprint
from idiolect.models.generation import EncodedPrompt, Generated, generate
from idiolect.models.gradients import likelihood_gradients
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    ChosenAnswer,
    Completion,
    CompletionRequest,
    Message,
    Streamed,
)
from idiolect.models.loading import Origin, copy_in_dtype, dtype_named, load_network
from idiolect.models.network import Network
from idiolect.models.prefix_cache import PrefixCache
from idiolect.models.scoring import EncodedChoices, PackedScorer, PaddedScorer, ScoredChoices, packs
from idiolect.models.token_stream import token_stream

T = TypeVar("T")

_PASS_TOKENS_ON_CPU, _PASS_TOKENS_ELSEWHERE = 512, 2048  # of a packed pass
_GRADIENT_BATCH = 8  # texts per backward pass; small, because the pass keeps every layer's activations


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Settings for how a local model computes; only `scoring_dtype` changes its answers.

    Args:
        batch_size: maximum number of rows that are generated (or, without packing, scored) at a time.
        max_pass_tokens: maximum number of tokens in one packed pass through the network. Attention over a pass is
            quadratic, so larger is not faster on a CPU; on a GPU, small passes take as long as starting their kernels.
            None: 512 on a CPU, 2,048 elsewhere.
        prefix_cache_tokens: number of tokens whose keys and values are kept for later calls; 0 keeps none.
        prefix_reuse: False scores every prompt + choice on its own, in padded batches.
        scoring_dtype: such as "bfloat16": choices are scored by a second copy of the weights in that dtype, which is
            faster on some CPUs (`models.precision`) and rounds differently; None for no copy.
    """

    batch_size: int = 32
    max_pass_tokens: int | None = None
    prefix_cache_tokens: int = 8192
    prefix_reuse: bool = True
    scoring_dtype: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, must be at least 1")
        if self.max_pass_tokens is not None and self.max_pass_tokens < 1:
            raise ValueError(f"max_pass_tokens is {self.max_pass_tokens}, must be at least 1")
        if self.prefix_cache_tokens < 0:
            raise ValueError(f"prefix_cache_tokens is {self.prefix_cache_tokens}, must not be negative")


class LocalModel:
    """A causal LM in this process, as a `LanguageModel`.

    Usage reports the true cost: a token that several requests share is charged to the first of them (sorted by prompt),
    so that `computed_tokens` sums to the number of tokens that went through the network. With `prefix_reuse=False` each
    choice pays for the whole prompt, and `computed_tokens` exceeds `prompt_tokens`.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        *,
        name: str,
        settings: LocalSettings | None = None,
        files: str | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.name, self.settings = name, settings or LocalSettings()
        self.tokenizer, self._files, self._origin = tokenizer, files, origin or Origin(Path(name).name)
        self.network = Network(network)
        self._scoring = self._scoring_network()
        usual_pass_tokens = _PASS_TOKENS_ON_CPU if self._scoring.device.type == "cpu" else _PASS_TOKENS_ELSEWHERE
        self._pass_tokens = self.settings.max_pass_tokens or usual_pass_tokens
        self.format = ChatFormat(tokenizer, generation_eos(network))
        self._encoder = RequestEncoder(self.format, self.network)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="idiolect-local-model")
        self._padded = PaddedScorer(self._scoring, batch_size=self.settings.batch_size)
        cache = PrefixCache(self.settings.prefix_cache_tokens)
        self._packed = PackedScorer(self._scoring, cache=cache, max_pass_tokens=self._pass_tokens)
        self._packs: bool | None = None if self.settings.prefix_reuse else False
        self._completions = Coalescer(self._generate, self._worker)
        self._choices = Coalescer(self._score, self._worker)
        self._closed = False
        self._thoughts_cut_off = 0

    @property
    def notes(self) -> list[str]:
        """Notes for people on how the model handled its requests; one sentence each."""
        note = (
            f"{self.name}: {self._thoughts_cut_off:,} answers ended within a thought, and nothing was said; a model "
            "that thinks needs more tokens: allow thousands with --max-tokens (max_tokens)"
        )
        return [note] if self._thoughts_cut_off else []

    async def __aenter__(self) -> LocalModel:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker thread once its work is done; the model accepts no further requests."""
        self._closed = True
        self._worker.shutdown(wait=False)

    def check_editable(self) -> None:
        """Check, before anything is learned, that edits can reach this network's layers.

        Raises:
            ModelError: the layers are not built like those of any supported model family.
        """
        _ = self.network.editor  # created on first use, which locates the outputs of the layers' MLPs

    def with_edit(self, edit: Edit | None) -> EditedModel:
        """Return a view of this model under an edit; None leaves the model unchanged.

        Raises:
            ModelError: the edit is for another shape of model, or this model cannot be edited.
        """
        if edit is not None:
            self.network.editor.check(edit)
        return EditedModel(self, edit)

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return one completion per request, in order; requests of concurrent tasks are generated as one batch.

        Raises:
            ModelError: a prompt is too long, or the network failed.
        """
        return await self._complete(requests, None)

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield an item for each token of the text, and then the completion; otherwise like `complete`."""
        return self._stream(request, None)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the log-probabilities of each request's choices, in order; shared prefixes are computed once.

        Raises:
            ModelError: a prompt is too long, or the network failed.
        """
        return await self._choice_logprobs(requests, None)

    async def activations(self, texts: Sequence[tuple[Sequence[Message], str]], *, sample: int = 0) -> Activations:
        """Capture the MLP outputs for texts, without any edit.

        Args:
            texts: per text, the chat so far and the assistant's answer to it; at least one.
            sample: about how many tokens, over all answers, to keep per-token activations for; 0 keeps none.

        Raises:
            ModelError: an answer has no tokens, a text is too long, the network failed, or its layers are not built
                like those of any supported model family.
            ValueError: there are no texts.
        """
        if not texts:
            raise ValueError("no texts to capture activations of: expected at least one")
        encoded = [self._encoder.text(messages, answer) for messages, answer in texts]
        size = self.settings.batch_size
        return await self.run(lambda: capture(self.network, encoded, batch_size=size, sample=sample))

    async def likelihood_gradients(self, texts: Sequence[tuple[Sequence[Message], str]]) -> torch.Tensor:
        """Return the gradients of the answers' log-likelihood with respect to the MLP outputs, float32 (n, L, d).

        Raises the same errors as `activations`.
        """
        if not texts:
            raise ValueError("no texts to compute gradients of: expected at least one")
        encoded = [self._encoder.text(messages, answer) for messages, answer in texts]
        size = min(self.settings.batch_size, _GRADIENT_BATCH)
        return await self.run(lambda: likelihood_gradients(self.network, encoded, batch_size=size))

    async def write_gradient(
        self, factors: EditFactors, answers: Sequence[ChosenAnswer], *, on_step: OnStep = ignore_step
    ) -> torch.Tensor:
        """Return the sum over answers of ∂ log-likelihood / ∂ writes at an edit of every layer; float32, (L, r, d).

        Args:
            factors: reads and writes.
            answers: requests with the index of the chosen answer, see `answer_likelihood`; at least one.
            on_step: called in the worker thread after each pass; may raise to stop the work.

        Raises:
            ModelError: an answer has no tokens, a prompt is too long, the network failed, or its layers are not built
                like those of any supported model family.
            ValueError: there are no answers.
        """
        targets = self._encoder.targets(answers)
        return await self.run(lambda: write_gradient(self.network, factors, targets, self._passing(targets), on_step))

    async def train_edit(
        self,
        start: EditFactors,
        scale: torch.Tensor,
        answers: Sequence[ChosenAnswer],
        settings: EditTraining,
        *,
        on_step: OnStep = ignore_step,
    ) -> EditFactors:
        """Return an edit of every layer, trained to make the answers likelier; see `edit_training.train_edit`.

        `on_step` is called in the worker thread. Errors are those of `write_gradient`.
        """
        targets = self._encoder.targets(answers)
        return await self.run(
            lambda: train_edit(self.network, start, scale, targets, settings, self._passing(targets), on_step)
        )

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the model's worker thread; for callers that use `network` and `tokenizer` directly.

        Raises:
            ModelError: the model is closed, or `work` failed.
        """
        with self._working():
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of everything that answers depend on.

        This covers every weight with its dtype, the network's configuration, the tokenizer with its chat template, and
        the ids that end an answer. It reads all weights, on all cores, unless `models.fingerprint` has kept their
        digests.
        """
        return fingerprint(
            self.network.module.state_dict(),
            self.tokenizer,
            self.network.module.config,
            stop_ids=self.format.stop_ids,
            scores_in=None if self._scoring is self.network else self._scoring.dtype,
            files=self._files,
        )

    def description(self) -> ModelDescription:
        """Return what this model is, without its fingerprint, which takes longer."""
        weight, origin = next(self.network.module.parameters()), self._origin
        device = weight.device
        return ModelDescription(
            origin.title,
            "local",
            file=origin.file,
            quantization=origin.quantization,
            package=origin.package,
            revision=origin.revision,
            parameters=sum(each.numel() for each in self.network.module.parameters()),
            device=str(device),
            device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine() or None,
            dtype=str(self.network.dtype).removeprefix("torch."),
            scoring_dtype=str(self._scoring.dtype).removeprefix("torch."),
        )

    async def forget_prefixes(self) -> None:
        """Empty the prefix cache and drop the copies of edits.

        Call this after the network's weights or hooks have changed, or when no data of a person may remain in memory.
        """

        def forget() -> None:
            self._packed.cache.clear()
            for network in (self.network, self._scoring):
                network.forget_edits()

        await self.run(forget)

    async def _complete(self, requests: Sequence[CompletionRequest], edit: Edit | None) -> list[Completion]:
        items = [self._encoder.prompt(request, edit) for request in requests]
        generated = await self._submit(self._completions, items)
        return [completion_of(item, row) for item, row in zip(items, generated, strict=True)]

    def _stream(self, request: CompletionRequest, edit: Edit | None) -> AsyncGenerator[Streamed, None]:
        return token_stream(partial(self._encoder.prompt, request, edit), partial(self._submit, self._completions))

    async def _choice_logprobs(self, requests: Sequence[ChoiceRequest], edit: Edit | None) -> list[ChoiceLogProbs]:
        items = [self._encoder.choices(request, edit) for request in requests]
        scored = await self._submit(self._choices, items)
        return [choice_logprobs_of(item, scores) for item, scores in zip(items, scored, strict=True)]

    async def _submit(self, queue: Coalescer[Any, T], items: list[Any]) -> list[T]:
        with self._working():
            return await queue.submit(items)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Turn failures in the context into `ModelError`; a closed model does not work."""
        if self._closed:
            raise ModelError(f"the model {self.name!r} is closed")
        try:
            yield
        except IdiolectError:
            raise
        except Exception as error:
            raise ModelError(f"the model {self.name!r} failed: {type(error).__name__}: {error}") from error

    def _scoring_network(self) -> Network:
        wanted = self.settings.scoring_dtype
        dtype = self.network.dtype if wanted is None else dtype_named(wanted)
        return self.network if dtype == self.network.dtype else Network(copy_in_dtype(self.network.module, dtype))

    def _passing(self, targets: Sequence[Target]) -> PassSettings:
        # In the worker thread only: it may run a pass, which must not meet the hooks of another.
        return PassSettings(self._packs_whole(max((each.longest for each in targets), default=0)), self._pass_tokens)

    @torch.inference_mode()
    def _generate(self, items: list[EncodedPrompt]) -> list[Generated]:
        batch_size = 1 if self.network.stateful else self.settings.batch_size
        rows = generate(items, network=self.network, decoder=self.format, batch_size=batch_size)
        self._thoughts_cut_off += sum(row.cut_off for row in rows)
        return rows

    @torch.inference_mode()
    def _score(self, items: list[EncodedChoices]) -> list[ScoredChoices]:
        return self._scorer(items).score(items)

    def _scorer(self, items: list[EncodedChoices]) -> PackedScorer | PaddedScorer:
        return self._packed if self._packs_whole(max(item.longest for item in items)) else self._padded

    def _packs_whole(self, longest: int) -> bool:
        """Return whether the architecture supports packing, and every attention window spans the longest text."""
        if (window := self.network.window) is not None and longest > window:
            return False
        if self._packs is None:
            self._packs = packs(self._scoring)
        return self._packs


def load_local_model(
    name: str, *, device: str | None = None, dtype: str | None = None, settings: LocalSettings | None = None
) -> LocalModel:
    """Load a model into this process.

    Args:
        name: "embedded", a folder (with a Hugging Face model or one .gguf file), or a Hugging Face id, which is
            downloaded if it is not on this machine yet.
        device: such as "cpu" or "cuda:0"; by default the first GPU, or the CPU if there is none.
        dtype: such as "bfloat16"; by default float32 on a CPU and the weights' own dtype on a GPU.
        settings: how the model computes.

    Raises:
        ModelError: there is no such model, or it cannot be read.
        MissingExtraError: a package of the `local` extra is missing.
    """
    loaded = load_network(name, device=device, dtype=dtype)
    return LocalModel(
        loaded.network, loaded.tokenizer, name=name, settings=settings, files=loaded.files, origin=loaded.origin
    )
