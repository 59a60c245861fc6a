"""Where an archive's environment is made: which image is taken for it, and which archives and images are refused."""

import hashlib
import json
import subprocess
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from venvoy import runtimes
from venvoy.actions import image_file
from venvoy.actions.contain import Wanted
from venvoy.actions.import_archive import import_archive
from venvoy.actions.lay_out import lay_out
from venvoy.actions.packing import Member, pack
from venvoy.actions.place import Place, base_sentence
from venvoy.actions.unpacking import FORMAT, MANIFEST, announced
from venvoy.actions.verify import verify_archive
from venvoy.errors import InvalidInput, NotPermitted, RuntimeUnavailable, VenvoyError
from venvoy.managers import uv
from venvoy.model import Container, Environment, Image, Mount, Resources
from venvoy.settings import Policy


@pytest.fixture
def image_of(tmp_path):
    """An image file of one small layer."""

    def written(architecture: str = "", **config: object) -> image_file.ImageFile:
        layer = tmp_path / "layer.tar"
        with tarfile.open(layer, "w") as tar:
            tar.addfile(tarfile.TarInfo("usr/bin/python3"))
        found = image_file.write(layer, tmp_path / "image.tar", name=None)
        if architecture:
            other = tmp_path / "other"
            _change_config(tmp_path / "image.tar", other, architecture)
            found = image_file.write(other, tmp_path / "image.tar", name=None)
        return found

    return written


def _change_config(file: Path, layout: Path, architecture: str) -> None:
    """The same as an OCI layout of another architecture."""
    with tarfile.open(file) as tar:
        tar.extractall(layout, filter="data")
    (layout / "manifest.json").unlink()

    def blob(said: dict) -> Path:
        return layout / "blobs/sha256" / said["digest"].partition(":")[2]

    def put(content: bytes) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        (layout / "blobs/sha256" / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]).read_bytes())
    config = json.loads(blob(manifest["config"]).read_bytes())
    manifest["config"] = put(json.dumps({**config, "architecture": architecture}).encode())
    index["manifests"] = [put(json.dumps(manifest).encode())]
    (layout / "index.json").write_text(json.dumps(index))


@pytest.fixture
def archive(tmp_path, image_of):
    """An archive of a container environment as anybody may write it; what is given replaces what is true."""

    def written(*, content: bytes | None = None, left_out: bool = False, image: object = ..., **said: object) -> Path:
        found = image_of(**({"architecture": said.pop("architecture")} if "architecture" in said else {}))
        data = found.file.read_bytes() if content is None else content
        members = {} if left_out else {"image.tar": data}
        listed = {
            name: {"size": len(each), "sha256": hashlib.sha256(each).hexdigest()} for name, each in members.items()
        }
        manifest = {
            "format": FORMAT,
            "tier": "image",
            "environment": "demo",
            "runtime": "docker",
            "python": "3.11.2",
            "image": {"reference": "docker.io/library/python:3.11-slim", "digest": found.digest},
            **({} if image is ... else {"image": image}),
            **said,
            "members": listed,
        }
        head = Member(name=MANIFEST, data=json.dumps(manifest).encode())
        packed = [head, *(Member(name=name, data=each) for name, each in members.items())]
        return pack(packed, tmp_path / "x.venvoy.tar.zst", compression="zst").path

    return written


@pytest.fixture
def nothing_left(store, detected):
    def left() -> bool:
        home = store.settings.home
        folders = [home / "scratch", home / "images", home / "environments"]
        there = [
            each
            for folder in folders
            if folder.exists()
            for each in folder.iterdir()
            if not each.name.endswith(".lock")
        ]
        return not there and store.names() == () and not store.project("demo").exists()

    return left


def changed(file: Path) -> bytes:
    raw = bytearray(file.read_bytes())
    raw[raw.index(b"usr/bin/python3")] ^= 1
    return bytes(raw)


def test_an_image_that_is_not_what_its_layers_say_is_refused_and_leaves_nothing(
    archive, image_of, store, actor, tmp_path, nothing_left
):
    file = archive(content=changed(image_of().file))

    with pytest.raises(InvalidInput, match="not what its digest says"):
        import_archive(store, file, actor=actor)
    with pytest.raises(InvalidInput, match="not what its digest says"):
        lay_out(file, tmp_path / "out")
    report = verify_archive(store, file)

    assert report.reached is None
    assert "not what its digest says" in report.deviations[0].what
    assert nothing_left()
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"reference": "python:3.11", "digest": f"sha256:{'0' * 64}"}, "its manifest says sha256:0"),
        ({"reference": "python:3.11"}, "its manifest says nothing"),
        (None, "its manifest says nothing"),
        ([], "its manifest says nothing"),
        ({"reference": ["x"], "digest": 7}, "its manifest says nothing"),
    ],
)
def test_an_image_under_another_digest_is_refused(archive, store, actor, image, reason, nothing_left):
    with pytest.raises(InvalidInput, match=reason):
        import_archive(store, archive(image=image), actor=actor)

    assert nothing_left()


def test_what_is_no_image_at_all_is_refused(archive, store, actor, nothing_left):
    for content in (b"", b"no tar", bytes(10240)):
        with pytest.raises(InvalidInput, match="its image is none"):
            import_archive(store, archive(content=content), actor=actor)

    assert nothing_left()


def test_a_name_in_the_archive_opens_no_file_of_this_machine(archive, store, actor, tmp_path, detected, nothing_left):
    theirs = tmp_path / "secret.tar"
    theirs.write_bytes(b"x")
    file = archive(left_out=True, image={"reference": str(theirs), "digest": ""})

    with pytest.raises(InvalidInput, match="was the file"):
        import_archive(store, file, actor=actor)
    with pytest.raises(InvalidInput, match="neither a file nor the name"):
        import_archive(store, archive(left_out=True, image={"reference": "--privileged", "digest": ""}), actor=actor)
    with pytest.raises(InvalidInput, match="carries no image"):
        lay_out(file, tmp_path / "out")

    assert nothing_left()


def test_where_images_are_restricted_what_the_archive_calls_its_image_counts_for_nothing(
    archive, store, actor, engine, nothing_left
):
    file = archive()
    wanted = Wanted(runtime=engine.name)
    strict = Policy(images=("docker.io/library/*",))

    with pytest.raises(NotPermitted, match="may not be used here"):
        import_archive(store, file, actor=actor, wanted=wanted, policy=strict)
    with pytest.raises(NotPermitted, match="may not be used here"):
        verify_archive(store, file, wanted=wanted, policy=strict)
    with pytest.raises(NotPermitted, match="network"):
        import_archive(store, file, actor=actor, wanted=wanted, policy=Policy(networks=("none",)))

    assert nothing_left()


def test_what_an_archive_says_can_be_read_without_the_rest_of_it(archive, image_of, tmp_path):
    assert announced(archive()).said["image"]["digest"] == image_of().digest

    for content in (b"", b"no archive", bytes(10240)):
        (tmp_path / "odd").write_bytes(content)
        with pytest.raises(InvalidInput):
            announced(tmp_path / "odd")


def test_an_image_for_another_machine_is_refused(archive, store, actor, engine, nothing_left):
    with pytest.raises(RuntimeUnavailable, match="its image is for s390x"):
        import_archive(store, archive(architecture="s390x"), actor=actor, wanted=Wanted(runtime=engine.name))

    assert nothing_left()


def test_an_image_that_was_brought_goes_again_when_the_rest_cannot_be_made(archive, store, actor, engine, nothing_left):
    file = archive()
    digest = json.loads(_manifest(file))["image"]["digest"]

    with pytest.raises(VenvoyError):
        import_archive(store, file, actor=actor, wanted=Wanted(runtime=engine.name))

    assert nothing_left()
    if engine.engine in ("docker", "podman"):
        gone = subprocess.run([engine.name, "image", "inspect", digest], capture_output=True, check=False)
        assert gone.returncode != 0


def _manifest(file: Path) -> bytes:
    import zstandard

    with (
        file.open("rb") as raw,
        zstandard.ZstdDecompressor().stream_reader(raw) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        return tar.extractfile(tar.next()).read()


def test_a_conda_environment_is_made_on_this_machine(archive, store, actor):
    file = archive(left_out=True, image=None, runtime="conda")

    with pytest.raises(InvalidInput, match="conda environment"):
        import_archive(store, file, actor=actor, wanted=Wanted(runtime="auto"))


def test_what_strangers_packed_is_put_in_without_network_and_without_the_user_s_files(tmp_path):
    image = Image(reference="x", digest=f"sha256:{'a' * 64}")
    mounts = (Mount(source=tmp_path, target="/data"),)
    usual = Container(image=image, engine="docker", home=Path("/home/ada"), mounts=mounts)
    place = Place(runtime="docker", container=usual, scratch=tmp_path / "empty")

    runtime, apart = place.apart

    assert (runtime, apart.home, apart.mounts, apart.apart) == ("docker", tmp_path / "empty", (), True)
    assert apart.resources == Resources(network="none")
    env = Environment(
        name="x", prefix=tmp_path / "prefix", runtime="docker", created=datetime.now(UTC), container=apart
    )
    argv = runtimes.get("docker").command(env, uv.offline(uv.from_lock(env.python, tmp_path / "lock/pylock.toml"))).argv
    assert argv[argv.index("--network") + 1] == "none"
    assert "/home/ada" not in " ".join(argv)


def test_the_sentence_on_the_base_says_no_more_than_is_known():
    digest, other = (f"sha256:{each * 64}" for each in "ab")
    image = Image(reference="x", digest=digest)
    sif = replace(image, digest=other, file=Path("x.sif"), made_of=digest)

    assert "the very image" in base_sentence({"digest": digest}, image)
    assert "the very image" in base_sentence({"digest": "", "sif": other}, sif)
    assert "a SIF" in base_sentence({"digest": digest}, sif)
    assert "another image" in base_sentence({"digest": other}, image)
    assert "another image" in base_sentence({}, replace(sif, made_of=""))
