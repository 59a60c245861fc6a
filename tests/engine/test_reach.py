"""How channels are reached: through mirrors that may want a password, without a network, and told while it lasts."""

import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from venvoy.actions import channels, conda
from venvoy.engine.request import Request, Source
from venvoy.errors import CommandFailed
from venvoy.inventory import conda_files, conda_meta
from venvoy.model import Package, Progress


@pytest.fixture
def behind(near) -> Source:
    """A channel that is only to be had through a mirror with a password."""
    private = near.address.replace("http://", "http://user:sesame@")
    return Source(channels=("https://conda.example/a",), mirrors={"https://conda.example/a/": (f"{private}/",)})


def test_what_comes_through_a_mirror_is_of_the_channel(engine, prefix, behind):
    said = engine("change", specs=("needing",), source=behind)

    assert {each["channel"] for each in said["added"]} == {"https://conda.example/a"}
    assert {each.package().channel for each in conda_meta.records(prefix)} == {"https://conda.example/a"}
    assert conda_files.audit(prefix).deviations == ()


def test_the_password_of_a_mirror_stays_with_us(engine, prefix, behind, tmp_path):
    said = engine("change", specs=("needing",), source=behind)

    texts = [each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()]
    assert "sesame" not in repr(said)
    assert len(texts) > 10
    assert not [text for text in texts if b"sesame" in text]


def test_what_is_served_from_a_folder_is_not_for_the_other_users_of_the_machine(tmp_path):
    (tmp_path / "conda.example/a").mkdir(parents=True)
    (tmp_path / "conda.example/a/file").write_text("ours")
    asked = """
import socket, struct, sys, time, urllib.error, urllib.request
from pathlib import Path
from venvoy.engine.channels import _serving

def code(address):
    try:
        return urllib.request.urlopen(address).status
    except urllib.error.HTTPError as error:
        return error.code

with _serving(Path(sys.argv[1])) as address:
    bare, secret = address.rsplit("/", 1)
    ways = (address, bare, f"{bare}/guess", f"{bare}/guess/..", f"{bare}/%C3%A9", f"{address}/../beside")
    print(len(secret), *(code(f"{each}/conda.example/a/file") for each in ways))
    with socket.create_connection(("127.0.0.1", int(bare.rpartition(":")[2]))) as raw:
        raw.sendall(b"GET /\\xe9/conda.example/a/file HTTP/1.0\\r\\n\\r\\n")
        print(raw.recv(100).split()[1].decode())
    with socket.create_connection(("127.0.0.1", int(bare.rpartition(":")[2]))) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # hangs up with a reset
        raw.sendall(b"GET /")
    time.sleep(0.2)
"""
    beside = tmp_path.parent / "beside/conda.example/a"
    beside.mkdir(parents=True)
    (beside / "file").write_text("another's")

    said = subprocess.run([sys.executable, "-c", asked, tmp_path], capture_output=True, text=True, check=True)

    length, known, *others = said.stdout.split()
    assert (int(length) > 20, known, others) == (True, "200", ["404"] * 6)
    assert said.stderr == ""


def test_a_prefix_is_changed_without_a_network_from_what_was_fetched_before(engine, near, prefix, tmp_path):
    engine("change", specs=("needing",), prefix=str(tmp_path / "another"))
    near.asked.clear()

    engine("change", specs=("needing",), source=near.source(offline=True))

    assert {each.name for each in conda_meta.records(prefix)} == {"needing", "plain"}
    assert near.asked == []


@pytest.mark.parametrize("seen", [True, False])
def test_without_a_network_nothing_is_asked_for(engine, near, prefix, seen):
    if seen:
        engine("solve", specs=("plain",), platforms=("linux-64",))
        near.asked.clear()

    with pytest.raises(CommandFailed) as caught:
        engine("change", specs=("plain",), source=near.source(offline=True))

    assert "what is in the cache needs no network" in str(caught.value.hint)
    assert near.asked == []
    assert (conda_meta.records(prefix), conda_meta.unfinished(prefix)) == ((), None)


def test_it_is_told_how_far_it_is(near, prefix):
    heard: list[Progress] = []
    request = Request(verb="change", source=near.source(), prefix=str(prefix), specs=("needing",))

    conda.ask(request, doing="cannot do it", on_progress=heard.append)

    by_phase = {each.phase: each for each in heard}
    assert list(by_phase) == ["Fetching", "Installing"]
    assert (by_phase["Installing"].done, by_phase["Installing"].total) == (2, 2)
    assert by_phase["Fetching"].done == by_phase["Fetching"].total > 500
    assert all(each.done <= (each.total or each.done) for each in heard)


@pytest.fixture
def certificate(tmp_path) -> Path:
    """A certificate that nobody knows, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("not obtainable: no openssl")
    file = tmp_path / "certificate.pem"
    argv = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
        "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-out", file, "-keyout", file,
    ]  # fmt: skip
    subprocess.run(argv, check=True, capture_output=True)
    return file


@pytest.fixture
def secured(near, certificate) -> Iterator[str]:
    """The channel's address behind that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    handler = partial(SimpleHTTPRequestHandler, directory=str(near.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("trusted", ["by its file", "whoever it is"])
def test_a_certificate_of_an_institution_is_trusted_where_that_is_configured(
    engine, prefix, certificate, secured, trusted
):
    said = {"by its file": str(certificate), "whoever it is": False}[trusted]

    engine("change", specs=("plain",), source=Source(channels=(secured,), ssl=said))

    [record] = conda_meta.records(prefix)
    assert record.package().channel == secured
    assert channels.bring((record.package(),), prefix / "kept", Source(ssl=said)) == {}


@pytest.mark.parametrize("said", [True, "truststore"])
def test_a_certificate_that_nobody_knows_is_not_trusted(engine, near, prefix, secured, said):
    url = near.pin(near.folder / "noarch/plain-1.0-0.conda").url.replace(near.address, secured)
    plain = Package(ecosystem="conda", name="plain", version="1.0", channel=secured, url=url, sha256="0" * 64)
    assert channels.bring((plain,), prefix, Source(ssl=said)) == {url: "127.0.0.1: its certificate is not trusted"}
    with pytest.raises(CommandFailed) as caught:
        engine("change", specs=("plain",), source=Source(channels=(secured,), ssl=said))

    assert "ertificate" in caught.value.message
    assert conda_meta.records(prefix) == ()
