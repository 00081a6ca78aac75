"""Receipts are kept for whoever gave a key; they do not name whom they are about, and name an interruption."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from idiolect.erasure import forgetting, kept_receipts
from idiolect.erasure.canaries import row_texts
from idiolect.erasure.forgetting import artifact_folder, forget_user
from idiolect.erasure.kept_receipts import KEPT, UNFINISHED, find
from idiolect.errors import UnknownUserError
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.schema import erasures, receipts

KEY, ANNA = "5d1c0f7ab2e94c58", "anna.karenina"
SECRET = "the user's most private words"


def _store(target: str) -> Store:
    store = Store.open(target, tenant=DEFAULT_TENANT)
    store.save_users([User(ANNA, texts=(SECRET,)), User("boris", texts=("My soul is sad.",))])
    return store


def test_receipt_is_found_by_its_key_and_names_nobody(store_target: str) -> None:
    with _store(store_target) as store:
        if store.tenant_folder is not None:
            folder = artifact_folder(store.tenant_folder, ANNA)
            folder.mkdir(parents=True)
            (folder / "notes.txt").write_text(SECRET)
        receipt = forget_user(store, ANNA, key=KEY)
        found = find(store, ANNA, KEY)
        assert found is not None
        assert (found.rows, found.proven, found.canaries) == (receipt.rows, True, receipt.canaries)
        assert (found.user_id, found.erased_at, found.limits) == (ANNA, receipt.erased_at, receipt.limits)
        assert found.before.total == receipt.before.total
        hashed = artifact_folder(store.folder, ANNA).name if store.folder is not None else ANNA
        with store.database.reading() as connection:
            assert not [text for text in row_texts(connection) if ANNA in text or hashed in text or KEY in text]
        assert find(store, ANNA, "another") is None
        assert find(store, "boris", KEY) is None
        assert find(store.of_tenant("another", create=True), ANNA, KEY) is None


def test_without_a_key_no_receipt_is_kept(store_target: str) -> None:
    with _store(store_target) as store:
        forget_user(store, ANNA)
        with store.database.reading() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(receipts)) == 0


def test_receipt_of_an_interrupted_erasure_says_so_and_its_rest_is_done(
    store_target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> tuple[str, ...]:
        raise SystemExit

    with _store(store_target) as store:
        with monkeypatch.context() as dying:
            dying.setattr(forgetting, "_scrub_all", die)
            with pytest.raises(SystemExit):
                forget_user(store, ANNA, key=KEY)
        with pytest.raises(UnknownUserError):
            forget_user(store, ANNA, key=KEY)
        found = find(store, ANNA, KEY)
        assert found is not None
        assert (found.rows["users"], found.unfinished, found.proven) == (1, (UNFINISHED,), False)
        assert found.before.total > 0
        with store.database.reading() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(erasures)) == 0


def test_a_person_who_came_back_is_erased_again(store_target: str) -> None:
    with _store(store_target) as store:
        first = forget_user(store, ANNA, key=KEY)
        store.save_users([User(ANNA, texts=("t", "u"))])
        second = forget_user(store, ANNA, key=KEY)
        assert second.erased_at > first.erased_at
        found = find(store, ANNA, KEY)
        assert found is not None
        assert found.erased_at == second.erased_at


def test_receipts_are_kept_for_a_while(store_target: str) -> None:
    with _store(store_target) as store:
        forget_user(store, ANNA, key=KEY)
        with store.rows.writing() as connection:
            past = datetime.now(UTC) - KEPT - timedelta(seconds=1)
            connection.execute(connection.update(receipts).values(erased_at=past))
        assert find(store, ANNA, KEY) is None
        forget_user(store, "boris", key="another")
        with store.rows.reading() as connection:
            names = list(connection.scalars(connection.select(receipts, receipts.c.request)))
        assert names == [kept_receipts.name_of("boris", "another")]
