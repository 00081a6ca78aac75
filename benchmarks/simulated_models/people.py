"""Simulated people: hidden stances on six topics, noise in their answers, and the worlds that they live in."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from idiolect import Opinion, User
from idiolect.people.user import UserProfile
from simulated_models.language import CHOICES, SCATTERED, SIDES, TOPICS, choice_of, question
from simulated_models.responder import Responder

KNOWN, ASKED = 20, 16
NOISE = 0.1


@dataclass(frozen=True)
class World:
    """What a world's people and answering model are like.

    Args:
        responder: the answering model.
        topics: the items of each topic.
        own_scale: the person has a side on each topic, and for each side one use of the scale, of which at least one is
            not the model's; otherwise a stance on each topic.
        described: whether people have a profile; without one, `P⁰` does not speak of a person.
        different: whether text and examples carry different things.
    """

    responder: Responder = field(default_factory=Responder)
    topics: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: TOPICS)
    own_scale: bool = False
    described: bool = True
    different: bool = False


WORLDS: Mapping[str, World] = {
    "follows both": World(),
    "ignores examples": World(Responder(examples=0)),
    "three rules": World(Responder(keeps=3)),
    "three rules, no examples": World(Responder(keeps=3, examples=0)),
    "examples win": World(Responder(examples_win=True)),
    "chatty": World(Responder(manner="chatty")),
    "refuses": World(Responder(manner="refuses"), described=False),
    "thinks": World(Responder(manner="thinks")),
    "scale in the text": World(Responder(scale_by_text=True), own_scale=True, different=True),
    "topics out of reach": World(Responder(keeps=3, examples=2), topics=SCATTERED, different=True),
}
"""By name, what the answering model does."""


@dataclass(frozen=True)
class Person:
    """One person, with their known answers, and the questions that are asked with the answers."""

    user: User
    asked: tuple[Opinion, ...]


def name_of(number: int) -> str:
    """Return the id of the person with a number."""
    return f"simulated-{number}"


def person(world: World, number: int, *, asked: int = ASKED) -> Person:
    """A person of a world; the same number is the same person in worlds that differ only in the responder.

    Args:
        world: the world.
        number: the number.
        asked: number of held-out questions, at most 28.
    """
    rng = random.Random(f"person:{number}")
    stances = {topic: rng.randrange(4) for topic in TOPICS}
    extents = rng.choice(((0, 0), (0, 1), (1, 0)))
    opinions = []
    for topic, items in world.topics.items():
        for item in items:
            choice = stances[topic]
            if world.own_scale:
                side = choice // 2
                choice = choice_of(SIDES[side], extents[side])
            if rng.random() < NOISE:
                choice = rng.randrange(4)
            opinions.append(Opinion(question(item), CHOICES[choice]))
    rng.shuffle(opinions)
    profile = UserProfile({"Age": "30-49"} if world.described else {})
    user = User(name_of(number), profile, tuple(opinions[:KNOWN]))
    return Person(user, tuple(opinions[KNOWN : KNOWN + asked]))
