"""All steps from an edit to an adapter on the disk: refusals, the LoRA, its files, the verification, the name.

    check_linear → same weights? → lora_of → peft_files | gguf_files → publish(verify_peft | verify_llamacpp)

An adapter that might act differently from the edit is not written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from idiolect.errors import ExportError, MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError.of("exporting needs", "export", error) from error

from idiolect.export.adapter import AdapterFiles, Format, Published, publish
from idiolect.export.card import Origin
from idiolect.export.lora import Lora, check_linear, check_same_weights, lora_of
from idiolect.export.verify import PROMPTS, Ids, Verification
from idiolect.models.edits import Edit
from idiolect.models.language_model import Message
from idiolect.models.local import LocalModel

Dtype = Literal["float32", "bfloat16", "float16"]
DTYPES: Mapping[Dtype, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options for writing an adapter.

    Args:
        format: "peft" or "gguf".
        directory: the folder in which the adapter's own folder is created.
        dtype: dtype of the tensors.
        verify: load the adapter into its engine and compare it with the edit, before it gets its name.

    Raises:
        ValueError: there is no such format or dtype.
    """

    format: Format
    directory: Path
    dtype: Dtype = "float32"
    verify: bool = False

    if TYPE_CHECKING:

        def __init__(self, format: Format, directory: Path | str, dtype: Dtype = ..., verify: bool = ...) -> None: ...

    def __post_init__(self) -> None:
        for name, value, possible in (("format", self.format, get_args(Format)), ("dtype", self.dtype, DTYPES)):
            if value not in possible:
                raise ValueError(f"{name} is {value!r}, must be one of {', '.join(possible)}")
        object.__setattr__(self, "directory", Path(self.directory))


@dataclass(frozen=True, slots=True)
class Exported:
    """An adapter that was written.

    Args:
        name: a hash of the content; the name that engines should use for it.
        published: its place on the disk.
        rank, layers: rank and layers of the LoRA.
        verification: the verification; None if it was not requested.
    """

    name: str
    published: Published
    rank: int
    layers: tuple[int, ...]
    verification: Verification | None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON."""
        checked = None if self.verification is None else self.verification.to_json()
        published = self.published
        return {
            "name": self.name,
            "folder": str(published.folder),
            "path": str(published.path),
            "new": published.new,
            "rank": self.rank,
            "layers": list(self.layers),
            "verification": checked,
        }


async def export_edit(edit: Edit, model: LocalModel, origin: Origin, order: ExportOptions) -> Exported:
    """Write the edit as an adapter for the model's weights.

    Args:
        edit: the edit to export.
        model: the opened model, whose worker thread does the work.
        origin: the edit's origin; its `fingerprint` is that of the weights on which the edit was learned.
        order: the options for writing.

    Raises:
        ExportError: no LoRA is equivalent to the edit, the model has other weights, or the adapter cannot be written.
        VerificationError: the adapter acts differently in its engine; nothing is left behind.
        MissingExtraError: the verification needs packages that are not installed.
        ModelError: the edit is for another shape of model.
    """
    check_linear(edit)
    prompts = [model.format.prompt_ids([Message("user", text)]) for text in PROMPTS]

    def work() -> Exported:
        check_same_weights(fitted_on=origin.fingerprint, served=model.fingerprint())
        return export_network_edit(edit, model.network.module, origin, order, prompts=prompts)

    return await model.run(work)


def export_network_edit(
    edit: Edit, network: Any, origin: Origin, order: ExportOptions, *, prompts: list[Ids] | list[tuple[int, ...]]
) -> Exported:
    """Export like `export_edit`, but from a bare network and without checking its fingerprint.

    Args:
        edit, origin, order: as for `export_edit`.
        network: a Hugging Face causal LM.
        prompts: token ids of prompts for the verification.
    """
    lora = lora_of(edit, network)
    checks: list[Verification] = []

    def verify(folder: Path, files: AdapterFiles, check: Callable[[Path], Verification]) -> Mapping[str, Any]:
        checks.append(check(folder / files.main))
        checks[-1].check()
        return checks[-1].to_json()

    files, check = _prepare(edit, network, lora, origin, order, prompts)
    wanted = None if check is None else lambda folder: verify(folder, files, check)
    published = publish(files, order.directory, verify=wanted)
    return Exported(files.name, published, lora.rank, tuple(lora.layers), checks[-1] if checks else None)


def _prepare(
    edit: Edit, network: Any, lora: Lora, origin: Origin, order: ExportOptions, prompts: Any
) -> tuple[AdapterFiles, Callable[[Path], Verification] | None]:
    """Return the files and the requested verification, if any, whose requirements are thus checked before writing."""
    dtype = DTYPES[order.dtype]
    for layer in lora.layers.values():
        if not bool(layer.a.to(dtype).isfinite().all() & layer.b.to(dtype).isfinite().all()):
            raise ExportError(f"the edit is too strong for {order.dtype}, which cannot represent numbers that large")
    if order.format == "peft":
        from idiolect.export.peft_folder import peft_files

        files = peft_files(lora, origin, dtype=dtype)
        if not order.verify:
            return files, None
        from idiolect.export.verify_peft import verify_peft

        return files, lambda folder: verify_peft(folder, network, edit, prompts, dtype=dtype)
    from idiolect.export.gguf_file import gguf_files

    files = gguf_files(lora, origin, dtype=dtype)
    if not order.verify:
        return files, None
    from idiolect.export.verify_llamacpp import base_file, verify_llamacpp

    base = base_file(origin.model)
    return files, lambda file: verify_llamacpp(file, base, network, edit, prompts)
