"""Solving against a channel as large as conda-forge: 400,000 records; what a user waits for before anything is fetched.

The yardstick is reading the same repodata.json with Python's json, which any tool in Python would have to do first.
"""

from __future__ import annotations

import json
import os
import random
import resource
from pathlib import Path

from side_by_side import compare, own_home

from venvoy.actions.conda import ask
from venvoy.engine.request import Request, Source

RECORDS = 400_000
NAMES = 20_000
WANTED = 60


def repodata(folder: Path) -> Path:
    """Write the index: every name in twenty versions, each needing a few of the names before it."""
    chance = random.Random(20260101)  # noqa: S311  # the same channel at every run
    entries = {}
    for number in range(RECORDS):
        name, version = f"package-{number % NAMES}", number // NAMES
        before = range(max(0, number % NAMES - 40), number % NAMES)
        needs = chance.sample(before, k=min(len(before), chance.choice((0, 0, 1, 2)))) if number % NAMES < 2000 else []
        entries[f"{name}-{version}.0-h{number:06x}_0.conda"] = {
            "name": name,
            "version": f"{version}.0",
            "build": f"h{number:06x}_0",
            "build_number": 0,
            "depends": [f"package-{each} >=1" for each in sorted(needs)],
            "subdir": "linux-64",
            "sha256": f"{number:064x}",
            "md5": f"{number:032x}",
            "size": 10_000 + number,
            "timestamp": 1_700_000_000_000 + number,
            "license": "BSD-3-Clause",
        }
    (folder / "linux-64").mkdir(parents=True)
    (folder / "noarch").mkdir()
    file = folder / "linux-64" / "repodata.json"
    file.write_text(json.dumps({"info": {"subdir": "linux-64"}, "packages": {}, "packages.conda": entries}))
    (folder / "noarch" / "repodata.json").write_text(json.dumps({"info": {"subdir": "noarch"}, "packages": {}}))
    return file


def main() -> None:
    with own_home() as home:
        os.environ["RATTLER_CACHE_DIR"] = str(home / "rattler")
        file = repodata(home / "channel")
        specs = tuple(f"package-{number * 30}" for number in range(WANTED))
        request = Request(
            verb="solve",
            source=Source(channels=((home / "channel").as_uri(),)),
            specs=specs,
            platforms=("linux-64",),
        )
        found = ask(request, doing="cannot solve")["linux-64"]
        print(f"{RECORDS:,} records, {file.stat().st_size / 1e6:.0f} MB; {WANTED} wanted, {len(found)} packages solved")
        compare(
            "solve, from the start of the engine to its answer",
            {
                "venvoy's engine": lambda: ask(request, doing="cannot solve"),
                "json.loads of the repodata": lambda: json.loads(file.read_bytes()),
            },
            rounds=5,
            unit="s",
        )
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        print(f"  memory of the engine at its most: {most:.0f} MB")


if __name__ == "__main__":
    main()
