#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace l2a {

void fail(ErrorCode code, std::string message) { throw Failure({code, std::move(message)}); }

void fail_input(std::string message) { fail(ErrorCode::kInvalidInput, std::move(message)); }

void check(bool ok, const char* message, const char* file, int line) {
  if (ok) return;
  std::fprintf(stderr, "%s:%d: bug: %s\n", file, line, message);
  std::abort();
}

}  // namespace l2a
