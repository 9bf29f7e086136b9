#include "cli/partial_path.h"

#include <system_error>

#include "base/error.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

// "model/" is the folder model, not one in it.
std::string without_last_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

PartialPath::PartialPath(const std::string& out)
    : final_(without_last_slashes(out)), partial_(final_.string() + ".learn2ask-partial") {
  fs::remove_all(partial_);
}

PartialPath::~PartialPath() {
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
}

void PartialPath::keep() const {
  std::error_code ec;
  fs::rename(partial_, final_, ec);
  if (ec) fail(ErrorCode::kIo, "write: " + final_.string() + ": " + ec.message());
}

void PartialPath::replace() const {
  std::error_code ec;
  fs::remove_all(final_, ec);
  if (ec) fail(ErrorCode::kIo, "write: " + final_.string() + ": " + ec.message());
  keep();
}

}  // namespace l2a
