"""A resolution for all machines, cut down to some: which of them takes which file, and what each lacks."""

import tomllib

import pytest
from packaging import pylock
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from venvoy.formats.platforms import PLATFORMS, reached, tailored
from venvoy.model import Package

SHA = "a" * 64
PUBLIC = "https://files.pythonhosted.org/packages/aa"
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"
LINUX, MAC, WINDOWS = (PLATFORMS[each] for each in ("linux-x86_64", "macos-arm64", "windows-x86_64"))
THREE = (LINUX, MAC, WINDOWS)


def wheel(name: str, tag: str, *, host: str = PUBLIC, sha: str = SHA) -> pylock.PackageWheel:
    file = f"{name}-1.0-{tag}.whl"
    return pylock.PackageWheel(name=file, url=f"{host}/{file}", hashes={"sha256": sha})


def sdist(name: str) -> pylock.PackageSdist:
    return pylock.PackageSdist(
        name=f"{name}-1.0.tar.gz", url=f"{PUBLIC}/{name}-1.0.tar.gz", hashes={"sha256": "c" * 64}
    )


def entry(name: str, *wheels: pylock.PackageWheel, marker: str = "", **said) -> pylock.Package:
    where = Marker(marker) if marker else None
    return pylock.Package(
        name=NormalizedName(name), version=Version("1.0"), wheels=[*wheels] or None, marker=where, **said
    )


def lock_of(*entries: pylock.Package) -> pylock.Pylock:
    return pylock.Pylock(lock_version=Version("1.0"), created_by="uv", packages=[*entries])


@pytest.mark.parametrize(
    ("tag", "taken"),
    [
        ("py3-none-any", {"linux-x86_64", "linux-aarch64", "macos-arm64", "macos-x86_64", "windows-x86_64"}),
        ("cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64", {"linux-x86_64"}),
        ("cp312-cp312-manylinux_2_28_aarch64", {"linux-aarch64"}),
        ("cp38-abi3-manylinux1_x86_64", {"linux-x86_64"}),
        ("cp312-cp312-linux_x86_64", {"linux-x86_64"}),
        ("cp312-cp312-macosx_11_0_arm64", {"macos-arm64"}),
        ("cp312-cp312-macosx_10_13_x86_64", {"macos-x86_64"}),
        ("py3-none-macosx_10_9_universal2", {"macos-arm64", "macos-x86_64"}),
        ("cp312-cp312-win_amd64", {"windows-x86_64"}),
        ("cp312-cp312-musllinux_1_2_x86_64", set()),
        ("cp312-cp312-win32", set()),
        ("cp311-cp311-manylinux_2_17_x86_64", set()),
        ("cp313-abi3-manylinux_2_17_x86_64", set()),
        ("cp312-cp312t-manylinux_2_17_x86_64", set()),
        ("pp310-pypy310_pp73-manylinux_2_17_x86_64", set()),
    ],
)
def test_each_machine_takes_the_wheels_that_its_python_installs(snapshot, tag, taken):
    cut = tailored(lock_of(entry("p", wheel("p", tag))), snapshot("p==1.0"), tuple(PLATFORMS.values()))

    assert {each.platform for each in cut.gaps} == set(PLATFORMS) - taken
    assert {where.name for each in cut.entries for where in each.holds} == taken


def test_markers_are_those_of_the_machines_that_get_it(snapshot):
    lock = lock_of(
        entry("everywhere", wheel("everywhere", "py3-none-any")),
        entry("colour", wheel("colour", "py3-none-any"), marker="platform_system == 'Windows'"),
        entry("unix", wheel("unix", "py3-none-any"), marker="os_name == 'posix' and python_version < '3.13'"),
        entry("old", wheel("old", "py3-none-any"), marker="python_full_version < '3.12'"),
    )

    cut = tailored(lock, snapshot("everywhere==1.0"), THREE)

    said = {each["name"]: each.get("marker") for each in tomllib.loads(cut.toml())["packages"]}
    assert set(said) == {"everywhere", "colour", "unix"}
    assert said["everywhere"] is None
    for name, expected in (("colour", {"windows-x86_64"}), ("unix", {"linux-x86_64", "macos-arm64"})):
        holds = {each.name for each in THREE if Marker(said[name]).evaluate(dict(each.said("3.12.1")))}
        assert holds == expected


def test_the_lock_is_valid_says_its_platforms_and_names_what_they_lack(snapshot):
    local = Package(name="local", version="1", origin="local", url="file:///home/ada/local")
    lock = lock_of(entry("p", wheel("p", "cp312-cp312-win_amd64")), entry("q", sdist=sdist("q")))

    cut = tailored(lock, snapshot("p==1.0", "q==1.0", local), (LINUX, WINDOWS))

    said = tomllib.loads(cut.toml())
    pylock.Pylock.from_dict(said).validate()
    assert said["requires-python"] == "==3.12.*"
    assert len(said["environments"]) == 2
    assert said["tool"]["venvoy"]["missing"] == [{"name": "p", "version": "1.0", "platform": "linux-x86_64"}]
    assert {each["name"] for each in said["tool"]["venvoy"]["unpinned"]} >= {"local"}
    assert [(each.name, each.platform, each.source) for each in cut.gaps if each.name == "q"] == [
        ("q", "linux-x86_64", True),
        ("q", "windows-x86_64", True),
    ]


def test_two_versions_for_two_machines_stay_two(snapshot):
    old = entry("p", wheel("p", "py3-none-any"), marker="sys_platform == 'linux'")
    new = pylock.Package(
        name=NormalizedName("p"),
        version=Version("2.0"),
        marker=Marker("sys_platform != 'linux'"),
        wheels=[
            pylock.PackageWheel(
                name="p-2.0-py3-none-any.whl", url=f"{PUBLIC}/p-2.0-py3-none-any.whl", hashes={"sha256": SHA}
            )
        ],
    )

    lines = tailored(lock_of(new, old), snapshot("p==1.0"), THREE).requirements().splitlines()

    found = [Requirement(line.removesuffix("\\")) for line in lines if line.startswith("p==")]
    assert [str(each.specifier) for each in found] == ["==1.0", "==2.0"]
    for machine in THREE:
        assert sum(each.marker.evaluate(dict(machine.said("3.12.1"))) for each in found) == 1


def test_requirements_have_the_hash_of_every_file_that_one_of_the_machines_may_take(snapshot):
    lock = lock_of(
        entry(
            "p",
            wheel("p", "cp312-cp312-win_amd64", sha="b" * 64),
            wheel("p", "cp312-cp312-manylinux_2_17_x86_64"),
            wheel("p", "cp311-cp311-win_amd64", sha="d" * 64),
            sdist=sdist("p"),
        )
    )

    text = tailored(lock, snapshot("p==1.0"), (LINUX, WINDOWS)).requirements()

    assert text.endswith(f"p==1.0 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n")


def test_another_index_is_named_by_one_address_for_each_machine(snapshot):
    torch = "https://download.pytorch.org/whl"
    lock = lock_of(
        entry(
            "torch",
            wheel("torch", "cp312-cp312-linux_x86_64", host=torch),
            wheel("torch", "cp312-cp312-win_amd64", host=torch, sha="b" * 64),
        )
    )

    lines = tailored(lock, snapshot("torch==1.0"), (LINUX, WINDOWS)).requirements().splitlines()

    found = [Requirement(line.removesuffix(" \\")) for line in lines if line.startswith("torch")]
    assert [each.url for each in found] == [
        f"{torch}/torch-1.0-cp312-cp312-linux_x86_64.whl",
        f"{torch}/torch-1.0-cp312-cp312-win_amd64.whl",
    ]
    assert [each.marker.evaluate(dict(WINDOWS.said("3.12.1"))) for each in found] == [False, True]


def test_archives_and_repositories_are_for_every_machine(snapshot):
    archive = pylock.PackageArchive(url="https://example.org/a.zip", hashes={"sha256": SHA}, subdirectory="src")
    vcs = pylock.PackageVcs(type="git", url="https://example.org/p", commit_id=COMMIT)
    lock = lock_of(entry("archive", archive=archive), entry("vcs", vcs=vcs))

    cut = tailored(lock, snapshot(), THREE)

    assert cut.gaps == ()
    assert {each["name"] for each in tomllib.loads(cut.toml())["packages"]} == {"archive", "vcs"}
    assert "archive @ https://example.org/a.zip#subdirectory=src \\\n" in cut.requirements()
    assert "# not in it: vcs," in cut.requirements()


def test_equal_resolutions_give_equal_text(snapshot):
    entries = [entry(name, wheel(name, "py3-none-any")) for name in ("b", "a", "c")]

    one = tailored(lock_of(*entries), snapshot("a==1.0"), THREE)
    other = tailored(lock_of(*reversed(entries)), snapshot("a==1.0"), THREE)

    assert (one.toml(), one.requirements()) == (other.toml(), other.requirements())


def test_what_a_machine_says_of_itself_is_what_its_python_would_say():
    from packaging.markers import default_environment

    for each in PLATFORMS.values():
        assert default_environment().keys() <= each.said("3.12.1").keys()
        assert [
            other.name for other in PLATFORMS.values() if Marker(each.marker).evaluate(dict(other.said("3.12.1")))
        ] == [each.name]
    assert reached(entry("p", marker="platform_system == 'Darwin'"), MAC, "3.12.1")
