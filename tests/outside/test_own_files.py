"""Files of Keras's older format, and models with layers of one's own, from the command line."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import kattn
from kattn.cli.main import main

L = keras.layers
LAYERS = """
import keras

@keras.saving.register_keras_serializable("mine")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def model(*layers):
    x = image = keras.Input((8, 8, 3))
    for layer in (L.Rescaling(1 / 255), *layers):
        x = layer(x)
    return keras.Model(image, L.Dense(2, "softmax")(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(x))), name="own")


@pytest.fixture
def photo(tmp_path):
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (8, 8, 3), "uint8")).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_h5_file_is_a_model_like_any_other(tmp_path, photo, capsys):
    own = model()
    own.save(tmp_path / "m.h5")
    own.save_weights(tmp_path / "m.weights.h5")
    expected = kattn.predict(own, photo)[0].values
    np.testing.assert_allclose(kattn.predict(tmp_path / "m.h5", photo)[0].values, expected, atol=1e-6)
    assert kattn.describe(tmp_path / "m.h5").input.value_range.value == (0, 255)
    assert main(["predict", str(tmp_path / "m.h5"), str(photo), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["top"][0]["score"] == pytest.approx(expected.max(), abs=1e-5)
    with pytest.raises(ValueError, match="holds weights only"):
        kattn.predict(tmp_path / "m.weights.h5", photo)
    (tmp_path / "bad.h5").write_bytes(b"no file")
    assert main(["predict", str(tmp_path / "bad.h5"), str(photo)]) == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_code_of_an_h5_file_is_executed(tmp_path, photo):
    harmful = keras.Sequential([keras.Input((8, 8, 3)), L.Lambda(lambda x: 2 * x), L.Flatten(), L.Dense(2)])
    harmful.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match="executes no code of a file"):
        kattn.predict(tmp_path / "m.h5", photo, value_range=(0, 1))


def test_a_file_that_registers_layers_is_imported_first(tmp_path, photo, capsys, monkeypatch):
    (tmp_path / "my_own_layers.py").write_text(LAYERS)
    scope: dict = {}
    exec(LAYERS, scope)
    model(scope["Twice"]()).save(tmp_path / "m.keras")
    registered = keras.saving.get_custom_objects()
    monkeypatch.delitem(registered, "mine>Twice")
    words = ["predict", str(tmp_path / "m.keras"), str(photo)]
    assert main(words) == 1
    assert "--import my_layers.py" in capsys.readouterr().err
    assert main([*words, "--import", str(tmp_path / "my_own_layers.py")]) == 0
    assert main([*words, "--import", str(tmp_path / "none.py")]) == 1
    assert "--import takes a Python file" in capsys.readouterr().err
