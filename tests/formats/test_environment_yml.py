"""environment.yml: ours word for word, those written by hand, and those written to do harm."""

import json
import os
import subprocess
from contextlib import suppress
from dataclasses import replace

import pytest
import uv
from hypothesis import given
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.formats.environment_yml import LIMIT, EnvironmentYml
from venvoy.model import Package, Wish

COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"
form = EnvironmentYml()


def load(text: str) -> Wish:
    return form.load(text, source="environment.yml")


def depends(entry: str) -> Wish:
    return load(f'dependencies:\n  - "{entry}"\n')


# --- ours ------------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_written_in_full_and_sorted(snapshot):
    text = form.dump(
        snapshot(
            "pip==26.3",
            "numpy==2.1.0",
            "attrs==25.1.0",
            Package(name="mine", version="0.1", origin="editable", url="file:///home/ada/mine"),
            Package(name="wheel-of-mine", version="1", origin="local", url="file:///home/ada/w.whl", sha256="a" * 64),
            Package(name="zip", version="1", origin="archive", url="https://example.org/zip.tar.gz"),
            Package(name="git", version="1", origin="vcs", url=f"git+https://example.org/p@{COMMIT}"),
        )
    )

    assert text == (
        "name: demo\n"
        "channels:\n"
        "  - conda-forge\n"
        "dependencies:\n"
        "  - python=3.12.1\n"
        "  - pip=26.3\n"
        "  - pip:\n"
        "      - attrs==25.1.0\n"
        f"      - git @ git+https://example.org/p@{COMMIT}\n"
        "      - -e file:///home/ada/mine\n"
        "      - numpy==2.1.0\n"
        "      - wheel-of-mine @ file:///home/ada/w.whl\n"
        "      - zip @ https://example.org/zip.tar.gz\n"
    )


def test_an_empty_environment_names_its_python_alone(snapshot):
    assert form.dump(snapshot()).endswith("dependencies:\n  - python=3.12.1\n")


def test_packages_without_pip_itself_still_name_pip_for_conda(snapshot):
    assert form.dump(snapshot("six==1.0")).endswith("  - pip\n  - pip:\n      - six==1.0\n")


def test_what_was_written_asks_for_the_same_again(snapshot):
    written = snapshot(
        "pip==26.3",
        "six==1.0",
        "torch==2.0+cpu",
        "ancient==2004d",
        Package(name="mine", version="0.1", origin="editable", url="file:///home/ada/mine"),
        Package(name="git", version="1", origin="vcs", url=f"git+https://example.org/p@{COMMIT}#subdirectory=a"),
        Package(name="strange", version="1", origin="archive", url="https://example.org/a.zip?x=%20&y=1#sha256=ab"),
    )

    assert load(form.dump(written)) == Wish(
        name="demo",
        python="3.12.1",
        requirements=(
            "pip==26.3",
            "ancient===2004d",
            f"git @ git+https://example.org/p@{COMMIT}#subdirectory=a",
            "-e file:///home/ada/mine",
            "six==1.0",
            "strange @ https://example.org/a.zip?x=%20&y=1#sha256=ab",
            "torch==2.0+cpu",
        ),
        channels=("conda-forge",),
        conda=("python=3.12.1", "pip=26.3"),
    )


@pytest.mark.parametrize("name", ["3.12", "1e3", "true", "No", "null", "2026-11-03", "0x10", "y", "a-b.c", "x" * 64])
def test_a_name_that_yaml_would_read_as_something_else_comes_back(snapshot, name):
    assert load(form.dump(snapshot(name=name))).name == name


@given(st.text(max_size=20).filter(lambda text: "\n" not in text and "\r" not in text and text.strip() == text))
def test_any_address_comes_back(tail):
    package = Package(name="a", version="1", origin="archive", url=f"https://example.org/{tail}".rstrip())
    written = form.dump(_snapshot(package))

    assert load(written).requirements == (f"a @ {package.url}",)


def _snapshot(*packages: Package):
    from datetime import UTC, datetime

    from venvoy.model import Snapshot

    return Snapshot(
        environment="demo", taken=datetime.now(UTC), base="", language_version="3.12.1", platform="", packages=packages
    )


# --- written by hand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "python"),
    [
        ("python", ""),
        ("python=3.12", "3.12"),
        ("python=3", "3"),
        ("python==3.12.1", "3.12.1"),
        ("python=3.12.*", "3.12"),
        ("python 3.12", "3.12"),
        ("python =3.12", "3.12"),
        ("python=3.12.1=h2755cc3_0_cpython", "3.12.1"),
        ("python 3.12.1 h2755cc3_0", "3.12.1"),
        ("python>=3.10", ">=3.10"),
        ("python >=3.10, <3.13", "<3.13,>=3.10"),
        ("python!=3.11.0", "!=3.11.0"),
        ("python~=3.10", "~=3.10"),
        ("python[version='>=3.10']", ">=3.10"),
        ("conda-forge::python=3.11", "3.11"),
        ("conda-forge/linux-64::python=3.11", "3.11"),
        ("Python=3.11", "3.11"),
        ("python=*", ""),
        ("  python=3.12  ", "3.12"),
    ],
)
def test_every_way_to_ask_for_a_python_is_read(entry, python):
    assert depends(entry) == Wish(python=python, conda=(entry.strip(),))


@pytest.mark.parametrize(
    ("entry", "requirements"),
    [
        ("pip", ()),
        ("pip=25.0", ("pip==25.0",)),
        ("pip==25.0.1", ("pip==25.0.1",)),
        ("pip=25", ("pip==25.*",)),
        ("pip>=23", ("pip>=23",)),
        ("conda-forge::pip", ()),
    ],
)
def test_every_way_to_ask_for_a_pip_is_read(entry, requirements):
    assert depends(entry) == Wish(requirements=requirements, conda=(entry,))


@pytest.mark.parametrize("entry", ["python=foo", "python=3.10|3.11", "python >", "pip=>3", "python[build=x]"])
def test_a_version_that_cannot_be_read_is_named(entry):
    with pytest.raises(InvalidInput, match=r"environment\.yml: cannot read") as refused:
        depends(entry)

    assert entry in refused.value.message


@pytest.mark.parametrize("text", ["name: demo\ndependencies:\n", "name: demo\ndependencies: []\n"])
def test_a_file_with_no_dependency_asks_for_nothing(text):
    assert load(text) == Wish(name="demo")


def test_a_file_as_people_write_it():
    wish = load(
        "# for the course\n"
        "name: course\n"
        "channels: [conda-forge, nodefaults]\n"
        "variables: {A: b}\n"
        "dependencies:\n"
        "  - python>=3.10\n"
        "  - pip\n"
        "  - pip:\n"
        "    - numpy >= 1.26 , < 3   # arrays\n"
        "    - 'pandas[excel]==2.*; python_version < \"3.14\"'\n"
        "    - -r requirements.txt\n"
        "    - --extra-index-url https://example.org/simple\n"
        "    - -e .\n"
        "    - ./local\n"
        "    - https://example.org/a-1.0-py3-none-any.whl\n"
        "    - git+https://example.org/p@main\n"
        "    - six==1.0 --hash=sha256:ab\n"
    )

    assert wish == Wish(
        name="course",
        python=">=3.10",
        requirements=(
            "numpy >= 1.26 , < 3",
            'pandas[excel]==2.*; python_version < "3.14"',
            "-r requirements.txt",
            "--extra-index-url https://example.org/simple",
            "-e .",
            "./local",
            "https://example.org/a-1.0-py3-none-any.whl",
            "git+https://example.org/p@main",
            "six==1.0 --hash=sha256:ab",
        ),
        channels=("conda-forge",),
        conda=("python>=3.10", "pip"),
        remarks=wish.remarks,
    )


def test_variables_are_told_for_nobody_sets_them():
    [remark] = load("dependencies: []\nvariables: {FOO: secret-value, BAR: 1}\n").remarks

    assert "FOO, BAR" in remark
    assert "secret-value" not in remark


def test_several_pip_lists_are_one():
    assert load("dependencies:\n - pip: [a]\n - pip: [b]\n").requirements == ("a", "b")


def test_what_no_venv_can_take_is_told_apart():
    wish = load("dependencies: [python=3.12, pip=25, numpy=1.26, 'conda-forge::r-base', xz, 'gdal >=3', pip: [six]]\n")

    assert wish.beyond == ("numpy=1.26", "conda-forge::r-base", "gdal >=3")
    assert wish.conda == ("python=3.12", "pip=25", "numpy=1.26", "conda-forge::r-base", "xz", "gdal >=3")
    assert wish.requirements == ("six",)


def test_what_only_conda_understands_of_a_python_is_for_conda():
    wish = load("dependencies: ['python=3.10|3.11', numpy]\n")

    assert (wish.python, wish.conda) == ("", ("python=3.10|3.11", "numpy"))


@pytest.mark.parametrize("channels", ["conda-forge", "[3]", "{a: b}", "['a b']", "[[a]]"])
def test_channels_must_be_a_list_of_names(channels):
    with pytest.raises(InvalidInput, match="channels must be a list"):
        load(f"channels: {channels}\ndependencies: [numpy]\n")


# --- conda -----------------------------------------------------------------------------------------------------------


def of_conda(snapshot, *more: Package):
    channel = "https://conda.anaconda.org/conda-forge"
    packages = [
        Package(ecosystem="conda", name=name, version=version, build=build, channel=channel)
        for name, version, build in (("python", "3.12.1", "0_cpython"), ("_openmp_mutex", "4.5", "2_gnu"))
    ]
    return replace(snapshot(*packages, *more), channels=("conda-forge", "https://example.org/own"))


def test_a_conda_environment_has_its_channels_its_packages_and_pips(snapshot):
    assert form.dump(of_conda(snapshot, Package(name="six", version="1.0"))) == (
        "name: demo\n"
        "channels:\n"
        "  - conda-forge\n"
        "  - https://example.org/own\n"
        "dependencies:\n"
        "  - _openmp_mutex==4.5\n"
        "  - python==3.12.1\n"
        "  - pip:\n"
        "      - six==1.0\n"
    )


def test_builds_are_named_on_demand(snapshot):
    text = EnvironmentYml(builds=True).dump(of_conda(snapshot))

    assert "  - python=3.12.1=0_cpython\n" in text


@pytest.mark.parametrize("builds", [True, False])
def test_a_conda_environment_is_read_back_as_the_same_state(snapshot, builds):
    before = of_conda(
        snapshot, Package(name="six", version="1.0"), Package(ecosystem="conda", name="zlib", version="1")
    )
    text = EnvironmentYml(builds=builds).dump(before)
    wish = form.load(text.replace("zlib=1=", "zlib=1").replace("_openmp_mutex", "libgdal"), source="environment.yml")

    state = form.state(wish, source="environment.yml")

    assert wish.channels == before.channels
    assert [(each.ecosystem, each.name, each.version) for each in state.packages] == [
        ("conda", "libgdal", "4.5"), ("conda", "python", "3.12.1"), ("conda", "zlib", "1"), ("pypi", "six", "1.0"),
    ]  # fmt: skip
    assert {each.build for each in state.packages} == ({"2_gnu", "0_cpython", ""} if builds else {""})


@pytest.mark.parametrize("spec", ["numpy", "numpy>=2", "numpy=2.*", "numpy 2|3", "numpy[version='>=2']"])
def test_a_spec_that_leaves_its_version_open_is_no_state(spec):
    wish = load(f'dependencies: ["{spec}"]\n')

    with pytest.raises(InvalidInput, match="leaves its version open"):
        form.state(wish, source="environment.yml")


# --- wrong -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"not an environment\.yml"),
        ("[]", r"not an environment\.yml"),
        ("just words", r"not an environment\.yml"),
        ("name: demo", "it has no dependencies"),
        ("name: demo\ndependancies: [six]", "it has no dependencies"),
        ("name: [demo]\ndependencies:", "name must be a string"),
        ("name: 3.12\ndependencies:", "name must be a string"),
        ("dependencies: python", "dependencies must be a list"),
        ("dependencies: {python: 3}", "dependencies must be a list"),
        ("dependencies: [3]", "3 in dependencies is neither"),
        ("dependencies: [[a]]", "neither a package nor a pip list"),
        ("dependencies: [npm: [x]]", "neither a package nor a pip list"),
        ("dependencies: [pip: [x], npm: [y]]", "neither a package nor a pip list"),
        ("dependencies: [pip: six]", "pip must be a list of requirements"),
        ("dependencies: [pip: [3]]", "pip must be a list of requirements"),
        ("dependencies: [pip: ['not a requirement']]", "'not a requirement' under pip is not a requirement"),
        ('dependencies: [pip: ["six\\n--index-url https://evil.example"]]', "more than one line"),
        ('dependencies: [pip: ["-r a\\n-r b"]]', "more than one line"),
        ("name: demo\ndependencies: [\n", r"environment\.yml, line 3"),
        ("name: demo\nname: demo\n", r"environment\.yml, line 2"),
        ("name: demo\n--- \nname: two\n", r"environment\.yml, line 2"),
        ("name: !!python/object/apply:os.system ['x']\n", r"environment\.yml, line 1"),
        ("name: !custom x\n", r"environment\.yml, line 1"),
        ("created: 2026-99-99\n", "is not YAML|environment.yml, line 1|must be"),
        ("name: \x00\n", r"environment\.yml"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(text, complaint):
    with pytest.raises(InvalidInput, match=complaint):
        load(text)


def test_a_bomb_of_aliases_is_refused_at_once_and_not_written_out():
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 25))

    with pytest.raises(InvalidInput) as refused:
        load(f"l0: &l0 [lol]\n{levels}dependencies: [*l24]\n")

    assert len(refused.value.message) < 500


@pytest.mark.parametrize("key", ["name", "dependencies", "pip"])
def test_a_bomb_anywhere_is_refused(key):
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 25))
    last = {"name": "name: *l24", "dependencies": "dependencies: *l24", "pip": "dependencies: [pip: *l24]"}[key]

    with pytest.raises(InvalidInput):
        load(f"l0: &l0 [lol]\n{levels}{last}\n")


@pytest.mark.parametrize("text", ["[" * 900, "{a: " * 900, "- " * 900, "a: &a [*a]\ndependencies: [*a]\n"])
def test_what_is_nested_without_end_is_refused(text):
    with pytest.raises(InvalidInput):
        load(text)


def test_what_is_too_long_is_refused():
    with pytest.raises(InvalidInput, match="too long"):
        load("#" * (LIMIT + 1))


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    with suppress(InvalidInput):
        load(text)


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(alphabet="ab3.=<>~[]:#- ", max_size=12)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["pip", "a"]), inner, max_size=2)
        ),
        max_leaves=8,
    )
)
def test_any_dependencies_are_read_or_refused(dependencies):
    import json

    with suppress(InvalidInput):
        load(json.dumps({"name": "demo", "dependencies": dependencies}))


READ = """
import json, sys
from pathlib import Path
from conda_lock.src_parser.environment_yaml import parse_environment_file
mapping = Path(sys.argv[1]).with_name("mapping.json")
mapping.write_text("{}")
read = parse_environment_file(Path(sys.argv[1]), platforms=["linux-64"], mapping_url=mapping.as_uri())
print(json.dumps([[each.manager, each.name, each.version] for each in read.dependencies["linux-64"]]))
"""


@pytest.mark.network
def test_conda_locks_own_parser_reads_what_is_written(snapshot, tmp_path):
    file = tmp_path / "environment.yml"
    file.write_text(EnvironmentYml().dump(snapshot("numpy==2.3.1", "pip==25.0", "six==1.17.0")))
    argv = [uv.find_uv_bin(), "tool", "run", "--quiet", "--from", "conda-lock>=3", "python", "-c", READ, file]

    ran = subprocess.run(argv, check=False, capture_output=True, text=True, env={**os.environ, "UV_SYSTEM_CERTS": "1"})

    assert ran.returncode == 0, ran.stderr
    said = {tuple(each) for each in json.loads(ran.stdout)}
    assert {("conda", "python", "3.12.1.*"), ("pip", "numpy", "==2.3.1"), ("pip", "six", "==1.17.0")} <= said


# --- images ----------------------------------------------------------------------------------------------------------


def test_the_image_is_named_in_a_comment_that_others_pass_over(in_image, snapshot):
    text = form.dump(in_image("six==1.0"))

    said, rest = text.split("\n", 1)
    assert said == f"# in the image docker.io/library/python:3.12-slim (sha256:{'1' * 64})"
    assert rest == form.dump(snapshot("six==1.0"))
    assert load(text) == load(rest)


def test_a_name_of_an_image_cannot_end_its_comment(in_image):
    seen = in_image("six==1.0")
    odd = replace(seen, stands_on=replace(seen.stands_on, reference="/tmp/a\ndependencies: [evil]\u2028#.tar"))

    assert load(form.dump(odd)) == load(form.dump(seen))
