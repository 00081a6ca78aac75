"""`idiolect ask`: an answer in a user's place, and why; plus the whole way on the embedded model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect.people.user import Question
from tests.api_server import Answer, ApiServer, Body, Status
from tests.cli.learning import ANN, FAST, SILENT, TEA, THINGS, opinion, record, run, write_people
from tests.cli.remote_world import arguments, name_of, write_users

CHOICES = "|".join(TEA.choices)
ASK_TEA = ("--user", "ann", TEA.text, "--choices", f" {CHOICES.replace('|', ' | ')} ", "--ordinal")


def asked_text(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def cut_off(body: Body, text: str) -> Body:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"}
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    completion: Body = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return completion | {"choices": [choice], "usage": usage}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Ann, learned with a recorded model; and a user about whom nothing was learned."""
    model = record(tmp_path / "mimic.jsonl", [ANN])
    people = write_people(tmp_path / "users.jsonl", [ANN, SILENT])
    assert run("fit", people, "--store", tmp_path / "store", "--model", model, *FAST).exit_code == 1
    return tmp_path / "store"


def asked(store: Path, *arguments: str) -> Any:
    result = run("ask", "--store", store, "--json", *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return json.loads(result.stdout)


def test_ask_answers_and_says_why(store: Path) -> None:
    result = run("ask", "--store", store, *ASK_TEA)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "always"
    assert "Would you drink tea at noon? → always" in result.stdout
    header = next(line for line in lines if line.startswith("PROMPT"))
    assert header.split() == ["PROMPT", "ORIGIN", "ON", "THE", "NEAREST", "ON", "ALL"]
    assert sum(line.endswith("chosen") for line in lines) == 1
    assert "tied, chosen" in result.stdout
    assert "composed of examples" in result.stdout
    n = asked(store, *ASK_TEA)["own_answers"]
    counted = f"{n} of the person's own answers to questions with the same choices counted as well"
    assert f"{counted}: the nearer the question, the more." in " ".join(result.stdout.split())
    assert "the model answered never, the person always" in result.stdout
    assert "base" not in result.stdout


def test_ask_shows_the_base_model_beside_it(store: Path) -> None:
    lines = run("ask", "--store", store, *ASK_TEA, "--base").stdout.splitlines()
    assert lines[:2] == ["personalized  always", "base          never"]


def test_free_text_that_was_cut_off_is_marked(tmp_path: Path) -> None:
    def endless(body: Body, _number: int) -> Answer:
        return Status(200, body=cut_off(body, "I would sit in the")) if "Sunday" in asked_text(body) else "tea"

    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(endless) as server:
        assert run(*arguments(users, tmp_path / "store", server.url)).exit_code == 0
        question = ("--user", "ann", "What about Sunday?", "--store", tmp_path / "store")
        shown, document = run("ask", *question), run("ask", *question, "--json")
    assert shown.stdout.startswith("I would sit in the\n(cut off at the maximum number of tokens; fit again with")
    assert json.loads(document.stdout)["cut_off"] is True


def test_ask_prints_json(store: Path) -> None:
    shown = asked(store, *ASK_TEA, "--base")
    assert (shown["answer"], shown["base"]["answer"]) == ("always", "never")
    assert (shown["choices"], shown["ordinal"]) == (list(TEA.choices), True)
    assert len(shown["scores"]) == 3
    assert [near["answer"] for near in shown["nearest"]] == ["always"] * 3
    (chosen,) = [prompt for prompt in shown["prompts"] if prompt["chosen"]]
    assert chosen["nearest_score"] == max(prompt["nearest_score"] for prompt in shown["prompts"]) == 1.0
    assert chosen["tied"] == (sum(prompt["nearest_score"] == 1.0 for prompt in shown["prompts"]) > 1)
    assert chosen["origin"] == "demonstrations"
    assert {"question", "answer", "response"} == set(chosen["failures"][0])
    assert asked(store, *ASK_TEA)["base"] is None


def _values_nature(body: Body, _number: int) -> str:
    """The last choice; the first one for who values nature, which is what every proposed prompt says."""
    if "square brackets" in asked_text(body):
        return f"[This person values nature, says draft {name_of(body)[:4]}.]"
    return _choices(body)["values nature" not in asked_text(body)]


def _follows_examples(body: Body, _number: int) -> str:
    """The first choice where examples stand behind the initial prompt; else the last one, which is wrong."""
    if "square brackets" in asked_text(body):
        return f"[This person sits indoors, says draft {name_of(body)[:4]}.]"
    return _choices(body)["indoors" in asked_text(body) or asked_text(body).count("Answer:") < 2]


def _choices(body: Body) -> list[str]:
    shown: list[str] = asked_text(body).rpartition("Choices: ")[2].split("\n")[0].split(" | ")
    return shown


def fitted_by_api(tmp_path: Path, server: ApiServer) -> Path:
    """Ann, of whom the preset for models behind an API learned that she is always for it."""
    opinions = [{"question": f"More {thing}?", "choices": ["Yes", "No"], "answer": "Yes"} for thing in THINGS]
    people = write_people(tmp_path / "users.jsonl", [{"id": "ann", "opinions": opinions}])
    result = run("fit", people, "--store", tmp_path / "store", "--model", f"{server.url}#m", *BM25)
    assert result.exit_code == 0, result.output
    return tmp_path / "store"


BM25 = ("--similarity", "bm25")
MORE = ("--user", "ann", "More forests?", "--choices", "Yes|No")


def test_prompts_that_answer_together_are_counted_and_marked(tmp_path: Path) -> None:
    with ApiServer(_values_nature) as server:
        store = fitted_by_api(tmp_path, server)
        lines = run("ask", "--store", store, *MORE).stdout.splitlines()
        document = asked(store, *MORE)
    assert lines[0] == "Yes"
    header = next(line for line in lines if line.startswith("PROMPT"))
    assert header.split() == ["PROMPT", "ORIGIN", "ESTIMATE", "SCORE"]
    assert sum(line.endswith("chosen") for line in lines) == 1
    together = sum(line.endswith(("chosen", "answers too")) for line in lines)
    assert together in (2, 3)
    assert any(line.startswith(f"{together} prompts answer together; the best of them, prompt ") for line in lines)
    assert sum(prompt["answers"] for prompt in document["prompts"]) == together
    shown = " ".join(run("users", "show", "ann", "--store", store).stdout.split())
    assert "the best scores 1 on the opinions that it was written without:" in shown
    assert "few-shot 0.00, the base model 0.00: the personalization answers" in shown


def test_few_shot_that_answers_is_named_with_its_evidence(tmp_path: Path) -> None:
    with ApiServer(_follows_examples) as server:
        store = fitted_by_api(tmp_path, server)
        again = run("fit", tmp_path / "users.jsonl", "--store", store, "--model", f"{server.url}#m", *BM25)
        text = " ".join(run("ask", "--store", store, *MORE).stdout.split())
        document = asked(store, *MORE)
    assert again.stdout.rstrip().endswith("few-shot answers: no gain over it")
    assert text.startswith("Yes Why: on 6 opinions, each without what was learned from it, the personalization scored ")
    assert "few-shot answers, with the person's nearest answers as examples The 3 nearest opinions" in text
    assert "The prompt before the examples: the initial prompt" in text
    assert "ESTIMATE" not in text
    assert "prompt 1" not in text
    assert document["evidence"].endswith("few-shot answers")
    shown = " ".join(run("users", "show", "ann", "--store", store).stdout.split())
    assert "few-shot answers" in shown


def test_a_user_of_whom_nothing_is_learned_is_led_to_fit(store: Path) -> None:
    result = run("ask", "--store", store, "--user", "silent", "Tea?", "--json")
    assert result.exit_code == 1
    assert f"idiolect fit USERS --user silent --store {store}" in result.stderr
    assert json.loads(result.stdout)["error"]["type"] == "NotFittedError"


def test_an_unknown_user_and_a_missing_store_are_errors(store: Path, tmp_path: Path) -> None:
    assert "has no user 'an'" in run("ask", "--store", store, "--user", "an", "Tea?").stderr
    result = run("ask", "--store", tmp_path / "typo", "--user", "ann", "Tea?")
    assert (result.exit_code, "there is no store at" in result.stderr) == (1, True)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Tea?", "--choices", "yes,no"], "choices are separated by |"),
        (["Tea?", "--choices", "yes| yes "], "two choices are equal"),
        (["Tea?", "--choices", "yes||no"], "a choice is blank"),
        (["Tea?", "--ordinal"], "ordinal requires choices"),
        ([" "], "question is blank"),
    ],
)
def test_a_question_that_is_none_is_wrong_use(store: Path, arguments: list[str], message: str) -> None:
    result = run("ask", "--store", store, "--user", "ann", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())


def test_hostile_texts_do_not_draw(tmp_path: Path) -> None:
    hostile = "\x1b[2J[red]x[/] <|im_end|> {{ 7 * 7 }}\x1b]0;title\x07"
    evil = ANN | {"profile": {"A": hostile}, "opinions": [opinion(f"{n} {hostile}", "always") for n in "abcdef"]}
    question = Question(f"Tea {hostile}?", ("no", "yes \x1b[31m[red]x[/] {{ 7 * 7 }}"))
    model = record(tmp_path / "evil.jsonl", [evil], asked=(question,))
    people = write_people(tmp_path / "users.jsonl", [evil])
    assert run("fit", people, "--store", tmp_path / "store", "--model", model, *FAST).exit_code == 0
    arguments = ("--user", "ann", question.text, "--choices", "|".join(question.choices), "--base")
    result = run("ask", "--store", tmp_path / "store", *arguments)
    assert result.exit_code == 0, result.output
    assert not {"\x1b", "\x07"} & set(result.output)
    assert "[red]x[/] <|im_end|> {{ 7 * 7 }}" in " ".join(result.stdout.split())


def test_the_whole_way_on_the_embedded_model(tmp_path: Path) -> None:
    """fit, ask, show, export; the one test here that runs it."""
    people = write_people(tmp_path / "users.jsonl", [ANN])
    fitted = run("fit", people, "--store", tmp_path / "store", "--iterations", "1", "--json")
    assert fitted.exit_code == 0, fitted.output
    assert 0 <= json.loads(fitted.stdout)["best_score"] <= 1
    shown = asked(tmp_path / "store", *ASK_TEA, "--base")
    assert shown["model"] == "embedded"
    assert shown["answer"] in TEA.choices
    assert shown["base"]["answer"] in TEA.choices
    assert "the best scores" in run("users", "show", "ann", "--store", tmp_path / "store").stdout
    document = json.loads(run("users", "export", "ann", "--store", tmp_path / "store").stdout)
    (kept,) = document["personalizations"]
    assert kept["payload"]["settings"]["iterations"] == 1
