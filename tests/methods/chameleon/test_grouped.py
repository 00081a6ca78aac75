"""A group's trained edit and a person's step from it, in a planted world: what is read, when, and what comes of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from idiolect import Opinion, Question, User
from idiolect.errors import ContextLengthError, HaltedError, PersonalizationError, SettingsError
from idiolect.methods.chameleon.evidence import ChameleonEvidence
from idiolect.methods.chameleon.grouped import GroupedChameleon
from idiolect.methods.chameleon.personalization import ChameleonPersonalization, HistoryRead, StartedFrom
from idiolect.methods.chameleon.roles import Item, deal_roles
from idiolect.methods.chameleon.settings import ChameleonSettings, Variant, preset
from idiolect.methods.chameleon.start import Start, start_of
from idiolect.methods.chameleon.variants import random_edit
from idiolect.methods.personalization import Progress
from idiolect.models.edit_training import EditFactors, EditTraining, OnStep, ignore_step
from idiolect.models.language_model import ChosenAnswer, Usage
from tests.methods.chameleon.planted import LAYERS, WIDTH, PlantedModel, pull, rater, said, settings, stepping, writer
from tests.methods.chameleon.starts import random_start


async def fit(
    model: PlantedModel, user: User, made: ChameleonSettings | None = None, start: Start | None = None
) -> ChameleonPersonalization:
    return await GroupedChameleon(model, made or stepping(), start=start).fit(user)


def read_in(model: PlantedModel) -> list[list[str]]:
    """What the person said, in every gradient that was taken."""
    return [[said(answer) for answer in answers] for _, answers in model.gradients]


def words(items: Sequence[Item]) -> list[str]:
    return [item.answer if isinstance(item, Opinion) else item for item in items]


# A person


async def test_all_of_200_texts_are_read() -> None:
    model, user = PlantedModel(), writer(200)
    learned = await fit(model, user)
    assert learned.used
    assert learned.read == HistoryRead(opinions=0, texts=200, answers=200, refitted=True)
    assert (learned.n_learned, learned.n_items) == (200, 200)
    assert Counter(text for texts in read_in(model) for text in texts) == Counter(user.texts)


async def test_all_of_30_opinions_and_30_texts_are_read() -> None:
    model, user = PlantedModel(), replace(rater(30), texts=writer(30).texts)
    learned = await fit(model, user)
    assert learned.read == HistoryRead(opinions=30, texts=30, answers=60, refitted=True)
    asked = Counter(answer.request.messages[0].content for _, answers in model.gradients for answer in answers)
    assert all(any(opinion.question.text in request for request in asked) for opinion in user.opinions)
    assert Counter(text for texts in read_in(model) for text in texts) == Counter(user.texts) + Counter({"zesty": 30})


async def test_what_judges_is_judged_by_an_edit_that_has_not_read_it() -> None:
    model, user, made = PlantedModel(), writer(20), stepping(strength=0.5)
    learned = await fit(model, user, made)
    (roles,) = deal_roles([user], made, owner=user.id)
    assert roles.learning is not None
    first, rest = read_in(model)
    assert sorted(first) == sorted(roles.learning.texts)
    assert sorted(rest) == sorted(words(roles.judging))
    assert (learned.n_chosen, learned.n_judged) == (0, len(roles.judging)) == (0, 4)
    judged = [edit for request, edit in model.choices if edit is not None and request.choices[0] in roles.judging]
    (begun, answers), _ = model.gradients
    assert made.stepping is not None
    scale, gradient = (await first_start(made)).scale, pull(begun, answers)
    for edit in judged:
        for at, layer in edit.layers.items():
            step = made.stepping.step * scale[at] * gradient[at] / gradient[at].norm()
            assert torch.allclose(layer.write, learned.variant.alpha * (begun.writes[at] + step), atol=1e-6)
            assert not torch.allclose(layer.write, learned.edit.layers[at].write, atol=1e-6)
    assert len(judged) == 4


async def test_the_cost_is_that_of_the_edit_that_is_kept() -> None:
    model = PlantedModel()
    learned = await fit(model, writer(20))
    measured = [edit for request, edit in model.choices if edit is not None and request.choices[0].startswith("plain")]
    assert measured
    assert all(edit == learned.edit for edit in measured)


async def test_repeated_texts_count_as_often_as_they_occur() -> None:
    model, user = PlantedModel(), User("w", texts=(*writer(12).texts, *writer(12).texts, writer(1).texts[0]))
    learned = await fit(model, user)
    assert Counter(text for texts in read_in(model) for text in texts) == Counter(user.texts)
    assert learned.read == HistoryRead(0, 25, 25, refitted=True)


async def test_an_edit_that_makes_the_words_less_likely_does_not_answer() -> None:
    learned = await fit(PlantedModel(taste=-1.0), writer(20))
    assert not learned.used
    assert (learned.n_learned, learned.n_items) == (20, 20)


async def test_nothing_is_refitted_if_the_settings_say_so() -> None:
    model = PlantedModel()
    learned = await fit(model, writer(20), stepping(refit=False))
    assert learned.used
    assert (len(model.gradients), learned.read) == (1, HistoryRead(0, 16, 16, refitted=False))


async def test_nothing_is_left_to_refit_where_nothing_is_held_out() -> None:
    model = PlantedModel()
    learned = await fit(model, writer(20), stepping(evidence=0.0))
    assert learned.used
    assert learned.variant.alpha == 1.0
    assert (len(model.gradients), learned.read) == (1, HistoryRead(0, 20, 20, refitted=False))


@pytest.mark.parametrize("group", [False, True])
async def test_the_edit_is_the_start_and_one_step_along_the_gradient(group: bool) -> None:
    model, user, made = PlantedModel(), writer(20), stepping(rank=2)
    start = random_start(LAYERS, WIDTH, rank=2) if group else None
    learned = await fit(model, user, made, start)
    begun = model.gradients[0][0]
    scale = torch.tensor(start.measures.scale) if start else (await first_start(made)).scale
    if start is not None:
        assert begun is start.factors
    answers = [answer for _, answers in model.gradients for answer in answers]
    gradient = pull(begun, answers)
    assert made.stepping is not None
    for at, layer in learned.edit.layers.items():
        step = made.stepping.step * scale[at] * gradient[at] / gradient[at].norm()
        assert torch.equal(layer.read, begun.reads[at])
        assert torch.allclose(layer.write, learned.variant.alpha * (begun.writes[at] + step), atol=1e-6)
        assert layer.read.shape == (2, WIDTH)
    assert list(learned.edit.layers) == list(range(LAYERS))
    assert learned.started_from == (StartedFrom("critics", start.digest) if start else None)
    assert learned.start is None


async def first_start(made: ChameleonSettings) -> Start:
    """The start that a fit measures if none is given."""
    from idiolect.methods.chameleon.start import plain_start

    return await plain_start(PlantedModel(), PlantedModel(), made)


async def test_the_random_control_reads_as_the_step_does_and_writes_as_much() -> None:
    learned = await fit(PlantedModel(), writer(20), stepping(), random_start(LAYERS, WIDTH))
    control = random_edit(learned, seed=0)
    assert list(control.layers) == list(learned.edit.layers)
    for at, layer in learned.edit.layers.items():
        assert torch.equal(control.layers[at].read, layer.read)
        assert torch.allclose(control.layers[at].write.norm(dim=1), layer.write.norm(dim=1), rtol=1e-5)
        assert not torch.allclose(control.layers[at].write, layer.write)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
async def test_words_without_a_direction_are_an_error_never_a_random_step(value: float) -> None:
    class Flat(PlantedModel):
        async def write_gradient(
            self, factors: EditFactors, answers: Sequence[ChosenAnswer], *, on_step: OnStep = ignore_step
        ) -> Tensor:
            found = await super().write_gradient(factors, answers, on_step=on_step)
            found[1] = value
            return found

    with pytest.raises(PersonalizationError, match="the words of 'w' give no direction in layer 1"):
        await fit(Flat(), writer())


async def test_too_little_history_is_an_error_before_the_model_runs() -> None:
    model = PlantedModel()
    with pytest.raises(PersonalizationError, match=r"learning needs 4 different opinions and texts, but .* has 3"):
        await fit(model, writer(3))
    assert model.events == []


async def test_history_of_which_too_little_may_be_learned_from_is_an_error() -> None:
    """Free answers that are the held-out texts too may not be learned from."""
    texts = writer(4).texts
    told = tuple(Opinion(f"What is {i}?", text) for i, text in enumerate(texts))
    made, people = stepping(evidence=0.9), [User(f"u{i}", opinions=told, texts=texts) for i in range(99)]
    user = next(each for each in people if deal_roles([each], made, owner=each.id)[0].n_learning < 4)
    with pytest.raises(PersonalizationError, match=r"has \d opinions and texts to learn from, apart .* 4 are"):
        await fit(PlantedModel(), user, made)


async def test_a_strength_that_costs_too_much_shrinks_until_it_is_bearable() -> None:
    made = replace(stepping(strength=2.0), max_fluency_cost=0.01)
    learned = await fit(PlantedModel(), writer(), made)
    first, *_, last = learned.trials
    assert first.variant == Variant("grouped", 2.0, layers=None)
    assert [trial.eligible for trial in learned.trials] == [False] * (len(learned.trials) - 1) + [True]
    assert learned.variant == last.variant
    assert 0 < last.variant.alpha < 2.0
    assert last.fluency >= -0.01
    assert all(trial.gain is None for trial in learned.trials)
    assert learned.used


async def test_a_bearable_strength_is_taken_as_it_is() -> None:
    learned = await fit(PlantedModel(), writer(), replace(stepping(strength=0.3), max_fluency_cost=1.0))
    assert [trial.variant.alpha for trial in learned.trials] == [learned.variant.alpha] == [0.3]
    unlimited = await fit(PlantedModel(), writer(), replace(stepping(strength=2.0), max_fluency_cost=None))
    assert (unlimited.variant.alpha, len(unlimited.trials)) == (2.0, 1)


async def test_without_a_bearable_strength_the_base_model_answers() -> None:
    model = PlantedModel()
    learned = await fit(model, writer(), replace(stepping(strength=2.0), max_fluency_cost=0.0))
    assert [trial.variant.alpha for trial in learned.trials] == [2.0, 0.2, 0.02, 0.002]
    assert not learned.used
    assert learned.gate.startswith("no variant costs at most 0.0 nat per token")


async def test_a_start_that_was_measured_before_costs_nobody_anything() -> None:
    start = replace(random_start(LAYERS, WIDTH), usage=Usage(1000, 1000, 1000))
    given, measured = await fit(PlantedModel(), writer(), start=start), await fit(PlantedModel(), writer())
    assert given.usage.calls < measured.usage.calls < 1000
    seen: list[Progress] = []
    await GroupedChameleon(PlantedModel(), stepping(), start=start).fit(writer(), observer=seen.append)
    assert [each.usage.calls for each in seen[:3]] == [0, 0, 0], "nothing is called until a strength is tried"
    seen.clear()
    await GroupedChameleon(PlantedModel(), stepping()).fit(writer(), observer=seen.append)
    first, *measuring = [each.usage.calls for each in seen[:3]]
    assert first == 0
    assert min(measuring) > 0, "the model has written texts of its own"


async def test_nothing_is_held_out_for_a_choice() -> None:
    made, model = replace(stepping(), choosing_share=0.3), PlantedModel()
    learned = await fit(model, writer(20), made)
    assert (learned.n_chosen, learned.n_judged, learned.settings) == (0, 4, made)
    assert len(read_in(model)[0]) == 16


async def test_a_fit_tells_its_steps_and_is_the_same_twice() -> None:
    seen: list[Progress] = []
    one = await GroupedChameleon(PlantedModel(), stepping()).fit(writer(), observer=seen.append)
    other = await fit(PlantedModel(), writer())
    assert one.edit == other.edit
    assert one.to_json() == other.to_json()
    assert [(progress.done, progress.total) for progress in seen] == [(at, 4) for at in range(4)]
    again = ChameleonPersonalization.from_parts(json.loads(json.dumps(one.to_json())), one.tensor_bytes())
    assert (again.edit, again.to_json()) == (one.edit, one.to_json())


def test_settings_without_steps_are_refused() -> None:
    for made in (settings(), preset("paper")):
        with pytest.raises(SettingsError, match="need settings with stepping, as of preset grouped"):
            GroupedChameleon(PlantedModel(), made)


# A group


def member(name: str, n: int) -> User:
    """Somebody who wrote n texts that nobody else wrote."""
    return User(name, texts=tuple(f"{text} by {name}" for text in writer(n).texts))


async def fit_group(
    model: PlantedModel, members: Sequence[User], made: ChameleonSettings | None = None, name: str = "g"
) -> ChameleonPersonalization:
    return await GroupedChameleon(model, made or stepping()).fit_group(name, members)


async def test_a_group_learns_from_its_members_and_is_a_start_for_people() -> None:
    model, members, made = PlantedModel(), [member("ann", 20), member("bob", 20)], stepping()
    learned = await fit_group(model, members, made)
    ((begun, answers, training),) = model.trainings
    assert not begun.writes.any()
    assert made.stepping is not None
    assert (training.epochs, training.learning_rate) == (made.stepping.epochs, made.stepping.learning_rate)
    held = {text for user in members for text in words(deal_roles([user], made, owner=user.id)[0].judging)}
    assert len(held) == learned.n_judged == 8
    assert {said(answer) for answer in answers} == {text for user in members for text in user.texts} - held
    assert (learned.members, learned.read) == (("ann", "bob"), HistoryRead(0, 32, 32, refitted=False))
    assert learned.used
    assert isinstance(learned.evidence, ChameleonEvidence)
    kept = ChameleonPersonalization.from_parts(json.loads(json.dumps(learned.to_json())), learned.tensor_bytes())
    start = start_of(kept)
    assert (start.group, start.digest, start.measures) == ("g", learned.edit.digest, learned.start)
    person = await fit(PlantedModel(), writer(), made, start)
    assert person.started_from == StartedFrom("g", learned.edit.digest)
    assert person.used


async def test_a_group_is_trained_from_nothing_even_where_another_groups_edit_is_given() -> None:
    model, start = PlantedModel(), random_start(LAYERS, WIDTH)
    learned = await GroupedChameleon(model, stepping(), start=start).fit_group("g", [member("ann", 20)])
    ((begun, _, _),) = model.trainings
    plain = await first_start(stepping())
    assert torch.equal(begun.reads, plain.factors.reads)
    assert not begun.writes.any()
    assert learned.start == plain.measures
    assert learned.usage.completion_tokens > 0


async def test_a_group_takes_the_measurements_of_a_plain_start_that_is_given() -> None:
    model, start = PlantedModel(), await first_start(stepping())
    learned = await GroupedChameleon(model, stepping(), start=start).fit_group("g", [member("ann", 20)])
    assert model.requests == []
    assert learned.start == start.measures


async def test_what_judges_a_member_was_not_learned_from_by_the_group() -> None:
    members, made, model = (
        [member(name, 30) for name in ("ann", "bob", "cyd")],
        stepping(most_held_out=5),
        PlantedModel(),
    )
    group = await fit_group(model, members, made)
    assert group.n_judged == 5
    ((_, answers, _),) = model.trainings
    start = start_of(group)
    for user in members:
        (roles,) = deal_roles([user], made, owner=user.id)
        assert {said(answer) for answer in answers}.isdisjoint(words(roles.judging))
        person = await fit(PlantedModel(), user, made, start)
        assert person.n_judged == len(roles.judging) == 6


async def test_a_member_is_judged_by_what_the_group_has_not_learned_whatever_the_seed() -> None:
    members, made, model = [member(name, 30) for name in ("ann", "bob")], stepping(), PlantedModel()
    start = start_of(await fit_group(model, members, made))
    ((_, answers, _),) = model.trainings
    known = {said(answer) for answer in answers}
    for seed in range(1, 5):
        other = replace(made, generation=replace(made.generation, seed=seed))
        judges = {text for text in members[0].texts if text not in await _read_first(members[0], other, start)}
        assert len(judges) == 6
        assert judges.isdisjoint(known)
        assert await _read_first(member("cyd", 30), other, start) != await _read_first(member("cyd", 30), made, start)


async def _read_first(user: User, made: ChameleonSettings, start: Start) -> list[str]:
    """What is learned from before anything judges."""
    model = PlantedModel()
    await fit(model, user, made, start)
    return read_in(model)[0]


async def test_targets_are_drawn_evenly_from_the_members() -> None:
    model = PlantedModel()
    learned = await fit_group(
        model, [member("ann", 60), member("bob", 20), member("cyd", 20)], stepping(most_targets=20)
    )
    ((_, answers, _),) = model.trainings
    counts = Counter(said(answer).rsplit(" ", 1)[-1] for answer in answers)
    assert sorted(counts.values()) == [6, 7, 7]
    assert learned.read == HistoryRead(0, 20, 20, refitted=False)
    assert learned.n_learned == 20


async def test_a_long_text_counts_once_per_window_and_is_read_in_part_at_the_limit() -> None:
    long = User("ann", texts=("so it goes. " * 2000, *member("ann", 6).texts))
    model = PlantedModel()
    learned = await fit_group(model, [long], stepping(most_targets=9, evidence=0.0))
    ((_, answers, _),) = model.trainings
    assert learned.read is not None
    assert len(answers) == learned.read.answers == 9


async def test_a_group_has_a_strength_of_its_own() -> None:
    model, made = PlantedModel(), stepping(group_strength=0.25, strength=0.75)
    learned = await fit_group(model, [member("ann", 20)], made)
    assert [trial.variant for trial in learned.trials] == [Variant("grouped", 0.25, layers=None)]
    judged = [edit for request, edit in model.choices if edit is not None and request.choices[0].endswith("by ann")]
    assert judged
    assert all(edit == learned.edit for edit in judged), "what judges it was not learned from"


async def test_a_group_holds_out_no_more_than_is_needed() -> None:
    members = [member(name, 40) for name in ("ann", "bob", "cyd")]
    learned = await fit_group(PlantedModel(), members, stepping(most_held_out=6))
    assert (learned.n_chosen, learned.n_judged) == (0, 6)


async def test_a_member_with_one_text_stays() -> None:
    members = [member("ann", 20), User("brief", texts=("only this",))]
    learned = await fit_group(PlantedModel(), members)
    assert learned.members == ("ann", "brief")


async def test_a_member_who_has_only_what_judges_another_is_left_out() -> None:
    made, ann = stepping(), member("ann", 20)
    judging = deal_roles([ann], made, owner="ann")[0].judging
    echo = User("echo", texts=tuple(words(judging[:1])))
    model = PlantedModel()
    learned = await fit_group(model, [ann, echo], made)
    assert learned.members == ("ann",)
    ((_, answers, _),) = model.trainings
    assert {said(answer) for answer in answers}.isdisjoint(words(judging))


async def test_a_group_without_enough_history_is_an_error() -> None:
    with pytest.raises(PersonalizationError, match="group 'g' has no members to learn from"):
        await fit_group(PlantedModel(), [])
    with pytest.raises(PersonalizationError, match="learning needs 4"):
        await fit_group(PlantedModel(), [User(name, texts=(f"only {name}",)) for name in ("this", "that", "it")])


async def test_the_same_seed_gives_the_same_group_and_another_seed_another_order() -> None:
    members = [member("ann", 30), member("bob", 30)]
    orders = []
    for seed in (0, 0, 1):
        made, model = stepping(), PlantedModel()
        await fit_group(model, members, replace(made, generation=replace(made.generation, seed=seed)))
        ((_, answers, training),) = model.trainings
        assert training.seed == seed
        orders.append([said(answer) for answer in answers])
    assert orders[0] == orders[1] != orders[2]


class Stepwise(PlantedModel):
    """A model that trains in four steps and computes gradients in two, and lets the event loop run in between."""

    made = 0

    async def _steps(self, on_step: OnStep, total: int) -> None:
        for done in range(1, total + 1):
            on_step(done, total)
            self.made += 1
            await asyncio.sleep(0.001)

    async def write_gradient(
        self, factors: EditFactors, answers: Sequence[ChosenAnswer], *, on_step: OnStep = ignore_step
    ) -> Tensor:
        await self._steps(on_step, 2)
        return await super().write_gradient(factors, answers)

    async def train_edit(
        self,
        start: EditFactors,
        scale: Tensor,
        answers: Sequence[ChosenAnswer],
        settings: EditTraining,
        *,
        on_step: OnStep = ignore_step,
    ) -> EditFactors:
        await self._steps(on_step, 4)
        return await super().train_edit(start, scale, answers, settings)


async def test_the_parts_of_a_training_and_of_a_gradient_are_told() -> None:
    seen: list[Progress] = []
    await GroupedChameleon(Stepwise(), stepping()).fit_group("g", [member("ann", 20)], observer=seen.append)
    parts = [(each.stage, each.done, each.part) for each in seen if each.part]
    assert parts == [("learning from members", 1, part) for part in (0.25, 0.5, 0.75, 1.0)]
    assert all(each.usage.calls for each in seen if each.part)
    seen.clear()
    await GroupedChameleon(Stepwise(), stepping()).fit(writer(), observer=seen.append)
    parts = [(each.stage, each.done, each.part) for each in seen if each.part]
    stage = "learning from own words"
    assert parts == 2 * [(stage, 1, 0.5), (stage, 1, 1.0)], "what judges is read after the rest"


@pytest.mark.parametrize("group", [False, True])
async def test_an_observer_can_end_a_training_or_a_gradient_at_any_step(group: bool) -> None:
    model = Stepwise()

    def stop(progress: Progress) -> None:
        if progress.part:
            raise HaltedError("enough")

    method = GroupedChameleon(model, stepping())
    with pytest.raises(HaltedError, match="enough"):
        await (method.fit_group("g", [writer()], observer=stop) if group else method.fit(writer(), observer=stop))
    assert model.made == 1


@pytest.mark.parametrize("what", ["reads", "writes"])
async def test_a_training_that_diverges_is_an_error_that_belongs_to_the_group(what: str) -> None:
    class Diverging(PlantedModel):
        async def train_edit(self, *asked: Any, **named: Any) -> EditFactors:
            found = await super().train_edit(*asked, **named)
            getattr(found, what)[1, 0, 3] = float("nan")
            return found

    with pytest.raises(PersonalizationError, match="the training of the edit of 'g' diverged"):
        await fit_group(Diverging(), [member("ann", 20)])


async def test_a_group_tells_its_steps() -> None:
    seen: list[Progress] = []
    await GroupedChameleon(PlantedModel(), stepping()).fit_group("g", [member("ann", 20)], observer=seen.append)
    assert [(progress.done, progress.total) for progress in seen] == [(at, 4) for at in range(4)]
    assert {progress.user_id for progress in seen} == {"g"}


# Questions that the model cannot read


class Short(PlantedModel):
    """A planted model that cannot read anything of the history."""

    async def write_gradient(self, *_: Any, **__: Any) -> Tensor:
        raise ContextLengthError("the prompt has 900 tokens; the model can read at most 256 in total", limit=256)

    async def train_edit(self, *_: Any, **__: Any) -> EditFactors:
        raise ContextLengthError("the prompt has 900 tokens; the model can read at most 256 in total", limit=256)


async def test_a_question_that_is_too_long_is_named_by_its_member_and_length() -> None:
    few, long = replace(rater(8), id="ann"), replace(rater(8), id="bob")
    asked = replace(long.opinions[3].question, text="why " * 3000)
    long = replace(long, opinions=(*long.opinions[:3], replace(long.opinions[3], question=asked)))
    expected = r"question of user 'bob', with its choices \(1[12],\d{3} characters\), is too long: .* at most 256"
    with pytest.raises(ContextLengthError, match=expected) as caught:
        await GroupedChameleon(Short(), stepping()).fit_group("all", [few, long])
    assert caught.value.limit == 256
    assert "why" not in str(caught.value)
    with pytest.raises(ContextLengthError, match=expected):
        await fit(Short(), replace(long, opinions=(*few.opinions[4:], *long.opinions)))


async def test_a_question_with_long_choices_is_the_longest() -> None:
    few, long = replace(rater(8), id="ann"), replace(rater(8), id="bob")
    asked = Question("Which?", tuple(f"{n} {'so ' * 200}" for n in range(9)))
    long = replace(long, opinions=(*long.opinions, Opinion(asked, asked.choices[0])))
    with pytest.raises(ContextLengthError, match=r"user 'bob', with its choices \(5,\d{3} characters\), is too long"):
        await GroupedChameleon(Short(), stepping()).fit_group("all", [few, long])


async def test_without_questions_the_error_stays_as_it_is() -> None:
    with pytest.raises(ContextLengthError, match=r"^the prompt has 900 tokens"):
        await fit(Short(), writer(8))
