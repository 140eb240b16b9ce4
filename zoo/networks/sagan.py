"""SAGAN's generator and discriminator."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.spectral_norm import SpectralNorm
from kattn.layers.sagan import SAGANAttention


def sagan_generator(
    *,
    image_size: int = 64,
    latent_size: int = 128,
    filters: int = 64,
    channels: int = 3,
    attention_form: str = "pytorch",
    attention_spectral_norm: bool = False,
    return_attention: bool = False,
    name: str = "sagan_generator",
) -> keras.Model:
    """Generator: a latent vector to an image in -1..1, through spectrally normalised transposed convolutions.

    It starts with 4x4 and filters * image_size / 8 channels. Each step doubles the size and halves the channels, with
    batch normalisation and ReLU, up to half the image's size. The last two maps (16x16 and 32x32 of a 64x64 image)
    pass self-attention. One more doubling, with tanh, gives the image.

    Args:
        image_size: Side of the image, a power of two from 16 (the reference: 64).
        latent_size: Length of the latent vector.
        filters: Channels of the last features.
        channels: Of the image.
        attention_form: Of SAGANAttention: "pytorch" (the reference), "release" or "paper".
        attention_spectral_norm: Also normalise the attention's convolutions, as the authors' release does and the
            PyTorch reference does not.
        return_attention: Give {"image", "attention_<size>", ...} instead of the image.
        name: Of the model.

    Shapes: (batch, latent_size) to (batch, image_size, image_size, channels).
    Paper: Zhang, Goodfellow, Metaxas, Odena. Self-Attention Generative Adversarial Networks. ICML 2019.
        arXiv:1805.08318
    Code: heykeetae/Self-Attention-GAN.
    """
    steps = _steps(image_size)
    latent = keras.Input((latent_size,), name="latent")
    x = keras.layers.Reshape((1, 1, latent_size), name="reshape")(latent)
    width = filters * 2 ** (steps - 1)
    attention: dict[str, Any] = {}
    for step in range(steps):
        up: dict[str, Any] = {"strides": 2, "padding": "same"} if step else {"padding": "valid"}
        conv = keras.layers.Conv2DTranspose(width >> step, 4, data_format="channels_last", name="conv", **up)
        x = SpectralNorm(conv, name=f"stage{step + 1}_conv")(x)
        x = batch_norm(name=f"stage{step + 1}_norm")(x)
        x = keras.layers.ReLU(name=f"stage{step + 1}_relu")(x)
        if step >= steps - 2:
            x = _attend(x, 4 << step, attention, attention_form, attention_spectral_norm, return_attention)
    x = keras.layers.Conv2DTranspose(
        channels, 4, strides=2, padding="same", data_format="channels_last", dtype="float32", name="last"
    )(x)
    image = keras.layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model(latent, {"image": image, **attention} if return_attention else image, name=name)


def sagan_discriminator(
    *,
    image_size: int = 64,
    filters: int = 64,
    channels: int = 3,
    attention_form: str = "pytorch",
    attention_spectral_norm: bool = False,
    return_attention: bool = False,
    name: str = "sagan_discriminator",
) -> keras.Model:
    """Discriminator: an image in -1..1 to one score, through spectrally normalised convolutions.

    Each step halves the size and doubles the channels, with leaky ReLU (0.1), down to 4x4. The last two maps (8x8 and
    4x4) pass self-attention. A plain 4x4 convolution gives the score, without a sigmoid: for the hinge or the
    Wasserstein loss.

    Args:
        image_size: Side of the image, a power of two from 16 (the reference: 64).
        filters: Channels of the first features.
        channels, attention_form, attention_spectral_norm, return_attention, name: As in `sagan_generator`; with
            return_attention the outputs are {"score", "attention_<size>", ...}.

    Shapes: (batch, image_size, image_size, channels) to (batch, 1).
    Paper: Zhang, Goodfellow, Metaxas, Odena. Self-Attention Generative Adversarial Networks. ICML 2019.
        arXiv:1805.08318
    Code: heykeetae/Self-Attention-GAN.
    """
    steps = _steps(image_size)
    x = image = keras.Input((image_size, image_size, channels), name="image")
    attention: dict[str, Any] = {}
    for step in range(steps):
        # On even sizes Keras pads one pixel on each side, as the reference does.
        conv = keras.layers.Conv2D(
            filters << step, 4, strides=2, padding="same", data_format="channels_last", name="conv"
        )
        x = SpectralNorm(conv, name=f"stage{step + 1}_conv")(x)
        x = keras.layers.LeakyReLU(0.1, name=f"stage{step + 1}_relu")(x)
        if step >= steps - 2:
            size = image_size >> (step + 1)
            x = _attend(x, size, attention, attention_form, attention_spectral_norm, return_attention)
    x = keras.layers.Conv2D(1, 4, padding="valid", data_format="channels_last", dtype="float32", name="last")(x)
    score = keras.layers.Flatten(dtype="float32", name="score")(x)
    return keras.Model(image, {"score": score, **attention} if return_attention else score, name=name)


def _steps(image_size: int) -> int:
    """Halvings of the image down to 4x4."""
    if image_size < 16 or image_size & (image_size - 1):
        raise ValueError(f"image_size must be a power of two from 16. Received: image_size={image_size}")
    return image_size.bit_length() - 3


def _attend(x: Any, size: int, maps: dict[str, Any], form: str, spectral_norm: bool, return_attention: bool) -> Any:
    """Self-attention. With return_attention its weights go into `maps`."""
    name = f"attention_{size}"
    layer = SAGANAttention(form=form, spectral_norm=spectral_norm, return_attention=return_attention, name=name)
    if not return_attention:
        return layer(x)
    x, maps[name] = layer(x)
    return x
