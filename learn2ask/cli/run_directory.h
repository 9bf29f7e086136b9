// A run directory: what a run was started with, so that the same command goes on and another
// command cannot mix its results in.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/file_lock.h"

namespace l2a {

class RunDirectory {
 public:
  // Makes `path` (mode 0700) and locks it for this process. What an earlier run kept there must be
  // what this one was given: config.yaml (fully resolved), and prompts/NAME for each prompt text.
  // Throws Failure: "run directory: PATH: was started with another configuration (... there, ...
  // now): ..."; another process is at work there.
  RunDirectory(std::string path, const std::vector<ConfigField>& fields,
               const std::map<std::string, std::string>& prompts);

  // Writes those of them that are not there, once all was checked that can be refused: what was
  // refused must not stand in the way of what the message asks for. Throws Failure (kIo).
  void keep() const;

  const std::string& config_sha256() const { return config_sha256_; }  // of config.yaml

 private:
  std::string path_;
  std::vector<std::pair<std::string, std::string>> texts_;  // file, its text
  std::string config_sha256_;
  std::unique_ptr<DirectoryLock> lock_;
};

}  // namespace l2a
