"""The last answers that people were given, kept for a while, and what they commented on them, kept for good.

answer → Response, for so long and so many of a user → give(rating | said | choice) → feedback, once of each kind
                                                 └─ the person's own words, or an answer they liked → opinion
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy.engine import RowMapping

from idiolect.people.user import Opinion, Question, unstorable_part
from idiolect.store.faults import damage_errors
from idiolect.store.jobs import put_job
from idiolect.store.people_rows import lock_known, put_opinion
from idiolect.store.schema import feedback, responses, users
from idiolect.store.strict_json import checked_json
from idiolect.store.tenant_rows import TenantConnection, TenantDatabase

Kind = Literal["rating", "said", "choice"]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that a user was given.

    Args:
        id: its id, as the client knows it.
        user: the user's id.
        question: the user's last turn.
        answer: the answer.
    """

    id: str
    user: str
    question: str
    answer: str

    @property
    def storable(self) -> bool:
        """Whether every text of it can be stored."""
        return not any(map(unstorable_part, (self.id, self.user, self.question, self.answer)))


@dataclass(frozen=True, slots=True)
class Comment:
    """What a person commented on an answer.

    Args:
        response: id of the response.
        kind: "rating": a thumb; "said": what they would have said; "choice": the choice they would have made.
        given: {"rating": "up" | "down"}, {"said": text}, or {"choice", "choices", "ordinal"}.
    """

    response: str
    kind: Kind
    given: Mapping[str, Any]

    def opinion_on(self, question: str, answer: str) -> Opinion | None:
        """Return the opinion that the comment states; None for a thumb down, which states none.

        Raises:
            ValueError: it states no valid opinion.
        """
        if self.kind == "said":
            return Opinion(Question(question), self.given["said"])
        if self.kind == "choice":
            asked = Question(question, self.given["choices"], self.given["ordinal"])
            return Opinion(asked, self.given["choice"])
        return Opinion(Question(question), answer) if self.given["rating"] == "up" else None


@dataclass(frozen=True, slots=True)
class Learning:
    """When comments make a user be fitted.

    Args:
        after: number of new opinions from comments; ≥ 1.
        method: method that learns.
        options: options of the job.
    """

    after: int
    method: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """The outcome of a comment.

    Args:
        user: the user's id.
        opinion: "added" or "replaced", if it became an opinion.
        job: id of the fit that learns from it, once there is one.
        new: whether it was given for the first time.
        same: whether an earlier comment of the kind, if there is one, is the same.
    """

    user: str
    opinion: str | None
    job: str | None
    new: bool
    same: bool = True


class Responses:
    """The responses and comments of one tenant.

    Args:
        rows: the tenant's rows.
    """

    def __init__(self, rows: TenantDatabase) -> None:
        self._rows = rows

    def keep(self, new: Sequence[Response], *, most: int, seconds: float) -> int:
        """Keep responses of users that the store knows, and drop old ones of theirs; return how many were kept.

        Args:
            new: the responses; of two with the same id the later one is kept, and none that cannot be stored.
            most: number of responses that are kept of each user.
            seconds: for which they are kept.

        Raises:
            StoreError: the store cannot be written.
        """
        now = datetime.now(UTC)
        by_id = {each.id: each for each in new if each.storable}
        named = {each.user for each in by_id.values()}
        if not named:
            return 0
        with self._rows.writing() as connection:
            known = set(connection.scalars(connection.select(users, users.c.id).where(users.c.id.in_(named))))
            kept = [each for each in by_id.values() if each.user in known]
            if kept:
                connection.execute(connection.delete(responses).where(responses.c.id.in_([each.id for each in kept])))
                connection.insert(responses, [_row(each, now) for each in kept])
            for user_id in sorted(known):
                _drop_old(connection, user_id, most=most, before=now - timedelta(seconds=seconds))
        return len(kept)

    def give(self, comment: Comment, *, user_id: str | None, learning: Learning | None, seconds: float) -> Given | None:
        """Record a comment once, with the opinion that it states; ask for a fit if there are enough new opinions.

        Args:
            comment: the comment.
            user_id: the user whose response it has to be; None: any user's of the tenant.
            learning: when to fit; None: not at all.
            seconds: for which responses are kept.

        Returns:
            The outcome, of an earlier comment of the kind if there is one; None if there is no such response.

        Raises:
            ValueError: the comment states no valid opinion.
            StoreError: it contains something that cannot be stored, or the store cannot be written.
        """
        if unstorable_part(comment.response) is not None:
            return None
        now = datetime.now(UTC)
        with self._rows.writing() as connection:
            owner = _owner(connection, comment.response)
            if owner is None or user_id not in (None, owner):
                return None
            lock_known(connection, owner)  # so that of two who comment at once, the second finds the first
            with damage_errors(self._rows.where):
                earlier = _comments(connection, comment.response)
            if (held := earlier.get(comment.kind)) is not None:
                same = dict(held["given"]) == dict(comment.given)
                return Given(owner, held["opinion"], held["job_id"], new=False, same=same)
            since = now - timedelta(seconds=seconds)
            named = (responses.c.id == comment.response, responses.c.created_at >= since)
            response = connection.execute(connection.select(responses).where(*named)).mappings().first()
            if response is None:
                return None
            change = _put(connection, comment, response, liked_only="said" in earlier or "choice" in earlier, now=now)
            row = {
                "response_id": comment.response,
                "kind": comment.kind,
                "user_id": owner,
                "given": checked_json(comment.given, at="the comment"),
                "opinion": change,
                "created_at": now,
            }
            connection.insert(feedback, row)
            job = None if learning is None or change is None else _learn(connection, owner, learning, now=now)
            return Given(owner, change, job, new=True)


def _row(response: Response, now: datetime) -> dict[str, Any]:
    return {
        "id": response.id,
        "user_id": response.user,
        "question": response.question,
        "answer": response.answer,
        "created_at": now,
    }


def _drop_old(connection: TenantConnection, user_id: str, *, most: int, before: datetime) -> None:
    theirs = responses.c.user_id == user_id
    connection.execute(connection.delete(responses).where(theirs, responses.c.created_at < before))
    newest_first = connection.select(responses, responses.c.id).where(theirs)
    ids = list(connection.scalars(newest_first.order_by(responses.c.created_at.desc(), responses.c.id)))
    if old := ids[most:]:
        connection.execute(connection.delete(responses).where(responses.c.id.in_(old)))


def _owner(connection: TenantConnection, response_id: str) -> str | None:
    """Return the user of a response, or of comments on one that is not kept any more; None if there is neither."""
    for table, column in ((responses, responses.c.id), (feedback, feedback.c.response_id)):
        found = connection.scalar(connection.select(table, table.c.user_id).where(column == response_id).limit(1))
        if isinstance(found, str):
            return found
    return None


def _comments(connection: TenantConnection, response_id: str) -> dict[str, RowMapping]:
    chosen = connection.select(feedback).where(feedback.c.response_id == response_id)
    return {row["kind"]: row for row in connection.execute(chosen).mappings()}


def _put(
    connection: TenantConnection, comment: Comment, response: RowMapping, *, liked_only: bool, now: datetime
) -> str | None:
    """Store the opinion that a comment states; a liked answer does not replace the person's own words."""
    if comment.kind == "rating" and liked_only:
        return None
    opinion = comment.opinion_on(response["question"], response["answer"])
    return None if opinion is None else put_opinion(connection, response["user_id"], opinion, now=now)


def _learn(connection: TenantConnection, user_id: str, learning: Learning, *, now: datetime) -> str | None:
    """Queue a fit if enough opinions are new, and no fit of the user is active; return its id."""
    new = (feedback.c.user_id == user_id, feedback.c.opinion.is_not(None), feedback.c.job_id.is_(None))
    if connection.count(feedback, *new) < learning.after:
        return None
    job, queued = put_job(connection, user_id, learning.method, learning.options, now=now)
    if not queued:
        return None
    connection.execute(connection.update(feedback).where(*new).values(job_id=job.id))
    return job.id
