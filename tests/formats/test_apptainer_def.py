"""An Apptainer definition: spython's translation, and that nothing of what was meant is lost in it."""

import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.formats import apptainer_def
from venvoy.formats.apptainer_def import ApptainerDef
from venvoy.formats.dockerfile import LISTED, steps
from venvoy.model import Package, Snapshot

SHA = "a" * 64
PUBLIC = "https://files.pythonhosted.org/packages/aa"
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"
SIX = Package(name="six", version="1.17.0", url=f"{PUBLIC}/six-1.17.0-py3-none-any.whl", sha256=SHA)
SOURCE = Package(
    name="archive", version="1", origin="archive", url="https://example.org/a.zip#subdirectory=src", sha256=SHA
)
VCS = Package(name="vcs", version="1", origin="vcs", url=f"git+https://example.org/p@{COMMIT}#subdirectory=src")
LOCAL = Package(name="local", version="1", origin="local", url="file:///home/ada/local")


def sections(text: str) -> dict[str, list[str]]:
    """The header and the sections, as Apptainer cuts them: at every line that begins with "%"; those of one name are one."""
    found: dict[str, list[str]] = {"": []}
    at = ""
    for line in text.splitlines():
        if line.startswith("%"):
            found.setdefault(line, [])
            at = line
        elif line and not line.startswith("#"):
            found[at].append(line)
    return found


def test_it_says_the_image_the_steps_and_what_runs(snapshot):
    found = sections(ApptainerDef().dump(snapshot(SIX)))

    assert found[""] == ["Bootstrap: docker", "From: docker.io/library/python:3.12.1-slim"]
    assert found["%runscript"] == ['exec python "$@"']
    assert found["%environment"] == ["export PYTHONNOUSERSITE=1"]
    assert list(found) == ["", "%post", "%environment", "%runscript", "%startscript"]


def test_its_steps_are_those_of_the_dockerfile_word_for_word(snapshot):
    taken = snapshot(SIX, SOURCE, VCS)

    post = sections(ApptainerDef().dump(taken))["%post"]

    meant = "\n".join(steps(taken)).replace("RUN ", "")
    assert post[0] == "export PYTHONNOUSERSITE=1"
    assert post[1:] == [line.strip() for line in meant.splitlines()]
    assert any(f"--require-hashes -r {LISTED}" in line for line in post)


def test_no_section_is_longer_than_what_apptainer_reads_at_once(snapshot):
    many = [replace(SIX, name=f"p{n}", url=f"{PUBLIC}/p{n}-1.17.0-py3-none-any.whl") for n in range(2000)]

    text = ApptainerDef().dump(snapshot(*many))

    assert max(len(each) for each in re.split(r"^%", text, flags=re.MULTILINE)) < 64 * 1024
    assert sections(text)["%post"][1:] == [
        line.strip() for line in "\n".join(steps(snapshot(*many))).replace("RUN ", "").splitlines()
    ]


def test_its_steps_are_a_script_that_the_shell_can_read(snapshot):
    post = sections(ApptainerDef().dump(snapshot(SIX, SOURCE, VCS)))["%post"]

    assert subprocess.run(["sh", "-n"], input="\n".join(post), text=True, check=False).returncode == 0


def test_what_cannot_be_fetched_is_named(snapshot):
    text = ApptainerDef().dump(snapshot(SIX, LOCAL))

    assert "#   local 1: from a file or folder of one machine\n" in text
    assert text.index("# build it: apptainer build demo.sif apptainer.def") < text.index("Bootstrap:")


def test_nothing_is_said_while_it_is_translated(snapshot, capfd):
    ApptainerDef().dump(snapshot(SIX, SOURCE, VCS))

    assert capfd.readouterr() == ("", "")


def test_a_translation_that_loses_a_hash_or_gains_a_section_is_not_given_out(snapshot):
    good = apptainer_def._translated(
        [
            f"FROM {apptainer_def._BASE}",
            "ENV PYTHONNOUSERSITE=1",
            *steps(snapshot(SIX)),
            'ENTRYPOINT ["python"]',
        ]
    )
    without_hash = [line.replace(SHA, "b" * 64) for line in good]
    unchecked = [line.replace("--require-hashes ", "") for line in good]

    apptainer_def._check(good, snapshot(SIX))
    for bad in (without_hash, unchecked, [*good, "%setup", "evil"], good[1:]):
        with pytest.raises(InvalidInput, match="not what was meant"):
            apptainer_def._check(bad, snapshot(SIX))


hostile = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["'; evil #", "x\n%setup\nevil", "$(evil)", "{{ evil }}", "USER root", "COPY a b"]),
)


@settings(deadline=None)  # the first one waits for the import
@given(version=hostile, url=hostile, environment=hostile, origin=st.sampled_from(["index", "archive", "vcs", "local"]))
def test_nothing_that_a_package_is_called_makes_a_line_or_a_section_of_its_own(version, url, environment, origin):
    package = Package(name="p", version=version, origin=origin, url=f"https://example.org/{url}", sha256=SHA)
    text = ApptainerDef().dump(
        Snapshot(
            environment=environment,
            taken=datetime(2026, 1, 2, tzinfo=UTC),
            base="b" * 64,
            language_version="3.12.1",
            platform="linux-x86_64",
            packages=(package, replace(package, name=environment), SIX),
        )
    )

    found = sections(text)
    assert text.isascii()
    assert list(found) == ["", "%post", "%environment", "%runscript", "%startscript"]
    assert len(found[""]) == 2
    assert "{{" not in "".join(found["%post"])
    starts = (
        "export PYTHONNOUSERSITE=1",
        "mkdir ",
        "printf ",
        "'",
        ">> ",
        "PIP_ROOT_USER_ACTION=ignore python -m pip install ",
    )
    for line in found["%post"]:
        assert line.startswith(starts)
        assert not set(re.sub(r"'[^']*'", "", line).removesuffix("\\").removeprefix(">>")) & set("'\"`$;&|<>()\\")
