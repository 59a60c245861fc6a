"""The index of a repository of R packages: src/contrib/PACKAGES, as `tools::write_PACKAGES` writes it.

Source: "R Installation and Administration", 6.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

FILENAME = "PACKAGES"
FIELDS = (
    "Package", "Version", "Priority", "Depends", "Imports", "LinkingTo", "Suggests", "Enhances", "License", "OS_type",
    "MD5sum", "NeedsCompilation", "Built",
)  # fmt: skip
"""What is taken over from the DESCRIPTION of each; "Built" only built ones have."""


def dump(packages: Iterable[Mapping[str, str]]) -> str:
    """The fields of each package, by its name and version, with an empty line between."""
    listed = sorted(packages, key=lambda each: (each["Package"], each["Version"]))
    return "\n".join("".join(f"{key}: {each[key]}\n" for key in FIELDS if each.get(key)) for each in listed)
