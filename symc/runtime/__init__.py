"""Compiled functions: arguments, code specialised for shapes, calls, storage of shared variables, profiles."""
