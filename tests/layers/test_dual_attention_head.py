import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import DualAttentionHead


def test_behaves_as_a_layer_should(check_layer):
    check_layer(DualAttentionHead(3, channels=2, return_attention=True), image(2, 3, 4, 4))


def test_takes_maps_of_unknown_size():
    check_free_sizes(DualAttentionHead(3), image(2, 5, 4, 8))


def test_first_output_classifies_the_sum_of_the_branches():
    x = image(2, 5, 4, 8)
    head = build(DualAttentionHead(channels=4), x)
    randomise(head)
    total, position, channel = run(head, x)
    assert abs(total - position - channel).max() < 1e-5


def test_without_auxiliary_outputs_it_gives_the_first_one():
    x = image(2, 5, 4, 8)
    full, short = build(DualAttentionHead(), x), build(DualAttentionHead(auxiliary=False), x)
    short.set_weights(full.get_weights())
    outputs = run(short, x)
    assert len(outputs) == 1 and abs(outputs[0] - run(full, x)[0]).max() == 0


def test_dropout_takes_whole_channels_in_training_only():
    x = image(2, 5, 4, 8)
    head = build(DualAttentionHead(3, dropout=0.9, seed=1, auxiliary=False), x)
    assert abs(run(head, x)[0] - run(head, x)[0]).max() == 0
    dropped = run(head.drop, x, training=True)[0]
    kept = (dropped != 0).any(axis=(1, 2))
    assert ((dropped == 0).all(axis=(1, 2)) | (dropped != 0).all(axis=(1, 2))).all() and not kept.all()


@pytest.mark.slow
def test_parameters_are_the_published_count():
    assert parameters(build(DualAttentionHead(19), image(1, 1, 1, 2048))) == 23_954_619


@pytest.mark.parametrize(("classes", "wide", "inner"), [(5, 32, 8), (3, 16, 4)])
def test_parameters_follow_the_formula(classes, wide, inner):
    position = 2 * (inner + 1) + inner * (inner + 1) + 1
    count = (
        2 * (9 * wide * inner + 2 * inner) + position + 1 + 2 * (9 * inner**2 + 2 * inner) + 3 * classes * (inner + 1)
    )
    assert parameters(build(DualAttentionHead(classes, inner, reduction=inner), image(1, 2, 2, wide))) == count
