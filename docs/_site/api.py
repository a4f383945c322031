"""The pages of the API reference: one per public module, filled by autodoc from the docstrings."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from types import ModuleType

from symc.tensor.pointwise import Elementwise

from .markdown import code

__all__ = ["modules", "pages"]

PUBLIC = [
    "symc",
    "symc.tensor",
    "symc.tensor.nnet",
    "symc.tensor.signal.pool",
    "symc.tensor.shared_randomstreams",
    "symc.gradient",
    "symc.sparse",
    "symc.printing",
    "symc.compat",
    "symc.config",
    "symc.errors",
]
"""Public modules of symc."""

OPTIONAL = ["lasagne_like.estimators"]
"""Modules that need scikit-learn."""


def modules() -> dict[str, ModuleType]:
    """The public modules: those above, and those that lasagne_like exports."""
    import lasagne_like

    names = [*PUBLIC, "lasagne_like"]
    names += [f"lasagne_like.{n}" for n in lasagne_like.__all__ if inspect.ismodule(getattr(lasagne_like, n))]
    names += ["lasagne_like.models.weights"]
    names += [name for name in OPTIONAL if importlib.util.find_spec("sklearn")]
    return {name: importlib.import_module(name) for name in names}


def public_names(module: ModuleType) -> list[str]:
    """The names in ``__all__`` that are not modules."""
    return [n for n in getattr(module, "__all__", []) if not inspect.ismodule(getattr(module, n))]


def pages() -> dict[str, str]:
    """The text of the page of every public module, and of their index. A class is described on one page."""
    found = modules()
    homes: dict[type, str] = {}
    texts = {name: page(name, module, homes) for name, module in found.items()}
    listed = "\n".join(found)
    texts["index"] = f"""# API reference

Generated from the docstrings of the public modules.

```{{toctree}}
:maxdepth: 1

{listed}
```
"""
    return texts


def page(name: str, module: ModuleType, homes: dict[type, str]) -> str:
    """The page of one module. ``homes`` are the classes that have been described, by the names used there."""
    lines = [f"# {name}", "", "```{eval-rst}", f".. automodule:: {name}", "   :no-members:", ""]
    elementwise, others = [], []
    for public in public_names(module):
        value = getattr(module, public)
        if isinstance(value, Elementwise):
            elementwise.append(public)
        elif inspect.isclass(value):
            home = homes.setdefault(value, f"{name}.{public}")
            if home != f"{name}.{public}":
                others.append(f"{code(public)} is {code(home)}.")
                continue
            kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
            lines += [f".. {kind}:: {name}.{public}", "   :members:"]
            made = [member for member in dir(value) if member.startswith("set_") and member.endswith("_request")]
            if made:  # methods that scikit-learn adds
                lines.append(f"   :exclude-members: {', '.join(made)}")
            lines.append("")
        elif inspect.isroutine(value):
            lines += [f".. autofunction:: {name}.{public}", ""]
        elif f"{name}.{public}" not in PUBLIC and not isinstance(value, dict):
            lines += [f".. autodata:: {name}.{public}", "   :no-value:", ""]
    lines.append("```")
    if others:
        lines += ["", *others]
    if elementwise:
        listed = ", ".join(code(n) for n in elementwise)
        lines += ["", f"Elementwise functions, described in the [table of ops](../ops.md): {listed}."]
    return "\n".join(lines) + "\n"
