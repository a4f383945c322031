"""Plots: learning curves, filters, feature maps, confusion matrices, attribution maps, statistics of layers.

Each function creates a figure, saves it if ``path`` is given (the suffix determines the format), and returns it.
matplotlib is imported only when a function is called. pyplot is not used, so that the functions work without a display
and do not change global state. In a notebook, a figure that is the last value of a cell is shown.
"""

from .confusion import confusion_matrix, plot_confusion, worst_mistakes
from .curves import plot_errors, plot_history, plot_runs
from .explanations import plot_attribution, plot_explanations
from .pictures import plot_activations, plot_filters, plot_pictures
from .statistics import plot_statistics

__all__ = [
    "confusion_matrix",
    "plot_activations",
    "plot_attribution",
    "plot_confusion",
    "plot_errors",
    "plot_explanations",
    "plot_filters",
    "plot_history",
    "plot_pictures",
    "plot_runs",
    "plot_statistics",
    "worst_mistakes",
]
