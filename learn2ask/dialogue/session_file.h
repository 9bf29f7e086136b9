// A file of sessions, whole: what `generate` and `import` write, or a file of the user's own in the
// same form.
#pragma once

#include <filesystem>
#include <vector>

#include "dialogue/session.h"

namespace l2a {

// All sessions of the file, in its order. Throws Failure (kNotFound, kIo, kInvalidInput) naming the
// file, and the first line that is no session.
std::vector<Session> read_sessions(const std::filesystem::path& path);

}  // namespace l2a
