"""People who live on while their gateways are killed: each states opinions, talks, comments and is fitted, in turn.

Load(…): a thread for each person, and one for those who come and are erased → settle → check
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from idiolect.erasure.kept_receipts import UNFINISHED
from idiolect.store import Store
from tests.cli.remote_world import person
from tests.serve.requesting import path_of
from tests.serve.survival.clients import Client
from tests.serve.survival.deaths import Gateways
from tests.serve.survival.ledgers import Ledger, check_spending, check_store
from tests.serve.survival.places import SECRET
from tests.serve.survival.scenario import FIT
from tests.serve.survival.tally import Tally
from tests.serve.survival.upstreams import Upstream, talk

_GONE = "gone-quillfeather"
_CANARIES = (_GONE, "seventeen axolotls", "nettle broth")
_CONTINUE = {**FIT, "continue": True}
_PATIENCE = 180.0  # seconds
_BETWEEN_ERASURES = 1.0
_BETWEEN_TURNS = 0.3


class Load:
    """People and what they were promised; the threads run from `start` until `settle`.

    Args:
        gateways: what they talk to.
        upstream: the model.
        tally: receives what is wrong.
        people: how many of them stay.
    """

    def __init__(self, gateways: Gateways, upstream: Upstream, tally: Tally, *, people: int) -> None:
        self._gateways, self._upstream, self._tally = gateways, upstream, tally
        self.ledgers = [Ledger(f"person{number}") for number in range(people)]
        self.clients = [Client(gateways, SECRET, tally) for _ in range(people + 1)]
        self.erased: list[str] = []
        self.streaming = self.fitting = 0
        self._lock, self._over = threading.Lock(), threading.Event()
        self.failed: list[BaseException] = []
        pairs = zip(self.clients[1:], self.ledgers, strict=True)
        works = [self._living(client, ledger) for client, ledger in pairs]
        self._threads = [
            threading.Thread(target=self._run, args=(work,), daemon=True) for work in (self._leaving, *works)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def settle(self) -> None:
        """Let everybody end what they are about, and wait for the fits that are queued."""
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "somebody waits for an answer"
        self.raise_failure()
        for client, ledger in zip(self.clients[1:], self.ledgers, strict=True):
            for job in sorted(ledger.fits - ledger.ended):
                self._ended(client, ledger, job)

    def raise_failure(self) -> bool:
        """Raise what somebody failed with; otherwise return False."""
        if self.failed:
            raise self.failed[0]
        return False

    def check(self, store: Store, files: Path) -> int:
        """Compare what the store has with what was promised; return the number of calls that no budget has counted.

        Args:
            store: the store.
            files: a folder in which nothing of the erased may be.
        """
        tally, people = self._tally, {ledger.user for ledger in self.ledgers}
        uncounted = 0
        for ledger in self.ledgers:
            ledger.check(tally, store)
            uncounted += check_spending(tally, self._gateways, self._upstream, ledger, store)
        check_store(tally, store, people=people, receipts=len(self.erased), files=files, canaries=_CANARIES)
        self._gateways.check_calls(tally, erased=tuple(self.erased))
        return uncounted

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.failed.append(error)

    def _living(self, client: Client, ledger: Ledger) -> Callable[[], None]:
        def work() -> None:
            self._create(client, person(ledger.user, 3))
            ledger.opinions = {each["question"]: each["answer"] for each in person(ledger.user, 3)["opinions"]}
            number = 0
            while not self._over.is_set():
                number += 1
                self._say(client, ledger, number)
                self._talk(client, ledger, number)
                if number % 2:
                    self._learn(client, ledger)
                self._over.wait(_BETWEEN_TURNS)

        return work

    def _create(self, client: Client, record: Mapping[str, Any]) -> None:
        reply, again = client.send("POST", "/v1/users", record)
        there = reply.status == 409 and again
        self._tally.holds(f"creating a user: HTTP {reply.status}", reply.status == 201 or there)

    def _say(self, client: Client, ledger: Ledger, number: int) -> None:
        asked, answer = f"Question {number} of {ledger.user}?", f"Answer {number}."
        text = f"Text {number} of {ledger.user}."
        for path, body in (("/opinions", {"question": asked, "answer": answer}), ("/texts", {"texts": [text]})):
            reply, _ = client.send("POST", path_of(ledger.user, path), body)
            self._tally.holds(f"{path}: HTTP {reply.status} {reply.body[:200]!r}", reply.status == 200)
        ledger.opinions[asked] = answer
        ledger.texts.append(text)

    def _talk(self, client: Client, ledger: Ledger, number: int) -> None:
        """Stream an answer and comment on it, until a comment is taken."""
        turn = f"Turn {number} of {ledger.user}?"
        while True:
            deaths = self._gateways.n_deaths
            with self._counting("streaming"):
                streamed = client.stream(talk(ledger.user, turn))
            self._tally.holds("a stream is not whole", streamed.text == self._upstream.texts.get(streamed.id))
            comment = {"response_id": streamed.id, "user": ledger.user, "said": f"Said {number}."}
            reply, _ = client.send("POST", "/v1/feedback", comment)
            if reply.status == 404 and self._gateways.n_deaths > deaths:
                continue  # it was not kept yet
            self._tally.holds(f"feedback: HTTP {reply.status} {reply.body[:200]!r}", reply.status == 200)
            ledger.feedback[streamed.id] = "said"
            ledger.opinions[turn] = f"Said {number}."
            if (job := reply.json.get("fit")) is not None:
                ledger.fits.add(job)
            return

    def _learn(self, client: Client, ledger: Ledger) -> None:
        """Ask for a fit, unless one that learns from comments is active, and wait for the end of all of them."""
        job = client.ask_for_fit(ledger.user, _CONTINUE, ledger.fits)
        if job is not None:
            ledger.fits.add(job)
        with self._counting("fitting"):
            for each in sorted(ledger.fits - ledger.ended):
                self._ended(client, ledger, each)

    def _ended(self, client: Client, ledger: Ledger, job: str) -> None:
        ended = client.wait_for_fit(ledger.user, job)
        ledger.ended.add(job)
        ledger.learned = ledger.learned or ended["state"] == "done"

    def _leaving(self) -> None:
        """Create one person after the other, and erase each."""
        number = 0
        while not self._over.is_set():
            number += 1
            user_id = f"{_GONE}-{number}"
            self._create(self.clients[0], person(user_id, 2) | {"texts": ["I keep seventeen axolotls."]})
            known = set[str]()
            if number % 2:
                self.clients[0].ask_for_fit(user_id, FIT, known)
            with self._counting("streaming"):
                streamed = self.clients[0].stream(talk(user_id, "A starter?"))
            said = {"response_id": streamed.id, "user": user_id, "said": "I would have nettle broth."}
            self.clients[0].send("POST", "/v1/feedback", said)
            self._erase(user_id)
            self._over.wait(_BETWEEN_ERASURES)

    def _erase(self, user_id: str) -> None:
        deaths = self._gateways.n_deaths
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        reply, _ = self.clients[0].send("DELETE", path_of(user_id), headers=headers)
        if not self._tally.holds(f"erasing: HTTP {reply.status} {reply.body[:200]!r}", reply.status == 200):
            self._tally.same("receipt", [], [user_id])
            return
        receipt = reply.json
        self.erased.append(user_id)
        self._tally.same("receipt", [receipt["user"]] * receipt["rows"]["users"], [user_id])
        interrupted = receipt["unfinished"] == [UNFINISHED] and self._gateways.n_deaths > deaths
        self._tally.holds(f"a receipt proves nothing: {receipt}", receipt["proven"] or interrupted)

    @contextmanager
    def _counting(self, name: str) -> Iterator[None]:
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)
        try:
            yield
        finally:
            with self._lock:
                setattr(self, name, getattr(self, name) - 1)


def until(holds: Callable[[], object], seconds: float = _PATIENCE) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
