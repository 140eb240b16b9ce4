"""A layer that does what it must passes; each fault is found by its check, with the reason."""

import keras
import numpy as np
import pytest
from keras import ops

import kattn
from kattn.layer_checks.checks import Skipped, Subject
from kattn.layer_checks.elsewhere import check_on, others
from kattn.layer_checks.running import build

QUICK = ("shapes", "seed", "config", "saving", "gradients", "site", "half precision", "attention")
X = np.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype("float32")


def register(kind):
    return keras.saving.register_keras_serializable("check_tests")(kind)


class Gate(keras.Layer):
    """x times a learned number a channel."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer=self.start())

    def start(self):
        return "glorot_uniform"

    def call(self, x):
        return self.factor * x * ops.cast(self.scale, x.dtype)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@register
class Good(Gate):
    """With its gate on request."""

    def __init__(self, factor=1.0, return_attention=False, **kwargs):
        super().__init__(factor, **kwargs)
        self.return_attention = return_attention

    def call(self, x):
        gate = ops.sigmoid(x)
        return (super().call(x), gate) if self.return_attention else super().call(x)

    def get_config(self):
        return {**super().get_config(), "return_attention": self.return_attention}


@register
class Forgetful(Gate):
    def get_config(self):
        return keras.Layer.get_config(self)


@register
class Promises(Gate):
    def compute_output_shape(self, shape):
        return (*shape[:-1], 1)


@register
class Random(Gate):
    draws = np.random.default_rng(0)

    def start(self):
        return keras.initializers.Constant(self.draws.standard_normal())


@register
class Infinite(Gate):
    def call(self, x):
        return super().call(x) / ops.std(x)


@register
class Wider(Gate):
    def call(self, x):
        return ops.concatenate([super().call(x), x], axis=-1)


@register
class Rounded(Gate):
    def call(self, x):
        return super().call(ops.cast(ops.cast(x, "bfloat16") if self.compute_dtype != "float32" else x, x.dtype))


@register
class Exotic(Gate):
    def call(self, x):
        return super().call(ops.erfinv(ops.tanh(x) * 0.9))


@register
class Broken(Gate):
    def call(self, x):
        raise KeyError("lost")


class Unregistered(Gate):
    pass


def test_a_layer_that_does_what_it_must_passes():
    report = kattn.layers.check(Good(factor=2.0), X, only=QUICK).require()
    assert report and report.passed and [one.name for one in report.findings] == list(QUICK)
    lines = str(report).splitlines()
    assert lines[0] == "Good: 8 passed"
    assert lines[1].split(maxsplit=2) == ["shapes", "passed", "(2, 4, 4, 3) to (2, 4, 4, 3)"]
    assert "check_tests>Good" in str(report) and "(2, 4, 4, 3)" in lines[-1]


@pytest.mark.parametrize(
    ("kind", "check", "said"),
    [
        (Forgetful, "config", "get_config must hold every argument"),
        (Promises, "shapes", r"it promises \[\(2, 4, 4, 1\)\], the outputs have \[\(2, 4, 4, 3\)\]"),
        (Random, "seed", "a seed does not fix the weights"),
        (Infinite, "gradients", "not finite on constant inputs"),
        (Wider, "site", "does not give one map of the shape"),
        (Rounded, "half precision", "mixed_float16 is off by"),
        (Unregistered, "saving", "it is not registered"),
        (Broken, "shapes", "KeyError: .*lost"),
    ],
)
def test_each_fault_is_found_with_its_reason(kind, check, said):
    layer = kind(factor=2.0)
    tolerances = {"mixed_float16": 1e-4} if kind is Rounded else None
    report = kattn.layers.check(layer, X, only=(check,), half_tolerances=tolerances)
    assert not report
    with pytest.raises(AssertionError, match=f"(?s){kind.__name__}: 1 failed.*{said}"):
        report.require()


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="files are written on TensorFlow")
def test_what_no_phone_has_is_named():
    found = {one.name: one for one in kattn.layers.check(Exotic, X, only=("TFLite", "ONNX")).findings}
    assert found["TFLite"].state == found["ONNX"].state == "failed"
    assert "Erfinv" in found["TFLite"].said and "ONNX has no operator for Erfinv" in found["ONNX"].said


def test_a_layer_in_use_is_left_as_it_is():
    layer = Good()
    layer(X)
    before = layer.get_weights()
    assert kattn.layers.check(layer, X, only=("config",))
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (3, {}, "layer is a layer class"),
        (lambda: 3, {}, "layer is a layer class"),
        (Good, {"only": ("gradient",)}, "Unknown check 'gradient'. Closest: gradients"),
        (Good, {"inputs": X[:1]}, "a batch of at least two"),
    ],
)
def test_what_cannot_be_checked_is_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        kattn.layers.check(given, **options)


def test_a_class_of_the_main_program_is_not_looked_for_elsewhere():
    class Here(Gate):
        __module__ = "__main__"

    with pytest.raises(Skipped, match="not in a file that another process could import"):
        check_on(Subject(Here(), (X,)), "jax")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_another_backend_gives_the_same_numbers(backend):
    if backend not in others():
        pytest.skip(f"{backend} is the backend, or is not installed")
    assert "off by" in check_on(Subject(build(kattn.layers.SqueezeExcite(reduction=2), X), (X,)), backend)
