"""Erasure and export of all data about a person; an erasure also gives evidence that the data is gone.

    receipt = forget_user(store, "u1")          (forgetting)
    held = holdings(store, "u1", caches=…)      (holdings)

Both cover the store and every cache of calls that was used with it (`caches`).
"""
