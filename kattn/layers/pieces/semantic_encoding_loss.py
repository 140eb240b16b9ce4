"""EncNet's SE-loss: which classes occur in the image at all."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def class_presence(labels: Any, classes: int) -> Any:
    """Which of the classes occur in each label map.

    (batch, height, width) or (batch, height, width, 1) integers to (batch, classes) zeros and ones. Labels outside
    0 .. classes - 1 (an "ignore" label such as -1 or 255) count for no class.
    """
    labels = ops.cast(ops.reshape(labels, (ops.shape(labels)[0], -1)), "int32")
    labels = ops.where((labels >= 0) & (labels < classes), labels, classes)
    batch = ops.shape(labels)[0]
    cells = ops.reshape(labels + ops.expand_dims(ops.arange(batch, dtype="int32") * (classes + 1), 1), (-1,))
    counts = ops.segment_sum(ops.ones_like(cells), cells, num_segments=batch * (classes + 1))
    counts = ops.reshape(counts, (-1, classes + 1))[:, :classes]
    return ops.cast(counts > 0, keras.config.floatx())


@keras.saving.register_keras_serializable("kattn")
class SemanticEncodingLoss(keras.losses.Loss):
    """Binary cross-entropy between the class logits of a ContextEncoding and the classes the label map holds.

    loss = mean over classes of bce(sigmoid(logits), class occurs)

    The authors weigh it by 0.2 beside the pixels' loss: compile with loss_weights.

    Args:
        name, reduction, dtype: As in every Keras loss.

    Shapes: y_true (batch, height, width) or (batch, height, width, 1) integer labels, y_pred (batch, classes) logits.
        Labels outside the classes are ignored.
    Paper: Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal. Context Encoding for Semantic Segmentation. CVPR 2018.
        arXiv:1803.08904
    Code: zhanghang1989/PyTorch-Encoding
    """

    def __init__(self, name: str = "semantic_encoding_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss a sample."""
        occurs = ops.cast(class_presence(y_true, y_pred.shape[-1]), y_pred.dtype)
        return ops.mean(ops.binary_crossentropy(occurs, y_pred, from_logits=True), axis=-1)
