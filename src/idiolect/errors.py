"""The tree of errors that Idiolect raises on purpose; the command line turns each into a message, never a traceback.

An error carries facts: what happened, to whom, and which setting avoids it. How that setting is spelled as an option,
and which command learns what is missing, only the command line knows, and adds (`cli.advice`).

    IdiolectError
    ├── UsersFileError          a users file has faults (carries every one of them)
    ├── DatasetError            a published data set is not there, not in its layout, or has nobody left to evaluate
    ├── ModelError              a model could not be loaded or did not answer
    │   ├── UnusableModelError  no call of this model can succeed: every other one would fail as well
    │   ├── OtherWeightsError   an edit was learned on other weights than the model has now
    │   └── UnseenRequestError  a replay was asked for a request that it never recorded
    ├── MissingExtraError       an optional dependency (extra) is not installed
    ├── SettingsError           a setting or a combination of settings makes no sense
    ├── PersonalizationError    a method cannot learn from what this user gave
    ├── HaltedError             the run is told to stop: no further call is made (Ctrl-C)
    │   └── BudgetExceededError a limit on calls, tokens, money or time is reached
    ├── CacheError              the cache of calls cannot be opened, read or written
    ├── ExportError             something learned cannot be handed to another engine; the message says why
    │   └── VerificationError   an exported adapter does not do there what the edit does here
    └── StoreError              the store cannot be opened, read or written
        ├── UnknownUserError    no such user in the store
        ├── BusyError           a user's data is in use, so it cannot be deleted now
        ├── UnknownGroupError   no such group in the store
        └── NotFittedError      the user or group is there, but nothing has been learned for them
            └── GroupNeedsRefitError  something had been, but from a member who is gone since

A wrong argument to a function is a plain `ValueError` that names the bad value, or a `TypeError` that names its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of one setting that avoids an error.

    Args:
        setting: its name in Python, such as "answering".
        value: what to set it to; "" where that is the caller's choice.
        effect: what that does, a verb with its object; "" where that is plain.
    """

    setting: str
    value: str = ""
    effect: str = ""


class IdiolectError(Exception):
    """Base of every error that Idiolect raises on purpose. `remedy` is a setting that avoids it, where one does."""

    def __init__(self, message: str = "", *, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class UsersFileError(IdiolectError):
    """A users file has faults. `faults` holds one printable line each, `file:line: field: what is wrong`."""

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class DatasetError(IdiolectError):
    """A published data set cannot be read, is not in the layout that its authors publish, or has nobody to evaluate."""


class ModelError(IdiolectError):
    """A model could not be loaded, or did not answer."""


class UnusableModelError(ModelError):
    """No call of this model can succeed (such as a refused key): whoever sees it need not try any other one."""


class OtherWeightsError(ModelError):
    """An edit was learned on other weights than the model has now, or on unknown ones; it has to be learned again.

    Args:
        message: what is known of both.
        model: the model's name.
        owner: the id of the user or group whose edit it is.
        kind: which of the two the owner is.
    """

    def __init__(self, message: str, *, model: str, owner: str, kind: Literal["user", "group"]) -> None:
        super().__init__(message)
        self.model, self.owner, self.kind = model, owner, kind


class UnseenRequestError(ModelError):
    """A replay was asked for a request that its recording does not hold."""


class MissingExtraError(IdiolectError):
    """An optional dependency is not installed; the message names the extra to install."""


class SettingsError(IdiolectError):
    """A setting, or a combination of settings, makes no sense."""


class PersonalizationError(IdiolectError):
    """A method cannot learn from what this user gave (for example: no opinions)."""


class HaltedError(IdiolectError):
    """The run is told to stop: calls in flight are finished and kept, no further one is made."""


class BudgetExceededError(HaltedError):
    """A limit is reached. `owner` is the user whose own limit it is, None where it is the whole run's."""

    def __init__(self, message: str, *, owner: str | None = None) -> None:
        super().__init__(message)
        self.owner = owner


class CacheError(IdiolectError):
    """The cache of calls cannot be opened, read or written."""


class ExportError(IdiolectError):
    """Something learned cannot be handed to another engine; the message says why."""


class VerificationError(ExportError):
    """An exported adapter does not do in another engine what the edit does here; nothing was left behind."""


class StoreError(IdiolectError):
    """The store cannot be opened, read or written."""


class UnknownUserError(StoreError):
    """The store holds no such user."""


class BusyError(StoreError):
    """A user's data is in use by another use case, so it cannot be deleted now."""


class UnknownGroupError(StoreError):
    """The store holds no such group."""


class NotFittedError(StoreError):
    """The store holds the user or group, but the method has learned nothing for them.

    Args:
        method: its name in the store.
        owner: the id of the user or group.
        kind: which of the two the owner is.
    """

    def __init__(self, method: str, owner: str, *, kind: Literal["user", "group"] = "user") -> None:
        super().__init__(self._message(method, owner, kind))
        self.method, self.owner, self.kind = method, owner, kind

    def _message(self, method: str, owner: str, kind: str) -> str:
        return f"{method!r} has learned nothing for {kind} {owner!r} yet"


class GroupNeedsRefitError(NotFittedError):
    """What was learned for the group is deleted: a member that it was learned from was forgotten or removed."""

    def __init__(self, method: str, owner: str) -> None:
        super().__init__(method, owner, kind="group")

    def _message(self, method: str, owner: str, kind: str) -> str:
        return (
            f"{kind} {owner!r}: a member was forgotten or removed, and what {method!r} had learned from them is deleted"
        )


def error_kind(error: BaseException | None) -> str:
    """Return the name that this module has for an error; a module's own kinds of error may change.

    For an error that is not Idiolect's, return the name of its class; "" for None.
    """
    if error is None:
        return ""
    own = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == __name__)
    return next(own, type(error).__name__)
