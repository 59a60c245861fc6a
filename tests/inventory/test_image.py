"""What an image says of itself is read whatever it says; real images of each system are asked in test_contents_of."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.inventory.image import read
from venvoy.model import Package

PYTHON = {
    "path": "/usr/local/bin/python3", "version": "3.12.1", "abi": "cp312", "platform": "linux-x86_64",
    "libc": "musl-1.2.4", "digest": "d" * 64,
}  # fmt: skip
ALPINE = f"""\
== machine
x86_64
== os-release
NAME="Alpine Linux"
PRETTY_NAME="Alpine Linux v3.19"
== libc
musl libc (x86_64)
Version 1.2.4_git20230717
Dynamic Program Loader
== dpkg
== apk
alpine-baselayout-3.4.3-r2
libcrypto3-3.1.4-r5
WARNING: opening /etc/apk: nothing
== rpm
== python
{json.dumps(PYTHON)}
[["pypi", "Jinja2", "3.1.3", ""], ["conda", "openssl", "3.2.1", "hd590300_0"]]
== r
== end
"""
FEDORA = """\
== machine
aarch64
== os-release
PRETTY_NAME="Fedora Linux 40"
== libc
ldd (GNU libc) 2.39
== dpkg
== apk
== rpm
bash\t(none)\t5.2.26-3.fc40\taarch64
shadow-utils\t2\t4.15.1-4.fc40\taarch64
gpg-pubkey\t(none)\ta15b79cc-63d04c2c\t(none)
== python
== r
/usr/bin/Rscript
4.3.3
base\t4.3.3
MASS\t7.3-60
== end
"""


def test_an_image_of_alpine_is_read():
    said = read(ALPINE)

    assert (said.machine, said.system, said.libc) == ("x86_64", "Alpine Linux v3.19", "musl-1.2.4")
    assert said.python is not None
    assert (str(said.python.path), said.python.minor) == ("/usr/local/bin/python3", "3.12")
    assert said.of("apk") == (
        Package(ecosystem="apk", name="alpine-baselayout", version="3.4.3-r2"),
        Package(ecosystem="apk", name="libcrypto3", version="3.1.4-r5"),
    )
    assert said.of("pypi") == (Package(name="jinja2", version="3.1.3"),)
    assert said.of("conda") == (Package(ecosystem="conda", name="openssl", version="3.2.1", build="hd590300_0"),)


def test_an_image_of_fedora_with_r_is_read():
    said = read(FEDORA)

    assert (said.libc, said.python, said.rscript, said.r_version) == ("glibc-2.39", None, "/usr/bin/Rscript", "4.3.3")
    assert [(each.name, each.version) for each in said.of("rpm")] == [
        ("bash", "5.2.26-3.fc40"), ("shadow-utils", "2:4.15.1-4.fc40"),
    ]  # fmt: skip
    assert [each.name for each in said.of("cran")] == ["MASS", "base"]


@pytest.mark.parametrize("cut", range(0, len(ALPINE) - 1, 97))
def test_an_answer_that_was_cut_short_is_none(cut):
    with pytest.raises(InvalidInput, match=r"did not say all|does not say"):
        read(ALPINE[:cut])


@pytest.mark.parametrize(
    "odd", ["no json", "[1]", '{"path": 3}', '{"path": "/p"}', "null", json.dumps({**PYTHON, "more": 1}), "[" * 10_000]
)
def test_a_python_that_says_something_else_is_refused(odd):
    with pytest.raises(InvalidInput, match="does not say what it is"):
        read(ALPINE.replace(json.dumps(PYTHON), odd))


@pytest.mark.parametrize("odd", ["no json", "3", "[3]", '[["pypi", "six"]]', '[["pypi", 3, "1", ""]]', "[null]"])
def test_a_python_that_has_something_else_is_refused(odd):
    start, _, end = ALPINE.partition('[["pypi"')
    with pytest.raises(InvalidInput, match="does not say what it has"):
        read(f"{start}{odd}\n{end.partition(chr(10))[2]}")


@given(st.text())
def test_no_text_is_worse_than_refused(text):
    with contextlib.suppress(InvalidInput):
        read(text + "\n== end\n")
