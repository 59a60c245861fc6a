"""Explicit lists: ours in the order of installation, those of others, those written to do harm; the tools read them."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
import uv
from conda_packages import COMMIT, FORGE
from conda_packages import conda as hashed
from hypothesis import given
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.formats.explicit import MARK, Explicit, in_order
from venvoy.formats.origins import public
from venvoy.formats.subdirs import LOCKED, platform_of
from venvoy.model import Package, Snapshot

form = Explicit()
conda = partial(hashed, sha256="", md5="1a" * 16)


def state(*packages: Package, subdir: str = "linux-64") -> Snapshot:
    return Snapshot(
        environment="demo",
        taken=datetime(2026, 1, 2, tzinfo=UTC),
        base="",
        language_version=next((each.version for each in packages if each.name == "python"), ""),
        platform=platform_of(subdir),
        channels=(FORGE,) if any(each.channel for each in packages) else (),
        packages=tuple(sorted(packages)),
    )


def some(subdir: str = "linux-64") -> Snapshot:
    return state(
        conda("python-3.12.1-hab00c5b_1_cpython", subdir, depends=("tzdata", "zlib >=1.2,<2.0a0", "pip")),
        conda("zlib-1.2-h_0", subdir, depends=("__glibc >=2.17",)),
        conda("tzdata-2024a-h0c530f3_0", "noarch"),
        conda("attrs-25.1-py_0", "noarch"),
        conda("pip-24.0-pyhd8ed1ab_0", "noarch", depends=("python >=3.8",)),
        conda("epoch-1!2.0+a-0", subdir),
        Package(name="numpy", version="2.1.0", url="https://e.org/numpy-2.1.0-py3-none-any.whl", sha256="e1" * 32),
        Package(name="zip", version="", origin="archive", url="https://e.org/a.zip#subdirectory=b", sha256="12" * 32),
        Package(name="git", version="", origin="vcs", url=f"git+https://e.org/p@{COMMIT}#subdirectory=a"),
        Package(name="here", version="", origin="local", url="file:///home/ada/here"),
        Package(name="private", version="3"),
        subdir=subdir,
    )


def load(text: str) -> Snapshot:
    return form.load(text, source="explicit.txt")


# --- ours ------------------------------------------------------------------------------------------------------------


def test_a_list_has_dependencies_first_and_python_before_what_is_linked_into_it():
    assert form.dump(some()) == (
        "# platform: linux-64\n"
        "@EXPLICIT\n"
        f"{FORGE}/linux-64/epoch-1!2.0+a-0.conda#{'1a' * 16}\n"
        f"{FORGE}/noarch/tzdata-2024a-h0c530f3_0.conda#{'1a' * 16}\n"
        f"{FORGE}/linux-64/zlib-1.2-h_0.conda#{'1a' * 16}\n"
        f"{FORGE}/linux-64/python-3.12.1-hab00c5b_1_cpython.conda#{'1a' * 16}\n"
        f"{FORGE}/noarch/attrs-25.1-py_0.conda#{'1a' * 16}\n"
        f"{FORGE}/noarch/pip-24.0-pyhd8ed1ab_0.conda#{'1a' * 16}\n"
        f"# pip git @ git+https://e.org/p@{COMMIT}#subdirectory=a\n"
        "# pip here @ file:///home/ada/here\n"
        f"# pip numpy @ https://e.org/numpy-2.1.0-py3-none-any.whl#sha256={'e1' * 32}\n"
        "# pip private == 3\n"
        f"# pip zip @ https://e.org/a.zip#subdirectory=b&sha256={'12' * 32}\n"
    )


@pytest.mark.parametrize("subdir", LOCKED)
def test_what_was_written_is_read_again(subdir):
    assert MARK.search(form.dump(some(subdir)))
    assert load(form.dump(some(subdir))) == some(subdir)
    assert [each.md5 for each in load(form.dump(some(subdir))).packages if each.ecosystem == "conda"] == ["1a" * 16] * 6


@pytest.mark.parametrize(
    ("asked", "md5", "sha256", "written"),
    [
        ("md5", "1a" * 16, "2b" * 32, "#" + "1a" * 16),
        ("md5", "", "2b" * 32, "#sha256:" + "2b" * 32),
        ("sha256", "1a" * 16, "2b" * 32, "#sha256:" + "2b" * 32),
        ("sha256", "1a" * 16, "", "#" + "1a" * 16),
        ("md5", "", "", ""),
    ],
)
def test_the_digest_that_is_asked_for_is_written_or_the_other(asked, md5, sha256, written):
    text = Explicit(hash=asked).dump(state(conda("six-1-0", md5=md5, sha256=sha256)))

    assert text.splitlines()[2] == f"{FORGE}/linux-64/six-1-0.conda{written}"
    read = load(text).package("six")
    assert (f"#{read.md5}" if read.md5 else f"#sha256:{read.sha256}" if read.sha256 else "") == written


def test_what_has_no_address_is_named_and_cannot_break_the_list():
    text = form.dump(
        state(
            conda("built-1-0", url="", channel=""),
            conda("evil-1-0", url=f"{FORGE}/linux-64/evil-1-0.conda\nhttps://evil.example/linux-64/x-1-0.conda"),
            Package(
                name="ggplot2", version="3.5.1", ecosystem="cran", url="https://cran.example.org/ggplot2_3.5.1.tar.gz"
            ),
            Package(name="line", version="1\n@EVIL"),
            Package(name="url", version="1", origin="archive", url="https://e.org/a\nhttps://evil.example/x"),
        )
    )

    assert text == (
        "# platform: linux-64\n"
        "@EXPLICIT\n"
        "# left out, as there is no place for it here: built=1=0\n"
        "# left out, as there is no place for it here: evil=1=0\n"
        "# left out, as there is no place for it here: ggplot2=3.5.1\n"
        "# left out, as there is no place for it here: 'line=1\\n@EVIL'\n"
        "# left out, as there is no place for it here: url=1\n"
    )
    assert load(text).packages == ()


def test_an_editable_install_is_one_of_its_folder():
    mine = Package(name="mine", version="1", origin="editable", url="file:///home/ada/mine")

    assert load(form.dump(state(mine))).package("mine") == replace(mine, origin="local", version="")


def test_a_platform_that_conda_does_not_have_is_refused():
    with pytest.raises(InvalidInput, match="conda has no packages for 'plan9-mips'"):
        form.dump(replace(some(), platform="plan9-mips"))


@given(st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=8))
def test_every_package_comes_after_what_it_needs_where_that_is_possible(graph):
    packages = [
        conda(f"p{n}-1-0", depends=tuple(f"p{each} >=1" for each in needs if each < n)) for n, needs in enumerate(graph)
    ]
    ordered = [each.name for each in in_order(reversed(packages))]

    assert sorted(ordered) == [each.name for each in packages]
    for each in packages:
        assert all(ordered.index(spec.split()[0]) < ordered.index(each.name) for spec in each.depends)


@given(st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=8))
def test_packages_that_wait_for_each_other_are_all_listed(graph):
    packages = [conda(f"p{n}-1-0", depends=tuple(f"p{each}" for each in needs)) for n, needs in enumerate(graph)]

    assert in_order(packages) == in_order(packages[::-1])
    assert sorted(in_order(packages)) == packages


# --- of others -------------------------------------------------------------------------------------------------------


def test_a_list_of_conda_is_read():
    text = (
        "# This file may be used to create an environment using:\r\n"
        "# $ conda create --name <env> --file <this file>\r\n"
        "# created-by: conda 24.11.0\r\n"
        "@EXPLICIT\r\n"
        "\r\n"
        "https://ada:secret@example.org/t/sesame/private/noarch/my-tool-1!2.0-py_0.tar.bz2\r\n"
        f"  {FORGE}/osx-arm64/python-3.12.3-h4a7b5fc_0_cpython.conda#{'2b' * 32}\r\n"
        "file:///home/t/channel/noarch/six-1-0.conda\r\n"
        "/opt/a channel/noarch/abs-1-0.conda\r\n"
        "# pip six == 1.17 --hash=sha256:" + "12" * 32 + "\r\n"
        "# pip Old_Name @ https://e.org/old_name-1.0.tar.gz --hash=sha256:" + "34" * 32 + "\r\n"
        "# pip install what is below by hand\r\n"
    )

    read = load(text)

    assert read.platform == "darwin-arm64"
    assert read.language_version == "3.12.3"
    assert read.channels == (
        "https://example.org/private",
        FORGE,
        "file:///home/t/channel",
        "file:///opt/a%20channel",
    )
    assert [(each.ecosystem, each.name, each.version, each.build, each.url, each.sha256) for each in read.packages] == [
        ("conda", "abs", "1", "0", "file:///opt/a%20channel/noarch/abs-1-0.conda", ""),
        ("conda", "my-tool", "1!2.0", "py_0", "https://example.org/private/noarch/my-tool-1!2.0-py_0.tar.bz2", ""),
        (
            "conda",
            "python",
            "3.12.3",
            "h4a7b5fc_0_cpython",
            f"{FORGE}/osx-arm64/python-3.12.3-h4a7b5fc_0_cpython.conda",
            "2b" * 32,
        ),
        ("conda", "six", "1", "0", "file:///home/t/channel/noarch/six-1-0.conda", ""),
        ("pypi", "old-name", "1.0", "", "https://e.org/old_name-1.0.tar.gz", "34" * 32),
        ("pypi", "six", "1.17", "", "", "12" * 32),
    ]


def test_a_list_of_what_is_for_every_platform_is_for_none():
    assert load(f"@EXPLICIT\n{FORGE}/noarch/six-1-0.conda\n").platform == ""


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://ada:secret@example.org/a.whl", "https://example.org/a.whl"),
        ("https://token@example.org:8443/a.whl", "https://example.org:8443/a.whl"),
        ("https://pypi.example.org/t/sesame/ada/a.whl", "https://pypi.example.org/ada/a.whl"),
        ("https://example.org/source/t/tqdm/tqdm-4.tar.gz", "https://example.org/source/t/tqdm/tqdm-4.tar.gz"),
        ("git+https://ada:secret@example.org/p@main", "git+https://example.org/p@main"),
        ("git+ssh://git:secret@example.org/p@main", "git+ssh://git@example.org/p@main"),
        ("https://ada:secret@", ""),
        ("https://a@b@c", "https://c"),
        ("https:///etc/passwd", ""),
        ("https://good.example\\@evil.example/", ""),
        ("ssh://example.org/a", ""),
        ("HTTPS://example.org/a", ""),
        ("https://example.org/a b", ""),
        ("https://example.org/a\tb", ""),
        ("https://example.org/\u202ea", ""),
        ("", ""),
    ],
)
def test_an_address_is_left_without_what_lets_somebody_in(url, left):
    assert public(url) == left


# --- wrong -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no line in it is @EXPLICIT"),
        (f"{FORGE}/noarch/six-1-0.conda\n", "no line in it is @EXPLICIT"),
        ("@EXPLICIT\nsix\n", "line 2: 'six' is no address"),
        ("@EXPLICIT\nsix-1-0.conda\n", "line 2: 'six-1-0.conda' is no address"),
        ("@EXPLICIT\nftp://example.org/noarch/six-1-0.conda\n", "line 2: 'ftp"),
        ("@EXPLICIT\ngit+https://example.org/noarch/six-1-0.conda\n", "line 2: 'git"),
        ("@EXPLICIT\n--file=/etc/passwd\n", "is no address"),
        ("@EXPLICIT\nhttps://example.org/noarch/six-1-0.conda?x=1\n", "is no conda package"),
        ("@EXPLICIT\nhttps://example.org/noarch/six-1.conda\n", "is no conda package"),
        ("@EXPLICIT\nhttps://example.org/noarch/..%2Fsix-1-0.conda\n", "is no conda package"),
        ("@EXPLICIT\nhttps://example.org/noarch/six-1-0%0a.conda\n", "is no conda package"),
        ("@EXPLICIT\nhttps://example.org/noarch/six-1-0.conda#xyz\n", "line 2: 'xyz' is no md5"),
        ("@EXPLICIT\nhttps://example.org/noarch/six-1-0.conda#sha256:xyz\n", "line 2: 'xyz' is no sha256"),
        ("@EXPLICIT\nhttps://example.org/noarch/six-1-0.conda\x0bhttps://x\n", "is no address"),
        ("@EXPLICIT\nhttps://e.org/noarch/six-1-0.conda\nhttps://e.org/noarch/six-2-0.conda\n", "has six twice"),
        ("@EXPLICIT\nhttps://e.org/linux-64/a-1-0.conda\nhttps://e.org/win-64/b-2-0.conda\n", "linux-64, win-64"),
        ("# platform: osx-64\n@EXPLICIT\nhttps://e.org/linux-64/a-1-0.conda\n", "several platforms: linux-64, osx-64"),
        ("# platform: beos\n@EXPLICIT\n", "there is no platform 'beos'"),
        ("@EXPLICIT\n# pip --index-url=https://evil.example x\n", "not as conda-lock writes"),
        ("@EXPLICIT\n# pip a @ ftp://evil.example/x\n", "is no address"),
        ("@EXPLICIT\n# pip a- @ https://e.org/x\n", "'a-' is no name"),
        ("@EXPLICIT\n# pip a @ https://e.org/x#sha256=1\n", "'1' is no sha256"),
    ],
)
def test_a_wrong_list_is_refused_with_the_line_and_what_is_wrong(text, complaint):
    with pytest.raises(InvalidInput, match=complaint):
        load(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    with suppress(InvalidInput):
        load(f"@EXPLICIT\n{text}")


def test_no_credentials_are_told_in_an_error():
    for line in ("https://ada:secret@example.org/six.conda", "ftp://ada:secret@example.org/six.conda"):
        with pytest.raises(InvalidInput) as wrong:
            load(f"@EXPLICIT\n{line}\n")
        assert "secret" not in wrong.value.message


# --- the tools themselves --------------------------------------------------------------------------------------------

RATTLER = """
import json, os, sys
from pathlib import Path
from rattler.explicit_environment import ExplicitEnvironmentSpec
spec = ExplicitEnvironmentSpec.from_path(Path(sys.argv[1]))
print(json.dumps([str(spec.platform), [each.url for each in spec.packages]]))
sys.stdout.flush()
os._exit(0)
"""
PIP = """
import json, sys
from pip._internal.req.constructors import install_req_from_line
said = [install_req_from_line(line.split("# pip ")[1]) for line in sys.stdin.read().splitlines() if line.startswith("# pip ")]
print(json.dumps([[each.name, each.link and each.link.url_without_fragment, each.link and each.link.hash] for each in said]))
"""


@pytest.mark.parametrize("subdir", LOCKED)
def test_rattlers_own_parser_reads_what_is_written(tmp_path, subdir):
    file = tmp_path / "explicit.txt"
    file.write_text(form.dump(some(subdir)))

    ran = subprocess.run([sys.executable, "-c", RATTLER, file], check=False, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    platform, urls = json.loads(ran.stdout)
    assert subdir in platform
    assert urls == [line for line in file.read_text().splitlines() if line.startswith("https://")]


@pytest.mark.network
def test_pip_reads_the_lines_that_conda_lock_hands_it():
    argv = [uv.find_uv_bin(), "tool", "run", "--quiet", "--from", "pip>=24", "python", "-c", PIP]

    ran = subprocess.run(
        argv,
        input=form.dump(some()),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "UV_SYSTEM_CERTS": "1"},
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [
        ["git", f"git+https://e.org/p@{COMMIT}", None],
        ["here", "file:///home/ada/here", None],
        ["numpy", "https://e.org/numpy-2.1.0-py3-none-any.whl", "e1" * 32],
        ["private", None, None],
        ["zip", "https://e.org/a.zip", "12" * 32],
    ]
