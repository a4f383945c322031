/* What a call was prepared for: the specification of each argument, and the plans of a Launcher. */

#define PLANS 64
#define PLANS_BYTES ((size_t)4 << 20)

typedef int64_t (*entry_t)(void **buffers, int64_t *dims, int64_t segment);
typedef void (*sizes_t)(const int64_t *dims, int64_t segment, int64_t *sizes);

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
