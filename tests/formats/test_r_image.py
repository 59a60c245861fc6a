"""Recipes of images for R: every source by its hash, in the order in which they can be compiled."""

import subprocess
from dataclasses import replace

import pytest

from venvoy.errors import InvalidInput
from venvoy.formats import r_image
from venvoy.formats.registry import IMAGES, image_format, lacking
from venvoy.model import Ground, Image, Package, Repository


def cran(name, version="1.0", **more):
    url = f"https://cran.example.org/src/contrib/{name}_{version}.tar.gz"
    return replace(Package(ecosystem="cran", name=name, version=version, url=url, sha256="a" * 64), **more)


@pytest.fixture
def state(snapshot):
    def taken(*packages, **more):
        return replace(snapshot(*packages), **({"language": "r", "language_version": "4.4.1"} | more))

    return taken


@pytest.fixture
def ground():
    image = Image(reference="registry.example.org/r:1", digest=f"sha256:{'1' * 64}")
    return Ground(image=image, python="/usr/bin/Rscript")


@pytest.mark.parametrize("form", sorted(IMAGES))
def test_equal_states_give_equal_text_with_every_hash(form, state):
    packages = [cran("a", depends=("b",)), cran("b", sha256="b" * 64), cran("Tiny.Cased")]

    text = image_format(form, ground=None).dump(state(*packages))

    assert text == image_format(form, ground=None).dump(state(*reversed(packages)))
    assert "rocker/r-ver:4.4.1" in text
    assert all(f"{each.name}_1.0.tar.gz {each.sha256} https://" in text for each in packages)
    assert "pip" not in text.replace("# build", "")
    assert lacking(form, state(*packages)) == ()


def test_what_others_need_comes_first_and_circles_end(state):
    packages = [cran("a", depends=("b", "stats")), cran("b", depends=("c",)), cran("c"), cran("d", depends=("e",))]

    lines = r_image.lines(state(*packages, cran("e", depends=("d",))))

    assert [each.partition("_")[0] for each in lines] == ["c", "b", "a", "d", "e"]


def test_a_version_that_moved_is_looked_for_in_the_archive(state):
    (line,) = r_image.lines(state(cran("a")))

    assert line.split()[2] == (
        "https://cran.example.org/src/contrib/a_1.0.tar.gz,https://cran.example.org/src/contrib/Archive/a/a_1.0.tar.gz"
    )


def test_what_has_no_hash_is_left_out_and_named_or_taken_by_its_version_from_the_repositories(state):
    bare = cran("bare", url="", sha256="")
    local = cran("mine", origin="local", url="", sha256="")
    taken = state(
        bare, local, repositories=(Repository(name="CRAN", url="https://packagemanager.example.org/cran/2024-05-01"),)
    )

    strict = image_format("dockerfile", ground=None).dump(taken)
    loose = image_format("dockerfile", ground=None, loosely=True).dump(taken)

    assert "bare_1.0.tar.gz" not in strict
    assert "#   bare 1.0: " in strict
    assert [each.name for each in lacking("dockerfile", taken)] == ["bare", "mine"]
    assert "'bare_1.0.tar.gz - https://packagemanager.example.org/cran/2024-05-01/src/contrib/bare_1.0.tar.gz," in loose
    assert "#   bare 1.0: " not in loose
    assert "#   mine 1.0: " in loose


def test_it_begins_from_the_image_of_the_environment(state, ground):
    text = image_format("dockerfile", ground=ground).dump(state(cran("a")))

    assert "FROM --platform=linux/amd64 registry.example.org/r:1\n" in text
    assert "ENTRYPOINT []\n" in text
    assert text.endswith('CMD ["R"]\n')


@pytest.mark.parametrize(
    "url",
    ["https://x.example.org/$(touch x)/src/contrib/a_1.0.tar.gz", "https://x.example.org/a'b/src/contrib/a_1.0.tar.gz"],
)
@pytest.mark.parametrize("form", sorted(IMAGES))
def test_nothing_in_an_address_reaches_a_shell(form, state, url):
    text = image_format(form, ground=None).dump(state(cran("a", url=url)))

    assert "$(touch" not in text
    assert "a'b" not in text


def test_what_is_no_version_has_no_image(state):
    with pytest.raises(InvalidInput):
        image_format("dockerfile", ground=None).dump(state(language_version="4; rm"))


def test_the_script_is_one_that_r_reads(rscript, tmp_path):
    file = tmp_path / "install.R"
    file.write_text(r_image.INSTALL)

    subprocess.run([rscript, "--vanilla", "-e", f'invisible(parse("{file}"))'], check=True)

    assert "'" not in r_image.INSTALL
    assert "\\" not in r_image.INSTALL
