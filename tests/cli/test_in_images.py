"""What is said of an environment in an image: what it stands on, and, when it cannot be run, what was remembered."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs/json.md"


@pytest.fixture(params=["docker", "apptainer"])
def away(request, detected, image, user):
    """Somebody with an environment `demo`, and the variables or the deed by which its runtime cannot run it."""
    engine = detected.named(request.param)
    if not engine.usable:
        pytest.skip(f"{engine.name} cannot be used here: {engine.problem}")
    reference = image(engine, "python:3.11")
    if engine.name == "apptainer":
        reference = shutil.copy(reference, user.work / "image.sif")
    user.done("init", "demo", "--runtime", engine.name, "--image", reference, "--network", "none", "--no-home")

    def go() -> dict[str, str]:
        if engine.name == "docker":
            return {"DOCKER_HOST": f"unix://{user.work}/nobody.sock"}
        Path(reference).unlink()
        return {}

    return user, engine.name, str(reference), go


def test_an_environment_in_an_image_is_told_as_it_is_with_and_without_its_runtime(away):
    user, runtime, reference, go = away
    shown = user.json("show", "demo")
    text = user.done("show", "demo")

    assert f"image: {reference} (sha256:" in text
    assert "system: Debian GNU/Linux 12 (bookworm), glibc-2.36, x86_64" in text
    assert "interpreter: /usr/bin/python3 in the image" in text
    assert "None" not in text
    assert shown["environment"]["image"]["reference"] == reference
    assert shown["base"]["python"] == {"version": "3.11.2", "path": "/usr/bin/python3"}
    assert shown["base"]["digest"].startswith("contents:")
    assert {"deb", "pypi"} == {each["ecosystem"] for each in shown["base"]["packages"]}
    example = json.loads(re.search(r"^```json show\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)[1])
    assert set(shown["base"]) == set(example["base"])
    (entry,) = user.json("history", "demo")["entries"]
    assert entry["image"] == shown["environment"]["image"]
    assert user("check", "demo").out.startswith("demo:")

    listed = user.write("requirements.txt", "six==1.17.0\n")
    place, index = ("--runtime", runtime, "--image", reference), {"UV_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "0"}
    made = user("init", "listed", "--file", listed, *place, **index)
    assert made.code == 0, made
    assert user.json("show", "listed")["environment"]["image"]["reference"] == reference
    user.done("delete", "listed", "--yes")

    variables = go()

    status, listed = user("status", "demo", **variables), user("list", **variables)
    assert (status.code, listed.code) == (0, 0)
    assert status.out.startswith("demo: Python 3.11.2, 0 packages. Never frozen.")
    assert "this is what was remembered of the image" in status.err
    assert "venvoy check demo" in status.err
    (seen,) = json.loads(user("list", "--output", "json", **variables).out)["environments"]
    assert (seen["package_count"], seen["state"]) == (0, "never frozen")
    assert seen["problem"] == user.json("status", "demo", **variables)["problem"]
    again = user.json("show", "demo", **variables)
    assert again["base"] == shown["base"]
    found = user.json("check", "demo", **variables)["environments"][0]["findings"]
    assert ("runtime-unusable" if runtime == "docker" else "image-gone") in [each["code"] for each in found]


def test_a_kernel_that_is_lent_and_was_lost_is_named_and_built_again(user, detected, image):
    engine = next(each for each in reversed(detected.runtimes) if each.usable)
    user.done("init", "demo", "--runtime", engine.name, "--image", image(engine, "python:3.11"))
    if user.json("show", "demo")["kernel"] is None:
        pytest.skip("not obtainable: no package index for the kernel that is lent")
    assert user.json("check", "demo")["environments"][0]["findings"] == []

    shutil.rmtree(user.home / ".venvoy/payloads")

    (finding,) = user.json("check", "demo")["environments"][0]["findings"]
    assert (finding["code"], finding["severity"], finding["mend"]) == ("payload-gone", "warning", "venvoy repair demo")
    assert user.json("repair", "demo")["done"] == ["built the kernel that is lent to it anew"]
    assert user.json("check", "demo")["environments"][0]["findings"] == []
