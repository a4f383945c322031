// Switching between stacks: the few lines of assembly under the emulated threads.
#pragma once

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
// What the System V ABI lets a callee keep: rbx, rbp, r12 to r15, and the stack pointer.
asm(".text\n"
    ".type emulator_switch, @function\n"
    "emulator_switch:\n"
    "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rsp, (%rdi)\n"
    "    mov %rsi, %rsp\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
    "    ret\n"
    ".size emulator_switch, . - emulator_switch\n");
#elif defined(__aarch64__)
// What AAPCS64 lets a callee keep: x19 to x28, frame pointer, link register, and the lower halves of v8 to v15.
asm(".text\n"
    ".type emulator_switch, %function\n"
    "emulator_switch:\n"
    "    sub sp, sp, #160\n"
    "    stp x19, x20, [sp]\n         stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
    "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
    "    stp d8, d9, [sp, #96]\n      stp d10, d11, [sp, #112]\n   stp d12, d13, [sp, #128]\n"
    "    stp d14, d15, [sp, #144]\n"
    "    mov x9, sp\n"
    "    str x9, [x0]\n"
    "    mov sp, x1\n"
    "    ldp x19, x20, [sp]\n         ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
    "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
    "    ldp d8, d9, [sp, #96]\n      ldp d10, d11, [sp, #112]\n   ldp d12, d13, [sp, #128]\n"
    "    ldp d14, d15, [sp, #144]\n"
    "    add sp, sp, #160\n"
    "    ret\n"
    ".size emulator_switch, . - emulator_switch\n");
#else
#error "the emulated device switches stacks on x86-64 and aarch64 only"
#endif

namespace emulator {

typedef void *StackPointer;  // the registers lie on the stack, so its pointer is all there is to a fiber

// Saves the running fiber to `from` and goes on with `to`.
extern "C" void emulator_switch(StackPointer *from, StackPointer to) __asm__("emulator_switch");

// A fiber that has not run yet: switching to it enters `body`, which must not return.
inline StackPointer fresh_fiber(char *stack, size_t bytes, void (*body)()) {
    void **top = (void **)(stack + bytes);
#if defined(__x86_64__)
    *--top = nullptr;       // where a return address would lie: keeps the stack aligned as after a call
    *--top = (void *)body;  // what `ret` returns to
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
#else
    top -= 20;
    memset(top, 0, 20 * sizeof *top);
    top[11] = (void *)body;  // x30, what `ret` returns to
#endif
    return top;
}

}  // namespace emulator
