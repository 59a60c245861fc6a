"""What every format promises, asked of all of them."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.formats.registry import CONDA, FORMATS, UNHASHED, lacking
from venvoy.model import Package, Snapshot

DATED = {"rocrate"}
"""A research object says by its own rules on which day it was published."""
SHA = "a" * 64
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"
OF_EVERY_KIND = (
    Package(name="six", version="1.17.0", url="https://files.pythonhosted.org/packages/six-1.17.0-py3-none-any.whl", sha256=SHA),
    Package(name="docopt", version="0.6.2", url="https://files.pythonhosted.org/packages/docopt-0.6.2.tar.gz", sha256=SHA),
    Package(name="unlocked", version="1.0"),
    Package(name="torch", version="2.0+cpu"),
    Package(name="ancient", version="2004d"),
    Package(name="archive", version="1", origin="archive", url="https://example.org/a.tar.gz#subdirectory=src", sha256=SHA),
    Package(name="unhashed", version="1", origin="archive", url="https://example.org/a.tar.gz"),
    Package(name="vcs", version="1", origin="vcs", url=f"git+https://example.org/p@{COMMIT}#subdirectory=src"),
    Package(name="local", version="1", origin="local", url="file:///home/ada/local"),
    Package(name="editable", version="1", origin="editable", url="file:///home/ada/editable"),
)  # fmt: skip

texts = st.text(max_size=12)
packages = st.builds(
    Package,
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    version=st.one_of(st.sampled_from(["1.0", "2!1.0.post1", "1.0+cpu", "2004d"]), texts.filter(str.strip)),
    origin=st.sampled_from(["index", "archive", "vcs", "local", "editable"]),
    url=st.one_of(st.sampled_from([each.url for each in OF_EVERY_KIND]), st.from_regex(r"[!-~]{0,20}", fullmatch=True)),
    sha256=st.sampled_from(["", SHA]),
    direct=st.sampled_from([None, True, False]),
)
snapshots = st.builds(
    Snapshot,
    environment=st.from_regex(r"[A-Za-z0-9]([\w.-]{0,8}[A-Za-z0-9])?", fullmatch=True),
    taken=st.datetimes(timezones=st.just(UTC)),
    base=st.just("b" * 64),
    language_version=st.sampled_from(["3.9.18", "3.12.1", "3.14.0rc1"]),
    platform=st.sampled_from(["linux-x86_64", "darwin-arm64"]),
    packages=st.lists(packages, max_size=5, unique_by=lambda package: package.name).map(tuple),
)


@pytest.fixture(params=FORMATS.values(), ids=FORMATS)
def form(request):
    return request.param


def test_it_is_known_by_its_name(form):
    assert FORMATS[form.name] is form
    assert form.filename == Path(form.filename).name


def test_equal_snapshots_give_equal_text(form, snapshot):
    one = snapshot(*OF_EVERY_KIND)
    taken = one.taken if form.name in DATED else datetime(2030, 1, 1, tzinfo=UTC)
    other = replace(one, taken=taken, packages=tuple(reversed(one.packages)))

    assert form.dump(one) == form.dump(other)


def test_every_package_is_in_the_text_by_name_and_version(form, snapshot):
    text = form.dump(snapshot(*OF_EVERY_KIND))

    for each in OF_EVERY_KIND:
        assert each.name in text
        assert each.version in text or each.origin in ("archive", "vcs", "local", "editable")


def test_what_somebody_will_lack_is_known(form, snapshot):
    lacked = {each.name for each in lacking(form.name, snapshot(*OF_EVERY_KIND))}

    assert "six" not in lacked
    assert (lacked == set()) == (form.name in UNHASHED)
    assert form.name in UNHASHED or {"unlocked", "torch", "ancient", "unhashed", "local", "editable"} <= lacked


def test_an_empty_environment_can_be_written(form, snapshot):
    assert form.dump(snapshot())


def test_the_text_ends_as_a_text_file_should_or_is_one_line(form, snapshot):
    text = form.dump(snapshot("six==1.0"))

    assert text.endswith("\n") or "\n" not in text


@settings(deadline=None)  # the first one waits for the import
@given(written=snapshots)
@pytest.mark.parametrize("name", FORMATS)
def test_whatever_was_seen_can_be_written_and_encoded(name, written):
    try:
        text = FORMATS[name].dump(written)
    except InvalidInput:  # what no tool can have installed is not locked
        assert name in {*CONDA, "renv"}
        return

    assert text.encode().decode() == text
    assert FORMATS[name].dump(replace(written, packages=tuple(reversed(written.packages)))) == text
