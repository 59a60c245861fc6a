"""pylock.toml: valid, complete in what it pins, open about what it does not, and read from anybody."""

import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging import pylock

from venvoy.errors import InvalidInput, RuntimeUnavailable
from venvoy.formats.pylock import PylockToml, is_pinned
from venvoy.model import Base, Package

FILES = "https://files.pythonhosted.org/packages"
SHA = "a" * 64
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"
form = PylockToml()

SIX = Package(name="six", version="1.17.0", url=f"{FILES}/six-1.17.0-py2.py3-none-any.whl", sha256=SHA, direct=True)
DOCOPT = Package(name="docopt", version="0.6.2", url=f"{FILES}/docopt-0.6.2.tar.gz", sha256=SHA, direct=False)
ARCHIVE = Package(name="zipped", version="1", origin="archive", url="https://h.org/z.zip#subdirectory=src", sha256=SHA)
VCS = Package(name="git", version="1", origin="vcs", url=f"git+https://h.org/p@{COMMIT}#subdirectory=src")
SSH = Package(name="ssh", version="1", origin="vcs", url=f"git+ssh://git@h.org/p@{COMMIT}")
PINNED = (SIX, DOCOPT, ARCHIVE, VCS, SSH)
UNPINNED = (
    Package(name="editable", version="1", origin="editable", url="file:///home/ada/secret-project"),
    Package(name="local", version="1", origin="local", url="file:///home/ada/w.whl", sha256=SHA),
    Package(name="private", version="1", sha256=SHA),
    Package(name="torch", version="2.0+cu118"),
    Package(name="ancient", version="2004d", url=f"{FILES}/ancient-2004d.tar.gz", sha256=SHA),
    Package(name="unhashed", version="1", origin="archive", url="https://h.org/z.zip"),
    Package(name="local-git", version="1", origin="vcs", url=f"git+file:///home/ada/p@{COMMIT}"),
    Package(name="no-commit", version="1", origin="vcs", url="git+https://h.org/p@"),
    Package(name="misnamed", version="1", url=f"{FILES}/other-1-py3-none-any.whl", sha256=SHA),
    Package(name="odd-version", version="1", url=f"{FILES}/odd_version-2.tar.gz", sha256=SHA),
    Package(name="-bad", version="1", url=f"{FILES}/bad-1.tar.gz", sha256=SHA),
)


def base(version: str, platform: str = "linux-x86_64") -> Base:
    abi = "cp" + "".join(version.split(".")[:2])
    return Base(path=Path("/python"), version=version, abi=abi, platform=platform, libc="glibc-2.36", digest="")


def load(text: str, **given: object):
    return form.load(text, source="pylock.toml", **given)


# --- ours ------------------------------------------------------------------------------------------------------------


def test_a_lock_is_valid_and_for_this_platform_and_python_alone(snapshot):
    lock = pylock.Pylock.from_dict(tomllib.loads(form.dump(snapshot(*PINNED, *UNPINNED))))

    assert str(lock.lock_version) == "1.0"
    assert str(lock.requires_python) == "==3.12.*"
    assert [str(each) for each in lock.environments] == ['sys_platform == "linux" and platform_machine == "x86_64"']
    assert [each.name for each in lock.packages] == sorted(each.name for each in PINNED)


@pytest.mark.parametrize("package", PINNED, ids=lambda package: package.name)
def test_what_can_be_fetched_again_is_pinned(package):
    assert is_pinned(package)


@pytest.mark.parametrize("package", UNPINNED, ids=lambda package: package.name)
def test_what_cannot_be_fetched_again_is_listed_by_name(package, snapshot):
    said = tomllib.loads(form.dump(snapshot(SIX, package)))

    assert not is_pinned(package)
    assert [each["name"] for each in said["packages"]] == ["six"]
    assert said["tool"]["venvoy"]["unpinned"] == [
        {"name": package.name, "version": package.version, "origin": package.origin}
        | ({"sha256": package.sha256} if package.sha256 else {})
    ]


def test_nothing_of_this_machine_stands_in_a_lock(snapshot):
    text = form.dump(snapshot(*PINNED, *UNPINNED))

    assert "file:" not in text
    assert "/home/" not in text


def test_every_pinned_file_has_a_url_and_a_hash(snapshot):
    said = tomllib.loads(form.dump(snapshot(*PINNED)))

    files = [
        each["wheels"][0] if "wheels" in each else each.get("sdist") or each.get("archive") for each in said["packages"]
    ]
    assert [each["hashes"] for each in files if each] == [{"sha256": SHA}] * 3
    assert [each["vcs"]["commit-id"] for each in said["packages"] if "vcs" in each] == [COMMIT] * 2


def test_the_text_tells_what_was_asked_for(snapshot):
    assert tomllib.loads(form.dump(snapshot(*PINNED)))["tool"]["venvoy"]["direct"] == ["six"]


def test_a_lock_is_read_again_as_it_was(snapshot):
    written = snapshot(*PINNED, *UNPINNED)

    read = load(form.dump(written), environment="demo")

    kept = {each.name: each for each in read.packages}
    assert {each.name: each for each in PINNED} == {name: each for name, each in kept.items() if is_pinned(each)}
    assert {(each.name, each.version, each.origin) for each in UNPINNED} == {
        (each.name, each.version, each.origin) for each in read.packages if not is_pinned(each)
    }
    assert (read.language_version, read.platform, read.base) == ("3.12.1", "linux-x86_64", "b" * 64)
    assert {each.name for each in read.packages if each.direct} == {"six"}


def test_a_lock_that_was_read_is_written_the_same(snapshot):
    text = form.dump(snapshot(*PINNED, *UNPINNED))

    assert form.dump(load(text)) == text


def test_a_file_name_is_decoded_as_installers_expect(snapshot):
    local = Package(name="torch", version="2.0+cpu", url="https://h.org/torch-2.0%2Bcpu-py3-none-any.whl", sha256=SHA)

    said = tomllib.loads(form.dump(snapshot(local)))

    assert said["packages"][0]["wheels"][0]["name"] == "torch-2.0+cpu-py3-none-any.whl"


# --- others' ---------------------------------------------------------------------------------------------------------

UNIVERSAL = f"""\
lock-version = "1.0"
created-by = "uv"
requires-python = ">=3.10"

[[packages]]
name = "markupsafe"
version = "3.0.2"
sdist = {{ url = "{FILES}/markupsafe-3.0.2.tar.gz", hashes = {{ sha256 = "{"0" * 64}" }} }}
wheels = [
  {{ url = "{FILES}/MarkupSafe-3.0.2-cp312-cp312-manylinux_2_17_x86_64.whl", hashes = {{ sha256 = "{"1" * 64}" }} }},
  {{ url = "{FILES}/MarkupSafe-3.0.2-cp313-cp313-manylinux_2_17_x86_64.whl", hashes = {{ sha256 = "{"2" * 64}" }} }},
]

[[packages]]
name = "tomli"
version = "2.2.1"
marker = "python_full_version < '3.11'"
wheels = [{{ url = "{FILES}/tomli-2.2.1-py3-none-any.whl", hashes = {{ sha256 = "{"3" * 64}" }} }}]

[[packages]]
name = "numpy"
version = "2.2.6"
marker = "python_version < '3.11'"
wheels = [{{ url = "{FILES}/numpy-2.2.6-cp310-cp310-manylinux_2_17_x86_64.whl", hashes = {{ sha256 = "{"4" * 64}" }} }}]

[[packages]]
name = "numpy"
version = "2.3.0"
marker = "python_version >= '3.11'"
wheels = [{{ url = "{FILES}/numpy-2.3.0-cp312-cp312-manylinux_2_17_x86_64.whl", hashes = {{ sha256 = "{"5" * 64}" }} }}]

[[packages]]
name = "colorama"
version = "0.4.6"
marker = "sys_platform == 'win32'"
wheels = [{{ url = "{FILES}/colorama-0.4.6-py2.py3-none-any.whl", hashes = {{ sha256 = "{"6" * 64}" }} }}]
"""


def test_a_lock_for_many_machines_is_read_for_one_interpreter():
    said = {each.name: (each.version, each.sha256[:1]) for each in load(UNIVERSAL, base=base("3.12.4")).packages}

    assert said == {"markupsafe": ("3.0.2", "1"), "numpy": ("2.3.0", "5")}


def test_the_source_is_taken_where_no_wheel_fits():
    said = {each.name: each.sha256[:1] for each in load(UNIVERSAL, base=base("3.10.1")).packages}

    assert said == {"markupsafe": "0", "numpy": "4", "tomli": "3"}


@pytest.mark.parametrize(
    ("version", "complaint"), [("3.9.1", "not satisfy the Python version"), ("3.13.0", "No wheel found .* 'numpy'")]
)
def test_a_lock_that_is_not_for_the_interpreter_says_so(version, complaint):
    with pytest.raises(
        RuntimeUnavailable, match=f"pylock.toml is not for Python {version} on linux-x86_64: .*{complaint}"
    ):
        load(UNIVERSAL, base=base(version))


def test_a_lock_of_another_platform_says_so(snapshot):
    text = form.dump(replace(snapshot(SIX), platform="darwin-arm64"))

    with pytest.raises(RuntimeUnavailable, match=r"is not for Python 3\.12\.1"):
        load(text, base=base("3.12.1"))


def test_without_an_interpreter_every_entry_is_listed():
    assert [each.name for each in load(UNIVERSAL).packages] == ["colorama", "markupsafe", "numpy", "numpy", "tomli"]


def test_folders_and_repositories_are_told_apart():
    text = (
        'lock-version = "1.0"\ncreated-by = "uv"\n'
        '[[packages]]\nname = "mine"\ndirectory = { path = ".", editable = true }\n'
        '[[packages]]\nname = "near"\ndirectory = { path = "../near" }\n'
        f'[[packages]]\nname = "git"\nvcs = {{ type = "git", url = "https://h.org/p", commit-id = "{COMMIT}", subdirectory = "a" }}\n'
        f'[[packages]]\nname = "zip"\narchive = {{ url = "https://h.org/z.zip", hashes = {{ sha256 = "{SHA}" }} }}\n'
    )

    said = {each.name: (each.origin, each.url) for each in load(text, base=base("3.12.1")).packages}

    assert said == {
        "git": ("vcs", f"git+https://h.org/p@{COMMIT}#subdirectory=a"),
        "mine": ("editable", "."),
        "near": ("local", "../near"),
        "zip": ("archive", "https://h.org/z.zip"),
    }


# --- wrong -----------------------------------------------------------------------------------------------------------

HEAD = 'lock-version = "1.0"\ncreated-by = "x"\n'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml",
        "a = [" * 3000,
        'lock-version = "9.0"\ncreated-by = "x"\npackages = []\n',
        f"{HEAD}packages = 3\n",
        f'{HEAD}[[packages]]\nname = "Six"\n',
        f'{HEAD}[[packages]]\nname = "six"\nversion = "1.0"\n',
        f'{HEAD}[[packages]]\nname = "six"\nwheels = [{{ url = "https://h/six-1-py3-none-any.whl" }}]\n',
        f'{HEAD}[[packages]]\nname = "six"\nwheels = [{{ url = "https://h/idna-1-py3-none-any.whl", hashes = {{ sha256 = "a" }} }}]\n',
    ],
)
def test_what_is_no_lock_is_refused(text):
    with pytest.raises(InvalidInput, match=r"pylock\.toml is not a pylock\.toml"):
        load(text)


@pytest.mark.parametrize("listed", ["3", '["six"]', "[{}]", '[{ name = "a", version = "1", origin = "moon" }]', "[3]"])
def test_remarks_that_are_not_ours_are_refused(listed):
    with pytest.raises(InvalidInput, match="unpinned is not as we write it"):
        load(f"{HEAD}packages = []\n[tool.venvoy]\nunpinned = {listed}\n")


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    for words in (text, HEAD + text, f"{HEAD}packages = []\n[tool.venvoy]\n{text}"):
        with suppress(InvalidInput):
            load(words)


# --- images


def test_a_lock_says_all_of_its_image_and_is_read_back_to_the_byte(in_image):
    text = form.dump(in_image(SIX))

    again = load(text)

    said = tomllib.loads(text)["tool"]["venvoy"]
    assert said["image"] == {"reference": "docker.io/library/python:3.12-slim", "digest": f"sha256:{'1' * 64}"}
    assert said["contents"]["packages"] == {"deb": ["libssl3 3.0.9"], "pypi": ["pip 23.0"]}
    assert (again.contents, again.stands_on) == (in_image(SIX).contents, in_image(SIX).stands_on)
    assert form.dump(again) == text


def test_a_lock_of_no_image_has_no_word_of_one(snapshot):
    said = tomllib.loads(form.dump(snapshot(SIX)))["tool"]["venvoy"]

    assert not {"image", "contents"} & set(said)
    assert load(form.dump(snapshot(SIX))).contents is None


def test_contents_that_were_changed_in_a_lock_are_refused(in_image):
    with pytest.raises(InvalidInput, match="contents was changed"):
        load(form.dump(in_image(SIX)).replace("libssl3 3.0.9", "libssl3 3.0.8"))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("contents = 3", "contents is not as we write it"),
        ("contents = { packages = { gem = ['rake 13'] } }", "contents is not as we write it"),
        ("image = 'python'", "image is not as we write it"),
        ("image = { reference = 3, digest = '' }", "image is not as we write it"),
    ],
)
def test_an_image_that_is_not_as_we_write_it_is_refused(said, why):
    with pytest.raises(InvalidInput, match=why):
        load(f"{HEAD}packages = []\n[tool.venvoy]\n{said}\n")
