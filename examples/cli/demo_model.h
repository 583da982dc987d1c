// The model that is compiled into the program.
#pragma once
#include <cstddef>
#include <span>

std::span<const std::byte> demo_model();
