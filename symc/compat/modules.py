"""The modules of Theano and Lasagne that are served, and where their names are found.

``MODULES`` maps an old module to the modules that are searched for its names, in order. A name that only differs in
where it stands has an entry in ``symc.compat.names.RENAMED`` instead. Everything is text: nothing is imported before a
program asks for it, and a name that is added to ``symc`` is served from then on.
"""

from __future__ import annotations

__all__ = ["FUNCTIONS_LIKE_MODULES", "IMPORTED", "MODULES", "OWN", "TAKEN_WITH_STAR", "is_legacy"]

OWN = ("theano", "lasagne")
"""The top-level packages that are served."""

_RULES = "symc.compat.rules"
_TENSOR = (
    "symc.compat.joining", "symc.compat.tensor_functions", "symc.compat.basic", "symc.compat.tensor",
    "symc.compat.op_classes", "symc.tensor",
)  # fmt: skip
_INDEXING = ("symc.compat.subtensor", *_TENSOR)
_NNET = ("symc.compat.nnet", "symc.compat.nnet_ops", "symc.compat.gradient_ops", "symc.tensor.nnet")
_GRAPH = ("symc.compat.graph", "symc.compat.gof_utils", "symc.compat.linkers", "symc.graph", _RULES)
_GRADIENT = ("symc.compat.graph", "symc.compat.op_classes", "symc.gradient")
_SCAN = ("symc.compat.function", "symc.compat.loops", "symc.scan_module", "symc")
_POOL = ("symc.compat.signal", "symc.compat.gradient_ops", "symc.tensor.signal.pool")
_RANDOM = ("symc.compat.random_streams", "symc.compat.mrg", "symc.compat.tensor", "symc.tensor.shared_randomstreams")
_FUNCTION = ("symc.compat.function", "symc", _RULES)
_COMPILE = ("symc.compat.function", "symc.compat.modes", "symc.compat.op_classes", "symc.compat.tensor", "symc", _RULES)
_SPARSE = ("symc.compat.sparse", "symc.sparse")
_CUDA = ("symc.compat.devices", "symc.compat.device_ops")
_LAYERS = "lasagne_like.layers"
_USED_BY_LAYERS = ("lasagne_like.utils", "lasagne_like.random")
"""What Lasagne's modules of layers import by name, which programs then import from them."""

MODULES: dict[str, tuple[str, ...]] = {
    # the language
    "theano": (
        "symc.compat.function", "symc.compat.graph", "symc.compat.linkers", "symc", "symc.gradient",
        "symc.compat.modes",
    ),
    "theano.gof.link": ("symc.compat.linkers",),
    "theano.gof.cc": ("symc.compat.linkers",),
    "theano.gof.vm": ("symc.compat.linkers",),
    "theano.tensor": ("symc.compat.subtensor", *_TENSOR),
    "theano.tensor.basic": _INDEXING,
    "theano.tensor.var": _TENSOR,
    "theano.tensor.type": ("symc.compat.types", *_TENSOR),
    "theano.tensor.sharedvar": _TENSOR,
    "theano.tensor.elemwise": ("symc.compat.logic_ops", *_TENSOR),
    "theano.tensor.subtensor": _INDEXING,
    "theano.tensor.blas": ("symc.compat.product_ops", *_TENSOR),
    "theano.tensor.sort": _TENSOR,
    "theano.tensor.utils": ("symc.compat.loops", "symc.compat.gof_utils", *_TENSOR),
    "theano.tensor.extra_ops": ("symc.compat.op_classes", "symc.compat.tensor", "symc.tensor.extra_ops", "symc.tensor"),
    "theano.tensor.inplace": ("symc.compat.inplace",),
    "theano.tensor.opt": ("symc.compat.optimisations", "symc.compat.graph", _RULES),
    "theano.tensor.io": (),
    "theano.tensor.type_other": ("symc.compat.tensor", "symc.compat.typed_list"),
    "theano.tensor.raw_random": ("symc.compat.raw_random",),
    "theano.tensor.shared_randomstreams": (*_RANDOM, "symc.compat.raw_random"),
    "theano.tensor.nlinalg": (
        "symc.compat.linear_algebra", "symc.compat.tensor", "symc.compat.gradient_ops", "symc.tensor.nlinalg",
    ),
    "theano.tensor.slinalg": ("symc.compat.tensor", "symc.compat.gradient_ops", "symc.tensor.slinalg"),
    "theano.tensor.fft": ("symc.tensor.fft",),
    "theano.tensor.fourier": ("symc.compat.nnet_ops",),
    "theano.tensor.xlogx": ("symc.compat.op_classes", "symc.tensor.xlogx"),
    "theano.tensor.nnet": _NNET,
    "theano.tensor.nnet.nnet": _NNET,
    "theano.tensor.nnet.sigm": _NNET,
    "theano.tensor.nnet.conv": ("symc.compat.convolution",),
    "theano.tensor.nnet.corr": ("symc.compat.correlation",),
    "theano.tensor.nnet.abstract_conv": ("symc.compat.convolution", *_NNET),
    "theano.tensor.nnet.bn": ("symc.tensor.nnet.bn", "symc.tensor.nnet"),
    "theano.tensor.nnet.ctc": ("lasagne_like.legacy.ctc",),
    "theano.tensor.nnet.neighbours": ("symc.compat.op_classes", "symc.tensor.nnet.neighbours"),
    "theano.tensor.nnet.conv3d2d": ("symc.compat.convolution", "symc.compat.nnet_ops"),
    "theano.tensor.nnet.corr3d": ("symc.compat.correlation",),
    "theano.tensor.nnet.Conv3D": ("symc.compat.convolution",),
    "theano.tensor.nnet.ConvGrad3D": ("symc.compat.convolution",),
    "theano.tensor.nnet.ConvTransp3D": ("symc.compat.convolution",),
    "theano.tensor.nnet.blocksparse": _NNET,
    "theano.tensor.signal": ("symc.tensor.signal",),
    "theano.tensor.signal.pool": _POOL,
    "theano.tensor.signal.downsample": _POOL,
    "theano.tensor.signal.conv": ("symc.compat.signal",),
    # functions, graphs, gradients
    "theano.compile": _COMPILE,
    "theano.compile.function": _FUNCTION,
    "theano.compile.function_module": _FUNCTION,
    "theano.compile.pfunc": ("symc.compat.function", "symc.compat.loops", "symc"),
    "theano.compile.io": _FUNCTION,
    "theano.compile.mode": ("symc.compat.modes", "symc", _RULES),
    "theano.compile.debugmode": ("symc.compat.modes", "symc"),
    "theano.compile.monitormode": ("symc.compat.modes", "symc.runtime.watching", "symc"),
    "theano.compile.nanguardmode": ("symc.compat.modes", "symc"),
    "theano.compile.profilemode": ("symc.compat.modes",),
    "theano.compile.profiling": ("symc.compat.modes",),
    "theano.compile.ops": _COMPILE,
    "theano.compile.builders": _FUNCTION,
    "theano.compile.sharedvalue": _FUNCTION,
    "theano.updates": _FUNCTION,
    "theano.gof": _GRAPH,
    "theano.gof.graph": _GRAPH,
    "theano.gof.op": (*_GRAPH, "symc.graph.test_values"),
    "theano.gof.type": _GRAPH,
    "theano.gof.utils": ("symc.compat.gof_utils", *_GRAPH),
    "theano.gof.null_type": _GRADIENT,
    "theano.gof.opt": ("symc.compat.optimisations", "symc.compat.graph", _RULES),
    "theano.gof.fg": _GRAPH,
    "theano.gof.compilelock": ("symc.compat.python2",),
    "theano.gof.toolbox": ("symc.compat.graph",),
    "theano.gof.destroyhandler": (),
    "theano.gradient": _GRADIENT,
    "theano.tests": (),
    "theano.tests.unittest_tools": ("symc.compat.unittest_tools", "symc.compat.python2"),
    "theano.scan_module": _SCAN,
    "theano.scan_module.scan": _SCAN,
    "theano.scan_module.scan_views": _SCAN,
    "theano.scan_module.scan_utils": (
        "symc.scan_module.scan_utils", "symc.compat.loops", "symc.compat.graph", "symc.compat.function",
        "symc.scan_module", "symc",
    ),
    "theano.scan_module.scan_op": ("symc.compat.loops",),
    "theano.raise_op": ("symc.compat.raise_op",),
    "theano.ifelse": ("symc.compat.loops", "symc.ifelse"),
    "theano.printing": ("symc.compat.printing", "symc.printing"),
    "theano.d3viz": ("symc.d3viz", "symc.printing"),
    "theano.d3viz.d3viz": ("symc.d3viz",),
    "theano.configdefaults": ("symc.compat.flags",),
    "theano.configparser": ("symc.compat.flags", "symc.compat.new_settings"),
    "theano.misc": (),
    "theano.misc.pkl_utils": ("symc.compat.pickles", "symc.compat.python2"),
    "theano.misc.pycuda_init": ("symc.compat.python2",),
    "theano.misc.windows": ("symc.compat.python2",),
    "theano.misc.strutil": (),
    "theano.misc.frozendict": ("symc.compat.misc",),
    "theano.misc.cpucount": ("symc.compat.misc",),
    "theano.misc.may_share_memory": ("symc.compat.python2",),
    "theano.misc.safe_asarray": ("symc.compat.python2",),
    "theano.misc.ordered_set": ("symc.compat.graph",),
    "theano.compat": ("symc.compat.python2",),
    "theano.compat.python2x": ("symc.compat.python2",),
    "theano.compat.six": ("symc.compat.python2",),
    "theano.compat.six.moves": ("symc.compat.moves",),
    "theano.version": ("symc.compat.python2",),
    "theano.scalar": ("symc.compat.scalars", "symc.compat.scalar_ops", "symc.scalar"),
    "theano.scalar.basic": ("symc.compat.scalars", "symc.compat.scalar_ops", "symc.scalar"),
    "theano.scalar.sharedvar": _FUNCTION,
    "theano.scalar.basic_scipy": ("symc.compat.scalars", "symc.compat.scalar_ops", "symc.scalar"),
    "theano.sparse": _SPARSE,
    "theano.sparse.basic": _SPARSE,
    "theano.sparse.type": _SPARSE,
    "theano.sparse.sharedvar": _SPARSE,
    "theano.sparse.sandbox": (),
    "theano.sparse.sandbox.sp": _SPARSE,
    "theano.sparse.sandbox.sp2": _SPARSE,
    "theano.sparse.sandbox.truedot": _SPARSE,
    "theano.sparse.utils": _SPARSE,
    "theano.typed_list": ("symc.compat.typed_list", "symc.compat.typed_list_ops"),
    "theano.typed_list.basic": ("symc.compat.typed_list", "symc.compat.typed_list_ops"),
    "theano.typed_list.type": ("symc.compat.typed_list",),
    # devices and experiments
    "theano.sandbox": (),
    "theano.sandbox.rng_mrg": _RANDOM,
    "theano.sandbox.multinomial": ("symc.compat.multinomial",),
    "theano.sandbox.linalg": ("symc.compat.tensor", "symc.tensor.nlinalg", "symc.tensor.slinalg"),
    "theano.sandbox.linalg.ops": ("symc.compat.tensor", "symc.tensor.nlinalg", "symc.tensor.slinalg"),
    "theano.sandbox.neighbours": ("symc.tensor.nnet.neighbours",),
    "theano.sandbox.conv": ("symc.compat.convolution",),
    "theano.sandbox.softsign": _NNET,
    "theano.sandbox.fourier": (),
    "theano.sandbox.cuda": _CUDA,
    "theano.sandbox.cuda.basic_ops": _CUDA,
    "theano.sandbox.cuda.blas": _CUDA,
    "theano.sandbox.cuda.dnn": _CUDA,
    "theano.sandbox.cuda.rng_curand": _RANDOM,
    "theano.sandbox.cuda.var": _CUDA,
    "theano.sandbox.cuda.type": _CUDA,
    "theano.sandbox.cuda.nnet": _CUDA,
    "theano.sandbox.cuda.nvcc_compiler": _CUDA,
    "theano.sandbox.cuda.blocksparse": _NNET,
    "theano.sandbox.cuda.fftconv": ("symc.compat.convolution",),
    "theano.sandbox.gpuarray": _CUDA,
    "theano.sandbox.gpuarray.dnn": _CUDA,
    "theano.gpuarray": _CUDA,
    "theano.gpuarray.dnn": _CUDA,
    "theano.gpuarray.basic_ops": _CUDA,
    "theano.gpuarray.type": _CUDA,
    "theano.gpuarray.blas": _CUDA,
    "theano.gpuarray.nnet": _CUDA,
    "theano.gpuarray.fft": ("symc.tensor.fft",),
    "theano.gpuarray.optdb": (),
    # layers
    "lasagne": ("lasagne_like.legacy", "lasagne_like"),
    "lasagne.init": ("lasagne_like.init",),
    "lasagne.layers": ("lasagne_like.legacy", _LAYERS),
    "lasagne.nonlinearities": ("lasagne_like.nonlinearities",),
    "lasagne.objectives": ("lasagne_like.objectives",),
    "lasagne.random": ("lasagne_like.random",),
    "lasagne.regularization": ("lasagne_like.regularization",),
    "lasagne.updates": ("lasagne_like.updates",),
    "lasagne.utils": ("lasagne_like.utils",),
    "lasagne.theano_extensions": (),
    "lasagne.theano_extensions.conv": ("lasagne_like.legacy.conv",),
    "lasagne.theano_extensions.padding": ("lasagne_like.legacy.padding",),
    "lasagne.layers.dnn": ("lasagne_like.legacy.devices", _LAYERS, *_USED_BY_LAYERS),
    "lasagne.layers.corrmm": ("lasagne_like.legacy.devices", _LAYERS, *_USED_BY_LAYERS),
    "lasagne.layers.cuda_convnet": ("lasagne_like.legacy.cuda_convnet", _LAYERS, *_USED_BY_LAYERS),
    **{
        f"lasagne.layers.{name}": (f"{_LAYERS}.{name}", _LAYERS, *_USED_BY_LAYERS)
        for name in (
            "base", "conv", "dense", "embedding", "helper", "input", "local", "merge", "noise", "normalization",
            "pool", "recurrent", "shape", "special",
        )
    },
}  # fmt: skip

FUNCTIONS_LIKE_MODULES = (
    "theano.compile.function",
    "theano.compile.pfunc",
    "theano.d3viz.d3viz",
    "theano.scan_module.scan",
    "theano.tensor.sort",
    "theano.tensor.var",
)
"""Modules from which Theano's packages import a function of the same name, which hides the module there."""


IMPORTED = {
    "theano": "theano",
    "np": "numpy",
    "numpy": "numpy",
    "builtins": "builtins",
    "logging": "logging",
    "os": "os",
    "sys": "sys",
    "warnings": "warnings",
    "compile": "theano.compile",
    "gof": "theano.gof",
    "gradient": "theano.gradient",
    "opt": "theano.gof.opt",
    "printing": "theano.printing",
    "scal": "theano.scalar",
    "tensor": "theano.tensor",
    "T": "theano.tensor",
    "toolbox": "theano.gof.toolbox",
}
"""Modules that the old modules import for themselves, which programs reach through them, as in ``T.np.pi``."""


TAKEN_WITH_STAR = {
    "theano.tensor": ("theano", "np", "numpy", "gof", "compile", "printing", "scal"),
    "lasagne.init": ("np", "floatX", "get_rng"),
    "lasagne.nonlinearities": ("theano",),
    "lasagne.random": ("np",),
    "lasagne.regularization": ("T",),
    "lasagne.utils": ("np", "theano", "T"),
}
"""What ``from MODULE import *`` gives a program beyond the module's own names: what the old module imported.

The names of ``theano.tensor`` hold for the modules below it, too.
"""


def is_legacy(name: str) -> bool:
    """Whether a dotted name begins with one of the packages that are served."""
    return name.partition(".")[0] in OWN
