// Modules, kernels and their launch.
#include <algorithm>
#include <atomic>
#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <memory>
#include <set>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "object.h"

#define EMULATOR_DRIVER
#include "../include/emulator_kernel.h"
#include "emulator.h"

extern "C" void *__tls_get_addr(void *index);  // of the loader

using namespace emulator;

struct CUmod_st {
    void *library = nullptr;
    std::vector<Symbol> symbols;
    std::vector<std::string> kernels;
    std::vector<const void *> globals;
    std::vector<CUfunction> functions;
};

// Never deleted: a graph may hold one after its module has gone, and has to say so.
struct CUfunc_st {
    CUmodule module;  // null once that is unloaded
    std::string name;
    const emulator_kernel *kernel;
    size_t static_bytes;
    int dynamic_limit;
};

namespace {

std::set<CUmodule> modules;
std::set<CUfunction> functions;
std::atomic<size_t> launches{0};

struct Segment {
    uintptr_t base;
    size_t module, bytes;
};

int find_segment(dl_phdr_info *info, size_t, void *result) {
    Segment *segment = (Segment *)result;
    if (info->dlpi_addr != segment->base) return 0;
    segment->module = info->dlpi_tls_modid;
    for (int i = 0; i < info->dlpi_phnum; ++i)
        if (info->dlpi_phdr[i].p_type == PT_TLS) segment->bytes = info->dlpi_phdr[i].p_memsz;
    return 1;
}

// Where the static shared memory of a module is for this thread of the host: its thread-local segment.
std::pair<void *, size_t> shared_memory(CUmodule module) {
    Segment segment = {((link_map *)module->library)->l_addr, 0, 0};
    dl_iterate_phdr(find_segment, &segment);
    if (!segment.bytes) return {nullptr, 0};
    struct { unsigned long module, offset; } index = {segment.module, 0};
    return {__tls_get_addr(&index), segment.bytes};
}

CUresult load(CUmodule *module, const void *image) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_TRY(unless_capturing("cuModuleLoad"));
    EMULATOR_NEED(Object::is_elf(image), CUDA_ERROR_INVALID_PTX, "the emulated device runs no PTX, only its own objects");
    Object object(image);
    EMULATOR_NEED(!object.for_a_gpu(), CUDA_ERROR_NO_BINARY_FOR_GPU, "the module is machine code of a GPU");
    // A name of its own for each, since the loader takes equal names for equal objects.
    const char *folder = getenv("TMPDIR");
    std::string path = std::string(folder && *folder ? folder : "/tmp") + "/emulated-module-XXXXXX";
    int file = mkstemp(&path[0]);
    EMULATOR_NEED(file >= 0, CUDA_ERROR_OUT_OF_MEMORY, "no temporary file can be made like %s", path.c_str());
    bool written = write(file, image, object.bytes()) == (ssize_t)object.bytes();
    close(file);
    void *library = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
    unlink(path.c_str());
    EMULATOR_NEED(library, CUDA_ERROR_INVALID_IMAGE, "%s", written ? dlerror() : "a temporary file cannot be written");
    const Target *target = (const Target *)dlsym(library, "emulator_target");
    bool fits = target && !strcmp(target->digest, EMULATOR_DIGEST) && target->arch / 10 == 9 && target->arch <= 90;
    if (!fits) {
        dlclose(library);
        return failed(CUDA_ERROR_NO_BINARY_FOR_GPU, "%s",
                      target ? "the module is for another architecture, or another version of the emulated device"
                             : "the module was not made by the emulated NVRTC");
    }
    *module = new CUmod_st;
    (*module)->library = library;
    (*module)->symbols = object.symbols();
    (*module)->kernels = Object::kernels((*module)->symbols);
    modules.insert(*module);
    return CUDA_SUCCESS;
}

CUresult check_function(CUfunction function) {
    EMULATOR_NEED(functions.count(function), CUDA_ERROR_INVALID_HANDLE, "%p is no function", (void *)function);
    EMULATOR_NEED(function->module, CUDA_ERROR_INVALID_HANDLE, "the module of %s was unloaded", function->name.c_str());
    return CUDA_SUCCESS;
}

}  // namespace

// --- modules ---------------------------------------------------------------------------------------------------------

EMULATOR_CALL cuModuleLoadData(CUmodule *module, const void *image) { return load(module, image); }
EMULATOR_CALL cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned, CUjit_option *, void **) {
    return load(module, image);
}
EMULATOR_CALL cuModuleLoad(CUmodule *module, const char *path) {
    FILE *file = fopen(path, "rb");
    EMULATOR_NEED(file, CUDA_ERROR_FILE_NOT_FOUND, "%s cannot be read", path);
    std::vector<char> image;
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file));) image.insert(image.end(), buffer, buffer + n);
    fclose(file);
    image.resize(std::max(image.size(), sizeof(Elf64_Ehdr)));
    return load(module, image.data());
}

EMULATOR_CALL cuModuleUnload(CUmodule module) {
    Locked lock(device_lock);
    EMULATOR_NEED(modules.count(module), CUDA_ERROR_INVALID_HANDLE, "%p is no module", (void *)module);
    EMULATOR_TRY(unless_capturing("cuModuleUnload"));
    CUresult result = finish_all();
    for (CUfunction function : module->functions) function->module = nullptr;
    for (const void *address : module->globals) remove_global(address);
    dlclose(module->library);
    modules.erase(module);
    delete module;
    return result;
}

EMULATOR_CALL cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_NEED(modules.count(module), CUDA_ERROR_INVALID_HANDLE, "%p is no module", (void *)module);
    void *kernel = dlsym(module->library, (std::string("emulator_kernel_") + name).c_str());
    EMULATOR_NEED(kernel && dlsym(module->library, name), CUDA_ERROR_NOT_FOUND,
                  kernel ? "the kernel %s is not extern \"C\"" : "the module has no kernel %s", name);
    size_t bytes = Object::shared_bytes(module->symbols, name, module->kernels);
    int limit = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK) - (int)bytes;
    *function = new CUfunc_st{module, name, (const emulator_kernel *)kernel, bytes, limit};
    functions.insert(*function);
    module->functions.push_back(*function);
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_NEED(modules.count(module), CUDA_ERROR_INVALID_HANDLE, "%p is no module", (void *)module);
    void *variable = dlsym(module->library, name);
    EMULATOR_NEED(variable, CUDA_ERROR_NOT_FOUND, "the module has no variable %s", name);
    size_t size = 0;
    for (const Symbol &symbol : module->symbols)
        if (symbol.name == name) size = symbol.bytes;
    if (std::find(module->globals.begin(), module->globals.end(), variable) == module->globals.end()) {
        module->globals.push_back(variable);
        add_global(variable, size);
    }
    if (address) *address = (CUdeviceptr)variable;
    if (bytes) *bytes = size;
    return CUDA_SUCCESS;
}

// --- functions -------------------------------------------------------------------------------------------------------

EMULATOR_CALL cuFuncGetAttribute(int *value, CUfunction_attribute which, CUfunction function) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_function(function));
    int most = (int)function->kernel->most_threads;
    switch ((int)which) {
        case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = most ? most : 1024; break;
        case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = (int)function->static_bytes; break;
        case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = 32; break;
        case CU_FUNC_ATTRIBUTE_PTX_VERSION:
        case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = 90; break;
        case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = function->dynamic_limit; break;
        default: *value = 0;
    }
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_function(function));
    if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;  // a hint
    int most = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN) - (int)function->static_bytes;
    EMULATOR_NEED(value >= 0 && value <= most, CUDA_ERROR_INVALID_VALUE,
                  "%s can have %d bytes of dynamic shared memory at most, not %d", function->name.c_str(), most, value);
    function->dynamic_limit = value;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuFuncSetCacheConfig(CUfunction, CUfunc_cache) { return CUDA_SUCCESS; }
EMULATOR_CALL cuFuncSetSharedMemConfig(CUfunction, CUsharedconfig) { return CUDA_SUCCESS; }
// PyCUDA calls these two before a launch that states the same again.
EMULATOR_CALL cuFuncSetBlockShape(CUfunction, int, int, int) { return CUDA_SUCCESS; }
EMULATOR_CALL cuFuncSetSharedSize(CUfunction, unsigned) { return CUDA_SUCCESS; }

EMULATOR_CALL cuOccupancyMaxActiveBlocksPerMultiprocessor(int *count, CUfunction function, int threads, size_t dynamic) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_function(function));
    EMULATOR_NEED(threads > 0 && threads <= 1024, CUDA_ERROR_INVALID_VALUE, "a block of %d threads", threads);
    size_t shared = function->static_bytes + dynamic + (size_t)attribute(CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK);
    size_t by_shared = (size_t)attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR) / shared;
    *count = (int)std::min({by_shared, (size_t)(2048 / ((threads + 31) / 32 * 32)), (size_t)32});
    return CUDA_SUCCESS;
}

// --- launches --------------------------------------------------------------------------------------------------------

namespace {

// Everything that a launch needs, copied: it may run later, and more than once.
struct Prepared {
    CUfunction function;
    unsigned grid[3], block[3], dynamic;
    std::vector<char> parameters;
};

CUresult check_shape(const Prepared &p) {
    const char *name = p.function->name.c_str();
    const unsigned *b = p.block, *g = p.grid;
    EMULATOR_NEED(b[0] && b[1] && b[2] && b[0] <= 1024 && b[1] <= 1024 && b[2] <= 64 && (size_t)b[0] * b[1] * b[2] <= 1024,
                  CUDA_ERROR_INVALID_VALUE, "%s: a block of (%u,%u,%u) threads cannot be", name, b[0], b[1], b[2]);
    unsigned most = p.function->kernel->most_threads;
    EMULATOR_NEED(!most || b[0] * b[1] * b[2] <= most, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
                  "%s: a block of %u threads, but __launch_bounds__ allows %u", name, b[0] * b[1] * b[2], most);
    EMULATOR_NEED(g[0] && g[1] && g[2] && g[0] <= 2147483647u && g[1] <= 65535 && g[2] <= 65535,
                  CUDA_ERROR_INVALID_VALUE, "%s: a grid of (%u,%u,%u) blocks cannot be", name, g[0], g[1], g[2]);
    EMULATOR_NEED((int)p.dynamic <= p.function->dynamic_limit, CUDA_ERROR_INVALID_VALUE,
                  "%s: %u bytes of dynamic shared memory, but %d are allowed (beside %zu static ones)", name, p.dynamic,
                  p.function->dynamic_limit, p.function->static_bytes);
    return CUDA_SUCCESS;
}

// The parameters either as pointers to each, or as one buffer in `extra`.
CUresult take_parameters(Prepared &p, void **pointers, void **extra) {
    const emulator_kernel &kernel = *p.function->kernel;
    const char *name = p.function->name.c_str();
    p.parameters.resize((kernel.bytes + 7) / 8 * 8 + 8);
    if (pointers) {
        for (unsigned i = 0; i < kernel.count; ++i) {
            EMULATOR_NEED(pointers[i], CUDA_ERROR_INVALID_VALUE, "%s: parameter %u is missing", name, i);
            memcpy(&p.parameters[kernel.parameters[i].offset], pointers[i], kernel.parameters[i].bytes);
        }
        return CUDA_SUCCESS;
    }
    const void *buffer = nullptr;
    size_t bytes = 0;
    for (; extra && *extra != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[1];
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *(const size_t *)extra[1];
    }
    bool fits = bytes == kernel.bytes || bytes == (kernel.bytes + 7) / 8 * 8;
    EMULATOR_NEED(fits && (buffer || !bytes), CUDA_ERROR_INVALID_VALUE,
                  "%s: %zu bytes of parameters, but it takes %u in %u parameters", name, bytes, kernel.bytes, kernel.count);
    if (bytes) memcpy(p.parameters.data(), buffer, bytes);
    return CUDA_SUCCESS;
}

CUresult check_pointers(const Prepared &p) {
    const emulator_kernel &kernel = *p.function->kernel;
    for (unsigned i = 0; i < kernel.count; ++i) {
        if (!kernel.parameters[i].pointer) continue;
        const void *address;
        memcpy(&address, &p.parameters[kernel.parameters[i].offset], sizeof address);
        EMULATOR_NEED(is_valid_parameter(address), CUDA_ERROR_ILLEGAL_ADDRESS, "%s: parameter %u is %s",
                      p.function->name.c_str(), i, describe(address));
    }
    return CUDA_SUCCESS;
}

// The variable of shared memory that has the byte; its name is mangled, like _ZZ3sumE4part.
const char *shared_name(CUmodule module, size_t byte) {
    static char text[200];
    for (const Symbol &symbol : module->symbols) {
        if (!symbol.shared_memory || byte - symbol.offset >= symbol.bytes) continue;
        int status;
        char *readable = abi::__cxa_demangle(symbol.name.c_str(), nullptr, nullptr, &status);
        snprintf(text, sizeof text, "the shared variable %s", readable ? readable : symbol.name.c_str());
        free(readable);
        return text;
    }
    return "static shared memory";
}

CUresult execute(const Prepared &p) {
    EMULATOR_TRY(check_function(p.function));
    EMULATOR_TRY(check_pointers(p));
    ++launches;
    auto [memory, bytes] = shared_memory(p.function->module);
    const char *name = p.function->name.c_str();
    Launch launch = {name, p.function->kernel->call, p.parameters.data(), {p.grid[0], p.grid[1], p.grid[2]},
                     {p.block[0], p.block[1], p.block[2]}, p.dynamic, memory, bytes,
                     [&](size_t byte) { return shared_name(p.function->module, byte); }};
    EMULATOR_TRY(run(launch));
    return check_padding(name);
}

}  // namespace

EMULATOR_CALL cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                             unsigned block_y, unsigned block_z, unsigned dynamic, CUstream stream, void **parameters,
                             void **extra) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_TRY(check_function(function));
    Prepared launch = {function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, dynamic, {}};
    EMULATOR_TRY(check_shape(launch));
    EMULATOR_TRY(take_parameters(launch, parameters, extra));
    return submit(stream, function->name.c_str(), [launch = std::move(launch)] { return execute(launch); });
}

// --- for tests -------------------------------------------------------------------------------------------------------

EMULATOR_API size_t emulator_launches() { return launches; }
