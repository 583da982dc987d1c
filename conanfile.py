import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, rmdir


class Tyto(ConanFile):
    name = "tyto"
    description = "Language models inside your program"
    license = "Apache-2.0"
    topics = ("llm", "inference", "gguf")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False]}
    default_options = {"shared": False, "fPIC": True}
    implements = ["auto_shared_fpic"]
    exports_sources = "CMakeLists.txt", "LICENSE", "include/*", "src/*", "cpu/*", "cuda/*"
    test_package_folder = "examples/packaging/conan/test_package"

    def set_version(self):
        project = Path(self.recipe_folder, "CMakeLists.txt").read_text()
        self.version = re.search(r"project\(tyto VERSION ([\d.]+)", project).group(1)

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("fmt/[>=9]")

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        for option in ("TYTO_TESTS", "TYTO_EXAMPLES", "TYTO_CUDA"):
            toolchain.cache_variables[option] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, Path(self.package_folder, "licenses"))
        rmdir(self, Path(self.package_folder, "lib", "cmake"))  # Conan writes its own
        rmdir(self, Path(self.package_folder, "lib", "pkgconfig"))

    def package_info(self):
        self.cpp_info.libs = ["tyto"]
        self.cpp_info.set_property("cmake_target_name", "tyto::tyto")
        if self.settings.os == "Windows" and not self.options.shared:
            self.cpp_info.defines = ["TYTO_STATIC"]
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
