"""What `venvoy init` does with words that ask for R."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from ...actions.contain import Wanted, usual_image
from ...actions.dated import dated
from ...actions.detect import AUTO
from ...actions.r_bases import r_wanted
from ...containers import ENGINES
from ...errors import RuntimeUnavailable
from ...formats.reading import read
from ...model import LANGUAGES, Language, Repository
from ...settings import Settings
from ...store import Store
from .containing import Contained
from .options import gathered
from .output import Output

BOTH = "python,r"
"""What `--language` calls an environment with a kernel of Python and one of R."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What was said of languages on the command line; `r` and `python` are versions or paths."""

    language: str | None = None
    python: str | None = None
    r: str | None = None
    as_of: datetime | None = None

    def repositories(self, settings: Settings) -> tuple[Repository, ...]:
        """Those of the day that was asked for. Raises InvalidInput for one that nobody kept."""
        return dated(settings, self.as_of.date()) if self.as_of else ()

    @property
    def both(self) -> bool:
        """Whether one environment of Python and R is asked for."""
        return self.language == BOTH

    def asked(self, runtime: str | None) -> Language | None:
        """The language that was asked for; None where nothing was said of it, and the one that is replaced counts."""
        if self.both and runtime in ("python", "r"):
            raise click.UsageError(f"--language {BOTH} goes with --runtime venv, or a container")
        if self.both:
            return "python"
        said: set[Language] = {each for each in LANGUAGES if each == self.language}
        if runtime == "python":
            said.add("python")
        if runtime == "r" or self.r or self.as_of:
            said.add("r")
        if len(said) > 1:
            raise click.UsageError(f"Python and R are both asked for; one environment with both: --language {BOTH}")
        return next(iter(said), None)


speaking_options = gathered(
    "spoken",
    Spoken,
    click.option(
        "--language",
        type=click.Choice(["python", "r", BOTH]),
        help=f"What its kernels speak: python unless you say; {BOTH} gives it two, which share all that is installed.",
    ),
    click.option(
        "--python", "--python-version", "python", metavar="VERSION", help="3.12, 3.12.1, or the path of an interpreter."
    ),
    click.option("--r-version", "r", metavar="VERSION", help="R: 4.4, 4.4.1, or the path of an Rscript."),
    click.option(
        "--as-of",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="DATE",
        help="R: take packages from CRAN as it stood on that day, now and later.",
    ),
)
"""Add them; the command is given one `spoken`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Other interpreters than those that a file names: versions or paths."""

    python: str | None = None
    r: str | None = None

    def __bool__(self) -> bool:
        return bool(self.python or self.r)


versions_options = gathered(
    "versions",
    Versions,
    click.option("--python", metavar="VERSION", help="Another Python than the file's: 3.12, 3.12.1, or a path."),
    click.option("--r-version", "r", metavar="VERSION", help="Another R than the file's: 4.4, 4.4.1, or a path."),
)
"""Add them; the command is given one `versions`."""


def refuse_for_r(runtime: str | None, *, python: str | None, others: bool) -> None:
    """Raise UsageError for what says nothing to R."""
    if runtime == "conda":
        raise click.UsageError("--runtime conda makes Python environments; R's are --runtime venv, or a container")
    if python:
        raise click.UsageError(f"--python is for Python; of R it is --r-version, and for both: --language {BOTH}")
    if others:
        raise click.UsageError("--requirements, --conda and --channel are for Python; add R packages by venvoy install")


def refuse_for_both(spoken: Spoken, source: Path | None, runtime: str | None, contained: Contained) -> None:
    """Raise UsageError for what does not go with an environment of Python and R, where that is asked for."""
    if not spoken.both:
        return
    if runtime == "conda":
        raise click.UsageError(f"--runtime conda makes Python environments; {BOTH} is --runtime venv, or a container")
    if source:
        raise click.UsageError(f"{source} says itself what the environment speaks: leave out --language {BOTH}")
    if runtime in (AUTO, *ENGINES) and not contained.image:
        raise click.UsageError("no usual image has both Python and R: say one that has, --image IMAGE")


def refuse_not_of_r(source: Path | None, runtime: str | None, *, as_of: datetime | None) -> None:
    """Raise UsageError for a file that locks no R environment, and for what does not go with one that does."""
    if source is None:
        return
    said = read(source)
    if not said.of_r:
        raise click.UsageError(f"{source} is not of an R environment: renv.lock is, and the record of one")
    if as_of:
        raise click.UsageError(f"{source} says itself what to install: leave out --as-of")
    if runtime not in (None, "r", "venv"):
        raise click.UsageError(f"in a container: venvoy restore {source} --runtime {runtime}")


def place_of_r(store: Store, name: str, runtime: str | None, r: str | None, contained: Contained, out: Output) -> str:
    """Where the R of a new environment is, said to the user where that was left open: here, or else in a container.

    Raises InvalidInput for what is no version of R.
    """
    if runtime in ("venv", AUTO, *ENGINES):
        return runtime
    if contained:
        return AUTO
    if runtime is None and r is None and store.exists(name) and store.salvaged(name).language == "r":
        return store.salvaged(name).runtime
    try:
        base = r_wanted(store, r)
    except RuntimeUnavailable:
        if r and "/" in r:
            raise
        image = usual_image(Wanted(language="r", r=r))
        out.say(f"There is no R{f' {r}' if r else ''} on this machine, so {name!r} gets it in a container ({image}).")
        return AUTO
    out.say(f"{name!r} stands on this machine's R {base.version} ({base.path}).")
    return "venv"
