// A program that only sees the public headers. Its answer is its exit code.
#include <tyto/tyto.h>

#include <cstdio>

int main() {
  const tyto::Version version = tyto::version();
  const tyto::Error error(tyto::ErrorCode::limit, "a message");
  const tyto::Result<int> failed = error;
  std::printf("tyto %d.%d.%d: %.*s\n", version.major, version.minor, version.patch,
              static_cast<int>(failed.error().message().size()), failed.error().message().data());
  const auto model = tyto::Model::load("no such file.gguf");
  if (model || model.error().code() != tyto::ErrorCode::io) return 2;
  return failed.has_value() || tyto::name(failed.error().code()) != "limit";
}
