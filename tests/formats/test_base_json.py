"""What is in an image: written so that equal contents have equal names, and read so that nobody's word is trusted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.formats import base_json
from venvoy.model import Base, Contents, Package

PYTHON = Base(
    path=Path("/usr/bin/python3"),
    version="3.11.2",
    abi="cp311",
    platform="linux-x86_64",
    libc="glibc-2.36",
    digest="d" * 64,
)
CONTENTS = Contents(
    machine="x86_64",
    system="Debian GNU/Linux 12 (bookworm)",
    libc="glibc-2.36",
    python=PYTHON,
    rscript="/usr/bin/Rscript",
    r_version="4.2.2",
    packages=(
        Package(ecosystem="cran", name="MASS", version="7.3-58"),
        Package(ecosystem="deb", name="libc6", version="2.36-9+deb12u14", build="amd64"),
        Package(name="pip", version="23.0.1"),
    ),
)
words = st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


def test_contents_come_back_as_they_were_written():
    assert base_json.load(base_json.dump(CONTENTS)) == CONTENTS
    assert base_json.contents(base_json.told(CONTENTS)) == CONTENTS


def test_equal_contents_have_equal_names_in_whatever_order_they_were_seen():
    other = replace(CONTENTS, packages=tuple(reversed(CONTENTS.packages)))

    assert base_json.name(other) == base_json.name(CONTENTS)
    assert base_json.name(replace(CONTENTS, libc="glibc-2.37")) != base_json.name(CONTENTS)


@given(st.lists(st.tuples(words, words, st.just("") | words), max_size=8))
def test_any_packages_come_back(listed):
    packages = tuple(sorted({Package(ecosystem="rpm", name=n, version=v, build=b) for n, v, b in listed}))

    assert base_json.load(base_json.dump(replace(CONTENTS, packages=packages))).packages == packages


@pytest.mark.parametrize(
    "change",
    [
        {"format": "venvoy-base-9"},
        {"system": "Debian\x1b[2J"},
        {"system": ["Debian"]},
        {"machine": "x" * 501},
        {"unknown": "key"},
        {"python": {"path": "/usr/bin/python3"}},
        {"python": {**base_json.told(CONTENTS)["python"], "path": "python3"}},
        {"python": {**base_json.told(CONTENTS)["python"], "version": "three"}},
        {"python": {**base_json.told(CONTENTS)["python"], "digest": 3}},
        {"python": []},
        {"packages": []},
        {"packages": {"deb": "libc6 2.36"}},
        {"packages": {"deb": ["libc6"]}},
        {"packages": {"deb": ["libc6 2.36 amd64 more"]}},
        {"packages": {"deb": ["libc6 2.\x1b[31m36"]}},
        {"packages": {"gem": ["rake 13"]}},
        {"packages": {"deb": [None]}},
    ],
)
def test_what_is_not_as_we_write_it_is_refused(change):
    said = {**json.loads(base_json.dump(CONTENTS)), **change}

    with pytest.raises(InvalidInput, match="not what is in an image"):
        base_json.load(json.dumps(said))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, '{"format":"venvoy-base-1"}'])
def test_what_is_none_at_all_is_refused(text):
    with pytest.raises(InvalidInput, match="not what is in an image"):
        base_json.load(text)
