"""Compiled functions: arguments, code for the shapes at hand, calls, storage of shared variables, profiles."""
