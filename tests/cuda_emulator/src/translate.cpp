// Two things need more than a header: `extern __shared__ T name[];`, since no macro can tell it from a static array, and
// the kernels' names, since a launch asks for them by name. Both are found among the source's words.
#include "translate.h"

#include <ctype.h>

namespace emulator {

namespace {

struct Word {
    std::string text;
    size_t start, end;
};

bool is_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

// The end of a comment, string or character constant that starts at `i`; `i` itself if there is none.
size_t skipped(const std::string &s, size_t i) {
    if (s.compare(i, 2, "//") == 0) {
        size_t end = s.find('\n', i);
        return end == std::string::npos ? s.size() : end;
    }
    if (s.compare(i, 2, "/*") == 0) {
        size_t end = s.find("*/", i + 2);
        return end == std::string::npos ? s.size() : end + 2;
    }
    bool separator = s[i] == '\'' && i && isalnum((unsigned char)s[i - 1]);  // as in 1'000
    if ((s[i] == '"' || s[i] == '\'') && !separator) {
        size_t end = i + 1;
        while (end < s.size() && s[end] != s[i] && s[end] != '\n') end += s[end] == '\\' ? 2 : 1;
        return end + 1 < s.size() ? end + 1 : s.size();
    }
    return i;
}

std::vector<Word> words_of(const std::string &s) {
    std::vector<Word> words;
    for (size_t i = 0; i < s.size();) {
        size_t next = skipped(s, i);
        if (next != i) {
            i = next;
        } else if (isspace((unsigned char)s[i])) {
            ++i;
        } else {
            size_t end = i + 1;
            if (is_name(s[i]))
                while (end < s.size() && is_name(s[end])) ++end;
            words.push_back({s.substr(i, end - i), i, end});
            i = end;
        }
    }
    return words;
}

// The index behind the parenthesis that closes the one at `i`.
size_t behind_parentheses(const std::vector<Word> &words, size_t i) {
    int depth = 0;
    for (; i < words.size(); ++i) {
        if (words[i].text == "(") ++depth;
        if (words[i].text == ")" && --depth == 0) return i + 1;
    }
    return words.size();
}

// `extern __shared__ [__align__(n)] T name[];` with its words at [i, end), end at the semicolon.
bool dynamic_array(const std::vector<Word> &words, size_t i, size_t &type, size_t &end) {
    if (words[i].text != "extern" || i + 1 >= words.size() || words[i + 1].text != "__shared__") return false;
    type = i + 2;
    while (type + 1 < words.size() && words[type + 1].text == "(") type = behind_parentheses(words, type + 1);
    for (end = type; end < words.size() && words[end].text != ";"; ++end) {}
    return end < words.size() && end >= type + 4 && words[end - 1].text == "]" && words[end - 2].text == "[";
}

// A kernel's line EMULATOR_KERNEL(name, launch bounds), if one is declared at `i`.
std::string kernel_at(const std::string &source, const std::vector<Word> &words, size_t i) {
    if (words[i].text != "__global__") return "";
    if (i && words[i - 1].text == ">") return "";  // a template: nobody can ask for it by name
    std::string bounds;
    for (++i; i + 1 < words.size() && words[i].text != ";" && words[i].text != "{"; ++i) {
        if (words[i + 1].text != "(") continue;
        size_t behind = behind_parentheses(words, i + 1);
        if (words[i].text != "__launch_bounds__") {
            if (words[i].text == "__maxnreg__") { i = behind - 1; continue; }
            return "EMULATOR_KERNEL(" + words[i].text + bounds + ")";
        }
        bounds = ", " + source.substr(words[i + 1].end, words[behind - 1].start - words[i + 1].end);
        i = behind - 1;
    }
    return "";
}

std::string newlines(const std::string &text) {
    std::string only;
    for (char c : text)
        if (c == '\n') only += c;
    return only;
}

}  // namespace

Translated translate(const std::string &source) {
    Translated result;
    std::vector<Word> words = words_of(source);
    size_t copied = 0;
    for (size_t i = 0; i < words.size(); ++i) {
        size_t type, end;
        if (dynamic_array(words, i, type, end)) {
            const Word &name = words[end - 3];
            std::string element = source.substr(words[type].start, name.start - words[type].start);
            std::string whole = source.substr(words[i].start, words[end].end - words[i].start);
            result.text += source.substr(copied, words[i].start - copied);
            result.text += "EMULATOR_DYNAMIC_SHARED(" + element + ", " + name.text + ");";
            std::string lost = newlines(whole).substr(newlines(element).size());
            result.text += lost;
            copied = words[end].end;
            i = end;
            continue;
        }
        std::string kernel = kernel_at(source, words, i);
        bool known = false;
        for (const std::string &other : result.kernels) known |= other == kernel;
        if (!kernel.empty() && !known) result.kernels.push_back(kernel);
    }
    result.text += source.substr(copied);
    return result;
}

}  // namespace emulator
