// TYTO_ISA_BEGIN and TYTO_ISA_END: what lies between is compiled for the instructions in
// TYTO_ISA_TARGET, which the ISA's header defines, and nothing else is. Per-file compiler flags
// would also compile the bodies of shared inline functions for them, which the linker may then pick
// for a machine that lacks them. No lambdas in between: clang's attribute does not reach them.
#pragma once

#define TYTO_PRAGMA_TEXT(...) _Pragma(#__VA_ARGS__)
#define TYTO_PRAGMA(...) TYTO_PRAGMA_TEXT(__VA_ARGS__)
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpragma-clang-attribute"  // a region without functions
#define TYTO_ISA_BEGIN \
  TYTO_PRAGMA(clang attribute push(__attribute__((target(TYTO_ISA_TARGET))), apply_to = function))
#define TYTO_ISA_END TYTO_PRAGMA(clang attribute pop)
#define TYTO_UNROLL TYTO_PRAGMA(unroll)
#else
#define TYTO_ISA_BEGIN TYTO_PRAGMA(GCC push_options) TYTO_PRAGMA(GCC target(TYTO_ISA_TARGET))
#define TYTO_ISA_END TYTO_PRAGMA(GCC pop_options)
#define TYTO_UNROLL TYTO_PRAGMA(GCC unroll 32)
#endif
#define TYTO_INLINE inline __attribute__((always_inline))
