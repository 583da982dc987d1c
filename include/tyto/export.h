// TYTO_EXPORT marks what the shared library shows; everything else in it is hidden. TYTO_LOCAL
// hides a class that is declared inside a shown one.
#pragma once

#if defined(_WIN32)
#define TYTO_LOCAL
#else
#define TYTO_LOCAL __attribute__((visibility("hidden")))
#endif

#if defined(TYTO_STATIC)
#define TYTO_EXPORT
#elif defined(_WIN32)
#if defined(TYTO_BUILDING)
#define TYTO_EXPORT __declspec(dllexport)
#else
#define TYTO_EXPORT __declspec(dllimport)
#endif
#else
#define TYTO_EXPORT __attribute__((visibility("default")))
#endif
