"""Erasure: delete everything held about a person and show that it is gone; or hand it over as an export.

    receipt = forget_user(store, "u1")          (forgetting)
    held = holdings(store, "u1", caches=…)      (holdings)

Both reach the store and every cache of calls that was used with it (`caches`).
"""
