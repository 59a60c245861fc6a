"""requirements.txt as pip checks it: read by pip itself, and by uv."""

import hashlib
import subprocess
import sys

import pytest
import uv
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from venvoy.formats.requirements import RequirementsTxt, address, left_out, plain, python_of, repository
from venvoy.model import Package, Snapshot

SHA = "a" * 64
PUBLIC = "https://files.pythonhosted.org/packages/aa"
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"

urls = st.one_of(st.text(max_size=40), st.text(max_size=30).map(lambda text: f"https://example.org/{text}"))


def lines_of(text: str) -> list[str]:
    """What pip makes of it: comments left away, continued lines joined."""
    return [line for line in text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]


def test_every_file_has_its_hash_on_a_line_of_its_own(snapshot):
    six = Package(name="six", version="1.17.0", url=f"{PUBLIC}/six-1.17.0-py3-none-any.whl", sha256=SHA)

    text = RequirementsTxt().dump(snapshot(six))

    assert text == (
        "# Python 3.12.1 on linux-x86_64, by venvoy\n"
        "# pip install --require-hashes --no-deps -r requirements.txt\n"
        "six==1.17.0 \\\n"
        f"    --hash=sha256:{SHA}\n"
    )


def test_what_another_index_has_is_named_by_its_address(snapshot):
    url = "https://download.pytorch.org/whl/cpu/torch-2.6.0%2Bcpu-cp312-cp312-linux_x86_64.whl"
    torch = Package(name="torch", version="2.6.0+cpu", url=url, sha256=SHA)

    (line,) = lines_of(RequirementsTxt().dump(snapshot(torch)))

    assert line.split() == ["torch", "@", url, f"--hash=sha256:{SHA}"]


def test_what_pip_cannot_check_is_named_and_left_out(snapshot):
    packages = (
        Package(name="vcs", version="1", origin="vcs", url=f"git+https://example.org/p@{COMMIT}"),
        Package(name="local", version="1", origin="local", url="file:///home/ada/secret-project"),
        Package(name="odd", version="not a version", url=f"{PUBLIC}/odd-1.tar.gz", sha256=SHA),
        Package(name="short", version="1", url=f"{PUBLIC}/short-1.tar.gz", sha256="abc"),
    )

    text = RequirementsTxt().dump(snapshot(*packages))

    assert lines_of(text) == []
    assert {each.name for each in left_out(snapshot(*packages))} == {"vcs", "local", "odd", "short"}
    for each in packages:
        assert f"# not in it: {each.name} {each.version}: " in text
    assert "secret-project" not in text


def test_a_repository_is_one_only_at_a_whole_commit_and_reached_by_everybody():
    def vcs(url: str) -> str:
        return repository(Package(name="p", version="1", origin="vcs", url=url))

    assert vcs(f"git+https://example.org/p@{COMMIT}#subdirectory=src")
    assert not vcs("git+https://example.org/p@main")
    assert not vcs(f"git+ssh://git@example.org/p@{COMMIT}")
    assert not vcs(f"hg+https://example.org/p@{COMMIT}")


def test_its_python_is_found_again_and_nobody_else_s_comment_is_taken_for_one(snapshot):
    assert python_of(RequirementsTxt().dump(snapshot("a==1", python="3.12.1"))) == "3.12.1"
    assert python_of("# Python 3.9 is needed\nsix\n") == ""


def test_a_version_is_written_as_it_is_compared(snapshot):
    odd = Package(name="odd", version=" 1.0\n", url=f"{PUBLIC}/odd-1.0-py3-none-any.whl", sha256=SHA)

    assert lines_of(RequirementsTxt().dump(snapshot(odd)))[0].split()[0] == "odd==1.0"


@given(url=urls, version=st.text(max_size=12), origin=st.sampled_from(["index", "archive", "vcs", "local", "editable"]))
def test_no_address_and_no_version_brings_lines_variables_or_options_of_its_own(url, version, origin):
    package = Package(name="p", version=version, origin=origin, url=url, sha256=SHA)

    text = RequirementsTxt().dump(_alone(package))

    assert text.isascii()
    assert all(line.startswith(("# ", "p", f"    --hash=sha256:{SHA}")) for line in text.splitlines())
    assert "${" not in address(url)
    for line in lines_of(text):
        said, _, hashed = line.partition(" --hash=")
        assert hashed == f"sha256:{SHA}" or hashed.strip() == f"sha256:{SHA}"
        assert Requirement(said.strip()).name == "p"


@given(url=urls)
def test_an_address_stays_the_same_when_it_is_read_and_written_again(url):
    assert address(address(url)) == address(url)


@given(text=st.text())
def test_a_comment_is_one_line_that_goes_on_nowhere(text):
    assert len(f"#{plain(text)}".splitlines()) == 1
    assert "\\" not in plain(text).replace("\\u", "")


def _alone(package: Package) -> Snapshot:
    from datetime import UTC, datetime

    return Snapshot(
        environment="demo",
        taken=datetime(2026, 1, 2, tzinfo=UTC),
        base="b" * 64,
        language_version="3.12.1",
        platform="linux-x86_64",
        packages=(package,),
    )


# --- pip and uv read it ----------------------------------------------------------------------------------------------


@pytest.fixture
def written(snapshot, wheelhouse, tmp_path):
    """The requirements of alpha and beta in the wheelhouse, the hash of beta made wrong where that is wished."""

    def of(*, wrong: bool = False):
        packages = []
        for name in ("alpha", "beta"):
            wheel = wheelhouse.add(name, "1.0", requires=("beta",) if name == "alpha" else ())
            sha = SHA if wrong and name == "beta" else hashlib.sha256(wheel.read_bytes()).hexdigest()
            packages.append(Package(name=name, version="1.0", url=f"{PUBLIC}/{wheel.name}", sha256=sha))
        file = tmp_path / "requirements.txt"
        file.write_text(RequirementsTxt().dump(snapshot(*packages)))
        return file

    return of


@pytest.fixture(params=["pip", "uv"])
def install(request, pip_wheel):
    """Run one of the installers; pip from its own wheel, which any Python can run."""
    pip = [sys.executable, f"{pip_wheel}/pip", "install", "--no-deps"]
    program = {"pip": pip, "uv": [uv.find_uv_bin(), "pip", "install", "--python", sys.executable]}[request.param]
    return lambda file, target: subprocess.run(
        [*program, "--require-hashes", "-r", file, "--target", target], capture_output=True, text=True, check=False
    )


def test_it_installs_with_hashes_required(install, written, tmp_path):
    ran = install(written(), tmp_path / "target")

    assert ran.returncode == 0, ran
    assert (tmp_path / "target/alpha/__init__.py").is_file()
    assert (tmp_path / "target/beta/__init__.py").is_file()


def test_another_file_than_the_one_that_was_meant_is_refused(install, written, tmp_path):
    ran = install(written(wrong=True), tmp_path / "target")

    assert ran.returncode != 0
    assert "hash" in ran.stderr.lower()
    assert not (tmp_path / "target/alpha").exists()
