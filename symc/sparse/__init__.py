"""Sparse matrices, with the names of ``theano.sparse``.

A sparse variable holds four dense ones: the entries, their indices, pointers to rows or columns, and the shape.
Functions accept SciPy matrices for sparse inputs, and return SciPy matrices for sparse results.

Examples
--------
>>> import numpy as np, scipy.sparse, symc, symc.tensor as T
>>> from symc import sparse
>>> x, w = sparse.csr_matrix("x", dtype="float64"), T.dmatrix("w")
>>> f = symc.function([x, w], sparse.dot(x, w))
>>> f(scipy.sparse.csr_matrix(np.eye(2)), np.ones((2, 3)))
array([[1., 1., 1.],
       [1., 1., 1.]])
"""

from symc.runtime import shared as _runtime_shared
from symc.sparse import basic, comparisons, entrywise, operators, selection, typed
from symc.sparse.basic import *  # noqa: F403
from symc.sparse.comparisons import *  # noqa: F403
from symc.sparse.conversion import csc_from_dense, csr_from_dense, dense_from_sparse, transpose
from symc.sparse.entrywise import *  # noqa: F403
from symc.sparse.selection import *  # noqa: F403
from symc.sparse.typed import *  # noqa: F403
from symc.sparse.variables import SharedSparse, SparseType, SparseVariable, as_sparse_variable, is_scipy, shared

operators.attach()
_runtime_shared.COMPOSITES.append((is_scipy, shared))

__all__ = [
    "SharedSparse", "SparseType", "SparseVariable", "as_sparse_variable", "csc_from_dense", "csr_from_dense",
    "dense_from_sparse", "shared", "transpose",
]  # fmt: skip
__all__ += [*basic.__all__, *comparisons.__all__, *entrywise.__all__, *selection.__all__, *typed.__all__]
