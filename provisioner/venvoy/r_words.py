"""How R's packages, their versions, their repositories and the hosts of their projects are called."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]*", re.ASCII)
VERSION = re.compile(r"[0-9]+(?:[.-][0-9]+)*", re.ASCII)
MIRRORS = ("CRAN", "RSPM", "P3M", "PPM")
"""What packages of CRAN say where they come from; the others are Posit's copies of it."""
GIT = ("git", "git2r", "xgit")
"""How remotes and renv call what is fetched by git, from wherever it lies."""
HOSTED = {"github.com": ("GitHub", "github", "api.github.com"), "gitlab.com": ("GitLab", "gitlab", "gitlab.com"),
          "bitbucket.org": ("Bitbucket", "bitbucket", "api.bitbucket.org/2.0")}  # fmt: skip
"""Hosts of projects, and how remotes and renv call them: the source, the type, and where its API is."""
_API = re.compile(r"^api\.|/api/v[0-9]+/?$|/2\.0/?$")
"""What the address of a host's API has more than that of the host (GitHub, a company's own, GitLab, Bitbucket)."""
_PART = re.compile(r"[\w.:/-]+", re.ASCII)


def project(kind: str, api: str, user: str, repository: str) -> str:
    """The address of a project on a host of the type ("github"), by the host's API or "", or "" where that is none."""
    usual = next((host for host, (_, its, _) in HOSTED.items() if its == kind), "")
    parts = (_API.sub("", api.removeprefix("https://").removeprefix("http://")) or usual, user, repository)
    return f"https://{'/'.join(parts)}" if all(map(_PART.fullmatch, parts)) else ""
