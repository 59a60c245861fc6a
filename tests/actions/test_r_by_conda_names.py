"""environment.yml, the record of an R environment: read again, with the capitals that conda's names do not have."""

import shutil
import subprocess

import pytest

from venvoy.actions.install import install
from venvoy.actions.observe import observe
from venvoy.actions.points import point
from venvoy.actions.restore import How, restore
from venvoy.errors import InvalidInput
from venvoy.formats.reading import read, snapshot_of


@pytest.fixture
def written(tmp_path):
    """Write an environment.yml with these match specs."""

    def made(*specs):
        file = tmp_path / "environment.yml"
        file.write_text(
            "name: again\nchannels: [conda-forge]\ndependencies:\n" + "".join(f"- {each}\n" for each in specs)
        )
        return file

    return made


def installed(store, env):
    return {each.name: (each.ecosystem, each.version) for each in observe(store, env).packages}


def test_a_record_gives_the_very_versions_again_whatever_their_capitals_and_wherever_they_lie(
    store, make_r, actor, bioconductor, repository, tmp_path, rscript
):
    env = make_r("demo", "Tiny.Cased", "tinyb", "tinya==1.0", "tinybioc")
    record = store.history("demo").latest
    contrib = repository / "src/contrib"
    (contrib / "Archive/Tiny.Cased").mkdir()
    shutil.move(contrib / "Tiny.Cased_1.0.tar.gz", contrib / "Archive/Tiny.Cased")  # CRAN does not offer it any more
    (contrib / "Meta").mkdir()
    said = f"saveRDS(list(Tiny.Cased = data.frame(size = 1)), '{contrib}/Meta/archive.rds')"
    subprocess.run([rscript, "--vanilla", "-e", f"tools::write_PACKAGES('{contrib}'); {said}"], check=True)

    made = restore(store, record, name="again", actor=actor)

    again = made.environment
    assert (again.language, read(record).name) == ("r", "demo")
    assert installed(store, again) == installed(store, env)
    assert {"Tiny.Cased", "tinybioc"} <= installed(store, again).keys()
    assert set(again.packages) == {"Tiny.Cased", "tinyb", "tinybioc"}
    assert any("--runtime conda" in each for each in made.remarks)


def test_two_that_differ_by_their_capitals_are_told_apart_by_the_version(store, actor, repository, written, rscript):
    contrib = repository / "src/contrib"
    make = f"m <- new.env(); sys.source('{shutil.os.path.dirname(__file__)}/../r/package.R', m)"
    subprocess.run(
        [rscript, "--vanilla", "-e", f"{make}; m$make('TinyA', '7.0', into = '{contrib}'); tools::write_PACKAGES('{contrib}')"],
        check=True,
        capture_output=True,
    )  # fmt: skip

    env = restore(store, written("r-base=4.2", "r-tinya=7.0"), name="new", actor=actor).environment
    old = restore(store, written("r-base=4.2", "r-tinya=1.0"), name="old", actor=actor).environment

    assert installed(store, env) == {"TinyA": ("cran", "7.0")}
    assert installed(store, old) == {"tinya": ("cran", "1.0")}


def test_a_name_that_fits_nothing_is_told_and_nothing_is_made(store, actor, bioconductor, written):
    with pytest.raises(InvalidInput, match=r"r-nosuch 1\.0, bioconductor-tinya 1\.0 fits no package"):
        restore(
            store, written("r-base=4.2", "r-nosuch=1.0", "r-tinyb=0.2_1", "bioconductor-tinya=1.0"), name="demo",
            actor=actor,
        )  # fmt: skip

    assert not store.exists("demo")


def test_without_network_nobody_can_be_asked(store, actor, written):
    with pytest.raises(InvalidInput, match="nobody can be asked"):
        restore(store, written("r-base=4.2", "r-tinya=1.0"), name="demo", actor=actor, how=How(offline=True))


@pytest.mark.parametrize(
    "specs",
    [
        ("r-base", "r-tinya=1.0"),
        ("r-base=4.2", "r-tinya"),
        ("r-base=4.2", "r-tinya>=1.0"),
        ("r-base=4.2", "r-tinya=1.*"),
        ("r-base=4.2", "r-tinya=1.0=r42h3121a25_0"),
        ("r-base=4.2", "r-tinya=1.0", "python=3.12"),
        ("r-base=4.2", "r-tinya=1.0", "libblas=3.9.0"),
        ("r-base=4.2", "r-base=4.3"),
        ("r-tinya=1.0",),
        ("r-base=4.2", "{pip: [six]}"),
    ],
)
def test_what_leaves_something_to_conda_stays_condas(written, specs):
    assert not read(written(*specs)).of_r


def test_what_the_record_names_in_remarks_alone_is_told(store, make_r, actor, repository, in_r):
    env = make_r("demo", "tinya")
    described = env.library / "tinya/DESCRIPTION"
    described.write_text(described.read_text().replace("Repository: CRAN\n", ""))
    install(store, env, ("tinyc",), actor=actor)

    said = read(store.history("demo").latest)

    assert [each.name for each in said.wish.of_r] == ["tinyc"]
    assert said.remarks == ("tinya 1.1 is not made again: it came from local",)


def test_a_record_is_not_compared_by_names_that_are_not_known(store, make_r):
    make_r("demo", "tinya")
    record = store.history("demo").latest

    with pytest.raises(InvalidInput, match="small letters"):
        point(store.history("demo"), str(record), look=lambda: None, read=lambda path: snapshot_of(path, platform=""))
