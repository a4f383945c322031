"""Transfer learning: a new head on a trained base, frozen layers, features computed once.

Typical use, for a trained base ``base`` (a layer, or a dict of named layers)::

    net = replace_head(base, num_classes=2)
    freeze("*", net)
    unfreeze("top*", net)
    print(training_report(net))
    Trainer(net).fit(X, y, 10)                       # train the head alone
    unfreeze(last_block(net), net)
    Trainer(net, learning_rate=1e-5).fit(X, y, 5)    # then fine-tune the last block

References
----------
.. [1] Yosinski, Clune, Bengio, Lipson (2014): How transferable are features in deep neural networks? NIPS.
"""

from .border import frozen_border
from .copying import copy_weights
from .features import MixedExamplesError, precompute_features
from .freezing import freeze, frozen_layers, unfreeze
from .heads import last_block, replace_head
from .report import TrainingReport, TrainingRow, training_report
from .selection import select_layers

__all__ = [
    "MixedExamplesError",
    "TrainingReport",
    "TrainingRow",
    "copy_weights",
    "freeze",
    "frozen_border",
    "frozen_layers",
    "last_block",
    "precompute_features",
    "replace_head",
    "select_layers",
    "training_report",
    "unfreeze",
]
