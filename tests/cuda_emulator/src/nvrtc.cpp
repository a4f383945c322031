// NVRTC for the emulated device: compiles CUDA C with the host's g++ to a shared object, which it calls a cubin.
#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <initializer_list>
#include <mutex>
#include <set>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "object.h"
#include "translate.h"

#ifdef EMULATOR_NVIDIA_HEADERS
#include <nvrtc.h>
#else
typedef struct _nvrtcProgram *nvrtcProgram;
typedef enum {
    NVRTC_SUCCESS = 0,
    NVRTC_ERROR_OUT_OF_MEMORY = 1,
    NVRTC_ERROR_INVALID_INPUT = 3,
    NVRTC_ERROR_INVALID_PROGRAM = 4,
    NVRTC_ERROR_INVALID_OPTION = 5,
    NVRTC_ERROR_COMPILATION = 6,
    NVRTC_ERROR_INTERNAL_ERROR = 11
} nvrtcResult;
#endif

#define NVRTC_CALL extern "C" __attribute__((visibility("default"))) nvrtcResult

extern char **environ;

struct _nvrtcProgram {
    std::string source, name;
    std::vector<std::string> header_texts, header_names;
    std::string log, cubin;
};

namespace {

const std::vector<int> ARCHS = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};
constexpr size_t MOST_STATIC_SHARED = 48 << 10;

std::set<nvrtcProgram> programs;
std::mutex programs_lock;  // compilations themselves run side by side

bool is_program(nvrtcProgram program) {
    std::lock_guard<std::mutex> lock(programs_lock);
    return programs.count(program);
}

// --- options ---------------------------------------------------------------------------------------------------------

struct Options {
    std::vector<std::string> flags;  // for g++
    int arch = 75;
    bool machine_code = false;
};

// What has no meaning for the host; with or without a value.
const std::vector<std::string> IGNORED = {
    "fmad", "ftz", "prec-sqrt", "prec-div", "use_fast_math", "extra-device-vectorization", "device-debug", "G",
    "generate-line-info", "lineinfo", "maxrregcount", "restrict", "default-device", "disable-warnings", "w",
    "ptxas-options", "Xptxas", "dopt", "minimal", "device-int128", "split-compile", "no-cache", "display-error-number",
    "no-display-error-number", "diag-suppress", "diag-warn", "diag-error", "relocatable-device-code", "rdc",
};

bool take_option(Options &options, const std::string &name, const std::string &value, std::string &problem) {
    if (name == "gpu-architecture" || name == "arch") {
        if (sscanf(value.c_str(), "sm_%d", &options.arch) == 1) options.machine_code = true;
        else if (sscanf(value.c_str(), "compute_%d", &options.arch) != 1) options.arch = 0;
        for (int arch : ARCHS)
            if (arch == options.arch) return true;
        problem = "invalid value for --gpu-architecture (-arch): " + value;
        return false;
    }
    if (name == "std") return options.flags.push_back("-std=" + value), true;
    if (name == "define-macro" || name == "D") return options.flags.push_back("-D" + value), true;
    if (name == "undefine-macro" || name == "U") return options.flags.push_back("-U" + value), true;
    if (name == "include-path" || name == "I") return options.flags.push_back("-I" + value), true;
    for (const std::string &known : IGNORED)
        if (name == known) return true;
    problem = "unrecognized option: " + name;
    return false;
}

// --name=value, --name value, -name=value, -Dvalue, -D value
bool read_options(Options &options, int count, const char *const *words, std::string &problem) {
    static const std::set<std::string> short_ones = {"D", "U", "I"};
    static const std::set<std::string> with_value = {"gpu-architecture", "arch", "std", "define-macro", "undefine-macro",
                                                     "include-path", "D", "U", "I", "maxrregcount", "ptxas-options"};
    for (int i = 0; i < count; ++i) {
        std::string word = words[i];
        bool is_long = word.compare(0, 2, "--") == 0;
        std::string name = word.substr(is_long ? 2 : word[0] == '-');
        std::string value;
        bool has_value = false;
        size_t equals = name.find('=');
        if (!is_long && name.size() > 1 && short_ones.count(name.substr(0, 1))) {
            value = name.substr(1), name = name.substr(0, 1), has_value = true;
        } else if (equals != std::string::npos) {
            value = name.substr(equals + 1), name = name.substr(0, equals), has_value = true;
        }
        if (!has_value && with_value.count(name)) {
            if (i + 1 == count) return problem = "option without a value: " + word, false;
            value = words[++i];
        }
        if (!take_option(options, name, value, problem)) return false;
    }
    return true;
}

// --- the host's compiler -----------------------------------------------------------------------------------------------

std::string own_folder() {
    static std::string folder = [] {
        Dl_info info;
        dladdr((void *)&programs, &info);
        std::string path = info.dli_fname;
        return path.substr(0, path.rfind('/'));
    }();
    return folder;
}

int remove_entry(const char *path, const struct stat *, int, struct FTW *) { return remove(path); }

class Scratch {
  public:
    std::string folder;
    Scratch() {
        const char *base = getenv("TMPDIR");
        folder = std::string(base && *base ? base : "/tmp") + "/emulated-nvrtc-XXXXXX";
        if (!mkdtemp(&folder[0])) folder.clear();
    }
    ~Scratch() {
        if (!folder.empty()) nftw(folder.c_str(), remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    }
    std::string path(const std::string &name) const { return folder + "/" + name; }
};

bool write_file(const std::string &path, const std::string &text) {
    FILE *file = fopen(path.c_str(), "wb");
    if (!file) return false;
    bool done = fwrite(text.data(), 1, text.size(), file) == text.size();
    return fclose(file) == 0 && done;
}

std::string read_file(const std::string &path) {
    std::string text;
    if (FILE *file = fopen(path.c_str(), "rb")) {
        char buffer[1 << 14];
        for (size_t n; (n = fread(buffer, 1, sizeof buffer, file));) text.append(buffer, n);
        fclose(file);
    }
    return text;
}

// Headers may have folders in their names.
bool write_header(const Scratch &scratch, const std::string &name, const std::string &text) {
    for (size_t i = name.find('/'); i != std::string::npos; i = name.find('/', i + 1))
        mkdir(scratch.path("headers/" + name.substr(0, i)).c_str(), 0700);
    return write_file(scratch.path("headers/" + name), text);
}

int run(const std::vector<std::string> &command, const std::string &output) {
    std::vector<char *> words;
    for (const std::string &word : command) words.push_back((char *)word.c_str());
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t child;
    int status = -1;
    bool started = posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    if (!started || waitpid(child, &status, 0) < 0) return -1;
    return status;
}

// `file:3:5: error: text` as NVRTC writes it: `file(3): error: text`.
std::string nvrtc_style(const std::string &log) {
    std::string result;
    for (size_t i = 0; i < log.size();) {
        size_t end = log.find('\n', i);
        if (end == std::string::npos) end = log.size();
        std::string line = log.substr(i, end - i);
        i = end + 1;
        for (const char *kind : {": error: ", ": fatal error: ", ": warning: ", ": note: "}) {
            size_t at = line.find(kind);
            if (at == std::string::npos) continue;
            size_t column = line.rfind(':', at - 1);
            size_t number = column == std::string::npos ? column : line.rfind(':', column - 1);
            if (number == std::string::npos) continue;
            line = line.substr(0, number) + "(" + line.substr(number + 1, column - number - 1) + ")" + line.substr(at);
            break;
        }
        result += line + "\n";
    }
    return result;
}

std::vector<std::string> command(const Options &options, const Scratch &scratch) {
    std::string include = own_folder() + "/include", arch = std::to_string(options.arch * 10);
    std::vector<std::string> words = {EMULATOR_KERNEL_COMPILER};
    words.insert(words.end(), {"-include", include + "/cuda_on_host.h", "-I" + scratch.path("headers")});
    words.insert(words.end(), options.flags.begin(), options.flags.end());  // a later -std wins
    // After the user's folders, as for any compiler's own headers; and no others, since NVRTC has none.
    words.insert(words.end(), {"-nostdinc", "-idirafter", include});
    words.insert(words.end(), {"-D__CUDA_ARCH__=" + arch, "-D__CUDACC_RTC__", "-D__CUDACC__", "-D__NVCC__",
                               "-D__CUDACC_VER_MAJOR__=13", "-D__CUDACC_VER_MINOR__=0"});
    words.insert(words.end(), {scratch.path("kernels.cpp"), "-o", scratch.path("kernels.so"), own_folder() + "/libcuda.so.1"});
    return words;
}

// What ptxas would refuse.
std::string resource_problem(const std::string &cubin) {
    std::vector<emulator::Symbol> symbols = emulator::Object(cubin.data()).symbols();
    std::vector<std::string> kernels = emulator::Object::kernels(symbols);
    for (const std::string &kernel : kernels) {
        size_t bytes = emulator::Object::shared_bytes(symbols, kernel, kernels);
        if (bytes > MOST_STATIC_SHARED)
            return "error: entry function '" + kernel + "' uses too much shared data (" + std::to_string(bytes) +
                   " bytes, " + std::to_string(MOST_STATIC_SHARED) + " max)\n";
    }
    return "";
}

nvrtcResult compile(nvrtcProgram program, const Options &options) {
    Scratch scratch;
    if (scratch.folder.empty()) return NVRTC_ERROR_INTERNAL_ERROR;
    mkdir(scratch.path("headers").c_str(), 0700);
    for (size_t i = 0; i < program->header_names.size(); ++i)
        write_header(scratch, program->header_names[i], emulator::translate(program->header_texts[i]).text);
    emulator::Translated translated = emulator::translate(program->source);
    std::string text = "#line 1 \"" + program->name + "\"\n" + translated.text + "\n#line 1 \"(emulator)\"\n";
    for (const std::string &kernel : translated.kernels) text += kernel + "\n";
    text += "extern \"C\" const struct { int arch; char digest[68]; } emulator_target = {" +
            std::to_string(options.arch) + ", \"" EMULATOR_DIGEST "\"};\n";
    if (!write_file(scratch.path("kernels.cpp"), text)) return NVRTC_ERROR_INTERNAL_ERROR;
    int status = run(command(options, scratch), scratch.path("log"));
    program->log = nvrtc_style(read_file(scratch.path("log")));
    if (status) {
        program->log += "compilation failed\n";
        return NVRTC_ERROR_COMPILATION;
    }
    std::string cubin = read_file(scratch.path("kernels.so"));
    std::string problem = resource_problem(cubin);
    program->log += problem;
    if (!problem.empty()) return NVRTC_ERROR_COMPILATION;
    if (options.machine_code) program->cubin = cubin;
    return NVRTC_SUCCESS;
}

}  // namespace

// --- the interface -----------------------------------------------------------------------------------------------------

#define NEED_PROGRAM(program) \
    if (!is_program(program)) return NVRTC_ERROR_INVALID_PROGRAM

NVRTC_CALL nvrtcVersion(int *major, int *minor) {
    *major = 13;
    *minor = 0;
    return NVRTC_SUCCESS;
}

NVRTC_CALL nvrtcGetNumSupportedArchs(int *count) {
    *count = (int)ARCHS.size();
    return NVRTC_SUCCESS;
}

NVRTC_CALL nvrtcGetSupportedArchs(int *archs) {
    memcpy(archs, ARCHS.data(), ARCHS.size() * sizeof(int));
    return NVRTC_SUCCESS;
}

extern "C" __attribute__((visibility("default"))) const char *nvrtcGetErrorString(nvrtcResult result) {
    switch (result) {
        case NVRTC_SUCCESS: return "NVRTC_SUCCESS";
        case NVRTC_ERROR_OUT_OF_MEMORY: return "NVRTC_ERROR_OUT_OF_MEMORY";
        case NVRTC_ERROR_INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
        case NVRTC_ERROR_INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
        case NVRTC_ERROR_INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
        case NVRTC_ERROR_COMPILATION: return "NVRTC_ERROR_COMPILATION";
        default: return "NVRTC_ERROR_INTERNAL_ERROR";
    }
}

NVRTC_CALL nvrtcCreateProgram(nvrtcProgram *program, const char *source, const char *name, int header_count,
                              const char *const *headers, const char *const *include_names) {
    if (!program || !source || header_count < 0 || (header_count && (!headers || !include_names)))
        return NVRTC_ERROR_INVALID_INPUT;
    *program = new _nvrtcProgram{source, name && *name ? name : "default_program", {}, {}, "", ""};
    for (int i = 0; i < header_count; ++i) {
        (*program)->header_texts.push_back(headers[i]);
        (*program)->header_names.push_back(include_names[i]);
    }
    std::lock_guard<std::mutex> lock(programs_lock);
    programs.insert(*program);
    return NVRTC_SUCCESS;
}

NVRTC_CALL nvrtcDestroyProgram(nvrtcProgram *program) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    NEED_PROGRAM(*program);
    std::lock_guard<std::mutex> lock(programs_lock);
    programs.erase(*program);
    delete *program;
    *program = nullptr;
    return NVRTC_SUCCESS;
}

NVRTC_CALL nvrtcCompileProgram(nvrtcProgram program, int count, const char *const *words) {
    NEED_PROGRAM(program);
    Options options;
    program->cubin.clear();
    if (!read_options(options, count, words, program->log)) return NVRTC_ERROR_INVALID_OPTION;
    return compile(program, options);
}

NVRTC_CALL nvrtcGetProgramLogSize(nvrtcProgram program, size_t *bytes) {
    NEED_PROGRAM(program);
    *bytes = program->log.size() + 1;
    return NVRTC_SUCCESS;
}

NVRTC_CALL nvrtcGetProgramLog(nvrtcProgram program, char *log) {
    NEED_PROGRAM(program);
    memcpy(log, program->log.c_str(), program->log.size() + 1);
    return NVRTC_SUCCESS;
}

// No machine code for compute_xx, as in reality: that asks for PTX.
NVRTC_CALL nvrtcGetCUBINSize(nvrtcProgram program, size_t *bytes) {
    NEED_PROGRAM(program);
    *bytes = program->cubin.size();
    return NVRTC_SUCCESS;
}

NVRTC_CALL nvrtcGetCUBIN(nvrtcProgram program, char *cubin) {
    NEED_PROGRAM(program);
    if (program->cubin.empty()) return NVRTC_ERROR_INVALID_PROGRAM;
    memcpy(cubin, program->cubin.data(), program->cubin.size());
    return NVRTC_SUCCESS;
}
