"""Keras's own layers and what models are made of besides: exported and right, or refused by the layer's name."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.models import randomise

import kattn
from kattn.export import ExportError, ExportInputError, load, onnx, saved_model, tflite
from kattn.export.to_tflite.graph import read_tflite

SHAPE = (16, 16, 3)
EXPORTS = {"tflite": tflite, "onnx": onnx}


def images(count=24, shape=SHAPE, seed=0):
    """Each with a colour and a contrast of its own, about -1 to 1."""
    random = np.random.default_rng(seed)
    colours, contrast = random.uniform(-1, 1, (count, 1, 1, shape[2])), random.uniform(0.1, 0.7, (count, 1, 1, 1))
    return (colours + contrast * random.normal(0, 1, (count, *shape))).astype("float32")


def classified(x):
    if len(x.shape) > 2:
        x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else layers.GlobalAveragePooling1D()(x)
    return layers.Dense(5, activation="softmax", name="predictions")(x)


def network(middle, after=classified, shape=SHAPE):
    """A convolution, what is tried, and a classifier or another end; random weights."""
    keras.utils.set_random_seed(1)
    image = keras.Input(shape)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(image)
    model = keras.Model(image, after(middle(x)))
    randomise(model, seed=3)
    return model


def small(x):
    return layers.MaxPooling2D(4)(x)


def tokens(x):
    """Positions of a smaller map in a row."""
    return layers.Reshape((16, 8))(small(x))


def columns(x, steps=4):
    """Columns of a smaller map as steps in time."""
    x = layers.Permute((2, 1, 3))(small(x))
    return layers.Reshape((steps, 128 // steps))(x)


def right(model, kind, folder, precision="float32", shape=SHAPE, **options):
    """Export, load, and compare with Keras; gives the report."""
    given = images(shape=shape)
    path = folder / f"m.{kind}"
    if precision == "int8":
        options = {"calibration": given, "min_agreement": 0, "max_error": np.inf} | options
    report = EXPORTS[kind](model, path, precision=precision, images=given, **options)
    expected = np.asarray(model.predict(given, verbose=0), "float32")
    (got,) = load(path)(given).values()
    spread = max(1.0, float(np.abs(expected).max()))
    if report.outputs[next(iter(report.outputs))]["kind"] == "integers" and precision == "float32":
        np.testing.assert_array_equal(got, expected)
    elif precision == "int8" and np.issubdtype(model.output.dtype, np.integer):
        assert (got == expected).mean() >= 0.9
    else:
        whole = options.get("calibration_method") == "minmax"  # nothing of these images is outside the ranges
        assert np.abs(got - expected).max() <= (1e-4 if precision != "int8" else 0.03 if whole else 0.06) * spread
    return report


# The rows of the table of cases.
def test_normalisations_and_upsampling_stay_in_four_dimensions(tmp_path):
    model = network(lambda x: layers.UpSampling2D((2, 3))(layers.GroupNormalization(4)(x)))
    report = right(model, "tflite", tmp_path)
    assert "RESIZE_NEAREST_NEIGHBOR" in report.ops and read_tflite(report.path).highest_rank <= 4
    right(model, "tflite", tmp_path, "int8")


def test_layer_and_unit_normalisation_are_computed_in_integers(tmp_path):
    model = network(lambda x: layers.UnitNormalization()(layers.LayerNormalization()(x)))
    report = right(model, "tflite", tmp_path, "int8")
    assert "L2_NORMALIZATION" in report.ops and "floating point" in report.checks


def test_what_has_no_integer_form_is_named_with_the_way_out(tmp_path):
    model = network(layers.RMSNormalization(name="rms"))
    with pytest.raises(ExportError, match=r"left in floating point \(layers: rms\).*float_layers=\['rms'\]"):
        right(model, "tflite", tmp_path, "int8")
    right(model, "tflite", tmp_path, "int8", float_layers=["rms"])


def test_positions_of_the_largest_are_exact(tmp_path):
    for kind in EXPORTS:
        report = right(network(lambda x: x, lambda x: ops.argmax(layers.Conv2D(5, 1)(x), axis=-1)), kind, tmp_path)
        assert report.outputs["predictions"]["kind"] == "integers"


def test_softmax_over_the_map_and_attention_with_an_open_batch(tmp_path):
    def middle(x):
        x = layers.Multiply()([x, layers.Softmax(axis=[1, 2])(layers.Conv2D(1, 1)(x))])
        return layers.MultiHeadAttention(2, 4, name="heads")(tokens(x), tokens(x))

    model = network(middle)
    report = right(model, "onnx", tmp_path)
    assert not {"Shape", "Cast"} & set(report.ops) and report.inputs["image"]["shape"][0] == "batch"


def over_columns():
    return network(lambda x: layers.Bidirectional(layers.LSTM(6, return_sequences=True))(columns(x)))


@pytest.mark.slow
def test_an_lstm_over_columns_in_eight_bits(tmp_path):
    """TensorFlow's quantiser leaves a part in floating point now and then, and the file is refused then."""
    assert "WHILE" not in right(over_columns(), "tflite", tmp_path, "int8").ops


def test_an_lstm_over_columns(tmp_path):
    model = over_columns()
    assert "WHILE" not in right(model, "tflite", tmp_path).ops
    assert not {"Loop", "Shape"} & set(right(model, "onnx", tmp_path).ops)


@pytest.mark.slow
def test_a_loop_that_ends_tensorflows_calibrator_ends_a_child(tmp_path):
    long = network(lambda x: layers.LSTM(3, name="reader")(layers.Reshape((66, 8))(x[:, :6, :11])))
    with pytest.raises(ExportError, match=r"ended the process that it ran in.*\(layers: reader\).*float16"):
        right(long, "tflite", tmp_path, "int8", shape=SHAPE)
    assert list(tmp_path.iterdir()) == []


def test_an_output_may_have_the_name_of_the_input(tmp_path):
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, {"image": layers.Conv2D(3, 1)(image), "a score/1": layers.Flatten()(image)})
    given = images(4, (8, 8, 3))
    for kind, export in EXPORTS.items():
        report = export(model, tmp_path / f"m.{kind}", images=given)
        assert list(report.inputs) == ["image_input"] and set(report.outputs) == {"image", "a score/1"}
        np.testing.assert_allclose(load(report.path)(given)["image"], model(given)["image"], atol=1e-5)


def of_two(dtype="float32"):
    image, words = keras.Input(SHAPE, name="picture"), keras.Input((4,), name="words", dtype=dtype)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(image))
    y = layers.Flatten()(layers.Embedding(10, 4)(words)) if dtype == "int32" else words
    model = keras.Model([image, words], classified(layers.Concatenate()([x, y])))
    randomise(model, seed=3)
    random = np.random.default_rng(2)
    rows = random.integers(0, 10, (24, 4)) if dtype == "int32" else random.normal(0, 1, (24, 4))
    return model, {"picture": images(), "words": rows.astype(dtype)}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("int32", marks=pytest.mark.slow)])
def test_two_inputs(dtype, tmp_path):
    model, given = of_two(dtype)
    expected = model.predict(list(given.values()), verbose=0)
    saved_model(model, tmp_path / "m", images=given)
    tflite(model, tmp_path / "m8.tflite", precision="int8", calibration=given)
    report = onnx(model, tmp_path / "m.onnx", layout="nchw", images=given)
    onnx(model, tmp_path / "m8.onnx", precision="int8", calibration=[given, given], calibration_images=48)
    assert report.inputs["picture"]["shape"] == ["batch", 3, 16, 16] and report.inputs["words"]["shape"][1] == 4
    for name, most in {"m": 1e-5, "m.onnx": 1e-5, "m8.tflite": 0.1, "m8.onnx": 0.15}.items():
        assert np.abs(load(tmp_path / name)(given)["predictions"] - expected).max() <= most
    with pytest.raises(ExportInputError, match=r"takes 2 inputs.*picture \(any number, 16, 16, 3\), words .*ndarray"):
        tflite(model, tmp_path / "n.tflite", precision="int8", calibration=given["picture"])
    with pytest.raises(ExportInputError, match=r"differ in length: \[5, 24\]"):
        tflite(model, tmp_path / "n.tflite", precision="int8", calibration=given | {"words": given["words"][:5]})
    with pytest.raises(ExportInputError, match=r"a dict with an array for each.*picture.*words.*Received: ndarray"):
        load(tmp_path / "m.onnx")(given["picture"])


def test_open_sizes(tmp_path):
    def middle(x):
        x = layers.GroupNormalization(2)(layers.Conv2D(8, 3, strides=2, padding="same")(x))
        return layers.UpSampling2D(2, interpolation="bilinear")(layers.MaxPooling2D(2)(layers.UpSampling2D(2)(x)))

    model = network(middle, lambda x: layers.Conv2D(3, 1, activation="softmax")(x), (None, None, 3))
    for name, export in {"m": saved_model, "m.onnx": onnx}.items():
        report = export(model, tmp_path / name)
        assert "image sizes run" in report.checks
        for size in ((20, 36, 3), (48, 24, 3)):
            given = images(2, size)
            np.testing.assert_allclose(load(tmp_path / name)(given)["predictions"], model(given), atol=1e-4)
    assert onnx(model, tmp_path / "m.onnx", input_shape=(20, 36, 3)).inputs["image"]["shape"][1:3] == [20, 36]
    with pytest.raises(ExportInputError, match=r"input_shape=\(224, 224, 3\)"):
        tflite(model, tmp_path / "m.tflite")


def test_integer_images(tmp_path):
    image = keras.Input(SHAPE, dtype="uint8")
    x = layers.Conv2D(8, 3, activation="relu")(ops.cast(image, "float32") / 127.5 - 1)
    model = keras.Model(image, classified(x))
    randomise(model, seed=3)
    given = np.clip(images() * 90 + 128, 0, 255).astype("uint8")
    expected = model.predict(given, verbose=0)
    assert onnx(model, tmp_path / "m.onnx").inputs["image"]["dtype"] == "uint8"
    report = tflite(model, tmp_path / "m.tflite", precision="int8", calibration=given, io_type="uint8")
    assert (report.inputs["image"]["scale"], report.inputs["image"]["zero_point"]) == (1.0, 0)
    assert np.abs(load(tmp_path / "m.onnx")(given)["predictions"] - expected).max() <= 1e-5
    assert np.abs(load(tmp_path / "m.tflite")(given)["predictions"] - expected).max() <= 0.05


# Variants.
def chain(*parts, shape=(20, 24, 3)):
    def build():
        model = keras.Sequential([keras.Input(shape), *(part() for part in parts), layers.Conv2D(8, 3), layers.ReLU()])
        model = keras.Model(model.inputs, classified(model.outputs[0]))
        randomise(model, seed=3)
        return model

    return build, shape


def between(middle, after=classified):
    return lambda: network(middle, after), SHAPE


def scores(x):
    return layers.Dense(5)(layers.GlobalAveragePooling2D()(x))


def inside(x):
    """A normalisation in a nested model, and one in a wrapper."""
    start = keras.Input(x.shape[1:])
    nested = keras.Model(start, layers.UpSampling2D(2)(layers.GroupNormalization(2)(start)))
    return layers.TimeDistributed(layers.LayerNormalization())(layers.Reshape((8, 64))(small(nested(x))))


class Block(keras.layers.Layer):
    """Somebody's own layer, made of Keras's."""

    def __init__(self, **options):
        super().__init__(**options)
        self.norm, self.heads = layers.LayerNormalization(), layers.MultiHeadAttention(2, 4)
        self.dense = layers.Dense(8, activation="gelu")

    def build(self, shape):
        self.norm.build(shape)
        self.heads.build(shape, shape)
        self.dense.build(shape)

    def call(self, x):
        y = self.norm(x)
        return self.dense(x + self.heads(y, y))


VARIANTS = {
    "group normalisation, one group": between(layers.GroupNormalization(1)),
    "group normalisation, a channel each": between(lambda x: layers.GroupNormalization(-1)(x) * layers.ReLU()(x)),
    "group normalisation without scale": between(layers.GroupNormalization(2, scale=False, center=False)),
    "group normalisation of a row": between(lambda x: layers.GroupNormalization(2)(tokens(x))),
    "layer normalisation over a map": between(lambda x: layers.LayerNormalization(axis=[1, 2, 3])(x)),
    "layer normalisation of a vector": between(lambda x: layers.LayerNormalization(center=False)(scores(x))),
    "unit normalisation of a vector": between(lambda x: layers.UnitNormalization()(scores(x))),
    "nearest neighbours, one direction": between(layers.UpSampling2D((1, 2))),
    "bilinear": between(layers.UpSampling2D(2, interpolation="bilinear")),
    "softmax over columns": between(lambda x: layers.Multiply()([x, layers.Softmax(axis=[1])(x)])),
    "softmax over a map": between(lambda x: layers.Multiply()([x, layers.Softmax(axis=(1, 2))(x)])),
    "attention across": between(lambda x: layers.MultiHeadAttention(2, 4, value_dim=3)(tokens(x), tokens(x)[:, ::2])),
    "attention to what came before": between(
        lambda x: layers.MultiHeadAttention(2, 4)(tokens(x), tokens(x), use_causal_mask=True)
    ),
    "attention with dropout": between(lambda x: layers.MultiHeadAttention(2, 4, dropout=0.2)(tokens(x), tokens(x))),
    "attention without heads": between(lambda x: layers.Attention()([tokens(x), tokens(x)])),
    "in nested models and wrappers": between(inside),
    "in somebody's own layer": between(lambda x: Block()(tokens(x))),
    "argmax of scores": between(lambda x: x, lambda x: ops.argmax(scores(x), axis=-1)),
    "argmax that keeps the axis": between(lambda x: x, lambda x: ops.argmax(layers.Conv2D(5, 1)(x), -1, keepdims=True)),
    "argmin": between(lambda x: x, lambda x: ops.argmin(scores(x), axis=-1)),
    "gelu": between(layers.Conv2D(8, 1, activation="gelu")),
    "elu": between(layers.Conv2D(8, 1, activation="elu")),
    "parametric relu": between(layers.PReLU(shared_axes=[1, 2])),
    "negation": between(lambda x: layers.Maximum()([x, -layers.Conv2D(8, 1)(x)])),
    "gru": between(lambda x: layers.GRU(6)(columns(x))),
    "recurrent": between(lambda x: layers.SimpleRNN(6, return_sequences=True)(columns(x))),
    "lstm backwards": between(lambda x: layers.LSTM(6, go_backwards=True)(columns(x))),
    "two lstms": between(lambda x: layers.LSTM(6)(layers.LSTM(4, return_sequences=True)(columns(x)))),
    "flip": between(lambda x: ops.flip(x, axis=1)[:, :8]),
    "grouped": between(layers.Conv2D(8, 3, groups=2)),
    "causal in time": between(lambda x: layers.Conv1D(8, 3, padding="causal")(columns(x))),
    "transposed": between(layers.Conv2DTranspose(8, 3, strides=2)),
    "resized, then rescaled": chain(lambda: layers.Resizing(16, 16), lambda: layers.Rescaling(2.0, -0.5)),
    "rescaled, then resized": chain(
        lambda: layers.Rescaling(2.0), lambda: layers.Resizing(16, 12, interpolation="nearest")
    ),
    "cropped to the proportions": chain(lambda: layers.Resizing(16, 16, crop_to_aspect_ratio=True)),
    "padded to the proportions": chain(lambda: layers.Resizing(16, 16, pad_to_aspect_ratio=True)),
    "augmented, then normalised": chain(
        *(lambda: layers.RandomFlip(), lambda: layers.RandomRotation(0.1), lambda: layers.RandomZoom(0.1)),
        *(lambda: layers.RandomContrast(0.1), lambda: layers.RandomTranslation(0.1, 0.1)),
        lambda: layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 1.0, 2.0]),
    ),
    "cropped at random": chain(lambda: layers.RandomCrop(16, 16), lambda: layers.Rescaling(0.5)),
    "cut out": chain(lambda: layers.CenterCrop(16, 12), lambda: layers.Resizing(20, 20)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("kind", "precision"), [("tflite", "float32"), ("tflite", "int8"), ("onnx", "float32")])
def test_a_variant(kind, precision, name, tmp_path):
    build, shape = VARIANTS[name]
    # Of so few images the usual ranges leave the most extreme one out, and it is the largest difference that is judged.
    ranges = {"calibration_method": "minmax"} if precision == "int8" else {}
    right(build(), kind, tmp_path, precision, shape, **ranges)


def over_both(x):
    return layers.MultiHeadAttention(2, 4, attention_axes=(1, 2), name="refused")(small(x), small(x))


REFUSED = {
    "convolutions in time": lambda x: layers.ConvLSTM2D(2, 3, name="refused")(layers.Reshape((2, 8, 16, 8))(x)),
    "attention over two axes": over_both,
    "bicubic": layers.Resizing(8, 8, interpolation="bicubic", name="refused"),
    "five dimensions": lambda x: layers.Conv3D(2, 3, name="refused")(layers.Reshape((4, 4, 16, 8))(x)),
}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_tflite_does_not_take_is_refused_by_the_layers_name(name, precision, tmp_path):
    model = network(REFUSED[name], lambda x: layers.Dense(5, "softmax")(layers.Flatten()(x)))
    with pytest.raises(ExportError, match=r"layers: [\w, ]*refused"):
        right(model, "tflite", tmp_path, precision)
    assert list(tmp_path.iterdir()) == []


def test_tracing_leaves_layers_as_they_were(tmp_path):
    model = network(lambda x: layers.UpSampling2D(2)(layers.Conv2D(4, 1, activation="gelu", name="bent")(x)))
    given = images(2)
    before = model(given)
    kattn.export.saved_model(model, tmp_path / "m")
    assert not [layer.name for layer in model.layers if "call" in vars(layer)]
    assert model.get_layer("bent").activation is keras.activations.gelu
    np.testing.assert_array_equal(model(given), before)
