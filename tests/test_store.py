"""config.yaml and the folders: what is written is read again, and what is wrong is named with its line."""

import shutil
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from venvoy import files
from venvoy.errors import EnvironmentNotFound, InvalidInput, VenvoyError
from venvoy.model import Environment
from venvoy.store import Store, checked_name, generation_folder

WHOLE = """\
# my thesis
name: demo  # do not rename
python_version: 3.12.1
base_image: python:3.12-slim
prefix: /data/prefix
created: 2026-11-03T14:02:00Z
platform:
  system: Linux
  architecture: x86_64
packages:
  - numpy>=2  # for the arrays
  - pandas
dev_packages: []
"""


@pytest.fixture
def full(store: Store) -> Environment:
    return Environment(
        name="demo",
        prefix=store.folder("demo") / "prefix",
        python_version="3.12.1",
        base=Path("/usr/bin/python3.12"),
        base_image="python:3.12-slim",
        generation="20261103T140200-abc123",
        created=datetime(2026, 11, 3, 14, 2, tzinfo=UTC),
        system="Linux",
        architecture="x86_64",
        packages=("numpy>=2", "pandas[excel]==2.2 ; python_version < '3.14'"),
        dev_packages=("pytest",),
        env_file=(Path("/home/ada/.env"), Path("relative.env")),
    )


@pytest.fixture
def written(store: Store):
    """Write a config.yaml by hand."""

    def write(text: str | bytes, name: str = "demo") -> Path:
        file = store.folder(name) / "config.yaml"
        files.replace(file, text)
        return file

    return write


def test_what_is_saved_is_read_again(store, full):
    store.save(full)

    assert store.environment("demo") == full


def test_whoever_waited_for_it_is_told_when_it_is_of_another_kind_by_now(store, full):
    store.save(replace(full, runtime="conda"))

    with pytest.raises(VenvoyError, match="was replaced while this waited"):
        store.again(full)


def test_a_file_written_by_hand_is_read(store, written):
    written(WHOLE)

    env = store.environment("demo")

    assert (env.packages, env.language, env.runtime, env.adopted) == (("numpy>=2", "pandas"), "python", "venv", True)
    assert env.created == datetime(2026, 11, 3, 14, 2, tzinfo=UTC)


def test_a_saved_file_has_the_keys_that_people_and_scripts_rely_on(store, full):
    store.save(full)

    text = (store.folder("demo") / "config.yaml").read_text()

    assert {line.partition(":")[0] for line in text.splitlines() if line[0] not in " -"} >= {
        "name", "python_version", "created", "platform", "base_image", "packages", "dev_packages",
    }  # fmt: skip


def test_comments_and_order_survive_a_save(store, written):
    file = written(WHOLE)
    env = store.environment("demo")

    store.save(replace(env, packages=(*env.packages, "scipy")))

    text = file.read_text()
    assert all(comment in text for comment in ("# my thesis", "# do not rename", "# for the arrays"))
    assert text.index("python_version") < text.index("base_image") < text.index("packages:")
    assert store.environment("demo").packages == ("numpy>=2", "pandas", "scipy")


def test_saving_what_was_read_changes_nothing_that_stood_there(store, written):
    text = WHOLE.replace("2026-11-03T14:02:00Z", "'2026-11-03T14:02:00Z'")
    file = written(text)

    store.save(store.environment("demo"))

    assert file.read_text().startswith(text)


@pytest.mark.parametrize(
    ("change", "line", "complaint"),
    [
        (("base_image:", "base_imgae:"), 4, "unknown key 'base_imgae'"),
        (("3.12.1", "3.12"), 3, "python_version must be a string such as '3.12.1' (in quotes), not 3.12"),
        (("name: demo", "name: [demo]"), 2, "name must be a string"),
        (("/data/prefix", "3"), 5, "prefix must be a path, not 3"),
        (("2026-11-03T14:02:00Z", "12"), 6, "created must be a time"),
        (("  architecture: x86_64\n", ""), 7, "platform must be the keys system and architecture"),
        (("  architecture:", "  arch:"), 7, "platform must be the keys system and architecture"),
        (("dev_packages: []", "dev_packages: pytest"), 13, "dev_packages must be a list of requirements"),
        (("  - pandas", "  - 3"), 10, "packages must be a list of requirements"),
        (("dev_packages: []", "dev_packages:"), 13, "dev_packages must be a list of requirements, not None"),
        (("# my thesis", "runtime: lxc"), 1, "runtime must be one of venv, conda, docker"),
        (("# my thesis", "language: julia"), 1, "language must be python or r"),
        (("# my thesis", "env_file: .env"), 1, "env_file must be a list of paths"),
        (("# my thesis", "name: other"), 2, "name"),
        (("platform:\n", "platform: [\n"), 9, "expected ',' or ']'"),
        (("dev_packages: []", "\tdev_packages: []"), 13, "cannot start any token"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_line(store, written, change, line, complaint):
    file = written(WHOLE.replace(*change))

    with pytest.raises(InvalidInput) as refused:
        store.environment("demo")

    assert refused.value.message.startswith(f"{file}, line {line}: ")
    assert complaint in refused.value.message


@pytest.mark.parametrize("key", ["name", "python_version", "created", "base_image", "packages", "dev_packages"])
def test_a_missing_key_is_named(store, written, key):
    text = "".join(line for line in WHOLE.splitlines(keepends=True) if not line.startswith((f"{key}:", "  - ")))
    if key != "packages":
        text = text.replace("\npackages:", "\npackages: []")
    written(text)

    with pytest.raises(InvalidInput, match=f"the key '{key}' is missing"):
        store.environment("demo")


@pytest.mark.parametrize("text", ["", "[]\n", "demo\n", "# nothing\n"])
def test_what_is_no_mapping_is_refused(store, written, text):
    written(text)

    with pytest.raises(InvalidInput, match="must be a mapping"):
        store.environment("demo")


def test_a_time_that_is_none_is_named(store, written):
    written(WHOLE.replace("2026-11-03T14:02:00Z", "'yesterday'"))

    with pytest.raises(InvalidInput, match="created must be a time such as"):
        store.environment("demo")


def test_bytes_that_are_no_utf_8_are_named(store, written):
    written(WHOLE.encode().replace(b"thesis", b"th\xe8se"))

    with pytest.raises(InvalidInput, match=r"config\.yaml is not UTF-8"):
        store.environment("demo")


def test_a_file_that_says_another_name_than_its_folder_is_refused(store, written):
    written(WHOLE.replace("name: demo", "name: other"))

    with pytest.raises(InvalidInput, match="name is 'other', but the folder is 'demo'"):
        store.environment("demo")


def test_what_is_not_there_is_not_found_with_the_commands_to_make_or_list(store):
    with pytest.raises(EnvironmentNotFound) as missing:
        store.environment("demo")

    assert "no environment is named 'demo'" in missing.value.message
    assert "venvoy init demo" in missing.value.hint
    assert "venvoy list" in missing.value.hint


@pytest.mark.parametrize("name", ["a", "my-project", "My.Project_2", "a" * 64])
def test_a_name_may_be(name):
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "x-", ".x", "a/b", "../a", "a b", "ä", "a" * 65, "a\n", "a\0"])
def test_a_name_may_not_be(name):
    with pytest.raises(InvalidInput, match="is no name for an environment"):
        checked_name(name)


def test_names_are_sorted_and_unfinished_folders_are_none(store, full):
    for name in ("zeta", "alpha"):
        store.save(replace(full, name=name, prefix=store.folder(name) / "prefix"))
    files.private(store.folder("building"))

    assert store.names() == ("alpha", "zeta")


def test_an_environment_is_found_by_its_prefix_also_through_links(store, full, tmp_path):
    generation = generation_folder(full.prefix, full.generation)
    generation.mkdir(parents=True)
    full.prefix.symlink_to(generation.name)
    store.save(full)
    (tmp_path / "link").symlink_to(full.prefix)

    assert store.at(tmp_path / "link") == store.at(generation) == full
    assert store.at(tmp_path) is None


def test_an_environment_is_held_by_one_at_a_time(store):
    with store.held("demo"), pytest.raises(TimeoutError), store.held("demo", timeout=0.1):
        pass

    with store.held("demo", timeout=0.1):
        pass


def test_removing_forgets_the_environment_and_keeps_its_record(store, full):
    store.save(full)
    store.history("demo").save("name: demo\n", at=full.created)

    store.remove("demo")

    assert (store.names(), store.folder("demo").exists()) == ((), False)
    assert store.history("demo").latest.exists()


def test_a_moved_home_keeps_its_environments(store, full, settings, tmp_path):
    store.save(full)
    moved = Store(replace(settings, home=tmp_path / "moved"))
    shutil.copytree(settings.home, moved.settings.home, symlinks=True)

    assert moved.environment("demo").prefix == moved.folder("demo") / "prefix"


def test_two_writers_of_one_config_leave_one_of_the_two(store, full):
    store.save(full)

    def write(number: int) -> None:
        for _ in range(20):
            store.save(replace(full, packages=(f"package-{number}",) * 50))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()

    assert len(set(store.environment("demo").packages)) == 1


def test_a_scratch_folder_is_ones_own_and_gone_afterwards(store):
    with store.scratch() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
    assert not list(folder.parent.iterdir())


def test_what_a_killed_one_left_in_scratch_goes_and_what_is_in_use_stays(store):
    program = (
        "import os, sys; from pathlib import Path; from dataclasses import replace\n"
        "from venvoy import settings; from venvoy.store import Store\n"
        "store = Store(replace(settings.current(), home=Path(sys.argv[1])))\n"
        "with store.scratch() as folder: print(folder, flush=True); os.kill(os.getpid(), 9)"
    )
    argv = [sys.executable, "-c", program, str(store.settings.home)]
    killed = Path(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout.strip())
    assert killed.is_dir()

    with store.scratch() as first, store.scratch() as second:
        assert first.is_dir()
        assert sorted(each.name for each in first.parent.iterdir() if each.is_dir()) == sorted(
            [first.name, second.name]
        )
