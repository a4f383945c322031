// What a CUDA C source sees instead of NVIDIA's compiler: with this header in front, g++ compiles it for the host.
//
// No system header is included here, and none must be: NVRTC has none either, so a kernel that uses INFINITY or an
// undeclared int64_t has to fail here as it does there.
#pragma once

#include "emulator_vectors.h"

#include "emulator_kernel.h"

#include "emulator_threads.h"

#include "emulator_math.h"
