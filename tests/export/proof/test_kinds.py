"""Every kind of output is judged by what it is: right files pass, files that are broken on purpose do not."""

from __future__ import annotations

import functools
import re

import keras
import numpy as np
import pytest
from support.output_kinds import halve, painted, trained_model

from kattn.export import ExportError, Report, load, onnx, pipeline, tflite
from kattn.export.formats import FORMATS, Precision
from kattn.export.proof.certify import certify
from kattn.export.proof.kinds import KINDS, checks, judge, unproven
from kattn.facts.description import KINDS as KINDS_OF_OUTPUTS

RNG = np.random.default_rng(0)
INT8 = FORMATS["tflite"].precisions["int8"]
FLOAT32 = FORMATS["tflite"].precisions["float32"]


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Kind -> what a model gives before its activation, and the activation.
SCORES = {
    "classes": (RNG.normal(0, 3, (64, 5)), softmax),
    "binary": (RNG.normal(0, 3, (64, 1)), sigmoid),
    "attributes": (RNG.normal(-1, 3, (64, 4)), sigmoid),
    "values": (RNG.normal(0, 1, (64, 2)) * [1, 1000] + [5, 0], np.array),
    "map": (RNG.normal(0, 3, (8, 6, 6, 3)), softmax),
    "embedding": (RNG.normal(0, 1, (64, 16)) + 1, np.array),
}


def judged(kind, expected, got, limits=INT8, **options):
    names = {"y": kind}
    return judge({"y": expected}, {"y": got}, names, limits, precision="int8", **options)[0]["y"]


def test_every_kind_that_there_is_has_a_row():
    assert set(KINDS) == set(KINDS_OF_OUTPUTS)


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic", "int16", "int8"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_bound_at_every_precision(kind, precision):
    limits = FORMATS["tflite"].precisions[precision]
    assert any(getattr(limits, measure.limit) is not None for measure in KINDS[kind])


@pytest.mark.parametrize("kind", SCORES)
def test_rounding_to_8_bits_passes_and_half_of_the_scores_does_not(kind):
    scores, activation = SCORES[kind]
    noise = RNG.normal(0, 0.05, scores.shape) * scores.std(0)
    found = judged(kind, activation(scores), np.round(activation(scores + noise) * 256) / 256)
    assert found["kind"] == kind and INT8.max_error and found["limit"] is not None
    with pytest.raises(ExportError, match=r"allowed at int8|asked for at int8"):
        judged(kind, activation(scores), activation(scores / 2))


def test_logits_are_judged_as_their_probabilities_would_be():
    scores, _ = SCORES["classes"]
    assert judged("classes", scores, scores + RNG.normal(0, 0.1, scores.shape))["value"] >= 0.95
    assert judged("attributes", SCORES["attributes"][0], SCORES["attributes"][0] * 0.9)["value"] == 1
    with pytest.raises(ExportError, match=r"the log-odds is 0\.5 "):
        judged("binary", SCORES["binary"][0], SCORES["binary"][0] / 2)


def test_each_value_has_a_scale_of_its_own():
    """Years beside prices: in one tensor of 8 bits the years are lost."""
    expected, _ = SCORES["values"]
    step = np.abs(expected).max() / 128
    with pytest.raises(ExportError, match="the error of the values is"):
        judged("values", expected, np.round(expected / step) * step)
    assert judged("values", expected[:, 1:], np.round(expected[:, 1:] / step) * step)["value"] < 0.02
    still = expected * np.array([1, 0]) + np.array(
        [0, 7]
    )  # one of the two hardly differs: its error counts by its size
    assert judged("values", still, still + np.array([0, 0.1]))["value"] == pytest.approx(0.1 / 7)
    with pytest.raises(ExportError):
        judged("values", still, still / [1, 2])


def test_small_values_are_not_excused_by_an_absolute_tolerance():
    small = 1e-5 * SCORES["values"][0]
    assert judged("values", small, small * (1 + 1e-6), FLOAT32)["measure"] == "difference"
    with pytest.raises(ExportError, match="the error of the values"):
        judged("values", small[:, :1], small[:, :1] / 2, FLOAT32)


def test_the_attribute_that_agrees_least_counts():
    expected = sigmoid(SCORES["attributes"][0])
    got = expected.copy()
    got[:, 2] = 1 - got[:, 2]
    with pytest.raises(ExportError, match=r"answer on an attribute for 0\.0%"):
        judged("attributes", expected, got)


def test_pixels_agree_by_class_or_by_yes_and_no():
    yes = np.repeat(sigmoid(RNG.normal(0, 3, (8, 6, 6, 1))), 1, axis=-1)
    assert judged("map", yes, yes)["value"] == 1
    assert judged("map", yes[..., 0], yes[..., 0])["value"] == 1  # squeezed
    with pytest.raises(ExportError, match=r"for 0\.0% of the pixels"):
        judged("map", yes, 1 - yes)


def test_integers_are_the_same_in_floating_point_and_agree_in_8_bits():
    expected = np.arange(40)
    got = np.where(expected < 3, 0, expected)
    assert judged("integers", expected, got)["value"] == pytest.approx(38 / 40)
    with pytest.raises(ExportError, match=r"95\.0% of its whole numbers are the model's; 100\.0% is asked"):
        judged("integers", expected, got, FLOAT32)


def test_vectors_are_judged_by_their_direction_and_their_length():
    vectors, _ = SCORES["embedding"]
    assert judged("embedding", vectors, vectors)["measure"] == "cosine"
    with pytest.raises(ExportError, match="cosine between its vectors and the model's is -1"):
        judged("embedding", vectors, -vectors)
    with pytest.raises(ExportError, match="the error of the vectors is"):
        judged("embedding", vectors, vectors / 2)


def test_an_agreement_below_the_least_is_an_error_and_0_switches_the_limits_of_8_bits_off():
    expected = softmax(SCORES["classes"][0])
    with pytest.raises(ExportError, match=r"class for \d+\.\d% of the images on which the model is sure; 80\.0%"):
        judged("classes", expected, expected[:, ::-1])
    off = INT8.with_limits(min_agreement=0)
    found = judged("classes", expected, expected[:, ::-1], off)
    assert found["limit"] is None and found["measures"]["agreement where the model is sure"]["value"] < 0.8
    assert "switched off" in unproven({"y": expected}, {"y": found}, off, strict=True)["y"]
    assert checks({"y": found}) == {}
    assert judged("classes", expected, expected, INT8.with_limits(min_agreement=0, max_error=0.2))["limit"] == 0.2


def test_a_tolerance_that_was_given_stands_alone():
    expected = SCORES["values"][0]
    found = judged("values", expected, expected + 0.3, FLOAT32.with_limits(tolerance=0.5))
    assert {name: row["limit"] for name, row in found["measures"].items()}["difference"] == 0.5
    assert FLOAT32.with_limits(tolerance=np.inf).switched_off and not FLOAT32.with_limits().switched_off


def test_what_nothing_judges_is_an_error_unless_asked_for():
    expected = {"y": SCORES["values"][0]}
    found = {"y": judged("values", expected["y"], expected["y"], Precision())}
    with pytest.raises(ExportError, match=r"Nothing judges output 'y' \(values\)"):
        unproven(expected, found, Precision(), strict=True)
    assert "was not judged" in unproven(expected, found, Precision(), strict=False)["y"]


@pytest.mark.parametrize("kind", ["classes", "binary", "attributes", "values", "embedding", "map"])
def test_outputs_that_hardly_differ_prove_nothing_but_are_not_excused(kind):
    """An untrained network: the same for every image, but for its classes."""
    scores, activation = SCORES[kind]
    same = np.ones_like(scores) * scores[:1] / np.abs(scores[:1]).max()
    expected = activation(same + RNG.normal(0, 1e-5, scores.shape))
    found = judged(kind, expected, np.round(expected * 256) / 256)
    assert "hardly differs" in unproven({"y": expected}, {"y": found}, INT8, strict=True)["y"]
    with pytest.raises(ExportError, match="the error of"):
        judged(kind, expected, activation(same / 2))


def test_probabilities_of_a_few_levels_of_8_bits_prove_little_in_8_bits_only():
    expected = softmax(SCORES["classes"][0] * 0.005)
    found = judged("classes", expected, expected)
    assert "hardly differs" in unproven({"y": expected}, {"y": found}, INT8, strict=True)["y"]
    assert not unproven({"y": expected}, {"y": judged("classes", expected, expected, FLOAT32)}, FLOAT32, strict=True)


def test_a_network_that_multiplies_rounding_errors_is_given_room_and_named():
    expected, _ = SCORES["values"]
    own = {"y": expected + 0.1 * np.abs(expected).max() * 1e-3}
    found = functools.partial(judge, {"y": expected}, kinds={"y": "values"}, precision="float32")
    got, limits = {"y": expected + 5e-4 * np.abs(expected).max()}, Precision(tolerance=1e-4)
    outputs, notes = found(got, limits=limits, rounded=lambda: own)
    assert outputs["y"]["limit"] == pytest.approx(1e-3) and "multiplies rounding errors" in notes[0]
    # Further off than rounding explains, a network without such a gain, and more than is ever allowed: no room.
    for factor, room in ((5e-3, own), (5e-4, {"y": expected}), (0.05, {"y": expected * 1.1})):
        with pytest.raises(ExportError, match="differs from the Keras model"):
            found({"y": expected + factor * np.abs(expected).max()}, limits=limits, rounded=lambda room=room: room)


# Files.


@pytest.fixture(scope="module")
def model():
    return trained_model()


@pytest.mark.parametrize(
    ("export", "precision"),
    [
        (tflite, "int8"),
        pytest.param(tflite, "float32", marks=pytest.mark.slow),
        pytest.param(onnx, "int8", marks=pytest.mark.slow),
        pytest.param(onnx, "float16", marks=pytest.mark.slow),
    ],
)
def test_a_file_with_a_layer_of_half_its_weights_is_refused_for_every_kind(
    export, precision, model, tmp_path, monkeypatch
):
    path, options = tmp_path / f"m.{export.__name__}", {"images": painted(64).astype("float32"), "outputs": "all"}
    if precision == "int8":
        options["calibration"] = painted(128, seed=3).astype("float32")
    written = []

    def keep(source, runner, *arguments, **given):
        written.append((source, runner.path.read_bytes(), FORMATS[runner.format].runner))
        return certify(source, runner, *arguments, **given)

    monkeypatch.setattr(pipeline, "certify", keep)
    report = export(model, path, precision=precision, **options)
    ((source, content, runner),) = written
    limits = FORMATS[export.__name__].precisions[precision]
    expected = source.predict(options["images"])
    for layer in (0, 1):
        path.write_bytes(content)
        halve(path, layer)
        got = runner(path, 1)(options["images"])
        for kind in expected:
            judged(kind, expected[kind], expected[kind], limits)
            with pytest.raises(ExportError, match=r"asked for at|allowed at"):
                judged(kind, expected[kind], got[kind], limits)
    assert report.proven and set(report.outputs) == set(SCORES)
    for kind, output in report.outputs.items():
        assert output["kind"] == kind and output["shape"] and output["limit"] is not None
        assert output["measures"][output["measure"]] == {"value": output["value"], "limit": output["limit"]}
    assert Report.read(f"{path}.json") == report


@pytest.mark.parametrize(
    ("export", "precision"),
    [
        (onnx, "int8"),
        pytest.param(onnx, "float16", marks=pytest.mark.slow),
        pytest.param(tflite, "int8", marks=pytest.mark.slow),
        pytest.param(tflite, "float16", marks=pytest.mark.slow),
        pytest.param(tflite, "dynamic", marks=pytest.mark.slow),
    ],
)
def test_the_layers_that_add_most_error_are_named(export, precision, model, tmp_path):
    images = painted(64).astype("float32")
    options = {"calibration": images} if precision == "int8" else {}
    with pytest.raises(ExportError, match="Error is added by: ") as refused:
        export(
            model,
            tmp_path / f"m.{export.__name__}",
            precision=precision,
            images=images,
            max_error=1e-9,
            tolerance=1e9,
            **options,
        )
    named = re.findall(r"[A-Z_a-z0-9]+ in ([\w/]+) \(", str(refused.value))
    assert len(named) >= 5 and set(named) <= {layer.name for layer in model.layers}
    assert ("float_layers=" in str(refused.value)) == (precision == "int8")


def test_an_export_of_a_broken_file_leaves_nothing(model, tmp_path, monkeypatch):
    def certify_broken(source, runner, *arguments, **options):
        halve(runner.path, 0)
        return certify(source, FORMATS[runner.format].open(runner.path), *arguments, **options)

    monkeypatch.setattr(pipeline, "certify", certify_broken)
    with pytest.raises(ExportError, match="differs from the Keras model"):
        tflite(model, tmp_path / "m.tflite", outputs="values")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("export", [tflite, onnx])
def test_class_numbers_of_a_file_with_a_layer_of_half_its_weights(export, model, tmp_path):
    """Argmax does not see the scale of scores; the first layer halved moves some classes."""
    numbers = keras.Model(model.input, keras.ops.argmax(model.output["classes"], axis=-1))
    images, path = painted(64).astype("float32"), tmp_path / f"m.{export.__name__}"
    report = export(numbers, path, precision="int8", calibration=painted(128, seed=3).astype("float32"), images=images)
    assert report.proven and report.outputs["predictions"]["measure"] == "equal numbers"
    halve(path, 0)
    got = load(path)(images)["predictions"]
    with pytest.raises(ExportError, match="of its whole numbers are the model's"):
        judged("integers", numbers.predict(images, verbose=0), got)
