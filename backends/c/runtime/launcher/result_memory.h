/* Memory for large results of compiled functions.
 *
 * Fresh pages cost more than most kernels that fill them, so a block returns to a list when its array dies.  Everything
 * here runs under the GIL.
 */
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { POOL_SLOTS = 64 };
static const size_t POOL_LEAST = 1 << 16, HUGE_PAGE = 1 << 21;
static size_t pool_limit = (size_t)1 << 30, pool_bytes;
static struct {
    void *data;
    size_t size;
} pool[POOL_SLOTS];
static int pool_count;

typedef struct {
    PyObject_HEAD
    void *data;
    size_t size;
} Block;

static size_t block_size(size_t bytes) {
    size_t step = bytes >= HUGE_PAGE ? HUGE_PAGE : 4096;
    return (bytes + step - 1) / step * step;
}

static void pool_remove(int i) {
    pool_bytes -= pool[i].size;
    pool_count--;
    memmove(pool + i, pool + i + 1, (size_t)(pool_count - i) * sizeof *pool);
}

/* `size` is that of the block, of which the first `bytes` are written: only whole huge pages of these are asked for. */
static void *pool_take(size_t size, size_t bytes) {
    for (int i = pool_count - 1; i >= 0; i--) {
        if (pool[i].size != size) continue;
        void *data = pool[i].data;
        pool_remove(i);
        return data;
    }
    void *data = NULL;
    if (posix_memalign(&data, size >= HUGE_PAGE ? HUGE_PAGE : 64, size)) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (size >= HUGE_PAGE) madvise(data, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return data;
}

static void pool_drop(int i) {
    free(pool[i].data);
    pool_remove(i);
}

static void pool_give(void *data, size_t size) {
    if (size > pool_limit) {
        free(data);
        return;
    }
    /* The oldest blocks go first: sizes that nobody asks for any more. */
    while (pool_count && (pool_count == POOL_SLOTS || pool_bytes + size > pool_limit)) pool_drop(0);
    pool[pool_count].data = data;
    pool[pool_count++].size = size;
    pool_bytes += size;
}

static void block_dealloc(Block *self) {
    pool_give(self->data, self->size);
    PyObject_Free(self);
}

static PyTypeObject BlockType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "symc_launcher.Block",
    .tp_basicsize = sizeof(Block),
    .tp_dealloc = (destructor)block_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Memory of an array, given back to the pool when the array dies.",
};

static PyObject *pooled_array(int ndim, const npy_intp *shape, int typenum, size_t bytes) {
    size_t size = block_size(bytes);
    void *data = pool_take(size, bytes);
    if (!data) return PyErr_NoMemory();
    Block *block = PyObject_New(Block, &BlockType);
    if (!block) {
        pool_give(data, size);
        return NULL;
    }
    block->data = data;
    block->size = size;
    PyObject *array = PyArray_SimpleNewFromData(ndim, (npy_intp *)shape, typenum, data);
    if (!array) {
        Py_DECREF(block);
        return NULL;
    }
    if (PyArray_SetBaseObject((PyArrayObject *)array, (PyObject *)block) < 0) Py_CLEAR(array);
    return array;
}

PyDoc_STRVAR(empty_doc, "empty(shape, typenum, bytes)\n--\n\nA large array of `bytes` bytes in memory from the pool, uninitialised.");

static PyObject *empty_array(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *shape;
    int typenum;
    Py_ssize_t bytes;
    if (!PyArg_ParseTuple(args, "O!in", &PyTuple_Type, &shape, &typenum, &bytes)) return NULL;
    npy_intp lengths[NPY_MAXDIMS];
    if (PyTuple_GET_SIZE(shape) > NPY_MAXDIMS) return PyErr_Format(PyExc_ValueError, "an array has too many axes");
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(shape); i++) {
        lengths[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
        if (PyErr_Occurred()) return NULL;
    }
    return pooled_array((int)PyTuple_GET_SIZE(shape), lengths, typenum, (size_t)bytes);
}

PyDoc_STRVAR(limit_doc,
             "set_pool_limit(bytes)\n--\n\nKeep at most this much memory for the results of later calls.");

static PyObject *set_pool_limit(PyObject *module, PyObject *bytes) {
    (void)module;
    size_t limit = PyLong_AsSize_t(bytes);
    if (limit == (size_t)-1 && PyErr_Occurred()) return NULL;
    pool_limit = limit;
    while (pool_count && pool_bytes > pool_limit) pool_drop(0);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(held_doc, "pool_held()\n--\n\nBytes that wait in the pool for a result to use them.");

static PyObject *pool_held(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromSize_t(pool_bytes);
}
