"""JSON documents for the values of the use cases: the same for the command line's `--json` and for a server.

Money is a string, because it is decimal; dates are ISO 8601; unknown values are null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from idiolect.application.names import CHAMELEON, FERMI
from idiolect.errors import MissingExtraError, PersonalizationError, error_kind

# A document of the store's own values needs no method: methods are imported by the functions that read their results.
if TYPE_CHECKING:
    from idiolect.application.asking import Asked
    from idiolect.application.dispositions import PersonsDispositions
    from idiolect.application.fitting import Outcome
    from idiolect.application.forecasting import ChameleonForecast, FermiForecast, RoleCost
    from idiolect.application.groups import GroupFitted
    from idiolect.application.opinions import OpinionAdded
    from idiolect.application.persons import Known
    from idiolect.application.run import Spending
    from idiolect.erasure.receipt import Receipt
    from idiolect.methods.answering import Response
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization
    from idiolect.methods.fermi.dispositions import Disposition
    from idiolect.methods.fermi.memory import ScoredPrompt
    from idiolect.methods.fermi.personalization import FermiPersonalization
    from idiolect.methods.personalization import Candidate, Explanation
    from idiolect.people.user import Opinion, User
    from idiolect.store import Group, GroupFit, PersonalizationRecord, UserSummary
    from idiolect.store.group_records import Removal

Document = dict[str, Any]


def outcome_document(outcome: Outcome) -> Document:
    """Return the document for the outcome of learning from one user."""
    from idiolect.application.chameleon import ChameleonSummary
    from idiolect.application.fermi import FermiSummary

    document: Document = {
        "id": outcome.user_id,
        "state": outcome.state,
        "opinions": outcome.n_opinions,
        "seconds": round(outcome.seconds, 3),
    }
    if outcome.superseded:
        document["superseded"] = outcome.superseded
    if outcome.error is not None:
        document["error"] = {"type": error_kind(outcome.error), "message": str(outcome.error)}
    if isinstance(outcome.summary, FermiSummary | ChameleonSummary):
        document |= asdict(outcome.summary) | {"kept": outcome.kept}
    return document


def asked_document(asked: Asked) -> Document:
    """Return the document for the answer to one question, with its reasons."""
    return _prompted_document(asked) if asked.edit is None else _edited_document(asked, asked.edit)


def user_summary_document(summary: UserSummary) -> Document:
    """Return the document with counts of a user's data."""
    return {
        "id": summary.id,
        "opinions": summary.n_opinions,
        "texts": summary.n_texts,
        "methods": list(summary.methods),
        "created_at": summary.created_at.isoformat(),
        "updated_at": summary.updated_at.isoformat(),
    }


def user_document(known: Known) -> Document:
    """Return the document for a user, with what was learned for them."""
    return {
        **user_summary_document(known.summary),
        "profile": dict(known.user.profile.attributes),
        "learned": [learned_document(record, known.user) for record in known.learned],
        "groups": list(known.groups),
        "entered": [opinion_document(known.user.opinions[place]) for place in known.entered],
    }


def opinion_document(opinion: Opinion) -> Document:
    """Return the document for an opinion."""
    return {"question": opinion.question.text, "choices": list(opinion.question.choices), "answer": opinion.answer}


def learned_document(record: PersonalizationRecord, user: User) -> Document:
    """Return the document for a method's result; its `error` states why a stored result cannot be read."""
    document: Document = {
        "method": record.method,
        "digest": record.digest,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
    }
    try:
        if record.method == FERMI:
            from idiolect.methods.fermi.personalization import FermiPersonalization

            document |= _prompts_document(FermiPersonalization.from_json(record.payload))
        elif record.method == CHAMELEON:
            from idiolect.application.chameleon import read_edit

            document |= edit_document(read_edit(record))
    except (MissingExtraError, PersonalizationError) as error:
        document["error"] = str(error)
    if record.method == CHAMELEON:
        from idiolect.application.chameleon import is_stale

        document["stale"] = is_stale(record, user)
    return document


def prompt_document(prompt: ScoredPrompt, learned: FermiPersonalization) -> Document:
    """Return the document for a prompt; its `score` is None until it is scored on all opinions."""
    opinions = learned.opinions
    return {
        "origin": prompt.prompt.origin,
        "text": prompt.prompt.text,
        "examples": [
            {"question": opinions[index].question.text, "answer": opinions[index].answer}
            for index in prompt.prompt.demonstrations
        ],
        "score": prompt.score if prompt.complete else None,
        "failures": [
            {
                "question": opinions[failure.index].question.text,
                "answer": opinions[failure.index].answer,
                "response": failure.response,
            }
            for failure in prompt.prompt.driven_by
        ],
    }


def dispositions_document(theirs: PersonsDispositions) -> Document:
    """Return the document for the dispositions that a person is shown."""
    numbered = theirs.numbered
    return {
        "user": theirs.user_id,
        "dispositions": [
            {"number": number, **disposition_document(one, theirs.learned), "stated": theirs.answers(one)}
            for number, one in numbered.items()
        ],
        "note": theirs.note or None,
    }


def disposition_document(one: Disposition, learned: FermiPersonalization) -> Document:
    """Return the document for a disposition; `gain` is None if it was not tried, as a person's own are not."""
    return {
        "text": one.stated,
        "origin": one.origin,
        "reworded_from": one.text if one.wording and one.wording != one.text else None,
        "struck": one.struck,
        "gain": one.gain,
        "tried_on": len(one.trials),
        "explains": [opinion_document(learned.opinions[index]) for index in one.explains],
    }


def edit_document(learned: ChameleonPersonalization) -> Document:
    """Return the document for an edit, without pairs and tensors; `reason` explains the decision, also by cost."""
    from idiolect.methods.chameleon.evidence import evidence_numbers

    found = learned.evidence
    judged = found and {"n": found.n, **evidence_numbers(found), "used": learned.used, "reason": learned.gate}
    return {
        "model": learned.model,
        "fingerprint": learned.fingerprint,
        "preset": learned.settings.preset,
        "variant": {**asdict(learned.variant), "name": str(learned.variant)},
        "layers": sorted(learned.edit.layers),
        "of_layers": max(len(learned.layers), len(learned.edit.layers)),
        "positions": learned.edit.positions,
        "used": learned.used,
        "gate": learned.gate,
        "evidence": judged,
        "items": {"learned": learned.n_learned, "chosen_with": learned.n_chosen, "judged_by": learned.n_judged},
        "pairs": len(learned.pairs),
        "dropped": dict(learned.dropped),
        "insights": [insights.personalized for insights in learned.insights],
        "trials": [{**asdict(trial), "variant": str(trial.variant)} for trial in learned.trials],
        "diagnostics": [asdict(layer) for layer in learned.layers],
        "members": list(learned.members),
        "read": learned.read and asdict(learned.read),
        "started_from": learned.started_from and asdict(learned.started_from),
    }


def opinion_added_document(user_id: str, added: OpinionAdded, spending: Spending) -> Document:
    """Return the document for the outcome of adding an opinion."""
    document: Document = {"id": user_id, "opinion": added.change, "learned": added.learned}
    if added.before is None or added.after is None:
        return document
    evidence = added.after.evidence
    return document | {
        "calls": spending.calls,
        "from_cache": spending.from_cache,
        "tokens": spending.prompt_tokens + spending.completion_tokens,
        "money": _money(spending.money),
        "best_score_before": added.before.best.score,
        "best_score": added.after.best.score,
        "used": added.after.used,
        "evidence": None if evidence is None else evidence.reason,
    }


def group_document(group: Group) -> Document:
    """Return the document for a group, with what was learned for it."""
    return {
        "id": group.id,
        "members": list(group.members),
        "state": group.state.value,
        "created_at": group.created_at.isoformat(),
        "updated_at": group.updated_at.isoformat(),
        "learned": [_group_fit_document(fit) for fit in group.fits],
    }


def removal_document(removal: Removal) -> Document:
    """Return the document for a removal: deleted rows, methods and people to fit again, and what is not scrubbed."""
    fit_again = {"refit": list(removal.refit), "begun_edits": list(removal.begun_edits)}
    return {"rows": removal.rows, **fit_again, "unfinished": list(removal.unfinished)}


def group_fitted_document(group_id: str, fitted: GroupFitted) -> Document:
    """Return the document for the edit that was learned for a group."""
    return {"group": group_id, "left_out": list(fitted.left_out), **edit_document(fitted.learned)}


def receipt_document(receipt: Receipt) -> Document:
    """Return the document for the receipt of an erasure."""
    return {
        "user": receipt.user_id,
        "erased_at": receipt.erased_at.isoformat(),
        "rows": dict(receipt.rows),
        "begun_edits_deleted": receipt.begun_edits_deleted,
        "in_store": receipt.in_store,
        "calls": {"deleted": receipt.calls_deleted, "left_to_others": receipt.calls_shared},
        "artifacts": receipt.artifacts,
        "searched": {"files": receipt.searched_files, "bytes": receipt.searched_bytes, "canaries": receipt.canaries},
        "found_before": {"count": receipt.before.total, "places": dict(receipt.before.places)},
        "found_after": {"count": receipt.after.total, "places": dict(receipt.after.places)},
        "unreadable": list(receipt.unreadable),
        "caches_missed": list(receipt.caches_missed),
        "unfinished": list(receipt.unfinished),
        "proven": receipt.proven,
        "limits": list(receipt.limits),
    }


def forecast_document(forecast: FermiForecast | ChameleonForecast) -> Document:
    """Return the document for the forecast cost of learning."""
    from idiolect.application.forecasting import ChameleonForecast

    if isinstance(forecast, ChameleonForecast):
        document = asdict(forecast)
        del document["chosen"], document["missing"]
        return document | {"preset_reasons": forecast.chosen and forecast.chosen.reasons, "money": "0"}
    expected, as_of = forecast.expected, forecast.prices_as_of
    return {
        "preset": forecast.preset,
        "preset_reason": None if forecast.chosen is None else forecast.chosen.reason,
        "users": expected.users,
        "not_learnable": expected.not_learnable,
        "answering": role_document(forecast.answering),
        "optimizing": role_document(forecast.optimizing),
        "money": _money(forecast.money),
        "assumptions": {
            **asdict(expected.assumptions),
            "sampled": expected.sampled,
            "prices_as_of": None if as_of is None else as_of.isoformat(),
        },
    }


def role_document(role: RoleCost) -> Document:
    """Return the document for the forecast cost of a model in one role."""
    return {
        "model": role.model,
        "calls": role.counts.calls,
        "most_calls": role.counts.most_calls,
        "prompt_tokens": role.counts.prompt_tokens,
        "completion_tokens": role.counts.completion_tokens,
        "money": _money(role.money),
    }


def tied(candidate: Candidate, why: Explanation) -> bool:
    """Return whether the candidate shares the best score on the nearest opinions with another candidate."""
    return why.tied > 1 and candidate.score == max(each.score for each in why.candidates)


def _prompted_document(asked: Asked) -> Document:
    learned, why = asked.prompts, asked.explanation
    assert learned is not None, "either prompts or an edit answer"
    base, evidence = asked.answers.get("base"), learned.evidence
    return {
        "user": asked.owner.id,
        "model": learned.model,
        **_question(asked),
        **_response(asked.response),
        **_readings(asked),
        "base": None if base is None else _response(base),
        "personalized": why is not None,
        "evidence": None if evidence is None else evidence.reason,
        "nearest": [] if why is None else _nearest(why, learned.opinions),
        "prompts": [] if why is None else [_candidate(each, asked, learned, why) for each in why.candidates],
        "dispositions": [] if why is None else [learned.dispositions[place].stated for place in why.dispositions],
        "own_answers": asked.own_answers,
    }


def _edited_document(asked: Asked, edit: ChameleonPersonalization) -> Document:
    prompts, owner = asked.prompts, asked.owner
    return {
        "user": owner.id if owner.kind == "user" else None,
        "group": owner.id if owner.kind == "group" else None,
        "model": edit.model,
        **_question(asked),
        **_response(asked.response),
        **_readings(asked),
        "answered_by": asked.counts,
        "personalized": asked.personalized,
        "answers": {name.replace(" ", "_"): _response(each) for name, each in asked.answers.items()},
        "fermi": None if prompts is None else {"used": prompts.used, "gate": prompts.gate},
        "chameleon": {**edit_document(edit), "stale": bool(asked.stale)},
    }


def _question(asked: Asked) -> Document:
    question = asked.question
    return {"question": question.text, "choices": list(question.choices), "ordinal": question.ordinal}


def _response(response: Response) -> Document:
    return {
        "answer": response.answer,
        "text": response.text,
        "scores": list(response.scores),
        "cut_off": response.cut_off,
    }


def _readings(asked: Asked) -> Document:
    """Return the number of answers to the question, and of those that named no choice."""
    readings = asked.readings
    return {"answers_given": readings.answers, "unread": readings.unread}


def _nearest(why: Explanation, opinions: Sequence[Opinion]) -> list[Document]:
    return [{**opinion_document(opinions[near.index]), "similarity": near.similarity} for near in why.nearest]


def _candidate(candidate: Candidate, asked: Asked, learned: FermiPersonalization, why: Explanation) -> Document:
    return prompt_document(learned.prompts[candidate.prompt], learned) | {
        "nearest_score": candidate.score,
        "score": candidate.overall,
        "tied": tied(candidate, why),
        "chosen": candidate.prompt == why.chosen,
        "answers": candidate.prompt in asked.answering,
    }


def _prompts_document(learned: FermiPersonalization) -> Mapping[str, Any]:
    from idiolect.methods.fermi.dispositions import shown_dispositions

    evidence = learned.evidence
    judged = None
    if evidence is not None:
        judged = {"n": evidence.n, "difference": evidence.difference, "used": evidence.used, "reason": evidence.reason}
    return {
        "prompts": len(learned.prompts),
        "best_prompt": prompt_document(learned.best, learned),
        "dispositions": [disposition_document(one, learned) for one in shown_dispositions(learned.dispositions)],
        "finished": learned.finished,
        "evidence": judged,
    }


def _group_fit_document(fit: GroupFit) -> Document:
    return {
        "method": fit.method,
        "state": fit.state.value,
        "since": fit.since.isoformat(),
        "digest": fit.digest,
        "sources": list(fit.sources),
        "added": list(fit.added),
        "changed": list(fit.changed),
    }


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
