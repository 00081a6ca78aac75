"""The choice that the mentions in a passage name together.

    mentions → one asserted choice, and every other mention set apart from it → the choice; otherwise None

Several asserted choices are unreadable, unless the reply compares them ("tea rather than coffee"), calls one of them
the answer, or decides for the last one in the first person ("I like tea, but I'd choose coffee").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from idiolect.methods.reading import vocabulary as words
from idiolect.methods.reading.mentions import SEVERAL, Mention
from idiolect.methods.reading.passages import Passage
from idiolect.methods.reading.surroundings import Surroundings

_FILLERS = frozenset(("a", "an", "the", "my", '"', "maybe", "even", "also"))
_ARTICLES = frozenset((",", '"', "-", ";", "a", "the", "an", "my"))
_LISTING = ("of", "between", "out", "from", "among")


def resolved(passage: Passage, named: Sequence[Mention], question: frozenset[str]) -> int | None:
    """Return the index of the only choice that the mentions assert; None if there is none, or others interfere."""
    named = _coordinated(passage, named)
    certain = _compared(passage, named)
    if certain is None:
        certain = _chosen_from_list(passage, named)
    if certain is not None:
        return certain if certain != SEVERAL else None
    asserted: Sequence[Mention] = [each for each in named if each.standing == "asserted"]
    if len({each.choice for each in asserted}) > 1:
        asserted = _committed(passage, asserted, question)
    choices = {each.choice for each in asserted}
    if len(choices) != 1 or SEVERAL in choices or all(each.reported for each in asserted):
        return None
    (choice,) = choices
    return choice if all(_leaves(passage, each, asserted) for each in named) else None


def repeated(passage: Passage, named: Sequence[Mention]) -> int | None:
    """Return the choice whose words, once or repeated, are all that the passage says."""
    covered = sum(each.last - each.first + 1 for each in named)
    said = sum(token.kind != "mark" for token in passage.tokens)
    choices = {each.choice for each in named}
    return choices.pop() if len(choices) == 1 and covered >= said and SEVERAL not in choices else None


def refuses(passage: Passage, named: Sequence[Mention], choice: int) -> bool:
    """Return whether every sentence that names the choice refuses to choose, or the reply is an assistant's talk."""
    said = passage.words(range(len(passage.tokens)))
    if any(f" {phrase} " in said for phrase in words.CHATTER):
        return True
    naming = [each for each in named if each.choice == choice and each.standing == "asserted"]
    own = [passage.words(range(each.first, each.last + 1)) for each in naming]
    sentences = [passage.words(passage.sentence_of(each.first)) for each in naming]
    refusing = [phrase for phrase in words.REFUSING if not any(phrase in name for name in own)]
    return all(any(f" {phrase} " in sentence for phrase in refusing) for sentence in sentences)


def _coordinated(passage: Passage, named: Sequence[Mention]) -> list[Mention]:
    """Return the mentions; an incidental one that "or", "and", "/" or a comma joins to an asserted one is asserted."""
    found = list(named)
    for _ in range(2):
        for place, each in enumerate(found):
            if each.standing != "incidental" or (_is_common(passage, each) and not _ends_clause(passage, each)):
                continue
            beside = found[max(place - 1, 0) : place + 2]
            if any(other.standing == "asserted" and _joined(passage, each, other) for other in beside):
                found[place] = replace(each, standing="asserted")
    return found


def _joined(passage: Passage, one: Mention, other: Mention) -> bool:
    first, last = sorted((one, other), key=lambda each: each.first)
    between = [passage.tokens[place].text for place in range(first.last + 1, last.first)]
    return bool(between) and all(text in words.COORDINATORS for text in between if text not in _FILLERS)


def _leaves(passage: Passage, each: Mention, asserted: Sequence[Mention]) -> bool:
    """Return whether a mention leaves it clear that the asserted choice is the answer."""
    nearest = min(asserted, key=lambda one: abs(one.first - each.first))
    if each.standing == "incidental":
        if each.choice == nearest.choice or _is_common(passage, each):
            return True
        return not any(_interferes(passage, each, one) for one in asserted)
    if each.standing == "asserted" or each.excluded:
        return True
    if each.choice != nearest.choice:
        return _set_apart(passage, each, nearest)
    return each.standing == "aside" or (nearest.alone and nearest.first > each.last)


def _set_apart(passage: Passage, other: Mention, asserted: Mention) -> bool:
    """Return whether a sentence's end, a contrast or a colon stands between two mentions (for an aside: a comma)."""
    if passage.sentences[other.first] != passage.sentences[asserted.first]:
        return True
    first, last = sorted((other, asserted), key=lambda each: each.first)
    between = [passage.tokens[place].text for place in range(first.last + 1, last.first)]
    marks = ",;:-" if other.standing == "aside" else ":"
    return any(text in words.CONTRASTS or text in marks for text in between)


def _interferes(passage: Passage, other: Mention, asserted: Mention) -> bool:
    """Return whether an incidental mention stands in the same sentence, and not only in a reason given afterwards."""
    if passage.sentences[other.first] != passage.sentences[asserted.first]:
        return False
    if other.last < asserted.first:
        between = {passage.tokens[place].text for place in range(other.last + 1, asserted.first)}
        if between & words.CONTRASTS or _decides(passage, asserted):
            return False
    between = {passage.tokens[place].text for place in range(asserted.last + 1, other.first)}
    return not between & words.JOINTS


def _is_common(passage: Passage, mention: Mention) -> bool:
    return mention.first == mention.last and passage.tokens[mention.first].text in words.COMMON


def _ends_clause(passage: Passage, mention: Mention) -> bool:
    following = passage.tokens[mention.last + 1] if mention.last + 1 < len(passage.tokens) else None
    return following is None or following.kind == "mark" or following.text in words.COORDINATORS


def _chosen_from_list(passage: Passage, named: Sequence[Mention]) -> int | None:
    """Return the choice that stands at the end, if a list of choices begins the reply ("Of A and B, B")."""
    first, last = passage.tokens[0].text if passage.tokens else "", named[-1]
    listed = {each.choice for each in named[:-1]}
    if first not in _LISTING or len(listed) < 2 or last.choice not in listed:
        return None
    return last.choice if last.standing == "asserted" else None


def _committed(passage: Passage, asserted: Sequence[Mention], question: frozenset[str]) -> Sequence[Mention]:
    """Return the mentions that the speaker decides for, out of several asserted choices; () if that is not clear."""
    called = [each for each in asserted if Surroundings.of(passage, each, question).is_called_the_answer()]
    if _same(called):
        return called
    strong = [each for each in asserted if not each.weak]
    sentences = {passage.sentences[each.first] for each in strong}
    weak = [each for each in asserted if each.weak and each.choice != strong[0].choice] if strong else []
    if _same(strong) and not any(passage.sentences[each.first] in sentences for each in weak):
        return strong
    own = [each for each in asserted if _decides(passage, each)]
    if not _same(own):
        return ()
    return own if all(each.last < own[-1].first for each in asserted if each.choice != own[0].choice) else ()


def _same(mentions: Sequence[Mention]) -> bool:
    return len({each.choice for each in mentions}) == 1


def _decides(passage: Passage, mention: Mention) -> bool:
    """Return whether somebody decides for the choice: "I'd choose …", "my favourite is …", "so …"."""
    before = passage.before(mention.first)
    places = (place for place in passage.sentence_of(mention.first) if place < mention.first)
    said = [passage.tokens[place].text for place in (places if mention.alone else before)]
    if any(word in words.CONCLUDING for word in said[-1:]):
        return True
    if " most important " in f" {' '.join(said)} " and said[-1:] == ["is"]:
        return True
    committing = any(word in words.COMMITTING or word in words.ANSWER_NOUNS for word in said)
    return committing and any(word in words.FIRST_PERSON for word in said)


def _compared(passage: Passage, named: Sequence[Mention]) -> int | None:
    """Return the first choice, if each following one is only compared with it ("Tea > Coffee", "tea, then coffee")."""
    if len(named) < 2 or named[0].standing != "asserted":
        return None
    for before, other in pairwise(named):
        tokens = (passage.tokens[place].text for place in range(before.last + 1, other.first))
        between = " ".join(text for text in tokens if text not in _ARTICLES)
        if between not in words.COMPARING and not (between == "to" and _prefers(passage, named[0])):
            return None
    return named[0].choice


def _prefers(passage: Passage, mention: Mention) -> bool:
    return any(passage.tokens[place].text in ("prefer", "prefers") for place in passage.before(mention.first))
