"""pixi.lock: ours, those of pixi, those written to do harm; rattler reads what we write, and we what it writes."""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from conda_packages import COMMIT, FORGE, conda, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from venvoy.errors import InvalidInput
from venvoy.formats.rattler_lock import RattlerLock, subdirs
from venvoy.formats.subdirs import LOCKED, platform_of
from venvoy.model import Package, Snapshot

form = RattlerLock()


def some(subdir: str = "linux-64") -> Snapshot:
    return Snapshot(
        environment="",
        taken=datetime(2026, 1, 2, tzinfo=UTC),
        base="",
        language_version="3.12.1",
        platform=platform_of(subdir),
        channels=(FORGE, "https://example.org/channel"),
        packages=tuple(
            sorted(
                (
                    conda(
                        "python-3.12.1-hab00c5b_1_cpython",
                        subdir,
                        depends=("tzdata", "libffi >=3.4,<4.0a0", "__glibc >=2.17"),
                        constrains=("python_abi 3.12.* *_cp312",),
                        size=25_000_000,
                    ),
                    conda("libffi-3.4.2-h3422bc3_5", subdir, md5="1" * 31 + "e", sha256="0" * 60 + "1e10"),
                    conda("tzdata-2024a-h0c530f3_0", "noarch"),
                    conda("six-1.10-py_0", "noarch", depends=("python",)),
                    conda("epoch-1!2.0+a-0", subdir),
                    Package(
                        name="numpy", version="2.1", url="https://e.org/numpy-2.1-py3-none-any.whl", sha256="e1" * 32
                    ),
                    Package(name="zip", version="1", origin="archive", url="https://e.org/a.zip", sha256="12" * 32),
                    Package(
                        name="git", version="1", origin="vcs", url=f"git+https://e.org/p@{COMMIT}#subdirectory=a/b"
                    ),
                    Package(name="ssh", version="1.0", origin="vcs", url=f"git+ssh://git@e.org/p@{COMMIT}"),
                    Package(name="wheel-here", version="1", origin="local", url="file:///w.whl", sha256="f" * 64),
                    Package(name="mine", version="0.1", origin="editable", url="file:///home/ada/mine"),
                )
            )
        ),
    )


def load(text: str, **more) -> Snapshot:
    return form.load(text, source="pixi.lock", **more)


# --- ours ------------------------------------------------------------------------------------------------------------


def test_what_was_written_is_read_again():
    assert whole(load(form.dump(some()))) == whole(some())


def test_a_lock_is_written_as_pixi_writes_it():
    packages = (
        conda("six-1.10-py_0", "noarch", depends=("python >=3.8",), constrains=("x <2",), size=7),
        Package(name="numpy", version="2.1", url="https://e.org/numpy-2.1-py3-none-any.whl", sha256="e1" * 32),
    )

    assert form.dump(replace(some(), packages=packages, channels=("conda-forge",))) == (
        "version: 6\n"
        "environments:\n"
        "  default:\n"
        "    channels:\n"
        "    - url: https://conda.anaconda.org/conda-forge/\n"
        "    packages:\n"
        "      linux-64:\n"
        "      - conda: https://conda.anaconda.org/conda-forge/noarch/six-1.10-py_0.conda\n"
        "      - pypi: https://e.org/numpy-2.1-py3-none-any.whl\n"
        "packages:\n"
        "- conda: https://conda.anaconda.org/conda-forge/noarch/six-1.10-py_0.conda\n"
        f"  sha256: {'a1' * 32}\n"
        f"  md5: '{'11' * 16}'\n"
        "  depends:\n"
        "  - 'python >=3.8'\n"
        "  constrains:\n"
        "  - 'x <2'\n"
        "  size: 7\n"
        "- pypi: https://e.org/numpy-2.1-py3-none-any.whl\n"
        "  name: numpy\n"
        "  version: '2.1'\n"
        f"  sha256: {'e1' * 32}\n"
    )


def test_a_channel_is_written_by_its_address():
    mirrored = conda(
        "six-1.10-py_0", channel="https://e.org/bioconda", url="https://e.org/bioconda/noarch/six-1.10-py_0.conda"
    )
    text = form.dump(replace(some(), channels=("bioconda", "conda-forge", "defaults"), packages=(mirrored,)))

    assert load(text).channels == (
        "https://e.org/bioconda",
        "https://conda.anaconda.org/conda-forge",
        "https://repo.anaconda.com/pkgs/main",
        "https://repo.anaconda.com/pkgs/r",
    )


def test_the_same_state_gives_the_same_text_whatever_the_order_and_the_clock():
    other = replace(some(), taken=datetime.now(UTC), environment="x", packages=tuple(reversed(some().packages)))

    assert form.dump(other) == form.dump(some())


def test_one_lock_holds_every_platform_and_what_is_for_all_once():
    snapshots = [some(subdir) for subdir in LOCKED]
    text = form.dump_all(snapshots)

    assert text == form.dump_all(snapshots[::-1])
    assert subdirs(text, source="x") == tuple(sorted(LOCKED))
    assert text.count("\n- conda: https://conda.anaconda.org/conda-forge/noarch/tzdata") == 1
    for subdir, snapshot in zip(LOCKED, snapshots, strict=True):
        assert whole(load(text, subdir=subdir)) == whole(snapshot)


def test_what_has_no_address_is_named():
    text = form.dump(
        replace(
            some(),
            packages=(
                Package(name="private", version="3"),
                Package(name="evil", version="3\nversion: 7"),
                Package(name="ggplot2", version="3.5.1", ecosystem="cran", url="https://cran.example.org/g.tar.gz"),
                Package(name="old", version="2004d-x", url="https://e.org/a.zip"),
            ),
        )
    )

    assert text.splitlines()[:4] == [
        "# left out, as there is no place for it here: 'evil=3\\nversion: 7'",
        "# left out, as there is no place for it here: ggplot2=3.5.1",
        "# left out, as there is no place for it here: old=2004d-x",
        "# left out, as there is no place for it here: private=3",
    ]
    assert load(text).packages == ()


def test_no_credentials_are_written():
    channel = "https://ada:secret@example.org/t/sesame-1/private"
    package = conda("six-1.10-py_0", channel=channel, url=f"{channel}/noarch/six-1.10-py_0.conda")
    wheel = Package(name="a", version="1", url="https://ada:secret@example.org/a-1-py3-none-any.whl", sha256="f" * 64)
    text = form.dump(replace(some(), channels=(channel,), packages=(package, wheel)))

    assert "secret" not in text
    assert "sesame" not in text
    assert len(load(text).packages) == 2


@pytest.mark.parametrize("platforms", [(), ("linux-64", "linux-64")])
def test_a_lock_has_one_snapshot_for_each_platform(platforms):
    with pytest.raises(InvalidInput, match=r"no snapshot|two snapshots for linux-64"):
        form.dump_all([some(each) for each in platforms])


# --- of others -------------------------------------------------------------------------------------------------------

FOREIGN = f"""\
version: 7
platforms:
- name: linux-64
  virtual-packages: [__glibc=2.28]
- name: old-linux
  subdir: linux-64
environments:
  default:
    channels:
    - url: https://ada:secret@conda.anaconda.org/t/sesame/conda-forge/
    indexes:
    - https://pypi.org/simple
    options: {{pypi-prerelease-mode: if-necessary}}
    packages:
      old-linux:
      - conda: {FORGE}/linux-64/python-3.10-hab00c5b_1_cpython.conda
      - conda: /srv/channel/noarch/odd.name-1-0.conda
      - pypi: .
      - pypi: ./libs/two
      - pypi: /home/ada/three
      - pypi: git+https://example.org/p?tag=v1&subdirectory=sub#{COMMIT}
        extras: [x]
      - pypi: https://u:p@files.example.org/Some_Thing-1.0-py3-none-any.whl
  test:
    channels: []
    packages: {{}}
packages:
- conda: {FORGE}/linux-64/python-3.10-hab00c5b_1_cpython.conda
  sha256: {"12" * 32}
  md5: 12345678901234567890123456789012
  depends: [bzip2 >=1.0.8]
  license: Python-2.0
  size: 123
- conda: /srv/channel/noarch/odd.name-1-0.conda
  name: odd.name
  version: '1'
  sha256: {"ab" * 32}
- pypi: .
  name: One
  editable: true
- pypi: ./libs/two
  name: two
  version: '2'
- pypi: /home/ada/three
  name: three
- pypi: git+https://example.org/p?tag=v1&subdirectory=sub#{COMMIT}
  name: checkout
  version: 1.0
- pypi: https://u:p@files.example.org/Some_Thing-1.0-py3-none-any.whl
  name: some-thing
  version: 1.0
  sha256: {"ab" * 32}
  requires_dist: ['six>1 ; extra == "x"']
  requires_python: '>=3.9'
"""


def test_a_lock_of_pixi_is_read():
    assert load(FOREIGN) == Snapshot(
        environment="",
        taken=datetime.now(UTC),
        base="",
        language_version="3.10",
        platform="linux-x86_64",
        channels=("https://conda.anaconda.org/conda-forge",),
        packages=(
            conda(
                "odd.name-1-0",
                channel="file:///srv/channel",
                url="file:///srv/channel/noarch/odd.name-1-0.conda",
                sha256="ab" * 32,
            ),
            conda("python-3.10-hab00c5b_1_cpython", sha256="12" * 32),
            Package(
                name="checkout", version="1.0", origin="vcs", url=f"git+https://example.org/p@{COMMIT}#subdirectory=sub"
            ),
            Package(name="one", version="", origin="editable", url="."),
            Package(
                name="some-thing",
                version="1.0",
                url="https://files.example.org/Some_Thing-1.0-py3-none-any.whl",
                sha256="ab" * 32,
            ),
            Package(name="three", version="", origin="local", url="file:///home/ada/three"),
            Package(name="two", version="2", origin="local", url="./libs/two"),
        ),
    )
    python = load(FOREIGN).package("python")
    assert (python.md5, python.size, python.depends) == ("12345678901234567890123456789012", 123, ("bzip2 >=1.0.8",))


def test_an_environment_or_a_platform_that_is_not_there_is_named():
    with pytest.raises(InvalidInput, match="has no environment 'docs'") as wrong:
        load(FOREIGN, environment_name="docs")
    with pytest.raises(InvalidInput, match="is for 0 platforms"):
        load(FOREIGN, environment_name="test")
    with pytest.raises(InvalidInput, match="is not for win-64"):
        load(FOREIGN, subdir="win-64")

    assert wrong.value.hint == "it has: default, test"


# --- wrong -----------------------------------------------------------------------------------------------------------

PINNED = Package(name="a", version="1", origin="archive", url="https://e.org/a.zip", sha256="12" * 32)
GOOD = form.dump(replace(some(), packages=(conda("six-1.10-py_0", depends=("x",), size=7), PINNED)))
URL = f"{FORGE}/linux-64/six-1.10-py_0.conda"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("version: 6\n", "version: 5\n", "versions 6 and 7 of pixi.lock are read"),
        ("version: 6\n", "", "its version is None"),
        ("environments:\n", "environment:\n", "environments is no mapping"),
        ("  default:\n", "  other:\n", "has no environment 'default'"),
        ("      linux-64:\n", "      linux-65:\n", "there is no platform 'linux-65'"),
        ("    channels:\n    - url:", "    channels: x\n    other:\n    - url:", "channels is no list"),
        ("    - url: https://e", "    - url: ftp://e", "is no address"),
        ("\npackages:\n", "\npackages: x\nmore:\n", "packages is no list"),
        ("\npackages:\n", "\npackages:\n- x\n", "package 1 is neither of conda nor"),
        ("\npackages:\n", "\npackages:\n- conda: [x]\n", "package 1 is neither of conda nor"),
        (f"      - conda: {URL}\n", "      - x\n", "'x' is neither of conda nor"),
        (
            f"      - conda: {URL}\n",
            "      - conda: https://u:secret@e.org/x\n",
            "nothing is said of 'https://e.org/x'",
        ),
        (URL, "../six", "which only pixi follows"),
        (URL, "https://example.org/a/six-1.conda", "is no conda package"),
        (URL, "ftp://example.org/noarch/six-1.10-py_0.conda", "is no address"),
        ("\n  depends:\n  - x\n", "\n  depends: x\n", "depends is no list"),
        ("\n  depends:\n  - x\n", "\n  depends:\n  - [x]\n", "depends is no list of match specs"),
        ("\n  size: 7\n", "\n  size: -7\n", "its size is '-7'"),
        ("\n  size: 7\n", "\n  size: [7]\n", "its size is a list"),
        (f"  sha256: {'a1' * 32}\n", "  sha256: x\n", "'x' is no sha256"),
        (f"  md5: '{'11' * 16}'\n", "  md5: [x]\n", "a list or a mapping is no md5"),
        ("\n  name: a\n", "\n", "its name is None"),
        ("\n  name: a\n", "\n  name: --index-url=https://evil.example\n", "is no name of a package"),
        ("\n  version: '1'\n", "\n  version: 1 --index-url https://evil.example\n", "is no version"),
        ("https://e.org/a.zip", "ftp://e.org/a.zip", "is no address"),
    ],
)
def test_a_wrong_lock_is_refused_with_what_is_wrong(old, new, complaint):
    assert old in GOOD

    with pytest.raises(InvalidInput, match=complaint) as refused:
        load(GOOD.replace(old, new))

    assert "secret" not in refused.value.message


@pytest.mark.parametrize("text", ["", "[]", "just words", "a: [", "[" * 900, "- " * 900, "a: &a [*a]"])
def test_what_is_no_lock_is_refused(text):
    with pytest.raises(InvalidInput, match=r"pixi\.lock"):
        load(text)


@settings(deadline=None)
@given(st.recursive(st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5), st.data())
def test_any_value_in_any_place_is_read_or_refused(value, data):
    said = YAML(typ="base", pure=True).load(FOREIGN)
    environment = said["environments"]["default"]
    places = [
        said,
        environment,
        environment["packages"],
        said["platforms"][0],
        *said["packages"],
        *environment["packages"]["old-linux"],
    ]
    place = data.draw(st.sampled_from(places))
    place[data.draw(st.sampled_from(sorted(place)))] = value

    with suppress(InvalidInput):
        load(json.dumps(said))


# --- rattler itself --------------------------------------------------------------------------------------------------

RATTLER = """
import json, os, sys
from pathlib import Path
from rattler import LockFile
lock = LockFile.from_path(Path(sys.argv[1]))
lock.to_path(Path(sys.argv[2]))
environment = lock.default_environment()
said = {}
for platform in environment.platforms():
    said[platform.name] = [
        [
            [record.name.normalized, str(record.version), str(record.build), record.url, record.channel,
             record.sha256.hex(), record.md5.hex(), list(record.depends), list(record.constrains), record.size]
            for record in environment.conda_repodata_records_for_platform(platform)
        ],
        [
            [each.name, each.location, each.hashes.sha256.hex() if each.hashes._hashes else None]
            for each in environment.packages(platform) if "Pypi" in type(each).__name__
        ],
    ]
print(json.dumps(said))
sys.stdout.flush()
os._exit(0)
"""


def test_rattler_reads_what_is_written_and_we_what_it_makes_of_it(tmp_path):
    ours, theirs = tmp_path / "pixi.lock", tmp_path / "theirs.lock"
    ours.write_text(form.dump_all([some(each) for each in LOCKED]))

    ran = subprocess.run([sys.executable, "-c", RATTLER, ours, theirs], check=False, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert set(said) == set(LOCKED)
    for subdir in LOCKED:
        assert sorted(said[subdir][0]) == [
            [
                each.name, each.version, each.build, each.url, f"{FORGE}/",
                each.sha256, each.md5, list(each.depends), list(each.constrains), each.size,
            ]
            for each in some(subdir).packages
            if each.ecosystem == "conda"
        ]  # fmt: skip
        assert sorted(said[subdir][1]) == [
            ["git", f"git+https://e.org/p?subdirectory=a/b&rev={COMMIT}#{COMMIT}", None],
            ["mine", "/home/ada/mine", None],
            ["numpy", "https://e.org/numpy-2.1-py3-none-any.whl", "e1" * 32],
            ["ssh", f"git+ssh://git@e.org/p?rev={COMMIT}#{COMMIT}", None],
            ["wheel-here", "/w.whl", "f" * 64],
            ["zip", "https://e.org/a.zip", "12" * 32],
        ]
        again = load(theirs.read_text(), subdir=subdir)
        # Its version 7 does not say what is editable, nor the versions of folders.
        folder = Package(name="mine", version="", origin="local", url="file:///home/ada/mine")
        kept = (*(each for each in some(subdir).packages if each.origin != "editable"), folder)
        assert again == replace(some(subdir), packages=tuple(sorted(kept)))
    assert theirs.read_text().startswith("version: 7\n")
