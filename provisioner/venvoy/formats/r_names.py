"""What conda calls R's packages: "r-" or "bioconductor-" and the name in small letters, with "_" for "-" in versions.

Which capitals a name has is known to the repositories of R alone (`actions.named_r`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..model import Package
from ..r_words import VERSION

R = "r-base"
_PINNED = re.compile(
    r"(?:[\w./:-]+::)?(?P<kind>r|bioconductor)-(?P<name>[a-z][a-z0-9.]*)\s*={1,2}\s*(?P<version>[0-9][0-9._]*)",
    re.ASCII,
)


def r_name(package: Package) -> str:
    """What conda calls an R package."""
    return f"{'bioconductor' if package.ecosystem == 'bioconductor' else 'r'}-{package.name.lower()}"


def r_spec(package: Package) -> str:
    """The package in its version, as a match spec."""
    return f"{r_name(package)}={package.version.replace('-', '_')}"


def of_r(specs: Sequence[str]) -> tuple[str, tuple[Package, ...]]:
    """The version of R and the packages, in small letters, that the match specs of an R environment's record name.

    Such are an R and packages of R, each by its version and nothing else; of any others "" and no package.
    """
    read = [_package(each) for each in specs]
    named = [each for each in read if each]
    r = [each.version for each in named if each.name == "base" and each.ecosystem == "cran"]
    packages = tuple(each for each in named if each.name != "base")
    once = len({(each.ecosystem, each.name) for each in packages}) == len(packages)
    return (r[0], packages) if len(r) == 1 and once and len(named) == len(specs) else ("", ())


def _package(spec: str) -> Package | None:
    found = _PINNED.fullmatch(spec)
    version = found["version"].replace("_", "-") if found else ""
    if found is None or not VERSION.fullmatch(version):
        return None
    return Package(
        ecosystem="bioconductor" if found["kind"] == "bioconductor" else "cran", name=found["name"], version=version
    )
