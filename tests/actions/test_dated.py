"""CRAN as it stood on a day: kept with the environment, in its record, and in its lock."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from venvoy import process, runtimes
from venvoy.actions.create import Plan, create
from venvoy.actions.dated import dated
from venvoy.actions.freeze import freeze
from venvoy.actions.install import install
from venvoy.actions.observe import observe
from venvoy.errors import CommandFailed, InvalidInput
from venvoy.model import Job, Repository

DAY = date(2024, 5, 1)


@pytest.fixture
def kept(settings, repository, rscript, tmp_path):
    """Settings of somebody whose institution keeps CRAN by days; on that one tinya was at 1.0."""
    then = tmp_path / "cran" / DAY.isoformat() / "src/contrib"
    then.mkdir(parents=True)
    shutil.copy(repository / "src/contrib/Archive/tinya/tinya_1.0.tar.gz", then)
    index = f"tools::write_PACKAGES('{then}', type = 'source')"
    subprocess.run([rscript, "--vanilla", "-e", index], check=True, capture_output=True)
    return replace(settings, dated_cran=f"{(tmp_path / 'cran').as_uri()}/{{day}}")


def test_what_is_installed_now_and_later_is_what_was_there_on_that_day(store, kept, actor, make_r, in_r):
    places = dated(kept, DAY)

    env = create(store, Plan(name="demo", language="r", specs=("tinya",), repositories=places), actor=actor)
    found = {each.name: each.version for each in observe(store, env).packages}
    with pytest.raises(CommandFailed, match="tinyc"):
        install(store, env, ("tinyc",), actor=actor)
    again = create(store, Plan(name="demo", force=True), actor=actor)

    assert found == {"tinya": "1.0"}
    assert store.environment("demo").repositories == again.repositories == places
    assert {each.name: each.version for each in observe(store, again).packages} == found


def test_start_up_files_do_not_lead_away_from_it_and_a_script_may(store, kept, actor, settings):
    (place,) = places = dated(kept, DAY)
    env = create(store, Plan(name="demo", language="r", repositories=places), actor=actor)
    (settings.user_home / ".Rprofile").write_text("options(repos = c(CRAN = 'https://other.example.org'))\n")
    heard = []

    def printed(expression):
        job = Job(argv=("Rscript", "-e", expression), cwd=Path("/"))
        return process.run(runtimes.get(env.runtime).command(env, job), on_line=heard.append)

    assert printed("cat(getOption('repos'))") == place.url
    assert heard == [f"venvoy: this environment keeps to {place.url}, whatever start-up files say of repos"]
    assert printed("options(repos = 'https://own'); cat(getOption('repos'))") == "https://own"


def test_the_record_and_the_lock_name_it(store, kept, actor):
    (place,) = places = dated(kept, DAY)
    env = create(store, Plan(name="demo", language="r", specs=("tinya",), repositories=places), actor=actor)

    lock = freeze(store, env, actor=actor).snapshot

    assert f"# CRAN: {place.url}\n" in store.history("demo").latest.read_text()
    assert lock.repositories == places
    assert lock.packages[0].url == f"{place.url}/src/contrib/tinya_1.0.tar.gz"


def test_without_another_wish_posit_keeps_the_days(settings):
    assert dated(settings, DAY) == (Repository(name="CRAN", url="https://packagemanager.posit.co/cran/2024-05-01"),)


@pytest.mark.parametrize(
    ("day", "said"), [(date(2001, 1, 1), "kept from"), (datetime.now(UTC).date() + timedelta(days=2), "still to come")]
)
def test_a_day_that_nobody_kept_is_refused(settings, day, said):
    with pytest.raises(InvalidInput, match=said):
        dated(settings, day)


@pytest.mark.parametrize(
    "address",
    [
        "https://ada:hunter2@e.org/{day}",
        "https://token@e.org/{day}",
        "https://cran.example.org",
        "{day}",
        "https://a b/{day}",
        "https://e.org/{day}/{x}",
    ],
)
def test_a_setting_that_is_no_address_with_a_day_is_refused(settings, address):
    with pytest.raises(InvalidInput, match="VENVOY_DATED_CRAN"):
        dated(replace(settings, dated_cran=address), DAY)
