"""Files of every kind, by whoever wrote them: recognised, read, or refused with the reason."""

import contextlib
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.formats import inline_metadata, requirements_in, uv_lock
from venvoy.formats.environment_yml import EnvironmentYml
from venvoy.formats.pylock import PylockToml
from venvoy.formats.reading import LARGEST, read, snapshot_of
from venvoy.formats.snapshot_json import SnapshotJson
from venvoy.inventory import fit
from venvoy.model import Package

LINUX = fit.markers("3.12.1", "linux-x86_64")
UV_LOCK = """
version = 1
requires-python = ">=3.10"

[[package]]
name = "thing"
version = "0.1"
source = { virtual = "." }
dependencies = [
    { name = "colorama", marker = "sys_platform == 'win32'" },
    { name = "httpx", extra = ["http2"] },
    { name = "forked", version = "2.0", marker = "python_full_version >= '3.11'" },
    { name = "forked", version = "1.0", marker = "python_full_version < '3.11'" },
]
[package.optional-dependencies]
plot = [{ name = "tqdm" }]
[package.dev-dependencies]
dev = [{ name = "iniconfig" }]
""" + "".join(
    f"""
[[package]]
name = "{name}"
version = "{version}"
source = {{ registry = "https://pypi.org/simple" }}
wheels = [{{ url = "https://files.example.org/{name}-{version}-py3-none-any.whl", hash = "sha256:{number:064x}" }}]
{more}
"""
    for number, (name, version, more) in enumerate(
        (
            ("colorama", "0.4.6", ""),
            ("httpx", "0.28", '[package.optional-dependencies]\nhttp2 = [{ name = "h2" }]\nbrotli = [{ name = "brotli" }]'),
            ("h2", "4.1", ""),
            ("brotli", "1.0", ""),
            ("forked", "1.0", ""),
            ("forked", "2.0", ""),
            ("tqdm", "4.0", ""),
            ("iniconfig", "2.0", ""),
        )
    )
)  # fmt: skip

HERE = "linux-x86_64"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- requirements.txt


def test_a_requirements_file_is_read_with_all_that_it_includes(tmp_path):
    write(tmp_path, "more/other.txt", "-r deeper.txt\n./local\n")
    write(tmp_path, "more/deeper.txt", "six ; python_version < '4'  # why\n")
    write(tmp_path, "pins.txt", "six==1.17.0\n")
    file = write(
        tmp_path,
        "requirements.txt",
        "# mine\n-r more/other.txt\n-c pins.txt\nnumpy>=2 \\\n    --hash=sha256:aa\n-e ./src\n--index-url https://x/simple\n-f wheels\n\n",
    )

    said = read(file).wish.requirements

    assert said == (
        "six ; python_version < '4'",
        str(tmp_path / "more" / "local"),
        f"-c {tmp_path}/pins.txt",
        "numpy>=2 --hash=sha256:aa",
        f"-e {tmp_path}/src",
        "--index-url https://x/simple",
        f"--find-links {tmp_path}/wheels",
    )
    assert requirements_in.hashed(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("numpy\nnot a requirement!\n", "line 2: .*is not a requirement"),
        ("a\n\n\nb==\n", "line 4"),
        ("a \\\n  ==1\n??\n", "line 3"),
        ("-r requirements.txt\n", "line 1: .*includes itself"),
        ("-r nowhere.txt\n", "line 1: there is no file"),
        ("-c nowhere.txt\n", "line 1: there is no"),
        ("-r https://example.org/x.txt\n", "another machine"),
        ("--frobnicate\n", "no option"),
        ("six\0\n", "zero byte"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, said):
    with pytest.raises(InvalidInput, match=said):
        read(write(tmp_path, "requirements.txt", text))


def test_a_circle_of_files_is_found(tmp_path):
    write(tmp_path, "b.txt", "-r requirements.txt\n")

    with pytest.raises(InvalidInput, match="includes itself"):
        read(write(tmp_path, "requirements.txt", "-r b.txt\n"))


# --- uv.lock


def chosen(text: str, environment=LINUX) -> dict[str, str]:
    lock = tomllib.loads(uv_lock.as_pylock(text, source="uv.lock", environment=environment))
    return {each["name"]: each["version"] for each in lock["packages"]}


def test_a_uv_lock_gives_what_its_root_needs_on_one_interpreter(tmp_path):
    assert chosen(UV_LOCK) == {"httpx": "0.28", "h2": "4.1", "forked": "2.0"}
    assert chosen(UV_LOCK, fit.markers("3.10.4", "linux-x86_64"))["forked"] == "1.0"
    said = read(write(tmp_path, "uv.lock", UV_LOCK))
    assert (said.kind, said.python) == ("uv.lock", ">=3.10")
    assert "not installed" in said.remarks[0]


def test_what_a_uv_lock_gives_is_a_pylock_with_hashes():
    text = uv_lock.as_pylock(UV_LOCK, source="uv.lock", environment=LINUX)

    packages = PylockToml().load(text, source="x").packages

    assert {each.name: len(each.sha256) for each in packages} == {"httpx": 64, "h2": 64, "forked": 64}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("version = 1\n", "version = 2\n", 1), "version 1 of uv.lock"),
        (
            lambda text: text.replace('{ registry = "https://pypi.org/simple" }', '{ path = "../x.whl" }'),
            "place of one machine",
        ),
        (lambda text: text.replace("sys_platform ==", "sys_platform =="[::-1]), "marker|Expected|Parse|uv.lock"),
        (lambda text: text.replace("hash =", "hush ="), "not a uv.lock"),
        (lambda text: text + "[[", "not TOML"),
    ],
)
def test_another_uv_lock_is_refused(change, said):
    with pytest.raises(InvalidInput, match=said):
        uv_lock.as_pylock(change(UV_LOCK), source="uv.lock", environment=LINUX)


def test_repositories_and_archives_of_a_uv_lock_keep_their_commit_and_hash():
    text = 'version = 1\n[manifest]\nrequirements = [{ name = "a" }, { name = "b" }]\n'
    text += (
        '[[package]]\nname = "a"\nversion = "1"\nsource = { git = "https://h.org/a?rev=main&subdirectory=py#abc123" }\n'
    )
    text += f'[[package]]\nname = "b"\nversion = "2"\nsource = {{ url = "https://h.org/b.zip" }}\nsdist = {{ hash = "sha256:{"0" * 64}" }}\n'

    a, b = tomllib.loads(uv_lock.as_pylock(text, source="x", environment=LINUX))["packages"]

    assert a["vcs"] == {"type": "git", "url": "https://h.org/a", "commit-id": "abc123", "subdirectory": "py"}
    assert b["archive"] == {"url": "https://h.org/b.zip", "hashes": {"sha256": "0" * 64}}


# --- PEP 723


SCRIPT = """# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "requests<3",
#   "rich",
# ]
# [tool.uv]
# exclude-newer = "2024-05-06T00:00:00Z"
# ///
import requests
"""


def test_a_script_says_what_it_needs(tmp_path):
    said = read(write(tmp_path, "s.py", SCRIPT))

    assert (said.kind, said.python, said.wish.requirements) == ("script", ">=3.11", ("requests<3", "rich"))
    assert "--as-of 2024-05-06" in said.remarks[0]


def notebook(source: str, **metadata: object) -> str:
    cell = {"cell_type": "code", "source": source.splitlines(keepends=True)}
    return json.dumps({"cells": [{"cell_type": "markdown", "source": "x"}, cell], "metadata": metadata})


def test_a_notebook_of_juv_says_what_it_needs_and_its_lock_comes_first(tmp_path):
    said = read(write(tmp_path, "n.ipynb", notebook(SCRIPT)))
    locked = read(write(tmp_path, "l.ipynb", notebook(SCRIPT, **{"uv.lock": UV_LOCK})))

    assert said.wish.requirements == ("requests<3", "rich")
    assert locked.wish is None
    assert "httpx" in locked.lock(LINUX)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("s.py", "print(1)\n", "says not what it needs"),
        ("s.py", SCRIPT + SCRIPT, "2 script blocks"),
        ("s.py", "# /// script\n# dependencies = [\n# ///\n", "script block"),
        ("s.py", '# /// script\n# dependencies = ["a b"]\n# ///\n', "not a requirement"),
        ("s.py", "# /// script\n# dependencies = 3\n# ///\n", "list of requirements"),
        ("n.ipynb", "{}", "not a notebook"),
        ("n.ipynb", "[" * 100_000, "not a notebook"),
        ("n.ipynb", notebook("1 + 1"), "neither a stamp"),
    ],
)
def test_one_that_says_nothing_usable_is_refused(tmp_path, name, text, said):
    with pytest.raises(InvalidInput, match=said):
        read(write(tmp_path, name, text))


# --- conda


EXPORTED = """name: old
channels:
  - defaults
dependencies:
  - _libgcc_mutex=0.1=main
  - ca-certificates=2024.7.2=h06a4308_0
  - ld_impl_linux-64=2.38=h1181459_1
  - libffi=3.4.4=h6a678d5_1
  - openssl=3.0.15=h5eee18b_0
  - pip=24.2=py310h06a4308_0
  - python=3.10.14=h955ad1f_1
  - readline=8.2=h5eee18b_0
  - setuptools=72.1.0=py310h06a4308_0
  - wheel=0.43.0=py310h06a4308_0
  - xz=5.4.6=h5eee18b_1
  - pip:
      - numpy==1.26.4
      - six==1.16.0
prefix: /home/ada/miniconda3/envs/old
variables:
  A: b
"""


def test_what_conda_exports_of_a_python_with_pip_packages_is_read(tmp_path):
    said = read(write(tmp_path, "environment.yml", EXPORTED))

    assert (said.name, said.python) == ("old", "3.10.14")
    assert said.wish.requirements == ("pip==24.2", "numpy==1.26.4", "six==1.16.0")


def test_what_only_conda_can_take_is_read(tmp_path):
    yaml = write(tmp_path, "environment.yml", EXPORTED.replace("xz=5.4.6", "gdal=3.4.0"))
    listed = write(
        tmp_path,
        "list.txt",
        "# platform: linux-64\n@EXPLICIT\nhttps://conda.anaconda.org/conda-forge/linux-64/gdal-3.4.0-py310_1.conda#0123456789abcdef0123456789abcdef\n",
    )

    assert read(yaml).wish.beyond == ("gdal=3.4.0=h5eee18b_1",)
    [package] = read(listed).snapshot.packages
    assert (package.ecosystem, package.name, package.version, package.build) == ("conda", "gdal", "3.4.0", "py310_1")


# --- folders as repo2docker reads them


def test_a_folder_is_read_as_repo2docker_reads_it_and_what_is_left_out_is_named(tmp_path):
    folder = tmp_path / "analysis"
    write(folder, "requirements.txt", "numpy\n")
    write(folder, "binder/requirements.txt", "six\n")
    for name in ("apt.txt", "postBuild", "install.R"):
        write(folder, f"binder/{name}", "touch /tmp/evil\n")
    write(folder, "binder/runtime.txt", "python-3.10\n")

    said = read(folder)

    assert (said.wish.requirements, said.python, said.name) == (("six",), "3.10", "analysis")
    assert [each.partition(" ")[0] for each in said.remarks] == ["apt.txt", "postBuild", "install.R"]
    assert not Path("/tmp/evil").exists()


def test_in_a_folder_a_lock_comes_first(tmp_path, snapshot):
    write(tmp_path, "pylock.toml", PylockToml().dump(snapshot()))
    write(tmp_path, "requirements.txt", "six\n")

    said = read(tmp_path)

    assert said.kind == "pylock"
    assert said.remarks == ("requirements.txt was left out: pylock.toml comes first",)


def test_a_folder_that_says_nothing_is_refused(tmp_path):
    write(tmp_path, "README.md", "hello")

    with pytest.raises(InvalidInput, match="no file that says what to install"):
        read(tmp_path)


# --- states to compare


def test_a_file_that_leaves_nothing_open_is_a_state(tmp_path, snapshot):
    state = snapshot("numpy==1.26.4", "six==1.16.0", python="3.10.14")
    lock = write(tmp_path, "lock.json", SnapshotJson().dump(state))
    yaml = write(tmp_path, "environment.yml", EnvironmentYml().dump(state))
    listed = write(tmp_path, "requirements.txt", "numpy==1.26.4\nsix===1.16.0  # why\n")

    assert snapshot_of(lock, platform=HERE) == state
    assert [each.name for each in snapshot_of(yaml, platform=HERE).packages] == ["numpy", "six"]
    assert snapshot_of(listed, platform=HERE).package("six") == Package(name="six", version="1.16.0")


@pytest.mark.parametrize("text", ["numpy>=1\n", "numpy==1.*\n", "numpy\n", "./here\n"])
def test_a_file_that_leaves_something_open_is_not(tmp_path, text):
    with pytest.raises(InvalidInput, match=r"open|names no version"):
        snapshot_of(write(tmp_path, "requirements.txt", text), platform=HERE)


# --- whatever lies on a disk


@pytest.mark.parametrize(
    "name", ["requirements.txt", "environment.yml", "pylock.toml", "uv.lock", "lock.json", "s.py", "n.ipynb", "odd"]
)
@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\0\0", b"[" * 50_000, b"{" * 50_000, b"- " * 20_000, b"%" * 1000]
)
def test_what_is_broken_is_refused_by_name(tmp_path, name, content):
    file = write(tmp_path, name, content)

    with pytest.raises(InvalidInput, match=name.replace(".", r"\.")):
        read(file)


def test_what_is_too_large_is_refused_unread(tmp_path):
    file = tmp_path / "requirements.txt"
    with file.open("wb") as stream:
        stream.truncate(LARGEST + 1)

    with pytest.raises(InvalidInput, match="that is no list of packages"):
        read(file)


def test_a_device_and_a_folder_without_rights_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no file"):
        read(Path("/dev/zero"))


def refuses_or_reads(parse, text: str) -> None:
    with contextlib.suppress(InvalidInput):
        parse(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text):
    path = Path("/nonexistent/file")

    def no_file(_path: Path) -> str:
        raise InvalidInput("there is none")

    for parse in (
        lambda text: requirements_in.load(text, file=path, read=no_file),
        lambda text: EnvironmentYml().load(text, source="x"),
        lambda text: SnapshotJson().load(text),
        lambda text: PylockToml().load(text, source="x"),
        lambda text: uv_lock.as_pylock(text, source="x", environment=LINUX),
        lambda text: inline_metadata.of_script(text, source="x"),
        lambda text: inline_metadata.of_script(f"# /// script\n# {text}\n# ///\n", source="x"),
        lambda text: inline_metadata.of_notebook(text, source="x"),
    ):
        refuses_or_reads(parse, text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["cells", "metadata", "packages", "base", "language", "language_version", "platform", "format"]
        ),
        JSON,
    )
)
def test_any_json_is_read_or_refused(said):
    text = json.dumps(said)

    refuses_or_reads(lambda text: SnapshotJson().load(text), text)
    refuses_or_reads(lambda text: inline_metadata.of_notebook(text, source="x"), text)


TOML = st.recursive(
    st.booleans()
    | st.integers(-5, 5)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "version", "url", "hash", "registry", "git", "marker", "extra"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "version",
                "source",
                "dependencies",
                "wheels",
                "sdist",
                "resolution-markers",
                "optional-dependencies",
            ]
        ),
        TOML,
    )
)
def test_any_uv_lock_is_read_or_refused(said):
    import tomli_w

    text = tomli_w.dumps({"version": 1, "package": [said], "manifest": {"requirements": [said]}})

    refuses_or_reads(lambda text: uv_lock.as_pylock(text, source="x", environment=LINUX), text)
