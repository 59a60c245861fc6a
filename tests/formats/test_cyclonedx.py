"""CycloneDX: checked by the schema itself, and by what a reader of it looks for."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL

from venvoy.formats.cyclonedx import CycloneDx
from venvoy.model import Package, Snapshot

SHA = "a" * 64
PUBLIC = "https://files.pythonhosted.org/packages/aa"
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"
SIX = Package(name="six", version="1.17.0", url=f"{PUBLIC}/six-1.17.0-py3-none-any.whl", sha256=SHA, direct=True)
BETA = Package(name="beta", version="1.0", url=f"{PUBLIC}/beta-1.0-py3-none-any.whl", sha256=SHA, direct=False)
TORCH = Package(
    name="torch", version="2.6.0+cpu", url="https://download.pytorch.org/torch-2.6.0%2Bcpu-py3-none-any.whl", sha256=SHA
)
ARCHIVE = Package(name="archive", version="1", origin="archive", url="https://example.org/a.zip", sha256=SHA)
VCS = Package(name="vcs", version="1", origin="vcs", url=f"git+https://example.org/p@{COMMIT}")
LOCAL = Package(name="local", version="1", origin="local", url="file:///home/ada/local")
EVERY = (SIX, BETA, TORCH, ARCHIVE, VCS, LOCAL)
VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def bom(taken: Snapshot):
    text = CycloneDx().dump(taken)
    assert VALIDATOR.validate_str(text) is None
    return json.loads(text)


def test_every_component_has_purl_hash_and_source(snapshot):
    components = {each["name"]: each for each in bom(snapshot(*EVERY))["components"]}

    assert components.keys() == {each.name for each in EVERY}
    for package in (SIX, BETA, TORCH, ARCHIVE):
        said = components[package.name]
        assert said["hashes"] == [{"alg": "SHA-256", "content": SHA}]
        assert [each["url"] for each in said["externalReferences"] if each["type"] == "distribution"] == [package.url]
        assert said["externalReferences"][0]["hashes"] == said["hashes"]
    for package in EVERY:
        purl = PackageURL.from_string(components[package.name]["purl"])
        assert (purl.name, purl.version) == (package.name, package.version)
    assert components["vcs"]["externalReferences"][0]["type"] == "vcs"


def test_what_nobody_can_fetch_is_no_package_of_the_index_and_says_why(snapshot):
    text = CycloneDx().dump(snapshot(LOCAL))
    (local,) = json.loads(text)["components"]

    assert local["purl"] == "pkg:generic/local@1"
    assert local["properties"] == [{"name": "venvoy:unpinned", "value": "from a file or folder of one machine"}]
    assert "/home/ada" not in text


def test_packages_of_r_are_named_as_cran_and_bioconductor_name_them(snapshot):
    def of_r(name, ecosystem="cran", **words):
        return Package(ecosystem=ecosystem, name=name, version="0.2-1", **words)

    contrib = "https://cran.example.org/src/contrib"
    packages = (
        of_r("Rcpp", url=f"{contrib}/Rcpp_0.2-1.tar.gz", sha256=SHA),
        of_r("limma", "bioconductor"),
        of_r("universe", channel="ropensci", url="https://u.example.org/src/contrib/universe_0.2-1.tar.gz", sha256=SHA),
        of_r("hub", origin="vcs", url=f"git+https://github.com/ada/hub@{COMMIT}"),
        of_r("mine", origin="local"),
    )

    said = bom(replace(snapshot(), language="r", language_version="4.2.2", packages=packages))

    components = {each["name"]: each for each in said["components"]}
    assert {name: each["purl"] for name, each in components.items()} == {
        "Rcpp": "pkg:cran/Rcpp@0.2-1",
        "limma": "pkg:bioconductor/limma@0.2-1",
        "universe": "pkg:cran/universe@0.2-1?repository_url=https://u.example.org",
        "hub": f"pkg:cran/hub@0.2-1?vcs_url=git%2Bhttps://github.com/ada/hub%40{COMMIT}",
        "mine": "pkg:generic/mine@0.2-1",
    }
    assert components["Rcpp"]["hashes"] == [{"alg": "SHA-256", "content": SHA}]
    assert {name for name, each in components.items() if each.get("properties")} == {"limma", "mine"}
    assert {"name": "venvoy:r", "value": "4.2.2"} in said["metadata"]["component"]["properties"]


def test_the_environment_is_what_it_is_about_and_needs_what_was_asked_for(snapshot):
    said = bom(snapshot(SIX, BETA))

    about = said["metadata"]["component"]
    needs = {each["ref"]: each.get("dependsOn") for each in said["dependencies"]}
    assert (about["name"], about["type"]) == ("demo", "platform")
    assert {"name": "venvoy:python", "value": "3.12.1"} in about["properties"]
    assert needs[about["bom-ref"]] == ["pkg:pypi/six@1.17.0"]


def test_the_serial_number_is_the_content_s_and_no_clock_is_in_it(snapshot):
    one = bom(snapshot(SIX))
    later = bom(replace(snapshot(SIX), taken=datetime(2030, 1, 1, tzinfo=UTC)))
    other = bom(snapshot(replace(SIX, sha256="b" * 64)))

    assert one == later
    assert "timestamp" not in one["metadata"]
    assert uuid.UUID(one["serialNumber"].removeprefix("urn:uuid:")).version == 5
    assert one["serialNumber"] != other["serialNumber"]


@pytest.mark.parametrize("packages", [(), (LOCAL,), EVERY])
def test_it_is_valid_for_every_environment(snapshot, packages):
    assert bom(snapshot(*packages))["specVersion"] == "1.6"


@settings(deadline=None)  # the first one waits for the import
@given(
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    version=st.text(max_size=12),
    url=st.text(max_size=30),
    origin=st.sampled_from(["index", "archive", "vcs", "local", "editable"]),
)
def test_it_is_valid_for_whatever_a_package_says_of_itself(name, version, url, origin):
    package = Package(name=name, version=version, origin=origin, url=f"https://example.org/{url}", sha256=SHA)

    bom(
        Snapshot(
            environment="demo",
            taken=datetime(2026, 1, 2, tzinfo=UTC),
            base="b" * 64,
            language_version="3.12.1",
            platform="linux-x86_64",
            packages=(package,),
        )
    )
