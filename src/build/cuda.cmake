# The CUDA component, a library of its own: tyto::tyto neither needs nor knows it. Sets ${tyto_components}, and
# ${tyto_cuda_sources}, which the tests compile for the host too (tests/fake_cuda).
set(tyto_components "")
file(GLOB tyto_cuda_sources CONFIGURE_DEPENDS cuda/*.cpp cuda/*.cu cuda/blocks/*.cu)
list(APPEND tyto_cuda_sources ${TYTO_CUDA_GENERATED})
set(tyto_cuda ${TYTO_CUDA})
if(tyto_cuda STREQUAL AUTO)
  set(tyto_cuda ${PROJECT_IS_TOP_LEVEL})
  if(tyto_cuda AND NOT CMAKE_CUDA_COMPILER)
    find_program(tyto_nvcc nvcc HINTS $ENV{CUDACXX} PATHS /usr/local/cuda/bin)  # silent where there is none
    mark_as_advanced(tyto_nvcc)
    if(tyto_nvcc)
      set(CMAKE_CUDA_COMPILER ${tyto_nvcc})
    else()
      set(tyto_cuda OFF)
    endif()
  endif()
endif()
if(NOT tyto_cuda)
  return()
endif()
set(tyto_components cuda)

# One architecture, whose PTX later devices can translate. Releases name theirs.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80)
endif()
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache" AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})  # ccache knows nvcc, which takes longest of all
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

tyto_add_library(tyto_cuda EXPORT cuda HEADERS ${PROJECT_SOURCE_DIR}/include/tyto/cuda.h SOURCES ${tyto_cuda_sources}
                 DEPENDS CUDA::cudart_static ${CMAKE_DL_LIBS})
foreach(kind ${tyto_kinds})
  target_link_libraries(tyto_cuda_${kind} PUBLIC tyto_${kind})
endforeach()
