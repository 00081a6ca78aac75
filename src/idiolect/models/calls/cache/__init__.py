"""The cache of calls: every answer that was paid for, kept in one SQLite file, so that it need not be paid for again.

`CallCache` (`cache`) is its entrance; `schema`, `entries`, `claims` and `commits` are the file behind it; `keys` and
`results` turn calls and answers into what is kept.
"""

from idiolect.models.calls.cache.cache import CallCache
from idiolect.models.calls.cache.claims import UncertainCall
from idiolect.models.calls.cache.entries import ForgottenCalls, KeptCall

__all__ = ["CallCache", "ForgottenCalls", "KeptCall", "UncertainCall"]
