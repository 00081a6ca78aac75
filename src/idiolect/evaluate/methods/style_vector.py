"""The method "style-vector": StyleVector's rule, with the layer and the strength chosen on others.

    plain texts → v of every layer → (layer, α) with the highest mean gain on others → edit

The paper (arXiv 2503.05213) adds the vector at one layer, and chooses layer and α on validation data. Here, they are
chosen once for an evaluation, on the held-out texts of people who are not reported; `style-vector[layer=12,alpha=1]`
fixes them. Each of the two can be fixed alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.chameleon import unprompted
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.methods.open_weights import DeskWeights, edited
from idiolect.evaluate.methods.others import Others, Part, check_others, chosen_on_others, gain_on, item_scores
from idiolect.evaluate.methods.spec import Overrides
from idiolect.methods.chameleon.style_vector import StyleVector, StyleVectorSettings, fit_style_vector
from idiolect.methods.setting_changes import changed_by_text
from idiolect.methods.setting_checks import require
from idiolect.models.edits import Edit
from idiolect.people.user import User

_MOST_ALPHA = 1000.0  # far greater ones have no finite result

Candidate = tuple[int, float]
"""A layer, from 0, and a strength α."""


@dataclass(frozen=True, slots=True)
class StyleVectorChoice:
    """Settings of the method "style-vector".

    Args:
        vector: settings of the vector.
        layer: layer to edit, from 0; None: chosen on others.
        alpha: strength; None: chosen on others.
        depths: depths of the layers to choose from, in [0, 1]: 0 is the first layer, 1 the last.
        alphas: strengths to choose from.
        others: settings of the people that they are chosen on.

    Raises:
        SettingsError: a value is invalid.
    """

    vector: StyleVectorSettings = field(default_factory=StyleVectorSettings)
    layer: int | None = None
    alpha: float | None = None
    depths: tuple[float, ...] = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
    alphas: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    others: Others = field(default_factory=Others)

    def __post_init__(self) -> None:
        require(self.layer is None or self.layer >= 0, "layer", self.layer, "0 or greater, or null")
        within = bool(self.depths) and all(0 <= depth <= 1 for depth in self.depths)
        require(within, "depths", self.depths, "one or more numbers in [0, 1]")
        within = bool(self.alphas) and all(abs(alpha) <= _MOST_ALPHA for alpha in self.alphas)
        require(within, "alphas", self.alphas, f"one or more numbers in [-{_MOST_ALPHA:g}, {_MOST_ALPHA:g}]")
        within = self.alpha is None or abs(self.alpha) <= _MOST_ALPHA
        require(within, "alpha", self.alpha, f"in [-{_MOST_ALPHA:g}, {_MOST_ALPHA:g}], or null")

    @property
    def fixed(self) -> bool:
        """Whether nothing is left to choose."""
        return self.layer is not None and self.alpha is not None

    def candidates(self, n_layers: int) -> list[Candidate]:
        """Return what to choose from in a model of `n_layers` layers, in order.

        Raises:
            SettingsError: the model has no such layer.
        """
        require(self.layer is None or self.layer < n_layers, "layer", self.layer, f"less than {n_layers}, or null")
        by_depth = dict.fromkeys(round(depth * (n_layers - 1)) for depth in self.depths)
        layers = list(by_depth) if self.layer is None else [self.layer]
        alphas = self.alphas if self.alpha is None else (self.alpha,)
        return [(layer, alpha) for layer in layers for alpha in alphas]


@dataclass(frozen=True, slots=True)
class StyleVectorMethod:
    """StyleVector.

    Args:
        overrides: `StyleVectorChoice` that the user wrote in brackets.
    """

    overrides: Overrides = ()

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Compute the vector, and the edit at the chosen layer."""
        settings = self._settings()
        vector = await self._fit(case.user, desk)
        notes = {"pairs": vector.pairs, "dropped": {"unusable": vector.dropped}}
        if settings.fixed:
            ((layer, alpha),) = settings.candidates(len(vector.vectors))
        else:
            key = self.learning_key(desk.bench)
            choice = await chosen_on_others(key, case, desk, settings.others, self._gains, only_texts=True)
            layer, alpha = choice.best
            notes["chosen"] = choice.notes()
        return Learned(vector.edit(layer, alpha), notes={"layer": layer, "alpha": alpha, **notes})

    async def _fit(self, user: User, desk: Desk) -> StyleVector:
        vector = replace(self._settings().vector, seed=desk.seed)
        return await fit_style_vector(user.texts, DeskWeights(desk), vector)

    async def _gains(self, part: Part, desk: Desk) -> Mapping[Candidate, float]:
        vector = await self._fit(part.learning, desk)
        base, found = await item_scores(part, desk.model, desk), dict[Candidate, float]()
        for layer, alpha in self._settings().candidates(len(vector.vectors)):
            scores = await item_scores(part, edited(desk, vector.edit(layer, alpha)), desk)
            found[layer, alpha] = gain_on(part, scores, base)
        return found

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the edited model."""
        edit: Edit = learned.value
        return unprompted(edited(desk, edit), desk)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the settings.

        Raises:
            SettingsError: the settings are invalid, the model is behind an API, or there is nobody to choose on.
        """
        settings = self._settings()
        bench.weights()
        if not settings.fixed:
            check_others(bench, settings.others, "the layer and the strength", "layer=L,alpha=A", only_texts=True)
        return ("style-vector", settings)

    def _settings(self) -> StyleVectorChoice:
        return changed_by_text(StyleVectorChoice(), self.overrides)
