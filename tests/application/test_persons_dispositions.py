"""A person's changes to what is stated of them: stored, kept by further learning, and never lost to another process."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect.application import dispositions as use_cases
from idiolect.application.blocking import Workspace
from idiolect.application.dispositions import PersonsDispositions, edit_in, save_with_edits
from idiolect.application.documents import dispositions_document, user_document
from idiolect.application.persons import known_in
from idiolect.errors import DamagedError, NotFittedError, PersonalizationError, StoreError, UnknownUserError
from idiolect.methods.fermi.dispositions import Disposition, DispositionEdits, Trial
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.models.doubles import FunctionModel
from idiolect.people.user import Opinion, Question
from idiolect.store import DEFAULT_TENANT, Store
from tests.application.mimicked import ANN, BOB, FAST, opened
from tests.application.served import fit_in
from tests.cli.learning import mimic

STATED = (
    Disposition("This person is fond of tea", (0, 1), (0, 1), 0, (Trial(2, 0.0, 1.0), Trial(3, 0.0, 0.5))),
    Disposition("This person is fond of mud", (0,), (0, 1), 0, (Trial(2, 0.5, 0.5),)),
    Disposition("This person is never idle", (2,), (2, 3), 1, (Trial(0, 0.0, 1.0),)),
)


def state(store: Path, stated: tuple[Disposition, ...] = STATED) -> None:
    """Let the stored result have dispositions."""
    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        learned = FermiPersonalization.from_json(people.personalization("ann", "fermi"))
        people.save_personalization("ann", "fermi", replace(learned, dispositions=stated).to_json())


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """A store where ann is learned, and has dispositions."""
    assert (await fit_in(opened(tmp_path), [ANN, BOB], FAST)).complete
    state(tmp_path)
    return tmp_path


def held(store: Path) -> FermiPersonalization:
    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        return FermiPersonalization.from_json(people.personalization("ann", "fermi"))


def edit(store: Path, **edits: Any) -> PersonsDispositions:
    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        return edit_in(people, "ann", DispositionEdits(**edits))


def stated(theirs: PersonsDispositions) -> list[tuple[int, str, bool]]:
    return [(number, one.stated, theirs.answers(one)) for number, one in theirs.numbered.items()]


async def test_they_are_read_and_changed(store: Path) -> None:
    with Workspace.open(store, model=mimic()) as space:
        before = space.dispositions("ann")
        assert stated(before) == [(1, STATED[0].text, True), (2, STATED[2].text, True)]
        edits = DispositionEdits(strike=(2,), reword=((1, "I drink tea"),), add=("I sleep late",))
        after = space.edit_dispositions("ann", edits)
        expected = [(1, "I drink tea", True), (2, STATED[2].text, False), (3, "I sleep late", True)]
        assert stated(after) == stated(space.dispositions("ann")) == expected
    learned = held(store)
    assert learned == after.learned
    assert replace(learned, dispositions=STATED) == before.learned


async def test_what_cannot_be_changed_changes_nothing(store: Path) -> None:
    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        digest = people.personalization_record("ann", "fermi").digest
        for user, error in (("nobody", UnknownUserError), ("ann", PersonalizationError)):
            with pytest.raises(error):
                edit_in(people, user, DispositionEdits(add=("I sleep late",), strike=(3,)))
        assert people.personalization_record("ann", "fermi").digest == digest
        people.save_users([replace(ANN, id="new")])
        with pytest.raises(NotFittedError):
            edit_in(people, "new", DispositionEdits(add=("I sleep late",)))
        with pytest.raises(TypeError, match="edits is of type dict"):
            edit_in(people, "ann", {"strike": [1]})  # type: ignore[arg-type]


class _Busy:
    """A store in which another process saves just before this one does, so many times."""

    def __init__(self, store: Store, times: int) -> None:
        self._store, self._times = store, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def compare_and_save_personalization(self, user_id: str, method: str, payload: Any, **more: Any) -> bool:
        if self._times:
            self._times -= 1
            learned = FermiPersonalization.from_json(self._store.personalization(user_id, method))
            theirs = (*learned.dispositions, Disposition(f"theirs {self._times}", origin="person"))
            self._store.save_personalization(user_id, method, replace(learned, dispositions=theirs).to_json())
        return self._store.compare_and_save_personalization(user_id, method, payload, **more)


async def test_changes_of_two_processes_are_both_kept(store: Path) -> None:
    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        after = edit_in(_Busy(people, 2), "ann", DispositionEdits(add=("mine",)))  # type: ignore[arg-type]
        assert [one.stated for one in after.numbered.values()][2:] == ["theirs 1", "theirs 0", "mine"]
        with pytest.raises(StoreError, match="nothing was changed, try again"):
            edit_in(_Busy(people, 3), "ann", DispositionEdits(add=("lost",)))  # type: ignore[arg-type]
        assert "lost" not in str(people.personalization("ann", "fermi"))
        payload = held(store).to_json() | {"dispositions": []}
        assert save_with_edits(_Busy(people, 1), "ann", payload)  # type: ignore[arg-type]
        texts = [each.stated for each in held(store).dispositions]
        assert {"mine", "theirs 0", "theirs 1", "theirs 2"} <= set(texts)
        assert STATED[0].text not in texts  # the optimizer's are those of the new result


async def test_a_new_fit_and_further_learning_keep_the_changes(store: Path) -> None:
    edit(store, strike=(2,), add=("I sleep late",))
    with Workspace.open(store, model=mimic()) as space:
        added = space.add_opinion(
            "ann", Opinion(Question("Would you drink rain at noon?", ("never", "always")), "never")
        )
        assert added.learned
        ones = {one.stated: one.struck for one in space.dispositions("ann").numbered.values()}
        assert ones == {STATED[0].text: False, STATED[2].text: True, "I sleep late": False}
    assert (await fit_in(opened(store), [ANN], FAST)).complete
    assert [(each.stated, each.struck) for each in held(store).dispositions] == [
        (STATED[2].text, True),
        ("I sleep late", False),
    ]


async def test_a_question_is_asked_with_those_that_are_not_struck(store: Path) -> None:
    edit(store, strike=(1,), add=("I sleep late",))
    seen: list[str] = []
    double = mimic()

    def note(requests: Any) -> None:
        seen.extend(message.content for request in requests for message in request.messages)

    class Noting(FunctionModel):
        async def choice_logprobs(self, requests: Any) -> Any:
            note(requests)
            return await double.choice_logprobs(requests)

        async def complete(self, requests: Any) -> Any:
            note(requests)
            return await double.complete(requests)

    model = Noting("mimic", complete=lambda _: "", choice_logprobs=lambda _: [])
    with Workspace.open(store, model=model) as space:
        asked = space.ask("ann", "Would you drink tea at dawn?", choices=["never", "sometimes", "always"], ordinal=True)
    assert asked.explanation is not None
    assert asked.prompts is not None
    assert [asked.prompts.dispositions[place].stated for place in asked.explanation.dispositions][-1] == "I sleep late"
    assert "- I sleep late" in "\n".join(seen)
    assert STATED[0].text not in "\n".join(seen)


async def test_documents_name_them(store: Path) -> None:
    after = edit(store, strike=(2,), reword=((1, "I drink tea"),))
    document = dispositions_document(after)
    assert document["user"] == "ann"
    assert document["note"] is None
    first, second = document["dispositions"]
    assert first == {
        "number": 1,
        "text": "I drink tea",
        "origin": "optimizer",
        "reworded_from": STATED[0].text,
        "struck": False,
        "gain": 0.75,
        "tried_on": 2,
        "explains": [
            {"question": o.question.text, "choices": list(o.question.choices), "answer": o.answer}
            for o in after.learned.opinions[:2]
        ],
        "stated": True,
    }
    assert (second["struck"], second["stated"]) == (True, False)
    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        (shown,) = [one for one in user_document(known_in(people, "ann"))["learned"] if one["method"] == "fermi"]
    assert [one["text"] for one in shown["dispositions"]] == ["I drink tea", STATED[2].text]


async def test_notes_say_why_none_or_only_the_persons_own_are_stated(store: Path) -> None:
    learned = held(store)
    off = PersonsDispositions("ann", replace(learned, dispositions_help=False))
    assert "better without them" in off.note
    assert not any(off.answers(one) for one in off.numbered.values())
    assert PersonsDispositions("ann", learned).note == ""
    assert use_cases.with_edits({"dispositions": []}, {"x": 1}) == {"x": 1}


def damage(store: Path, change: str) -> None:
    with sqlite3.connect(next(store.glob("*.db"))) as connection:
        connection.execute(f"UPDATE personalizations SET {change} WHERE user_id = 'ann'")


def edits_kept(store: Path) -> list[tuple[str, bool]]:
    return [(one.stated, one.struck) for one in held(store).dispositions if one.own or one.struck]


EDITED = [("I drink tea", False), (STATED[2].text, True)]


@pytest.mark.parametrize("change", ["digest = ''", "created_at = 'garbage'", "payload = json_set(payload, '$.x', 1)"])
async def test_edits_outlive_a_damaged_row_that_is_replaced(store: Path, change: str) -> None:
    edit(store, strike=(2,), reword=((1, "I drink tea"),))
    new = replace(held(store), dispositions=STATED).to_json()
    damage(store, change)
    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        with pytest.raises(DamagedError):
            save_with_edits(people, "ann", new, unless=lambda _: False)
        assert save_with_edits(people, "ann", new)
    assert edits_kept(store) == EDITED


async def test_a_row_that_cannot_be_read_at_all_is_replaced(store: Path) -> None:
    new = replace(held(store), dispositions=STATED).to_json()
    damage(store, "payload = '{bad'")
    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        assert save_with_edits(people, "ann", new)
        assert people.unverified_personalization("bob", "chameleon") == (None, None)
    assert held(store).dispositions == STATED


async def test_edits_outlive_a_result_of_another_version(store: Path) -> None:
    """Its dispositions are read by themselves, and of those that are not valid, the words and the strike."""
    edit(store, strike=(2,), reword=((1, "I drink tea"),))
    new = replace(held(store), dispositions=STATED).to_json()
    for changes in ({"format": 99}, {"settings": {"preset": 1}}, {"trials": "none"}, {"later": [1]}):
        with Store.open(store, tenant=DEFAULT_TENANT) as people:
            payload = held(store).to_json()
            dispositions = [{**one, **changes} for one in payload["dispositions"]]
            people.save_personalization("ann", "fermi", {**payload, **changes, "dispositions": [*dispositions, 7]})
            assert save_with_edits(people, "ann", new)
        assert edits_kept(store) == EDITED


async def test_a_store_that_cannot_be_read_now_keeps_its_result(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is no damage: nothing is replaced, and learning goes on from its checkpoint."""
    edit(store, strike=(2,), reword=((1, "I drink tea"),))
    before = held(store)

    def locked(*_: object) -> None:
        raise StoreError("the database is locked")

    with Store.open(store, tenant=DEFAULT_TENANT) as people:
        monkeypatch.setattr(people, "find_personalization", locked)
        with pytest.raises(StoreError, match="locked"):
            save_with_edits(people, "ann", replace(before, dispositions=STATED).to_json())
    assert held(store) == before
