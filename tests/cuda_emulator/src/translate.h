// The little of CUDA C that a header cannot turn into C++.
#pragma once

#include <string>
#include <vector>

namespace emulator {

struct Translated {
    std::string text;                   // with as many lines as before
    std::vector<std::string> kernels;   // lines to add after the text, one for each kernel
};

Translated translate(const std::string &source);

}  // namespace emulator
