"""A neural-network library on top of symc: layers, losses and optimisers with Lasagne's names and semantics.

A network is a chain or graph of layers; its outputs, losses and updates are ordinary symc expressions::

    import symc
    import symc.tensor as T
    from lasagne_like import layers, nonlinearities, objectives, updates

    x, y = T.matrix("x"), T.ivector("y")
    network = layers.InputLayer((None, 784), input_var=x)
    network = layers.DenseLayer(network, num_units=256)
    network = layers.DenseLayer(network, num_units=10, nonlinearity=nonlinearities.softmax)

    loss = objectives.categorical_crossentropy(layers.get_output(network), y).mean()
    params = layers.get_all_params(network, trainable=True)
    train = symc.function([x, y], loss, updates=updates.nesterov_momentum(loss, params, learning_rate=0.1))
"""

from typing import TYPE_CHECKING, Any

from symc import __version__

from . import (
    attribution,
    data,
    files,
    init,
    layers,
    models,
    nonlinearities,
    objectives,
    optimize,
    plot,
    precision,
    random,
    regularization,
    training,
    transfer,
    updates,
    utils,
    watch,
)
from .files import load, load_weights, predict, save, save_weights
from .naming import missing_name
from .network import Model
from .training import Trainer

__all__ = [
    "Model",
    "Trainer",
    "__version__",
    "attribution",
    "data",
    "files",
    "init",
    "layers",
    "load",
    "load_weights",
    "models",
    "nonlinearities",
    "objectives",
    "optimize",
    "plot",
    "precision",
    "predict",
    "random",
    "regularization",
    "save",
    "save_weights",
    "training",
    "transfer",
    "updates",
    "utils",
    "watch",
]

_ESTIMATORS = ("estimators", "NeuralNetClassifier", "NeuralNetRegressor")

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _ESTIMATORS:  # they require scikit-learn, hence are imported when they are asked for
            import importlib

            estimators = importlib.import_module(f"{__name__}.estimators")
            return estimators if name == "estimators" else getattr(estimators, name)
        raise missing_name(__name__, name, [*__all__, *_ESTIMATORS])
