"""Names of Lasagne that programs of its time use: version, layers and functions named after a library for GPUs.

``symc.compat`` serves them under Lasagne's module names. New programs use the names of :mod:`lasagne_like.layers`.
"""

from .conv import conv1d_mc0, conv1d_mc1, conv1d_md, conv1d_sc, conv1d_sd, conv1d_unstrided
from .cuda_convnet import (
    Conv2DCCLayer,
    MaxPool2DCCLayer,
    NINLayer_c01b,
    ShuffleBC01ToC01BLayer,
    ShuffleC01BToBC01Layer,
    bc01_to_c01b,
    c01b_to_bc01,
)
from .devices import (
    BatchNormDNNLayer,
    Conv2DDNNLayer,
    Conv2DMMLayer,
    Conv3DDNNLayer,
    MaxPool2DDNNLayer,
    MaxPool3DDNNLayer,
    Pool2DDNNLayer,
    Pool3DDNNLayer,
    SpatialPyramidPoolingDNNLayer,
    batch_norm_dnn,
)
from .limits import DilatedConv2DLayer, LocallyConnected2DLayer
from .padding import pad

__version__ = "0.2.dev1"

__all__ = [
    "BatchNormDNNLayer",
    "Conv2DCCLayer",
    "Conv2DDNNLayer",
    "Conv2DMMLayer",
    "Conv3DDNNLayer",
    "DilatedConv2DLayer",
    "LocallyConnected2DLayer",
    "MaxPool2DCCLayer",
    "MaxPool2DDNNLayer",
    "MaxPool3DDNNLayer",
    "NINLayer_c01b",
    "Pool2DDNNLayer",
    "Pool3DDNNLayer",
    "ShuffleBC01ToC01BLayer",
    "ShuffleC01BToBC01Layer",
    "SpatialPyramidPoolingDNNLayer",
    "__version__",
    "batch_norm_dnn",
    "bc01_to_c01b",
    "c01b_to_bc01",
    "conv1d_mc0",
    "conv1d_mc1",
    "conv1d_md",
    "conv1d_sc",
    "conv1d_sd",
    "conv1d_unstrided",
    "pad",
]
