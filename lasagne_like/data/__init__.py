"""Data: pictures from folders, standard data sets, tables; mini-batches with augmentation in background threads."""

from typing import TYPE_CHECKING, Any

from ..naming import missing_name
from .augment import Augmentation, Colour, Crop, Cutout, Flip, Geometric, Rotate, Shift, Zoom
from .cifar import load_cifar10, load_cifar100
from .copies import augmented_copies
from .crops import average_crops, ten_crop
from .draws import Draws
from .folders import PictureSet, Splits, image_folder, image_splits, read_pictures
from .lazy import LazyPictures
from .loader import Loader, LoaderError
from .mixing import CutMix, Mix, Mixup
from .mnist import Digits, download_mnist, find_sample, load_mnist, offer_download, read_idx
from .preprocess import Preprocess
from .split import train_test_split
from .statistics import ChannelStatistics, Standardiser, Whitening, channel_statistics, standardise, whiten
from .tables import Table, read_csv

__all__ = [
    "Augmentation",
    "ChannelStatistics",
    "Colour",
    "Crop",
    "CutMix",
    "Cutout",
    "Digits",
    "Draws",
    "Flip",
    "Geometric",
    "LazyPictures",
    "Loader",
    "LoaderError",
    "Mix",
    "Mixup",
    "PictureSet",
    "Preprocess",
    "Rotate",
    "Shift",
    "Splits",
    "Standardiser",
    "Table",
    "Whitening",
    "Zoom",
    "augmented_copies",
    "average_crops",
    "channel_statistics",
    "download_mnist",
    "find_sample",
    "image_folder",
    "image_splits",
    "load_cifar10",
    "load_cifar100",
    "load_mnist",
    "offer_download",
    "read_csv",
    "read_idx",
    "read_pictures",
    "standardise",
    "ten_crop",
    "train_test_split",
    "whiten",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)
