"""Other libraries' expressions and graphs: sympy in both directions, networkx."""

from symc.interop.from_sympy import from_sympy
from symc.interop.lambdify import lambdify
from symc.interop.network import to_networkx
from symc.interop.to_sympy import to_sympy

__all__ = ["from_sympy", "lambdify", "to_networkx", "to_sympy"]
