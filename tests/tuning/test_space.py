"""What a search chooses from: names and choices, and what they mean for a network."""

import keras_tuner
import pytest

from kattn.training.recipes import load_recipe
from kattn.tuning.space import Space

RECIPE = load_recipe("quick")


def candidates(choices, model="se_resnet20"):
    space = Space(model, choices, RECIPE)
    return [space.candidate(values) for values in space.product()]


def test_a_candidate_is_a_model_with_options_and_a_recipe():
    found = candidates({"reduction": [4, 8], "mechanism": ["se", "none"], "recipe.learning_rate": [0.1]})
    assert [(one.model, one.options) for one in found] == [
        ("se_resnet20", {"reduction": 4}),
        ("resnet20", {}),
        ("se_resnet20", {"reduction": 8}),
        ("resnet20", {}),
    ]
    assert all(one.overrides == {"learning_rate": 0.1} for one in found)
    assert found[1].key == found[3].key != found[0].key
    assert found[1].values == {"mechanism": "none", "recipe.learning_rate": 0.1}


def test_mechanism_names_the_model_also_where_a_mechanism_has_an_option_of_that_name():
    found = candidates({"mechanism": ["abn", "se"], "reduction": [4]})
    assert [(one.model, one.options) for one in found] == [("abn_resnet20", {}), ("se_resnet20", {"reduction": 4})]


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("reduction", [2, 4]),
        ("use_bias", [True, False]),
        ("stages", [None, [2, 3], 3]),
        ("widths", [[8, 16, 32], (16, 32, 64)]),
        ("recipe.learning_rate", [0.1, 0.05]),
        ("squeeze", ["avg", "max"]),
    ],
)
def test_choices_come_back_from_keras_tuner_as_they_were(name, choices):
    space = Space("se_resnet20", {name: choices}, RECIPE)
    hp = keras_tuner.HyperParameters()
    space.declare(hp)
    sent = keras_tuner.HyperParameters.from_proto(hp.to_proto())  # as between a chief and its workers
    found = [space.candidate({name: value}).values[name] for value in sent.space[0].values]
    expected = [list(value) if isinstance(value, tuple) else value for value in choices]
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_a_range_is_drawn_from_and_written_shortly():
    space = Space("se_resnet20", {"recipe.learning_rate": {"low": 0.01, "high": 0.3, "log": True}}, RECIPE)
    value = space.candidate({"recipe.learning_rate": 0.0123456789}).overrides["learning_rate"]
    assert value == 0.0123457
    assert space.count() is None
    whole = Space("se_resnet20", {"reduction": {"low": 2, "high": 5}}, RECIPE)
    assert [whole.candidate(values).options["reduction"] for values in whole.product()] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "one name at least"),
        ({"reductoin": [2]}, "Unknown name in the space 'reductoin'. Closest: reduction"),
        ({"classes": [2]}, "Unknown name in the space 'classes'"),
        ({"recipe.learning_rat": [2]}, "Closest: recipe.learning_rate"),
        ({"recipe.learning_rate": [0.1, -1.0]}, "learning_rate must be at least"),
        ({"recipe.optimizer": ["sgd", "adam"]}, "optimizer must be one of sgd, adamw"),
        ({"reduction": []}, "reduction needs a list of choices"),
        ({"reduction": 4}, "reduction needs a list of choices"),
        ({"reduction": [4, 4]}, "reduction has a choice twice"),
        ({"mechanism": ["es"]}, "es_resnet20"),
        ({"mechanism": [1]}, "names"),
        ({"reduction": {"low": 4, "high": 2}}, "a range is"),
        ({"reduction": {"low": 0, "high": 2, "log": True}}, "a range is"),
        ({"reduction": {"low": 1, "up": 2}}, "a range is"),
    ],
)
def test_what_cannot_be_chosen_is_named(choices, message):
    with pytest.raises(ValueError, match=f"(?i){message}"):
        Space("se_resnet20", choices, RECIPE)
