"""`venvoy verify`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from ... import __version__, files
from ...actions.contain import Wanted
from ...actions.detect import AUTO
from ...actions.place import HOST
from ...actions.verify import LEVELS, Level, Report, verify_archive, verify_environment
from ...containers import ENGINES
from ...errors import InvalidInput
from ...settings import DEFAULT_NAME, policy
from ...store import Store
from ..binding import LOCKS
from ..views.proof import page, report_view
from ..views.view import moment
from .options import FILE, current_store, environment_names, name_option, output, usable
from .output import Output
from .points import is_name
from .speaking import Versions, versions_options


@click.command
@click.argument("subject", metavar="[NAME | ARCHIVE | LOCK]", required=False, shell_complete=environment_names)
@name_option
@click.option(
    "--require", type=click.Choice(LEVELS), metavar="LEVEL", help="Exit with 1 unless L0, L1, L2 or L3 is reached."
)
@click.option("--no-rebuild", is_flag=True, help="Make nothing: leave L3 out, and of an archive all but L0.")
@click.option("--trust", is_flag=True, help="Let an archive's packages run here what they bring, where they have to.")
@click.option("--html", "report_file", type=FILE, metavar="FILE", help="Also write the report as one HTML page.")
@versions_options
@click.option(
    "--runtime",
    type=click.Choice([*HOST, AUTO, *ENGINES]),
    help="What to make an archive's environment with; by default what it was packed from.",
)
@click.option("--allowed-signers", type=FILE, metavar="FILE", help="The archive must be signed by one of these.")
@output
def verify(
    subject: str | None,
    option: str | None,
    require: Level | None,
    report_file: Path | None,
    versions: Versions,
    runtime: str | None,
    allowed_signers: Path | None,
    *,
    no_rebuild: bool,
    trust: bool,
    out: Output,
) -> int:
    """Say in levels how far an environment is what its lock says.

    NAME is compared with its last freeze, an environment (--name) with a LOCK, an ARCHIVE with its own manifest.
    L0: what is named is as it was. L1: the same packages and versions. L2: every file with a recorded hash has it.
    L3: made anew from what is kept, without network, it reaches L1 and L2.

    The exit code is 1 when anything deviates; with --require, exactly when that level is not reached.
    """
    store = current_store()
    with out.measured("Looking …") as (on_line, on_progress):
        if subject and _is_archive(store, subject):
            report = verify_archive(
                store,
                Path(subject),
                allowed_signers=allowed_signers,
                python=versions.python,
                r=versions.r,
                wanted=Wanted(runtime=runtime) if runtime else None,
                policy=policy(),
                rebuild=not no_rebuild,
                trust=trust,
                on_progress=on_progress,
                on_line=on_line,
            )
        else:
            lock = Path(subject) if subject and _is_file(store, subject) else None
            name = option or (DEFAULT_NAME if lock or not subject else subject)
            out.concerns(name)
            env = usable(store.environment(name))
            report = verify_environment(
                store, env, lock=lock, rebuild=not no_rebuild, on_progress=on_progress, on_line=on_line
            )
    if report_file is not None:
        files.replace(report_file, page(report, at=moment(datetime.now(UTC)), version=__version__))
        out.say(f"the report: {report_file.absolute()}")
    out.show(report_view(report))
    return _code(report, require)


def _is_file(store: Store, subject: str) -> bool:
    """An environment's name comes first where no path is meant."""
    return os.sep in subject or Path(subject).is_file() or (not is_name(store, subject) and "." in subject)


def _is_archive(store: Store, subject: str) -> bool:
    """Raises InvalidInput for a file that is not there, or is neither an archive nor a lock."""
    if not _is_file(store, subject):
        return False
    if not Path(subject).is_file():
        raise InvalidInput(f"there is no {subject}")
    if subject.endswith(".zst"):
        return True
    if not subject.endswith((".toml", "lock.yml", "lock.yaml", "renv.lock")):
        raise InvalidInput(f"{subject} is neither an archive (.tar.zst) nor a lock ({' or '.join(LOCKS)})")
    return False


def _code(report: Report, require: Level | None) -> int:
    if require:
        return 0 if report.reaches(require) else 1
    return 1 if report.deviations else 0
