"""RO-Crate: read again by the library of its authors."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rocrate.rocrate import ROCrate

from venvoy.formats.pylock import PylockToml
from venvoy.formats.renv import RenvLock
from venvoy.formats.rocrate import PROFILE, Part, Ran, RoCrate
from venvoy.model import Package, Snapshot

SHA = "a" * 64
SIX = Package(
    name="six", version="1.17.0", url="https://files.pythonhosted.org/packages/six-1.17.0-py3-none-any.whl", sha256=SHA
)
LOCAL = Package(name="local", version="1", origin="local", url="file:///home/ada/local")
NOTEBOOK = Part(path="a study.ipynb", size=3, sha256=SHA)
DATA = Part(path="data/x.csv", size=5, sha256="b" * 64)
RAN = Ran(
    notebook=NOTEBOOK,
    began=datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))),
    ended=datetime(2026, 1, 1, 11, tzinfo=UTC),
)


@pytest.fixture
def crate(tmp_path):
    """Write the metadata into a folder, and have the library load the folder."""

    def loaded(text: str) -> ROCrate:
        (tmp_path / "ro-crate-metadata.json").write_text(text)
        return ROCrate(tmp_path)

    return loaded


def test_the_environment_is_an_application_that_needs_its_packages(snapshot, crate):
    loaded = crate(RoCrate().dump(snapshot(SIX, LOCAL)))

    environment = loaded.get("#environment")
    six = loaded.get("#package-six-1.17.0")
    assert environment.type == "SoftwareApplication"
    assert environment["softwareVersion"] == "Python 3.12.1"
    assert six in environment["softwareRequirements"]
    assert (six["softwareVersion"], six["downloadUrl"], six["sha256"]) == ("1.17.0", SIX.url, SHA)
    assert loaded.datePublished == datetime(2026, 1, 2)  # noqa: DTZ001  # the library's own
    assert "/home/ada" not in RoCrate().dump(snapshot(LOCAL))


def test_an_r_environment_is_one_of_r_with_its_own_lock(snapshot, crate):
    packages = (
        Package(ecosystem="cran", name="Rcpp", version="1.0.10", sha256=SHA),
        Package(ecosystem="bioconductor", name="limma", version="3.54.0"),
        Package(ecosystem="cran", name="universe", version="1.0", channel="ropensci"),
    )
    state = replace(snapshot(), language="r", language_version="4.2.2", packages=packages)

    loaded = crate(RoCrate().dump(state))

    (lock,) = loaded.data_entities
    assert (lock.id, lock["encodingFormat"]) == ("renv.lock", "application/json")
    assert lock["sha256"] == sha256(RenvLock().dump(state).encode()).hexdigest()
    assert loaded.get("#environment")["softwareVersion"] == "R 4.2.2"
    assert loaded.get("#environment")["runtimePlatform"]["name"] == "R"
    pages = {each["name"]: each.get("url") for each in loaded.get("#environment")["softwareRequirements"][1:]}
    assert pages == {
        "Rcpp": "https://CRAN.R-project.org/package=Rcpp",
        "limma": "https://bioconductor.org/packages/limma",
        "universe": None,
    }


def test_the_lock_is_its_data_with_size_and_hash(snapshot, crate):
    loaded = crate(RoCrate().dump(snapshot(SIX)))

    content = PylockToml().dump(snapshot(SIX)).encode()
    (lock,) = loaded.data_entities
    assert lock.id == "pylock.toml"
    assert lock["sha256"] == sha256(content).hexdigest()
    assert lock["contentSize"] == str(len(content))
    assert lock in loaded.get("#environment")["softwareRequirements"]


def test_a_notebook_makes_it_the_crate_of_a_run(snapshot, crate):
    loaded = crate(RoCrate().dump(snapshot(SIX), (RAN,), (DATA,)))

    action = loaded.get("#run-a%20study.ipynb")
    notebook, data = loaded.get("a%20study.ipynb"), loaded.get("data/x.csv")
    assert action.type == "CreateAction"
    assert action["instrument"] == loaded.get("#environment")
    assert action["object"] == [notebook, data]
    assert action["result"] == notebook
    assert (action["startTime"], action["endTime"]) == ("2026-01-01T10:00:00+00:00", "2026-01-01T11:00:00+00:00")
    assert [each.id for each in loaded.root_dataset["conformsTo"]] == [PROFILE]
    assert loaded.root_dataset["mentions"] == [action]
    assert {each.id for each in loaded.data_entities} == {"pylock.toml", "a%20study.ipynb", "data/x.csv"}
    assert notebook["sha256"] == SHA


def test_without_a_notebook_it_claims_no_run(snapshot, crate):
    loaded = crate(RoCrate().dump(snapshot(SIX)))

    assert "conformsTo" not in loaded.root_dataset
    assert not [each for each in loaded.get_entities() if each.type == "CreateAction"]


def test_equal_runs_give_equal_text(snapshot):
    first = RoCrate().dump(snapshot(SIX, LOCAL), (RAN,), (DATA,))

    assert RoCrate().dump(snapshot(LOCAL, SIX), (RAN,), (DATA,)) == first
    assert "arcp://" not in first


@settings(deadline=None)  # the first one waits for the import
@given(
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    version=st.text(max_size=12),
    url=st.text(max_size=30),
    environment=st.text(max_size=12),
)
def test_whatever_a_package_says_of_itself_loads_again(name, version, url, environment):
    package = Package(name=name, version=version, origin="archive", url=f"https://example.org/{url}", sha256=SHA)
    taken = Snapshot(
        environment=environment,
        taken=datetime(2026, 1, 2, tzinfo=UTC),
        base="b" * 64,
        language_version="3.12.1",
        platform="linux-x86_64",
        packages=(package, SIX),
    )

    loaded = ROCrate(json.loads(RoCrate().dump(taken)))

    assert {each["name"] for each in loaded.get("#environment")["softwareRequirements"][1:]} >= {"six"}
