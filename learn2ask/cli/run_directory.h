// A run directory: what a run was started with, so that the same command goes on and another
// command cannot mix its results in.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/file_lock.h"

namespace l2a {

struct RunDirectory {
  std::string path;
  std::string config_sha256;  // of config.yaml
  std::unique_ptr<DirectoryLock> lock;
};

// Locks `path` for this process. Makes `path` (mode 0700) with config.yaml (fully resolved) and
// prompts/NAME for each prompt text; or, when it is there already, checks that both say the same.
// Throws Failure: "run directory: PATH: was started with another configuration (... there, ...
// now): ..."; another process is at work there.
RunDirectory open_run_directory(const std::string& path, const std::vector<ConfigField>& fields,
                                const std::map<std::string, std::string>& prompts);

}  // namespace l2a
