"""compose.yaml: read as YAML, and the Dockerfile in it is the one that stands alone."""

import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from venvoy.formats.docker_compose import DockerCompose
from venvoy.formats.dockerfile import Dockerfile
from venvoy.model import Package, Snapshot

SHA = "a" * 64
PUBLIC = "https://files.pythonhosted.org/packages/aa"
SIX = Package(name="six", version="1.17.0", url=f"{PUBLIC}/six-1.17.0-py3-none-any.whl", sha256=SHA)


def read(text: str):
    return YAML(typ="safe", pure=True).load(text)


def test_it_carries_its_dockerfile_and_mounts_the_folder_it_lies_in(snapshot):
    said = read(DockerCompose().dump(snapshot(SIX)))

    service = said["services"]["python"]
    assert said["name"] == "demo"
    assert service["build"] == {"dockerfile_inline": Dockerfile().dump(snapshot(SIX))}
    assert service["volumes"] == [{"type": "bind", "source": ".", "target": "/home/user/project"}]
    assert service["working_dir"] == "/home/user/project"
    assert service["user"] == "1000"
    assert service["tty"]


def test_a_name_that_yaml_takes_for_something_else_stays_a_name(snapshot):
    assert read(DockerCompose().dump(snapshot(SIX, name="NO")))["name"] == "no"
    assert read(DockerCompose().dump(snapshot(SIX, name="3.12")))["name"] == "3-12"


@given(environment=st.text(max_size=20), version=st.text(max_size=20), url=st.text(max_size=20))
def test_nothing_that_a_package_is_called_becomes_a_key(environment, version, url):
    taken = Snapshot(
        environment=environment,
        taken=datetime(2026, 1, 2, tzinfo=UTC),
        base="b" * 64,
        language_version="3.12.1",
        platform="linux-x86_64",
        packages=(Package(name="p", version=version, origin="archive", url=f"https://x/{url}", sha256=SHA), SIX),
    )

    said = read(DockerCompose().dump(taken))

    assert set(said) == {"name", "services"}
    assert set(said["services"]) == {"python"}
    assert set(said["services"]["python"]) == {"build", "working_dir", "volumes", "user", "init", "stdin_open", "tty"}
    assert said["services"]["python"]["build"]["dockerfile_inline"].replace("$$", "$") == Dockerfile().dump(taken)


def test_docker_compose_itself_reads_it(snapshot, tmp_path):
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("not obtainable: no docker compose on this machine")
    (tmp_path / "compose.yaml").write_text(DockerCompose().dump(snapshot(SIX)))

    ran = subprocess.run(
        [docker, "compose", "config", "--format", "json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran
    assert f"six==1.17.0 --hash=sha256:{SHA}" in ran.stdout
