"""Files of weights and models: named weights, one-file models, and the weights of other libraries."""

from ..pickles import RecipeWeights, RefusedPickleError, read_pickle, read_recipe
from .describe import UnknownPartError
from .model_file import load, predict, save
from .names import Network, all_layers, name_params
from .read import read_weights
from .report import LoadReport, ModelFileError, WeightsMismatchError
from .weights import assign_weights, load_weights, save_weights

__all__ = [
    "LoadReport",
    "ModelFileError",
    "Network",
    "RecipeWeights",
    "RefusedPickleError",
    "UnknownPartError",
    "WeightsMismatchError",
    "all_layers",
    "assign_weights",
    "load",
    "load_weights",
    "name_params",
    "predict",
    "read_pickle",
    "read_recipe",
    "read_weights",
    "save",
    "save_weights",
]
