"""The key of whoever can read the folder of the store, for `identity`: the command line on the same machine."""

from __future__ import annotations

from idiolect.application.running_gateway import tenant_of_key
from idiolect.serve.keys import PEOPLE, KeyRecord


class LocalKeys:
    """The keys that a gateway announces beside its store, one for each tenant; good for data about people.

    Args:
        secret: what they are made of.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def exist(self) -> bool:
        """Return False: these keys are for the command line, and do not make others need one."""
        return False

    def verify(self, secret: str) -> KeyRecord | None:
        """Return the record of a key; None if it is none of these."""
        tenant = tenant_of_key(self._secret, secret)
        return None if tenant is None else KeyRecord("local", tenant, scopes=frozenset({PEOPLE}))
