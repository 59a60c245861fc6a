"""`venvoy export --format archive`, `import-archive` and `verify`, as they are typed."""

import json
import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def archive(new_user):
    """The archive of an environment `demo` like everybody's."""
    donor = new_user("donor")
    donor.done("init", "demo", "--requirements", donor.write("requirements.txt", "alpha==1.0\nipykernel\n"))
    donor.done("export", "--name", "demo", "--format", "archive", "--output", "demo.venvoy.tar.zst")
    return donor.work / "demo.venvoy.tar.zst"


@pytest.fixture
def carried(own, archive):
    """Somebody with an environment `demo` and an archive of it."""
    shutil.copy(archive, own.work)
    return own


def test_an_archive_goes_out_and_comes_in_under_another_name(carried):
    made = carried.done("import-archive", "demo.venvoy.tar.zst", "--name", "again")

    assert "without network" in made
    assert "It is not signed." in made
    assert carried("run", "again", "--", "python", "-c", "import alpha").code == 0
    assert "venvoy import-archive" in carried("restore", "demo.venvoy.tar.zst", "wrong").err
    assert carried("import-archive", "demo.venvoy.tar.zst", "third").code == 0
    assert carried("import-archive", "demo.venvoy.tar.zst").code == 4
    assert carried("import-archive", "demo.venvoy.tar.zst", "--force").code == 0
    assert "imported" in carried.done("history", "demo")


def test_a_tier_says_how_much_is_carried(carried):
    whole = json.loads(carried.done("archive", "demo", "-o", "whole.venvoy.tar.zst", "--json"))
    spec = json.loads(carried.done("archive", "demo", "-o", "spec.venvoy.tar.zst", "--tier", "spec", "--json"))
    again = json.loads(
        carried.done("export", "demo", "--format", "archive", "--tier", "packages", "-o", "x.venvoy.tar.zst", "--json")
    )

    assert (whole["tier"], whole["image"], whole["sha256"]) == ("packages", None, again["sha256"])
    assert (spec["tier"], spec["wheels"]) == ("spec", 0)
    assert spec["size"] < whole["size"]
    assert carried("archive", "demo", "--tier", "image").code == 5
    assert carried("export", "demo", "--format", "yaml", "--tier", "spec").code == 2
    assert carried("verify", "spec.venvoy.tar.zst", "--require", "L0").code == 0
    assert carried("verify", "spec.venvoy.tar.zst", "--require", "L1").code == 1


def test_a_python_that_the_packages_do_not_fit_is_refused_before_anything_is_made(carried):
    minor = ".".join(carried.store.environment("demo").python_version.split(".")[:2])
    others = carried.json("init", "x", "--python", "/nowhere/python")["error"]
    lock = carried.work / "demo.venvoy.tar.zst"
    names = [each for each in ("3.9", "3.10", "3.11", "3.12", "3.13") if each != minor]

    refused = [carried("import-archive", lock, "other", "--python", each) for each in names]

    assert others["message"] == "there is no interpreter /nowhere/python"
    told = [ran for ran in refused if "there is no Python" not in ran.err]
    assert told, "this machine has one Python alone"
    for ran in told:
        assert ran.code == 6
        assert f"the archive is for Python {minor}, and its packages do not fit Python" in ran.err
        assert f"--python {minor}" in ran.err
    assert carried.store.names() == ("demo",)


def test_a_plain_folder_is_for_archives_with_an_image(carried):
    refused = carried("import-archive", "demo.venvoy.tar.zst", "--folder", "laid")

    assert refused.code == 5
    assert "carries no image" in refused.err
    assert not (carried.work / "laid").exists()
    assert carried("import-archive", "demo.venvoy.tar.zst", "--folder", "laid", "--force").code == 2
    assert carried("import-archive", "demo.venvoy.tar.zst", "--runtime", "venv", "--network", "none").code == 2


def test_the_tarball_goes_where_it_should(own):
    own.done("export", "--name", "demo", "--format", "tarball", "--output", "demo.tar.gz")

    assert (own.work / "demo.tar.gz").exists()
    assert own("export", "demo", "--format", "tarball", "-o", "demo.zip").code == 5


def test_a_broken_archive_is_refused_with_the_reason(carried):
    file = carried.work / "demo.venvoy.tar.zst"
    file.write_bytes(file.read_bytes()[:-100])

    ran = carried("import-archive", file, "--name", "again")

    assert ran.code == 5
    assert "is refused" in ran.err
    assert carried("show", "again").code == 3


def test_a_signature_is_checked_against_the_signers_that_are_named(own):
    key = own.work / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers = own.write("signers", f"ada@example.org {key.with_suffix('.pub').read_text()}")
    own.done("export", "demo", "--format", "archive", "--sign", key)

    good = own.done("import-archive", "demo.venvoy.tar.zst", "--name", "again", "--allowed-signers", signers)
    signers.write_text("")
    refused = own("import-archive", "demo.venvoy.tar.zst", "--name", "third", "--allowed-signers", signers)

    assert "signed by ada@example.org" in good
    assert refused.code == 5
    assert "which is not in" in refused.err


def test_verify_says_the_level_and_its_exit_code_follows(carried):
    carried.done("freeze", "demo", "--vendor")
    whole = carried("verify", "demo", "--require", "L3", "--html", "report.html")
    site = next((carried.store.environment("demo").prefix / "lib").glob("python*/site-packages"))
    (site / "alpha" / "extra.py").write_text("")
    changed = carried("verify", "demo", "--no-rebuild")

    assert whole.code == 0
    assert "L3 reached" in whole.out
    page = (carried.work / "report.html").read_text()
    assert "L3 reached" in page
    assert "<script" not in page
    assert changed.code == 1
    assert "extra.py was put there" in changed.out
    assert carried("verify", "demo", "--no-rebuild", "--require", "L1").code == 0
    assert carried("verify", "demo.venvoy.tar.zst", "--require", "L3").code == 0
    assert carried("verify", "nobody").code == 3
    assert carried("verify", "nowhere.tar.zst").code == 5
    assert carried("verify", carried.write("list.txt", "six")).code == 5
    assert "--force" in changed.out


def test_what_stands_in_a_report_is_escaped(own):
    own.done("freeze", "demo")
    site = next((own.store.environment("demo").prefix / "lib").glob("python*/site-packages"))
    (site / "alpha" / "<img src=x onerror=alert(1)>.py").write_text("")

    own("verify", "demo", "--no-rebuild", "--html", "report.html")

    page = (own.work / "report.html").read_text()
    assert "&lt;img src=x" in page
    assert "<img" not in page


def test_a_notebook_leads_to_its_environment(own):
    own.write("n.ipynb", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    own.done("freeze", "demo")
    own.done("stamp", "n.ipynb", "--name", "demo")

    assert own("status", "n.ipynb").code == 0
    own.done("delete", "demo", "--yes")
    assert own("restore", "n.ipynb").code in (0, 7)  # its lock names files that this machine's index does not have
    assert "n.ipynb" in own("status", "n.ipynb").out
