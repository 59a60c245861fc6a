"""conda-lock.yml: ours with every field again, those of others, those written to do harm; conda-lock and rattler read it."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import uv
from conda_packages import COMMIT, FORGE, conda, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from venvoy.errors import InvalidInput
from venvoy.formats.conda_lock import CondaLock, subdirs
from venvoy.formats.subdirs import LOCKED, platform_of
from venvoy.formats.yaml_text import LIMIT, _simple, loaded, yaml
from venvoy.model import Package, Snapshot

form = CondaLock()


def some(subdir: str = "linux-64") -> Snapshot:
    return Snapshot(
        environment="demo",
        taken=datetime(2026, 1, 2, tzinfo=UTC),
        base="b" * 64,
        image="python:3.12-slim",
        state="5" * 64,
        language_version="3.12.1",
        platform=platform_of(subdir),
        channels=("conda-forge", "https://example.org/channel"),
        packages=tuple(
            sorted(
                (
                    conda(
                        "python-3.12.1-hab00c5b_1_cpython",
                        subdir,
                        depends=("tzdata", "libffi >=3.4,<4.0a0", "__glibc >=2.17"),
                        constrains=("python_abi 3.12.* *_cp312",),
                        direct=True,
                        size=25_000_000,
                        tree="c" * 64,
                    ),
                    conda("libffi-3.4.2-h3422bc3_5", subdir, depends=("__glibc >=2.17", "__glibc <3.0.a0")),
                    conda("tzdata-2024a-h0c530f3_0", "noarch", direct=False),
                    conda("six-1.10-py_0", "noarch", depends=("conda-forge::python[version='>=3']", "numpy 1.2 py_0")),
                    conda("epoch-1!2.0+a-0", subdir),
                    Package(ecosystem="conda", name="built-here", version="1", build="0", channel="", direct=True),
                    Package(
                        name="numpy",
                        version="2.1.0",
                        url="https://files.example.org/source/t/numpy-2.1.0-py3-none-any.whl",
                        sha256="e1" * 32,
                        direct=True,
                        tree="d" * 64,
                    ),
                    Package(name="zip", version="1", origin="archive", url="https://e.org/a.zip", sha256="12" * 32),
                    Package(name="git", version="1", origin="vcs", url=f"git+https://e.org/p@{COMMIT}#subdirectory=a"),
                    Package(name="ssh", version="1", origin="vcs", url=f"git+ssh://git@e.org/p@{COMMIT}"),
                    Package(name="wheel-here", version="1", origin="local", url="file:///w.whl", sha256="f" * 64),
                    Package(name="mine", version="0.1", origin="editable", url="file:///home/ada/mine", direct=True),
                    Package(name="private", version="3", tree="e" * 64),
                    Package(
                        name="ggplot2", version="3.5-1", ecosystem="cran", url="https://e.org/g.tar.gz", sha256="e" * 64
                    ),
                )
            )
        ),
    )


def load(text: str, **more) -> Snapshot:
    return form.load(text, source="conda-lock.yml", **more)


# --- ours ------------------------------------------------------------------------------------------------------------


def test_everything_comes_back():
    again = load(form.dump(some()), environment="demo")

    assert again == some()
    assert whole(again) == whole(some())


def test_a_snapshot_of_conda_packages_alone_is_written_so():
    six = conda("six-1.10-py_0", "noarch", depends=("python >=3.8",))
    text = form.dump(replace(some(), packages=(six,), channels=("conda-forge",)))

    head, _, rest = text.partition("    linux-64: ")
    assert head == "version: 1\nmetadata:\n  content_hash:\n"
    digest, rest = rest.split("\n", 1)
    assert len(digest.strip("'")) == 64
    before, _, after = rest.partition("  custom_metadata:\n")
    assert before == (
        "  channels:\n  - url: conda-forge\n    used_env_vars: []\n  platforms:\n  - linux-64\n  sources:\n  - environment.yml\n"
    )
    assert after.split("\n", 1)[1] == (
        "package:\n"
        "- name: six\n"
        "  version: '1.10'\n"
        "  manager: conda\n"
        "  platform: linux-64\n"
        "  dependencies:\n"
        "    python: '>=3.8'\n"
        f"  url: {FORGE}/noarch/six-1.10-py_0.conda\n"
        "  hash:\n"
        f"    md5: '{'11' * 16}'\n"
        f"    sha256: {'a1' * 32}\n"
        "  category: main\n"
        "  optional: false\n"
    )


def test_the_same_state_gives_the_same_text_whatever_the_order_and_the_clock():
    other = replace(some(), taken=datetime.now(UTC), environment="x", packages=tuple(reversed(some().packages)))

    assert form.dump(other) == form.dump(some())


def test_one_lock_holds_every_platform():
    snapshots = [some(subdir) for subdir in LOCKED]
    text = form.dump_all(snapshots)

    assert text == form.dump_all(snapshots[::-1])
    assert subdirs(text, source="x") == tuple(sorted(LOCKED))
    for subdir, snapshot in zip(LOCKED, snapshots, strict=True):
        assert whole(load(text, subdir=subdir, environment="demo")) == whole(snapshot)


def test_a_platform_that_is_not_clear_or_not_there_is_named():
    text = form.dump_all([some("linux-64"), some("win-64")])

    with pytest.raises(InvalidInput, match="is for 2 platforms") as unclear:
        load(text)
    with pytest.raises(InvalidInput, match="is not for osx-64"):
        load(text, subdir="osx-64")

    assert unclear.value.hint == "it is for: linux-64, win-64"


def test_channels_that_nobody_told_are_those_of_the_packages():
    local = conda("here-1-0", channel="<unknown>", url="")
    text = form.dump(replace(some(), channels=(), packages=(local, conda("six-1.10-py_0"))))

    assert f"  channels:\n  - url: {FORGE}\n" in text
    assert load(text).channels == ()
    assert load(text).package("here") == local


@pytest.mark.parametrize("platforms", [(), ("linux-64", "linux-64")])
def test_a_lock_has_one_snapshot_for_each_platform(platforms):
    with pytest.raises(InvalidInput, match=r"no snapshot|two snapshots for linux-64"):
        form.dump_all([some(each) for each in platforms])


def test_no_credentials_are_written():
    channel = "https://ada:secret@example.org/t/sesame-1/private"
    package = conda("six-1.10-py_0", channel=channel, url=f"{channel}/noarch/six-1.10-py_0.conda")
    wheel = Package(name="a", version="1", url="https://ada:secret@example.org/a-1-py3-none-any.whl")
    text = form.dump(replace(some(), channels=(channel,), packages=(package, wheel)))

    again = load(text)

    assert "secret" not in text
    assert "sesame" not in text
    assert again.channels == ("https://example.org/private",)
    assert [each.url for each in again.packages] == [
        "https://example.org/private/noarch/six-1.10-py_0.conda",
        "https://example.org/a-1-py3-none-any.whl",
    ]


def test_an_edited_lock_is_no_longer_of_the_state_that_it_was_made_of():
    text = form.dump(some())

    again = load(text.replace("a1" * 32, "a2" * 32), environment="demo")

    assert again.state == ""
    assert again != some()
    assert again.package("python").direct is True


names = st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,4}(\.[0-9a-f]{1,3}){0,3}", fullmatch=True)
lines = st.text(max_size=20)
hexes = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


@st.composite
def packages(draw) -> Package:
    name, version, direct = draw(names), draw(versions), draw(st.none() | st.booleans())
    tree, sha256 = draw(lines), draw(st.just("") | hexes)
    if draw(st.booleans()):
        subdir, md5 = (
            draw(st.sampled_from(["noarch", "linux-64"])),
            draw(st.just("") | hexes.map(lambda text: text[:32])),
        )
        specs = draw(st.lists(lines | names.map(lambda each: f"{each} >=1,<2"), max_size=4).map(tuple))
        more = {"depends": specs, "constrains": specs, "size": draw(st.none() | st.integers(0, 10**12))}
        return conda(f"{name}-{version}-0", subdir, md5=md5, sha256=sha256, tree=tree, direct=direct, **more)
    where = draw(st.sampled_from(["", "https://e.org/x/", "file:///", "git+https://e.org/"]))
    end = draw(
        st.sampled_from([f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "some.zip", "x#subdirectory=y"])
    )
    origin = draw(st.sampled_from(["index", "archive", "vcs", "local", "editable"]))
    url = where and where + end
    return Package(name=name, version=version, origin=origin, url=url, sha256=sha256, tree=tree, direct=direct)


@settings(deadline=None)
@given(st.lists(packages(), max_size=6, unique_by=lambda each: (each.ecosystem, each.name)), lines, lines)
def test_any_snapshot_comes_back(listed, state, base):
    snapshot = replace(some(), packages=tuple(sorted(listed)), state=state, base=base)

    assert whole(load(form.dump(snapshot), environment="demo")) == whole(snapshot)


# --- of others -------------------------------------------------------------------------------------------------------

FOREIGN = f"""\
# This lock file was generated by conda-lock (https://github.com/conda/conda-lock). DO NOT EDIT!
version: 1
metadata:
  content_hash:
    linux-64: aa
  channels:
  - url: https://ada:secret@conda.anaconda.org/t/${{TOKEN}}/conda-forge
    used_env_vars: [TOKEN]
  - url: bioconda
    used_env_vars: []
  platforms: [linux-64]
  sources:
  - environment.yml
package:
- name: python
  version: 3.10
  manager: conda
  platform: linux-64
  dependencies:
    bzip2: ">=1.0.8,<2.0a0"
    tzdata: ''
  url: https://conda.anaconda.org/t/sesame/conda-forge/linux-64/python-3.10-hab00c5b_1_cpython.conda
  hash:
    md5: 12345678901234567890123456789012
    sha256: {"12" * 32}
  category: main
  optional: false
- {{name: six, version: '1', manager: conda, platform: linux-64, dependencies: {{}}, category: docs, optional: true,
   url: "{FORGE}/noarch/six-1-py_0.conda", hash: {{md5: {"ab" * 16}}}}}
- name: Some.Thing
  version: '1'
  manager: pip
  platform: linux-64
  url: https://u:p@files.example.org/some_thing-1-py3-none-any.whl
  hash: {{sha256: {"ab" * 32}}}
  category: dev
  optional: true
- name: checkout
  version: '1'
  manager: pip
  platform: linux-64
  url: git+https://example.org/p@{COMMIT}
  hash: {{sha256: {COMMIT}}}
  source: {{type: url, url: "git+https://example.org/p@{COMMIT}"}}
  category: main
  optional: false
"""


def test_a_lock_of_conda_lock_is_read():
    assert load(FOREIGN) == Snapshot(
        environment="",
        taken=datetime.now(UTC),
        base="",
        language_version="3.10",
        platform="linux-x86_64",
        channels=("https://conda.anaconda.org/conda-forge", "bioconda"),
        packages=(
            conda("python-3.10-hab00c5b_1_cpython", sha256="12" * 32),
            Package(name="checkout", version="1", origin="vcs", url=f"git+https://example.org/p@{COMMIT}"),
            Package(
                name="some-thing",
                version="1",
                url="https://files.example.org/some_thing-1-py3-none-any.whl",
                sha256="ab" * 32,
            ),
        ),
    )
    python = load(FOREIGN).package("python")
    assert (python.md5, python.direct, python.depends) == (
        "12345678901234567890123456789012",
        None,
        ("bzip2 >=1.0.8,<2.0a0", "tzdata"),
    )


# --- wrong -----------------------------------------------------------------------------------------------------------

PINNED = Package(name="a", version="1", origin="archive", url="https://e.org/a.zip", sha256="12" * 32)
GOOD = form.dump(replace(some(), packages=(conda("six-1.10-py_0"), PINNED)))
URL = f"{FORGE}/linux-64/six-1.10-py_0.conda"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("version: 1\n", "version: 2\n", "its version is '2'"),
        ("metadata:\n", "metadata: x\nmore:\n", "metadata is no mapping|line 3"),
        ("package:\n", "packages:\n", "no list of packages"),
        ("  platforms:\n  - linux-64\n", "  platforms: []\n", "no list of platforms"),
        ("  platforms:\n  - linux-64\n", "  platforms: [[a]]\n", "is no platform"),
        ("  platforms:\n  - linux-64\n", "  platforms: [linux-65]\n", "there is no platform 'linux-65'"),
        ("- name: six\n", "- nam: six\n", "package 1 has no name"),
        ("  manager: conda\n", "  manager: npm\n", "its manager is 'npm'"),
        ("  version: '1.10'\n", "  version: '1.11'\n", "1.11 is not at"),
        ("- name: six\n", "- name: seven\n", "1.10 is not at"),
        (f"  url: {URL}\n", "  url: ftp://example.org/linux-64/six-1.10-py_0.conda\n", "is no address"),
        (f"  url: {URL}\n", "  url: javascript:alert(1)\n", "is no address"),
        (f"  url: {URL}\n", f'  url: "{URL[:-6]}\\n.conda"\n', "is no address"),
        (f"  url: {URL}\n", f'  url: "{URL[:-6]}\\u202e.conda"\n', "is no address"),
        (f"  url: {URL}\n", "  url: [x]\n", "a list or a mapping is no address"),
        (f"  url: {URL}\n", "", "None is no address"),
        (f"  url: {URL}\n", "  url: https://example.org/six-1.10-py_0.conda\n", "is no conda package"),
        (f"  url: {URL}\n", f"  url: {URL}.exe\n", "is no conda package"),
        (f"    sha256: {'a1' * 32}\n", "    sha256: abc\n", "'abc' is no sha256"),
        (f"    md5: '{'11' * 16}'\n", "    md5: ''\n    sha1: ''\n    md5: x\n", "line|'x' is no md5"),
        (
            "  dependencies: {}\n  url: https://conda",
            "  dependencies: [x]\n  url: https://conda",
            "dependencies is no map",
        ),
        ("- name: a\n", "- name: '--index-url=https://evil.example'\n", "is no name of a package"),
        ("  version: '1'\n", "  version: '1 --index-url https://evil.example'\n", "is no version"),
        ("    venvoy: '{", "    venvoy: 'x{", "custom_metadata.venvoy is not as we write it"),
        ("    venvoy: '{", "    venvoy: '[{", "custom_metadata.venvoy is not as we write it"),
        ('"language":"python"', '"language":"perl"', "custom_metadata.venvoy is not as we write it"),
        ('"platform":"linux-x86_64"', '"platform":"darwin-arm64"', "custom_metadata.venvoy is not as we write it"),
        (
            '"platform":"linux-x86_64"',
            '"added":{"conda:six":{"url":"x"}}',
            "custom_metadata.venvoy is not as we write it",
        ),
        (
            '"platform":',
            '"added":{"conda:six":{"size":true}},"platform":',
            "custom_metadata.venvoy is not as we write it",
        ),
        (
            '"platform":',
            '"added":{"conda:six":{"direct":"x"}},"platform":',
            "custom_metadata.venvoy is not as we write it",
        ),
        (
            '"platform":',
            '"added":{"conda:six":{"depends":[1]}},"platform":',
            "custom_metadata.venvoy is not as we write it",
        ),
        ('"platform":', '"unlisted":[{"name":"-r x"}],"platform":', "custom_metadata.venvoy is not as we write it"),
        ('"platform":', '"unlisted":[{"name":"x","url":"ftp://x"}],"platform":', "custom_metadata.venvoy is not as"),
        ('"platform":', '"unlisted":[{"name":"x","origin":"moon"}],"platform":', "custom_metadata.venvoy is not as"),
        ('"platform":', '"unlisted":[{"name":"a"}],"platform":', "has a twice"),
        ('"platform":', '"unlisted":7,"platform":', "custom_metadata.venvoy is not as we write it"),
    ],
)
def test_a_wrong_lock_is_refused_with_what_is_wrong(old, new, complaint):
    assert old in GOOD

    with pytest.raises(InvalidInput, match=complaint):
        load(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    "text", ["", "[]", "just words", "a: [", "[" * 900, "- " * 900, "a: &a [*a]", "a: !!python/x b"]
)
def test_what_is_no_lock_is_refused(text):
    with pytest.raises(InvalidInput, match=r"conda-lock\.yml"):
        load(text)


def test_what_is_too_long_is_refused():
    with pytest.raises(InvalidInput, match="too long"):
        load("#" * (LIMIT + 1))


def test_two_packages_of_one_name_are_refused():
    entry = GOOD.partition("package:\n")[2].partition("- name: a\n")[0]

    with pytest.raises(InvalidInput, match="two of six for linux-64"):
        load(GOOD + entry.replace("py_0", "py_1"))


def test_a_bomb_of_aliases_is_refused_and_not_written_out():
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 25))

    for key in ("version", "metadata", "package"):
        with pytest.raises(InvalidInput) as refused:
            load(f"l0: &l0 [lol]\n{levels}{key}: *l24\n")
        assert len(refused.value.message) < 500


def test_no_credentials_are_told_in_an_error():
    with pytest.raises(InvalidInput) as refused:
        load(GOOD.replace(URL, "https://ada:secret@example.org/six.conda"))

    assert "secret" not in refused.value.message


@settings(deadline=None)
@given(st.text(alphabet="ab:- '\"#[]{}\n,|>&*!%~1.é", max_size=60))
def test_the_quick_reader_reads_as_the_yaml_library_or_not_at_all(text):
    quick = _simple(text)

    if quick is not None:
        assert quick == loaded(text, source="x", typ="base")


block = st.recursive(
    st.text(alphabet="ab:- '\"#1.é\n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="ab1- '", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b-c", "__d"]), block, min_size=1, max_size=3))
def test_what_is_written_as_yaml_is_read_as_it_was(value):
    text = yaml(value)

    assert YAML(typ="base", pure=True).load(text) == value
    assert YAML(typ="safe", pure=True).load(text) == value
    assert _simple(text) in (value, None)


def test_our_own_locks_are_read_without_the_yaml_library():
    assert _simple(form.dump_all([some(each) for each in LOCKED])) is not None


@settings(deadline=None)
@given(st.recursive(st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5), st.data())
def test_any_value_in_any_place_is_read_or_refused(value, data):
    said = YAML(typ="base", pure=True).load(GOOD)
    place = data.draw(
        st.sampled_from([said, said["metadata"], said["package"][0], said["package"][1], said["package"][0]["hash"]])
    )
    place[data.draw(st.sampled_from(sorted(place)))] = value

    with suppress(InvalidInput):
        load(json.dumps(said))


# --- the tools themselves --------------------------------------------------------------------------------------------

PARSE = """
import json, sys
from pathlib import Path
from conda_lock.lockfile import parse_conda_lock_file, write_conda_lock_file
lock = parse_conda_lock_file(Path(sys.argv[1]))
write_conda_lock_file(lock, Path("again-lock.yml"), metadata_choices=())
print(json.dumps([[each.manager, each.platform, each.name, each.version, each.url, each.hash.sha256] for each in lock.package]))
"""
RATTLER = """
import json, os, sys
from pathlib import Path
from rattler import LockFile
lock = LockFile.from_path(Path(sys.argv[1]))
environment = lock.default_environment()
said = {}
for platform in environment.platforms():
    said[str(platform.name)] = [
        [record.name.normalized, str(record.version), str(record.build), record.url, record.sha256.hex(), record.depends]
        for record in environment.conda_repodata_records_for_platform(platform)
    ]
print(json.dumps(said))
sys.stdout.flush()
os._exit(0)
"""


def conda_lock(*argv, cwd) -> str:
    tool = [uv.find_uv_bin(), "tool", "run", "--quiet", "--from", "conda-lock>=3", *argv]
    ran = subprocess.run(
        tool, check=False, capture_output=True, text=True, cwd=cwd, env={**os.environ, "UV_SYSTEM_CERTS": "1"}
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.network
def test_conda_locks_own_parser_reads_and_renders_what_is_written(tmp_path):
    file = tmp_path / "conda-lock.yml"
    file.write_text(form.dump_all([some(each) for each in LOCKED]))

    read = {tuple(each) for each in json.loads(conda_lock("python", "-c", PARSE, file, cwd=tmp_path))}
    conda_lock("conda-lock", "render", "-k", "explicit", "-p", "linux-64", "conda-lock.yml", cwd=tmp_path)

    listed = [each for each in some().packages if each.ecosystem != "cran" and (each.sha256 or each.origin == "vcs")]
    for each in listed:
        manager = "conda" if each.ecosystem == "conda" else "pip"
        assert (manager, "linux-64", each.name, each.version, each.url, each.sha256 or COMMIT) in read
    again = (tmp_path / "again-lock.yml").read_text()
    assert "This lock file was generated by conda-lock" in again
    assert load(again, subdir="win-64") == some("win-64")
    assert load(again, subdir="win-64").state == some("win-64").state
    rendered = (tmp_path / "conda-linux-64.lock").read_text().splitlines()
    assert {f"{each.url}#{each.md5}" for each in listed if each.ecosystem == "conda"} <= set(rendered)
    assert f"# pip git @ git+https://e.org/p@{COMMIT}#subdirectory=a" in rendered


def test_rattlers_own_parser_reads_what_is_written(tmp_path):
    file = tmp_path / "conda-lock.yml"
    snapshots = [
        replace(each, packages=tuple(p for p in each.packages if p.origin != "vcs")) for each in map(some, LOCKED)
    ]
    file.write_text(form.dump_all(snapshots))

    ran = subprocess.run([sys.executable, "-c", RATTLER, file], check=False, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert set(said) == set(LOCKED)
    assert [f"{FORGE}/win-64/python-3.12.1-hab00c5b_1_cpython.conda", "a1" * 32] in [
        each[3:5] for each in said["win-64"]
    ]
