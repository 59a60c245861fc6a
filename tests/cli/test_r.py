"""R environments from the command line: chosen, filled, looked at, run and taken back in the user's own words."""

import json
import shutil
import subprocess

import pytest


@pytest.fixture
def statistician(user, _r_repository):
    """Somebody whose R installs from a CRAN of their own."""
    shutil.copytree(_r_repository, user.home / "cran")
    (user.home / ".Rprofile").write_text(f'options(repos = c(CRAN = "{(user.home / "cran").as_uri()}"))\n')
    return user


@pytest.fixture(scope="session")
def minor(rscript):
    """The R of this machine, as people ask for it: "4.2"."""
    said = subprocess.run(
        [rscript, "-e", "cat(R.version$major, R.version$minor, sep = '.')"], capture_output=True, check=True
    )
    return ".".join(said.stdout.decode().split(".")[:2])


@pytest.mark.parametrize("words", [("--runtime", "r"), ("--language", "r"), ("--language", "r", "--runtime", "venv")])
def test_r_is_asked_for_in_several_words(statistician, minor, words):
    ran = statistician("init", "--name", "biostatistics", *words, "--r-version", minor)

    assert ran.code == 0, ran
    assert ran.out.startswith(f"biostatistics: R {minor}.")
    env = statistician.store.environment("biostatistics")
    assert (env.language, env.runtime) == ("r", "venv")
    spec = json.loads((statistician.kernels / "venvoy-biostatistics" / "kernel.json").read_text())
    assert (spec["language"], spec["interrupt_mode"]) == ("R", "signal")
    assert "debugger" not in spec["metadata"]


def test_what_was_chosen_is_said_in_one_sentence(statistician, minor, rscript):
    ran = statistician("init", "demo", "--runtime", "r")

    assert f"'demo' stands on this machine's R {minor}." in ran.err
    assert f"({rscript})" in ran.err


def test_a_version_that_is_not_here_is_looked_for_in_a_container(statistician):
    ran = statistician("init", "demo", "--r-version", "2.9")

    assert (
        "There is no R 2.9 on this machine, so 'demo' gets it in a container (docker.io/rocker/r-ver:2.9)." in ran.err
    )
    assert ran.code != 0
    assert statistician.store.names() == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--runtime", "conda", "--language", "r"), "--runtime conda makes Python environments"),
        (("--language", "r", "--python", "3.12"), "of R it is --r-version"),
        (("--runtime", "python", "--r-version", "4.4"), "Python and R are both asked for"),
        (("--language", "python", "--runtime", "r"), "Python and R are both asked for"),
        (("--language", "r", "--requirements", "x.txt"), "add R packages by venvoy install"),
    ],
)
def test_words_that_do_not_go_together_are_refused(statistician, words, said):
    ran = statistician("init", "demo", *words)

    assert ran.code == 2
    assert said in ran.err
    assert statistician.store.names() == ()


def test_what_is_no_version_of_r_is_refused(statistician):
    ran = statistician("init", "demo", "--r-version", "newest")

    assert ran.code == 5
    assert "'newest' is not a version of R" in ran.err


def test_the_whole_way_of_an_environment(statistician, minor):
    statistician.done("init", "demo", "--runtime", "r")
    statistician.done("install", "demo", "tinyb", "tinyc")
    shown = statistician.json("show", "demo")
    listed = statistician.done("list")

    assert [(each["ecosystem"], each["name"], each["version"], each["direct"]) for each in shown["packages"]] == [
        ("cran", "tinya", "1.1", False),
        ("cran", "tinyb", "0.2-1", True),
        ("cran", "tinyc", "0.1", True),
    ]
    assert shown["environment"]["r_version"].startswith(f"{minor}.")
    assert shown["environment"]["packages"] == ["tinyb", "tinyc"]
    assert f"R {minor}." in listed

    script = statistician.write("script.R", "cat(tinyb::hello(), commandArgs(TRUE)); quit(status = 3)\n")
    ran = statistician("run", "demo", "--script", script, "--args", "a", "b")
    assert (ran.code, ran.out) == (3, "hello a b")
    assert statistician.done("run", "demo", "--", "Rscript", "-e", "cat(tinyc::hello())") == "2"
    assert statistician.done("run", "demo", "--command", "Rscript -e 'cat(tinyc::hello())'") == "2"

    statistician.done("remove", "demo", "tinyc")
    difference = statistician("diff", "demo", "2", "now")
    assert difference.code == 1
    assert "tinyc" in difference.out
    status = statistician.done("status", "demo")
    assert status.startswith(f"demo: R {minor}.")

    statistician.done("undo", "demo")
    again = [each["name"] for each in statistician.json("show", "demo")["packages"]]
    assert again == ["tinya", "tinyb", "tinyc"]
    assert [each["event"] for each in statistician.json("history", "demo")["entries"]][-1] == "undo"
    assert statistician.json("check", "demo")["ok"]
    assert "r-tinyb=0.2_1" in statistician.done("export", "demo", "--format", "yaml")

    statistician.done("init", "demo", "--force")
    assert [each["name"] for each in statistician.json("show", "demo")["packages"]] == ["tinya", "tinyb", "tinyc"]
    statistician.done("delete", "demo", "--yes")
    assert not (statistician.kernels / "venvoy-demo").exists()


def test_what_a_run_installs_is_recorded(statistician):
    statistician.done("init", "demo", "--runtime", "r")

    ran = statistician("run", "demo", "--", "Rscript", "-e", "install.packages('tinya', quiet = TRUE)")

    assert ran.code == 0, ran
    assert "what changed is on record" in ran.err
    assert [each["name"] for each in statistician.json("show", "demo")["packages"]] == ["tinya"]


def test_a_package_that_is_not_there_is_told_in_rs_words(statistician):
    statistician.done("init", "demo", "--runtime", "r")

    ran = statistician("install", "demo", "nosuch")

    assert ran.code == 7
    assert "venvoy: no repository of 'demo' has nosuch for R" in ran.err
    assert "Traceback" not in ran.err


def test_it_is_activated_in_a_shell(statistician):
    statistician.done("init", "demo", "--runtime", "r")
    env = statistician.store.environment("demo")

    lines = statistician.done("activate", "demo", "--shell", "sh")

    assert f"export R_LIBS={env.library}" in lines
    assert "VIRTUAL_ENV" not in lines


def test_a_day_of_cran_is_kept_to(statistician, rscript):
    then = statistician.home / "days" / "2024-05-01" / "src" / "contrib"
    then.mkdir(parents=True)
    shutil.copy(statistician.home / "cran/src/contrib/Archive/tinya/tinya_1.0.tar.gz", then)
    subprocess.run([rscript, "--vanilla", "-e", f"tools::write_PACKAGES('{then}')"], check=True, capture_output=True)
    days = (statistician.home / "days").as_uri()
    statistician.variables["VENVOY_DATED_CRAN"] = f"{days}/{{day}}"

    statistician.done("init", "demo", "--as-of", "2024-05-01")
    statistician.done("install", "demo", "tinya")

    yaml = statistician.done("export", "demo", "--format", "yaml")
    assert "r-tinya=1.0\n" in yaml
    assert f"# CRAN: {days}/2024-05-01\n" in yaml
    assert "CRAN=" in (statistician.store.folder("demo") / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("file", "words"), [("renv.lock", ()), ("renv.lock", ("--runtime", "r")), ("environment.yml", ("--language", "r"))]
)
def test_a_lock_or_a_record_is_given_to_init(statistician, file, words):
    statistician.done("init", "demo", "--runtime", "r")
    statistician.done("install", "demo", "tinya==1.0", "tinyc")
    statistician.done("freeze", "demo")
    lock = statistician.store.project("demo") / file

    statistician.done("init", "again", "--file", str(lock), *words)

    assert statistician.store.environment("again").language == "r"
    assert "r-tinya=1.0\n" in statistician.done("export", "again", "--format", "yaml")


@pytest.mark.parametrize("words", [("--as-of", "2024-05-01"), ("--runtime", "r")])
def test_what_does_not_go_with_a_file_is_refused(statistician, words):
    (statistician.work / "requirements.txt").write_text("six\n")

    ran = statistician("init", "demo", "--file", "requirements.txt", *words)

    assert ran.code == 2, ran
    assert not statistician.store.exists("demo")


def test_a_day_goes_with_r_alone(statistician):
    ran = statistician("init", "demo", "--as-of", "2024-05-01", "--runtime", "python")

    assert ran.code == 2, ran
    assert not statistician.store.exists("demo")


def test_a_lock_is_written_and_exported(statistician):
    statistician.done("init", "demo", "--runtime", "r")
    statistician.done("install", "demo", "tinyb")

    frozen = statistician("freeze", "demo")
    printed = statistician.done("export", "demo", "--format", "renv")

    assert frozen.code == 0, frozen
    assert "renv.lock" in frozen.out
    assert json.loads(printed)["Packages"]["tinyb"]["Version"] == "0.2-1"
    assert statistician("export", "demo", "--format", "conda-lock").code == 5
    lock = statistician.store.project("demo") / "renv.lock"
    assert "L2 reached" in statistician.done("verify", "--name", "demo", "--no-rebuild", str(lock))


@pytest.mark.parametrize(
    "words",
    [
        ("export", "demo", "--format", "pylock"),
    ],
)
def test_what_is_known_of_python_alone_is_refused(statistician, words):
    statistician.done("init", "demo", "--runtime", "r")

    ran = statistician(*words)

    assert ran.code == 5, ran
    assert "R environment" in ran.err
    assert not list(statistician.work.glob("*.tar.zst"))
