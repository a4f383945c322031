"""Training: a trainer, metrics, callbacks, logs, learning-rate schedules and checkpoints.

:class:`Trainer` compiles a training step and an evaluation with a symbolic batch size and runs them in a loop over
mini-batches and epochs. What it is trained for follows from the output layer::

    trainer = Trainer(network, learning_rate=Cosine(1e-3, epochs=20), patience=5)
    trainer.fit(X, y, epochs=20, validation=0.1, callbacks=[Checkpoint("run.safetensors")])
"""

from typing import TYPE_CHECKING, Any

from ..naming import missing_name
from .callbacks import Callback, Checkpoint, EarlyStopping, ReduceOnPlateau
from .choices import absolute_error
from .diagnosis import NonFiniteLossError
from .logs import CSVLogger, JSONLogger, TensorBoard
from .metrics import Metric, classification_error
from .schedules import Constant, Cosine, Exponential, OneCycle, Piecewise, StepDecay, Warmup, cosine, step_decay
from .scores import Scores
from .trainer import Trainer

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "Constant",
    "Cosine",
    "EarlyStopping",
    "Exponential",
    "JSONLogger",
    "Metric",
    "NonFiniteLossError",
    "OneCycle",
    "Piecewise",
    "ReduceOnPlateau",
    "Scores",
    "StepDecay",
    "TensorBoard",
    "Trainer",
    "Warmup",
    "absolute_error",
    "classification_error",
    "cosine",
    "step_decay",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)
