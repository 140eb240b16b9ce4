import dataclasses
import math

import keras
import numpy as np
import pytest
from support.training import (
    BACKENDS,
    EAGER,
    arrays,
    image_folder,
    tiny_model,
    try_recipe,
    two_output_model,
    without_tensorflow,
)

from kattn.training.optimizers import SGD, AdamW, decays
from kattn.training.recipes import Recipe, list_recipes, load_recipe, recipe_files
from kattn.training.run import build_optimizer, compile_for
from kattn.training.schedules import Schedule


@pytest.mark.parametrize("name", list_recipes())
def test_a_committed_recipe_trains_and_evaluates_from_the_command_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    try_recipe(name, image_folder(tmp_path / "images"), tmp_path / "run")


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_every_committed_recipe_trains_and_evaluates(backend, tmp_path):
    image_folder(tmp_path / "images")
    code = """
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compiling is what takes the time here
import keras
from pathlib import Path
from kattn.training.recipes import list_recipes
from training_helpers import EAGER, try_recipe
keras.Model.run_eagerly = EAGER
for name in list_recipes():
    try_recipe(name, Path(out) / "images", Path(out) / name)
assert "tensorflow" not in sys.modules
"""
    without_tensorflow(backend, tmp_path, code)
    assert {path.name for path in tmp_path.iterdir()} == {"images", *list_recipes()}


def test_every_committed_recipe_says_what_it_is_and_where_it_is_from():
    recipes = list_recipes()
    assert {"quick", "afi_finetune", *PAPERS} <= set(recipes)
    assert all(len(summary) > 20 for summary in recipes.values())
    assert all(load_recipe(name).source for name in recipes)


# Epochs, batch, peak learning rate, weight decay, epochs at which the rate is divided by ten, what is done to images.
SHIFTED, CROPPED = (0.0, 0.125, True), (0.08, 0.0, True)
PAPERS = {
    "afi_cifar": (300, 64, 0.1, 1e-4, [150, 225], SHIFTED),
    "afi_imagenet": (90, 64, 0.1 * 64 / 256, 1e-4, [30, 60, 80], CROPPED),
    "abn_cifar": (300, 128, 0.1, 1e-4, [150, 225], SHIFTED),
    "abn_imagenet": (90, 256, 0.1, 1e-4, [31, 61], CROPPED),
    "cbam_imagenet": (90, 256, 0.1, 1e-4, [30, 60], CROPPED),
    "se_imagenet": (100, 1024, 0.6, 1e-4, [30, 60, 90], CROPPED),
}


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_recipe_has_its_numbers(name):
    recipe = load_recipe(name)
    epochs, batch_size, peak, decay, drops, images = PAPERS[name]
    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay) == (epochs, batch_size, decay)
    assert (recipe.crop, recipe.shift, recipe.flip) == images
    assert (recipe.optimizer, recipe.momentum, recipe.nesterov, recipe.decay_all) == ("sgd", 0.9, False, True)
    assert not (recipe.label_smoothing or recipe.mixup or recipe.cutmix or recipe.erase or recipe.rand_operations)
    rate = build_optimizer(recipe, steps=5)._learning_rate
    found = [float(rate(5 * epoch)) for epoch in range(epochs)]
    np.testing.assert_allclose(
        found, [peak * 0.1 ** sum(e >= drop for drop in drops) for e in range(epochs)], rtol=1e-5
    )


def test_afis_fine_tuning_lowers_the_rate_with_every_step():
    recipe = load_recipe("afi_finetune")
    rate = build_optimizer(recipe, steps=7)._learning_rate
    share = np.arange(20 * 7) / (20 * 7)
    np.testing.assert_allclose([float(rate(s)) for s in range(20 * 7)], 0.01 * (1 + 10 * share) ** -0.75, rtol=1e-5)
    assert (recipe.epochs, recipe.body_rate, recipe.momentum, recipe.weight_decay) == (20, 0.1, 0.9, 1e-4)


def test_a_recipe_survives_being_written_down():
    for name in recipe_files():
        recipe = load_recipe(name)
        assert load_recipe(recipe.as_dict()) == recipe == load_recipe(recipe)


def test_a_recipe_of_ones_own_comes_from_a_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 3\nbatch_size = 16\nlearning_rate = 1\n")
    assert load_recipe(file) == load_recipe(str(file)) == Recipe(epochs=3, batch_size=16, learning_rate=1.0)


def test_fewer_epochs_keep_the_warm_ups_share():
    assert load_recipe("quick", {"epochs": 4}).warmup_epochs == pytest.approx(1.0)
    assert load_recipe("quick", {"epochs": 4, "warmup_epochs": 2}).warmup_epochs == 2


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("quik", {}, r"Unknown recipe 'quik'\. Closest: quick"),
        ("quick", {"learningrate": 1}, r"no field 'learningrate'\. Closest: learning_rate"),
        ("quick", {"epochs": 0}, "epochs must be at least 1"),
        ("quick", {"epochs": 2.5}, "epochs must be a whole number"),
        ("quick", {"flip": 1}, "flip must be true or false"),
        ("quick", {"milestones": 0.5}, "milestones must be a list of numbers"),
        ("quick", {"milestones": [150, 225]}, "milestones are shares of the run"),
        ("quick", {"optimizer": "adam"}, "optimizer must be one of sgd, adamw"),
        ("quick", {"schedule": "poly"}, "schedule must be one of"),
        ("quick", {"select": "first"}, "select must be one of"),
        ("quick", {"momentum": 1.5}, "momentum must be at least 0 and at most"),
        ("quick", {"learning_rate": -1}, "learning_rate must be at least"),
        ("quick", {"warmup_epochs": 12}, "12.0 epochs of warm-up do not fit into 12 epochs"),
        ("adamw", {"body_rate": 0.1}, "body_rate works with optimizer='sgd'"),
        ({"epochs": 3}, {}, "needs the field 'batch_size'"),
        ("nowhere.toml", {}, r"nowhere\.toml cannot be read"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_clear_error(recipe, changes, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(recipe, changes)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "x.toml").write_text("epochs =")
    with pytest.raises(ValueError, match=r"x\.toml is no valid TOML"):
        load_recipe(tmp_path / "x.toml")


# learning rates


def rates(schedule):
    return np.array([float(schedule(step)) for step in range(schedule.steps + 1)])


def test_cosine_rises_linearly_and_falls_to_its_floor():
    values = rates(Schedule(2.0, 100, "cosine", warmup=10, floor=0.1))
    np.testing.assert_allclose(values[:10], 0.2 * np.arange(1, 11), rtol=1e-5)
    assert values[55] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5), rel=1e-3)
    assert values[100] == pytest.approx(0.2, rel=1e-4)
    assert (np.diff(values[10:]) <= 0).all()


def test_steps_divide_at_the_milestones():
    values = rates(Schedule(0.1, 100, "step", milestones=(50, 75)))
    np.testing.assert_allclose(values[[0, 49, 50, 74, 75, 100]], [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-4)


def test_power_is_the_fine_tuning_formula():
    values = rates(Schedule(0.01, 40, "power"))
    np.testing.assert_allclose(values, 0.01 * (1 + 10 * np.arange(41) / 40) ** -0.75, rtol=1e-4)


def test_constant_and_linear():
    assert set(rates(Schedule(0.5, 4, "constant"))) == {0.5}
    np.testing.assert_allclose(rates(Schedule(1.0, 4, "linear", floor=0.2)), [1, 0.8, 0.6, 0.4, 0.2], rtol=1e-5)


def test_a_schedule_that_cannot_be_is_an_error():
    with pytest.raises(ValueError, match="schedule must be one of"):
        Schedule(1.0, 10, "poly")
    with pytest.raises(ValueError, match="does not fit"):
        Schedule(1.0, 10, warmup=10)


# weight decay


def stepped(optimizer, count=4):
    """A kernel, a bias and a scale after some steps along fixed gradients, and these."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal((3, 4)), rng.standard_normal(4), rng.standard_normal((1, 4))]
    variables = [
        keras.Variable(v.astype("float32"), name=n) for v, n in zip(values, ("kernel", "bias", "gamma"), strict=True)
    ]
    slopes = [[rng.standard_normal(v.shape).astype("float32") for v in values] for _ in range(count)]
    for slope in slopes:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in slope], variables)
    return values, slopes, [np.asarray(v) for v in variables]


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_decays_under_the_momentum_as_the_papers_do(decay_all, nesterov):
    start, slopes, end = stepped(SGD(0.1, momentum=0.9, nesterov=nesterov, l2=0.05, decay_all=decay_all))
    for k, value in enumerate(start):
        pace = np.zeros_like(value)
        for slope in slopes:
            total = slope[k] + (0.05 * value if k == 0 or decay_all else 0)
            pace = 0.9 * pace + total  # torch's form; equal to Keras's at a constant learning rate
            value = value - 0.1 * (total + 0.9 * pace if nesterov else pace)
        np.testing.assert_allclose(end[k], value, atol=1e-5)


def test_adamw_spares_biases_and_scales():
    start, _, decayed = stepped(AdamW(learning_rate=0.1, weight_decay=0.5))
    _, _, plain = stepped(AdamW(learning_rate=0.1, weight_decay=0.0))
    _, _, everything = stepped(AdamW(learning_rate=0.1, weight_decay=0.5, decay_all=True))
    assert [np.allclose(a, b) for a, b in zip(decayed, plain, strict=True)] == [False, True, True]
    assert not any(np.allclose(a, b) for a, b in zip(everything, plain, strict=True))
    assert len(start) == 3


def test_each_output_has_its_head():
    model = two_output_model(classes=3)
    compile_for(model, load_recipe("afi_finetune"), steps=10)
    full = [v.path for v, slow in zip(model.trainable_variables, model.optimizer.slower, strict=True) if not slow]
    heads = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)}
    assert len(heads) == 2
    assert {path.split("/")[0] for path in full} == heads


def test_the_head_learns_at_the_full_rate_and_the_body_slower():
    model = tiny_model(classes=3, dropout=0.0)
    compile_for(model, load_recipe("afi_finetune", {"schedule": "constant"}), steps=10)
    slower = dict(zip([v.path for v in model.trainable_variables], model.optimizer.slower, strict=True))
    assert {path.split("/")[0] for path, slow in slower.items() if not slow} == {"predictions"}
    before = [np.array(v) for v in model.trainable_variables]
    ones = [keras.ops.ones(v.shape) for v in model.trainable_variables]
    model.optimizer.l2, model.optimizer.decaying = 0.0, [False] * len(ones)
    model.optimizer.apply(ones, model.trainable_variables)
    moved = [float(np.mean(b - np.asarray(v))) for b, v in zip(before, model.trainable_variables, strict=True)]
    expected = [0.001 if slow else 0.01 for slow in model.optimizer.slower]
    np.testing.assert_allclose(moved, expected, rtol=1e-3)


@pytest.mark.parametrize("recipe", ["quick", "adamw", "afi_finetune"])
def test_optimizer_and_schedule_survive_saving(recipe, tmp_path):
    model = tiny_model(classes=3)
    compile_for(model, load_recipe(recipe), steps=10)
    x, y = arrays(12)
    model.train_on_batch(x, y if recipe == "afi_finetune" else np.eye(3, dtype="float32")[y])
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    ours, theirs = model.optimizer.get_config(), loaded.optimizer.get_config()
    assert keras.saving.serialize_keras_object(ours) == keras.saving.serialize_keras_object(theirs)
    loaded.optimizer.build(loaded.trainable_variables)
    for name in ("decaying", "slower", "_exclude_from_weight_decay"):
        assert len(getattr(model.optimizer, name, ())) == len(getattr(loaded.optimizer, name, ()))


def test_what_decays():
    kernel, bias = keras.Variable(np.ones((3, 3)), name="kernel"), keras.Variable(np.ones(3), name="bias")
    wide_scale = keras.Variable(np.ones((1, 1, 3)), name="gamma")
    assert [decays(v) for v in (kernel, bias, wide_scale)] == [True, False, False]


def test_a_recipe_names_every_field_it_documents():
    documented = Recipe.__doc__.split("Args:")[1]
    assert all(field.name in documented for field in dataclasses.fields(Recipe))
    assert math.isfinite(Recipe(epochs=1, batch_size=1).peak)
