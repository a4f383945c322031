/* Calls that write to a shared variable take turns with all others that use it: see symc/runtime/turns.py. */

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
