"""Well-known network architectures, as dictionaries of named layers, and their weights."""

from typing import TYPE_CHECKING, Any

from ..naming import missing_name
from ..network import Model
from ..prediction import Prediction
from . import weights
from .catalogue import IMAGENET_BGR, IMAGENET_RGB
from .efficientnet import efficientnet_lite0, efficientnet_lite1, efficientnet_lite2
from .lenet import lenet5
from .resnet import resnet18, resnet34, resnet50
from .vgg import small_vgg, vgg11, vgg13, vgg16, vgg19

__all__ = [
    "IMAGENET_BGR",
    "IMAGENET_RGB",
    "Model",
    "Prediction",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "lenet5",
    "resnet18",
    "resnet34",
    "resnet50",
    "small_vgg",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "weights",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)
