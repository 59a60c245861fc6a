"""Recipes that begin from an image of somebody's: by its registry's digest, from a file, or from its own Dockerfile."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from venvoy.errors import InvalidInput
from venvoy.formats.apptainer_def import ApptainerDef
from venvoy.formats.docker_compose import DockerCompose
from venvoy.formats.dockerfile import VENV, Dockerfile
from venvoy.formats.registry import IMAGES, image_format
from venvoy.formats.system_packages import checked, installing
from venvoy.model import Ground, Image, Package, Snapshot

SHA = "a" * 64
DIGEST = f"sha256:{'c' * 64}"
SIX = Package(
    name="six",
    version="1.17.0",
    url="https://files.pythonhosted.org/packages/aa/six-1.17.0-py3-none-any.whl",
    sha256=SHA,
)
CURL = Package(ecosystem="deb", name="curl", version="7.88.1-10+deb12u8", build="amd64")
PYTHON = "/usr/local/bin/python3"
PULLED = Image(reference="python:3.12-slim", digest=DIGEST, registered=f"docker.io/library/python@sha256:{'d' * 64}")
BUILT = Image(
    reference="/home/ada/project/Dockerfile", digest=DIGEST, dockerfile="# escape=\\\nFROM python:3.12\nCOPY a /a\n"
)
LOADED = Image(reference="/data/it's an image.tar", digest=DIGEST, sha256="e" * 64)
SIF = Image(reference="/data/x.sif", digest=DIGEST, sha256="c" * 64, file=Path("/data/x.sif"))


def on(image: Image, *system: Package) -> Ground:
    return Ground(image=image, python=PYTHON, system=system)


def lines(text: str, word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(word)]


def test_a_pulled_image_is_named_by_its_manifest_s_digest(snapshot):
    text = Dockerfile(ground=on(PULLED)).dump(snapshot(SIX))

    assert lines(text, "FROM") == [f"--platform=linux/amd64 {PULLED.registered}"]
    assert "# python:3.12-slim, as it was:" in text
    assert DIGEST not in text
    definition = ApptainerDef(ground=on(PULLED)).dump(snapshot(SIX))
    assert lines(definition, "Bootstrap:") == ["docker"]
    assert lines(definition, "From:") == [PULLED.registered]


def test_a_name_without_a_known_digest_says_so(snapshot):
    text = Dockerfile(ground=on(replace(PULLED, registered=""))).dump(snapshot(SIX))

    assert lines(text, "FROM") == ["--platform=linux/amd64 python:3.12-slim"]
    assert "the registry's digest of the image is not known" in text


def test_an_image_from_a_file_says_how_to_load_it_and_what_it_is_called_then(snapshot):
    text = Dockerfile(ground=on(LOADED)).dump(snapshot(SIX))

    assert lines(text, "FROM") == [f"--platform=linux/amd64 localhost/venvoy/kept:{'c' * 32}"]
    name = "'it'\"'\"'s an image.tar'"
    assert f"{name}, with the sha256 {'e' * 64}." in text
    assert f"docker load --input {name} && docker tag {'c' * 64} localhost/venvoy/kept:{'c' * 32}" in text
    definition = ApptainerDef(ground=on(LOADED)).dump(snapshot(SIX))
    assert lines(definition, "From:") == ["base.tar"]
    assert f"docker save --output base.tar localhost/venvoy/kept:{'c' * 32}" in definition


def test_what_a_sif_was_made_of_is_loaded_under_the_digest_that_the_engine_says(snapshot):
    made = replace(LOADED, file=Path("/images/x.sif"))

    text = Dockerfile(ground=on(made)).dump(snapshot(SIX))

    assert '# Load it, once: docker tag "$(docker load --quiet --input ' in text
    assert "c" * 64 not in text


def test_a_sif_is_the_ground_of_a_definition_and_can_be_unpacked_for_others(snapshot):
    definition = ApptainerDef(ground=on(SIF)).dump(snapshot(SIX))

    assert definition.splitlines()[3:6] == [
        f"# The file's sha256: {'c' * 64}",
        "Bootstrap: localimage",
        "From: /data/x.sif",
    ]
    assert "apptainer build --sandbox base x.sif" in Dockerfile(ground=on(SIF)).dump(snapshot(SIX))


def test_an_image_s_own_dockerfile_comes_first_and_whole(snapshot):
    text = Dockerfile(ground=on(BUILT)).dump(snapshot(SIX))

    assert text.startswith(f"{BUILT.dockerfile}\n# demo: ")
    assert lines(text, "FROM") == ["python:3.12"]
    assert "docker build -t demo -f Dockerfile /home/ada/project" in text
    said = YAML(typ="safe", pure=True).load(DockerCompose(ground=on(BUILT)).dump(snapshot(SIX)))
    assert said["services"]["python"]["build"] == {
        "context": "/home/ada/project",
        "dockerfile_inline": text.replace("$", "$$"),
    }


def test_the_packages_lie_in_a_venv_on_top_of_what_the_image_has(snapshot):
    text = Dockerfile(ground=on(PULLED, CURL)).dump(snapshot(SIX))

    runs = lines(text, "RUN")
    assert f"{PYTHON} -m venv --system-site-packages --without-pip {VENV}" in runs
    assert any(
        each.endswith("--ignore-installed --require-hashes -r /usr/local/share/venvoy/requirements.txt")
        for each in runs
    )
    assert text.index("    curl=7.88.1-10+deb12u8 \\\n") < text.index(VENV) < text.index("six==1.17.0")
    assert text.index("rm -rf /var/lib/apt/lists/*") < text.index(VENV)
    definition = ApptainerDef(ground=on(PULLED, CURL)).dump(snapshot(SIX))
    assert f"export PATH={VENV}/bin:$PATH" in definition.partition("%environment")[0]
    assert f"export PATH={VENV}/bin:$PATH" in definition.partition("%environment")[2]


def test_what_has_no_hash_is_taken_by_version_only_where_that_is_wished(snapshot):
    taken = snapshot(SIX, "new==2.0")

    assert "new==2.0" not in Dockerfile(ground=on(PULLED)).dump(taken)
    loosely = Dockerfile(ground=on(PULLED), loosely=True).dump(taken)
    assert "    'new==2.0'\n" in loosely
    assert "--require-hashes" in loosely
    assert "Not in it" not in loosely
    assert "'new==2.0'" in ApptainerDef(ground=on(PULLED), loosely=True).dump(taken)


@pytest.mark.parametrize("form", sorted(IMAGES))
def test_a_name_or_path_that_no_image_has_is_refused(form, snapshot):
    odd = Image(reference="python\nRUN evil", digest=DIGEST)

    for ground in (on(odd), Ground(image=PULLED, python="/usr/bin/python\nRUN evil")):
        with pytest.raises(InvalidInput):
            image_format(form, ground=ground).dump(snapshot(SIX))


@given(name=st.text(max_size=20), version=st.text(max_size=20), system=st.sampled_from(["deb", "apk", "rpm"]))
def test_a_system_s_package_of_any_name_is_one_word_or_refused(name, version, system):
    package = Package(ecosystem=system, name=name, version=version, build="x86_64")
    try:
        said = installing(system, [f"{package.name}={package.version}"])
    except InvalidInput:
        return

    assert f"    {name}={version}" in (line.removesuffix(" \\") for line in said)
    assert not set(name + version) & set(" \t\n\r'\"$`\\;&|<>(){}*?#!%")


@pytest.mark.parametrize(
    ("system", "begins"), [("deb", "apt-get "), ("apk", "apk add --no-cache "), ("rpm", "$(command -v microdnf")]
)
def test_each_manager_is_told_in_one_command(system, begins):
    said = installing(system, ["b", "a"])

    assert said[0].startswith(begins)
    assert all(line.endswith(" \\") for line in said[:-1])
    assert not said[-1].endswith("\\")
    assert [line.split()[0] for line in said if line.split()[0] in "ab"] == ["a", "b"]


def test_names_are_checked_and_sorted():
    assert checked(["libxml2-dev", "g++", "curl=7.88.1-10+deb12u8"]) == ("curl=7.88.1-10+deb12u8", "g++", "libxml2-dev")
    for odd in ("-y", "", "a b", "a;b", "./x.deb", "/x.deb", "a\nb", "ä"):
        with pytest.raises(InvalidInput):
            checked([odd])


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_whatever_an_image_s_own_dockerfile_says_stays_a_text_in_compose(said):
    taken = Snapshot(
        environment="demo",
        taken=datetime(2026, 1, 2, tzinfo=UTC),
        base="b" * 64,
        language_version="3.12.1",
        platform="linux-x86_64",
        packages=(SIX,),
    )
    ground = on(replace(BUILT, dockerfile=f"{said}\nFROM python:3.12\n"))
    try:
        text = DockerCompose(ground=ground).dump(taken)
    except InvalidInput:
        return

    build = YAML(typ="safe", pure=True).load(text)["services"]["python"]["build"]
    assert build["dockerfile_inline"].replace("$$", "$") == Dockerfile(ground=ground).dump(taken)
