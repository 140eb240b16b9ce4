"""The network and the run that tests of several explanations share, made once."""

import pytest
from support.explaining import UNLUCKY, classifier, gated

from kattn.data.loading import load
from kattn.evaluation.metrics import measure
from kattn.runs.folder import BEST, CONFIG, METRICS, MODEL, RunFolder


@pytest.fixture(scope="session")
def model():
    """Shared: a test that changes weights takes a copy."""
    return gated()


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run's folder as training leaves it, of an untrained network and of classes with unlucky names."""
    path = tmp_path_factory.mktemp("run")
    model, digits = classifier(), load("digits", limit=60)
    folder = RunFolder(path)
    class_names = (*UNLUCKY, *digits.class_names[len(UNLUCKY) :])
    settings = {"image_size": None, "validation": 0.1, "split_seed": 0, "data_dir": None}
    folder.write_json(
        CONFIG,
        {
            "model": "small <b>",
            "options": {"reduction": 2},
            "seed": 3,
            "recipe": {"name": "quick", "epochs": 2, "select": "best"},
            "data": {"spec": "digits", "settings": settings, **digits.describe(), "class_names": class_names},
        },
    )
    (path / MODEL).write_text(model.to_json())
    folder.write_weights(BEST, model)
    folder.write_history([{"epoch": i, "loss": 2.0 / i, "accuracy": 0.4 * i, "val_loss": 1.0} for i in (1, 2)])
    scores = model.predict(digits.test.images.astype("float32"), verbose=0)
    folder.write_json(METRICS, measure(scores, digits.test.labels, class_names).to_dict())
    certificate = {"format": "onnx", "precision": "float32", "bytes": 1234567, "max_abs_diff": 5e-7}
    folder.write_json("m.onnx.json", {**certificate, "top1_agreement": None, "sha256": "ab" * 32, "ops": {}})
    return path
