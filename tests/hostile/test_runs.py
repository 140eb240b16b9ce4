"""Run folders, recipes and searches of strangers: one clear error each, nothing downloaded, nothing large built."""

import json
import re
import resource

import keras
import numpy as np
import pytest
from support.training import tiny_model

import kattn
from kattn.cli.main import main
from kattn.data.errors import DataError
from kattn.data.loading import load, local_data_dir
from kattn.evaluation.metrics import measure
from kattn.explain import report
from kattn.runs.folder import BEST, CONFIG, HISTORY, LAST, METRICS, MODEL, STATE, RunError, RunFolder
from kattn.training.run import open_run

CONFIGURATION = {
    "model": "tiny",
    "options": {},
    "seed": 0,
    "recipe": {"name": "own", "epochs": 1, "batch_size": 8, "select": "best"},
    "data": {
        "spec": "digits",
        "settings": {"image_size": [16, 16]},
        "limit": 20,
        "name": "digits",
        "class_names": [str(i) for i in range(10)],
        "image_shape": [16, 16, 3],
        "images": {"test": 20},
    },
}
ANSWERS = {"images": 1, "classes": 2, "top1": 1.0, "top5": None, "loss": 0.1, "calibration_error": 0.1}
ANSWERS |= {"per_class": {"a": 1.0, "b": None}, "confusion": [[1, 0], [0, 0]]}


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.start(clear=False)
    model = tiny_model(size=16, classes=10)
    folder.write_json(CONFIG, CONFIGURATION)
    (folder.path / MODEL).write_text(model.to_json())
    for name in (BEST, LAST):
        folder.write_weights(name, model)
    folder.write_history([{"epoch": 1, "loss": 0.5}])
    folder.write_json(METRICS, ANSWERS)
    return folder


def changed(run, name, field, value):
    content = json.loads((run.path / name).read_text())
    inner = content
    *path, last = field.split(".")
    for key in path:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    (run.path / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        (CONFIG, "data", []),
        (CONFIG, "data.class_names", [1, 2]),
        (CONFIG, "data.class_names", "abc"),
        (CONFIG, "data.spec", ["digits"]),
        (CONFIG, "data.settings", "x"),
        (CONFIG, "data.settings.data_dir", 3),
        (CONFIG, "data.limit", "many"),
        (CONFIG, "data.limit", -1),
        (CONFIG, "recipe.select", 3),
        (CONFIG, "recipe.select", "../../secret"),
        (CONFIG, "data.settings", ...),
        (CONFIG, "data.spec", ...),
        (CONFIG, "data.class_names", ...),
        (CONFIG, "data.spec", "x" * 5000),
        (CONFIG, "data.spec", "~nobody/x\x00"),
        (CONFIG, "data.settings.image_size", 1.5),
        (CONFIG, "data.settings.image_size", "large"),
        (CONFIG, "data.settings.image_size", [10**6, 10**6]),
        (CONFIG, "data.settings.image_size", [1, 2, 3]),
        (CONFIG, "data.settings.validation", "x"),
        (CONFIG, "data.settings.split_seed", "/etc/passwd"),
        (CONFIG, "data.settings.on_error", "explode"),
        (CONFIG, "data.settings.max_pixels", 10**12),
        (CONFIG, "data.settings.splits", []),
        (CONFIG, "data.settings.bogus", 1),
    ],
)
def test_a_configuration_with_another_value_is_one_clear_error(run, name, field, value):
    changed(run, name, field, value)
    with pytest.raises((RunError, ValueError), match=r"data|class_names|weights must|image|select|split|on_error"):
        kattn.evaluate(run.path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("confusion", [[1], [0, 0]]),
        ("confusion", "x"),
        ("top1", "high"),
        ("per_class", []),
        ("loss", None),
        ("loss", ...),
    ],
)
def test_metrics_with_another_value_are_one_clear_error(run, field, value):
    changed(run, METRICS, field, value)
    for use in (open_run, report):
        with pytest.raises(RunError, match=rf"metrics\.json is damaged: .*{field}"):
            use(run.path)


def test_metrics_of_no_kind_are_one_clear_error(run):
    (run.path / METRICS).write_text(json.dumps({key: value for key, value in ANSWERS.items() if key != "per_class"}))
    with pytest.raises(RunError, match=r"metrics\.json is damaged: it has none of .*per_class"):
        open_run(run.path)


@pytest.mark.parametrize("field", ["model", "seed", "data.image_shape", "data.images", "recipe.epochs"])
def test_a_report_names_what_a_run_lacks(run, field):
    changed(run, CONFIG, field, ...)
    with pytest.raises(RunError, match=rf"config\.json is damaged: {field} is missing"):
        report(run.path)


@pytest.mark.parametrize("content", ["epoch,loss\n1\n", "epoch\nx\n", "epoch\n\n\x00", "a" * 200_000, "epoch\n=1+1\n"])
def test_a_damaged_history_is_one_clear_error(run, content):
    (run.path / HISTORY).write_text(content)
    with pytest.raises(RunError, match=r"history\.csv is damaged|has no epochs"):
        report(run.path)


def test_no_run_is_finished_with_more_than_its_folder_can_hold(run):
    (run.path / CONFIG).write_bytes(b" " * (33 << 20))
    with pytest.raises(RunError, match=r"config\.json has more than 33,554,432 bytes, and is not read"):
        kattn.evaluate(run.path)


# ---------------------------------------------------------------- models


def test_a_small_file_of_a_huge_model_is_not_built(run, tmp_path):
    text = (run.path / MODEL).read_text()
    huge = re.sub(r'"units": \d+', '"units": 1000000000', text)
    assert huge != text
    (run.path / MODEL).write_text(huge)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunError, match=r"describes a model of [\d,]+ weights, but [\d,]+ are stored"):
        run.load_model()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_code_in_a_runs_model_is_not_executed(run):
    config = json.loads((run.path / MODEL).read_text())
    layer = config["config"]["layers"][-1]
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
    layer |= {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "x", "function": code}}
    (run.path / MODEL).write_text(json.dumps(config))
    with pytest.raises(RunError, match="cannot be read"):
        run.load_model()


def test_weights_that_lie_in_another_file_are_not_followed(run, tmp_path):
    import h5py

    with h5py.File(run.path / BEST, "r+") as file:
        first = next(iter(file["layers"]))
        del file["layers"][first]
        file["layers"][first] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(RunError, match="holds a link in place of data"):
        run.load_model()


# ---------------------------------------------------------------- the state of a stopped run


@pytest.fixture
def stopped(run):
    (run.path / METRICS).unlink()
    return run


def go_on(run):
    images = np.zeros((20, 16, 16, 3), "uint8"), np.arange(20) % 10
    recipe = {"epochs": 2, "batch_size": 8, "select": "best"}
    options = {"data": {"train": images, "test": images}, "recipe": recipe, "out": run.path, "verbose": False}
    return kattn.train(tiny_model(size=16, classes=10), **options, resume=True)


ROWS = json.dumps([{"epoch": 1, "loss": 1.0, "val_accuracy": 0.5, "val_loss": 1.0}])


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"history": np.array("{")},
        {"history": np.array("[3]")},
        {"history": np.array('[{"epoch": "x"}]')},
        {"history": np.array('[{"epoch": 1}]')},
        {"history": np.array(ROWS)},
        {"history": np.array(ROWS), "00000": np.zeros(3)},
        {"history": np.array(ROWS), "00000": np.array("text")},
    ],
)
def test_a_state_that_is_none_is_one_clear_error(run, arrays, tmp_path, monkeypatch):
    from kattn.training import run as training

    monkeypatch.setattr(training, "check_same", lambda folder, config: None)
    (run.path / METRICS).unlink()
    run.write_state(arrays)
    with pytest.raises(RunError, match=r"state\.npz is damaged: .*overwrite=True starts the run anew"):
        go_on(run)


def test_a_state_that_swells_is_refused(run):
    np.savez_compressed(run.path / STATE, a=np.zeros(30_000_000))
    with pytest.raises(RunError, match=r"state\.npz is damaged .*swells to 228 MB"):
        run.read_state()


# ---------------------------------------------------------------- nothing is downloaded unasked


def test_a_run_that_names_data_elsewhere_downloads_nothing(run, no_download, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "mine"))
    changed(run, CONFIG, "data.spec", "mnist")
    changed(run, CONFIG, "data.settings.data_dir", str(tmp_path / "theirs"))
    message = r"names the data 'mnist', .*theirs, .*mine\. Nothing is downloaded .* pass data='mnist'"
    for use in (kattn.evaluate, report):
        with pytest.raises(DataError, match=message):
            use(run.path)
    assert main(["evaluate", str(run.path)]) == 1 and "pass --data mnist" in capsys.readouterr().err
    assert main(["export", str(run.path), "--precision", "int8"]) == 1
    assert "pass --calibration mnist" in capsys.readouterr().err
    assert no_download == [] and not (tmp_path / "theirs").exists()
    for options in ({}, {"data_dir": tmp_path / "here"}):
        with pytest.raises(DataError, match="no download here"):  # asked for; never where the file says
            kattn.evaluate(run.path, "mnist", **options)
    assert no_download == [("mnist", None), ("mnist", tmp_path / "here")]


def test_data_that_are_here_are_found_in_either_place(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "mine"))
    (tmp_path / "mine" / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "mine" / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    theirs = str(tmp_path / "theirs")
    assert local_data_dir("mnist", theirs, None, who="run") is None
    assert local_data_dir(None, theirs, None, who="run") == theirs
    assert local_data_dir(f"digits:{tmp_path}", theirs, None, who="run") == theirs
    for name in ("/no/such/folder", "mnist:9.9.9", "a\x00b", "../mnist", "digits:cifar10"):
        with pytest.raises(DataError, match="run names the data"):
            local_data_dir(name, None, who="run")


# ---------------------------------------------------------------- answers that do not fit


def test_answers_of_another_number_of_classes_are_one_clear_error():
    with pytest.raises(ValueError, match=r"m gives answers of the shape \(4, 8\) for 4 images of d, .* 10 classes"):
        measure(np.zeros((4, 8)), np.array([0, 9, 1, 2]), None, model="m", data="d")
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(8)])
    with pytest.raises(ValueError, match=r"classes|label"):
        kattn.evaluate(model, (np.zeros((40, 4, 4, 3), "uint8"), np.arange(40) % 10))
    with pytest.raises(ValueError, match=r"answers of the shape \(\d+, 8\)"):
        kattn.evaluate(
            lambda images: np.zeros((len(images), 8)), (np.zeros((40, 4, 4, 3), "uint8"), np.arange(40) % 10)
        )


def test_arguments_of_another_type_are_data_errors():
    images = np.zeros((10, 4, 4, 3), "uint8"), np.arange(10) % 2
    for name, value in {"validation": "x", "limit": "3", "limit ": 1.5, "split_seed": -1, "data_dir": 3}.items():
        with pytest.raises(DataError, match=name.strip()):
            load(images, **{name.strip(): value})
