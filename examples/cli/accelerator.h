// The accelerators that this program was built with.
#pragma once
#include <memory>

#include "tyto/model.h"

namespace cli {

std::shared_ptr<const tyto::Accelerator> accelerator();  // null: none

}  // namespace cli
