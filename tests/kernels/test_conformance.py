"""Every Python that environments may have passes the public suite for Jupyter kernels."""

from typing import Any

import pytest
from public_suite import Kernel, suite

from venvoy.actions.launch import kernel_of
from venvoy.model import Environment


class Python(Kernel):
    """What a Python kernel should answer."""

    python: str
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = (
        {"text": "zi", "matches": {"zip"}},
        {"text": "%env-fr", "matches": {"%env-freeze"}},
    )
    complete_code_samples = ("1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n", "%env-status")
    incomplete_code_samples = ("print('''hello", "def f(x):\n  x*2")
    invalid_code_samples = ("import = 7q",)
    code_page_something = "zip?"
    code_generate_error = "raise ValueError('oops')"
    code_execute_result = (
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
    )
    code_display_data = (
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "%env-status", "mime": "text/html"},
    )
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    def environment(self, request: pytest.FixtureRequest) -> Environment:
        return request.getfixturevalue("environment")(python=self.python)

    def history_helper(self, *args: Any, **asked: Any) -> dict[str, Any]:
        reply = super().history_helper(*args, **asked)
        # IPython answers with 0 for the session that runs.
        for entry in reply["content"]["history"]:
            entry[0] = entry[0] or asked.get("session", 0)
        return reply


class InPrefix(Python):
    """The kernel of a conda prefix with these packages; where ipykernel is one of them, none is lent."""

    specs: tuple[str, ...] = ()

    def environment(self, request: pytest.FixtureRequest) -> Environment:
        if self.specs and not request.getfixturevalue("channel").real:
            pytest.skip("not obtainable: no package index, so the channel has no ipykernel")
        name = f"suite-{self.python}-{len(self.specs)}"
        env = request.getfixturevalue("prefix")(name, *self.specs, python=self.python)
        assert (kernel_of(request.getfixturevalue("store"), env).payload is None) == bool(self.specs)
        return env


class InContainer(Python):
    """The kernel of an image."""

    runtime: str

    def environment(self, request: pytest.FixtureRequest) -> Environment:
        return request.getfixturevalue("environment_in")(self.runtime, python=self.python)


TestPython39 = suite(Python, "3.9", python="3.9")
TestPython310 = suite(Python, "3.10", python="3.10")
TestPython311 = suite(Python, "3.11", python="3.11")
TestPython312 = suite(Python, "shared", python="3.12")
TestPython313 = suite(Python, "3.13", python="3.13")

TestLentKernel312 = suite(InPrefix, "conda", python="3.12")
TestLentKernel39 = suite(InPrefix, "conda", python="3.9")
TestOwnKernel312 = suite(InPrefix, "conda", python="3.12", specs=("ipykernel",))

TestDocker311 = suite(InContainer, "docker", runtime="docker", python="3.11")
TestDocker39 = suite(InContainer, "docker", runtime="docker", python="3.9")
TestPodman311 = suite(InContainer, "podman", runtime="podman", python="3.11")
TestPodman313 = suite(InContainer, "podman", runtime="podman", python="3.13")
TestApptainer311 = suite(InContainer, "apptainer", runtime="apptainer", python="3.11")
TestSingularity311 = suite(InContainer, "singularity", runtime="singularity", python="3.11")
