"""A fixed story of two people, of whom one leaves: every kind of durable write that a gateway makes is in it.

    ann and bob are created → opinions, texts, a replacement → both are fitted → conversations, feedback
    → learning goes on → ann corrects what was learned → bob is erased, with a receipt

The model answers the same to the same, so that the story has one ending, however often its gateway dies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from idiolect.erasure.kept_receipts import UNFINISHED
from tests.cli.remote_world import person
from tests.serve.requesting import path_of
from tests.serve.survival.clients import Client
from tests.serve.survival.ledgers import Ledger
from tests.serve.survival.tally import Tally
from tests.serve.survival.upstreams import Upstream, talk

ANN, BOB = "ann", "bob-quillfeather"
CANARIES = (BOB, "seventeen axolotls", "Bartholomew", "nettle broth")
FIT = {"preset": "api", "similarity": "bm25", "iterations": 1}
OPINIONS = 3
_TEXTS = ("I walk a lot.", "I read at night.")
_KEY = {"Idempotency-Key": "5d1c0f7ab2e94c58a2c6"}


@dataclass
class Story:
    """The story, and what ann and bob were promised.

    Args:
        client: sends the requests.
        upstream: the model.
        tally: receives what is wrong with answers.
    """

    client: Client
    upstream: Upstream
    tally: Tally
    ann: Ledger = field(default_factory=lambda: Ledger(ANN))
    receipt: Mapping[str, Any] = field(default_factory=dict)

    def tell(self) -> None:
        """Tell it from the beginning to the end."""
        self._enter()
        self._change()
        self._fit()
        self._comment()
        self._correct()
        self._erase()

    def _enter(self) -> None:
        bob = person(BOB, OPINIONS) | {"profile": {"Name": "Bartholomew"}, "texts": ["I keep seventeen axolotls."]}
        for record in (bob, person(ANN, OPINIONS)):
            reply, again = self.client.send("POST", "/v1/users", record)
            there = reply.status == 409 and again  # the first try made it
            self.tally.holds(f"creating a user: HTTP {reply.status}", reply.status == 201 or there)

    def _change(self) -> None:
        rising, either = "When does ann get up?", ("added", "replaced")
        self._post("/opinions", {"question": rising, "answer": "At seven."}, opinion=either)
        self._post("/opinions", {"question": rising, "answer": "At six."}, opinion=("replaced",))
        self._post("/opinions", {"question": "Cats or dogs, ann?", "answer": "Cats."}, opinion=either)
        changed = person(ANN, OPINIONS) | {"texts": [_TEXTS[0]]}
        changed["opinions"][0]["answer"] = "soup"
        self._put(changed)
        self._post("/texts", {"texts": [*reversed(_TEXTS)]}, texts=(len(_TEXTS),))
        reply, again = self.client.send("POST", path_of(ANN, "/opinions/remove"), {"question": "Cats or dogs, ann?"})
        gone = reply.status == 404 and again
        self.tally.holds(f"removing an opinion: HTTP {reply.status}", reply.status == 200 or gone)
        self.ann.opinions = {each["question"]: each["answer"] for each in changed["opinions"]}
        self.ann.opinions[rising] = "At six."
        self.ann.texts = [*_TEXTS]

    def _post(self, path: str, body: Mapping[str, Any], **expected: tuple[Any, ...]) -> None:
        reply, _ = self.client.send("POST", path_of(ANN, path), body)
        found = {name: reply.json.get(name) for name in expected}
        right = reply.status == 200 and all(found[name] in values for name, values in expected.items())
        self.tally.holds(f"POST {path}: HTTP {reply.status} {found}", right)

    def _put(self, record: Mapping[str, Any]) -> None:
        reply, _ = self.client.send("PUT", path_of(ANN), record)
        self.tally.holds(f"PUT: HTTP {reply.status}", reply.status == 200)

    def _fit(self) -> None:
        begun = {}
        for user_id in (ANN, BOB):
            begun[user_id] = self.client.ask_for_fit(user_id, FIT, set())
            self.tally.holds(f"a fit of {user_id} is active that nobody asked for", begun[user_id] is not None)
        for user_id, job in begun.items():
            self._ended(user_id, str(job))
        self.ann.fits.add(str(begun[ANN]))
        self.ann.learned = True

    def _ended(self, user_id: str, job: str) -> None:
        fit = self.client.wait_for_fit(user_id, job)
        self.tally.holds(f"the fit of {user_id} is {fit['state']}: {fit['error']}", fit["state"] == "done")

    def _comment(self) -> None:
        self._commented(BOB, "Bob, a starter?", {"said": "I would have nettle broth."}, stream=False)
        self._commented(ANN, "What would ann drink?", {"rating": "up"}, stream=False)
        fit = self._commented(ANN, "Which dessert is for ann?", {"said": "Figs."}, stream=True)
        self.tally.holds("no fit learns from two comments", fit is not None)
        if fit is not None:
            self.ann.fits.add(fit)
            self._ended(ANN, fit)

    def _commented(self, user_id: str, turn: str, comment: Mapping[str, Any], *, stream: bool) -> str | None:
        """Ask, and comment on the answer; ask again if a gateway died before it kept the answer."""
        while True:
            deaths = self.client.servers.n_deaths
            found, text = self._asked(user_id, turn, stream=stream)
            reply, _ = self.client.send("POST", "/v1/feedback", {"response_id": found, "user": user_id, **comment})
            if reply.status == 404 and self.client.servers.n_deaths > deaths:
                continue
            self.tally.holds(f"feedback: HTTP {reply.status} {reply.body[:200]!r}", reply.status == 200)
            if user_id == ANN:
                self.ann.feedback[found] = next(iter(comment))
                self.ann.opinions[turn] = comment.get("said", text)
            fit = reply.json.get("fit")
            return fit if isinstance(fit, str) else None

    def _asked(self, user_id: str, turn: str, *, stream: bool) -> tuple[str, str]:
        if stream:
            streamed = self.client.stream(talk(user_id, turn))
            found, text = streamed.id, streamed.text
        else:
            reply, _ = self.client.send("POST", "/v1/chat/completions", talk(user_id, turn))
            found, text = reply.json["id"], reply.json["choices"][0]["message"]["content"]
        self.tally.holds(f"an answer is {text!r}", text == self.upstream.texts.get(found))
        return found, text

    def _correct(self) -> None:
        added = "I do not eat meat."
        reply, _ = self.client.send("PATCH", path_of(ANN, "/dispositions"), {"add": [added]})
        stated = [each["text"] for each in reply.json.get("dispositions", ()) if each["text"] == added]
        self.tally.same("disposition", stated, [added])

    def _erase(self) -> None:
        reply, _ = self.client.send("DELETE", path_of(BOB), headers=_KEY)
        if not self.tally.holds(f"erasing: HTTP {reply.status} {reply.body[:200]!r}", reply.status == 200):
            self.tally.same("receipt", [], [BOB])
            return
        self.receipt = reply.json
        self.tally.same("receipt", [self.receipt["user"]] * self.receipt["rows"]["users"], [BOB])
        interrupted = self.receipt["unfinished"] == [UNFINISHED] and self.client.servers.n_deaths > 0
        self.tally.holds(f"the receipt proves nothing: {self.receipt}", self.receipt["proven"] or interrupted)
        again, _ = self.client.send("DELETE", path_of(BOB), headers=_KEY)
        self.tally.same("receipt, asked for again", [_known(again.json)], [_known(self.receipt)])
        other, _ = self.client.send("DELETE", path_of(BOB), headers={"Idempotency-Key": "another"})
        self.tally.holds(f"a second erasure: HTTP {other.status}", other.status == 404)


def _known(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)
