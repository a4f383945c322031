"""Well-known network architectures, as dictionaries of named layers."""

from typing import TYPE_CHECKING, Any

from ..naming import missing_name
from .model import Model
from .prediction import Prediction
from .vgg import IMAGENET_MEAN_BGR, preprocess, small_vgg, vgg16, vgg19

__all__ = ["Model", "Prediction", "vgg16", "vgg19", "small_vgg", "preprocess", "IMAGENET_MEAN_BGR"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)
