"""SQL on `users` and `opinions`, for `Store`; each function runs inside a transaction of its caller.

The functions read and write rows of `records`; of learned data they read only the methods' names. Functions that take a
user's id raise `UnknownUserError` if there is no such user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from operator import itemgetter
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import DataError

from idiolect.errors import StoreError, UnknownUserError
from idiolect.people.newest_answers import with_newest_answers
from idiolect.people.user import Opinion, User, unstorable_part
from idiolect.store.faults import DAMAGE
from idiolect.store.records import (
    DamagedUser,
    SavedUsers,
    UserSummary,
    opinion_row,
    opinion_rows,
    user_from_rows,
    user_row,
)
from idiolect.store.schema import opinions, personalizations, users
from idiolect.store.tenant_rows import TenantConnection

BATCH = 500  # users written or listed at a time
_REPLACED = ("profile", "texts", "extra", "updated_at")  # columns of a user who is saved again
# What is read of an opinion: whose it is, is known.
_OF_AN_OPINION = tuple(opinions.c[name] for name in ("position", "question", "choices", "ordinal", "answer", "extra"))
_FEW = 1000  # an unknown id is compared with those of at most this many users or groups


def known_user(connection: TenantConnection, user_id: str) -> RowMapping:
    """Return the user's row.

    Raises:
        UnknownUserError: there is none; the message names similar ids.
    """
    if unstorable_part(user_id) is None and (found := connection.rows_of(users, user_id)):
        return found[0]
    raise _unknown(connection, user_id)


def check_known(connection: TenantConnection, user_id: str) -> None:
    """Raise the same error as `known_user`, without reading any of the user's data, which may be damaged."""
    _check_known(connection, user_id, connection.select(users, sa.literal(1)).where(users.c.id == user_id))


def lock_known(connection: TenantConnection, user_id: str, *, deleting: bool = False) -> None:
    """Raise the same error as `known_user`; lock the user's row until the transaction ends.

    Whoever writes what belongs to a user locks that row first, and the row of a group before it, if there is one. (On
    SQLite, this locks nothing, because there is only one writer at a time anyway.) Whoever will delete the user also
    waits for those who make others refer to the row, such as memberships of groups.
    """
    row = connection.select(users, sa.literal(1)).where(users.c.id == user_id)
    _check_known(connection, user_id, row.with_for_update(key_share=not deleting))


def _check_known(connection: TenantConnection, user_id: str, row: sa.Select[*tuple[Any, ...]]) -> None:
    if unstorable_part(user_id) is not None or connection.scalar(row) is None:
        raise _unknown(connection, user_id)


def _unknown(connection: TenantConnection, user_id: str) -> UnknownUserError:
    return UnknownUserError(f"the store has no user {user_id!r}{hint_of_near_ids(connection, users, user_id)}")


def hint_of_near_ids(connection: TenantConnection, table: sa.Table, unknown_id: str) -> str:
    """Return a hint that asks whether a similar id of the table was meant; "" if there is no similar id."""
    found = connection.scalars(connection.select(table, table.c.id).order_by(table.c.id).limit(_FEW + 1))
    ids = [each for each in found if _is_valid(each)]
    near = get_close_matches(unknown_id, ids, n=2, cutoff=0.5) if len(ids) <= _FEW else []
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def read_user(connection: TenantConnection, user_id: str) -> User:
    """Return the user."""
    return _user_and_opinions(connection, user_id)[0]


def read_user_with(
    connection: TenantConnection, user_id: str, method: str
) -> tuple[User, Mapping[str, Any] | None] | None:
    """Return the user and the row of `personalizations` of a method, None if there is none; None for an unknown id."""
    storable = unstorable_part(user_id) is None and unstorable_part(method) is None
    found = connection.row_with(users, personalizations, user_id, method, listed=_OF_AN_OPINION) if storable else None
    if found is None:
        return None
    row, learned, given = found
    return user_from_rows(row, given), learned


def _user_and_opinions(connection: TenantConnection, user_id: str) -> tuple[User, Sequence[RowMapping]]:
    row = known_user(connection, user_id)
    given = connection.rows_of(opinions, user_id, columns=_OF_AN_OPINION)
    return user_from_rows(row, given), given


def batches(people: Iterable[User]) -> Iterator[dict[str, User]]:
    """Yield users by id, `BATCH` at a time; a repeated id begins a new batch, so that the later user wins."""
    batch: dict[str, User] = {}
    for user in people:
        if user.id in batch or len(batch) == BATCH:
            yield batch
            batch = {}
        batch[user.id] = user
    if batch:
        yield batch


def save_batch(connection: TenantConnection, batch: Mapping[str, User], *, now: datetime) -> SavedUsers:
    """Write the users, with the newest answer to each question.

    Opinions that were entered one by one stay and replace a new one on the same question.

    Raises:
        StoreError: a user contains something that cannot be stored.
    """
    newest = [with_newest_answers(user) for user in batch.values()]
    rows = [user_row(user, now=now) for user, _ in newest]
    given = {user.id: opinion_rows(user) for user, _ in newest}
    new = set(connection.insert_missing(users, sorted(rows, key=itemgetter("id")), users.c.id))
    known = batch.keys() - new
    _lock(connection, known)
    differ = sum(_put_entered(given[entered["user_id"]], entered) for entered in _entered(connection, known))
    if known:
        _mend_dates(connection, known, now=now)
        connection.execute(connection.delete(opinions).where(opinions.c.user_id.in_(known)))
        again = [{f"b_{name}": row[name] for name in ("id", *_REPLACED)} for row in rows if row["id"] in known]
        connection.execute(_replace_user(connection), again)
    if any(given.values()):
        connection.insert(opinions, [row for rows in given.values() for row in rows])
    superseded = {user.id: older for user, older in newest if older}
    return SavedUsers(new=len(new), updated=len(known), entered=differ, superseded=superseded)


def _lock(connection: TenantConnection, ids: Collection[str]) -> None:
    """Lock the users' rows until the transaction ends, in the order of their ids, against deadlocks of two writers."""
    chosen = connection.select(users, users.c.id).where(users.c.id.in_(ids)).order_by(users.c.id)
    connection.scalars(chosen.with_for_update(key_share=True)).all()


def _entered(connection: TenantConnection, ids: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows of opinions that were entered one by one, in order.

    Raises:
        StoreError: one is damaged, so that it can be kept only by a backup.
    """
    chosen = connection.select(opinions).where(opinions.c.user_id.in_(ids), opinions.c.entered)
    try:
        return [dict(row) for row in connection.execute(chosen.order_by(opinions.c.position)).mappings()]
    except DAMAGE as error:
        if len(ids) > 1:
            return [row for user_id in sorted(ids) for row in _entered(connection, [user_id])]
        raise StoreError(
            f"an opinion that was entered for user {next(iter(ids))!r} is damaged; forget the user, then fit them again"
        ) from error


def _mend_dates(connection: TenantConnection, ids: Collection[str], *, now: datetime) -> None:
    """Replace dates of creation that cannot be read, which saving a user again would leave damaged."""
    try:
        connection.scalars(connection.select(users, users.c.created_at).where(users.c.id.in_(ids))).all()
    except DAMAGE:
        if len(ids) == 1:
            connection.execute(connection.update(users).where(users.c.id.in_(ids)).values(created_at=now))
        else:
            for user_id in ids:
                _mend_dates(connection, [user_id], now=now)


def _put_entered(rows: list[dict[str, Any]], entered: dict[str, Any]) -> bool:
    """Replace the row on the same question with the same choices by an entered opinion, or append the opinion.

    Returns:
        Whether this changes the rows' answer to the question, or adds one.
    """
    for position, row in enumerate(rows):
        if (row["question"], row["choices"]) == (entered["question"], entered["choices"]):
            rows[position] = {**entered, "position": position}
            return (row["answer"], row["ordinal"]) != (entered["answer"], entered["ordinal"])
    rows.append({**entered, "position": len(rows)})
    return True


def _replace_user(connection: TenantConnection) -> sa.Update:
    return (
        connection.update(users)
        .where(users.c.id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(f"b_{name}") for name in _REPLACED})
    )


def put_opinion(
    connection: TenantConnection, user_id: str, opinion: Opinion, *, now: datetime
) -> Literal["added", "replaced"]:
    """Replace the opinion on the same question with the same choices, or append the opinion.

    Raises:
        StoreError: the opinion contains something that cannot be stored.
    """
    lock_known(connection, user_id)  # so that two writers cannot take the same position
    _, held = _user_and_opinions(connection, user_id)  # fails on damaged data, to which nothing is added
    connection.execute(connection.update(users).where(users.c.id == user_id).values(updated_at=now))
    for given in held:
        if (given["question"], tuple(given["choices"])) == (opinion.question.text, opinion.question.choices):
            position = given["position"]
            row = opinion_row(opinion, user_id=user_id, position=position, entered=True)
            theirs = opinions.c.user_id == user_id
            connection.execute(connection.update(opinions).where(theirs, opinions.c.position == position).values(row))
            return "replaced"
    end = held[-1]["position"] + 1 if held else 0
    connection.insert(opinions, opinion_row(opinion, user_id=user_id, position=end, entered=True))
    return "added"


def remove_opinion(
    connection: TenantConnection, user_id: str, question: str, choices: tuple[str, ...] | None, *, now: datetime
) -> bool:
    """Delete the opinion on the question, with any choices if `choices` is None; return whether there was one.

    Raises:
        StoreError: `choices` is None and there are opinions on that question with different choices; or nothing would
            be left of the user.
    """
    lock_known(connection, user_id)
    user, held = _user_and_opinions(connection, user_id)
    found = [
        row["position"]
        for row in held
        if row["question"] == question and (choices is None or tuple(row["choices"]) == choices)
    ]
    if len(found) > 1 and choices is None:
        raise StoreError(f"user {user_id!r} has {len(found)} opinions on that question; name the choices")
    if found and len(held) == 1 and not user.texts:
        raise StoreError(f"it is the last opinion of user {user_id!r}, who has no texts; forget the user instead")
    if found:
        connection.execute(connection.update(users).where(users.c.id == user_id).values(updated_at=now))
        theirs = connection.delete(opinions).where(opinions.c.user_id == user_id)
        connection.execute(theirs.where(opinions.c.position == found[0]))
    return bool(found)


def entered_places(connection: TenantConnection, user_id: str) -> tuple[int, ...]:
    """Return the indices of a known user's opinions that were entered one by one."""
    flags = connection.select(opinions, opinions.c.entered).where(opinions.c.user_id == user_id)
    ordered = connection.scalars(flags.order_by(opinions.c.position))
    return tuple(place for place, entered in enumerate(ordered) if entered)


def page_of_ids(connection: TenantConnection, after: str | None) -> list[str]:
    """Return the ids that follow `after`, in order, at most `BATCH`."""
    page = connection.select(users, users.c.id).order_by(users.c.id).limit(BATCH)
    ids = list(connection.scalars(page if after is None else page.where(users.c.id > after)))
    if not all(map(_is_valid, ids)):
        raise ValueError("an id is no text")
    return ids


def page_of_summaries(connection: TenantConnection, after: str | bytes | None) -> list[UserSummary | DamagedUser]:
    """Return summaries of the users whose ids follow `after`, in order, at most `BATCH`."""
    following = sa.true() if after is None else users.c.id > _bound(after)
    try:
        with connection.begin_nested():
            return [*_summaries(connection, following)]
    except (*DAMAGE, DataError):
        ids = connection.scalars(
            connection.select(users, users.c.id).where(following).order_by(users.c.id).limit(BATCH)
        )
        return [_summary_if_readable(connection, key) for key in ids.all()]


def _summary_if_readable(connection: TenantConnection, key: str | bytes) -> UserSummary | DamagedUser:
    try:
        with connection.begin_nested():
            return _summaries(connection, users.c.id == _bound(key))[0]
    except (*DAMAGE, DataError):
        stored = key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")
        return DamagedUser(stored.decode("utf-8", "backslashreplace"), key)


def _bound(key: str | bytes) -> Any:
    """Return an id as SQL: an id that is not UTF-8 can only be bound as bytes."""
    if isinstance(key, str) and unstorable_part(key) is not None:
        return sa.cast(sa.literal(key.encode("utf-8", "surrogateescape"), sa.LargeBinary), sa.Text)
    return sa.literal(key, sa.LargeBinary if isinstance(key, bytes) else sa.Text)


def _is_valid(stored_id: object) -> bool:
    return isinstance(stored_id, str) and unstorable_part(stored_id) is None


def read_summary(connection: TenantConnection, user_id: str) -> UserSummary:
    """Return the user's summary."""
    check_known(connection, user_id)
    return _summaries(connection, users.c.id == user_id)[0]


def _summaries(connection: TenantConnection, condition: sa.ColumnElement[bool]) -> list[UserSummary]:
    given = connection.select(opinions, sa.func.count()).where(opinions.c.user_id == users.c.id)
    n_opinions = given.scalar_subquery()
    n_texts: sa.ColumnElement[Any] = sa.func.json_array_length(users.c.texts)
    if connection.kind == "sqlite":  # it keeps any text as JSON, and counts 0 items where there is no list
        is_list = sa.case((sa.func.json_valid(users.c.texts), sa.func.json_type(users.c.texts) == "array"))
        n_texts = sa.case((sa.and_(sa.func.json_valid(users.c.profile), is_list), n_texts))
    columns = (users.c.id, n_opinions, n_texts, users.c.created_at, users.c.updated_at)
    page = connection.select(users, *columns).where(condition).order_by(users.c.id).limit(BATCH)
    rows = connection.execute(page).all()
    if not all(_is_valid(row[0]) and isinstance(row[2], int) for row in rows):
        raise ValueError("an id is no text, or the texts are no list")
    methods = _methods(connection, [row[0] for row in rows])
    return [
        UserSummary(user_id, opinions_, texts, tuple(methods.get(user_id, ())), created_at, updated_at)
        for user_id, opinions_, texts, created_at, updated_at in rows
    ]


def _methods(connection: TenantConnection, ids: list[str]) -> dict[str, list[str]]:
    learned = connection.select(personalizations, personalizations.c.user_id, personalizations.c.method)
    methods: dict[str, list[str]] = {}
    for user_id, method in connection.execute(
        learned.where(personalizations.c.user_id.in_(ids)).order_by(personalizations.c.method)
    ):
        if not _is_valid(method):
            raise ValueError("a method's name is no text")
        methods.setdefault(user_id, []).append(method)
    return methods
