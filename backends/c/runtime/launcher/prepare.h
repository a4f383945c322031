/* Plans are made of what Python prepared; the least recently used are dropped. */

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
