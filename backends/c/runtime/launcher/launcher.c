/* Calls of compiled functions: checks arguments, allocates outputs and runs the entry point without Python code.
 *
 * A Launcher has the specification of each argument and keeps plans: the values of the symbolic dimensions of an
 * earlier call, and the table of buffers for them with everything filled in but inputs and outputs.  A call whose
 * arguments fit a plan takes well under a microsecond; any other goes to the Python callable `slow`, which converts,
 * complains, and prepares the next plan.  Plans with little working memory are kept for up to PLANS combinations of
 * shapes (sentences of many lengths, the last batch of an epoch); one with more than PLANS_BYTES is kept alone.
 *
 * A plan owns working memory, so one thread at a time may run it.  Its `busy` flag is only read and written while
 * the GIL is held, hence an ordinary int.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#include <numpy/arrayobject.h>
#include <stdint.h>

#include "result_memory.h"

/* The headers of NumPy 1 have no name for it. */
#if NPY_ABI_VERSION < 0x02000000
#define PyDataType_ELSIZE(descr) ((descr)->elsize)
#endif

#include "plans.h"
#include "turns.h"
#include "call.h"
#include "prepare.h"

/* ---- Construction ----------------------------------------------------------------------------------------------- */

/* Reads (typenum, sizes, slots); sizes with -1 where the axis takes dims[slot]. */
static int spec_read(Spec *spec, PyObject *item, int *max_slot) {
    PyObject *fixed, *slots;
    if (!PyTuple_Check(item)) {
        PyErr_Format(PyExc_TypeError, "inputs and outputs: expected tuples (typenum, sizes, slots), not %R", item);
        return -1;
    }
    if (!PyArg_ParseTuple(item, "iO!O!", &spec->typenum, &PyTuple_Type, &fixed, &PyTuple_Type, &slots)) return -1;
    Py_ssize_t ndim = PyTuple_GET_SIZE(fixed);
    if (ndim > NPY_MAXDIMS || PyTuple_GET_SIZE(slots) != ndim) {
        PyErr_Format(PyExc_ValueError,
                     "inputs and outputs: %zd sizes and %zd slots; expected as many of one as of the other, at most %d",
                     ndim, PyTuple_GET_SIZE(slots), NPY_MAXDIMS);
        return -1;
    }
    if (!PyTypeNum_ISNUMBER(spec->typenum) && !PyTypeNum_ISBOOL(spec->typenum)) {
        PyErr_Format(PyExc_ValueError, "inputs and outputs: type number %d is not that of a number", spec->typenum);
        return -1;
    }
    PyArray_Descr *descr = PyArray_DescrFromType(spec->typenum);
    if (!descr) return -1;
    spec->itemsize = (int)PyDataType_ELSIZE(descr);
    Py_DECREF(descr);
    spec->ndim = (int)ndim;
    for (Py_ssize_t i = 0; i < ndim; i++) {
        spec->fixed[i] = (npy_intp)PyLong_AsSsize_t(PyTuple_GET_ITEM(fixed, i));
        spec->slot[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(slots, i));
        if (PyErr_Occurred()) return -1;
        if (spec->fixed[i] >= 0) continue;
        if (spec->slot[i] < 0) {
            PyErr_Format(PyExc_ValueError, "inputs and outputs: axis %zd has neither a size nor a slot", i);
            return -1;
        }
        if (spec->slot[i] > *max_slot) *max_slot = spec->slot[i];
    }
    return 0;
}

static Spec *specs_read(PyObject *tuple, int *max_slot) {
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    Spec *specs = PyMem_Calloc((size_t)n + 1, sizeof *specs);
    if (!specs) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (spec_read(specs + i, PyTuple_GET_ITEM(tuple, i), max_slot) == 0) continue;
        PyMem_Free(specs);
        return NULL;
    }
    return specs;
}

static PyObject *launcher_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"entry", "inputs", "outputs", "n_buffers", "slow",
                            "fail",  "returns", "segments", "sizes",   NULL};
    unsigned long long entry, sizes = 0;
    PyObject *inputs, *outputs, *slow, *fail;
    Py_ssize_t n_buffers, segments = 1;
    int returns = SINGLE;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KO!O!nOO|inK", names, &entry, &PyTuple_Type, &inputs, &PyTuple_Type,
                                     &outputs, &n_buffers, &slow, &fail, &returns, &segments, &sizes))
        return NULL;
    if (segments < 1 || (segments > 1 && !sizes))
        return PyErr_Format(PyExc_ValueError, "%zd segments: there must be one, or a function for the sizes", segments);
    if (returns < SINGLE || returns > NOTHING || (returns == NOTHING && PyTuple_GET_SIZE(outputs)))
        return PyErr_Format(PyExc_ValueError, "returns: expected 0, 1, or 2 without outputs, not %d", returns);
    if (!PyCallable_Check(fail)) return PyErr_Format(PyExc_TypeError, "fail: a callable is expected, not %R", fail);
    Py_ssize_t used = PyTuple_GET_SIZE(inputs) + PyTuple_GET_SIZE(outputs);
    if (!entry) return PyErr_Format(PyExc_ValueError, "entry: the address of a C function is expected, not 0");
    if (n_buffers < used)
        return PyErr_Format(PyExc_ValueError, "n_buffers is %zd; inputs and outputs alone need %zd", n_buffers, used);
    if (!PyCallable_Check(slow)) return PyErr_Format(PyExc_TypeError, "slow: a callable is expected, not %R", slow);
    Launcher *self = (Launcher *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->max_slot = -1;
    self->n_inputs = PyTuple_GET_SIZE(inputs);
    self->n_outputs = PyTuple_GET_SIZE(outputs);
    self->n_buffers = n_buffers;
    self->returns = returns;
    self->entry = (entry_t)(uintptr_t)entry;
    self->vectorcall = launcher_call;
    self->slow = Py_NewRef(slow);
    self->fail = Py_NewRef(fail);
    self->segments = segments;
    self->sizes = (sizes_t)(uintptr_t)sizes;
    self->inputs = specs_read(inputs, &self->max_slot);
    self->outputs = self->inputs ? specs_read(outputs, &self->max_slot) : NULL;
    if (!self->outputs) Py_CLEAR(self);
    return (PyObject *)self;
}

static int launcher_traverse(Launcher *self, visitproc visit, void *arg) {
    Py_VISIT(self->slow);
    Py_VISIT(self->fail);
    for (Py_ssize_t i = 0; i < self->n_plans; i++) {
        Py_VISIT(self->plans[i]->keep);
        Py_VISIT(self->plans[i]->exchange);
    }
    return 0;
}

static int launcher_clear(Launcher *self) {
    while (self->n_plans) plan_drop(self, self->n_plans - 1);
    Py_CLEAR(self->slow);
    Py_CLEAR(self->fail);
    return 0;
}

static void launcher_dealloc(Launcher *self) {
    PyObject_GC_UnTrack(self);
    launcher_clear(self);
    PyMem_Free(self->inputs);
    PyMem_Free(self->outputs);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* ---- Methods ---------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(forget_doc, "forget()\n--\n\nDrop the plans: the next call takes the slow path.");

static PyObject *launcher_forget(Launcher *self, PyObject *unused) {
    (void)unused;
    while (self->n_plans) plan_drop(self, self->n_plans - 1);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(rest_doc, "rest()\n--\n\nDrop a plan with much working memory, and so return it, unless a call is running it.");

static PyObject *launcher_rest(Launcher *self, PyObject *unused) {
    (void)unused;
    plans_limit(self, PLANS, 0);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(attempt_doc,
             "attempt(*args)\n--\n\n"
             "Call with arguments that a plan fits; NotImplemented if there is none, without calling `slow`.");

static PyObject *launcher_attempt(Launcher *self, PyObject *const *args, Py_ssize_t n) {
    PyObject *result = n == self->n_inputs ? fast_call(self, args) : NULL;
    if (!result && !PyErr_Occurred()) Py_RETURN_NOTIMPLEMENTED;
    return result;
}

PyDoc_STRVAR(replace_doc,
             "replace(entry, sizes)\n--\n\n"
             "Use other code of the same function from now on; the earlier code stays loaded while calls may run it.");

static PyObject *launcher_replace(Launcher *self, PyObject *args) {
    unsigned long long entry, sizes;
    if (!PyArg_ParseTuple(args, "KK", &entry, &sizes)) return NULL;
    if (!entry) return PyErr_Format(PyExc_ValueError, "entry: the address of a C function is expected, not 0");
    self->entry = (entry_t)(uintptr_t)entry;
    self->sizes = (sizes_t)(uintptr_t)sizes;
    Py_RETURN_NONE;
}

static PyMethodDef launcher_methods[] = {
    {"prepare", (PyCFunction)(void (*)(void))launcher_prepare, METH_VARARGS | METH_KEYWORDS, prepare_doc},
    {"replace", (PyCFunction)launcher_replace, METH_VARARGS, replace_doc},
    {"forget", (PyCFunction)launcher_forget, METH_NOARGS, forget_doc},
    {"rest", (PyCFunction)launcher_rest, METH_NOARGS, rest_doc},
    {"attempt", (PyCFunction)(void (*)(void))launcher_attempt, METH_FASTCALL, attempt_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef launcher_members[] = {
    {"fast_calls", T_ULONGLONG, offsetof(Launcher, fast_calls), READONLY, "how many calls needed no Python code"},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Launcher, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(launcher_doc,
             "Launcher(entry, inputs, outputs, n_buffers, slow, fail, returns=0, segments=1, sizes=0)\n--\n\n"
             "A compiled function as a callable of positional arguments.\n\n"
             "Parameters\n----------\n"
             "entry : int\n"
             "    Address of `int64_t (*)(void **buffers, int64_t *dims, int64_t segment)`, which returns 0 when all\n"
             "    went well;\n"
             "    the buffers are the inputs, the outputs, then what `prepare` names.\n"
             "inputs, outputs : tuple of (typenum, sizes, slots)\n"
             "    NumPy's type number; for each axis its size, or -1 and then the place of its size among\n"
             "    the dims.  A Python number serves for a floating-point input without axes.\n"
             "n_buffers : int\n    Length of the table of buffers.\n"
             "slow : callable\n    Called with the same arguments whenever no plan fits them.\n"
             "fail : callable\n    Called with a status that is not 0 and the arguments; raises.\n"
             "returns : int\n    0: the single output, or a list of several; 1: a list of all outputs; 2: None, and there are no\n"
             "    outputs.\n"
             "segments : int\n    How many segments the entry has.\n"
             "sizes : int\n    Address of `void (*)(const int64_t *dims, int64_t segment, int64_t *sizes)`, which tells\n"
             "    what a segment lays out, for all but the first.");

static PyTypeObject LauncherType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "symc_launcher.Launcher",
    .tp_basicsize = sizeof(Launcher),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = launcher_doc,
    .tp_new = launcher_new,
    .tp_dealloc = (destructor)launcher_dealloc,
    .tp_traverse = (traverseproc)launcher_traverse,
    .tp_clear = (inquiry)launcher_clear,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Launcher, vectorcall),
    .tp_methods = launcher_methods,
    .tp_members = launcher_members,
};

/* ---- The module ------------------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"empty", empty_array, METH_VARARGS, empty_doc},
    {"set_pool_limit", set_pool_limit, METH_O, limit_doc},
    {"pool_held", pool_held, METH_NOARGS, held_doc},
    {"set_turns", set_turns, METH_VARARGS, turns_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "symc_launcher", "Fast calls of compiled functions.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_symc_launcher(void) {
    import_array();
    if (PyType_Ready(&BlockType) < 0 || PyType_Ready(&LauncherType) < 0) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddObjectRef(module, "Launcher", (PyObject *)&LauncherType) < 0) Py_CLEAR(module);
    return module;
}
