"""The ops that rules speak of, by their records: what a rule is about is an object and never a name."""

from __future__ import annotations

from symc.gradient.pass_through import DISCONNECTED_GRAD
from symc.tensor import bfloat16, stable
from symc.tensor import elementwise as ew
from symc.tensor.axes import DIMSHUFFLE
from symc.tensor.broadcasting import ANY, BROADCAST, EXPAND, SUM
from symc.tensor.checked import CHECKED_INDEX
from symc.tensor.conversion import CAST
from symc.tensor.creation import ARANGE_OF
from symc.tensor.indices.gathers import GATHER, SCATTER
from symc.tensor.indices.positions import IOTA_AT
from symc.tensor.indices.slices import PART, SLICE_AT, WRITE_AT
from symc.tensor.joining import JOIN
from symc.tensor.linalg import BATCHED_DOT, DOT
from symc.tensor.linear_algebra.determinants import DET
from symc.tensor.linear_algebra.linear_systems import INVERSE
from symc.tensor.nnet import losses
from symc.tensor.nnet.activations import LOGSOFTMAX, LOGSUMEXP, SOFTMAX
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, BACKWARD_WEIGHTS, CONV2D
from symc.tensor.nnet.losses import CATEGORICAL_CROSSENTROPY_1HOT, CROSSENTROPY_SOFTMAX_1HOT
from symc.tensor.reduce import ALL, MAX, MIN, PROD
from symc.tensor.reshaping import RESHAPE_TO
from symc.tensor.scans.program import STEPS_DONE
from symc.tensor.signal.pool import POOL_GRAD
from symc.tensor.special import erfc_forms
from symc.tensor.symbolic_dims import DIM_VALUE

__all__ = [
    "ABS",
    "ADD",
    "ALL",
    "ANY",
    "ARANGE_OF",
    "BACKWARD_DATA",
    "BACKWARD_WEIGHTS",
    "BATCHED_DOT",
    "BINARY_CROSSENTROPY",
    "BINARY_CROSSENTROPY_SLOPE",
    "BFLOAT16_BITS",
    "BFLOAT16_ROUND",
    "BFLOAT16_VALUE",
    "BROADCAST",
    "CAST",
    "CATEGORICAL_CROSSENTROPY_1HOT",
    "CHECKED_INDEX",
    "CONV2D",
    "COS",
    "COSH",
    "CROSSENTROPY_SOFTMAX_1HOT",
    "DET",
    "DIMSHUFFLE",
    "DIM_VALUE",
    "DISCONNECTED_GRAD",
    "DOT",
    "EQ",
    "ERF",
    "ERFC",
    "EXP",
    "EXP2",
    "EXPAND",
    "EXPM1",
    "FLOOR_DIV",
    "GATHER",
    "GE",
    "GT",
    "INVERSE",
    "IOTA_AT",
    "ISINF",
    "JOIN",
    "LE",
    "LOG",
    "LOG10",
    "LOG1MEXP",
    "LOG1P",
    "LOG2",
    "LOGADDEXP",
    "LOGCOSH",
    "LOGSOFTMAX",
    "LOGSUMEXP",
    "LOG_ERFC",
    "LOG_GOMPIT",
    "LOG_HALF_ERFC",
    "LT",
    "MAX",
    "MAXIMUM",
    "MIN",
    "MINIMUM",
    "MUL",
    "NEG",
    "NEQ",
    "PART",
    "POOL_GRAD",
    "POW",
    "PROD",
    "RECIPROCAL",
    "RELU",
    "RESHAPE_TO",
    "SCATTER",
    "SIGMOID",
    "SIGMOID_BINARY_CROSSENTROPY_SLOPE",
    "SIGMOID_SLOPE",
    "SIN",
    "SINH",
    "SLICE_AT",
    "SOFTMAX",
    "SOFTPLUS",
    "SQR",
    "SQRT",
    "STEPS_DONE",
    "SUB",
    "SUM",
    "SWITCH",
    "TANH",
    "TANH_SLOPE",
    "TRUE_DIV",
    "WRITE_AT",
]

ABS = ew.abs_.record
ADD = ew.add.record
BFLOAT16_BITS = bfloat16.BITS
BFLOAT16_ROUND = bfloat16.ROUND
BFLOAT16_VALUE = bfloat16.VALUE
COS = ew.cos.record
COSH = ew.cosh.record
EQ = ew.eq.record
ERF = ew.erf.record
ERFC = ew.erfc.record
EXP = ew.exp.record
EXP2 = ew.exp2.record
EXPM1 = ew.expm1.record
FLOOR_DIV = ew.floor_div.record
ISINF = ew.isinf.record
LOG = ew.log.record
LOG10 = ew.log10.record
LOG1MEXP = stable.log1mexp.record
LOG1P = ew.log1p.record
LOG2 = ew.log2.record
LOGADDEXP = stable.logaddexp.record
LOGCOSH = ew.logcosh.record
LOG_ERFC = erfc_forms.log_erfc.record
LOG_GOMPIT = stable.log_gompit.record
LOG_HALF_ERFC = erfc_forms.log_half_erfc.record
MAXIMUM = ew.maximum.record
MINIMUM = ew.minimum.record
MUL = ew.mul.record
NEG = ew.neg.record
POW = ew.float_power.record
RECIPROCAL = ew.inv.record
RELU = ew.relu.record
SIGMOID = ew.sigmoid.record
SIGMOID_SLOPE = ew.sigmoid_slope.record
SIN = ew.sin.record
SINH = ew.sinh.record
SOFTPLUS = ew.softplus.record
SQR = ew.sqr.record
SQRT = ew.sqrt.record
SUB = ew.sub.record
GE = ew.ge.record
GT = ew.gt.record
LE = ew.le.record
LT = ew.lt.record
NEQ = ew.neq.record
SWITCH = ew.switch.record
TANH = ew.tanh.record
TANH_SLOPE = ew.tanh_slope.record
TRUE_DIV = ew.true_div.record
BINARY_CROSSENTROPY = losses.binary_of.record
BINARY_CROSSENTROPY_SLOPE = losses.binary_slope.record
SIGMOID_BINARY_CROSSENTROPY_SLOPE = losses.sigmoid_binary_slope.record
