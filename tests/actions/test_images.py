"""Images come from a real registry, from files and from Dockerfiles, to each runtime, and what cannot be had is named."""

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from registry import layer, served, slowed
from waiting import eventually

from venvoy import process, runtimes
from venvoy.actions import image_file
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.image_named import file_named
from venvoy.actions.images import image_for
from venvoy.actions.registries import REFERENCE, full
from venvoy.containers import NETWORKS, mount, resources
from venvoy.errors import CommandFailed, InvalidInput, RuntimeUnavailable
from venvoy.model import Container, Environment, Image, Job
from venvoy.runtimes.oci import OciRuntime, mount_words
from venvoy.settings import Policy

LOGIN = ("ada", "correct horse")


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    with served(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def private(tmp_path_factory):
    """A registry that wants a login."""
    with served(tmp_path_factory.mktemp("private"), login=LOGIN) as running:
        yield running


@pytest.fixture(autouse=True)
def plainly(monkeypatch, tmp_path):
    """Podman and Apptainer speak with a registry of this machine without TLS, as Docker does by itself."""
    conf = tmp_path / "registries.conf"
    conf.write_text('[[registry]]\nprefix = "127.0.0.1"\nlocation = "127.0.0.1"\ninsecure = true\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for program in ("APPTAINER", "SINGULARITY"):
        monkeypatch.setenv(f"{program}_NOHTTPS", "1")
        monkeypatch.setenv(f"{program}_CACHEDIR", str(tmp_path / "cache"))
        monkeypatch.setenv(f"{program}_CONFIGDIR", str(tmp_path / "config"))

    def insecure(*hosts):
        conf.write_text("".join(f'[[registry]]\nlocation = "{each}"\ninsecure = true\n' for each in hosts))

    return insecure


@pytest.fixture
def here(engine, plainly):
    """Take away what a test brought into Docker's or Podman's store."""
    known = []

    def note(image):
        known.append(image.digest)
        return image

    yield note
    if engine.engine in ("docker", "podman"):
        for digest in known:
            subprocess.run([engine.name, "rmi", "--force", digest], capture_output=True, check=False)


@pytest.fixture(scope="session")
def debian(image_file):
    return image_file("python:3.11")


def oci(engine):
    return engine.engine in ("docker", "podman")


def ran(*argv, **words):
    return subprocess.run(argv, capture_output=True, text=True, check=True, **words).stdout


def test_an_image_is_fetched_with_the_bytes_of_its_layers_and_pinned(store, engine, registry, plainly, here):
    plainly(registry.host)
    name = f"group/{engine.name}-layers"
    pushed = registry.push(name, layer(1, 3_000_000), layer(2, 2_000_000))
    said, lines = [], []

    image = here(image_for(store, engine, f"{registry.host}/{name}:1", on_line=lines.append, on_progress=said.append))

    assert image.reference == f"{registry.host}/{name}:1"
    assert any(each.unit == "bytes" and each.total and each.total > 4_900_000 for each in said)
    assert max(each.done for each in said) >= 4_900_000
    assert image.registered == f"{registry.host}/{name}@{pushed}"
    if oci(engine):
        assert (
            image.digest
            == f"sha256:{ran(engine.name, 'image', 'inspect', '--format', '{{.Id}}', image.kept).strip().removeprefix('sha256:')}"
        )
        assert sum(line.startswith("layer ") for line in lines) == 2
    else:
        assert image.file.is_file()
        assert not [each for each in image.file.parent.iterdir() if each.name.startswith(".")]


def test_what_was_fetched_once_is_not_fetched_again_though_the_tag_has_moved(store, engine, registry, plainly, here):
    plainly(registry.host)
    name = f"{registry.host}/group/{engine.name}-moving"
    registry.push(f"group/{engine.name}-moving", layer(3))
    first = here(image_for(store, engine, f"{name}:1"))

    registry.push(f"group/{engine.name}-moving", layer(4))
    again = image_for(store, engine, f"{name}:1")

    assert again == first


@pytest.mark.parametrize("tagged", ["", ":1"])
def test_a_digest_names_one_image_whatever_its_tag_is_by_now(store, engine, registry, plainly, here, tagged):
    plainly(registry.host)
    name = f"group/{engine.name}-exact{tagged[1:]}"
    pushed = registry.push(name, layer(5 + len(tagged)))
    registry.push(name, layer(8))

    image = here(image_for(store, engine, f"{registry.host}/{name}{tagged}@{pushed}"))

    assert image.registered == f"{registry.host}/{name}@{pushed}"
    if not oci(engine):
        listed = ran(engine.name, "--quiet", "sif", "list", str(image.file))
        start = re.search(r"\|(\d+)-\d+ +\|FS \(Squashfs", listed)[1]
        assert "Compression zstd" in ran("unsquashfs", "-s", "-o", start, str(image.file))


def test_an_environment_keeps_its_image_when_the_tag_moves(store, engine, registry, plainly, here, debian, actor):
    plainly(registry.host)
    name = f"group/{engine.name}-kept"
    registry.push_file(name, debian)
    wanted = Wanted(runtime=engine.name, image=f"{registry.host}/{name}:1")
    kind, container = contain(store, wanted, Policy())
    here(container.image)
    env = create(store, Plan(name="study", runtime=kind, container=container), actor=actor)

    registry.push(name, layer(9))
    if oci(engine):
        ran(engine.name, "rmi", f"{registry.host}/{name}:1")
        ran(engine.name, "pull", f"{registry.host}/{name}:1")
        subprocess.run([engine.name, "rmi", f"{registry.host}/{name}:1"], capture_output=True, check=False)

    kept = store.environment("study")
    assert kept.container.image == env.container.image == container.image
    job = Job(argv=("python", "-c", "import sys; print(sys.version_info[:2])"), cwd=Path("/"))
    assert process.run(runtimes.get(kept.runtime).command(kept, job)).strip() == "(3, 11)"


@pytest.mark.parametrize(
    ("reference", "reason"),
    [("{host}/group/absent:1", "has none of that name"), ("{host}/group/{engine}-layers:none", "has none of that name"),
     ("127.0.0.1:1/group/image:1", "cannot be reached"), ("nowhere.invalid/group/image:1", "cannot be reached")],
)  # fmt: skip
def test_why_an_image_cannot_be_had_is_said(store, engine, registry, plainly, reference, reason):
    plainly(registry.host, "127.0.0.1:1")

    with pytest.raises(CommandFailed, match=reason) as error:
        image_for(store, engine, reference.format(host=registry.host, engine=engine.name))

    assert error.value.message.startswith("the image ")
    assert "--image image.tar" in error.value.hint or "login" in error.value.hint
    assert not list((store.settings.home / "images").glob("*"))


def test_a_registry_that_wants_a_login_gets_the_runtimes_own(store, engine, private, plainly, here):
    plainly(private.host)
    pushed = private.push(f"group/{engine.name}-private", layer(10))
    name = f"{private.host}/group/{engine.name}-private:1"

    with pytest.raises(CommandFailed, match=rf"{private.host} wants a login") as error:
        image_for(store, engine, name)
    assert f"{engine.name} " in error.value.hint
    assert private.host in error.value.hint

    login = ["login", "--username", LOGIN[0], "--password-stdin"]
    if oci(engine):
        ran(engine.name, *login, private.host, input=LOGIN[1])
    else:
        ran(engine.name, "registry", *login, f"docker://{private.host}", input=LOGIN[1])
    image = here(image_for(store, engine, name))
    assert (image.reference, image.registered) == (name, f"{name.removesuffix(':1')}@{pushed}")


def test_a_wrong_password_is_a_login_that_is_wanted(store, engine, private, plainly, settings):
    plainly(private.host)
    private.push(f"group/{engine.name}-wrong", layer(11))
    wrong = {"auths": {private.host: {"auth": "YWRhOndyb25n"}}}
    for file in (
        settings.user_home / ".docker/config.json",
        Path(os.environ["XDG_RUNTIME_DIR"]) / "containers/auth.json",
        Path(os.environ["APPTAINER_CONFIGDIR"]) / "docker-config.json",
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(wrong))

    with pytest.raises(CommandFailed, match="wants a login") as error:
        image_for(store, engine, f"{private.host}/group/{engine.name}-wrong:1")

    assert "login" in error.value.hint


def test_a_registry_without_tls_is_named(store, detected, registry, monkeypatch):
    monkeypatch.delenv("CONTAINERS_REGISTRIES_CONF")
    registry.push("group/tls", layer(12))

    with pytest.raises(CommandFailed, match="speaks no TLS") as error:
        image_for(store, detected.named("podman"), f"{registry.host}/group/tls:1")

    assert "insecure = true" in error.value.hint


# --- files -----------------------------------------------------------------------------------------------------------


FORMS = ("docker-archive", "oci-archive", "oci-layout")


@pytest.fixture
def forms(tmp_path, form):
    """The same small image in each form that is no reference; another one for each test, which removes it at its end."""
    (tmp_path / "files.tar").write_bytes(layer(20 + FORMS.index(form)))
    archive = image_file.write(tmp_path / "files.tar", tmp_path / "image.tar", name="docker.io/somebody/theirs:1").file
    layout = tmp_path / "layout"
    with tarfile.open(archive) as opened:
        opened.extractall(layout, filter="data")
    tarred = tmp_path / "oci.tar"
    with tarfile.open(tarred, "w") as packed:
        for each in sorted(layout.iterdir()):
            if each.name != "manifest.json":
                packed.add(each, each.name)
    (layout / "manifest.json").unlink()
    return {"docker-archive": archive, "oci-archive": tarred, "oci-layout": layout}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_comes_from_a_file_under_the_digest_that_it_has_everywhere(store, engine, forms, form, here):
    with tarfile.open(forms["docker-archive"]) as opened:
        known = json.load(opened.extractfile("manifest.json"))[0]["Config"].rpartition("/")[2]

    found = here(image_for(store, engine, str(forms[form])))

    assert found.reference == str(forms[form])
    if oci(engine):
        assert found.digest == f"sha256:{known}"
        tags = json.loads(ran(engine.name, "image", "inspect", found.digest))[0]["RepoTags"]
        assert found.kept in tags
        assert all(each.startswith(("localhost/venvoy/kept:", "localhost/venvoy/used:")) for each in tags)
    else:
        assert image_for(store, engine, str(forms["docker-archive"])).file == found.file  # made once


def test_a_root_file_system_becomes_an_image(store, engine, tmp_path, here):
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/venvoy-release").write_text("ours\n")
    with tarfile.open(tmp_path / "rootfs.tar", "w") as packed:
        packed.add(tree, ".")

    image = here(image_for(store, engine, str(tmp_path / "rootfs.tar")))

    assert image.digest.startswith("sha256:")


def test_a_dockerfile_is_built_where_an_engine_builds_them(store, engine, image, tmp_path, here):
    base = image(engine, "python:3.11")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/Dockerfile").write_text(f"FROM {base}\nRUN echo made > /made\nENV PATH=/opt/mine:/usr/bin:/bin\n")
    lines, said = [], []
    if not oci(engine):
        with pytest.raises(InvalidInput, match="builds no Dockerfile") as error:
            image_for(store, engine, str(tmp_path / "mine/Dockerfile"))
        assert "docker save" in error.value.hint
        return

    found = here(image_for(store, engine, str(tmp_path / "mine"), on_line=lines.append, on_progress=said.append))

    assert found.reference == str(tmp_path / "mine/Dockerfile")
    assert found.search == "/opt/mine:/usr/bin:/bin"
    assert ran(engine.name, "run", "--rm", "--entrypoint", "cat", found.digest, "/made") == "made\n"
    assert [each.total for each in said if each.unit == "steps"][-1] == 3


def test_a_build_that_fails_says_its_last_words(store, engine, image, tmp_path):
    if not oci(engine):
        return
    (tmp_path / "Dockerfile").write_text(f"FROM {image(engine, 'python:3.11')}\nRUN echo not so >&2; exit 7\n")

    with pytest.raises(CommandFailed, match="cannot build") as error:
        image_for(store, engine, str(tmp_path / "Dockerfile"))

    assert "not so" in error.value.hint


def test_a_sif_is_taken_as_it_is_and_refused_where_it_cannot_run(store, engine, image, detected, tmp_path):
    sif = image(detected.named("apptainer"), "python:3.11")
    if oci(engine):
        with pytest.raises(InvalidInput, match="which is a SIF"):
            image_for(store, engine, sif)
        return

    assert image_for(store, engine, sif).file == Path(sif)


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [("-v", "neither a file nor the name"), ("--privileged", "neither a file nor the name"),
     ("Python:3.12", "neither a file nor the name"), ("docker://python:3.12", "neither a file nor the name"),
     ("python:3.12 --privileged", "neither a file nor the name"), ("python;rm", "neither a file nor the name"),
     ("python@sha256:12", "neither a file nor the name"), ("", "neither a file nor the name"),
     ("a\nb", "neither a file nor the name"), ("a\0b", "neither a file nor the name"), ("./absent", "there is no file"),
     ("absent.sif", "there is no file"), ("/dev/null", "neither a file nor a folder"),
     ("~nobody-of-that-name/x", "there is no file"), ("{tmp}", "there is no image in the folder"),
     ("{tmp}/text.tar", "is no image"), ("{tmp}/fake.sif", "no SIF|is no image"), ("a" * 300, "neither a file nor the name")],
)  # fmt: skip
def test_what_is_no_image_is_refused_with_a_sentence(store, engine, tmp_path, wanted, complaint):
    (tmp_path / "text.tar").write_text("just text\n")
    (tmp_path / "fake.sif").write_text("just text\n")

    with pytest.raises(InvalidInput, match=complaint):
        image_for(store, engine, wanted.format(tmp=tmp_path))


def test_a_definition_is_for_apptainer_alone(store, engine, tmp_path, registry):
    registry.push("group/defined", layer(13))
    (tmp_path / "my.def").write_text(f"Bootstrap: docker\nFrom: {registry.host}/group/defined:1\n")
    if oci(engine):
        with pytest.raises(InvalidInput, match="builds no definition"):
            image_for(store, engine, str(tmp_path / "my.def"))
        return

    assert image_for(store, engine, str(tmp_path / "my.def")).file.is_file()


# --- interrupted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fetch_leaves_nothing_and_goes_on_the_next_time(
    store, engine, registry, plainly, here, settings, signum, tmp_path, monkeypatch
):
    monkeypatch.setenv("APPTAINER_TMPDIR", str(tmp_path))
    name = f"group/{engine.name}-{signum.name.lower()}"
    seed = 40 + 2 * signum + 100 * ("docker", "podman", "apptainer", "singularity").index(engine.name)
    registry.push(name, layer(seed), layer(seed + 1, 4_000_000))
    with slowed(registry, rate=0) as slow:
        plainly(slow.host)
        argv = [
            sys.executable,
            "-m",
            "venvoy",
            "init",
            "study",
            "--runtime",
            engine.name,
            "--image",
            f"{slow.host}/{name}:1",
        ]
        child = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        eventually(lambda: len(slow.sent) >= 2)
        time.sleep(0.5)
        child.send_signal(signum)
        said = child.communicate(timeout=60)[1].decode()

        assert child.returncode in (130, 143), said
        assert "Traceback" not in said
        assert store.names() == ()
        assert not list(store.images.glob("*"))
        assert not _left(tmp_path)
        if oci(engine):
            assert not ran(engine.name, "image", "ls", "--quiet", f"{slow.host}/{name}")

        slow.rate = 1 << 30
        again = len(slow.sent)
        image = here(image_for(store, engine, f"{slow.host}/{name}:1"))

    assert image.digest
    if engine.engine == "podman":  # Docker begins again: what it keeps of a pull that was given up is its own affair
        whole = f"sha256:{hashlib.sha256(layer(seed)).hexdigest()}"
        assert whole in slow.sent[:again]
        assert whole not in slow.sent[again:]


def _left(tree):
    """Folders of Apptainer's that are still there."""
    return [*tree.glob("venvoy-*/build-temp-*"), *tree.glob("venvoy-*/bundle-temp-*")]


# --- nothing that anybody writes reaches a shell, or is an option ----------------------------------------------------

words = st.text(max_size=60) | st.from_regex(r"-{1,2}[a-z]{1,10}(=\S*)?", fullmatch=True)
digests = st.from_regex(r"[a-z]{1,8}(:[a-z0-9]{0,4})?@?(sha256)?:?[0-9a-f]{0,70}", fullmatch=True)


@given(words | digests | st.from_regex(REFERENCE, fullmatch=True))
@settings_of(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_word_is_a_full_name_or_is_refused(word):
    try:
        name = full(word)
    except InvalidInput:
        return

    assert not name.startswith("-")
    assert re.fullmatch(r"[A-Za-z0-9\[\]._:/@-]+", name)
    assert name.count("@") <= 1
    assert full(name) == name
    for runtime in (OciRuntime("docker", 0, 0), OciRuntime("podman", 0, 0)):
        assert runtime.pull(name).argv[-1] == name


@given(words | digests)
@settings_of(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_word_names_a_file_or_none_or_is_refused(word):
    try:
        found = file_named(word)
    except InvalidInput:
        return

    assert found is None or found.is_absolute()


@given(
    st.dictionaries(
        st.sampled_from(["gpus", "cpus", "memory", "shm_size", "network", "devices"]),
        st.none() | words | st.integers() | st.floats() | st.lists(words, max_size=2),
    )
)
@settings_of(max_examples=300, deadline=None)
def test_any_resource_is_read_or_refused(said):
    try:
        found = resources(said)
    except InvalidInput:
        return

    env = Environment(
        name="demo", prefix=Path("/nonexistent"), runtime="docker", created=datetime.now(UTC),
        container=Container(image=Image(reference="x", digest=f"sha256:{'0' * 64}"), engine="docker", resources=found),
    )  # fmt: skip
    argv = OciRuntime("docker", 0, 0).command(env, Job(argv=("true",))).argv
    assert argv[:2] == ("docker", "run")
    assert all(re.fullmatch(r'all|"device=[\w,-]+"', each) for option, each in pairwise(argv) if option == "--gpus")
    assert all(re.fullmatch(r"/dev/[\w./-]+", each) for option, each in pairwise(argv) if option == "--device")
    assert all(each in NETWORKS for option, each in pairwise(argv) if option == "--network")


@given(words | st.lists(words, min_size=1, max_size=3).map(":".join))
@settings_of(max_examples=300, deadline=None)
def test_any_mount_is_read_or_refused(said):
    try:
        found = mount(said, folder=Path("/here"))
        argv = mount_words(found)
    except (InvalidInput, RuntimeUnavailable):
        return

    fields = next(csv.reader([argv]))
    assert fields[:3] == ["type=bind", f"src={found.source}", f"dst={found.target}"]
    assert found.source.is_absolute()
    assert found.target.startswith("/")
