"""SAGAN's generator and discriminator: sizes, where the attention stands, a step of training."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from support.models import randomise

from kattn.zoo.networks.sagan import sagan_discriminator, sagan_generator

SMALL = {"image_size": 16, "filters": 8}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_generator_has_the_reference_s_layers():
    model = sagan_generator(return_attention=True)
    widths = [128, 512, 256, 128, 64, 3]
    convolutions = sum(16 * i * o + o for i, o in itertools.pairwise(widths))
    norms = 2 * (512 + 256 + 128 + 64)
    attention = sum(int(1.25 * c * c + 1.25 * c + 1) for c in (128, 64))
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == convolutions + norms + attention
    shapes = {name: tuple(y.shape) for name, y in model.output.items()}
    assert shapes == {"image": (None, 64, 64, 3), "attention_16": (None, 256, 256), "attention_32": (None, 1024, 1024)}


def test_discriminator_has_the_reference_s_layers():
    model = sagan_discriminator(return_attention=True)
    widths = [3, 64, 128, 256, 512, 1]
    convolutions = sum(16 * i * o + o for i, o in itertools.pairwise(widths))
    attention = sum(int(1.25 * c * c + 1.25 * c + 1) for c in (256, 512))
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == convolutions + attention
    shapes = {name: tuple(y.shape) for name, y in model.output.items()}
    assert shapes == {"score": (None, 1), "attention_8": (None, 64, 64), "attention_4": (None, 16, 16)}


@pytest.mark.parametrize("options", [{}, {"attention_form": "release", "attention_spectral_norm": True}])
def test_images_lie_between_minus_one_and_one(options):
    generator = sagan_generator(**SMALL, latent_size=5, channels=1, **options)
    images = ops.convert_to_numpy(generator(noise(3, 5)))
    assert images.shape == (3, 16, 16, 1) and np.abs(images).max() <= 1
    scores = sagan_discriminator(**SMALL, channels=1, **options)(images)
    assert scores.shape == (3, 1)


def test_a_spectrally_normalised_stage_stretches_nothing():
    """At inference too: the layer times its largest singular value is the plain convolution."""
    model = sagan_discriminator(**SMALL)
    layer = model.get_layer("stage2_conv")
    kernel = ops.convert_to_numpy(layer.layer.kernel)
    largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
    x = noise(1, 8, 8, 8)
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(x)) * largest, ops.convert_to_numpy(layer.layer(x)), rtol=0.1, atol=0.1
    )


def test_both_take_a_step_against_each_other():
    generator, discriminator = sagan_generator(**SMALL, latent_size=5), sagan_discriminator(**SMALL)
    latent, real = noise(4, 5), np.tanh(noise(4, 16, 16, 3, seed=1))
    discriminator.compile(optimizer=keras.optimizers.Adam(4e-4, beta_1=0.0), loss="hinge", run_eagerly=True)
    before = [ops.convert_to_numpy(w) for w in discriminator.weights]
    images = np.concatenate([real, ops.convert_to_numpy(generator(latent))])
    loss = discriminator.train_on_batch(images, np.float32([1, 1, 1, 1, -1, -1, -1, -1])[:, None])
    assert np.isfinite(loss)
    assert any(np.any(ops.convert_to_numpy(w) != b) for w, b in zip(discriminator.weights, before, strict=True))

    discriminator.trainable = False
    both = keras.Model(generator.input, discriminator(generator.output))
    adam = keras.optimizers.Adam(1e-3, beta_1=0.0)
    both.compile(optimizer=adam, loss=lambda y, score: -ops.mean(score), run_eagerly=True)
    losses = [both.train_on_batch(latent, np.zeros((4, 1), "float32")) for _ in range(8)]
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]


def test_survives_saving(tmp_path):
    model, x = sagan_generator(**SMALL, latent_size=5), noise(2, 5)
    randomise(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(model(x)), atol=1e-6)


@pytest.mark.parametrize("build", [sagan_generator, sagan_discriminator])
def test_other_sizes_are_refused(build):
    with pytest.raises(ValueError, match="image_size must be a power of two from 16"):
        build(image_size=48)
