"""Which packages meet what is asked for, here and for other platforms, and what is said where none do."""

import socket

import pytest

from venvoy.actions import conda
from venvoy.engine.request import Request, Source
from venvoy.errors import CommandFailed, InvalidInput, VenvoyError

EVERY = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")
DAY = 86400


def versions(records, name="plain"):
    return [each["version"] for each in records if each["name"] == name]


@pytest.fixture
def solve(engine):
    """The records for this platform: `solve("plain", as_of=...)`."""
    return lambda *specs, **said: engine("solve", specs=specs, platforms=("linux-64",), **said)["linux-64"]


def refused(asked) -> VenvoyError:
    with pytest.raises(VenvoyError) as caught:
        asked()
    assert caught.value.hint
    assert "Traceback" not in f"{caught.value.message}{caught.value.hint}"
    return caught.value


def test_the_newest_that_fits_is_taken_with_what_it_needs(solve, near):
    found = solve("needing", "plain<2")

    assert [(each["name"], each["version"]) for each in sorted(found, key=lambda each: each["name"])] == [
        ("needing", "1.0"),
        ("plain", "1.0"),
    ]
    assert {each["channel"] for each in found} == {near.address}
    assert all(len(each["sha256"]) == 64 and each["size"] for each in found)


def test_python_is_solved_for_every_platform_with_what_its_system_needs(channel):
    request = Request(verb="solve", source=conda.source(()), specs=("python 3.12.*",), platforms=EVERY)

    found = conda.ask(request, doing="cannot solve")

    assert tuple(found) == EVERY
    for platform, records in found.items():
        [python] = [each for each in records if each["name"] == "python"]
        assert python["url"].startswith(f"https://conda.anaconda.org/conda-forge/{platform}/python-3.12")


@pytest.mark.parametrize(
    ("platform", "system"),
    [("linux-64", "unix"), ("linux-64", "linux"), ("linux-aarch64", "glibc"), ("linux-aarch64", "linux"),
     ("osx-64", "osx"), ("osx-arm64", "unix"), ("osx-arm64", "archspec"), ("win-64", "win")],
)  # fmt: skip
def test_a_package_for_one_system_is_found_where_that_is(engine, near, platform, system):
    near.add("systemic", depends=(f"__{system}",))

    assert versions(engine("solve", specs=("systemic",), platforms=(platform,))[platform], "systemic") == ["1.0"]


@pytest.mark.parametrize(("platform", "system"), [("linux-64", "osx"), ("osx-64", "glibc"), ("win-64", "unix")])
def test_a_package_for_another_system_is_not(engine, near, platform, system):
    near.add("systemic", depends=(f"__{system}",))

    said = refused(lambda: engine("solve", specs=("systemic",), platforms=(platform,)))

    assert isinstance(said, CommandFailed)
    assert f"__{system}" in said.message


@pytest.mark.parametrize("platform", ["linux-64", "linux-aarch64"])
def test_an_older_glibc_than_ours_can_be_claimed(engine, near, monkeypatch, platform):
    near.add("systemic", "1.0", depends=("__glibc >=2.5",))
    near.add("systemic", "2.0", depends=("__glibc >=2.10",))

    def found():
        return versions(engine("solve", specs=("systemic",), platforms=(platform,))[platform], "systemic")

    before = found()
    monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "2.6")

    assert (before, found()) == (["2.0"], ["1.0"])


@pytest.mark.parametrize("platform", ["linux-64", "linux-aarch64", "win-64"])
def test_a_gpu_that_is_not_here_can_be_claimed_and_one_that_is_denied(engine, near, monkeypatch, platform):
    near.add("systemic", "1.0")
    near.add("systemic", "2.0", depends=("__cuda >=12",))
    found = []

    for said in ("12.4", "11.8", ""):
        monkeypatch.setenv("CONDA_OVERRIDE_CUDA", said)
        found += versions(engine("solve", specs=("systemic",), platforms=(platform,))[platform], "systemic")

    assert found == ["2.0", "1.0", "1.0"]


def test_a_system_can_be_claimed_away(engine, near, monkeypatch):
    near.add("systemic", depends=("__glibc",))
    monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "")

    said = refused(lambda: engine("solve", specs=("systemic",), platforms=("linux-aarch64",)))

    assert "__glibc" in said.message


def test_the_first_channel_comes_first_unless_that_is_switched_off(solve, near, make_channel):
    first = make_channel("first")
    first.add("plain", "0.5")
    channels = (first.address, near.address)

    strict = solve("plain", source=Source(channels=channels))
    free = solve("plain", source=Source(channels=channels, strict=False))

    assert (versions(strict), versions(free)) == (["0.5"], ["2.0"])


def test_a_channel_can_be_named_in_the_spec(solve, near, make_channel):
    first = make_channel("first")
    first.add("plain", "0.5")

    found = solve(f"{near.address}::plain", source=Source(channels=(first.address, near.address)))

    assert versions(found) == ["2.0"]


def test_what_came_later_is_kept_out(solve, near, build):
    near.add("plain", "3.0", time=build.TIME + 10 * DAY)

    assert versions(solve("plain")) == ["3.0"]
    assert versions(solve("plain", as_of="2025-10-10T00:00:00+00:00")) == ["2.0"]


def test_nothing_meets_both(solve):
    said = refused(lambda: solve("needing", "plain<1"))

    assert isinstance(said, CommandFailed)
    assert "plain" in said.message


def test_a_package_that_nobody_has(solve):
    said = refused(lambda: solve("nobody-has-it"))

    assert isinstance(said, CommandFailed)
    assert "nobody-has-it" in said.message


@pytest.mark.parametrize(
    "spec", ["plain>>2", "plain[", "", "*", "pla*", "^a$", "plain[version='!!']", "=1.0", "\0", "plain; if __unix"]
)
def test_what_is_no_spec_is_the_users_to_mend(engine, spec):
    for verb in ("solve", "change"):
        said = refused(lambda verb=verb: engine(verb, specs=(spec,), platforms=("linux-64",)))

        assert isinstance(said, InvalidInput)


def test_a_platform_that_conda_does_not_have_is_the_users_to_mend(engine):
    assert isinstance(refused(lambda: engine("solve", specs=("plain",), platforms=("linux-99",))), InvalidInput)


def test_a_claimed_version_that_is_none_is_the_users_to_mend(engine, monkeypatch):
    monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "new!!")

    for platform in ("linux-64", "linux-aarch64"):
        said = refused(lambda platform=platform: engine("solve", specs=("plain",), platforms=(platform,)))

        assert isinstance(said, InvalidInput)


def test_nobody_answers(solve):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"

        said = refused(lambda: solve("plain", source=Source(channels=(address,))))

    assert isinstance(said, CommandFailed)
    assert address in said.message


def test_what_answers_is_no_channel(solve, near):
    said = refused(lambda: solve("plain", source=Source(channels=(f"{near.address}/nothing/here",))))

    assert isinstance(said, CommandFailed)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"packages.conda": 3}', "<html>", '{"packages.conda": {"a": 3}}'])
def test_an_index_that_is_none_is_told(solve, near, text):
    (near.folder / "noarch/repodata.json").write_text(text)

    said = refused(lambda: solve("plain"))

    assert isinstance(said, CommandFailed)
    assert "whoever keeps the channel" in str(said.hint)


def test_a_password_in_a_mirrors_address_is_not_shown(solve):
    mirrors = {"https://conda.example/": ("http://user:sesame@127.0.0.1:9/t/opensesame/",)}

    said = refused(lambda: solve("plain", source=Source(channels=("https://conda.example/a",), mirrors=mirrors)))

    assert "sesame" not in f"{said.message}{said.hint}"
