"""Ops of users: classes, functions, formulas, C code; printing in a running function."""
