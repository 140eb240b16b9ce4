import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import ContextEncoding


def ready(x, **options):
    layer = build(ContextEncoding(**options), x)
    randomise(layer)
    return layer


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ContextEncoding(4, classes=3, return_attention=True), image(2, 3, 4, 4))


@pytest.mark.slow
def test_the_paper_s_form_behaves(check_layer):
    check_layer(ContextEncoding(4, aggregate="sum", residual=False), image(2, 3, 4, 4))


def test_takes_maps_of_unknown_size():
    check_free_sizes(ContextEncoding(4, classes=3, return_attention=True), image(2, 3, 4, 4))


def test_gates_channels_alike_at_every_position():
    x = image(2, 4, 3, 6)
    gate = run(ready(x, codes=4, residual=False), x)[0] / x
    np.testing.assert_allclose(gate, np.broadcast_to(gate[:, :1, :1], gate.shape), rtol=1e-4)
    assert gate.min() > 0 and gate.max() < 1


def test_the_code_s_form_adds_the_input_and_clips():
    x = image(2, 4, 3, 6)
    code, paper = ready(x, codes=4), ready(x, codes=4, residual=False)
    paper.set_weights(code.get_weights())
    np.testing.assert_allclose(run(code, x)[0], np.maximum(x + run(paper, x)[0], 0), atol=1e-5)


def test_a_sum_over_codewords_is_the_mean_times_their_number():
    x = image(2, 4, 3, 6)
    mean, total = ready(x, codes=4, classes=5), ready(x, codes=4, classes=5, aggregate="sum")
    total.set_weights(mean.get_weights())
    for layer in (mean, total):
        layer.presence.bias.assign(np.zeros(5))
    np.testing.assert_allclose(run(total, x)[1], 4 * run(mean, x)[1], atol=1e-4)


@pytest.mark.parametrize(("classes", "count"), [(150, 619_254), (None, 542_304)])
def test_parameters_are_the_published_count(classes, count):
    assert parameters(build(ContextEncoding(classes=classes), image(1, 1, 1, 512))) == count


def test_unknown_aggregate_is_named():
    with pytest.raises(ValueError, match="aggregate must be one of"):
        ContextEncoding(aggregate="max")
