"""Erasure of tensors, a person's own and of groups: looked for, found, and gone; each sabotage is found out."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from idiolect.erasure import forgetting
from idiolect.erasure.byte_search import Patterns
from idiolect.erasure.canaries import MOST_SLICES, SLICE_WIDTH, slices, tensors_of_others, unshared
from idiolect.erasure.forgetting import forget_user
from idiolect.erasure.holdings import holdings, write_archive
from idiolect.errors import UnknownUserError
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.api_keys import ApiKeys, Scope
from idiolect.store.group_records import Removal
from idiolect.store.schema import group_personalizations, group_refits, group_sources
from tests.erasure.keeping import ANNA, BORIS, everything

PAGE = 4092  # bytes of a value in one of SQLite's overflow pages


def safetensors(seed: int, size: int = 60_000) -> bytes:
    header = json.dumps({"layer.1.read": {"dtype": "F32", "shape": [2, size // 8], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + random.Random(seed).randbytes(size)


HERS, HIS, THEIRS = safetensors(1), safetensors(2), safetensors(3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Anna and Boris with tensors of their own, and a group of both."""
    with Store.open(tmp_path / "people", tenant=DEFAULT_TENANT) as opened:
        opened.save_users([ANNA, BORIS])
        opened.save_personalization(ANNA.id, "chameleon", {"layers": [1]}, HERS)
        opened.save_personalization(BORIS.id, "chameleon", {"layers": [1]}, HIS)
        opened.groups.create("both", [ANNA.id, BORIS.id])
        quote = {"insight": "They remember a station in the snow."}
        both = opened.groups.read_members("both")
        opened.groups.save_personalization("both", "chameleon", quote, THEIRS, fitted_on=both)
        yield opened


def pieces_left(folder: Path, tensors: bytes) -> int:
    """How many of many short pieces of the bytes are left anywhere; a page break may cut some."""
    content = everything(folder)
    return sum(tensors[start : start + 16] in content for start in range(200, len(tensors), 512))


def test_no_byte_of_tensors_is_left(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "people"
    assert min(pieces_left(folder, tensors) for tensors in (HERS, HIS, THEIRS)) > 100  # the test would see them
    with_tensors = forget_user(store, ANNA.id)
    assert with_tensors.proven
    assert with_tensors.canaries > 2 * 59
    assert with_tensors.before.total > with_tensors.canaries
    assert (pieces_left(folder, HERS), pieces_left(folder, THEIRS)) == (0, 0)
    assert pieces_left(folder, HIS) > 100
    assert store.personalization_record(BORIS.id, "chameleon").tensors == HIS
    assert b"a station in the snow" not in everything(folder)


def test_search_finds_tensors_before_and_not_after(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three, alone, is found where it lies."""
    for tensors in (HERS, THEIRS):
        monkeypatch.setattr(forgetting, "_canaries", lambda *_, t=tensors, **__: [frozenset({p}) for p in slices(t)])
        search = forgetting.Search(store, (), forgetting._canaries(store, ANNA.id, (), in_store=True))
        found, _ = search.run()
        assert found.total >= 0.9 * len(slices(tensors))
    receipt = forget_user(store, ANNA.id)
    assert (receipt.before.total > 0, receipt.after.total) == (True, 0)


def no_group_is_left(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Deletes the sources of what groups learned, and leaves what they learned."""

    def leave(connection: sa.Connection, *_: object, **__: object) -> Removal:
        connection.execute(group_sources.delete())
        return Removal({})

    del store
    monkeypatch.setattr(forgetting, "leave_groups", leave)


def no_scrubbing(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    with store.database.engine().connect() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete = OFF")
    monkeypatch.setattr(forgetting, "scrub", lambda *_: None)


@pytest.mark.parametrize("sabotage", [no_group_is_left, no_scrubbing])
def test_tensors_that_stay_are_found_out(store: Store, monkeypatch: pytest.MonkeyPatch, sabotage: Any) -> None:
    canaries = forgetting._canaries

    def of_tensors_only(*arguments: Any, **named: Any) -> list[frozenset[bytes]]:
        return [each for each in canaries(*arguments, **named) if all(len(form) == SLICE_WIDTH for form in each)]

    monkeypatch.setattr(forgetting, "_canaries", of_tensors_only)
    sabotage(monkeypatch, store)
    receipt = forget_user(store, ANNA.id)
    assert receipt.after.total > 50
    assert not receipt.proven


def test_copies_of_tensors_in_the_folder_are_found(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "people" / "exported.bin"
    copy.write_bytes(HERS[30_000:34_000])
    receipt = forget_user(store, ANNA.id)
    assert receipt.after.places == {str(copy): 4}


def test_tensors_are_searched_in_rows_where_there_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path))
    with Store.open("sqlite://", tenant=DEFAULT_TENANT) as store:
        store.save_users([ANNA, BORIS])
        store.save_personalization(ANNA.id, "chameleon", {}, HERS)
        without = len(slices(HERS))
        receipt = forget_user(store, ANNA.id)
        assert receipt.proven
        assert receipt.before.places["rows of the database"] > without
        store.save_users([ANNA])
        store.save_personalization(ANNA.id, "chameleon", {}, HERS)
        monkeypatch.setattr(forgetting, "_delete_rows", lambda _store, draft, _name: (draft, "no mark"))
        assert forget_user(store, ANNA.id).after.total > without


def test_group_that_lost_a_source_remembers_only_that_it_needs_a_refit(store: Store) -> None:
    forget_user(store, ANNA.id)
    with store.database.reading() as connection:
        assert [row[:3] for row in connection.execute(sa.select(group_refits))] == [
            (DEFAULT_TENANT, "both", "chameleon")
        ]
        assert connection.execute(sa.select(group_personalizations)).all() == []


def test_slices_lie_in_every_page_and_none_in_the_header() -> None:
    pieces = slices(HERS)
    assert {len(piece) for piece in pieces} == {SLICE_WIDTH}
    header = 8 + int.from_bytes(HERS[:8], "little")
    for shift in (0, 1, 977, 4091):
        for page in range(header + shift, len(HERS) - PAGE, PAGE):
            assert sum(piece in HERS[page : page + PAGE] for piece in pieces) >= 3
    assert not any(piece in HERS[:header] for piece in pieces)
    assert slices(HERS[:header]) != slices(HERS)


def test_slices_of_large_tensors_are_limited_and_of_nothing_distinctive_none() -> None:
    large = random.Random(4).randbytes(3 * MOST_SLICES * 1000)
    pieces = slices(large)
    assert 0.9 * MOST_SLICES < len(pieces) <= MOST_SLICES
    assert large.index(pieces[-1]) > 0.99 * len(large)
    assert slices(bytes(100_000)) == slices(b"\x00\x00\x80\x3f" * 25_000) == slices(b"short") == slices(b"") == []


def test_slices_that_others_hold_are_none() -> None:
    pieces = slices(HERS)
    shifted = b"x" * ((1 << 20) - 40_000) + HERS[20_000:]  # across the border of what is hashed at once
    assert unshared(pieces, [HIS, shifted]) == [piece for piece in pieces if HERS.index(piece) < 20_000]
    assert unshared([], [HIS]) == []
    assert Patterns(pieces).count([shifted, HIS, HERS]) == len(pieces) + sum(piece in shifted for piece in pieces)


def test_shared_tensors_are_no_leak(store: Store) -> None:
    store.save_personalization(BORIS.id, "chameleon", {}, HERS)
    receipt = forget_user(store, ANNA.id)
    assert receipt.proven
    assert store.personalization_record(BORIS.id, "chameleon").tensors == HERS


def test_an_edit_that_began_at_the_groups_hides_nothing_of_it(store: Store) -> None:
    begun = {"started_from": {"group": "both", "digest": "ab", "origin": "folder"}}
    pieces = slices(THEIRS)
    for card, searched_for in (({}, []), (begun, pieces)):
        store.save_personalization(BORIS.id, "chameleon", card, THEIRS)
        with store.rows.reading() as connection:
            assert unshared(pieces, tensors_of_others(connection, ANNA.id)) == searched_for
    receipt = forget_user(store, ANNA.id)
    assert (receipt.proven, receipt.begun_edits_deleted) == (True, 1)


def test_export_tells_tensors_and_groups(store: Store) -> None:
    held = holdings(store, ANNA.id)
    assert held.tensors == {"chameleon": HERS}
    document = json.loads(json.dumps(held.document()))
    assert document["groups"] == ["both"]
    assert document["personalizations"][0]["tensors"]["bytes"] == len(HERS)
    file = io.BytesIO()
    write_archive(file, held)
    with zipfile.ZipFile(file) as archive:
        assert archive.read("personalizations/chameleon.safetensors") == HERS
        assert json.loads(archive.read("groups.json")) == ["both"]
        told = json.loads(archive.read("personalizations/chameleon.json"))["tensors"]
        assert told == json.loads(archive.read("manifest.json"))["members"]["personalizations/chameleon.safetensors"]


def test_export_names_the_keys_that_are_bound_to_the_person_without_their_hashes(store: Store) -> None:
    keys = ApiKeys(store.database)
    hers, _ = keys.create(tenant=DEFAULT_TENANT, scopes={Scope.CHAT}, user=ANNA.id, name="her phone")
    keys.create(tenant=DEFAULT_TENANT, scopes={Scope.CHAT}, user=BORIS.id)
    (row,) = holdings(store, ANNA.id).document()["api_keys"]
    assert (row["id"], row["name"], row["scopes"], row["revoked_at"]) == (hers.id, "her phone", ["chat"], None)
    assert "secret_sha256" not in row
    assert forget_user(store, ANNA.id).proven
    with pytest.raises(UnknownUserError):
        holdings(store, ANNA.id)
