"""Where things lie, and what the administrator demands."""

import os
import stat
from pathlib import Path

import pytest

from venvoy import settings
from venvoy.errors import InvalidInput
from venvoy.settings import Policy

# --- the folders -----------------------------------------------------------------------------------------------------


def test_without_variables_everything_lies_below_the_users_home():
    said = settings.current({"HOME": "/home/ada"})

    assert (said.home, said.projects, said.user_home) == (
        Path("/home/ada/.venvoy"),
        Path("/home/ada/venvoy-projects"),
        Path("/home/ada"),
    )


def test_variables_move_the_folders():
    said = settings.current({"HOME": "/home/ada", "VENVOY_HOME": "/data/v", "VENVOY_PROJECTS": "/data/p"})

    assert (said.home, said.projects) == (Path("/data/v"), Path("/data/p"))


@pytest.mark.parametrize(("written", "meant"), [("~/v", "/home/ada/v"), ("v", f"{Path.cwd()}/v")])
def test_a_folder_is_absolute_for_the_programs_that_we_start_elsewhere(written, meant):
    assert settings.current({"HOME": "/home/ada", "VENVOY_HOME": written}).home == Path(meant)


def test_an_empty_variable_is_none():
    assert settings.current({"HOME": "/home/ada", "VENVOY_HOME": ""}).home == Path("/home/ada/.venvoy")


def test_sessions_lie_in_the_runtime_folder(tmp_path):
    short = Path(os.environ["XDG_RUNTIME_DIR"])

    assert settings.current({"HOME": "/h", "XDG_RUNTIME_DIR": str(short)}).runtime == short / "venvoy"


@pytest.mark.parametrize(
    "unusable", ["", "/nonexistent/runtime", "/tmp/" + "long/" * 20], ids=["none", "missing", "too long"]
)
def test_without_a_usable_runtime_folder_sessions_lie_in_a_short_one_of_our_own(unusable):
    said = settings.current({"HOME": "/h", "XDG_RUNTIME_DIR": unusable, "TMPDIR": "/var/tmp"})

    assert said.runtime == Path(f"/var/tmp/venvoy-{os.getuid()}")


def test_a_long_temporary_folder_is_not_used_for_sessions():
    said = settings.current({"HOME": "/h", "TMPDIR": "/scratch/project_2001234/username/temporary/folder/of/job/1"})

    assert said.runtime == Path(f"/tmp/venvoy-{os.getuid()}")


# --- the policy ------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    """Write a policy file as root would."""
    if os.getuid():
        pytest.skip("not obtainable: only root can make a file that root owns")

    def write(text: str | bytes, *, mode: int = 0o644) -> Path:
        file = tmp_path / "policy.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)
        return file

    return write


def test_where_there_is_no_policy_everything_is_the_users_choice(tmp_path):
    assert settings.policy([tmp_path / "none.yaml"]) == Policy()


def test_a_whole_policy_is_read(written):
    file = written(
        "transport: ipc\nencryption: required\nprefixes: [/srv/envs, /data]\n"
        "dropped_variables: ['AWS_*']\nenv_files: false\nrecord: true\n"
    )

    assert settings.policy([file]) == Policy(
        transport="ipc",
        encryption="required",
        prefixes=(Path("/srv/envs"), Path("/data")),
        dropped_variables=("AWS_*",),
        env_files=False,
        record=True,
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_empty_policy_demands_nothing(written, text):
    assert settings.policy([written(text)]) == Policy()


def test_the_first_file_that_is_there_counts(written, tmp_path):
    first = written("transport: tcp\n").rename(tmp_path / "first.yaml")
    second = written("transport: ipc\n")

    assert settings.policy([tmp_path / "none.yaml", first, second]).transport == "tcp"


@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IWOTH])
def test_a_policy_that_others_can_write_is_refused(written, bit):
    with pytest.raises(InvalidInput, match="must belong to root and be writable by root alone"):
        settings.policy([written("transport: ipc\n", mode=0o644 | bit)])


def test_a_policy_that_is_not_roots_is_refused(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("transport: ipc\n")
    if not os.getuid():
        os.chown(file, 12345, 12345)

    with pytest.raises(InvalidInput, match="must belong to root"):
        settings.policy([file])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("transprot: ipc\n", "unknown key 'transprot'"),
        ("1: ipc\ntransprot: x\n", "unknown key 1"),
        ("transport: udp\n", "transport must be one of ipc, tcp, not 'udp'"),
        ("transport:\n", "transport must be one of ipc, tcp, not None"),
        ("transport: [ipc]\n", "transport must be one of"),
        ("encryption: maybe\n", "encryption must be one of required"),
        ("record: false\n", "record must be one of True, not False"),
        ("record: 1\n", "record must be one of True, not 1"),
        ("env_files: 0\n", "env_files must be one of True, False, not 0"),
        ("env_files: 'no'\n", "env_files must be one of"),
        ("prefixes: /srv\n", "prefixes must be a list of strings"),
        ("prefixes: [1]\n", "prefixes must be a list of strings"),
        ("prefixes: [envs]\n", "prefixes must be absolute paths, not 'envs'"),
        ("prefixes: ['~/envs']\n", "prefixes must be absolute paths"),
        ("dropped_variables: AWS_*\n", "is not YAML|must be a list of strings"),
        ("dropped_variables:\n", "dropped_variables must be a list of strings"),
        ("[]\n", "must be a mapping"),
        ("false\n", "must be a mapping"),
        ("ipc\n", "must be a mapping"),
        ("transport: ipc\ntransport: tcp\n", "is not YAML"),
        ("transport: [ipc\n", "is not YAML"),
        ("transport: !!python/object:os.system ipc\n", "is not YAML"),
        (b"transport: \xff\n", "is not YAML"),
    ],
)
def test_a_policy_that_cannot_be_understood_is_not_taken_for_none(written, text, complaint):
    with pytest.raises(InvalidInput, match=complaint) as refused:
        settings.policy([written(text)])

    assert "policy.yaml" in refused.value.message


def test_a_policy_that_is_a_folder_is_refused(written, tmp_path):
    folder = written("").with_name("folder.yaml")
    folder.mkdir(mode=0o755)

    with pytest.raises(InvalidInput, match="cannot read"):
        settings.policy([folder])


def test_a_policy_behind_what_is_no_folder_is_refused(written):
    with pytest.raises(InvalidInput, match="cannot read"):
        settings.policy([written("") / "policy.yaml"])
