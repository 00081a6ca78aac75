"""The cache of calls, which keeps every paid answer in one SQLite file, so that it need not be paid for again.

`CallCache` (`cache`) is its interface; `schema`, `entries`, `claims` and `commits` implement the file behind it; `keys`
and `results` convert calls and answers to their stored form.
"""

from idiolect.models.calls.cache.cache import CallCache
from idiolect.models.calls.cache.claims import UncertainCall
from idiolect.models.calls.cache.entries import ForgottenCalls, KeptCall

__all__ = ["CallCache", "ForgottenCalls", "KeptCall", "UncertainCall"]
