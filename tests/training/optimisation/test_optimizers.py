import keras
import numpy as np
import pytest

from kattn.training.optimisation.optimizers import SGD, AdamW, decays


def stepped(optimizer, count=4):
    """A kernel, a bias and a scale after some steps along fixed gradients, and these."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal((3, 4)), rng.standard_normal(4), rng.standard_normal((1, 4))]
    variables = [
        keras.Variable(v.astype("float32"), name=n) for v, n in zip(values, ("kernel", "bias", "gamma"), strict=True)
    ]
    slopes = [[rng.standard_normal(v.shape).astype("float32") for v in values] for _ in range(count)]
    for slope in slopes:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in slope], variables)
    return values, slopes, [np.asarray(v) for v in variables]


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_decays_under_the_momentum_as_the_papers_do(decay_all, nesterov):
    start, slopes, end = stepped(SGD(0.1, momentum=0.9, nesterov=nesterov, l2=0.05, decay_all=decay_all))
    for k, value in enumerate(start):
        pace = np.zeros_like(value)
        for slope in slopes:
            total = slope[k] + (0.05 * value if k == 0 or decay_all else 0)
            pace = 0.9 * pace + total  # torch's form; equal to Keras's at a constant learning rate
            value = value - 0.1 * (total + 0.9 * pace if nesterov else pace)
        np.testing.assert_allclose(end[k], value, atol=1e-5)


def test_in_its_first_steps_the_head_moves_alone():
    def moved(count):
        optimizer = SGD(0.1, momentum=0.9, head=["kernel"], head_steps=3, body_rate=0.5)
        start, _, end = stepped(optimizer, count)
        return [not np.allclose(a, b) for a, b in zip(start, end, strict=True)]

    assert moved(3) == [True, False, False]
    assert moved(4) == [True, True, True]
    assert SGD.from_config(SGD(head_steps=3).get_config()).head_steps == 3


def test_adamw_spares_biases_and_scales():
    start, _, decayed = stepped(AdamW(learning_rate=0.1, weight_decay=0.5))
    _, _, plain = stepped(AdamW(learning_rate=0.1, weight_decay=0.0))
    _, _, everything = stepped(AdamW(learning_rate=0.1, weight_decay=0.5, decay_all=True))
    assert [np.allclose(a, b) for a, b in zip(decayed, plain, strict=True)] == [False, True, True]
    assert not any(np.allclose(a, b) for a, b in zip(everything, plain, strict=True))
    assert len(start) == 3


def test_what_decays():
    kernel, bias = keras.Variable(np.ones((3, 3)), name="kernel"), keras.Variable(np.ones(3), name="bias")
    wide_scale = keras.Variable(np.ones((1, 1, 3)), name="gamma")
    assert [decays(v) for v in (kernel, bias, wide_scale)] == [True, False, False]
