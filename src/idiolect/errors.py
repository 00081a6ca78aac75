"""The tree of errors that Idiolect raises on purpose; the command line turns each into a message, never a traceback.

An error carries facts: what happened, to whom, and which setting avoids it. Only the command line knows the option for
that setting and the command that fits a user, and adds them to the message (`cli.advice`).

    IdiolectError
    ├── UsersFileError          a users file has faults (carries every one of them)
    ├── DatasetError            a published data set is missing, not in its layout, or has nobody left to evaluate
    ├── ModelError              a model could not be loaded or did not answer
    │   ├── UnusableModelError  no call of this model can succeed: every other one would fail as well
    │   ├── ContextLengthError  a prompt is longer than the model can read
    │   ├── UnreadAnswersError  nearly no answer of the model names a choice
    │   ├── OtherWeightsError   an edit was learned on other weights than the model has now
    │   └── UnseenRequestError  a recording does not contain a request that is to be replayed
    ├── MissingExtraError       an optional dependency (extra) is not installed
    ├── SettingsError           a setting or a combination of settings is invalid
    ├── PersonalizationError    a method cannot learn from this user's data
    ├── HaltedError             the run is to stop: no further call is made (Ctrl-C)
    │   └── BudgetExceededError a limit on calls, tokens, money or time is reached
    ├── CacheError              the cache of calls cannot be opened, read or written
    ├── ExportError             a personalization cannot be exported to another engine
    │   └── VerificationError   an exported adapter acts differently from the edit that it was made from
    └── StoreError              the store cannot be opened, read or written
        ├── UnknownUserError    no such user in the store
        ├── DamagedError        what the store holds is not what was stored
        ├── BusyError           a user's data is in use, so it cannot be deleted now
        ├── UnknownGroupError   no such group in the store
        └── NotFittedError      the user or group exists, but nothing has been learned for them
            └── GroupNeedsRefitError  something had been learned, but from a member who has left since

A wrong argument to a function is a plain `ValueError` that names the bad value, or a `TypeError` that names its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of one setting that avoids an error.

    Args:
        setting: the setting's name in Python, such as "answering".
        value: the value to set; "" if the caller has to choose it.
        effect: the effect of that, as a verb with its object; "" if it is obvious.
    """

    setting: str
    value: str = ""
    effect: str = ""


class IdiolectError(Exception):
    """Base of every error that Idiolect raises on purpose. `remedy` is a setting that avoids it, if there is one."""

    def __init__(self, message: str = "", *, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class UsersFileError(IdiolectError):
    """A users file has faults. `faults` has one printable line for each: `file:line: field: what is wrong`."""

    def __init__(self, message: str, faults: tuple[str, ...] = (), *, remedy: Remedy | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.faults = faults


class DatasetError(IdiolectError):
    """A published data set cannot be read, is not in its published layout, or has nobody left to evaluate."""


class ModelError(IdiolectError):
    """A model could not be loaded, or did not answer."""


class UnusableModelError(ModelError):
    """No call of this model can succeed, for example because its key was refused; no other call needs to be tried."""


class ContextLengthError(ModelError):
    """A prompt is longer than the model can read.

    Args:
        message: the message; it names neither the prompt nor its words.
        limit: number of tokens that the model can read; None if it is unknown.
        whose: the prompt in words, such as "the optimizer's prompt"; "" where only the model's part is known.
        remedy: see `IdiolectError`.
    """

    def __init__(
        self, message: str, *, limit: int | None = None, whose: str = "", remedy: Remedy | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.limit, self.whose = limit, whose

    def of(self, whose: str, remedy: Remedy) -> ContextLengthError:
        """Return the error with the prompt and a remedy named; this error itself if they are named already."""
        if self.whose:
            return self
        return ContextLengthError(f"{whose} is too long: {self}", limit=self.limit, whose=whose, remedy=remedy)


class UnreadAnswersError(ModelError):
    """Nearly no answer of the model names a choice, so that nothing can be learned from its answers."""


class OtherWeightsError(ModelError):
    """An edit was learned on other weights than the model has now, or on unknown ones; it has to be learned again.

    Args:
        message: the message, with what is known of both weights.
        model: the model's name.
        owner: the id of the user or group whose edit it is.
        kind: which of the two the owner is.
    """

    def __init__(self, message: str, *, model: str, owner: str, kind: Literal["user", "group"]) -> None:
        super().__init__(message)
        self.model, self.owner, self.kind = model, owner, kind


class UnseenRequestError(ModelError):
    """A recording does not contain a request that is to be replayed."""


class MissingExtraError(IdiolectError):
    """An optional dependency is not installed; the message names the extra to install."""

    @classmethod
    def of(cls, what_needs: str, extra: str, error: ImportError) -> MissingExtraError:
        """Return the error for a failed import.

        Args:
            what_needs: the beginning of the message, such as "local models need".
            extra: name of the extra.
            error: the failed import.
        """
        return cls(f"{what_needs} the extra `{extra}`: pip install 'idiolect[{extra}]' ({error.name} is missing)")


class SettingsError(IdiolectError):
    """A setting, or a combination of settings, is invalid."""


class PersonalizationError(IdiolectError):
    """A method cannot learn from this user's data (for example, because there are no opinions)."""


class HaltedError(IdiolectError):
    """The run is to stop: calls in flight are finished and kept, and no further call is made."""


class BudgetExceededError(HaltedError):
    """A limit is reached. `owner` is the user whose own limit it is; None if it is the limit of the whole run."""

    def __init__(self, message: str, *, owner: str | None = None) -> None:
        super().__init__(message)
        self.owner = owner


class CacheError(IdiolectError):
    """The cache of calls cannot be opened, read or written."""


class ExportError(IdiolectError):
    """A personalization cannot be exported to another engine; the message gives the reason."""


class VerificationError(ExportError):
    """An exported adapter acts differently in another engine from the edit here; its files were removed."""


class StoreError(IdiolectError):
    """The store cannot be opened, read or written."""


class UnknownUserError(StoreError):
    """The store has no such user."""


class DamagedError(StoreError):
    """What the store holds of a user or group is not what was stored."""


class BusyError(StoreError):
    """A user's data is in use by another use case, so it cannot be deleted now."""


class UnknownGroupError(StoreError):
    """The store has no such group."""


class NotFittedError(StoreError):
    """The store has the user or group, but the method has learned nothing for them.

    Args:
        method: the method's name in the store.
        owner: the id of the user or group.
        kind: which of the two the owner is.
    """

    def __init__(self, method: str, owner: str, *, kind: Literal["user", "group"] = "user") -> None:
        super().__init__(self._message(method, owner, kind))
        self.method, self.owner, self.kind = method, owner, kind

    def _message(self, method: str, owner: str, kind: str) -> str:
        return f"{method!r} has learned nothing for {kind} {owner!r} yet"


class GroupNeedsRefitError(NotFittedError):
    """The data learned for the group was deleted, because a member it was learned from was forgotten or removed."""

    def __init__(self, method: str, owner: str) -> None:
        super().__init__(method, owner, kind="group")

    def _message(self, method: str, owner: str, kind: str) -> str:
        return (
            f"{kind} {owner!r}: a member was forgotten or removed, so the data that {method!r} learned from them was "
            "deleted"
        )


def error_kind(error: BaseException | None) -> str:
    """Return the name of the most specific class of this module that an error belongs to.

    Other modules' subclasses are not named, because they may change. For an error that is not Idiolect's, return the
    name of its class; for None, return "".
    """
    if error is None:
        return ""
    own = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == __name__)
    return next(own, type(error).__name__)
