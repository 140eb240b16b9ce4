"""What accelerators take, read from public tables: data, with a source and a date for each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Delegate:
    """An accelerator's operators.

    Attributes:
        formats: Of the artefacts it takes: "tflite" or "onnx".
        operators: By the names of the format's schema.
        integer: "only" takes 8-bit graphs alone, "no" floating point alone, "yes" both.
        source: The public page or file that the list was read from.
        read: When, or of which version.
        note: What the operators' names do not say.
    """

    format: str
    operators: frozenset[str]
    integer: str
    source: str
    read: str
    note: str = ""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TENSORFLOW = "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite"
DELEGATES: dict[str, Delegate] = {
    "GPU (OpenCL, OpenGL, Metal)": Delegate(
        "tflite",
        _names(
            "ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D COS DEPTHWISE_CONV_2D DEQUANTIZE "
            "DIV ELU EXP FULLY_CONNECTED HARD_SWISH LEAKY_RELU LOG LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN "
            "MINIMUM MIRROR_PAD MUL NEG PACK PAD POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU "
            "RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SIN SLICE SOFTMAX SPACE_TO_DEPTH "
            "SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV"
        ),
        "yes",
        f"{TENSORFLOW}/delegates/gpu/common/model_builder.cc",
        "2026-02, NewOperationParser",
        "works in half precision; 8-bit graphs are computed in floating point",
    ),
    "NNAPI": Delegate(
        "tflite",
        _names(
            "ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_TO_SPACE_ND CAST CONCATENATION CONV_2D DEPTH_TO_SPACE "
            "DEPTHWISE_CONV_2D DEQUANTIZE DIV ELU EQUAL EXP EXPAND_DIMS FLOOR FULLY_CONNECTED GATHER GREATER "
            "GREATER_EQUAL HARD_SWISH L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL "
            "LOCAL_RESPONSE_NORMALIZATION LOG LOG_SOFTMAX LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LSTM "
            "MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL NEG NOT_EQUAL PACK PAD PADV2 POW PRELU QUANTIZE REDUCE_ANY "
            "REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR "
            "RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT "
            "SQRT SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TILE TOPK_V2 TRANSPOSE TRANSPOSE_CONV"
        ),
        "yes",
        f"{TENSORFLOW}/delegates/nnapi/nnapi_delegate.cc",
        "2026-02, Validate at Android API level 30",
        "deprecated since Android 15; what a device's driver takes varies",
    ),
    "Core ML": Delegate(
        "tflite",
        _names(
            "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE FULLY_CONNECTED "
            "HARD_SWISH LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD MUL PAD PADV2 RELU RELU6 RELU_N1_TO_1 RESHAPE "
            "RESIZE_BILINEAR SOFTMAX TANH TRANSPOSE_CONV"
        ),
        "no",
        f"{TENSORFLOW}/delegates/coreml/README.md",
        "2026-02",
        "float32 and float16 only; some shapes of broadcasting only",
    ),
    "Hexagon": Delegate(
        "tflite",
        _names(
            "ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTH_TO_SPACE DEPTHWISE_CONV_2D "
            "FULLY_CONNECTED HARD_SWISH L2_NORMALIZATION LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD "
            "MUL NEG PACK PAD QUANTIZE RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE "
            "SOFTMAX SPACE_TO_DEPTH SPLIT SQUARED_DIFFERENCE STRIDED_SLICE SUB TANH TRANSPOSE TRANSPOSE_CONV"
        ),
        "only",
        f"{TENSORFLOW}/delegates/hexagon/README.md and utils.cc beside it",
        "2026-02",
        "strides up to 3, at most 4 dimensions",
    ),
    "Edge TPU": Delegate(
        "tflite",
        _names(
            "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED "
            "L2_NORMALIZATION LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PACK PAD PRELU QUANTIZE "
            "REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR "
            "RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH "
            "TRANSPOSE TRANSPOSE_CONV"
        ),
        "only",
        "https://coral.ai/docs/edgetpu/models-intro/#supported-operations",
        "2026-02",
        "the compiler moves everything after the first operator it does not take to the processor",
    ),
    "ONNX Runtime CUDA": Delegate(
        "onnx",
        _names(
            "Abs Add AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv ConvTranspose Cos "
            "CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand Flatten Floor "
            "Gather GatherND Gemm GlobalAveragePool GlobalMaxPool Greater HardSigmoid HardSwish Identity "
            "InstanceNormalization LRN LayerNormalization LeakyRelu Less Log MatMul Max MaxPool Min Mul Neg "
            "OneHot PRelu Pad Pow QuantizeLinear Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin "
            "ReduceProd ReduceSum Relu Reshape Resize Round Selu Shape Sigmoid Sin Slice Softmax Softplus "
            "Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Unsqueeze Where"
        ),
        "yes",
        "https://github.com/microsoft/onnxruntime/blob/main/docs/OperatorKernels.md",
        "2026-02, CUDAExecutionProvider",
        "8-bit graphs are computed in floating point",
    ),
    "ONNX Runtime TensorRT": Delegate(
        "onnx",
        _names(
            "Abs Add ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant "
            "ConstantOfShape Conv ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Dropout Einsum "
            "Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool "
            "GlobalMaxPool Greater HardSigmoid HardSwish Identity InstanceNormalization LRN "
            "LayerNormalization LeakyRelu Less Log MatMul Max MaxPool Mean Min Mul Neg OneHot PRelu Pad Pow "
            "QuantizeLinear Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
            "Relu Reshape Resize Round Selu Shape Sigmoid Sin Slice Softmax Softplus Softsign SpaceToDepth "
            "Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Unsqueeze Where"
        ),
        "yes",
        "https://github.com/onnx/onnx-tensorrt/blob/main/docs/operators.md",
        "2026-02",
        "of 8-bit graphs only those with signed activations and a zero point of 0",
    ),
}
