"""What one site-packages folder says: every form of metadata that installers leave, and every form of damage."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy.inventory import dist_info
from venvoy.inventory.dist_info import canonical, public_address
from venvoy.model import Package

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


@pytest.fixture
def site(tmp_path) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


def installed(site: Path, stem: str, metadata: str | bytes | None = None, **files: str) -> Path:
    """Lay down `stem`.dist-info; `direct_url` is given as what direct_url.json says."""
    folder = site / f"{stem}.dist-info"
    folder.mkdir()
    name, _, version = stem.partition("-")
    text = METADATA.format(name=name, version=version) if metadata is None else metadata
    (folder / "METADATA").write_bytes(text if isinstance(text, bytes) else text.encode())
    for file, content in files.items():
        (folder / file.replace("direct_url", "direct_url.json")).write_text(content)
    return folder


def the_one(site: Path) -> dist_info.Distribution:
    (found,) = dist_info.read(site)
    return found


# --- forms -----------------------------------------------------------------------------------------------------------


def test_a_wheels_metadata_is_read(site):
    installed(
        site,
        "Zope.Interface-7.0",
        METADATA.format(name="Zope.Interface", version="7.0")
        + "Requires-Dist: a>1\nRequires-Dist: b ; extra == 'x'\n\nName: text\n",
    )

    found = the_one(site)

    assert (found.name, found.version, found.requires) == ("zope-interface", "7.0", ("a>1", "b ; extra == 'x'"))
    assert found.package() == Package(name="zope-interface", version="7.0")


def test_a_description_does_not_speak_for_the_package(site):
    installed(site, "a-1", "Name: a\nVersion: 1\n\nName: b\nVersion: 2\nRequires-Dist: c\n")

    assert (the_one(site).name, the_one(site).version, the_one(site).requires) == ("a", "1", ())


@pytest.mark.parametrize(
    "text",
    [
        b"Metadata-Version: 2.1\r\nName: a\r\nVersion: 1\r\nRequires-Dist: b\r\n\r\nText\r\n",
        b"Metadata-Version: 2.1\nVersion: 1\nName: a\nRequires-Dist: b",
        b"Name:a\nVersion:1\nRequires-Dist:b\n",
        b"Name:\ta\nVersion:\t1\nRequires-Dist:\tb\n",
        b"Author: Jos\xe9\nName: a\nVersion: 1\nRequires-Dist: b\n\n\xff\xfe",
        b"Name: a\nVersion: 1\nDescription: text\n        \n        Name: other\nRequires-Dist: b\n",
    ],
    ids=["CRLF", "no description", "no space", "tab", "latin-1", "folded description"],
)
def test_metadata_is_read_as_it_was_written_anywhere(site, text):
    installed(site, "a-1", text)

    found = the_one(site)

    assert (found.name, found.version, found.requires) == ("a", "1", ("b",))


def test_an_egg_info_folder_is_read(site):
    egg = site / "Old_Style-1.2-py3.9.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text(METADATA.format(name="Old_Style", version="1.2"))

    assert the_one(site).package() == Package(name="old-style", version="1.2")


def test_an_egg_info_file_is_read(site):
    (site / "distro-1.0.egg-info").write_text(METADATA.format(name="distro", version="1.0"))

    assert the_one(site).package() == Package(name="distro", version="1.0")


@pytest.mark.parametrize("folder", ["my-lib.egg-info", "my_lib.egg-info"])
def test_an_egg_link_leads_to_an_editable_project(site, tmp_path, folder):
    egg = tmp_path / "project" / folder
    egg.mkdir(parents=True)
    (egg / "PKG-INFO").write_text(METADATA.format(name="my-lib", version="0.1"))
    (site / "my-lib.egg-link").write_text(f"{tmp_path}/project\n.\n")

    assert the_one(site).package() == Package(
        name="my-lib", version="0.1", origin="editable", url=f"file://{tmp_path}/project"
    )


@pytest.mark.parametrize("text", ["", "\n", "/nonexistent\n.", "relative\n"])
def test_an_egg_link_that_leads_nowhere_is_passed_over(site, text):
    (site / "gone.egg-link").write_text(text)

    assert list(dist_info.read(site)) == []


def test_husks_leftovers_and_strangers_are_passed_over(site):
    (site / "husk-1.0.dist-info").mkdir()
    installed(site, "nameless-1.0", "Version: 1\n\n")
    installed(site, "versionless-1.0", "Name: versionless\n\n")
    installed(site, "empty-1.0", "")
    installed(site, "~umpy-1.0")
    (site / "file-1.0.dist-info").write_text("not a folder")
    (site / "hollow.egg-info").mkdir()
    (site / "numpy").mkdir()
    (site / "distutils-precedence.pth").touch()
    installed(site, "real-1.0")

    assert [each.name for each in dist_info.read(site)] == ["real"]


def test_distributions_come_in_a_fixed_order(site):
    for stem in ("b-1", "a-2", "a-1", "C-1"):
        installed(site, stem)

    assert [(each.name, each.version) for each in dist_info.read(site)] == [
        ("c", "1"),
        ("a", "1"),
        ("a", "2"),
        ("b", "1"),
    ]


# --- what lies beside ------------------------------------------------------------------------------------------------


def test_the_installer_is_named(site):
    assert _with(site, INSTALLER="uv\n").installer == "uv"


def _with(site: Path, **files: str) -> dist_info.Distribution:
    installed(site, "a-1", **files)
    return the_one(site)


def test_what_lies_not_beside_is_empty(site):
    found = _with(site)

    assert (found.installer, found.tags, found.record, dict(found.direct_url)) == ("", (), (), {})


def test_compressed_tags_are_expanded(site):
    found = _with(
        site,
        WHEEL="Wheel-Version: 1.0\nTag: py2.py3-none-any\nTag: cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64\n",
    )

    assert found.tags == (
        "py2-none-any",
        "py3-none-any",
        "cp312-cp312-manylinux_2_17_x86_64",
        "cp312-cp312-manylinux2014_x86_64",
    )


def test_the_record_names_files_also_with_commas_and_quotes(site):
    found = _with(site, RECORD='a/b.py,sha256=x,3\n"a/c,d.py",,\n"a/e""f.py",sha256=y,1\n../../bin/a,,\n\n')

    assert [str(each.relative_to(site)) for each in found.record] == ["a/b.py", "a/c,d.py", 'a/e"f.py', "../../bin/a"]


# --- origins ---------------------------------------------------------------------------------------------------------

COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"


@pytest.mark.parametrize(
    ("said", "origin", "url", "sha256"),
    [
        ({"url": "file:///p", "dir_info": {"editable": True}}, "editable", "file:///p", ""),
        ({"url": "file:///p", "dir_info": {"editable": False}}, "local", "file:///p", ""),
        ({"url": "file:///p", "dir_info": {}}, "local", "file:///p", ""),
        ({"url": "file:///p.whl", "archive_info": {"hashes": {"sha256": "ab"}}}, "local", "file:///p.whl", "ab"),
        ({"url": "https://h/p.whl", "archive_info": {"hashes": {"sha256": "ab"}}}, "archive", "https://h/p.whl", "ab"),
        ({"url": "https://h/p.whl", "archive_info": {"hash": "sha256=ab"}}, "archive", "https://h/p.whl", "ab"),
        ({"url": "https://h/p.whl", "archive_info": {"hash": "md5=ab"}}, "archive", "https://h/p.whl", ""),
        ({"url": "https://h/p.whl", "archive_info": {}}, "archive", "https://h/p.whl", ""),
        ({"url": "https://h/p", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}, "vcs", f"git+https://h/p@{COMMIT}", ""),
        (
            {"url": "https://h/p", "vcs_info": {"vcs": "git", "commit_id": COMMIT, "requested_revision": "v1"}, "subdirectory": "src/a"},
            "vcs",
            f"git+https://h/p@{COMMIT}#subdirectory=src/a",
            "",
        ),
        ({"url": "https://h/p.tgz", "archive_info": {"hashes": {"sha256": "ab"}}, "subdirectory": "a"}, "archive", "https://h/p.tgz#subdirectory=a", "ab"),
        ({"url": "ssh://git@h/p", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}, "vcs", f"git+ssh://git@h/p@{COMMIT}", ""),
        ({}, "index", "", ""),
        ({"url": None}, "index", "", ""),
    ],
)  # fmt: skip
def test_the_origin_is_told_from_direct_url(site, said, origin, url, sha256):
    if said == {"url": None}:
        said = {}

    assert _with(site, direct_url=json.dumps(said)).package() == Package(
        name="a", version="1", origin=origin, url=url, sha256=sha256
    )


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", '{"url": ""}', '{"dir_info": {"editable": true}}', '{"url": "http://[bad"}'],
)
def test_a_broken_direct_url_is_as_if_there_were_none(site, text):
    assert _with(site, direct_url=text).package() == Package(name="a", version="1")


@pytest.mark.parametrize("key", ["vcs_info", "dir_info", "archive_info", "subdirectory"])
@pytest.mark.parametrize("value", [None, 3, [], "text", {"hashes": None}, {"hash": 3}])
def test_odd_values_in_direct_url_break_nothing(site, key, value):
    found = _with(site, direct_url=json.dumps({"url": "https://h/p.whl", key: value})).package()

    assert found.url.partition("#")[0].removeprefix("git+").rstrip("@") == "https://h/p.whl"


@pytest.mark.parametrize(
    ("written", "public"),
    [
        ("https://user:hunter2@h.org/p.whl", "https://h.org/p.whl"),
        ("https://hunter2@h.org:8443/p.whl", "https://h.org:8443/p.whl"),
        ("https://a@b:hunter2@h.org/p.whl", "https://h.org/p.whl"),
        ("ssh://git:hunter2@h.org/p", "ssh://git@h.org/p"),
        ("https://h.org/p.whl?token=hunter2", "https://h.org/p.whl"),
        ("https://h.org/p.whl?X-Amz-Signature=hunter2&v=1", "https://h.org/p.whl?v=1"),
        ("https://h.org/p.whl?v=1&w=%20", "https://h.org/p.whl?v=1&w=%20"),
        ("https://h.org/ü b.whl", "https://h.org/%C3%BC%20b.whl"),
        ("https://h.org/%C3%BC.whl", "https://h.org/%C3%BC.whl"),
        ("file:///home/ada/p", "file:///home/ada/p"),
    ],
)
def test_an_address_is_written_down_without_its_secrets(written, public):
    assert public_address(written) == public


@given(st.text(max_size=60))
def test_any_text_gives_an_address_in_plain_ascii(text):
    assert all("!" <= letter <= "~" for letter in public_address(text))


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Foo.Bar", "foo_bar", "FOO--bar", "foo-.-bar"])
def test_names_are_normalised_as_pep_503_does(name):
    assert canonical(name) == "foo-bar"
