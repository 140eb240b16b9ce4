import numpy as np
import pytest

from kattn.layers import BottleneckAttention


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_behaves_as_a_layer_should(check_layer):
    check_layer(
        BottleneckAttention(reduction=4, dilation=2), image(2, 6, 5, 8), half_tolerances={"mixed_bfloat16": 0.2}
    )


def test_gate_lies_between_one_and_two():
    x = image(2, 6, 5, 8)
    ratio = np.asarray(BottleneckAttention(reduction=2)(x)) / x
    assert ratio.min() > 1 and ratio.max() < 2


@pytest.mark.parametrize(("options", "count"), [({}, 17361), ({"final_norm": True}, 17361 + 2 * 256 + 2)])
def test_parameters_are_the_published_count(options, count):
    layer = BottleneckAttention(**options)
    layer.build((None, 7, 7, 256))
    assert sum(np.prod(w.shape) for w in layer.trainable_weights) == count


def test_the_papers_form_adds_where_the_code_multiplies():
    x = image(2, 4, 4, 8)
    mul, add = (BottleneckAttention(reduction=2, combine=c, return_attention=True) for c in ("mul", "add"))
    mul.build(x.shape)
    add.build(x.shape)
    add.set_weights(mul.get_weights())
    assert not np.allclose(np.asarray(mul(x)[1]), np.asarray(add(x)[1]))


@pytest.mark.parametrize(
    ("options", "message"), [({"combine": "max"}, "combine must be"), ({"dilated_convs": -1}, "must not be negative")]
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        BottleneckAttention(**options)
