"""Build the packaged edit of a group for the embedded model, at which people's steps begin.

    python scripts/build_start.py writers.jsonl --without president-kennedy,character-othello-iago \\
        --out src/idiolect/methods/chameleon/starts/embedded

Only public-domain writers may be in the file. Those who are bundled for the demo are left out, so that the demo's
writers are unseen. Takes 20 minutes on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from idiolect.application.chameleon_starts import save_start
from idiolect.methods.chameleon.grouped import GroupedChameleon
from idiolect.methods.chameleon.identity import ModelIdentity
from idiolect.methods.chameleon.settings import preset
from idiolect.models.local import load_local_model
from idiolect.people.users_file import read_users


def main() -> None:
    """Learn the edit and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("users", type=Path)
    parser.add_argument("--without", default="", help="ids of people to leave out, separated by commas")
    parser.add_argument("--name", default="public-domain writers")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--targets", type=int, default=640, help="maximum number of texts to train on")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    people = [user for user in read_users(options.users) if user.id not in options.without.split(",")]
    model, settings = load_local_model(options.model), preset("grouped")
    assert settings.stepping is not None
    settings = replace(settings, stepping=replace(settings.stepping, most_targets=options.targets))
    method = GroupedChameleon(model, settings, identity=ModelIdentity(options.model, model.fingerprint()))
    learned = asyncio.run(method.fit_group(options.name, people))
    save_start(learned, options.out)
    sys.stdout.write(f"learned from {learned.n_items} texts of {len(people)} people; {learned.gate}\n")
    for trial in learned.trials:
        sys.stdout.write(f"{trial.variant}: {trial.fluency:+.3f} nat per token on the model's own texts\n")


if __name__ == "__main__":
    main()
