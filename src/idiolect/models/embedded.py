"""A fast reader for the embedded model (SmolLM2-135M-Instruct, a Llama in GGUF), used by `loading`: one second.

transformers' own GGUF loader parses the file's 98,000 strings three times and takes 14 seconds. This one reads the
header once and dequantizes each tensor once; a test checks that the result equals transformers', bit for bit.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import gcd, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32
_BLOCKS_IN_ROW = 1024

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_SPECIAL_TOKENS = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}
_OTHER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: tuple[int, ...]  # in torch's order
    kind: GGMLQuantizationType
    offset: int  # from the start of the data


class _Header:
    """The metadata of a GGUF file, without its arrays, and the table of its tensors."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, 0
        magic, version, n_tensors, n_fields = struct.unpack("<4sIQQ", data[:24])
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError("expected a GGUF file of version 2 or 3")
        self._at = 24
        self.fields: dict[str, Any] = {}
        for _ in range(n_fields):
            key = self._string()
            self.fields[key] = self._value(self._scalar("<I"))
        self.tensors = dict(self._tensor() for _ in range(n_tensors))
        alignment = self.fields.get("general.alignment", _ALIGNMENT)
        self.data_start = -(-self._at // alignment) * alignment

    def _scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value

    def _string(self) -> str:
        length = self._scalar("<Q")
        self._at += length
        return self._data[self._at - length : self._at].decode("utf-8", errors="replace")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._skip_array()
        return self._scalar(_SCALARS[kind])

    def _skip_array(self) -> None:
        kind, length = self._scalar("<I"), self._scalar("<Q")
        if kind in _SCALARS:
            self._at += length * struct.calcsize(_SCALARS[kind])
            return
        if kind == _STRING:
            self._skip_strings(length)
            return
        for _ in range(length):
            self._value(kind)

    def _skip_strings(self, number: int) -> None:
        """Skip that many strings; a vocabulary has 98,000 of them, so nothing is decoded."""
        at, length_at = self._at, struct.Struct("<Q").unpack_from
        for _ in range(number):
            at += 8 + length_at(self._data, at)[0]
        self._at = at

    def _tensor(self) -> tuple[str, _Tensor]:
        name = self._string()
        shape = [self._scalar("<Q") for _ in range(self._scalar("<I"))]
        kind, offset = GGMLQuantizationType(self._scalar("<I")), self._scalar("<Q")
        return name, _Tensor(tuple(reversed(shape)), kind, offset)


def load_llama_gguf(file: Path, *, dtype: torch.dtype) -> Any:
    """Load the Llama in a GGUF file, dequantized.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a GGUF file, or does not contain a Llama.
    """
    with _mapped(file) as data:
        header = _header(data)
        config = _config(header)
        state = {_name(name): _weight(name, tensor, header, data) for name, tensor in header.tensors.items()}
    return _network(config, {name: weight.to(dtype) for name, weight in state.items()}, dtype)


def count_gguf_parameters(file: Path) -> int:
    """Return the number of parameters in a GGUF file of any architecture, from the table of its tensors.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a GGUF file.
    """
    with _mapped(file) as data:
        return sum(prod(tensor.shape) for tensor in _header(data).tensors.values())


def _mapped(file: Path) -> mmap.mmap:
    with file.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _header(data: mmap.mmap) -> _Header:
    try:
        return _Header(data)
    except struct.error as error:
        raise ValueError("the GGUF file is cut off") from error


def _network(config: LlamaConfig, state: dict[str, torch.Tensor], dtype: torch.dtype) -> LlamaForCausalLM:
    """Return the Llama with these weights, without the copies and checks of `from_pretrained`."""
    config.dtype = dtype
    with torch.device("meta"):  # allocates and initializes nothing
        network = LlamaForCausalLM(config)
    network.load_state_dict(state, strict=False, assign=True)  # a tied head has no weight of its own
    network.tie_weights()
    network.model.rotary_emb = LlamaRotaryEmbedding(config)  # its frequencies are computed, not stored
    left = [name for name, tensor in (*network.named_parameters(), *network.named_buffers()) if tensor.is_meta]
    if left:
        raise ValueError(f"the file has no weights for {', '.join(left[:3])}")
    return network


def load_tokenizer(file: Path) -> Any:
    """Load the byte-level BPE tokenizer in a GGUF file.

    The special tokens are the ones that the file names: transformers 5.17, for one, ends a turn with the token that
    begins it.
    """
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(str(file.parent), gguf_file=file.name)
    with _mapped(file) as data:
        fields = _header(data).fields
    for token, field in _SPECIAL_TOKENS.items():
        named = tokenizer.convert_ids_to_tokens(fields[field]) if field in fields else None
        if named is not None and getattr(tokenizer, token) != named:
            setattr(tokenizer, token, named)
    return tokenizer


def _config(header: _Header) -> LlamaConfig:
    fields, get = header.fields, header.fields.get
    if get("general.architecture") != "llama":
        raise ValueError(f"expected the architecture 'llama', found {get('general.architecture')!r}")
    return LlamaConfig(
        vocab_size=header.tensors["token_embd.weight"].shape[0],
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=get("llama.attention.head_count_kv"),
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": get("llama.rope.freq_base", 10_000.0)},
        tie_word_embeddings="output.weight" not in header.tensors,
        bos_token_id=get("tokenizer.ggml.bos_token_id"),
        eos_token_id=get("tokenizer.ggml.eos_token_id"),
        pad_token_id=get("tokenizer.ggml.padding_token_id"),
    )


def _name(gguf: str) -> str:
    """Return a parameter's name in transformers: `blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`."""
    stem, _, kind = gguf.rpartition(".")
    if stem in _OTHER_NAMES:
        return f"{_OTHER_NAMES[stem]}.{kind}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.{kind}"


def _weight(name: str, tensor: _Tensor, header: _Header, data: mmap.mmap) -> torch.Tensor:
    """Dequantize a tensor's weight to float32, in the tensor's shape."""
    per_block, block_bytes = GGML_QUANT_SIZES[tensor.kind]
    start = header.data_start + tensor.offset
    n_blocks = prod(tensor.shape) // per_block
    blocks = np.frombuffer(data[start : start + n_blocks * block_bytes], dtype=np.uint8)
    # gguf dequantizes 16 rows at a time; rows of one weight's width would make 13,000 small steps of it.
    rows = blocks.reshape(n_blocks // gcd(n_blocks, _BLOCKS_IN_ROW), -1)
    weight = dequantize(_typed(rows, tensor.kind), tensor.kind).reshape(tensor.shape)
    weight = np.require(weight, np.float32, ["WRITEABLE"])
    heads = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}
    for part, key in heads.items():
        if f".{part}." in name:
            weight = _unpermute(weight, header.fields[key])
    return torch.from_numpy(np.ascontiguousarray(weight))


def _typed(blocks: NDArray[np.uint8], kind: GGMLQuantizationType) -> NDArray[Any]:
    unquantized: dict[GGMLQuantizationType, type[np.floating[Any]]]
    unquantized = {GGMLQuantizationType.F32: np.float32, GGMLQuantizationType.F16: np.float16}
    return blocks.view(unquantized[kind]) if kind in unquantized else blocks


def _unpermute(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo llama.cpp's order of rows, which interleaves the two halves of each head that rotary embeddings rotate.

    transformers keeps the halves apart. Shape (heads · d, n); the rows of a head go from (d/2, 2) to (2, d/2).
    """
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
