"""Special functions: the gamma family, error functions, Bessel functions."""
