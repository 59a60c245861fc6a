"""The index of one subdir of a conda channel (CEP 36: repodata.json, version 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping


def dump(subdir: str, entries: Mapping[str, Mapping[str, object]]) -> str:
    """The index of files, by name, each with its index.json, hashes and size; equal entries give equal text."""
    said = {
        "info": {"subdir": subdir},
        "packages": {name: entry for name, entry in entries.items() if name.endswith(".tar.bz2")},
        "packages.conda": {name: entry for name, entry in entries.items() if name.endswith(".conda")},
        "removed": [],
        "repodata_version": 1,
    }
    return json.dumps(said, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
