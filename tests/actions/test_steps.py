"""What the steps of an image's build are told: nothing that the image would give away."""

import pytest

from venvoy.actions.steps import handed_on, refuse_secrets
from venvoy.errors import InvalidInput

OWN = "FROM debian\nARG A=1 PIP_INDEX_URL\nRUN pip install x\n"


@pytest.mark.parametrize("address", ["https://bob:s3cret@h/simple", "https://token@h/simple"])
def test_an_address_with_a_user_in_it_is_not_built_into_an_image(monkeypatch, address):
    monkeypatch.setenv("PIP_INDEX_URL", address)

    refuse_secrets("FROM debian\nRUN echo PIP_INDEX_URL\n")  # nobody asks for it: nothing is kept
    with pytest.raises(InvalidInput, match="PIP_INDEX_URL names a user") as refused:
        refuse_secrets(OWN)

    assert address not in refused.value.message + refused.value.hint


def test_others_are_handed_on(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://h/simple")
    monkeypatch.setenv("HTTPS_PROXY", "http://bob:s3cret@proxy:3128")
    monkeypatch.setenv("API_TOKEN", "x")

    refuse_secrets(OWN)

    assert handed_on().keys() & {"PIP_INDEX_URL", "HTTPS_PROXY", "API_TOKEN"} == {"PIP_INDEX_URL", "HTTPS_PROXY"}
