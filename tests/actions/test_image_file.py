"""Images in every form in which they are saved: read and checked, and written as the same bytes; made to do harm, refused."""

import gzip
import hashlib
import io
import json
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from venvoy.actions.image_file import architecture, reading, write
from venvoy.errors import InvalidInput


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def layer(**said: str) -> bytes:
    """A tar of small files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in said.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


LAYERS = (layer(first="1" * 100_000), layer(second="2"))


def config(*layers: bytes) -> bytes:
    said = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(each)}" for each in layers]},
    }
    return json.dumps(said).encode()


CONFIG = config(*LAYERS)


def tar_of(file: Path, **members: bytes) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file


def docker(file: Path, *layers: bytes, saved: bytes = CONFIG, tags=("demo:1",)) -> Path:
    """As `docker save` of before 25 writes it."""
    layers = layers or LAYERS
    names = [f"{sha256(each)}/layer.tar" for each in layers]
    manifest = json.dumps([{"Config": f"{sha256(saved)}.json", "RepoTags": list(tags), "Layers": names}]).encode()
    return tar_of(
        file, **{f"{sha256(saved)}.json": saved, "manifest.json": manifest, **dict(zip(names, layers, strict=True))}
    )


def layout(folder: Path, *blobs: bytes, saved: bytes = CONFIG, **more) -> Path:
    """An OCI layout whose layers are those bytes, packed or not."""
    place = folder / "blobs/sha256"
    place.mkdir(parents=True)
    blobs = blobs or LAYERS

    def put(content: bytes) -> dict:
        (place / sha256(content)).write_bytes(content)
        return {"digest": f"sha256:{sha256(content)}", "size": len(content)}

    manifest = put(
        json.dumps({"schemaVersion": 2, "config": put(saved), "layers": [put(each) for each in blobs]}).encode()
    )
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest | more]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def test_the_same_image_gives_the_same_bytes_whoever_saved_it(tmp_path):
    gz, zst = gzip.compress(LAYERS[0]), zstandard.ZstdCompressor().compress(LAYERS[1])
    folder = layout(tmp_path / "layout", gz, zst)
    with tarfile.open(tmp_path / "layout.tar", "w") as archive:
        archive.add(folder, ".")
    sources = (docker(tmp_path / "a.tar", tags=()), folder, tmp_path / "layout.tar", layout(tmp_path / "plain"))

    made = [write(each, tmp_path / f"out-{number}.tar") for number, each in enumerate(sources)]

    assert {each.digest for each in made} == {f"sha256:{sha256(CONFIG)}"}
    assert len({each.file.read_bytes() for each in made}) == 1
    again = write(made[0].file, tmp_path / "again.tar")
    assert again.file.read_bytes() == made[0].file.read_bytes()


def test_what_is_written_is_a_layout_and_a_docker_archive(tmp_path):
    made = write(docker(tmp_path / "a.tar"), tmp_path / "b.tar", name="venvoy/demo:1")

    with tarfile.open(made.file) as archive:

        def read(name: str) -> bytes:
            return archive.extractfile(name).read()

        [said] = json.loads(read("manifest.json"))
        [found] = json.loads(read("index.json"))["manifests"]
        manifest = json.loads(read(f"blobs/sha256/{found['digest'][7:]}"))
        assert said["RepoTags"] == ["venvoy/demo:1"] == list(made.names)
        assert read(said["Config"]) == CONFIG
        assert [read(each) for each in said["Layers"]] == list(LAYERS)
        assert [each["digest"] for each in manifest["layers"]] == [f"sha256:{sha256(each)}" for each in LAYERS]
        assert {each.mtime for each in archive.getmembers()} == {0}


def test_a_layer_that_is_there_twice_is_written_once(tmp_path):
    twice = (LAYERS[0], LAYERS[1], LAYERS[0])
    saved = config(*twice)
    names = ["a/layer.tar", "b/layer.tar", "c/layer.tar"]
    manifest = json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": names}]).encode()
    file = tar_of(
        tmp_path / "a.tar", **{"c.json": saved, "manifest.json": manifest, names[0]: twice[0], names[1]: twice[1]}
    )
    with tarfile.open(file, "a") as archive:
        link = tarfile.TarInfo(names[2])
        link.type, link.linkname = tarfile.SYMTYPE, "../a/layer.tar"
        archive.addfile(link)

    made = write(file, tmp_path / "b.tar")

    with tarfile.open(made.file) as archive:
        names = archive.getnames()
        [said] = json.load(archive.extractfile("manifest.json"))
    assert (len(names), len(set(names)), len(said["Layers"])) == (len(names), len(names), 3)


@pytest.mark.parametrize("packed", [False, True])
def test_a_root_file_system_becomes_an_image_of_one_layer(tmp_path, packed):
    file = tmp_path / "rootfs.tar"
    file.write_bytes(gzip.compress(LAYERS[0]) if packed else LAYERS[0])

    made = write(file, tmp_path / "b.tar")

    assert made.architecture == architecture()
    with tarfile.open(made.file) as archive:
        assert archive.extractfile(f"blobs/sha256/{sha256(LAYERS[0])}").read() == LAYERS[0]


def test_of_an_index_for_several_machines_the_own_is_taken(tmp_path):
    folder = layout(tmp_path / "l", platform={"os": "linux", "architecture": architecture()})
    said = json.loads((folder / "index.json").read_text())
    foreign = {"digest": f"sha256:{'0' * 64}", "platform": {"os": "linux", "architecture": "s390x"}}
    (folder / "index.json").write_text(json.dumps(said | {"manifests": [foreign, *said["manifests"]]}))

    assert write(folder, tmp_path / "b.tar").digest == f"sha256:{sha256(CONFIG)}"


def test_a_layer_that_is_another_is_refused_and_nothing_is_left(tmp_path):
    file = docker(tmp_path / "a.tar", LAYERS[0], layer(second="another"), saved=CONFIG)

    with pytest.raises(InvalidInput, match="a layer is not what its digest says"):
        write(file, tmp_path / "b.tar")

    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.tar"]


def test_a_layout_does_not_lead_out_of_its_folder(tmp_path):
    (tmp_path / "secret").write_bytes(CONFIG)
    folder = layout(tmp_path / "l")
    manifest = [{"Config": "../secret", "RepoTags": None, "Layers": []}]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidInput, match="leads out of it"):
        write(folder, tmp_path / "b.tar")

    (folder / "manifest.json").unlink()
    blob = folder / "blobs/sha256" / sha256(CONFIG)
    blob.unlink()
    blob.symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInput, match="leads out of it"):
        write(folder, tmp_path / "b.tar")


def test_links_that_go_round_are_refused(tmp_path):
    manifest = json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": []}]).encode()
    file = tar_of(tmp_path / "a.tar", **{"manifest.json": manifest})
    with tarfile.open(file, "a") as archive:
        link = tarfile.TarInfo("c.json")
        link.type, link.linkname = tarfile.SYMTYPE, "c.json"
        archive.addfile(link)

    with pytest.raises(InvalidInput, match="a link that leads nowhere"):
        write(file, tmp_path / "b.tar")


@pytest.mark.parametrize("manifest", ["[]", "{}", "[{}, {}]", "null", '[{"Config": "x", "Layers": []}]', "[1]", "}"])
def test_what_is_no_image_is_refused(tmp_path, manifest):
    file = tar_of(tmp_path / "a.tar", **{"manifest.json": manifest.encode()})

    with pytest.raises(InvalidInput, match="is no image"):
        write(file, tmp_path / "b.tar")


def test_an_empty_folder_and_a_file_that_is_no_tar_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("FROM scratch\n")
    for each in ("empty", "text", "nothing"):
        with pytest.raises(InvalidInput, match="is no image"):
            write(tmp_path / each, tmp_path / "b.tar")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_harm_is_read_or_refused(tmp_path, data):
    good = docker(tmp_path / "good.tar").read_bytes()
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "bad.tar").write_bytes(bytes(bad[: data.draw(st.integers(0, len(bad)))]))

    with suppress(InvalidInput):
        write(tmp_path / "bad.tar", tmp_path / "b.tar")
    assert not list(tmp_path.glob(".*.partial"))


@pytest.fixture
def canonical(tmp_path) -> Path:
    return write(docker(tmp_path / "saved.tar"), tmp_path / "image.tar", name=None).file


def test_what_was_written_without_a_name_is_read_again(canonical):
    with reading(canonical) as image:
        assert image.said.digest == f"sha256:{sha256(CONFIG)}"
        assert image.config == json.loads(CONFIG)
        assert [each.open().read() for each in image.layers] == list(LAYERS)


def test_a_root_file_system_gets_the_settings_that_it_is_given(tmp_path):
    (tmp_path / "layer.tar").write_bytes(LAYERS[0])
    said = {"Env": ["PATH=/opt/bin"], "Cmd": ["python3"]}

    with reading(write(tmp_path / "layer.tar", tmp_path / "image.tar", name=None, settings=said).file) as image:
        assert image.config["config"] == said


def rewritten(file: Path, change) -> None:
    """The same tar with its members changed: `change` takes and gives a list of names and contents."""
    with tarfile.open(file) as tar:
        members = [(each, (tar.extractfile(each) or io.BytesIO()).read()) for each in tar]
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry, content in change(members):
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def flipped(members):
    return [(each, content.replace(b"1" * 9, b"1" * 8 + b"2", 1)) for each, content in members]


def without(name):
    return lambda members: [one for one in members if not one[0].name.startswith(name)]


def named_otherwise(members):
    return [
        (each, content.replace(b'"RepoTags":[]', b'"RepoTags":["docker.io/library/python:3.13"]'))
        for each, content in members
    ]


def two_images(members):
    return [
        (each, b"[" + content[1:-1] + b"," + content[1:] if each.name == "manifest.json" else content)
        for each, content in members
    ]


def another_index(members):
    return [
        (each, content.replace(b'"schemaVersion":2', b'"schemaVersion":3') if each.name == "index.json" else content)
        for each, content in members
    ]


def linked(members):
    entry = tarfile.TarInfo("blobs/sha256/link")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [*members, (entry, b"")]


def with_more(members):
    return [*members, (tarfile.TarInfo("etc/passwd"), b"root")]


def twice(members):
    return [*members, next(one for one in members if one[0].name == "manifest.json")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (flipped, "not what its digest says"), (without("blobs/sha256/"), ""), (without("manifest.json"), "manifest.json"),
        (without("index.json"), "more or less"), (named_otherwise, "more or less"), (two_images, "2 images"),
        (another_index, "more or less"), (linked, "neither a file nor a folder"), (with_more, "more or less"),
        (twice, "more or less"), (lambda members: members[::-1], "more or less"),
    ],
)  # fmt: skip
def test_an_image_that_was_changed_after_it_was_written_is_refused(canonical, change, reason):
    rewritten(canonical, change)

    with pytest.raises(InvalidInput, match=f"its image is none: .*{reason}"), reading(canonical):
        pass


def test_a_layer_that_is_packed_is_refused_before_it_unfolds(tmp_path, canonical):
    bomb = gzip.compress(bytes(50_000_000))
    rewritten(canonical, lambda members: [(e, bomb if e.name.endswith(sha256(LAYERS[0])) else c) for e, c in members])

    with pytest.raises(InvalidInput, match="is compressed"), reading(canonical):
        pass


def test_what_is_packed_as_a_whole_or_follows_its_end_is_refused(canonical):
    whole = canonical.read_bytes()

    for changed in (gzip.compress(whole), whole + b"more", whole + bytes(10240), whole[:-512], b""):
        canonical.write_bytes(changed)
        with pytest.raises(InvalidInput), reading(canonical):
            pass
