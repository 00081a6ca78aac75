"""How long it takes to read one user of very many from a store, while two processes write to it.

    python benchmarks/store_at_scale.py --users 20000
    python benchmarks/store_at_scale.py --users 1000000 --store postgresql://user@/people?host=/tmp --reads 5000

It fills a new store with made-up users in bulk, behind the store's back but with rows that the store itself has made:
each has a profile, 20 opinions and a payload like Fermi's of about 4 KB; a tenth also has tensors of 8 KB (an edit of
one layer of a small model; tensors of 200 KB for 100,000 users would only measure the disk). Then it measures
`Store.user_with`, which reads a user with what was learned for them: every id once, in random order. (`idiolect serve`
reads less of a user whom it has not seen yet: what was learned, and digests of it.) Meanwhile two processes put
opinions and save payloads of random users, with a pause of 10 ms after each (without one, SQLite's lock, which is not
fair, can keep the other one waiting for as long as it waits at all). It prints a table in Markdown. A store in a
temporary folder is deleted at the end; one that was named is kept.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from multiprocessing.synchronize import Event as StopEvent
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.records import opinion_rows, personalization_row, user_row
from idiolect.store.schema import opinions, personalizations, users
from idiolect.store.strict_json import dumps

OPINIONS = 20
TENSORS = 8 * 1024  # bytes, for every tenth user
CHUNK = 1000  # users inserted at a time
KINDS = 500  # different users; the others repeat their data under ids of their own
WRITERS = 2
PAUSE = 0.01  # seconds between the writes of one process
WORDS = [
    f"{first}{second}" for first in ("sal", "mon", "ter", "gar", "vel") for second in ("t", "ing", "or", "es", "a")
]

# By table: its columns, and the place of the user's id among them.
COLUMNS = {table: ([column.name for column in table.c], 1) for table in (users, opinions, personalizations)}


def main() -> None:
    """Fill a store, measure, and print a table."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="store-at-scale-") as folder:
        target = arguments.store or folder
        with Store.open(target, tenant=DEFAULT_TENANT) as store:
            kind = store.database.kind
            if (next(store.user_ids(), None) is not None) != arguments.filled:
                raise SystemExit(f"store {store.where} has {'no users' if arguments.filled else 'users'}")
            filled = "before" if arguments.filled else f"{fill(store, arguments.users):,.0f} s"
        millis, cpu, writes, seconds = measure(target, arguments.users, arguments.reads)
    percentiles = statistics.quantiles(millis, n=100, method="inclusive")
    print("| store | users | filled in | reads | p50 | p99 | longest | CPU a read | writes meanwhile |")
    print("|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {kind} | {arguments.users:,} | {filled} | {len(millis):,} | {percentiles[49]:.2f} ms"
        f" | {percentiles[98]:.2f} ms | {max(millis):.1f} ms | {cpu:.2f} ms | {writes:,} ({writes / seconds:.0f}/s) |"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000, help="number of users, at least 100")
    parser.add_argument("--reads", type=int, default=2000, help="number of users who are read, each once")
    parser.add_argument("--store", help="a new folder, or the URL of an empty database; default: a temporary folder")
    parser.add_argument("--filled", action="store_true", help="the named store was filled by an earlier run")
    arguments = parser.parse_args()
    if arguments.filled and not arguments.store:
        parser.error("--filled needs --store")
    if arguments.users < 100 or not 100 <= arguments.reads <= arguments.users:
        parser.error("expected at least 100 users and 100 reads, and no more reads than users")
    return arguments


def fill(store: Store, count: int) -> float:
    """Insert the users in bulk; return the seconds that it took."""
    began = time.perf_counter()
    database = store.database
    kinds = [_rows_of(number, database.engine().dialect) for number in range(KINDS)]
    for first in range(0, count, CHUNK):
        numbers = range(first, min(first + CHUNK, count))
        with database.writing() as connection:
            for table, (names, owner) in COLUMNS.items():
                rows = (
                    (*row[:owner], user_id(number), *row[owner + 1 :])
                    for number in numbers
                    for row in kinds[number % KINDS][table]
                )
                _insert(connection, table, names, rows)
    with database.engine(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("ANALYZE")
    return time.perf_counter() - began


def _insert(connection: sa.Connection, table: sa.Table, names: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows of the driver's own values, with PostgreSQL's COPY where there is one."""
    columns = ", ".join(names)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "postgresql":
        with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        driver.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({', '.join('?' * len(names))})", rows)


def _rows_of(number: int, dialect: Dialect) -> dict[sa.Table, list[tuple[Any, ...]]]:
    """Return the rows of one made-up user, as the driver's values in the order of `COLUMNS`."""
    now, user = datetime.now(UTC), made_up_user(number)
    tensors = random.Random(number).randbytes(TENSORS) if number % 10 == 0 else None
    made = {
        users: [user_row(user, now=now)],
        opinions: opinion_rows(user),
        personalizations: [personalization_row(user.id, "fermi", payload(number), tensors, now=now)],
    }
    return {
        table: [
            tuple(_driver_value(table.c[name], {**row, "tenant_id": DEFAULT_TENANT}[name], dialect) for name in names)
            for row in made[table]
        ]
        for table, (names, _) in COLUMNS.items()
    }


def _driver_value(column: sa.Column[Any], value: Any, dialect: Dialect) -> Any:
    if isinstance(column.type, sa.JSON):
        return dumps(value)
    bind = column.type.dialect_impl(dialect).bind_processor(dialect)
    return value if bind is None else bind(value)


def made_up_user(number: int) -> User:
    """Return a user with a profile of six attributes and 20 opinions."""
    draw = random.Random(number)
    profile = {f"attribute {n}": " ".join(draw.choices(WORDS, k=2)) for n in range(6)}
    asked = [
        Question(f"Question {n} about {' '.join(draw.choices(WORDS, k=8))}?", ("agree", "neither", "disagree"))
        for n in range(OPINIONS)
    ]
    return User(user_id(number), UserProfile(profile), [Opinion(each, draw.choice(each.choices)) for each in asked])


def user_id(number: int) -> str:
    """Return an id; the order of ids is not that in which users were inserted."""
    return f"user-{(number * 2_654_435_761) % 2**32:010d}"


def payload(number: int) -> dict[str, Any]:
    """Return a payload of about 4 KB: six prompts and their scores, as Fermi keeps them."""
    draw = random.Random(number)
    prompts = [
        {
            "text": " ".join(draw.choices(WORDS, k=80)),
            "score": draw.random(),
            "answers": draw.choices("ABC", k=OPINIONS),
        }
        for _ in range(6)
    ]
    return {"method": "fermi", "format": 1, "model": "embedded", "prompts": prompts}


def measure(target: str, count: int, reads: int) -> tuple[list[float], float, int, float]:
    """Read users while others write.

    Returns:
        Milliseconds of each read, mean milliseconds of this process's CPU for one, number of writes, and seconds.
    """
    spawn = multiprocessing.get_context("spawn")
    stop, ready, written = spawn.Event(), spawn.Barrier(WRITERS + 1), spawn.Queue()
    writers = [
        spawn.Process(target=_write, args=(target, count, seed, stop, ready, written)) for seed in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    chosen = random.Random(7).sample(range(count), reads)
    millis = []
    with Store.open(target, tenant=DEFAULT_TENANT) as store:
        ready.wait()
        began, began_cpu = time.perf_counter(), time.process_time()
        for number in chosen:
            name = user_id(number)
            before = time.perf_counter()
            user, record = store.user_with(name, "fermi")
            millis.append((time.perf_counter() - before) * 1000)
            assert len(user.opinions) >= OPINIONS
            assert record is not None
        seconds, cpu = time.perf_counter() - began, (time.process_time() - began_cpu) / reads * 1000
    stop.set()
    writes = sum(written.get() for _ in writers)
    for writer in writers:
        writer.join()
    return millis, cpu, writes, seconds


def _write(target: str, count: int, seed: int, stop: StopEvent, ready: Any, written: Any) -> None:
    """Put opinions and save payloads of random users until it is stopped."""
    draw, writes = random.Random(f"writer {seed}"), 0
    try:
        with Store.open(target, tenant=DEFAULT_TENANT) as store:
            ready.wait()
            while not stop.wait(PAUSE):
                number = draw.randrange(count)
                if writes % 2:
                    store.save_personalization(user_id(number), "fermi", payload(number))
                else:
                    store.put_opinion(user_id(number), Opinion(Question(f"New question {writes}?"), "so"))
                writes += 1
    finally:
        written.put(writes)


if __name__ == "__main__":
    main()
