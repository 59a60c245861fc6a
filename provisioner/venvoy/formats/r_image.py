"""What a recipe of an image does for R: the source of every package fetched, checked by its hash, and compiled."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import InvalidInput
from ..model import Package, Snapshot
from ..r_words import NAME, VERSION
from .renv import CRAN, is_pinned, places
from .requirements import address

IMAGE = "docker.io/rocker/r-ver"
"""The field's own images of R, by version; they compile."""
LIBRARY = "/opt/library"
"""Where the packages lie, before those of the image."""
LISTED = "/usr/local/share/venvoy/packages.txt"
SCRIPT = "/usr/local/share/venvoy/install.R"
"""Where the image itself says what is in it, and how it came there."""
REPOSITORY = "VENVOY_REPOSITORY"
"""The variable of a repository that is asked before all others; CRAN is what images of R call theirs."""
UNKNOWN = "-"
INSTALL = f"""\
# By venvoy: every line of the list is a file, its sha256, and where it may be had.
listed <- read.table("{LISTED}", col.names = c("file", "sha256", "places"), colClasses = "character")
own <- Sys.getenv("{REPOSITORY}")
options(timeout = max(300, getOption("timeout")), warn = 1)
fetched <- function(file, sha256, places) {{
  to <- file.path(tempdir(), file)
  name <- sub("_.*", "", file)
  if (nzchar(own)) places <- c(paste0(own, "/src/contrib/", c("", paste0("Archive/", name, "/")), file), places)
  for (place in places) {{
    got <- tryCatch(suppressWarnings(download.file(place, to, mode = "wb", quiet = TRUE)), error = function(e) 1L)
    if (!identical(got, 0L)) next
    if (sha256 == "{UNKNOWN}" || identical(substr(system2("sha256sum", to, stdout = TRUE), 1L, 64L), sha256)) return(to)
    message(place, " is another file than the one that is locked")
  }}
  stop(file, " cannot be had from any of: ", paste(places, collapse = " "))
}}
for (each in seq_len(nrow(listed))) {{
  file <- fetched(listed$file[[each]], listed$sha256[[each]], strsplit(listed$places[[each]], ",", fixed = TRUE)[[1L]])
  install.packages(file, lib = "{LIBRARY}", repos = NULL, type = "source")
  name <- sub("_.*", "", basename(file))
  if (!file.exists(file.path("{LIBRARY}", name, "DESCRIPTION"))) stop(name, " could not be installed")
}}
"""
_HASH = re.compile(r"[0-9a-f]{64}")


def hashed(snapshot: Snapshot) -> list[Package]:
    """The packages whose source can be fetched and checked, by name."""
    return [
        each
        for each in _named(snapshot)
        if each.origin in ("index", "archive") and is_pinned(each) and _HASH.fullmatch(each.sha256)
    ]


def unlocked(snapshot: Snapshot) -> list[Package]:
    """The packages of a repository that no hash is known of, by name."""
    return [each for each in _named(snapshot) if each.origin == "index" and not each.sha256]


def lines(snapshot: Snapshot, *, loosely: bool = False) -> list[str]:
    """A line for each package that is installed, those first that others need; `loosely` also those without a hash."""
    wanted = [*hashed(snapshot), *(unlocked(snapshot) if loosely else [])]
    return [_line(each, snapshot) for each in _in_order(wanted)]


def image(version: str) -> str:
    """The public image of an R. Raises InvalidInput for what is no version."""
    if not VERSION.fullmatch(version):
        raise InvalidInput(f"there is no public image of R {version!r}")
    return f"{IMAGE}:{version}"


def _named(snapshot: Snapshot) -> list[Package]:
    by_r = (*snapshot.of("cran"), *snapshot.of("bioconductor"))
    return [each for each in sorted(by_r) if NAME.fullmatch(each.name) and VERSION.fullmatch(each.version)]


def _line(package: Package, snapshot: Snapshot) -> str:
    file = f"{package.name}_{package.version}.tar.gz"
    listed = [each.url for each in snapshot.repositories] or [CRAN.url]
    guessed = [f"{place}/src/contrib/{inner}{file}" for place in listed for inner in ("", f"Archive/{package.name}/")]
    # A comma parts places, and may stand in an address as well.
    had = [address(each).replace(",", "%2C").replace("'", "%27") for each in (places(package) or guessed)]
    return f"{file} {package.sha256 or UNKNOWN} {','.join(had)}"


def _in_order(packages: Sequence[Package]) -> list[Package]:
    """Each when nothing that it needs is still to come; what needs each other in a circle, by name."""
    left = {each.name: each for each in packages}
    found: list[Package] = []
    while left:
        ready = [each for each in left.values() if not set(each.depends) & (left.keys() - {each.name})]
        found += ready or [next(iter(left.values()))]
        left = {name: each for name, each in left.items() if each not in found}
    return found
