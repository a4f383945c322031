// Operands as the device's faster arithmetic rounds them.
#pragma once

#include <stdint.h>
#include <string.h>

namespace emulator {

// To nearest even with `dropped` bits of a float's mantissa less; NaN and infinity stay.
inline float rounded(float x, int dropped) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if ((u & 0x7f800000u) == 0x7f800000u) return x;
    u += (1u << (dropped - 1)) - 1 + (u >> dropped & 1);
    u &= ~((1u << dropped) - 1);
    memcpy(&x, &u, sizeof x);
    return x;
}

inline float to_tf32(float x) { return rounded(x, 13); }      // 10 bits of 23
inline float to_bfloat16(float x) { return rounded(x, 16); }  // 7 bits

}  // namespace emulator
