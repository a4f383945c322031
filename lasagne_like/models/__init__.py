"""Well-known network architectures, as dictionaries of named layers."""

from ..network import Model
from ..prediction import Prediction
from .vgg import IMAGENET_MEAN_BGR, preprocess, small_vgg, vgg16, vgg19

__all__ = ["Model", "Prediction", "vgg16", "vgg19", "small_vgg", "preprocess", "IMAGENET_MEAN_BGR"]
