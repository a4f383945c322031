// Reads the ELF shared object that stands for a cubin.
#pragma once

#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <string>
#include <vector>

namespace emulator {

// Exported by every compiled object as `emulator_target`; a driver of other sources refuses it.
struct Target {
    int arch;
    char digest[68];
};

struct Symbol {
    std::string name;
    size_t bytes;
    bool shared_memory;
    size_t offset;  // of shared memory: from its start
};

class Object {
    const char *image;
    const Elf64_Ehdr *header;
    const Elf64_Shdr *sections;

  public:
    explicit Object(const void *image)
        : image((const char *)image), header((const Elf64_Ehdr *)image),
          sections((const Elf64_Shdr *)((const char *)image + header->e_shoff)) {}

    static bool is_elf(const void *image) { return !memcmp(image, ELFMAG, SELFMAG); }
    bool for_a_gpu() const { return header->e_machine == 190; }

    size_t bytes() const {
        size_t end = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
        for (int i = 0; i < header->e_shnum; ++i)
            if (sections[i].sh_type != SHT_NOBITS && sections[i].sh_offset + sections[i].sh_size > end)
                end = sections[i].sh_offset + sections[i].sh_size;
        return end;
    }

    std::vector<Symbol> symbols() const {
        std::vector<Symbol> found;
        for (int i = 0; i < header->e_shnum; ++i) {
            if (sections[i].sh_type != SHT_SYMTAB) continue;
            const Elf64_Sym *symbol = (const Elf64_Sym *)(image + sections[i].sh_offset);
            const char *names = image + sections[sections[i].sh_link].sh_offset;
            for (size_t n = sections[i].sh_size / sizeof *symbol; n; --n, ++symbol)
                if (symbol->st_shndx != SHN_UNDEF)
                    found.push_back({names + symbol->st_name, symbol->st_size, ELF64_ST_TYPE(symbol->st_info) == STT_TLS,
                                     symbol->st_value});
        }
        return found;
    }

    // Static shared memory of one kernel: its own variables, plus those of functions it may call (we cannot see
    // which, and count them all).
    static size_t shared_bytes(const std::vector<Symbol> &symbols, const std::string &kernel,
                               const std::vector<std::string> &kernels) {
        size_t bytes = 0;
        for (const Symbol &symbol : symbols) {
            if (!symbol.shared_memory) continue;
            bool others = false;
            for (const std::string &other : kernels) others |= other != kernel && is_local_of(symbol.name, other);
            if (!others) bytes += symbol.bytes;
        }
        return bytes;
    }

    static std::vector<std::string> kernels(const std::vector<Symbol> &symbols) {
        static const std::string prefix = "emulator_kernel_";
        std::vector<std::string> names;
        for (const Symbol &symbol : symbols)
            if (symbol.name.compare(0, prefix.size(), prefix) == 0) names.push_back(symbol.name.substr(prefix.size()));
        return names;
    }

  private:
    // Local variables of the function f have names that begin with _ZZ1fE.
    static bool is_local_of(const std::string &variable, const std::string &function) {
        std::string start = "_ZZ" + std::to_string(function.size()) + function + "E";
        return variable.compare(0, start.size(), start) == 0;
    }
};

}  // namespace emulator
