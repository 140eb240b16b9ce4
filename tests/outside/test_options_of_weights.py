"""Weights belong to one function: an option that changes it is refused, or said, also where no tensor shows it."""

import h5py
import numpy as np
import pytest
from support.models import largest_difference, pixels, randomise

import kattn
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.weights.agreement import SAME_FUNCTION

SMALL = {"depths": (1, 1, 1), "widths": (4, 4, 8), "input_shape": (16, 16, 3), "classes": 5}
HIDDEN = [  # the model, and an option that changes no tensor's shape
    ("gc_resnet20", {"fusion": "scale"}),
    ("bam_resnet20", {"combine": "add"}),
    ("bam_resnet20", {"dilation": 2}),
    ("cbam_resnet20", {"pools": ("avg",)}),
    ("se_resnet20", {"squeeze": "max"}),
    ("se_resnet20", {"excitation": "tanh"}),
    ("se_resnet20", {"position": "output"}),
    ("abn_resnet20", {"mechanism": "mul"}),
    ("resnet20", {"mean": (0.5, 0.5, 0.5)}),
    ("resnet20", {"std": (0.5, 0.5, 0.5)}),
    ("resnet20", {"classifier_activation": "sigmoid"}),
]


@pytest.mark.parametrize(("name", "option"), HIDDEN, ids=lambda value: str(value))
def test_packaged_weights_refuse_an_option_that_no_tensor_shows(name, option):
    (key,) = option
    said = rf"{name}: the weights cifar10\.kattn are of a network with {key}=.* Received"
    with pytest.raises(ValueError, match=said):
        kattn.zoo.create(name, weights="cifar10", **option)


def test_a_difference_that_is_wanted_is_built_and_logged(caplog):
    model = kattn.zoo.gc_resnet20(weights="cifar10", fusion="scale", strict_options=False)
    assert "of a network with fusion='add'. Received: fusion='scale'; it is built as asked" in caplog.text
    plain = kattn.zoo.gc_resnet20(weights="cifar10", fusion="add")
    assert largest_difference(model(pixels((1, 32, 32, 3))), plain(pixels((1, 32, 32, 3)))) > 1e-3


def test_the_trained_options_and_a_new_head_may_be_given():
    kattn.zoo.se_resnet20(weights="cifar10", squeeze="avg", stages=(1, 2, 3), mean=(0.4914, 0.4822, 0.4465))
    model = kattn.zoo.resnet20(weights="cifar10", classes=3, classifier_activation="sigmoid")
    assert model.output_shape == (None, 3)
    kattn.zoo.resnet20(weights="cifar10", classifier_activation=None, zero_init_residual=True)


@pytest.mark.parametrize(
    ("name", "built", "other"),
    [
        ("gc_resnet20", {"fusion": "scale"}, {"fusion": "add"}),
        ("se_resnet20", {}, {"squeeze": "max"}),
        ("ge_resnet20", {"variant": "theta_minus", "stages": (1,)}, {"stages": (2,)}),
        ("cbam_resnet20", {"mean": (0.1, 0.2, 0.3)}, {"mean": (0.3, 0.2, 0.1)}),
        ("resnet20", {"classifier_activation": "sigmoid"}, {"classifier_activation": "softmax"}),
    ],
)
def test_a_file_of_weights_records_how_its_model_was_built(tmp_path, name, built, other):
    model = kattn.zoo.create(name, **SMALL, **built)
    randomise(model)
    file = kattn.zoo.save_weights(model, tmp_path / "m.weights.h5")
    again = kattn.zoo.create(name, weights=file, input_shape=(16, 16, 3))  # its classes and options are the file's
    x = pixels((2, 16, 16, 3))
    assert np.array_equal(model(x), again(x))
    with pytest.raises(ValueError, match=rf"are of a network with {next(iter(other))}="):
        kattn.zoo.create(name, weights=file, input_shape=(16, 16, 3), **other)
    second = kattn.zoo.save_weights(again, tmp_path / "again.weights.h5")
    with h5py.File(file) as one, h5py.File(second) as two:
        assert one.attrs["kattn"] == two.attrs["kattn"]


def test_a_file_without_a_record_still_loads(tmp_path):
    model = kattn.zoo.se_resnet20(**SMALL)
    model.save_weights(tmp_path / "m.weights.h5")
    kattn.zoo.se_resnet20(weights=tmp_path / "m.weights.h5", squeeze="max", **SMALL)


@pytest.mark.parametrize("option", SAME_FUNCTION)
def test_what_is_not_compared_changes_no_answer(option):
    values = {"zero_init_residual": (False, True), "detach": (True, False), "attention_map": (False, True)}
    rows = {"zero_init_residual": "resnet20", "attention_map": "abn_resnet20"}
    name = rows.get(option, "c3_resnet20")
    models = [kattn.zoo.create(name, **SMALL, **{option: value}) for value in values[option]]
    randomise(models[0])
    models[1].set_weights(models[0].get_weights())
    answers = [model(pixels((2, 16, 16, 3))) for model in models]
    first, second = (answer["predictions"] if isinstance(answer, dict) else answer for answer in answers)
    assert largest_difference(first, second) < 1e-6
    known = {key for row in ATTENTIONS.values() for key in row.options()}
    assert option in known | {key for row in BACKBONES.values() for key in row.user_options()}
