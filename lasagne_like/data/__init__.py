"""Data for networks: pictures and their preprocessing."""

from .preprocess import Preprocess

__all__ = ["Preprocess"]
