"""Compare symc's results on the GPU with float64 results from the CPU: one line of JSON per problem.

    gpu_accuracy.py [--tiny] [TITLE...]

The reference is the same expression in float64 with the C back end, or with the interpreter if there is no C compiler.
An error is the largest difference divided by the largest element of the reference.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import gpu_problems as gp
import numpy as np
import problems
from contestants import symc_expression, symc_training
from gpu_contestants import symc_outputs, symc_vgg
from problems import Data

STEPS = 3
BOUNDS = {"float64": 1e-10, "float32": 2e-4, "tf32": 3e-2}
"""What a precision may differ by; sums of many terms and three steps of training are among the problems."""


def cases(tiny: bool, small: bool) -> list[tuple[str, str, Callable[[], Data], tuple[str, ...]]]:
    """Title, kind, data and precisions; ``small`` leaves out what the interpreter takes minutes for."""
    exact, products = ("float32",), ("float32", "tf32")
    both = ("float64", "float32")
    found: list[tuple[str, str, Callable[[], Data], tuple[str, ...]]] = [
        ("chain", "chain", partial(gp.chained, tiny, 1_000_000), both),
        ("softmax", "softmax", partial(gp.soft, tiny, 512, 1000), both),
        *((kind, kind, partial(gp.table, tiny), exact) for kind in ("sum_all", "sum_rows", "sum_columns")),
        *((kind, kind, partial(gp.table, tiny), exact) for kind in ("var_all", "var_rows", "var_columns")),
        ("transpose", "transpose", partial(gp.table, tiny), exact),
        ("embedding", "embedding", partial(gp.tokens, tiny), both),
        ("batch norm", "batchnorm", partial(_some, partial(gp.normalised, tiny), 4), both),
        ("MLP, 3 steps", "mlp", partial(problems.mlp, tiny, 8 if tiny else 128), products),
        ("LeNet, 3 steps", "lenet", partial(problems.lenet, tiny, 8 if tiny else 128), ("float64", *products)),
    ]
    for shape in ((3, 64, 224), (256, 256, 56), (512, 512, 14)) if not small else ((3, 64, 56),):
        for kind in ("forward", "data", "filters"):
            data = partial(_some, partial(gp.filtered, tiny, *shape), 2)
            found.append(("conv {}x{}@{} ".format(*shape) + kind, f"conv_{kind}", data, products))
    if not small:
        found.append(("VGG-19 forward", "vgg", partial(gp.vgg, tiny, 2), products))
        found.append(("VGG-19, 3 steps", "vgg_train", partial(gp.vgg, tiny, 1), products))
    return found


def _some(data: Callable[[], Data], number: int) -> Data:
    """The first images of a batch."""
    return {name: a[:number] if a.ndim == 4 and name != "w" else a for name, a in data().items()}


def results(kind: str, data: Data, device: str, dtype: str, precision: str) -> list[np.ndarray]:
    """Everything that a problem computes; for training, the losses and the parameters afterwards."""
    import symc
    import symc.tensor as T

    data = {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in data.items()}
    with symc.config.change(floatX=dtype, cuda_precision=precision):
        if kind in ("mlp", "lenet", "vgg", "vgg_train"):
            if kind in ("mlp", "lenet"):
                inputs, loss, updates = symc_training(kind, data)
                outputs = [loss]
            else:
                inputs, outputs, updates = symc_vgg(data, kind == "vgg_train")
            run = symc.function(inputs, outputs, updates=updates, device=device)
            given = [data["x"], data["y"]][: len(inputs)]
            found = [run(*given)[0] for _ in range(STEPS if updates else 1)]
            parameters = [s.get_value().ravel() for s, _ in updates[1::2]]
            return [np.asarray(found), *([np.concatenate(parameters)] if parameters else [])]
        v = {name: T.tensor(a.dtype.name, shape=(None,) * a.ndim, name=name) for name, a in data.items()}
        outputs = [symc_expression(kind, v)] if kind in gp.SHARED else symc_outputs(kind, v)
        run = symc.function(list(v.values()), outputs, device=device, on_unused_input="ignore")
        return [np.asarray(r) for r in run(*data.values())]


def error(got: list[np.ndarray], want: list[np.ndarray]) -> float:
    """The worst of all results; infinite if one is no number."""
    worst = 0.0
    for g, w in zip(got, want, strict=True):
        scale = float(np.abs(w).max()) or 1.0
        worst = max(worst, float(np.nan_to_num(np.abs(g - w).max() / scale, nan=np.inf)))
    return worst


def reference() -> str:
    """The device that computes in float64: the C back end, where it works."""
    try:
        from symc.runtime.backend import load_backend

        return load_backend("c")[0]
    except ImportError:
        return "interp"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("titles", nargs="*", help="what to compare; a prefix will do (default: everything)")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    against = reference()
    print(json.dumps({"reference": against}), file=answers)
    for title, kind, data, precisions in cases(options.tiny, against != "c"):
        if not title.startswith(tuple(options.titles or [""])):
            continue
        print(f"accuracy: {title}", file=sys.stderr, flush=True)
        try:
            given = data()
            want = results(kind, given, against, "float64", "float32")
        except Exception as reason:
            print(json.dumps({"title": title, "failed": f"reference: {reason}"[:300]}), file=answers)
            continue
        for precision in precisions:
            dtype = "float64" if precision == "float64" else "float32"
            row: dict[str, Any] = {"title": title, "precision": precision, "bound": BOUNDS[precision]}
            try:
                got = results(kind, given, "cuda", dtype, "tf32" if precision == "tf32" else "float32")
                row["error"] = error(got, want)
            except Exception as reason:
                row["failed"] = f"{type(reason).__name__}: {' '.join(str(reason).split())[:300]}"
            print(json.dumps(row), file=answers)


if __name__ == "__main__":
    main()
