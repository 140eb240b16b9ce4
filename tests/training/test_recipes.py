import dataclasses
import math

import keras
import numpy as np
import pytest
from support.sweeps import swept
from support.training import EAGER, image_folder, try_recipe

from kattn.training.fitting import build_optimizer
from kattn.training.recipes import Recipe, list_recipes, load_recipe, recipe_files

# One of each optimizer, with every kind of augmentation between them; the others differ in numbers.
VARIED = ("adamw", "cifar_modern", "imagenet_modern")


@pytest.mark.parametrize("name", swept(list_recipes(), VARIED))
def test_a_committed_recipe_trains_and_evaluates_from_the_command_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    try_recipe(name, image_folder(tmp_path / "images"), tmp_path / "run")


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
    assert load_recipe("finetune", {"epochs": 10}).head_epochs == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("quik", {}, r"Unknown recipe 'quik'\. Closest: quick"),
        ("quick", {"learningrate": 1}, r"Unknown field of a recipe 'learningrate'\. Closest: learning_rate"),
        ("quick", {"epochs": 0}, "epochs must be at least 1"),
        ("quick", {"epochs": 2.5}, "epochs must be a whole number"),
        ("quick", {"epochs": math.inf}, "epochs must be a whole number. Received: inf"),
        ("quick", {"learning_rate": math.nan}, "learning_rate must be a number. Received: nan"),
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
        ("adamw", {"head_epochs": 2}, "head_epochs works with optimizer='sgd'"),
        ("quick", {"head_epochs": 12}, "12.0 epochs of the classifier alone do not fit into 12 epochs"),
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


def test_a_recipe_names_every_field_it_documents():
    documented = Recipe.__doc__.split("Args:")[1]
    assert all(field.name in documented for field in dataclasses.fields(Recipe))
    assert math.isfinite(Recipe(epochs=1, batch_size=1).peak)
