"""Whether a mention stands where an answer stands in a sentence.

    "I'd say …", "it is …", "… because", a clause's end; not "a … question", "as a … voter", "no other doctor"

In other languages than English, only words for yes and no are judged, because their sentences are built otherwise.
"""

from __future__ import annotations

from idiolect.methods.reading import vocabulary as words
from idiolect.methods.reading.choice_forms import NUMBER_WORDS
from idiolect.methods.reading.surroundings import Surroundings, is_telling

_NEAR = 5  # words before a number
_OWN_SUBJECTS = (("i",), ("we",))


def answers(around: Surroundings) -> bool:
    """Return whether an answer stands at the mention's place."""
    if not _is_english(around):
        return _is_no_polar_word(around)
    if around.after and around.after[0] in words.ASKING and _last_word(around) in words.UNCERTAIN:
        return False  # "I don't know which to choose"
    if around.starts and around.after[:1] == ("of",):
        return False
    if not around.word:
        return (is_led(around) or around.starts) and _goes_on(around)
    return _one_word_answers(around)


def is_led(around: Surroundings) -> bool:
    """Return whether a copula, an answering verb or a pronoun stands shortly before the mention."""
    is_number = around.passage.tokens[around.mention.first].kind == "number" or around.word in NUMBER_WORDS
    if is_number and around.before and not _may_precede_number(around, around.before[0]):
        return False
    for place, word in enumerate(around.before):
        if word in words.COPULAS:
            return _fits(around, around.before[place + 1 :])
        if word in words.LEADS:
            return True
        if is_skipped(word) or (is_number and place < _NEAR):
            continue
        rest = around.before[place + 1 :]
        return _has_subject(word, rest) or (around.asks_about(word) and rest[:1] in _OWN_SUBJECTS)
    return False


def _may_precede_number(around: Surroundings, word: str) -> bool:
    """Return whether a word directly before a number leaves it an answer ("a 6", "step 8"; not "floor 3")."""
    known = word in words.COPULAS or word in words.LEADS or word in words.AUXILIARIES or is_skipped(word)
    return known or around.asks_about(word) or not word.isalpha()


def is_skipped(word: str) -> bool:
    """Return whether a word between a verb and an answer tells nothing: an article, a preposition, an adverb."""
    return word in words.SKIPPED or word.endswith("ly")


def _one_word_answers(around: Surroundings) -> bool:
    word, led = around.word, is_led(around)
    if (word in words.FREQUENCIES and led) or (word == "yes" and around.starts):
        return True
    if word == "no" and around.starts and around.after == ("way",):
        return True
    if word in ("yes", "no") and _closes(around):
        telling = [each for each in around.before if each not in words.EMPHATIC and is_telling(each)]
        return led or not telling or telling[0] in words.LEADS or telling[0] in words.COPULAS
    if word in words.COMMON:
        called = around.starts and around.is_called_the_answer()
        return called or (led and _closes(around)) or (around.starts and not around.after)
    return (led or around.starts) and _goes_on(around)


def _closes(around: Surroundings) -> bool:
    """Return whether the clause ends after a common word, or goes on as after an answer."""
    if not around.after or around.next_is_quote:
        return True
    return around.after[0] in (words.AFTER_NO if around.word == "no" else words.AFTER_COMMON)


def _goes_on(around: Surroundings) -> bool:
    """Return whether the clause ends or goes on with a function word, and not with a noun ("a green voter")."""
    after = around.after
    if not after:
        return True
    if around.word and around.passage.tokens[around.mention.first].kind == "number":
        return after[0] in words.AFTER_NUMBER or around.asks_about(after[0])
    if after == ("too",):
        return True
    if after[0] in ("i", "we") and is_led(around) and not words.NEGATORS & {*after[:5]}:
        return True
    if around.is_called_the_answer() or any(around.begins(tail) for tail in words.TAILS):
        return True
    if after[0] in words.KINDS_OF_PEOPLE and any(word in ("a", "an") for word in around.before[:1]):
        return True
    if len(after) == 1 and not around.word and around.asks_about(after[0]):
        return True
    if "also" in after[:3] or "possible" in after[:3]:
        return True
    if after[0] in ("is", "was", "would", "seems"):
        return len(after) > 1 and after[1] in words.SUBJECT_IS_ANSWER
    return after[0] in words.AFTER


def _fits(around: Surroundings, before: tuple[str, ...]) -> bool:
    """Return whether the subject of a copula is a pronoun, somebody's own, or what the question is about."""
    near = [word for word in before if word not in words.AUXILIARIES and not word.endswith("ly")]
    if not near:
        return True
    if near[0] in words.OTHERS - words.THIRD_PERSON:
        return False
    fitting = words.SUBJECTS | words.FIRST_PERSON | words.ANSWER_NOUNS | words.OWN
    return any(word in fitting or around.asks_about(word) for word in near[:3])


def _has_subject(verb: str, before: tuple[str, ...]) -> bool:
    """Return whether a pronoun stands directly before a verb of the present."""
    for word in before:
        if is_skipped(word) or word in ("would", "will", "do"):
            continue
        return word in words.SUBJECTS and verb not in words.PAST and not verb.endswith("ed")
    return False


def _is_english(around: Surroundings) -> bool:
    said = {token.text for token in around.passage.tokens if token.kind == "word"}
    if not (said | around.question) & words.ENGLISH:
        return False
    foreign = said & words.FOREIGN or any(not word.isascii() for word in said)
    return not foreign or len(said & words.ENGLISH) > len(said & words.FOREIGN)


def _is_no_polar_word(around: Surroundings) -> bool:
    """Return whether the mention is not a word for yes or no within a sentence of another language."""
    if around.word not in words.POLAR or (not around.before and around.word in words.AFFIRMATIVES):
        return True
    ends = not around.after or around.after[0] in words.POLAR_LEADS
    return ends and (not around.before or around.before[0] in words.POLAR_LEADS)


def _last_word(around: Surroundings) -> str:
    return around.passage.tokens[around.mention.last].text
