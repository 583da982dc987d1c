from conan import ConanFile


class SystemFmt(ConanFile):
    """The system's own fmt as a Conan package: no files, only the library's name."""

    name = "fmt"
    version = "9.1.0"
    user = "system"

    def package_info(self):
        self.cpp_info.bindirs = self.cpp_info.includedirs = self.cpp_info.libdirs = []
        self.cpp_info.system_libs = ["fmt"]
        self.cpp_info.set_property("cmake_target_name", "fmt::fmt")
