"""Networks to insert into. They are left as they are, so tests share them."""

import pytest
from support.models import pixels, randomise
from support.residual import resnet


@pytest.fixture(scope="session")
def model():
    """Two stages of one block each."""
    model = resnet((8, 16), blocks=1)
    randomise(model)
    return model


@pytest.fixture(scope="session")
def images():
    return pixels((4, 16, 16, 3)) / 255
