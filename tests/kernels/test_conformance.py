"""Every Python that environments may have passes the public suite for Jupyter kernels."""

from collections.abc import Callable
from typing import Any

import jupyter_kernel_test
import pytest
from jupyter_client.manager import start_new_kernel

from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.model import Environment


class _Kernel:
    """One kernel for the whole suite, and what a Python kernel should answer."""

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

    @classmethod
    def setUpClass(cls) -> None:
        """Started below, where environments can be made."""

    @pytest.fixture(autouse=True)
    def _started(self, environment: Callable[..., Environment]) -> None:
        cls = type(self)
        if "km" not in vars(cls):
            name = kernelspecs.spec_name(environment(python=self.python).name)
            cls.km, cls.kc = start_new_kernel(kernel_name=name)

    @classmethod
    def tearDownClass(cls) -> None:
        if "km" in vars(cls):
            super().tearDownClass()

    def history_helper(self, *args: Any, **asked: Any) -> dict[str, Any]:
        reply = super().history_helper(*args, **asked)
        # IPython answers with 0 for the session that runs.
        for entry in reply["content"]["history"]:
            entry[0] = entry[0] or asked.get("session", 0)
        return reply


@pytest.mark.xdist_group("3.9")
class TestPython39(_Kernel, jupyter_kernel_test.KernelTests):
    python = "3.9"


@pytest.mark.xdist_group("3.10")
class TestPython310(_Kernel, jupyter_kernel_test.KernelTests):
    python = "3.10"


@pytest.mark.xdist_group("3.11")
class TestPython311(_Kernel, jupyter_kernel_test.KernelTests):
    python = "3.11"


@pytest.mark.xdist_group("shared")
class TestPython312(_Kernel, jupyter_kernel_test.KernelTests):
    python = "3.12"


@pytest.mark.xdist_group("3.13")
class TestPython313(_Kernel, jupyter_kernel_test.KernelTests):
    python = "3.13"


# --- in conda prefixes -----------------------------------------------------------------------------------------------


class _InPrefix(_Kernel):
    specs: tuple[str, ...] = ()

    @pytest.fixture(autouse=True)
    def _started(self, prefix, channel, store) -> None:
        cls = type(self)
        if "km" in vars(cls):
            return
        if self.specs and not channel.real:
            pytest.skip("not obtainable: no package index, so the channel has no ipykernel")
        env = prefix(f"suite-{self.python}-{len(self.specs)}", *self.specs, python=self.python)
        assert (kernel_of(store, env).payload is None) == bool(self.specs)
        cls.km, cls.kc = start_new_kernel(kernel_name=kernelspecs.spec_name(env.name))


@pytest.mark.xdist_group("conda")
class TestLentKernel312(_InPrefix, jupyter_kernel_test.KernelTests):
    python = "3.12"


@pytest.mark.xdist_group("conda")
class TestLentKernel39(_InPrefix, jupyter_kernel_test.KernelTests):
    python = "3.9"


@pytest.mark.xdist_group("conda")
class TestOwnKernel312(_InPrefix, jupyter_kernel_test.KernelTests):
    python = "3.12"
    specs = ("ipykernel",)
