"""The public suite for Jupyter kernels over kernels of ours, each a class that pytest collects."""

from typing import Any

import jupyter_kernel_test
import pytest
from jupyter_client.manager import start_new_kernel

from venvoy.frontends import kernelspecs
from venvoy.model import Environment


class Kernel:
    """One kernel for the whole suite, started when environments can be made; a language says what it should answer."""

    def environment(self, request: pytest.FixtureRequest) -> Environment:
        """The environment, with its kernelspec, whose kernel is asked."""
        raise NotImplementedError

    @classmethod
    def setUpClass(cls) -> None:
        """Started below."""

    @pytest.fixture(autouse=True)
    def _started(self, request: pytest.FixtureRequest) -> None:
        cls = type(self)
        if "km" not in vars(cls):
            name = kernelspecs.spec_name(self.environment(request).name)
            cls.km, cls.kc = start_new_kernel(kernel_name=name)

    @classmethod
    def tearDownClass(cls) -> None:
        if "km" in vars(cls):
            super().tearDownClass()


def suite(kernel: type[Kernel], group: str, **said: Any) -> type:
    """The suite over `kernel` with these attributes, run in the worker of that group."""
    made = type(kernel.__name__, (kernel, jupyter_kernel_test.KernelTests), said)
    return pytest.mark.xdist_group(group)(made)
