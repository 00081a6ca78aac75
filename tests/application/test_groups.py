"""One edit for a group: whose it is, who is left out, and what nobody keeps of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.application.asking import ask
from idiolect.application.chameleon import GROUP_NOTE
from idiolect.application.groups import fit_group
from idiolect.application.owner import Owner
from idiolect.application.persons import forget
from idiolect.application.run import CallSettings
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import (
    GroupNeedsRefitError,
    HaltedError,
    NotFittedError,
    PersonalizationError,
    SettingsError,
    UnknownGroupError,
)
from idiolect.methods.personalization import Progress
from idiolect.models.calls.budget import Limits
from idiolect.people.user import User
from tests.application.edited import PAPER, SMALL, U1, U2
from tests.application.mimicked import SILENT
from tests.cli.learning import TEA

pytestmark = pytest.mark.usefixtures("hashed")
READERS = Owner.group("readers")


def workspace(tmp_path: Path, model: str, limit: int | None = None) -> WorkspaceSettings:
    return WorkspaceSettings(tmp_path / "store", model, calls=CallSettings(run=Limits(calls=limit)))


async def test_an_edit_of_all_members_answers_until_one_is_forgotten(tmp_path: Path, tiny_weights: str) -> None:
    async with AsyncWorkspace(workspace(tmp_path, tiny_weights)) as space:
        space.store.save_users([U1, U2])
        space.store.groups.create("readers", ("u1", "u2"))
        with pytest.raises(NotFittedError) as early:
            await ask(space, READERS, TEA)
        assert (early.value.owner, early.value.kind) == ("readers", "group")
        fitted = await fit_group(space, "readers", SMALL)
        assert (fitted.learned.members, fitted.left_out, fitted.learned.pairs) == (("u1", "u2"), (), ())
        assert fitted.learned.n_items == sum(len(each.opinions) + len(each.texts) for each in (U1, U2))
        asked = await ask(space, READERS, TEA)
        assert (asked.edit, asked.owner, asked.stale) == (fitted.learned, READERS, "")
        space.store.save_users([User("u2", texts=(*U2.texts, "One more."), opinions=U2.opinions)])
        assert (await ask(space, READERS, TEA)).stale == GROUP_NOTE
        assert (await forget(space, "u1")).proven
        with pytest.raises(GroupNeedsRefitError):
            await ask(space, READERS, TEA)


async def test_nothing_of_a_groups_fit_is_in_the_cache(tmp_path: Path, tiny_weights: str) -> None:
    """The pool cannot tell members apart, and no cached text may outlive one of them."""
    async with AsyncWorkspace(workspace(tmp_path, tiny_weights)) as space:
        space.store.save_users([U1, U2])
        space.store.groups.create("readers", ("u1", "u2"))
        fitted = await fit_group(space, "readers", SMALL)
        assert fitted.learned.settings.stepping is not None
        cache, calls = space.run.calls.cache, space.run.spending().calls
        assert cache is not None
        assert [list(cache.calls_of(owner)) for owner in ("u1", "u2", "readers")] == [[], [], []]
        assert calls == fitted.learned.settings.stepping.neutral_texts, "the model's own texts, and nothing else"
        await fit_group(space, "readers", SMALL)
        assert (space.run.spending().calls, space.run.spending().from_cache) == (2 * calls, 0)


async def test_one_text_is_enough_in_a_group_unless_pairs_are_written(tmp_path: Path, tiny_weights: str) -> None:
    async with AsyncWorkspace(workspace(tmp_path, tiny_weights)) as space:
        space.store.save_users([SILENT, U1])
        space.store.groups.create("readers", ("u1", "silent"))
        space.store.groups.create("silence", ("silent",))
        fitted = await fit_group(space, "readers", SMALL)
        assert (sorted(fitted.learned.members), fitted.left_out) == (["silent", "u1"], ())
        fitted = await fit_group(space, "readers", replace(PAPER, pairs=12))
        assert (fitted.learned.members, fitted.left_out) == (("u1",), ("silent",))
        with pytest.raises(PersonalizationError):
            await fit_group(space, "silence", SMALL)
        with pytest.raises(UnknownGroupError):
            await fit_group(space, "writers", SMALL)


async def test_another_groups_edit_is_refused_as_a_beginning(tmp_path: Path, tiny_weights: str) -> None:
    async with AsyncWorkspace(workspace(tmp_path, tiny_weights)) as space:
        space.store.save_users([U1])
        space.store.groups.create("readers", ("u1",))
        with pytest.raises(SettingsError, match=r"a group's edit is trained from nothing, .* leave out from_group"):
            await fit_group(space, "readers", replace(SMALL, preset=None, from_group="writers"))


async def test_a_budget_stops_it_and_what_was_learned_before_stays(tmp_path: Path, tiny_weights: str) -> None:
    async with AsyncWorkspace(workspace(tmp_path, tiny_weights)) as space:
        space.store.save_users([U1])
        space.store.groups.create("readers", ("u1",))
        before = (await fit_group(space, "readers", SMALL)).learned
    async with AsyncWorkspace(workspace(tmp_path, tiny_weights, limit=2)) as space:
        with pytest.raises(HaltedError, match="the budget of 2 calls is spent"):
            await fit_group(space, "readers", SMALL)
        assert (await ask(space, READERS, TEA)).edit == before


async def test_a_halt_ends_a_training_at_its_next_step_and_nothing_is_stored(tmp_path: Path, tiny_weights: str) -> None:
    seen: list[Progress] = []
    async with AsyncWorkspace(workspace(tmp_path, tiny_weights)) as space:
        space.store.save_users([U1])
        space.store.groups.create("readers", ("u1",))

        def halt(progress: Progress) -> None:
            seen.append(progress)
            if progress.part:
                space.halt("stopped by hand")

        with pytest.raises(HaltedError, match="stopped by hand"):
            await fit_group(space, "readers", SMALL, observer=halt)
        assert [each.stage for each in seen if each.part] == ["learning from members"]
        assert seen[-1].part < 1
        with pytest.raises(NotFittedError):
            await ask(space, READERS, TEA)
