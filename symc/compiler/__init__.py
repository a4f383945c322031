"""The compiler: passes from a graph to a program of kernels (see ``symc.compiler.passes``)."""
