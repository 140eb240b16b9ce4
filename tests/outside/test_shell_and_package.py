"""What a user meets first: names, printed lines, and a shell that shows nothing of TensorFlow's start."""

import subprocess
import sys

import numpy as np
import pytest
from support.training import arrays, two_output_model

import kattn
from kattn.cli.commands.explain import METHODS
from kattn.data.loading import load
from kattn.evaluation.metrics import measure
from kattn.files import counted


def test_the_package_shows_what_is_public_and_nothing_else():
    assert {"train", "evaluate", "export", "zoo", "layers"} <= set(dir(kattn))
    assert not {"Any", "sys", "annotations", "TYPE_CHECKING", "face"} & {*dir(kattn), *dir(kattn.data), *dir(kattn.zoo)}


def test_data_are_printed_as_one_line():
    data = load(arrays(60))
    assert str(data) == "arrays: 42 training, 6 validation, 12 test images of 8x8x3, 3 classes"
    assert repr(data) == f"<Dataset {data}>"
    assert repr(data.test) == "Split(images: uint8 (12, 8, 8, 3), labels: int32 (12,))"


def test_one_is_no_plural():
    assert (counted(1, "epoch"), counted(0, "epoch"), counted(3, "step")) == ("1 epoch", "0 epochs", "3 steps")
    one = measure(np.eye(3, dtype="float32")[:1], np.zeros(1, int), ["a", "b", "c"], model="m", data="d")
    assert str(one).startswith("m on 1 image of d: accuracy")


def test_what_other_collections_call_preprocess_input_is_answered():
    with pytest.raises(AttributeError, match="Models take RGB pixels 0-255 and normalise them inside"):
        _ = kattn.zoo.preprocess_input


def test_methods_of_the_command_are_those_of_the_library():
    from kattn.explain.reports.methods import METHODS as known

    assert sorted(METHODS) == sorted(known)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["describe", "resnet20"], ["info", "se_resnet20"]])
def test_a_command_that_starts_tensorflow_says_nothing_of_it(arguments):
    done = subprocess.run([sys.executable, "-m", "kattn", *arguments], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "" and arguments[1] in done.stdout


def test_a_network_of_two_outputs_is_compiled_and_fitted_in_two_lines():
    model = two_output_model(classes=3)
    images, labels = arrays(12)
    kattn.compile_for(model, optimizer="adam", run_eagerly=True)
    history = model.fit(images.astype("float32"), kattn.targets_for(model)(labels), verbose=0, batch_size=12).history
    assert {"predictions_accuracy", "attention_predictions_accuracy"} <= set(history)
