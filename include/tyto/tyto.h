// tyto: language models inside your program. This header brings all of it:
//   Model      loads a file and says what it takes            model.h
//   Tokenizer  text to token ids and back                     tokenizer.h
//   Sampler    chooses the next token                         sampler.h
//   Session    one sequence, its cache, and generation        session.h
//   Runtime    threads, memory and what the host supplies     host.h
//   Result     a value or an Error                            result.h
// Nothing here prints, aborts, reads the environment or keeps global state.
#pragma once
#include "tyto/export.h"
#include "tyto/host.h"
#include "tyto/model.h"
#include "tyto/result.h"
#include "tyto/sampler.h"
#include "tyto/session.h"
#include "tyto/tokenizer.h"

namespace tyto {
inline namespace v1 {

struct Version {
  int major, minor, patch;
};
TYTO_EXPORT Version
version() noexcept;  // of the library that runs, which may be newer than these headers

}  // namespace v1
}  // namespace tyto
