"""RCAN, SAN and RNAN have their authors' sizes, enlarge pixels and train."""

import keras
import numpy as np
import pytest
from support.models import largest_difference, pixels

from kattn.zoo.networks.super_resolution import rcan, rnan, san

SMALL = {
    "rcan": lambda **options: rcan(groups=1, blocks=1, filters=8, reduction=4, **options),
    "san": lambda **options: san(groups=1, blocks=1, filters=8, reduction=4, **options),
    "rnan": lambda **options: rnan(local_blocks=1, filters=4, **options),
}
each = pytest.mark.parametrize("build", SMALL.values(), ids=SMALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "scale", "count"),
    [
        (rcan, 2, 15_444_667),
        (rcan, 4, 15_592_379),
        (san, 2, 15_712_800 - 38_044),  # what the authors' code never uses is left out
        (rnan, 1, 8_959_555),
    ],
)
def test_parameters_are_the_published_counts(build, scale, count):
    model = build(scale=scale)
    assert model.count_params() == count
    assert model.output_shape == (None, None, None, 3)


def test_a_small_rcan_has_the_parameters_of_its_equation():
    def conv(inputs, outputs):
        return 9 * inputs * outputs + outputs

    gate = 8 * 2 + 2 + 2 * 8 + 8
    body = 2 * conv(8, 8) + gate + conv(8, 8) + conv(8, 8)
    assert SMALL["rcan"](scale=3).count_params() == 24 + conv(3, 8) + body + conv(8, 72) + conv(8, 3)


@pytest.mark.parametrize(("name", "scale"), [("rcan", 3), ("san", 2), ("rnan", 2)])
def test_images_of_any_size_are_enlarged(name, scale):
    model = SMALL[name](scale=scale)
    for height, width in ((6, 4), (5, 7)):
        y = keras.ops.convert_to_numpy(model(pixels((2, height, width, 3))))
        assert y.shape == (2, scale * height, scale * width, 3) and np.all(np.isfinite(y))


@each
def test_without_its_tail_a_network_gives_the_mean_of_its_training_images(build):
    model = build()
    for weight in model.get_layer("tail").weights:
        weight.assign(keras.ops.zeros_like(weight))
    want = np.broadcast_to(np.float32([0.4488, 0.4371, 0.4040]) * 255, (1, 8, 8, 3))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(pixels((1, 4, 4, 3)))), want, rtol=1e-6)


def test_restoration_at_scale_one_starts_from_the_image():
    model = rnan(scale=1, local_blocks=0, filters=4, input_shape=(None, None, 1))
    for weight in model.get_layer("tail").weights:
        weight.assign(keras.ops.zeros_like(weight))
    x = pixels((2, 5, 6, 1))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), x)


@pytest.mark.parametrize(
    "build", [pytest.param(SMALL[name], id=name, marks=[] if name == "rcan" else pytest.mark.slow) for name in SMALL]
)
def test_a_step_of_training_lowers_the_loss(build):
    model = build(input_shape=(6, 6, 3))
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mae", run_eagerly=True)
    x, y = pixels((2, 6, 6, 3)), pixels((2, 12, 12, 3), seed=1)
    losses = [model.train_on_batch(x, y) for _ in range(4)]
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]


@each
def test_weights_and_models_survive_saving(build, tmp_path):
    model, x = build(), pixels((1, 4, 5, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert largest_difference(loaded(x), model(x)) < 1e-3
    model.save_weights(tmp_path / "model.weights.h5")
    again = build(weights=tmp_path / "model.weights.h5")
    assert largest_difference(again(x), model(x)) < 1e-3


def test_mean_shifts_are_trained_by_default():
    frozen = {w.path.split("/")[0] for w in SMALL["rcan"](train_mean_shift=False).non_trainable_weights}
    assert frozen == {"subtract_mean", "predictions"}
    assert SMALL["rcan"]().non_trainable_weights == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 5}, "scale must be 3 or a power of two"),
        ({"scale": 1}, "scale must be 3 or a power of two"),
        ({"input_shape": (8, 8)}, "input_shape must be"),
        ({"mean": (0.4, 0.4)}, "one number, or one a channel: 3"),
        ({"weights": "div2k"}, "does not exist for rcan"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SMALL["rcan"](**options)
