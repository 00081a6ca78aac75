"""The search finds what a plain search finds, wherever it lies."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.erasure.byte_search import Patterns, SearchedFile, search_files

FEW_BYTES = st.binary(min_size=6, max_size=40).map(lambda raw: bytes(byte % 3 for byte in raw))
BUFFER = st.binary(max_size=300).map(lambda raw: bytes(byte % 3 for byte in raw))


def naive_search(patterns: set[bytes], buffer: bytes) -> list[bytes]:
    return sorted(p for p in patterns for at in range(len(buffer)) if buffer.startswith(p, at))


@given(st.sets(FEW_BYTES, max_size=8), BUFFER)
def test_finds_every_occurrence_and_nothing_else(patterns: set[bytes], buffer: bytes) -> None:
    assert sorted(Patterns(patterns).find(buffer)) == naive_search(patterns, buffer)


@pytest.mark.parametrize("length", [6, 7, 8, 9, 15, 16, 17, 24, 300])
def test_finds_a_pattern_at_both_ends_of_a_buffer(length: int) -> None:
    pattern = random.Random(length).randbytes(length)
    for buffer in (pattern, pattern + b"xx", b"xx" + pattern):
        assert list(Patterns([pattern]).find(buffer)) == [pattern]
    assert list(Patterns([pattern]).find(pattern[:-1])) == []


@given(st.sets(FEW_BYTES, max_size=8), BUFFER, st.lists(st.integers(0, 300), max_size=12))
def test_finds_every_occurrence_once_however_the_buffer_is_cut(
    patterns: set[bytes], buffer: bytes, cuts: list[int]
) -> None:
    borders = [0, *sorted(cuts), len(buffer)]
    chunks = (buffer[start:end] for start, end in pairwise(borders))
    assert sorted(Patterns(patterns).find_across(chunks)) == naive_search(patterns, buffer)


def test_patterns_that_overlap_touch_or_contain_each_other_are_all_found() -> None:
    patterns = {b"abcabc", b"abcabcabc", b"cabcab", b"xyzxyz"}
    buffer = b"abcabcabcxyzxyz"
    assert sorted(Patterns(patterns).find(buffer)) == naive_search(patterns, buffer)
    assert len(naive_search(patterns, buffer)) == 5


def test_pattern_too_short_is_a_wrong_argument() -> None:
    with pytest.raises(ValueError, match="shorter than 6"):
        Patterns([b"abcde"])
    assert list(Patterns([]).find(b"anything")) == []


def test_files_are_searched_across_their_chunks(tmp_path: Path) -> None:
    pattern = "the quick 🦊 jumps over it".encode()
    size = 1 << 15
    places = [0, size - 1, size - len(pattern), 2 * size - 3, 5 * size + 7]
    content = bytearray(random.Random(1).randbytes(6 * size))
    for place in places:
        content[place : place + len(pattern)] = pattern
    file = tmp_path / "a.bin"
    file.write_bytes(content)
    (tmp_path / "empty").touch()
    found = search_files({file: "a.bin", tmp_path / "empty": "empty", tmp_path / "gone": "gone"}, [pattern])
    assert found == [SearchedFile(file, 6 * size, len(places)), SearchedFile(tmp_path / "empty", 0, 0)]


def test_names_are_searched_and_unreadable_files_are_told(tmp_path: Path) -> None:
    file = tmp_path / "notes on Anna Karenina"
    file.write_text("nothing")
    (tmp_path / "folder").mkdir()
    found = search_files({file: file.name, tmp_path / "folder": "folder"}, [b"Anna Karenina"])
    assert found == [SearchedFile(file, 7, 1), SearchedFile(tmp_path / "folder", 0, 0, readable=False)]
