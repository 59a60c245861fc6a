"""A Dockerfile that every builder knows: its own steps are run here by the shell that would run them in the image."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.formats.dockerfile import LISTED, Dockerfile, image, left_out, steps, tag
from venvoy.model import Package, Snapshot

SHA = "a" * 64
PUBLIC = "https://files.pythonhosted.org/packages/aa"
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"
SIX = Package(name="six", version="1.17.0", url=f"{PUBLIC}/six-1.17.0-py3-none-any.whl", sha256=SHA)
DOCOPT = Package(name="docopt", version="0.6.2", url=f"{PUBLIC}/docopt-0.6.2.tar.gz", sha256=SHA)
VCS = Package(name="vcs", version="1", origin="vcs", url=f"git+https://example.org/p@{COMMIT}")
LOCAL = Package(name="local", version="1", origin="local", url="file:///home/ada/local")
WORDS = {"FROM", "ARG", "ENV", "RUN", "USER", "WORKDIR", "CMD"}


def instructions(text: str) -> list[tuple[str, str]]:
    """What a builder reads: comment lines left away, also among continued ones, and these joined."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in kept.replace("\\\n", "").splitlines())]


def said(text: str, word: str) -> list[str]:
    return [rest for each, rest in instructions(text) if each == word]


def test_it_is_built_from_the_official_image_for_its_machine_by_a_user_without_rights(snapshot):
    text = Dockerfile().dump(snapshot(SIX))

    assert said(text, "FROM") == ["--platform=linux/amd64 docker.io/library/python:3.12.1-slim"]
    assert said(text, "USER") == ["1000"]
    assert said(text, "CMD") == ['["python"]']
    assert "--no-cache-dir" in said(text, "RUN")[-2]
    assert {word for word, _ in instructions(text)} == WORDS
    assert "<<" not in text
    assert not text.startswith("# syntax")


def test_what_must_be_built_gets_an_image_with_compilers_and_is_named(snapshot):
    text = Dockerfile().dump(snapshot(SIX, DOCOPT))

    assert image(snapshot(SIX, DOCOPT)) == "docker.io/library/python:3.12.1"
    assert image(snapshot(SIX, VCS)) == "docker.io/library/python:3.12.1"
    assert re.search(r"Built from source here.*\n#   docopt\n", text)


def test_the_image_of_the_snapshot_is_taken_with_its_digest(snapshot):
    pinned = f"docker.io/library/python:3.12-slim@sha256:{SHA}"

    text = Dockerfile().dump(replace(snapshot(SIX), image=pinned))

    assert said(text, "FROM") == [f"--platform=linux/amd64 {pinned}"]


@pytest.mark.parametrize("name", ["python\nRUN evil", "python slim", "-v", "$IMAGE", ""])
def test_a_name_that_is_no_image_s_is_refused(snapshot, name):
    said = replace(snapshot(SIX), image=name) if name else replace(snapshot(SIX), language_version="latest")

    with pytest.raises(InvalidInput):
        Dockerfile().dump(said)


@pytest.mark.parametrize(
    ("version", "tag"), [("3.14.0rc1", "3.14.0rc1"), ("3.13.0+", "3.13.0"), ("3.12", "3.12"), ("3.9.18", "3.9.18")]
)
def test_every_version_of_python_has_its_tag(snapshot, version, tag):
    assert image(snapshot(SIX, python=version)) == f"docker.io/library/python:{tag}-slim"


def test_every_hash_is_enforced_and_a_repository_stands_at_its_commit(snapshot):
    runs = said(Dockerfile().dump(snapshot(SIX, DOCOPT, VCS)), "RUN")

    assert f"six==1.17.0 --hash=sha256:{SHA}" in runs[1]
    assert f"docopt==0.6.2 --hash=sha256:{SHA}" in runs[1]
    assert f"--require-hashes -r {LISTED}" in runs[2]
    assert f"'vcs @ git+https://example.org/p@{COMMIT}'" in runs[3]


def test_what_cannot_be_fetched_is_named_and_not_installed(snapshot):
    text = Dockerfile().dump(snapshot(SIX, LOCAL, VCS))

    assert "#   local 1: from a file or folder of one machine\n" in text
    assert [each.name for each in left_out(snapshot(SIX, LOCAL, VCS))] == ["local"]
    assert "/home/ada" not in text


def test_an_environment_without_packages_installs_nothing(snapshot):
    assert [rest.split()[0] for rest in said(Dockerfile().dump(snapshot()), "RUN")] == ["useradd"]


def test_no_instruction_is_longer_than_what_a_program_may_be_given(snapshot):
    many = [replace(SIX, name=f"p{n}", url=f"{PUBLIC}/p{n}-1.17.0-py3-none-any.whl") for n in range(3000)]

    runs = said(Dockerfile().dump(snapshot(*many)), "RUN")

    assert max(map(len, runs)) < 100_000
    assert sum(each.count("--hash=sha256:") for each in runs) == 3000


def test_the_name_of_the_environment_becomes_one_that_an_image_may_have(snapshot):
    assert tag(snapshot(name="My_Project.2")) == "my-project-2"
    assert tag(snapshot(name="__")) == "environment"


hostile = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["'; rm -rf / #", "x'\nRUN evil", "$(evil)", "`evil`", "a\\\nUSER root", "\n%post\nevil", "${HOME}"]
    ),
)


def test_steps_of_hostile_names_are_as_harmless_as_those_of_any():
    @given(
        name=hostile,
        version=hostile,
        url=hostile,
        environment=hostile,
        origin=st.sampled_from(["index", "archive", "vcs"]),
    )
    def holds(name, version, url, environment, origin):
        packages = tuple(
            Package(name=each, version=version, origin=origin, url=where, sha256=SHA)
            for each in (name, "p")
            for where in (url, f"https://example.org/{url}", f"git+https://example.org/{url}@{COMMIT}")
        )
        text = Dockerfile().dump(
            Snapshot(
                environment=environment,
                taken=datetime(2026, 1, 2, tzinfo=UTC),
                base="b" * 64,
                language_version="3.12.1",
                platform="linux-x86_64",
                packages=packages,
            )
        )

        assert text.isascii()
        assert "$" not in "".join(rest for _, rest in instructions(text))
        assert {word for word, _ in instructions(text)} <= WORDS
        starts = ("mkdir ", "printf ", "PIP_ROOT_USER_ACTION=ignore python -m pip install ", "useradd ")
        for rest in said(text, "RUN"):
            assert rest.startswith(starts)
            # Quotes come in pairs, and between pairs nothing is that means something to a shell.
            outside = re.sub(r"'[^']*'", "", rest)
            assert not set(outside) & set("'\"`$;&|<()\\")

    holds()


# --- the shell runs it -----------------------------------------------------------------------------------------------


def test_the_steps_install_exactly_what_they_say_in_a_plain_shell(snapshot, wheelhouse, tmp_path):
    packages = []
    for name in ("alpha", "beta"):
        wheel = wheelhouse.add(name, "1.0", requires=("nowhere",))
        sha = hashlib.sha256(wheel.read_bytes()).hexdigest()
        packages.append(Package(name=name, version="1.0", url=f"{PUBLIC}/{wheel.name}", sha256=sha))

    good = _run_steps(steps(snapshot(*packages)), tmp_path / "good", wheelhouse)
    bad = _run_steps(steps(snapshot(packages[0], replace(packages[1], sha256=SHA))), tmp_path / "bad", wheelhouse)

    assert good.returncode == 0, good
    assert (tmp_path / "good/listed/requirements.txt").read_text().count("--hash=sha256:") == 2
    installed = sorted(each.name for each in (tmp_path / "good/target").glob("*.dist-info"))
    assert installed == ["alpha-1.0.dist-info", "beta-1.0.dist-info"]
    assert bad.returncode != 0
    assert "DO NOT MATCH THE HASHES" in bad.stderr
    assert not (tmp_path / "bad/target").exists()


def _run_steps(runs, folder, wheelhouse):
    """Run what stands behind RUN as the image's shell would, with the image's folders moved into `folder`."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").symlink_to(sys.executable)
    text = "\n".join(runs).replace("\\\n", "").replace(LISTED.rpartition("/")[0], str(folder / "listed"))
    script = "\n".join(line.removeprefix("RUN ") for line in text.splitlines())
    shelf = next(wheelhouse.folder.glob("pip-*.whl"))
    variables = {**os.environ, "PYTHONPATH": str(shelf), "PIP_TARGET": str(folder / "target")}
    variables["PATH"] = f"{folder / 'bin'}:/usr/bin:/bin"
    return subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False, env=variables)
