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

#include "launcher_pool.h"

/* The headers of NumPy 1 have no name for it. */
#if NPY_ABI_VERSION < 0x02000000
#define PyDataType_ELSIZE(descr) ((descr)->elsize)
#endif

#define PLANS 64
#define PLANS_BYTES ((size_t)4 << 20)

typedef int64_t (*entry_t)(void **buffers, int64_t *dims, int64_t segment);
typedef void (*sizes_t)(const int64_t *dims, int64_t segment, int64_t *sizes);

/* ---- Specifications and plans ----------------------------------------------------------------------------------- */

typedef struct {
    int typenum, ndim, itemsize;
    npy_intp fixed[NPY_MAXDIMS]; /* the size of each axis, or -1 */
    int slot[NPY_MAXDIMS];       /* where it is -1: which of the dims it is */
} Spec;

typedef struct {
    npy_intp shape[NPY_MAXDIMS];
    size_t bytes;
} Shape;

typedef struct {
    const char *start, *end;
} Range;

typedef struct {
    Py_ssize_t n;
    int64_t *values, *found; /* what a segment lays out in calls of the plan, and room for what it would in this one */
} Layout;

typedef struct {
    const int64_t *turn;
    int64_t writes; /* that the variable had seen */
} Watch;

typedef struct {
    int refs, busy, dropped, release_gil;
    size_t bytes; /* of working memory that the plan owns */
    Py_ssize_t n_written, n_read_turns, n_write_turns;
    Range *written; /* memory that a call changes in place: no argument may lie there */
    int64_t **read_turns, **write_turns; /* of shared variables: see symc/runtime/turns.py */
    Watch *watched; /* values that the call reads were computed from these variables */
    Py_ssize_t n_watched;
    int64_t total; /* of writes to any variable when they were last seen to be unchanged */
    Layout *layouts;                     /* of the segments after the first */
    Py_ssize_t n_layouts;
    int64_t *dims;
    void **buffers, **next_buffers; /* with an `exchange`, the table of the next call: the two alternate */
    Shape *outputs;
    double *scalars; /* one place for each input that may come as a Python number */
    PyObject *keep, *exchange;
} Plan;

enum { SINGLE, LIST, NOTHING }; /* what a call returns */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    entry_t entry;
    Py_ssize_t n_inputs, n_outputs, n_buffers;
    int returns, max_slot;
    Py_ssize_t segments;
    sizes_t sizes;
    Spec *inputs, *outputs;
    Plan *plans[PLANS]; /* most recently used first */
    Py_ssize_t n_plans;
    PyObject *slow, *fail;
    unsigned long long fast_calls;
} Launcher;

static void plan_release(Plan *plan) {
    if (!plan || --plan->refs) return;
    Py_XDECREF(plan->keep);
    Py_XDECREF(plan->exchange);
    PyMem_Free(plan->dims);
    PyMem_Free(plan->buffers);
    PyMem_Free(plan->next_buffers);
    PyMem_Free(plan->outputs);
    PyMem_Free(plan->scalars);
    PyMem_Free(plan->written);
    PyMem_Free(plan->read_turns);
    PyMem_Free(plan->write_turns);
    PyMem_Free(plan->watched);
    for (Py_ssize_t i = 0; plan->layouts && i < plan->n_layouts; i++) PyMem_Free(plan->layouts[i].values);
    PyMem_Free(plan->layouts);
    PyMem_Free(plan);
}

static Plan *plan_new(const Launcher *self, Py_ssize_t n_dims) {
    Plan *plan = PyMem_Calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->refs = 1;
    plan->dims = PyMem_Calloc((size_t)n_dims + 1, sizeof *plan->dims);
    plan->buffers = PyMem_Calloc((size_t)self->n_buffers + 1, sizeof *plan->buffers);
    plan->outputs = PyMem_Calloc((size_t)self->n_outputs + 1, sizeof *plan->outputs);
    plan->scalars = PyMem_Calloc((size_t)self->n_inputs + 1, sizeof *plan->scalars);
    if (plan->dims && plan->buffers && plan->outputs && plan->scalars) return plan;
    plan_release(plan);
    return NULL;
}

/* Drops the plan at a position; memory that Python owns is returned last, since that may run other Python code. */
static void plan_drop(Launcher *self, Py_ssize_t at) {
    Plan *plan = self->plans[at];
    self->n_plans--;
    for (Py_ssize_t i = at; i < self->n_plans; i++) self->plans[i] = self->plans[i + 1];
    plan->dropped = 1;
    plan_release(plan);
}

/* ---- The call --------------------------------------------------------------------------------------------------- */

/* A number for a scalar; anything that could lose more than rounding takes the slow path. */
static void *scalar_pointer(const Spec *spec, PyObject *arg, double *place) {
    double value;
    if (PyArray_IsScalar(arg, Generic)) {
        PyArray_Descr *descr = PyArray_DescrFromScalar(arg);
        const int same = descr && descr->type_num == spec->typenum && spec->itemsize <= (int)sizeof *place;
        Py_XDECREF(descr);
        if (same) PyArray_ScalarAsCtype(arg, place);
        return same ? place : NULL;
    }
    if (PyFloat_CheckExact(arg)) {
        value = PyFloat_AS_DOUBLE(arg);
    } else if (PyLong_CheckExact(arg)) {
        int overflow;
        long long integer = PyLong_AsLongLongAndOverflow(arg, &overflow);
        if (overflow) return NULL;
        if (spec->typenum == NPY_INT64) {
            *(int64_t *)place = integer;
            return place;
        }
        if (spec->typenum == NPY_INT32 && integer == (int32_t)integer) {
            *(int32_t *)place = (int32_t)integer;
            return place;
        }
        if (integer > (1 << 24) || integer < -(1 << 24)) return NULL;
        value = (double)integer;
    } else {
        return NULL;
    }
    if (spec->typenum == NPY_DOUBLE) {
        *place = value;
    } else if (spec->typenum == NPY_FLOAT) {
        *(float *)place = (float)value;
    } else {
        return NULL;
    }
    return place;
}

/* The address of an argument's data, or NULL where the argument is not exactly what the plan is for. */
static void *input_pointer(const Spec *spec, PyObject *arg, const Plan *plan, double *place) {
    if (!PyArray_CheckExact(arg)) return spec->ndim ? NULL : scalar_pointer(spec, arg, place);
    PyArrayObject *array = (PyArrayObject *)arg;
    if (PyArray_TYPE(array) != spec->typenum || PyArray_NDIM(array) != spec->ndim) return NULL;
    if (!PyArray_ISCARRAY_RO(array)) return NULL;
    const npy_intp *shape = PyArray_DIMS(array);
    for (int i = 0; i < spec->ndim; i++) {
        npy_intp expected = spec->fixed[i] >= 0 ? spec->fixed[i] : (npy_intp)plan->dims[spec->slot[i]];
        if (shape[i] != expected) return NULL;
    }
    const char *start = PyArray_DATA(array), *end = start + PyArray_NBYTES(array);
    for (Py_ssize_t i = 0; i < plan->n_written; i++)
        if (start < plan->written[i].end && plan->written[i].start < end) return NULL;
    return PyArray_DATA(array);
}

static PyObject *output_array(const Spec *spec, const Shape *shape) {
    if (shape->bytes < POOL_LEAST) return PyArray_SimpleNew(spec->ndim, (npy_intp *)shape->shape, spec->typenum);
    return pooled_array(spec->ndim, shape->shape, spec->typenum, shape->bytes);
}

/* Allocates every output and sets its address; returns a list, the single array, or None. */
static PyObject *make_outputs(const Launcher *self, Plan *plan) {
    void **place = plan->buffers + self->n_inputs;
    if (self->returns == NOTHING) return Py_NewRef(Py_None);
    if (self->returns == SINGLE && self->n_outputs == 1) {
        PyObject *array = output_array(self->outputs, plan->outputs);
        if (array) place[0] = PyArray_DATA((PyArrayObject *)array);
        return array;
    }
    PyObject *list = PyList_New(self->n_outputs);
    for (Py_ssize_t i = 0; list && i < self->n_outputs; i++) {
        PyObject *array = output_array(self->outputs + i, plan->outputs + i);
        if (!array) {
            Py_CLEAR(list);
            break;
        }
        place[i] = PyArray_DATA((PyArrayObject *)array);
        PyList_SET_ITEM(list, i, array);
    }
    return list;
}

/* ---- Turns ------------------------------------------------------------------------------------------------------ */

static PyObject *lock_acquire, *lock_release, *wake_waiting;
static int64_t *counts; /* of waiting threads, and of writes */

/* Acquires the turns of a plan if they are free; returns 0 if the call must wait, on the slow path. */
static int turns_take(const Plan *plan) {
    PyObject *arguments[] = {Py_False};
    PyObject *got = PyObject_Vectorcall(lock_acquire, arguments, 1, NULL);
    int free = got == Py_True;
    Py_XDECREF(got);
    if (!free) {
        PyErr_Clear();
        return 0;
    }
    for (Py_ssize_t i = 0; free && i < plan->n_write_turns; i++) free = *plan->write_turns[i] == 0;
    for (Py_ssize_t i = 0; free && i < plan->n_read_turns; i++) free = *plan->read_turns[i] >= 0;
    for (Py_ssize_t i = 0; free && i < plan->n_write_turns; i++) *plan->write_turns[i] = -1;
    for (Py_ssize_t i = 0; free && i < plan->n_read_turns; i++) ++*plan->read_turns[i];
    Py_XDECREF(PyObject_CallNoArgs(lock_release));
    return free;
}

/* Releases the turns of a plan in any case; an exception that was set, or is raised, stays set. */
static void turns_end(const Plan *plan) {
    PyObject *type, *value, *traceback, *got;
    PyErr_Fetch(&type, &value, &traceback);
    while (!(got = PyObject_CallNoArgs(lock_acquire))) { /* a signal's handler raised while this waited */
        if (type) PyErr_Clear();
        else PyErr_Fetch(&type, &value, &traceback);
    }
    Py_DECREF(got);
    for (Py_ssize_t i = 0; i < plan->n_write_turns; i++) {
        plan->write_turns[i][0] = 0;
        plan->write_turns[i][1]++;
        counts[1]++;
    }
    for (Py_ssize_t i = 0; i < plan->n_read_turns; i++) --*plan->read_turns[i];
    if (counts[0]) Py_XDECREF(PyObject_CallNoArgs(wake_waiting));
    Py_XDECREF(PyObject_CallNoArgs(lock_release));
    if (type) PyErr_Restore(type, value, traceback);
}

PyDoc_STRVAR(turns_doc,
             "set_turns(lock, wake, counts)\n--\n\n"
             "The lock under which turns change, what wakes those who wait, and the address of two numbers: how many\n"
             "wait, and how many writes there were.");

static PyObject *set_turns(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *lock, *wake;
    unsigned long long address;
    if (!PyArg_ParseTuple(args, "OOK", &lock, &wake, &address)) return NULL;
    PyObject *acquire = PyObject_GetAttrString(lock, "acquire");
    PyObject *release = PyObject_GetAttrString(lock, "release");
    if (!acquire || !release) {
        Py_XDECREF(acquire);
        Py_XDECREF(release);
        return NULL;
    }
    Py_XSETREF(lock_acquire, acquire);
    Py_XSETREF(lock_release, release);
    Py_XSETREF(wake_waiting, Py_NewRef(wake));
    counts = (int64_t *)(uintptr_t)address;
    Py_RETURN_NONE;
}

/* Whether the watched variables are unchanged, while the call holds their turns. */
static int is_current(Plan *plan) {
    if (!plan->n_watched || plan->total == counts[1]) return 1;
    for (Py_ssize_t i = 0; i < plan->n_watched; i++)
        if (plan->watched[i].turn[1] != plan->watched[i].writes) return 0;
    plan->total = counts[1];
    return 1;
}

/* ---- The call, continued ----------------------------------------------------------------------------------------- */

#define OTHER_SIZES (-1)

/* Runs the segments, as long as the memory layout of each is that of the plan. */
static int64_t run_segments(const Launcher *self, Plan *plan) {
    int64_t status = self->entry(plan->buffers, plan->dims, 0);
    for (Py_ssize_t i = 0; !status && i < plan->n_layouts; i++) {
        const Layout *layout = plan->layouts + i;
        self->sizes(plan->dims, i + 1, layout->found);
        if (memcmp(layout->found, layout->values, (size_t)layout->n * sizeof *layout->values)) return OTHER_SIZES;
        status = self->entry(plan->buffers, plan->dims, i + 1);
    }
    return status;
}

/* A call that failed is never run again: `fail` raises its error. */
static PyObject *failed(const Launcher *self, int64_t status, PyObject *const *args) {
    PyObject *given = PyTuple_New(self->n_inputs);
    for (Py_ssize_t i = 0; given && i < self->n_inputs; i++) PyTuple_SET_ITEM(given, i, Py_NewRef(args[i]));
    PyObject *result = given ? PyObject_CallFunction(self->fail, "LO", (long long)status, given) : NULL;
    Py_XDECREF(given);
    if (!result) return NULL;
    Py_DECREF(result);
    return PyErr_Format(PyExc_SystemError, "a call ended with status %lld", (long long)status);
}

/* After a call that succeeded: shared variables take the arrays that it wrote, in a step that cannot fail halfway.
 * The next call writes to the arrays that they had, unless somebody else still holds one of these. */
static void exchange(Launcher *self, Plan *plan) {
    PyObject *again = PyObject_CallNoArgs(plan->exchange);
    if (again == Py_True) {
        void **now = plan->buffers;
        plan->buffers = plan->next_buffers;
        plan->next_buffers = now;
    } else {
        for (Py_ssize_t k = self->n_plans - 1; k >= 0; k--)
            if (self->plans[k] == plan) plan_drop(self, k); /* not the last reference: the call has one */
    }
    Py_XDECREF(again);
}

/* The plan that the arguments fit, with their addresses entered, moved to the front; NULL if there is none. */
static Plan *plan_for(Launcher *self, PyObject *const *args) {
    for (Py_ssize_t k = 0; k < self->n_plans; k++) {
        Plan *plan = self->plans[k];
        if (plan->busy) continue;
        Py_ssize_t i = 0;
        for (; i < self->n_inputs; i++) {
            plan->buffers[i] = input_pointer(self->inputs + i, args[i], plan, plan->scalars + i);
            if (!plan->buffers[i]) break;
        }
        if (i < self->n_inputs) continue;
        for (; k > 0; k--) self->plans[k] = self->plans[k - 1];
        self->plans[0] = plan;
        return plan;
    }
    return NULL;
}

/* Runs a plan that the arguments fit; NULL without an exception if there is none, or it cannot be run now. */
static PyObject *fast_call(Launcher *self, PyObject *const *args) {
    Plan *plan = plan_for(self, args);
    if (!plan) return NULL;
    /* Busy before anything is allocated: that may run the collector, and with it other Python code. */
    plan->busy = 1;
    plan->refs++;
    const int turns = plan->n_read_turns || plan->n_write_turns;
    if (turns && !turns_take(plan)) {
        plan->busy = 0;
        plan_release(plan);
        return NULL;
    }
    /* While the turns were being taken another thread may have given the storage another array. */
    const int stale = plan->dropped || !is_current(plan);
    PyObject *result = stale ? NULL : make_outputs(self, plan);
    int64_t status = 0;
    int no_room = !stale && !result && PyErr_ExceptionMatches(PyExc_MemoryError);
    if (result) {
        if (plan->release_gil) {
            Py_BEGIN_ALLOW_THREADS
            status = run_segments(self, plan);
            Py_END_ALLOW_THREADS
        } else {
            status = run_segments(self, plan);
        }
        if (plan->exchange && !status) exchange(self, plan);
        self->fast_calls++;
    }
    if (turns) turns_end(plan);
    plan->busy = 0;
    plan_release(plan);
    if (stale || no_room || status == OTHER_SIZES) {
        /* Nothing visible was changed; the slow path allocates memory again, or raises the error. */
        PyErr_Clear();
        Py_XDECREF(result);
        return NULL;
    }
    if (PyErr_Occurred()) Py_CLEAR(result);
    if (status) {
        Py_XDECREF(result);
        return failed(self, status, args);
    }
    return result;
}

static PyObject *launcher_call(PyObject *callable, PyObject *const *args, size_t flagged, PyObject *names) {
    Launcher *self = (Launcher *)callable;
    if (PyVectorcall_NARGS(flagged) == self->n_inputs && !(names && PyTuple_GET_SIZE(names))) {
        PyObject *result = fast_call(self, args);
        if (result || PyErr_Occurred()) return result;
    }
    return PyObject_Vectorcall(self->slow, args, flagged, names);
}

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

/* ---- Plans from Python ------------------------------------------------------------------------------------------ */

/* The shapes of the outputs for the dims of a plan. */
static int plan_outputs(const Launcher *self, Plan *plan) {
    for (Py_ssize_t i = 0; i < self->n_outputs; i++) {
        const Spec *spec = self->outputs + i;
        Shape *shape = plan->outputs + i;
        shape->bytes = (size_t)spec->itemsize;
        for (int k = 0; k < spec->ndim; k++) {
            npy_intp size = spec->fixed[k] >= 0 ? spec->fixed[k] : (npy_intp)plan->dims[spec->slot[k]];
            shape->shape[k] = size;
            if (size < 0 || __builtin_mul_overflow(shape->bytes, (size_t)size, &shape->bytes)) {
                PyErr_Format(PyExc_ValueError, "dims: output %zd would have size %zd on axis %d", i,
                             (Py_ssize_t)size, k);
                return -1;
            }
        }
    }
    return 0;
}

static void addresses_into(const Launcher *self, void **buffers, PyObject *pointers) {
    void **rest = buffers + self->n_inputs + self->n_outputs;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pointers); i++)
        rest[i] = PyLong_AsVoidPtr(PyTuple_GET_ITEM(pointers, i));
}

static int plan_fill(const Launcher *self, Plan *plan, PyObject *dims, PyObject *pointers, PyObject *next) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(dims); i++)
        plan->dims[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(dims, i));
    addresses_into(self, plan->buffers, pointers);
    if (next) {
        plan->next_buffers = PyMem_Calloc((size_t)self->n_buffers + 1, sizeof *plan->next_buffers);
        if (!plan->next_buffers) {
            PyErr_NoMemory();
            return -1;
        }
        addresses_into(self, plan->next_buffers, next);
    }
    return PyErr_Occurred() ? -1 : plan_outputs(self, plan);
}

/* Reads a tuple of (address, bytes). */
static int plan_written(Plan *plan, PyObject *written) {
    Py_ssize_t n = PyTuple_GET_SIZE(written);
    plan->written = PyMem_Calloc((size_t)n + 1, sizeof *plan->written);
    if (!plan->written) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        unsigned long long start;
        Py_ssize_t bytes;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(written, i), "Kn", &start, &bytes)) return -1;
        plan->written[i].start = (const char *)(uintptr_t)start;
        plan->written[i].end = plan->written[i].start + bytes;
    }
    plan->n_written = n;
    return 0;
}

/* Reads tuples of sizes, one per segment after the first. */
static int plan_layouts(Plan *plan, PyObject *sizes) {
    Py_ssize_t n = PyTuple_GET_SIZE(sizes);
    plan->layouts = PyMem_Calloc((size_t)n + 1, sizeof *plan->layouts);
    if (!plan->layouts) {
        PyErr_NoMemory();
        return -1;
    }
    plan->n_layouts = n;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *values = PyTuple_GET_ITEM(sizes, i);
        Layout *layout = plan->layouts + i;
        if (!PyTuple_Check(values)) {
            PyErr_Format(PyExc_TypeError, "sizes: a tuple per segment is expected, not %R", values);
            return -1;
        }
        layout->n = PyTuple_GET_SIZE(values);
        layout->values = PyMem_Calloc(2 * (size_t)layout->n + 1, sizeof *layout->values);
        if (!layout->values) {
            PyErr_NoMemory();
            return -1;
        }
        layout->found = layout->values + layout->n;
        for (Py_ssize_t k = 0; k < layout->n; k++) {
            layout->values[k] = PyLong_AsLongLong(PyTuple_GET_ITEM(values, k));
            if (PyErr_Occurred()) return -1;
        }
    }
    return 0;
}

/* Reads a tuple of addresses. */
static int64_t **addresses_read(PyObject *tuple, Py_ssize_t *n) {
    *n = PyTuple_GET_SIZE(tuple);
    int64_t **found = PyMem_Calloc((size_t)*n + 1, sizeof *found);
    if (!found) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < *n; i++) {
        found[i] = (int64_t *)(uintptr_t)PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(tuple, i));
        if (PyErr_Occurred()) {
            PyMem_Free(found);
            *n = 0;
            return NULL;
        }
    }
    return found;
}

/* Reads a tuple of (address of a turn, count of writes). */
static int plan_watched(Plan *plan, PyObject *watched) {
    Py_ssize_t n = PyTuple_GET_SIZE(watched);
    plan->watched = PyMem_Calloc((size_t)n + 1, sizeof *plan->watched);
    if (!plan->watched) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        unsigned long long turn;
        long long writes;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(watched, i), "KL", &turn, &writes)) return -1;
        plan->watched[i] = (Watch){(const int64_t *)(uintptr_t)turn, writes};
    }
    plan->n_watched = n;
    plan->total = -1;
    return 0;
}

PyDoc_STRVAR(prepare_doc,
             "prepare(dims, pointers, keep=None, release_gil=False, written=(), sizes=(), read=(), write=(),\n"
             "        exchange=None, next=(), watched=())\n--\n\n"
             "Make the next calls with these dimensions fast.\n\n"
             "Parameters\n----------\n"
             "dims : tuple of int\n    The values behind the slots, as the entry expects them.\n"
             "pointers : tuple of int\n    Addresses of the buffers that follow inputs and outputs.\n"
             "keep : object\n    Whatever owns the memory behind `pointers`; held as long as the plan.\n"
             "release_gil : bool\n    Whether the work is large enough to let other threads run meanwhile.\n"
             "written : tuple of (int, int)\n    Addresses and sizes in bytes of memory that a call changes in place; with an\n"
             "    argument that lies there the call takes the slow path.\n"
             "sizes : tuple of tuple of int\n    What each segment after the first lays out; where a call finds other\n"
             "    sizes it takes the slow path.\n"
             "read, write : tuple of int\n    Addresses of the turns that a call takes.\n"
             "size : int\n    Bytes of working memory behind `pointers`: plans for other dimensions are dropped, the least\n"
             "    recently used first, where all together have too much.\n"
             "exchange : callable\n    Called after each successful call, before the turns end. If it returns True, the\n"
             "    next call uses the other table of buffers; otherwise, or if it raises, the plan is dropped.\n"
             "next : tuple of int\n    The addresses in that other table, in the order of `pointers`.\n"
             "watched : tuple of (int, int)\n    Addresses of turns, with counts of writes: a call takes the slow path if\n"
             "    a variable has been written to since.\n\n"
             "Returns\n-------\nbool\n"
             "    False if a call of a plan for the same arguments is under way, which then stays.");

/* Whether two plans fit the same arguments. With an `exchange` there is one plan only: another would keep old addresses. */
static int same_inputs(const Launcher *self, const Plan *a, const Plan *b) {
    for (Py_ssize_t i = 0; i < self->n_inputs; i++) {
        const Spec *spec = self->inputs + i;
        for (int k = 0; k < spec->ndim; k++)
            if (spec->fixed[k] < 0 && a->dims[spec->slot[k]] != b->dims[spec->slot[k]]) return 0;
    }
    return 1;
}

/* Drops plans that are not running, the least recently used first, as long as they are too many or too large. */
static void plans_limit(Launcher *self, Py_ssize_t most, Py_ssize_t from) {
    size_t bytes = 0;
    for (Py_ssize_t i = 0; i < self->n_plans; i++) bytes += self->plans[i]->bytes;
    for (Py_ssize_t i = self->n_plans - 1; i >= from && (self->n_plans > most || bytes > PLANS_BYTES); i--) {
        if (i >= self->n_plans || self->plans[i]->busy) continue;
        bytes -= self->plans[i]->bytes;
        plan_drop(self, i);
    }
}

static PyObject *launcher_prepare(Launcher *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"dims",  "pointers", "keep", "release_gil", "written", "sizes",
                            "read",  "write",    "size", "exchange",    "next",    "watched", NULL};
    Py_ssize_t size = 0;
    PyObject *dims, *pointers, *keep = Py_None, *written = NULL, *sizes = NULL, *read = NULL, *write = NULL;
    PyObject *exchange = Py_None, *next = NULL, *watched = NULL;
    int release_gil = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!|OpO!O!O!O!nOO!O!", names, &PyTuple_Type, &dims, &PyTuple_Type,
                                     &pointers, &keep, &release_gil, &PyTuple_Type, &written, &PyTuple_Type, &sizes,
                                     &PyTuple_Type, &read, &PyTuple_Type, &write, &size, &exchange, &PyTuple_Type, &next,
                                     &PyTuple_Type, &watched))
        return NULL;
    if ((sizes ? PyTuple_GET_SIZE(sizes) : 0) != self->segments - 1)
        return PyErr_Format(PyExc_ValueError, "sizes: expected a tuple for each of %zd segments", self->segments - 1);
    if (((read && PyTuple_GET_SIZE(read)) || (write && PyTuple_GET_SIZE(write))) && !lock_acquire)
        return PyErr_Format(PyExc_ValueError, "read, write: turns need set_turns first");
    Py_ssize_t n_dims = PyTuple_GET_SIZE(dims), rest = self->n_buffers - self->n_inputs - self->n_outputs;
    if (n_dims <= self->max_slot)
        return PyErr_Format(PyExc_ValueError, "dims: %zd given, slot %d is in use", n_dims, self->max_slot);
    if (PyTuple_GET_SIZE(pointers) != rest)
        return PyErr_Format(PyExc_ValueError, "pointers: %zd given, %zd expected", PyTuple_GET_SIZE(pointers), rest);
    const int exchanges = exchange != Py_None;
    if (exchanges && (!PyCallable_Check(exchange) || !next || PyTuple_GET_SIZE(next) != rest))
        return PyErr_Format(PyExc_ValueError, "exchange: expected a callable, and %zd addresses in next", rest);
    Plan *plan = plan_new(self, n_dims);
    if (!plan) return PyErr_NoMemory();
    plan->release_gil = release_gil;
    plan->bytes = (size_t)size;
    plan->keep = Py_NewRef(keep);
    if (exchanges) plan->exchange = Py_NewRef(exchange);
    if (plan_fill(self, plan, dims, pointers, exchanges ? next : NULL) < 0 || (written && plan_written(plan, written) < 0) ||
        (sizes && plan_layouts(plan, sizes) < 0) ||
        (watched && plan_watched(plan, watched) < 0) ||
        (read && !(plan->read_turns = addresses_read(read, &plan->n_read_turns))) ||
        (write && !(plan->write_turns = addresses_read(write, &plan->n_write_turns)))) {
        plan_release(plan);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < self->n_plans; i++) {
        if (!exchanges && !same_inputs(self, self->plans[i], plan)) continue;
        if (self->plans[i]->busy) {
            plan_release(plan);
            Py_RETURN_FALSE;
        }
        plan_drop(self, i--);
    }
    plans_limit(self, PLANS - 1, 0); /* dropping plans can run other Python code: room is made until there is some */
    while (self->n_plans >= PLANS) plan_drop(self, self->n_plans - 1);
    for (Py_ssize_t i = self->n_plans++; i > 0; i--) self->plans[i] = self->plans[i - 1];
    self->plans[0] = plan;
    plans_limit(self, PLANS, 1);
    Py_RETURN_TRUE;
}

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
