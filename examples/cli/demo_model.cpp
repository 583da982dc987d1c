#include "examples/cli/demo_model.h"

// The assembler includes the file (TYTO_DEMO_MODEL, its path) at no cost in compile time; an array
// of bytes in C++ would take minutes. Compilers without GNU assembler syntax build a program that
// has no demo model.
#if defined(__GNUC__)
#if defined(__APPLE__)
#define SECTION ".const_data"
#elif defined(_WIN32)
#define SECTION ".section .rdata"
#else
#define SECTION ".section .rodata"
#endif
__asm__(SECTION
        "\n.balign 64\n"
        "tyto_demo_model:\n.incbin \"" TYTO_DEMO_MODEL
        "\"\n"
        "tyto_demo_model_end:\n.byte 0\n.text\n");
extern const std::byte demo_begin[] __asm__("tyto_demo_model");
extern const std::byte demo_end[] __asm__("tyto_demo_model_end");

std::span<const std::byte> demo_model() { return {demo_begin, demo_end}; }
#else
std::span<const std::byte> demo_model() { return {}; }
#endif
