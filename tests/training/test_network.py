import keras
import pytest
from support.runs import run
from support.training import arrays, tiny_model

from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.runs.folder import RunError
from kattn.training.network import build_network
from kattn.training.recipes import load_recipe
from kattn.training.run import train


def test_a_folder_that_cannot_be_written_is_an_error_before_training(tmp_path, no_training):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"folder .* cannot be written: Not a directory"):
        run(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ("afi_resnet2", {}, ValueError, "afi_resnet2"),
        (tiny_model(size=9), {"data": arrays(60)}, DataError, "images of 8x8, the model takes 9x9"),
        (tiny_model(channels=1), {"data": arrays(60)}, DataError, "images of 3 channels, the model takes 1"),
        (tiny_model(classes=2), {"data": arrays(60)}, DataError, "label 2 of image 2 is out of range"),
        (tiny_model(), {"data": (arrays(60)[0][:0], arrays(60)[1][:0])}, DataError, "is empty"),
        ("resnet20", {"data": arrays(60, classes=1)}, DataError, "one class only"),
        (tiny_model(), {"recipe": "quik"}, ValueError, "Unknown recipe"),
        (tiny_model(), {"options": {"reduction": 4}}, ValueError, "options go with a name of the zoo"),
        (tiny_model(), {"precision": "mixed_bfloat16"}, ValueError, "precision goes with a name of the zoo"),
        ("resnet20", {"precision": "half"}, ValueError, "precision must be one of float32, mixed_bfloat16"),
        (keras.Sequential(), {}, ValueError, "name of the zoo or a functional Keras model"),
        (
            keras.Model((x := keras.Input((4,))), keras.layers.Dense(2)(x)),
            {},
            ValueError,
            "does not take one batch of images",
        ),
        (lambda images: images, {}, ValueError, "Received: function"),
    ],
)
def test_what_does_not_fit_is_one_clear_error_before_training(tmp_path, no_training, model, options, error, message):
    with pytest.raises(error, match=message):
        train(model, out=tmp_path / "deep" / "run", verbose=False, **options)
    assert not (tmp_path / "deep").exists()


def test_a_modern_recipe_starts_residual_branches_at_zero_where_the_network_can():
    assert load_recipe("cifar_modern").zero_init_residual and not load_recipe("abn_cifar").zero_init_residual
    options = {"depths": (1, 1, 1), "widths": (4, 4, 8)}
    dataset = load(arrays(60))

    def zeros(options, asked):
        model = build_network("resnet20", options, dataset, "float32", asked)
        return sum(not keras.ops.any(w) for w in model.weights if w.path.endswith("gamma"))

    assert (zeros(options, False), zeros(options, True)) == (0, 3)
    assert zeros(options | {"zero_init_residual": False}, True) == 0
    build_network("mobilenet_v2_cifar", {"alpha": 0.25}, dataset, "float32", True)
