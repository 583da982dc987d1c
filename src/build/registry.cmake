# Writes the lists that the folders imply: a new family, weight format or sampler stage is a new file and nothing else.
# Static self-registration would be shorter, but linkers silently drop it from a static library.

set(TYTO_GENERATED "")
set(generated_dir ${PROJECT_BINARY_DIR}/generated)

# Writes a file only when its content changes, so that nothing is rebuilt in vain, and appends it to a list.
function(tyto_write name content)
  set(list TYTO_GENERATED)
  if(ARGC GREATER 2)
    set(list ${ARGV2})
  endif()
  file(CONFIGURE OUTPUT ${generated_dir}/${name} CONTENT "${content}" @ONLY)
  set(${list} ${${list}} ${generated_dir}/${name} PARENT_SCOPE)
endfunction()

# src/arch/<family>.cpp -> arch::families(). arch.cpp and plan_builder.cpp are the frame, not families.
file(GLOB families CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src/arch ${PROJECT_SOURCE_DIR}/src/arch/*.cpp)
list(REMOVE_ITEM families arch.cpp plan_builder.cpp)
list(TRANSFORM families REPLACE "\\.cpp$" "")
list(JOIN families ", " names)
list(TRANSFORM families PREPEND "&")
list(JOIN families ", " pointers)
tyto_write(families.cpp "#include \"src/arch/arch.h\"
namespace tyto::arch {
extern const Family ${names};
static constexpr const Family* kFamilies[] = {${pointers}};
std::span<const Family* const> families() noexcept { return kFamilies; }
}  // namespace tyto::arch
")

# src/quant/<format>/format.h -> quant::formats()
file(GLOB formats CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src/quant ${PROJECT_SOURCE_DIR}/src/quant/*/format.h)
list(TRANSFORM formats REPLACE "/format\\.h$" "")
set(includes "")
set(pointers "")
foreach(format ${formats})
  string(APPEND includes "#include \"src/quant/${format}/format.h\"\n")
  list(APPEND pointers "&${format}::format")
endforeach()
list(JOIN pointers ", " pointers)
tyto_write(formats.cpp "${includes}
namespace tyto::quant {
static constexpr const Format* kFormats[] = {${pointers}};
std::span<const Format* const> formats() noexcept { return kFormats; }
}  // namespace tyto::quant
")

# src/quant/<format>/cpu-inl.h -> per ISA, one file of kernels per format and the list of them. An ISA's variants are
# told apart by what a machine has beyond the ISA (cpu/linear.h).
set(isas scalar)
set(scalar_variants 0)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND isas avx2 avx512)
  set(avx2_variants 0)
  set(avx512_variants 0 1 2 3)  # 1: with AVX512-BF16; 2: with AMX
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  list(APPEND isas neon)
  set(neon_variants 0 1)  # 1: with I8MM
endif()
foreach(isa ${isas})
  list(LENGTH ${isa}_variants variants)
  set(externs "")
  set(lists "")
  foreach(variant ${${isa}_variants})
    set(pointers "")
    foreach(format ${formats})
      list(APPEND pointers "&linear_${format}[${variant}]")
    endforeach()
    list(JOIN pointers ", " pointers)
    string(APPEND lists "    {${pointers}},\n")
  endforeach()
  foreach(format ${formats})
    string(APPEND externs "extern const LinearKernel linear_${format}[${variants}];\n")
    set(kernels "")
    foreach(variant ${${isa}_variants})
      list(APPEND kernels "linear_kernel<Panels, ${variant}>(quant::${format}::format)")
    endforeach()
    list(JOIN kernels ", " kernels)
    tyto_write(linear_${isa}_${format}.cpp "#include \"src/quant/${format}/format.h\"
#include \"cpu/kernels/linear_${isa}.h\"
TYTO_ISA_BEGIN
namespace tyto::cpu::${isa} {
namespace {
#include \"src/quant/${format}/cpu-inl.h\"
}
extern const LinearKernel linear_${format}[${variants}];
const LinearKernel linear_${format}[${variants}] = {${kernels}};
}  // namespace tyto::cpu::${isa}
TYTO_ISA_END
")
  endforeach()
  list(LENGTH formats count)
  tyto_write(linear_${isa}.cpp "#include \"cpu/kernel_table.h\"
namespace tyto::cpu::${isa} {
${externs}static constexpr const LinearKernel* kKernels[][${count}] = {
${lists}};
const LinearKernel* const* linear_kernels(int variant) noexcept { return kKernels[variant]; }
}  // namespace tyto::cpu::${isa}
")
endforeach()

# src/quant/<format>/cuda.cuh -> cuda::matrix_formats(), one file of kernels per format.
set(TYTO_CUDA_GENERATED "")
file(GLOB cuda_formats CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src/quant ${PROJECT_SOURCE_DIR}/src/quant/*/cuda.cuh)
list(TRANSFORM cuda_formats REPLACE "/cuda\\.cuh$" "")
set(externs "")
set(pointers "")
foreach(format ${cuda_formats})
  string(APPEND externs "extern const MatrixFormat matrix_${format};\n")
  list(APPEND pointers "&matrix_${format}")
  tyto_write(cuda_${format}.cu "#include \"cuda/kernels/matrix.cuh\"
#include \"src/quant/${format}/format.h\"
namespace tyto::cuda {
namespace {
#include \"src/quant/${format}/cuda.cuh\"
}
extern const MatrixFormat matrix_${format};
const MatrixFormat matrix_${format} = matrix_format<Matrix>(quant::${format}::format);
}  // namespace tyto::cuda
" TYTO_CUDA_GENERATED)
endforeach()
list(JOIN pointers ", " pointers)
tyto_write(cuda_formats.cpp "#include \"cuda/matrix.h\"
namespace tyto::cuda {
${externs}static constexpr const MatrixFormat* kFormats[] = {${pointers}};
std::span<const MatrixFormat* const> matrix_formats() noexcept { return kFormats; }
}  // namespace tyto::cuda
" TYTO_CUDA_GENERATED)

# src/sample/<stage>.cpp -> sample::stages(). Those left out are the frame, not stages.
file(GLOB stages CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src/sample ${PROJECT_SOURCE_DIR}/src/sample/*.cpp)
list(REMOVE_ITEM stages sampler.cpp candidates.cpp rank.cpp softmax.cpp)
list(TRANSFORM stages REPLACE "\\.cpp$" "")
list(JOIN stages ", " names)
list(TRANSFORM stages PREPEND "&")
list(JOIN stages ", " pointers)
tyto_write(stages.cpp "#include \"src/sample/stage.h\"
namespace tyto::sample {
extern const Stage ${names};
static constexpr const Stage* kStages[] = {${pointers}};
std::span<const Stage* const> stages() noexcept { return kStages; }
}  // namespace tyto::sample
")
