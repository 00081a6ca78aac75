"""LaMP's published files, written here; no record of theirs."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idiolect.errors import DatasetError, Remedy, SettingsError
from idiolect.people.json_list import read_json_list
from idiolect.people.lamp import LampPerson, open_lamp
from idiolect.people.lamp_forms import (
    FORMS,
    LAMP_TASKS,
    MOVIE_TAGS,
    MOVIES,
    NEWS,
    NEWS_CATEGORIES,
    RATINGS,
    TITLES,
    TWEETS,
    HistoryItem,
)
from idiolect.people.lamp_prompts import history_item, history_item_of_text, profile_prompt

steady = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

CITATION = (
    'For an author who has written the paper with the title "Deep nets", which reference is related? Just answer with '
    '[1] or [2] without explanation. [1]: "Wide nets" [2]: "Cooking"'
)


def write_split(folder: Path, task: str, questions: Any, golds: Mapping[str, object], *, split: str = "dev") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}_questions.json").write_text(json.dumps(questions), encoding="utf-8")
    outputs = {"task": task, "golds": [{"id": key, "output": output} for key, output in golds.items()]}
    (folder / f"{split}_outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    return folder


def movie(key: str, description: str = "A ship in space.", *, items: int = 3, **more: object) -> dict[str, Any]:
    profile = [{"id": f"{key}{i}", "tag": MOVIE_TAGS[i], "description": f"Film {i}."} for i in range(items)]
    return {"id": key, "input": f"{MOVIES.instruction} {description}", "profile": profile, **more}


def everybody(path: Path, task: str, **how: Any) -> tuple[LampPerson, ...]:
    file = open_lamp(path, task=task)
    return file.read(file.people, **how)


def test_movies_are_asked_after_a_history_of_tags(tmp_path: Path) -> None:
    file = open_lamp(write_split(tmp_path, "LaMP_2", [movie("110")], {"110": "sci-fi"}), task="LaMP-2")
    assert file.people == ("LaMP-2-110",)
    (person,) = file.read(file.people)
    (asked,) = person.asked
    assert (asked.question.text, asked.answer, asked.extra["id"]) == (movie("110")["input"], "sci-fi", "110")
    assert asked.question.choices == MOVIE_TAGS
    assert {(o.question.text, o.answer) for o in person.history.opinions} == {
        (f"{MOVIES.instruction} Film {i}.", MOVIE_TAGS[i]) for i in range(3)
    }


def test_a_movie_question_that_asks_for_a_news_category_is_told(tmp_path: Path) -> None:
    contradictory = movie("2") | {"input": f"{NEWS.instruction} Peace at last."}
    listing = movie("3") | {"input": movie("3")["input"].replace("sci-fi", "politics")}
    golds = {"1": "sci-fi", "2": "politics", "3": "comedy"}
    file = open_lamp(write_split(tmp_path, "LaMP_2", [movie("1"), contradictory, listing], golds), task="LaMP-2")
    assert file.people == ("LaMP-2-1",)
    assert [str(record) for record in file.broken.first] == [
        "dev_questions.json: question 2: its input asks about categories of news; the file is about tags of movies",
        "dev_questions.json: question 3: its input lists other answers than those about tags of movies",
    ]


def test_the_older_news_files_are_read_with_their_categories(tmp_path: Path) -> None:
    profile = [{"id": "a", "text": "Goal!", "title": "Sport", "category": "sports"}]
    question = {"id": "1", "input": f"{NEWS.instruction} A new law.", "profile": profile}
    folder = write_split(tmp_path, "LaMP_2", [question, movie("2")], {"1": "politics", "2": "crime"})
    file = open_lamp(folder, task="LaMP-2")
    assert file.form is NEWS
    assert file.people == ("LaMP-2-1",)
    assert file.read(file.people)[0].asked[0].question.choices == NEWS_CATEGORIES


def broken_questions() -> list[tuple[Any, str]]:
    good = movie("x")
    return [
        ("a text", "has no id"),
        ({"id": "x"}, "lacks its input or its profile"),
        (good | {"profile": {}}, "lacks its input or its profile"),
        (good | {"profile": []}, "has no valid item"),
        (good | {"profile": [{"tag": "no tag", "description": "D"}, 3, {"tag": "comedy"}]}, "has no valid item"),
        (good | {"input": "Hello?"}, "its input is not a question of LaMP"),
        (good | {"id": "no gold"}, "has no gold"),
        (good | {"id": "wrong gold"}, "its gold is not one of the 15 labels"),
        (good | {"input": good["input"] + "\0"}, "NUL"),
        (good | {"input": good["input"] + "\ud800"}, "surrogate"),
        (movie("1"), "its id is that of an earlier question"),
    ]


@pytest.mark.parametrize(("record", "why"), broken_questions())
def test_broken_questions_are_told_and_left_out(tmp_path: Path, record: Any, why: str) -> None:
    golds = {"1": "sci-fi", "x": "comedy", "wrong gold": "sports"}
    file = open_lamp(write_split(tmp_path, "LaMP_2", [movie("1"), record], golds), task="LaMP-2")
    assert file.people == ("LaMP-2-1",)
    assert file.broken.count == 1
    assert why in file.broken.first[0].message
    assert len(file.read(file.people)) == 1


def test_ratings_are_a_scale_whatever_type_they_have(tmp_path: Path) -> None:
    profile = [{"id": "1", "text": "Fine.", "score": 4}, {"id": "2", "text": "Bad.", "score": "1.0"}]
    question = {"id": 7, "input": f"{RATINGS.instruction} Great.", "profile": profile}
    (person,) = everybody(write_split(tmp_path, "LaMP_3", [question], {"7": 5.0}), "LaMP-3")
    assert person.asked[0].question.ordinal
    assert person.asked[0].answer == "5"
    assert {o.answer for o in person.history.opinions} == {"4", "1"}
    (written,) = everybody(tmp_path, "LaMP-3", history="texts")
    assert set(written.history.texts) == {"Fine.", "Bad."}


def test_texts_are_histories_where_items_have_no_answer(tmp_path: Path) -> None:
    tweet = {"id": "1", "input": f"{TWEETS.instruction} I rest.", "profile": [{"id": "a", "text": "so tired lol"}]}
    (person,) = everybody(write_split(tmp_path / "7", "LaMP_7", [tweet], {"1": "resting now"}), "LaMP-7")
    assert person.history.texts == ("so tired lol",)
    assert person.asked[0].question.choices == ()
    paper = {"id": "1", "input": CITATION, "profile": [{"id": "a", "title": "Nets", "abstract": "We study nets."}]}
    (author,) = everybody(write_split(tmp_path / "1", "LaMP_1", [paper], {"1": "[1]"}), "LaMP-1")
    assert author.history.texts == ("Nets\nWe study nets.",)
    assert author.asked[0].question.choices == ("[1]", "[2]")
    assert history_item_of_text("LaMP-1", author.history.texts[0]) == HistoryItem("We study nets.", "Nets")


def test_movies_have_no_texts(tmp_path: Path) -> None:
    folder = write_split(tmp_path, "LaMP_2", [movie("1")], {"1": "sci-fi"})
    with pytest.raises(SettingsError, match="no texts"):
        everybody(folder, "LaMP-2", history="texts")


def test_questions_of_one_user_are_one_person_with_the_shortest_history(tmp_path: Path) -> None:
    later, earlier = movie("1", "Later.", items=5, user_id=9), movie("2", "Earlier.", items=2, user_id=9)
    other = movie("3", user_id=4)
    people = everybody(
        write_split(tmp_path, "LaMP_2", [later, other, earlier], dict.fromkeys("123", "comedy")), "LaMP-2"
    )
    nine = next(person for person in people if person.history.id == "LaMP-2-9")
    assert [opinion.extra["id"] for opinion in nine.asked] == ["1", "2"]
    assert len(nine.history.opinions) == 2
    assert len(people) == 2


def test_what_is_asked_is_no_history(tmp_path: Path) -> None:
    golds = {"1": "comedy", "2": "comedy"}
    asked_twice, only = movie("1", "Film 1."), movie("2", "Film 0.", items=1)
    (person,) = everybody(write_split(tmp_path, "LaMP_2", [asked_twice, only], golds), "LaMP-2")
    assert "Film 1." not in "".join(opinion.question.text for opinion in person.history.opinions)
    assert len(person.history.opinions) == 2


def leaking(task: str, history: dict[str, Any], asked: str, gold: str) -> tuple[str, dict[str, Any], str]:
    return task, {"id": "1", "input": asked, "profile": [{"id": "h", **history}]}, gold


SHUFFLED = list(MOVIE_TAGS)
random.Random(3).shuffle(SHUFFLED)
MOVIE_ITEM = {"tag": "comedy", "description": "A cook  finds a ghost."}


@pytest.mark.parametrize(
    ("task", "question", "gold"),
    [
        leaking("LaMP-2", MOVIE_ITEM, f"{MOVIES.instruction} A cook finds a ghost.", "comedy"),
        leaking(
            "LaMP-2",
            MOVIE_ITEM,
            MOVIES.instruction.replace(", ".join(MOVIE_TAGS), ",".join(SHUFFLED)) + " a cook finds  a ghost. ",
            "Comedy",
        ),
        leaking(
            "LaMP-2",
            MOVIE_ITEM | {"tag": " Comedy"},
            "which TAG does this movie relate to? tags : [ "
            + " , ".join(SHUFFLED).upper()
            + " ]\nDescription :\nA Cook "
            "finds a ghost.",
            "comedy",
        ),
        leaking("LaMP-2", MOVIE_ITEM | {"id": "1", "description": "Cut."}, f"{MOVIES.instruction} A cook.", "comedy"),
        leaking(
            "LaMP-2",
            MOVIE_ITEM | {"description": "It\u2019s."},
            f"{MOVIES.instruction} It's.",
            "comedy",
        ),
        leaking("LaMP-3", {"text": "Good  one.", "score": "5"}, f"{RATINGS.instruction} good one.", "5"),
        leaking("LaMP-3", {"id": 1, "text": "Good.", "score": "5"}, f"{RATINGS.instruction} good one.", "5"),
        leaking("LaMP-5", {"title": "Nets", "abstract": "We  study."}, f"{TITLES.instruction} We study.", "Nets!"),
        leaking("LaMP-5", {"title": "On  nets", "abstract": "Cut."}, f"{TITLES.instruction} We study.", "On Nets"),
        leaking("LaMP-7", {"text": "so TIRED  lol"}, f"{TWEETS.instruction} I rest.", "so tired lol"),
        leaking("LaMP-7", {"text": "I  rest."}, f"{TWEETS.instruction} i rest.", "so tired"),
        leaking("LaMP-1", {"title": "Deep  Nets", "abstract": "We do."}, CITATION, "[1]"),
    ],
)
def test_the_asked_item_leaves_the_history_however_it_is_written(
    tmp_path: Path, task: str, question: dict[str, Any], gold: str
) -> None:
    folder = write_split(tmp_path, task.replace("-", "_"), [question], {"1": gold})
    assert open_lamp(folder, task=task).people  # there is such a person
    assert everybody(folder, task) == ()  # but with nothing to learn from
    other = {
        "text": "Else.",
        "abstract": "Else.",
        "description": "Else.",
        "title": "Else",
        "tag": "action",
        "score": "1",
    }
    more = question | {"profile": [*question["profile"], {"id": "other", **other}]}
    write_split(folder, task.replace("-", "_"), [more], {"1": gold})
    (person,) = everybody(folder, task)
    assert "Else" in str(person.history)
    assert len(person.history.opinions) + len(person.history.texts) == 1


def test_golds_are_labels_but_for_case_and_blanks(tmp_path: Path) -> None:
    folder = write_split(tmp_path, "LaMP_2", [movie("1"), movie("2")], {"1": " Sci-Fi", "2": "based on a  BOOK"})
    assert [person.asked[0].answer for person in everybody(folder, "LaMP-2")] == ["sci-fi", "based on a book"]


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("LaMP_2", "LaMP_2"),
        ("LaMP_2/dev", "LaMP_2"),
        ("LaMP_2/new/dev", "LaMP_2"),
        ("LaMP_2/dev", "LaMP_2/dev"),
        ("downloads/LaMP/LaMP_2/dev", "downloads"),
        ("LaMP_2/LaMP_2/dev", "LaMP_2"),
        ("lamp2/dev", "."),
    ],
)
def test_downloads_are_read_as_they_are(tmp_path: Path, place: str, named: str) -> None:
    write_split(tmp_path / place, "LaMP_2", [movie("1")], {"1": "comedy"})
    above = (tmp_path / place).parent if place.endswith("dev") else tmp_path / "LaMP_9"
    write_split(above / "train", "LaMP_2", [movie("2")], {"2": "comedy"}, split="train")
    write_split(tmp_path / "downloads/LaMP/LaMP_3/dev", "LaMP_3", [], {})
    assert open_lamp(tmp_path / named, task="LaMP-2").people == ("LaMP-2-1",)


def test_compressed_files_and_outputs_elsewhere_are_found(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "LaMP_2/dev", "LaMP_2", [movie("1")], {"1": "comedy"})
    for name in ("dev_questions.json", "dev_outputs.json"):
        (folder / f"{name}.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + (folder / name).read_bytes()))
        (folder / name).unlink()
    assert open_lamp(tmp_path, task="LaMP-2").people == ("LaMP-2-1",)
    assert open_lamp(folder / "dev_questions.json.gz", task="LaMP-2").people == ("LaMP-2-1",)
    assert open_lamp(folder / "dev_questions.json", task="LaMP-2").people == ("LaMP-2-1",)
    (folder / "dev_questions.json").write_bytes(gzip.decompress((folder / "dev_questions.json.gz").read_bytes()))
    assert open_lamp(tmp_path, task="LaMP-2").people == ("LaMP-2-1",)  # unpacked beside the archive
    (folder / "dev_outputs.json.gz").rename(tmp_path / "LaMP_2" / "dev_outputs.json.gz")
    assert open_lamp(tmp_path / "LaMP_2", task="LaMP-2").people == ("LaMP-2-1",)


def test_what_was_expected_and_found_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such file or folder"):
        open_lamp(tmp_path / "nowhere", task="LaMP-2")
    with pytest.raises(DatasetError, match=r"expected LaMP_2/dev/dev_questions\.json or .*; it is empty"):
        open_lamp(tmp_path, task="LaMP-2")
    (tmp_path / "LaMP_2.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"it contains LaMP_2\.zip; unpack the archives first"):
        open_lamp(tmp_path, task="LaMP-2")
    with pytest.raises(DatasetError, match=r"LaMP_2\.zip: is an archive; unpack it first"):
        open_lamp(tmp_path / "LaMP_2.zip", task="LaMP-2")
    for place in ("LaMP_2/dev", "LaMP_2/new/dev"):
        write_split(tmp_path / place, "LaMP_2", [movie("1")], {"1": "comedy"})
    with pytest.raises(DatasetError, match=r"contains 2 files dev_questions\.json \(LaMP_2/dev/.*folder of one"):
        open_lamp(tmp_path, task="LaMP-2")
    with pytest.raises(DatasetError, match=r"contains the answers; name the file dev_questions\.json or its folder"):
        open_lamp(tmp_path / "LaMP_2/dev/dev_outputs.json", task="LaMP-2")
    with pytest.raises(DatasetError, match=r"answers are for LaMP_2, not for LaMP-3: name the folder of LaMP-3"):
        open_lamp(tmp_path / "LaMP_2/dev", task="LaMP-3")


def test_a_limit_takes_from_the_shuffled_history(tmp_path: Path) -> None:
    folder = write_split(tmp_path, "LaMP_2", [movie("1", items=15)], {"1": "comedy"})
    whole = everybody(folder, "LaMP-2")[0].history.opinions
    assert everybody(folder, "LaMP-2", limit=4)[0].history.opinions == whole[:4]
    assert everybody(folder, "LaMP-2", seed=1)[0].history.opinions != whole
    assert set(everybody(folder, "LaMP-2", seed=1)[0].history.opinions) == set(whole)


def test_a_split_is_a_file_of_the_folder(tmp_path: Path) -> None:
    write_split(tmp_path, "LaMP_2", [movie("1")], {"1": "comedy"}, split="train")
    assert open_lamp(tmp_path, task="LaMP-2", split="train").people == ("LaMP-2-1",)
    assert open_lamp(tmp_path / "train_questions.json", task="LaMP-2").people == ("LaMP-2-1",)
    with pytest.raises(DatasetError, match="has no split 'dev'; the splits found are: train") as caught:
        open_lamp(tmp_path, task="LaMP-2")
    assert caught.value.remedy == Remedy("split", "train")
    (tmp_path / "train_outputs.json").unlink()
    with pytest.raises(DatasetError, match="published for the splits train and dev"):
        open_lamp(tmp_path, task="LaMP-2", split="train")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("questions", "{}", "must contain a list"),
        ("questions", "", "must contain a list"),
        ("questions", "[]", "has no valid question"),
        ("questions", '[{"id": 1}', "is not JSON"),
        ("questions", "[" * 200_000, "nested too deep"),
        ("questions", "[" + "9" * 5000 + "]", "cannot be read"),
        ("questions", "[1 2]", "is not JSON"),
        ("outputs", "[]", "expected the form"),
        ("outputs", '{"golds": {}}', "expected the form"),
        ("outputs", '{"task": "LaMP_3", "golds": []}', "for LaMP_3, not for LaMP-2"),
        ("outputs", '{"task": 3, "golds": []}', "are not for LaMP-2"),
        ("outputs", '{"a":' * 200_000, "nested too deep"),
        ("outputs", "nope", "is not JSON"),
    ],
)
def test_files_that_are_none_are_told(tmp_path: Path, name: str, content: str, why: str) -> None:
    write_split(tmp_path, "LaMP_2", [movie("1")], {"1": "comedy"})
    (tmp_path / f"dev_{name}.json").write_text(content)
    with pytest.raises(DatasetError, match=why):
        open_lamp(tmp_path, task="LaMP-2")


def test_a_byte_order_mark_and_latin1_are_read(tmp_path: Path) -> None:
    write_split(tmp_path, "LaMP_2", [movie("1", "Caf_.")], {"1": "comedy"})
    path = tmp_path / "dev_questions.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"Caf_", b"Caf\xe9"))
    assert open_lamp(tmp_path, task="LaMP-2").replaced == 1


def test_tasks_have_names() -> None:
    assert LAMP_TASKS == ("LaMP-1", "LaMP-2", "LaMP-3", "LaMP-4", "LaMP-5", "LaMP-7")
    with pytest.raises(ValueError, match="LaMP-6"):
        profile_prompt("LaMP-6", "", [])
    for form in FORMS:
        if form.instruction:
            assert form.contradiction(form.asking_about("something").text) is None


ITEMS = (HistoryItem("T1", "L1"), HistoryItem("T2", "L2"))


@pytest.mark.parametrize(
    ("task", "text", "prompt"),
    [
        (
            "LaMP-1",
            CITATION,
            CITATION.replace("the title", 'the title, and "L1", and "L2"'),
        ),
        (
            "LaMP-2",
            "Which tag…",
            'the tag for the movie: "T1" is "L1", and the tag for the movie: "T2" is "L2". Which tag…',
        ),
        (
            "LaMP-2",
            NEWS.instruction,
            'the category for the article: "T1" is "L1", and the category for the article: "T2" is "L2". '
            + NEWS.instruction,
        ),
        ("LaMP-3", "What…", 'L1 is the score for "T1", and L2 is the score for "T2". What…'),
        ("LaMP-4", "Generate…", '"L1" is the title for "T1", and "L2" is the title for "T2". Generate…'),
        (
            "LaMP-5",
            "Generate…",
            '"L1" is a title for "T1", and "L2" is a title for "T2". Following the given patterns Generate…',
        ),
        (
            "LaMP-7",
            "Paraphrase…",
            '"T1", and "T2" are written by a person. Following the given patterns Paraphrase…',
        ),
    ],
)
def test_the_published_prompts(task: str, text: str, prompt: str) -> None:
    assert profile_prompt(task, text, ITEMS) == prompt
    assert profile_prompt(task, text, []) == text


def test_an_opinion_tells_the_item_that_it_was_made_of(tmp_path: Path) -> None:
    profile = [{"id": "a", "title": "On nets", "abstract": "We study nets."}]
    question = {"id": "1", "input": f"{TITLES.instruction} More.", "profile": profile}
    (person,) = everybody(write_split(tmp_path, "LaMP_5", [question], {"1": "On more"}), "LaMP-5")
    assert history_item("LaMP-5", person.history.opinions[0]) == HistoryItem("We study nets.", "On nets")
    (written,) = everybody(tmp_path, "LaMP-5", history="texts")
    assert history_item_of_text("LaMP-5", written.history.texts[0]) == HistoryItem("We study nets.", "On nets")


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)


@steady
@given(st.lists(st.tuples(WORDS, st.sampled_from(MOVIE_TAGS)), min_size=1, max_size=5), st.sampled_from(MOVIE_TAGS))
def test_people_to_the_layout_and_back(
    tmp_path_factory: pytest.TempPathFactory, items: Sequence[tuple[str, str]], gold: str
) -> None:
    profile = [{"id": f"i{i}", "description": text, "tag": tag} for i, (text, tag) in enumerate(items)]
    question = movie("1", "An unseen film.") | {"profile": profile}
    folder = tmp_path_factory.mktemp("lamp")
    (first,) = everybody(write_split(folder, "LaMP_2", [question], {"1": gold}), "LaMP-2")
    assert sorted((o.question.text, o.answer) for o in first.history.opinions) == sorted(
        (f"{MOVIES.instruction} {text}", tag) for text, tag in items
    )
    back = [history_item("LaMP-2", opinion) for opinion in first.history.opinions]
    ids = [opinion.extra["id"] for opinion in first.history.opinions]
    question["profile"] = [
        {"id": key, "description": item.text, "tag": item.label} for key, item in zip(ids, back, strict=True)
    ]
    (again,) = everybody(write_split(folder, "LaMP_2", [question], {"1": gold}), "LaMP-2")
    assert again.asked == first.asked
    assert set(again.history.opinions) == set(first.history.opinions)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "input", "profile", "tag", "description", "user_id"]), inner)
    ),
    max_leaves=15,
)


@steady
@given(st.lists(JSON, max_size=3), JSON, st.sampled_from(LAMP_TASKS))
def test_any_records_give_people_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], change: Any, task: str
) -> None:
    folder = tmp_path_factory.mktemp("lamp")
    changed = movie("2") | (change if isinstance(change, dict) else {"profile": change})
    write_split(folder, task.replace("-", "_"), [movie("1"), changed, *records], {"1": "comedy", "2": "sci-fi"})
    with suppress(DatasetError):
        assert everybody(folder, task)


@steady
@given(st.binary(max_size=40), st.integers(0, 300), st.booleans())
def test_any_bytes_give_people_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, questions: bool
) -> None:
    folder = write_split(tmp_path_factory.mktemp("lamp"), "LaMP_2", [movie("1"), movie("2")], {"1": "comedy"})
    path = folder / ("dev_questions.json" if questions else "dev_outputs.json")
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + noise + whole[at:])
    with suppress(DatasetError):
        everybody(folder, "LaMP-2")


@steady
@given(st.lists(JSON, max_size=5), st.integers(1, 9), st.sampled_from([None, 1]))
def test_a_list_is_read_in_chunks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], size: int, indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("json") / "list.json"
    path.write_text(json.dumps(values, indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("idiolect.people.json_list._CHUNK", size)
        assert json.dumps(list(read_json_list(path))) == json.dumps(values)
