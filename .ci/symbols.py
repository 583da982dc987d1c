#!/usr/bin/env python3
"""Checks what the compiled library contains and shows. symbols.py BUILD_DIR [--update]

Objects: nothing in them may end the process, write to a terminal, reach the network or read the environment, and nothing
runs before main or at exit. Shared library: it exports what .ci/exports.txt lists; --update rewrites that list.
The build must be g++'s: clang puts std::terminate behind every noexcept function."""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
EXPORTS = HERE / "exports.txt"

FORBIDDEN = set("""
    abort exit _exit _Exit quick_exit atexit at_quick_exit __assert_fail raise kill fork vfork execve system popen
    socket connect bind listen accept getaddrinfo gethostbyname send recv sendto recvfrom
    getenv secure_getenv setenv putenv environ setlocale newlocale uselocale localeconv strtod strtof
    signal sigaction fesetround feenableexcept dlopen
    printf vprintf puts putchar putc fputs fputc fprintf vfprintf fwrite perror psignal __printf_chk __fprintf_chk
    __vfprintf_chk stdout stderr stdin
    _ZSt4cout _ZSt4cerr _ZSt4clog _ZNSt8ios_base4InitC1Ev _ZSt13set_terminatePFvvE
    __cxa_atexit __cxa_thread_atexit
""".split())
ALLOWED = {"blas_library.cpp.o": {"dlopen"}}  # docs/decisions/0014

# A joinable std::thread or std::jthread that is destroyed calls std::terminate, inline. Only the files that own threads
# may hold such a destructor; they join first, so the call is never reached.
TERMINATE = "_ZSt9terminatev"
OWNS_THREADS = re.compile(r"/src/base/[a-z_]*(pool|team|thread)[a-z_]*\.cpp\.o$")


def run(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def check_object(path):
    undefined = {line.split()[-1].split("@")[0] for line in run("nm", "-u", path).splitlines() if line.strip()}
    for symbol in sorted(undefined & FORBIDDEN - ALLOWED.get(path.name, set())):
        yield f"{path} uses {symbol}"
    if TERMINATE in undefined and not OWNS_THREADS.search(str(path)):
        yield f"{path} calls std::terminate"
    for section in re.findall(r"\s(\.(?:init_array|ctors|fini_array|dtors)\S*)\s", run("readelf", "-SW", path)):
        yield f"{path} runs code before main or at exit (section {section})"


def exported(library):
    """Demangled names of what a shared library defines for others: (strong, weak)."""
    strong, weak = set(), set()
    for line in run("nm", "-DC", "--defined-only", library).splitlines():
        kind, name = line[17:].split(" ", 1)
        (weak if kind in "VWvw" else strong).add(name)
    return strong, weak


def check_exports(library, exports, update=False):
    """`exports`: the names it must show, or the file that lists them."""
    strong, weak = exported(library)
    # Weak ones are inline members; whether they are emitted depends on the optimizer.
    for name in sorted(strong | weak):
        public = re.match(r"(vtable for |typeinfo for |typeinfo name for )?tyto::v1::", name)
        if not public or "::Impl" in name.split("(")[0]:
            yield f"{library} exports {name}"
    if update:
        exports.write_text("".join(f"{name}\n" for name in sorted(strong)))
    listed = set(exports.read_text().splitlines()) if isinstance(exports, pathlib.Path) else exports
    for name in sorted(strong - listed):
        yield f"{library} exports {name}, which is not on the list ({EXPORTS})"
    for name in sorted(listed - strong):
        yield f"{library} lacks {name}, which is on the list ({EXPORTS})"


def main():
    build, update = pathlib.Path(sys.argv[1]), "--update" in sys.argv
    objects = sorted(build.glob("CMakeFiles/tyto_objects.dir/**/*.o"))
    # Not the .cu files: nvcc registers their kernels before main, and there is no other way to have kernels.
    objects += sorted(build.glob("CMakeFiles/tyto_cuda_objects.dir/**/*.cpp.o"))
    problems = [problem for path in objects for problem in check_object(path)]
    problems += check_exports(build / "libtyto.so", EXPORTS, update)
    if (build / "libtyto-cuda.so").exists():
        problems += check_exports(build / "libtyto-cuda.so", {"tyto::v1::cuda_devices()", "tyto::v1::cuda_accelerator(tyto::v1::CudaOptions const&)"})
    if not objects:
        problems.append(f"no objects in {build}")
    print("\n".join(problems) or f"{len(objects)} objects are clean")
    return bool(problems)


sys.exit(main())
