from __future__ import annotations

import sys
from itertools import pairwise

import pytest

from idiolect.errors import MissingExtraError
from idiolect.evaluate.report.drawing import drawn, spread


def test_labels_stay_where_there_is_room() -> None:
    assert spread([0.9, 0.1, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.9, 0.1, 0.5])


def test_labels_that_meet_move_apart_alike() -> None:
    assert spread([0.5, 0.5, 0.52], 0.1, 0.0, 1.0) == pytest.approx([0.4067, 0.5067, 0.6067], abs=1e-3)


@pytest.mark.parametrize("wanted", [[0.0, 0.0, 0.0], [1.0, 1.0, 0.99], [0.0, 1.0, 1.0]])
def test_labels_keep_their_distance_and_the_limits(wanted: list[float]) -> None:
    places = spread(wanted, 0.2, 0.0, 1.0)
    apart = sorted(places)
    assert apart[0] >= 0
    assert apart[-1] <= 1
    assert min(b - a for a, b in pairwise(apart)) >= 0.2 - 1e-9


def test_no_labels_need_no_places() -> None:
    assert spread([], 0.1, 0.0, 1.0) == []


def test_drawing_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"idiolect\[evaluate\]"):
        drawn(lambda _: None, "a", label="a", width=10, height=10)
