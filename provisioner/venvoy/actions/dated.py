"""CRAN as it stood on a day: who keeps it so, and where."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from ..errors import InvalidInput
from ..model import Repository
from ..settings import DATED_CRAN, Settings

FIRST = date(2017, 10, 10)
"""From this day on Posit's Package Manager has CRAN."""


def dated(settings: Settings, day: date) -> tuple[Repository, ...]:
    """The repositories of that day. Raises InvalidInput for a day that nobody kept, and for a setting without a day."""
    if day > datetime.now(UTC).date():
        raise InvalidInput(f"{day} is still to come", hint="give a day that has been: --as-of 2024-05-01")
    if day < FIRST:
        raise InvalidInput(f"CRAN is kept from {FIRST} on, and not of {day}", hint=f"give a later day: --as-of {FIRST}")
    if not re.fullmatch(r"(?:https?|file)://[^\s\"']*\{day\}[^\s\"'{}]*", settings.dated_cran):
        raise InvalidInput(
            f"VENVOY_DATED_CRAN is {settings.dated_cran!r}",
            hint="give the address with {day} in it: https://packagemanager.example.org/cran/{day}",
        )
    if re.search(r"://[^/]*@", settings.dated_cran):
        raise InvalidInput(
            "the address in VENVOY_DATED_CRAN names a user, which would stand in the record and in archives",
            hint="give an address that needs none, as of a mirror on this machine or in this network",
        )
    return (Repository(name="CRAN", url=settings.dated_cran.replace("{day}", day.isoformat()).rstrip("/")),)


def is_dated(settings: Settings, repository: Repository) -> bool:
    """Whether that is CRAN of a day, as Posit keeps it or where this machine's setting says."""
    whose = (re.escape(each.rstrip("/")) for each in (DATED_CRAN, settings.dated_cran))
    return any(re.fullmatch(each.replace(re.escape("{day}"), r"\d{4}-\d\d-\d\d"), repository.url) for each in whose)
