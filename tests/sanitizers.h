// Which sanitizers the tests are built with: GCC says it by macros, Clang by features.
#pragma once

#if defined(__has_feature)
#define TYTO_ADDRESS_SANITIZER __has_feature(address_sanitizer)
#define TYTO_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#if defined(__SANITIZE_ADDRESS__)
#define TYTO_ADDRESS_SANITIZER 1
#endif
#if defined(__SANITIZE_THREAD__)
#define TYTO_THREAD_SANITIZER 1
#endif
#endif
