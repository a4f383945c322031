"""Loops: ``scan``, its gradient, checkpoints, and folds."""
