"""What is said of containers: mounts, sizes and the rest, read as people write them and written so that it is read again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy.containers import NETWORKS, container, mount, mount_text, resources, size, size_text, written
from venvoy.errors import InvalidInput
from venvoy.model import Container, Image, Mount, Resources

IMAGE = Image(reference="python:3.12-slim", digest=f"sha256:{'a' * 64}")


@pytest.mark.parametrize(
    ("said", "source", "target", "read_only"),
    [("/scratch/data:/workspace/data", "/scratch/data", "/workspace/data", False),
     ("/scratch/data:/workspace/data:ro", "/scratch/data", "/workspace/data", True),
     ("/scratch/data:/workspace/data:rw", "/scratch/data", "/workspace/data", False),
     ("/scratch/data", "/scratch/data", "/scratch/data", False),
     ("/scratch/data:ro", "/scratch/data", "/scratch/data", True),
     ("data:/workspace/data", "/here/data", "/workspace/data", False),
     ("./data:/workspace/data/", "/here/data", "/workspace/data", False),
     ("/odd:name, with spaces:/d", "/odd:name, with spaces", "/d", False)],
)  # fmt: skip
def test_a_mount_is_read(said, source, target, read_only):
    assert mount(said, folder=Path("/here")) == Mount(source=Path(source), target=target, read_only=read_only)


@pytest.mark.parametrize("said", ["", ":", "/a:b", "a:", "/a:/", "/a:/b/../c", "/a:relative:ro", "/a\n:/b", "/a:/b\0"])
def test_what_is_no_mount_is_refused(said):
    with pytest.raises(InvalidInput, match="is no mount"):
        mount(said, folder=Path("/here"))


names = st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1).filter(
    lambda each: each not in (".", "..")
)


@given(
    st.lists(names, min_size=1, max_size=3),
    st.lists(names.filter(lambda each: ":" not in each), min_size=1, max_size=3),
    st.booleans(),
)
def test_any_mount_comes_back(source, target, read_only):
    said = Mount(source=Path("/", *source), target=str(Path("/", *target)), read_only=read_only)

    assert mount(mount_text(said)) == said


@pytest.mark.parametrize(
    ("said", "meant"),
    [("512m", 512 << 20), ("4g", 4 << 30), ("4G", 4 << 30), ("4GB", 4 << 30), ("4GiB", 4 << 30), ("1.5g", 3 << 29), (1048576, 1 << 20), ("64k", 65536), ("2t", 2 << 40)],
)  # fmt: skip
def test_a_size_is_read(said, meant):
    assert size(said) == meant


@pytest.mark.parametrize("said", ["", "m", "-1g", "1x", "0", "1 2g", "g1", "1e9", None])
def test_what_is_no_size_is_refused(said):
    with pytest.raises(InvalidInput, match="is no size"):
        size(said)


@given(st.integers(min_value=1, max_value=1 << 50))
def test_any_size_comes_back(said):
    assert size(size_text(said)) == said


@pytest.mark.parametrize(
    ("said", "complaint"),
    [({"gpus": "some"}, "gpus cannot be 'some'"), ({"network": "lan"}, "network cannot be 'lan'"),
     ({"cpus": 0}, "cpus cannot be 0"), ({"cpus": True}, "cpus cannot be True"), ({"cpus": "2"}, "cpus cannot be '2'"),
     ({"memory": "much"}, "'much' is no size"), ({"devices": ["fuse"]}, "'fuse' is no device"),
     ({"devices": ["/dev/../etc"]}, "is no device"), ({"cpus": float("nan")}, "cpus cannot be nan")],
)  # fmt: skip
def test_a_wrong_resource_is_named(said, complaint):
    with pytest.raises(InvalidInput, match=complaint):
        resources(said)


def test_the_first_gpu_is_one():
    assert [resources({"gpus": each}).gpus for each in (0, "0", 1, None)] == ["0", "0", "1", ""]


whole = st.builds(
    Container,
    image=st.just(IMAGE) | st.just(Image(reference="a.sif", digest=IMAGE.digest, file=Path("/i/a.sif"), search="/bin")),
    engine=st.sampled_from(["docker", "podman", "apptainer", "singularity"]),
    rootless=st.booleans(),
    resources=st.builds(
        Resources,
        gpus=st.sampled_from(["", "all", "0", "0,1"]),
        cpus=st.none() | st.floats(min_value=0.1, max_value=64),
        memory=st.none() | st.integers(min_value=1, max_value=1 << 45),
        shm_size=st.none() | st.integers(min_value=1, max_value=1 << 45),
        network=st.none() | st.sampled_from(NETWORKS),
        devices=st.just(()) | st.just(("/dev/fuse", "/dev/dri/card0")),
    ),
    mounts=st.just(()) | st.just((Mount(source=Path("/a:b"), target="/c", read_only=True),)),
    home=st.none() | st.just(Path("/home/ada")),
    writable=st.booleans(),
)


@given(whole)
def test_any_container_comes_back(said):
    keys = {key: value for key, value in written(said).items() if value is not None}

    assert (
        container({"runtime": "docker", **keys}, folder=Path("/here"), home=Path("/home/ada"), users=Path("/u")) == said
    )


def test_an_image_without_its_digest_is_none():
    with pytest.raises(InvalidInput, match="image_digest"):
        container(
            {"runtime": "docker", "image": "python:3.12"},
            folder=Path("/here"),
            home=Path("/home/ada"),
            users=Path("/u"),
        )
