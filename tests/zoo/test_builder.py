"""What every builder does with its arguments."""

import inspect

import keras
import numpy as np
import pytest
from support.models import assert_probabilities, largest_difference, pixels, randomise

import kattn
from kattn.zoo import create

SHORT = {"depths": (1, 1, 1)}


def test_the_function_has_a_signature_of_its_own():
    parameters = inspect.signature(kattn.zoo.se_resnet50).parameters
    assert parameters["reduction"].default == 16 and parameters["classes"].default is None
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters.values())
    assert "reduction" not in inspect.signature(kattn.zoo.resnet50).parameters
    assert "squeeze" in kattn.zoo.se_resnet50.__doc__ and "arXiv:1709.01507" in kattn.zoo.se_resnet50.__doc__


def test_create_is_the_function_by_name():
    model = create("se_resnet20", classes=3, **SHORT)
    assert model.count_params() == kattn.zoo.se_resnet20(classes=3, **SHORT).count_params()
    assert kattn.zoo.se_resnet20(name="mine", **SHORT).name == "mine" and model.name == "se_resnet20"


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("se_resnet21", {}, ValueError, "Unknown model 'se_resnet21'. Closest: .*se_resnet20"),
        ("se_resnet20", {"ratio": 4}, TypeError, "no option ratio. Options of this model: .*reduction"),
        ("resnet20", {"reduction": 4}, TypeError, "no option reduction. Options of this model: depths"),
        ("abn_resnet20", {"stages": (1,)}, TypeError, "no option stages"),
        ("se_resnet20", {"classes": 0}, ValueError, "classes must be an integer of at least 1. Received: classes=0"),
        ("se_resnet20", {"classes": 2.5}, ValueError, "classes must be an integer"),
        ("se_resnet20", {"input_shape": (32, 32)}, ValueError, r"input_shape must be .*Received: \(32, 32\)"),
        ("se_resnet20", {"input_shape": (0, 32, 3)}, ValueError, r"Received: \(0, 32, 3\)"),
        ("se_resnet20", {"input_shape": (32, 32, None)}, ValueError, "channels at least 1"),
        ("se_resnet20", {"pooling": "mean"}, ValueError, 'pooling must be None, "avg" or "max"'),
        ("se_resnet20", {"position": "everywhere"}, ValueError, "position must be one of input, inner"),
        ("se_resnet20", {"stages": (4,)}, ValueError, r"stages must name some of 1..3. Received: \[4\]"),
        ("se_resnet20", {"stages": ()}, ValueError, "stages must name some of"),
        ("se_bn_inception", {"stages": (1,)}, ValueError, r"no place for the attention \(residual\)"),
        ("bam_resnet20", {"stages": (3,)}, ValueError, r"no place for the attention \(between_stages\)"),
        ("se_resnet20", {"reduction": 0}, ValueError, "reduction must be an integer of at least 1"),
        ("abn_resnet20", {"mechanism": "add"}, ValueError, 'mechanism must be "residual"'),
        ("se_resnet20", {"input_tensor": np.zeros(3)}, ValueError, "input_tensor must be a Keras tensor"),
        ("se_resnet20", {"weights": 3}, ValueError, "weights must be None, a tag or a path"),
    ],
)
def test_bad_arguments_are_named(name, options, error, message):
    with pytest.raises(error, match=message):
        create(name, **options)


def test_an_unknown_attribute_is_an_attribute_error_with_the_closest_names():
    with pytest.raises(AttributeError, match=r"Closest: .*resnet20"):
        kattn.zoo.resnet21  # noqa: B018
    with pytest.raises(AttributeError, match=r"Closest: dilate"):
        kattn.zoo.dilat  # noqa: B018
    with pytest.raises(AttributeError, match="sk has no place in mobilenet_v1: spatial_conv"):
        kattn.zoo.sk_mobilenet_v1  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'preprocess_input'\. Models take RGB pixels 0-255"):
        kattn.zoo.preprocess_input  # noqa: B018


def test_the_zoo_shows_its_models_and_functions_and_nothing_else():
    functions = set(dir(kattn.zoo)) - set(kattn.zoo.list_models())
    assert {"create", "info", "list_models", "features", "dilate", "psa", "rcan", "convert"} <= functions
    assert not [name for name in functions if name.startswith("_") or name in ("annotations", "importlib", "Any")]
    assert all(callable(getattr(kattn.zoo, name)) for name in functions)


@pytest.mark.parametrize(("pooling", "shape"), [(None, (None, 8, 8, 64)), ("avg", (None, 64)), ("max", (None, 64))])
def test_without_the_top_it_gives_features(pooling, shape):
    for name in ("resnet20", "abn_resnet20"):
        model = create(name, include_top=False, pooling=pooling, **SHORT)
        assert tuple(model.output.shape) == shape


def test_pixels_are_normalised_inside():
    model, bare = create("resnet20", **SHORT), create("resnet20", include_preprocessing=False, **SHORT)
    randomise(model)
    bare.set_weights(model.get_weights())
    x = pixels((2, 32, 32, 3))
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    assert largest_difference(model(x), bare((x / 255 - mean) / std)) < 1e-5


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_multispectral_images_are_taken(channels):
    assert_probabilities(create("cbam_resnet20", input_shape=(16, 16, channels), **SHORT), (16, 16), channels)


def test_an_input_tensor_is_built_on():
    x = keras.Input((16, 16, 1))
    three = keras.layers.Conv2D(3, 1)(x)
    model = create("resnet20", input_tensor=three, **SHORT)
    assert model.input_shape == (None, 16, 16, 1)


def test_logits_on_request():
    model = create("resnet20", classifier_activation=None, **SHORT)
    randomise(model)
    assert np.asarray(model(pixels((1, 32, 32, 3)))).min() < 0


def test_half_precision_gives_scores_in_single():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for name in ("afi_resnet20", "abn_resnet20"):
            outputs = create(name, input_shape=(16, 16, 3), depths=(1, 1, 2))(pixels((1, 16, 16, 3)))
            assert {keras.backend.standardize_dtype(y.dtype) for y in keras.tree.flatten(outputs)} == {"float32"}
    finally:
        keras.config.set_dtype_policy("float32")


def test_channels_first_is_refused_with_the_way_out():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            create("resnet20")
    finally:
        keras.config.set_image_data_format("channels_last")
