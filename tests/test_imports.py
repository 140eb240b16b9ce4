"""What importing kattn costs, needs and registers."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import pixels, randomise

from kattn.zoo import create

WITHOUT_TENSORFLOW = "import os, sys\nsys.modules['tensorflow'] = None\nos.environ['KERAS_BACKEND'] = {backend!r}\n"
HEAVY = ("tensorflow", "tf2onnx", "onnx", "onnxruntime", "keras_tuner", "tensorflow_datasets", "matplotlib", "sklearn")
BACKENDS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]


def python(code: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_backend_other_than_tensorflow_is_there_to_test_with():
    assert BACKENDS, "the dev extra brings JAX"


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_it_trains(backend):
    python(
        WITHOUT_TENSORFLOW.format(backend=backend)
        + "import numpy as np, kattn, keras\n"
        + f"heavy = [m for m in {HEAVY!r} if sys.modules.get(m) is not None]\n"
        + "assert not heavy, heavy\n"
        + "x, y = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype('float32'), np.arange(8)\n"
        + "for name in ('afi_resnet20', 'abn_resnet20'):\n"
        + "    model = kattn.zoo.create(name, input_shape=(16, 16, 3))\n"
        + "    model.compile('sgd', loss='sparse_categorical_crossentropy')\n"
        + "    target = {k: y for k in model.output} if isinstance(model.output, dict) else y\n"
        + "    before = [np.asarray(w) for w in model.trainable_weights]\n"
        + "    assert np.isfinite(model.fit(x, target, verbose=0).history['loss'][0])\n"
        + "    assert any((np.asarray(a) != b).any() for a, b in zip(model.trainable_weights, before))\n"
        + "import kattn.training, kattn.evaluation, kattn.data, kattn.export\n"
        + f"heavy = [m for m in {HEAVY!r} if sys.modules.get(m) is not None]\n"
        + "assert not heavy, heavy\n"
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_the_references_are_met(backend, golden_folder):
    tests = Path(__file__).parent
    python(
        WITHOUT_TENSORFLOW.format(backend=backend)
        + f"sys.path.insert(0, {str(tests)!r})\nimport golden\nsys.exit(golden.main(sys.argv[1:]))",
        *map(str, sorted(golden_folder.glob("*.npz"))),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_a_model_is_profiled(backend):
    python(
        WITHOUT_TENSORFLOW.format(backend=backend)
        + "import kattn\nassert kattn.profile(kattn.zoo.create('afi_resnet32', classes=100)).macs == 54984128"
    )


@pytest.mark.parametrize("imports", ["import keras, kattn", "import kattn, keras", "import keras\nimport kattn.zoo"])
@pytest.mark.parametrize("name", ["afi_se_resnet20", "abn_resnet20"])
def test_a_fresh_process_loads_a_model_without_custom_objects(tmp_path, imports, name):
    model = create(name, input_shape=(16, 16, 3))
    randomise(model)
    x = pixels((2, 16, 16, 3))
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    outputs = model(x)
    np.savez(tmp_path / "expected.npz", x=x, y=np.asarray(outputs["predictions"] if name == "abn_resnet20" else outputs))
    python(
        f"{imports}\nimport sys, numpy as np\nfolder = sys.argv[1]\ndata = np.load(folder + '/expected.npz')\n"
        "loaded = keras.saving.load_model(folder + '/model.keras')\n"
        f"built = kattn.zoo.create({name!r}, input_shape=(16, 16, 3), weights=folder + '/model.weights.h5')\n"
        "for model in (loaded, built):\n"
        "    y = model(data['x'])\n"
        "    y = y['predictions'] if isinstance(y, dict) else y\n"
        "    np.testing.assert_array_equal(np.asarray(y), data['y'])\n",
        str(tmp_path),
    )


def test_importing_kattn_imports_nothing_else():
    python("import sys, kattn\nassert 'keras' not in sys.modules and 'kattn.layers' not in sys.modules")


def test_no_source_file_imports_a_heavy_package_at_module_level():
    root = Path(__file__).parents[1]
    for path in sorted([*root.glob("kattn/**/*.py"), *root.glob("zoo/**/*.py"), *root.glob("export/**/*.py")]):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            words = line.split()
            if line.startswith(("import ", "from ")) and words[1].split(".")[0] in HEAVY:
                pytest.fail(f"{path.relative_to(root)}:{number}: {line}")
