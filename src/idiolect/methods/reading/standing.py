"""How a mention of a choice stands in its sentence: asserted, negated, aside or incidental.

    mention, words around it → negation, asides, answering place → judged mention

"Aside" is what stands in a question, under a condition, or is said of other people or other times. "Incidental" is a
mention where no answer stands ("no doubt", "a good question").
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from idiolect.methods.reading import unspaced
from idiolect.methods.reading import vocabulary as words
from idiolect.methods.reading.answering_place import answers, is_led
from idiolect.methods.reading.choice_forms import ChoiceForms
from idiolect.methods.reading.mentions import Mention, found_in
from idiolect.methods.reading.negation import negation_of
from idiolect.methods.reading.passages import Passage
from idiolect.methods.reading.surroundings import Surroundings, is_conjunction, is_telling

_SHORT = 4  # tokens of a sentence
_OWN_VOICES = (
    words.FIRST_PERSON | words.SUBJECTS | words.AUXILIARIES | words.SKIPPED | words.INNER_VOICES | words.OPENERS
)


def mentions_in(passage: Passage, forms: ChoiceForms, question: frozenset[str], first: int, last: int) -> list[Mention]:
    """Return the judged mentions among the tokens from `first` to before `last`, in order.

    Args:
        passage: the reply.
        forms: forms of the choices.
        question: the words of the question, which may be a number's unit.
        first, last: the part of the passage to search; judging looks beyond it.
    """
    found = found_in(passage, forms, first, last)
    return [_judged(Surroundings.of(passage, mention, question), forms) for mention in found]


def _judged(around: Surroundings, forms: ChoiceForms) -> Mention:
    mention = replace(around.mention, alone=around.alone, choice=_longer(around, forms))
    if around.passage.tokens[mention.last].kind == "char":
        return _judged_unspaced(around, mention, forms)
    if around.in_phrase(words.IDIOMS) or _opens_talk(around):
        return replace(mention, standing="incidental")
    if _is_aside(around):
        return replace(mention, standing="aside")
    negation = negation_of(around)
    if negation.negated:
        return replace(mention, standing="negated", excluded=negation.excluded)
    if mention.choice in forms.extended and _has_degree(around):
        return replace(mention, standing="aside")
    if not around.alone and not answers(around):
        return replace(mention, standing="incidental")
    weak = not around.alone and not is_led(around) and not around.starts
    return replace(mention, reported=_is_reported(around), weak=weak)


def _judged_unspaced(around: Surroundings, mention: Mention, forms: ChoiceForms) -> Mention:
    """Judge a mention in a script without spaces, or in Hangul, by the characters beside it."""
    text, tokens = around.passage.text, around.passage.tokens
    start, end = tokens[mention.first].start, tokens[mention.last].end
    before, after = list(around.passage.before(mention.first)), list(around.passage.after(mention.last))
    left = text[tokens[before[-1]].start : start] if before else ""
    right = text[end : tokens[after[-1]].end] if after else ""
    if unspaced.negated_before(left) or unspaced.negated_after(text[end:]):
        return replace(mention, standing="negated")
    graded = mention.choice in forms.extended and unspaced.has_degree(left)
    if graded or around.asks or any(other in left + right for other in words.OTHERS_ANYWHERE):
        return replace(mention, standing="aside")
    opens = not left.strip(" \"'")
    if mention.first == mention.last:
        closes = unspaced.only_particles(right)
        if not closes or not (opens or unspaced.is_hangul(text[start])):
            return replace(mention, standing="incidental")
    return replace(mention, alone=mention.alone or opens)


def _longer(around: Surroundings, forms: ChoiceForms) -> int:
    """Return the mention's choice, or the longer one whose other words follow ("own it with a mortgage")."""
    after = list(around.after)
    while after and after[0] in words.OBJECTS:
        del after[0]
    for place, rest in forms.longer.get(around.mention.choice, ()):
        if tuple(after[: len(rest)]) == rest:
            return place
    return around.mention.choice


def _opens_talk(around: Surroundings) -> bool:
    """Return whether the mention is only an opening word with a comma behind it ("Well, …", "Right, …")."""
    mention, tokens = around.mention, around.passage.tokens
    if around.word not in words.DISCOURSE:
        return False
    places = around.passage.sentence_of(mention.first)
    first = next(place for place in places if tokens[place].kind != "mark")
    comma = mention.last + 1 < len(tokens) and tokens[mention.last + 1].text == ","
    return first == mention.first and comma and len(places) > _SHORT


def _is_aside(around: Surroundings) -> bool:
    """Return whether the mention stands in a question or under a condition, or is of other people or times."""
    if around.asks and not around.is_everything:
        return True
    said = around.before
    if any(word in words.QUESTIONING or word in words.POSSIBLE for word in said):
        return True
    return _is_conditional(around) or _is_past(around) or _is_of_others(around)


def _is_conditional(around: Surroundings) -> bool:
    sentence = around.sentence
    if sentence.split()[:1] in (["if"], ["unless"], ["suppose"], ["imagine"]) and " then " in sentence:
        return True
    if _depends(around):
        return True
    supposed = any(f" {phrase} " in sentence for phrase in words.SUPPOSING + words.EARLIER)
    if supposed and not around.alone and " now " not in sentence:
        return True
    said = {*around.before}
    first = around.passage.sentence_of(around.mention.first)[0] == around.mention.first
    decides = bool(words.FIRST_PERSON & said and words.COMMITTING & said) or (around.alone and first)
    return not decides and any(f" {phrase} " in sentence for phrase in words.ECHOING)


def _depends(around: Surroundings) -> bool:
    """Return whether a "would" before the mention depends on an "if" behind it ("I would approve if he …")."""
    if around.before and not any(word in words.HYPOTHETICAL for word in around.before):
        return False
    last = around.mention.last
    rest = around.passage.words(place for place in around.passage.sentence_of(last) if place > last)
    polite = any(f" {phrase} " in rest for phrase in words.POLITE_CONDITIONS)
    return rest.startswith(words.UNDER_CONDITION) and not polite


def _is_past(around: Surroundings) -> bool:
    """Return whether the mention is in the past, and the reply goes on to the present."""
    past = any(word in ("was", "were", "used", "been") for word in around.before)
    return past and any(token.text in words.NOW for token in around.passage.tokens[around.mention.last :])


def _is_of_others(around: Surroundings) -> bool:
    """Return whether other people are the subject: "some say …", "my wife would …", "I heard that …"."""
    said = tuple(reversed(around.before))
    while said and (said[0] in ("and", "or") or is_conjunction(said[0])):
        said = said[1:]
    if not said:
        return False
    if any(f" {phrase} " in around.left for phrase in words.HEARSAY):
        return True
    own = any(word in words.FIRST_PERSON for word in said[-3:])
    if said[0] in words.OTHERS and said[0] not in words.THIRD_PERSON and not own:
        return True
    if _others_say(said):
        return True
    if said[0] in ("my", "our") and len(said) > 1 and not _is_own_answer(around, said):
        return True
    kin = [place for place, word in enumerate(said) if word in words.KIN]
    of_own = own and "my" not in said[-3:]
    return bool(kin) and not of_own and any(is_telling(word) for word in said[kin[-1] + 1 :])


def _others_say(said: tuple[str, ...]) -> bool:
    """Return whether a verb of saying has others as its subject ("tenants say …")."""
    place = next((place for place in reversed(range(1, len(said))) if said[place] in words.SAYING), 0)
    subject = said[place - 1] if place else ""
    return bool(subject) and subject.isalpha() and subject not in _OWN_VOICES and not subject.endswith("ly")


def _is_own_answer(around: Surroundings, said: tuple[str, ...]) -> bool:
    """Return whether "my …" is an answer or what the question is about, and not another person or thing."""
    near = said[1:4]
    return any(word in words.ANSWER_NOUNS or word in words.COMMITTING or around.asks_about(word) for word in near)


def _is_reported(around: Surroundings) -> bool:
    """Return whether "he" or "she" is the subject, and somebody speaks of themselves elsewhere."""
    said = frozenset(around.before)
    others = words.THIRD_PERSON - around.question
    if words.FIRST_PERSON & said or not others & said:
        return False
    all_said = [token.text for token in around.passage.tokens]
    persona = any(one == "i" and other not in words.META for one, other in pairwise(all_said))
    return persona or not {"my", "mine", "myself"}.isdisjoint(all_said)


def _has_degree(around: Surroundings) -> bool:
    """Return whether a degree that is no part of the choice stands beside it ("somewhat agree")."""
    after = around.after
    if after[:3] == ("to", "some", "extent") or (after and after[0] in words.DEGREES):
        return True
    return bool(around.before) and around.before[0] in words.DEGREES
