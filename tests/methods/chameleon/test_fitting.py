from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from idiolect import Opinion, Question, User
from idiolect.errors import ContextLengthError, PersonalizationError
from idiolect.methods.chameleon.evidence import ChameleonEvidence
from idiolect.methods.chameleon.fitting import Chameleon, queries_of
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.chameleon.roles import deal_roles
from idiolect.methods.chameleon.settings import ChameleonSettings, GenerationSettings, Variant
from idiolect.methods.personalization import Progress
from idiolect.models.language_model import Completion, CompletionRequest
from tests.methods.chameleon.planted import PLANTED, Letters, PlantedModel, rater, settings, write, writer


async def fit(model: PlantedModel, user: User, made: ChameleonSettings) -> ChameleonPersonalization:
    return await Chameleon(model, made, embedder=Letters()).fit(user)


async def test_fit_finds_the_planted_direction_and_the_evidence_lets_it_answer() -> None:
    learned = await fit(PlantedModel(), writer(), settings())
    assert learned.variant.rule == "gradient"
    direction = learned.edit.layers[1].write[0]
    assert torch.cosine_similarity(direction, PLANTED, dim=0) > 0.99
    assert learned.used
    assert learned.n_judged == 4
    assert learned.gate.startswith("on 4 held-out texts, ")
    assert learned.gate.endswith(" nat per token likelier than under the base model: the edit answers")


async def test_fit_of_an_edit_that_does_harm_lets_the_base_model_answer_and_says_why() -> None:
    learned = await fit(PlantedModel(taste=-1.0), writer(), settings(Variant("gradient", 0.05, layers=None)))
    assert not learned.used
    assert learned.gate.endswith("the base model answers")


async def test_fit_where_every_variant_costs_too_much_keeps_the_one_that_costs_least() -> None:
    weak, strong = (Variant("gradient", alpha, layers=None) for alpha in (0.05, 0.5))
    learned = await fit(PlantedModel(), writer(), settings(strong, weak, max_fluency_cost=0.0))
    by = {trial.variant: trial for trial in learned.trials}
    gains = {variant: trial.gain or 0.0 for variant, trial in by.items()}
    assert gains[strong] > gains[weak]
    assert by[strong].fluency < by[weak].fluency < 0
    assert learned.variant == weak
    assert not learned.used


async def test_fit_generates_data_before_any_edit_is_active() -> None:
    model = PlantedModel()  # which refuses to write while an edit is active
    await fit(model, writer(), settings())
    last_written = max(at for at, event in enumerate(model.events) if event == "complete")
    assert model.events.index("score edited") > last_written
    assert model.events.index("activations") > last_written


@pytest.mark.parametrize("user", [writer(), rater(12)])
@pytest.mark.parametrize("personalized", ["generated", "own"])
async def test_fit_never_shows_the_model_what_it_is_judged_on(user: User, personalized: str) -> None:
    made = settings()
    made = replace(made, generation=replace(made.generation, personalized=personalized, least_pairs=2))
    model = PlantedModel()
    learned = await fit(model, user, made)
    (roles,) = deal_roles([user], made, owner=user.id)
    held_out = [item.question.text if isinstance(item, Opinion) else item for item in (*roles.judging, *roles.choosing)]
    assert held_out
    shown = [message.content for request in model.requests for message in request.messages]
    fitted = [part for pair in learned.pairs for part in (pair.query, pair.personalized, pair.neutral)]
    assert not [text for text in held_out if any(text in where for where in (*shown, *fitted))]


async def test_fit_with_too_few_useful_pairs_is_an_error_never_a_random_direction() -> None:
    model = PlantedModel(write=lambda _: "the same words each time")
    with pytest.raises(PersonalizationError, match=r"0 of 8 pairs are usable \(8 too alike\), but 4 are"):
        await fit(model, writer(), settings())


async def test_fit_of_one_word_answers_is_refused() -> None:
    model = PlantedModel(write=lambda _: "Yes")
    with pytest.raises(PersonalizationError, match="too alike"):
        await fit(model, rater(12), settings())


async def test_fit_is_the_same_twice() -> None:
    one, other = [await fit(PlantedModel(), writer(), settings()) for _ in range(2)]
    assert one.edit == other.edit
    assert one.to_json() == other.to_json()


async def test_fit_takes_the_first_variant_where_there_is_nothing_to_choose_with() -> None:
    learned = await fit(PlantedModel(), writer(3), settings(choosing=0.1, evidence=0.0))
    assert learned.variant == learned.settings.variants[0]
    assert [trial.gain for trial in learned.trials] == [None, None]
    assert learned.gate == "not gated: the settings have no gate"


async def test_fit_of_one_variant_without_evidence_is_bound_by_its_fluency_too() -> None:
    made = settings(Variant("gradient", 0.3, layers=None), choosing=0.0, evidence=0.0)
    learned = await fit(PlantedModel(), writer(), made)
    assert not learned.used
    free = await fit(PlantedModel(), writer(), replace(made, max_fluency_cost=None))
    assert free.used


async def test_fit_that_ties_on_what_judges_asks_what_it_was_chosen_with() -> None:
    user = rater(12)  # the planted model names the same choice with or without an edit
    learned = await fit(PlantedModel(), user, settings())
    assert learned.evidence is not None
    assert learned.evidence.tied
    assert isinstance(learned.evidence, ChameleonEvidence)
    assert learned.evidence.known is not None
    assert not learned.used


async def test_fit_of_a_degenerate_direction_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("a direction has length 0")

    monkeypatch.setattr("idiolect.methods.chameleon.fitting.edit_of", refuse)
    with pytest.raises(PersonalizationError, match="no edit can be computed from these pairs"):
        await fit(PlantedModel(), writer(), settings())


async def test_fit_takes_gradients_only_where_a_variant_needs_them() -> None:
    model = PlantedModel()
    await fit(model, writer(), settings(Variant("contrastive", 0.1, 0.1, layers=2)))
    assert "gradients" not in model.events


async def test_fit_of_an_endless_question_and_answer_cuts_both() -> None:
    long = Opinion(Question("why " * 5000), "because " * 5000)
    model = PlantedModel()
    learned = await fit(model, User("u", opinions=(long, *rater(6).opinions)), settings())
    longest = max(len(message.content) for request in model.requests for message in request.messages)
    assert longest < 6000
    assert all(len(pair.query) < 1000 for pair in learned.pairs)


async def test_fit_refuses_a_variant_that_costs_too_much_fluency() -> None:
    strong, weak = Variant("gradient", 0.3, layers=None), Variant("gradient", 0.01, layers=None)
    learned = await fit(PlantedModel(), writer(), settings(strong, weak))
    by_variant = {trial.variant: trial for trial in learned.trials}
    assert by_variant[strong].gain > by_variant[weak].gain
    assert not by_variant[strong].eligible
    assert learned.variant == weak


async def test_fit_whose_every_variant_costs_too_much_lets_the_base_model_answer() -> None:
    strong = (Variant("gradient", 0.3, layers=None), Variant("gradient", 0.4, layers=None))
    learned = await fit(PlantedModel(), writer(), settings(*strong))
    assert learned.variant == strong[0]
    assert learned.evidence is not None
    assert learned.evidence.used
    assert not learned.used
    assert (
        learned.gate == "no variant costs at most 0.05 nat per token on the model's own texts: the base model answers"
    )


async def test_fit_tells_its_steps_in_order() -> None:
    seen: list[Progress] = []
    await Chameleon(PlantedModel(), settings(), embedder=Letters()).fit(writer(), observer=seen.append)
    assert [progress.done for progress in seen] == list(range(5))
    assert {progress.total for progress in seen} == {5}
    assert seen[-1].usage.calls > 0


async def test_fit_logs_diagnostics_of_every_layer() -> None:
    learned = await fit(PlantedModel(), writer(), settings(Variant("contrastive", 0.1, 0.1, layers=2)))
    assert [layer.layer for layer in learned.layers] == [0, 1, 2]
    edited = [layer.layer for layer in learned.layers if layer.edit_size > 0]
    assert edited == list(learned.edit.layers)
    assert len(edited) == 2
    assert all(0 <= layer.agreement <= 1 and 0 <= layer.cos_mean <= 1 for layer in learned.layers)


async def test_fit_group_pools_pairs_of_members_and_leaves_out_who_gives_nothing() -> None:
    silent = User("silent", texts=("only one",))
    members = [replace(writer(), id="a"), silent, replace(writer(12), id="b")]
    learned = await Chameleon(PlantedModel(), settings(), embedder=Letters()).fit_group("all", members)
    assert learned.members == ("a", "b")
    assert len(learned.pairs) == 16
    assert len(learned.insights) == 2
    assert learned.used


async def test_fit_group_names_the_member_of_whom_the_model_is_shown_too_much() -> None:
    class Short(PlantedModel):
        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            if any("bob" in message.content for request in requests for message in request.messages):
                raise ContextLengthError("the prompt has 900 tokens; the model can read at most 256", limit=256)
            return await super().complete(requests)

    members = [User(name, texts=tuple(f"{text} by {name}" for text in writer().texts)) for name in ("ann", "bob")]
    method = Chameleon(Short(), settings(), embedder=Letters())
    expected = r"^what the model is shown of user 'bob' is too long: the prompt has 900 tokens"
    with pytest.raises(ContextLengthError, match=expected) as caught:
        await method.fit_group("all", members)
    assert caught.value.limit == 256
    with pytest.raises(ContextLengthError, match=r"^the prompt has 900 tokens"):
        await method.fit(members[1])


async def test_fit_group_without_members_who_give_enough_is_an_error() -> None:
    chameleon = Chameleon(PlantedModel(), settings(), embedder=Letters())
    with pytest.raises(PersonalizationError, match="no member of group 'g' has enough history"):
        await chameleon.fit_group("g", [User(name, texts=(f"only {name}",)) for name in ("this", "that", "it")])
    with pytest.raises(PersonalizationError, match="no members"):
        await chameleon.fit_group("g", [])


async def test_fit_group_never_learns_from_the_questions_it_is_judged_on() -> None:
    members = [replace(rater(12), id=name) for name in "abc"]
    model, made = PlantedModel(), settings()
    learned = await Chameleon(model, made, embedder=Letters()).fit_group("g", members)
    held = {
        item.question.text
        for roles in deal_roles(members, made, owner="g")
        for item in (*roles.judging, *roles.choosing)
        if isinstance(item, Opinion)
    }
    assert held
    assert learned.n_judged == 6
    shown = [message.content for request in model.requests for message in request.messages]
    fitted = [part for pair in learned.pairs for part in (pair.query, pair.personalized, pair.neutral)]
    assert not [text for text in held if any(text in where for where in (*shown, *fitted))]


async def test_fit_uses_the_writer_for_generation_only() -> None:
    model, writing = PlantedModel(), PlantedModel()
    await Chameleon(model, settings(), embedder=Letters(), writer=writing).fit(writer())
    assert model.requests == []
    assert len(writing.requests) == 2 + 2 * 8


def test_queries_are_the_users_questions_and_then_subjects() -> None:
    user = User("u", opinions=(Opinion(Question("Tea?", ("yes", "no")), "yes"),), texts=("a b c", "d e f"))
    generated = queries_of(user, GenerationSettings(pairs=4))
    assert "Tea?" in generated[0].text
    assert [query.own for query in generated] == ["yes", "", "", ""]
    assert len({query.text for query in queries_of(user, GenerationSettings(pairs=40))}) == 33
    assert len(queries_of(user, GenerationSettings(pairs=80))) == 80
    own = queries_of(user, GenerationSettings(pairs=4, personalized="own"))
    assert [query.own for query in own] == ["yes", "a b c", "d e f"]


async def test_text_of_guidance_is_not_in_what_directions_come_from() -> None:
    model = PlantedModel()
    learned = await fit(model, writer(), settings())
    guidance = "helpfully personalized assistant"
    assert any(guidance in message.content for request in model.requests for message in request.messages)
    assert not any(guidance in pair.query for pair in learned.pairs)
    assert write(model.requests[-1])
