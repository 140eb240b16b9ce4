"""What importing kattn costs, needs and registers."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.models import pixels, randomise

from kattn.profiling import profile
from kattn.zoo import create

# Keras asks whether the name is in sys.modules, so it must not be there, not even as None.
WITHOUT_TENSORFLOW = """
import os, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {{name!r}}")
sys.meta_path.insert(0, Refuse())
os.environ["KERAS_BACKEND"] = {backend!r}
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compiling is what takes the time in tests
"""
SOME = ("se", "cbam")
SMALL = {"input_shape": (16, 16, 3), "depths": (1, 1, 1), "widths": (4, 4, 8)}
HEAVY = ("tensorflow", "tf2onnx", "onnx", "onnxruntime", "keras_tuner", "tensorflow_datasets", "matplotlib", "sklearn")
ALLOWED = {"keras_tuner": "kattn/tuning/"}  # modules there that nothing reaches before a search is started
BACKENDS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]
PARTS = {"data": "load", "evaluation": "evaluate", "insertion": "insert", "training": "open_run", "tuning": "tune"}
PARTS |= {"comparison": "compare"}
PUBLIC = [
    "compare",
    "compile_for",
    "describe",
    "evaluate",
    "insert",
    "predict",
    "profile",
    "targets_for",
    "train",
    "tune",
]
PUBLIC += [*PARTS, "explain", "export", "layers", "zoo"]


def python(code: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_backend_other_than_tensorflow_is_there_to_test_with():
    assert BACKENDS, "the dev extra brings JAX"


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_it_trains_and_counts(backend):
    python(
        WITHOUT_TENSORFLOW.format(backend=backend)
        + "import keras\nkeras_own = set(sys.modules)\n"  # Keras imports some of these itself where they are installed
        + "import numpy as np, kattn\n"
        + "x, y = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype('float32'), np.arange(8)\n"
        + f"model = kattn.zoo.abn_resnet20(**{SMALL!r})\n"
        + "model.compile('sgd', loss='sparse_categorical_crossentropy')\n"
        + "before = [np.asarray(w) for w in model.trainable_weights]\n"
        + "history = model.fit(x, kattn.targets_for(model)(y), verbose=0).history\n"
        + "assert np.isfinite(history['loss'][0])\n"
        + "assert any((np.asarray(a) != b).any() for a, b in zip(model.trainable_weights, before))\n"
        + f"assert kattn.profile(model).macs == {profile(create('abn_resnet20', **SMALL)).macs}\n"
        + "import kattn.explain, kattn.export\n"
        + f"for part, name in {PARTS!r}.items(): getattr(getattr(kattn, part), name)\n"
        + f"heavy = ({set(HEAVY)!r} & set(sys.modules)) - keras_own\n"
        + "assert not heavy, heavy\n"
    )


def check_references(backend, files):
    tests = Path(__file__).parent
    python(
        WITHOUT_TENSORFLOW.format(backend=backend)
        + f"sys.path.insert(0, {str(tests)!r})\nimport golden\nsys.exit(golden.main(sys.argv[1:]))",
        *map(str, files),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_some_blocks_meet_their_references(backend, golden_folder):
    check_references(backend, [golden_folder / f"{name}.npz" for name in SOME])


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_every_block_meets_its_reference(backend, golden_folder):
    check_references(backend, sorted(golden_folder.glob("*.npz")))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two small models as files, with the answers that they give."""
    folder = tmp_path_factory.mktemp("saved")
    x = pixels((2, 16, 16, 3))
    expected = {}
    for name in ("afi_se_resnet20", "abn_resnet20"):
        model = create(name, input_shape=(16, 16, 3), depths=(2, 1, 1))
        randomise(model)
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        outputs = model(x)
        expected[name] = np.asarray(outputs["predictions"] if isinstance(outputs, dict) else outputs)
    np.savez(folder / "expected.npz", x=x, **expected)
    return folder


ORDERS = ["import kattn, keras", "import keras, kattn", "import keras\nimport kattn.zoo"]


@pytest.mark.parametrize("imports", [ORDERS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in ORDERS[1:])])
def test_a_fresh_process_loads_models_without_custom_objects(saved, imports):
    python(
        f"{imports}\nimport sys, numpy as np\nfolder = sys.argv[1]\ndata = np.load(folder + '/expected.npz')\n"
        "for name in ('afi_se_resnet20', 'abn_resnet20'):\n"
        "    loaded = keras.saving.load_model(folder + f'/{name}.keras')\n"
        "    weights = folder + f'/{name}.weights.h5'\n"
        "    built = kattn.zoo.create(name, input_shape=(16, 16, 3), depths=(2, 1, 1), weights=weights)\n"
        "    for model in (loaded, built):\n"
        "        y = model(data['x'])\n"
        "        y = y['predictions'] if isinstance(y, dict) else y\n"
        "        np.testing.assert_array_equal(np.asarray(y), data[name])\n",
        str(saved),
    )


def test_after_import_kattn_every_part_is_reached_lazily():
    python(
        "import sys, kattn\n"
        f"light = {{'kattn', *(f'kattn.{{name}}' for name in ('lazy', 'registration', 'version'))}}\n"
        "assert {name for name in sys.modules if name.startswith('kattn')} <= light\n"
        "assert not {'keras', 'numpy'} & set(sys.modules)\n"
        f"assert dir(kattn) == sorted({PUBLIC!r}), dir(kattn)\n"
        "kattn.comparison\n"
        "kattn.export, kattn.zoo, kattn.explain, kattn.training, kattn.tuning, kattn.evaluation, kattn.insertion\n"
        "assert 'keras' not in sys.modules\n"
        f"for part, name in {PARTS!r}.items():\n"
        "    module = getattr(kattn, part)\n"
        "    assert name in dir(module) and callable(getattr(module, name)), name\n"
        f"assert all(getattr(kattn, name) is not None for name in {PUBLIC!r})\n"
    )


def test_what_is_not_public_is_not_there():
    import kattn

    with pytest.raises(AttributeError, match="module 'kattn' has no attribute 'sys'"):
        kattn.sys  # noqa: B018


def test_no_source_file_imports_a_heavy_package_at_module_level():
    root = Path(__file__).parents[1]
    for path in sorted([*root.glob("kattn/**/*.py"), *root.glob("zoo/**/*.py"), *root.glob("export/**/*.py")]):
        place = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            package = line.split()[1].split(".")[0] if line.startswith(("import ", "from ")) else ""
            if package in HEAVY and not place.startswith(ALLOWED.get(package, "/")):
                pytest.fail(f"{place}:{number}: {line}")
