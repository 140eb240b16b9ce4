"""What was equal to torch, torchvision and sklearn when it was measured from outside stays equal."""

import keras
import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from conformance.tables import CLIP, FILE, RATES, some_logits
from conformance.test_optimizers import DTYPE, apart, trajectory
from kattn.data.augmentation.augment import Mix, erased, shifted
from kattn.evaluation.metrics import calibration_error, measure
from kattn.graph.outputs import targets_for
from kattn.training.compiling import compile_for
from kattn.training.optimisation.optimizers import SGD
from kattn.training.optimisation.schedules import Schedule

TABLES = np.load(FILE)
SCHEDULES = {
    "rates_cosine": {"kind": "cosine", "warmup": 10},
    "rates_step": {"kind": "step", "milestones": (30, 45), "factor": 0.1},
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_torch_s_step_by_step(name):
    schedule = Schedule(0.1, 60, **SCHEDULES[name])
    found = keras.ops.convert_to_numpy(schedule(np.arange(60)))
    np.testing.assert_allclose(found, TABLES[name], rtol=2e-6, atol=1e-8)


def test_the_whole_gradient_is_clipped_as_torch_clips_it():
    ours = trajectory(SGD(0.1, momentum=0.9, global_clipnorm=CLIP), RATES["drop"])
    assert apart(ours, TABLES["sgd_clipped"]) <= 1e-5  # torch adds 1e-6 to the norm


def heads(logits):
    """A model of two classifications, whose logits for image i are row i of these."""
    x = keras.Input((16,), dtype=DTYPE)
    names = "attention_predictions", "predictions"
    layers = [keras.layers.Dense(10, "softmax", use_bias=False, dtype=DTYPE) for _ in names]
    model = keras.Model(x, {name: layer(x) for name, layer in zip(names, layers, strict=True)})
    for layer, kernel in zip(layers, logits, strict=True):
        layer.kernel.assign(kernel)
    return model, layers


@pytest.mark.parametrize("name", ["plain", "smoothed", "rows"])
def test_the_loss_of_an_attention_branch_network_and_its_gradient_are_torch_s(name):
    logits, labels, rows = some_logits()
    smoothing = 0.1 if name == "smoothed" else 0.0
    hot = (1 - smoothing) * np.eye(10)[labels] + smoothing / 10  # as kattn.data.batches makes them
    target = {"plain": labels, "smoothed": hot, "rows": rows}[name]
    model, layers = heads(logits)
    options = {} if name == "plain" else {"loss": "categorical_crossentropy"}
    compile_for(model, optimizer=keras.optimizers.SGD(1.0), **options)
    logs = model.train_on_batch(np.eye(16), targets_for(model)(target), return_dict=True)
    assert float(logs["loss"]) == pytest.approx(float(TABLES[f"entropy_{name}"]), rel=1e-6)
    moved = np.array(
        [
            before - np.array(keras.ops.convert_to_numpy(layer.kernel))
            for before, layer in zip(logits, layers, strict=True)
        ]
    )
    np.testing.assert_allclose(moved, TABLES[f"entropy_{name}_gradient"], atol=1e-6)


def test_erasing_is_distributed_as_torchvision_s():
    images = erased(np.zeros((5000, 32, 32, 1), "uint8"), np.random.default_rng(0), 1.0)[..., 0] > 0
    sides = np.stack([images.any(axis=2).sum(axis=1), images.any(axis=1).sum(axis=1)], axis=1)
    for side in (0, 1):
        assert abs(sides[:, side].mean() - TABLES["erasures"][:, side].mean()) < 0.2
        assert ks_2samp(sides[:, side], TABLES["erasures"][:, side]).statistic < 0.05
    half = erased(np.zeros((4000, 8, 8, 1), "uint8"), np.random.default_rng(1), 0.5).any(axis=(1, 2, 3))
    assert abs(half.mean() - 0.5) < 0.03


def test_mixup_takes_the_same_share_of_images_and_targets_drawn_as_torch_draws_it():
    rng = np.random.default_rng(0)
    images, targets = np.zeros((2, 1, 1, 1), "uint8"), np.eye(2)
    images[0] = 200
    shares = []
    while len(shares) < 5000:
        mixed, rows = Mix(mixup=0.2)(images, targets, rng)
        np.testing.assert_allclose(mixed[:, 0, 0, 0], 200 * rows[:, 0], atol=0.51)
        if not np.array_equal(rows, targets):  # an image that is mixed with itself shows no share
            shares.append(rows[0, 0])
    assert ks_2samp(shares, TABLES["blends"]).pvalue > 0.05


def test_pad_and_crop_moves_by_every_offset_equally_often():
    images = np.zeros((20_000, 9, 9, 1), "uint8")
    images[:, 4, 4] = 1
    moved = shifted(images, np.random.default_rng(0), 4, 4)[..., 0]
    counts = moved.sum(axis=0)
    assert counts.sum() == 20_000
    assert chisquare(counts.ravel()).pvalue > 0.01


def test_confusion_accuracy_and_classes_are_sklearn_s_and_calibration_its_definition():
    rng = np.random.default_rng(5)
    scores, labels = rng.dirichlet(np.full(7, 0.4), 900).astype("float32"), rng.integers(0, 7, 900)
    found, answers = measure(scores, labels), scores.argmax(axis=1)
    assert found.top1 == pytest.approx(accuracy_score(labels, answers), abs=1e-12)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, answers))
    np.testing.assert_allclose(list(found.per_class.values()), recall_score(labels, answers, average=None), rtol=1e-12)
    confidence, right = scores.max(axis=1), answers == labels
    expected = 0.0
    for low in np.linspace(0, 1, 15, endpoint=False):
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(confidence, right, bins=15) == pytest.approx(expected, rel=1e-6)
