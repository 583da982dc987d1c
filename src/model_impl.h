// The inside of Model: everything that is fixed once a model is loaded, and the engine that runs
// its steps.
#pragma once
#include <memory>
#include <string>

#include "src/backend.h"
#include "src/engine.h"
#include "src/plan.h"
#include "src/runtime.h"
#include "tyto/model.h"

namespace tyto {

struct TYTO_LOCAL Model::Impl {
  std::shared_ptr<Runtime> runtime;
  Plan plan;
  Tokenizer tokenizer;
  std::string description;
  std::string fingerprint;
  MemoryPlan memory;

  // Destroyed in reverse: the program before what it refers to.
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Weights> weights;
  std::unique_ptr<Cache> cache;
  std::unique_ptr<Program> program;
  std::unique_ptr<Engine> engine;  // shared by all sessions; locks for itself
  std::size_t cache_tokens = 0;
};

}  // namespace tyto
