/* A call without Python code: arguments are compared with the plans, outputs allocated, segments run. */

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
