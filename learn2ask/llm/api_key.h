// An API key: used to sign calls, never shown.
#pragma once

#include <optional>
#include <string>

#include "llm/options.h"

namespace l2a {

class ApiKey {
 public:
  // Throws Failure for a key that is empty or that has other characters than visible ASCII: such a
  // one would break the header that carries it. The message never quotes it.
  ApiKey(std::string key, const std::string& source);

  const std::string& reveal() const { return key_; }
  // `text` with every occurrence of the key replaced: endpoints quote keys in their errors. A key
  // of fewer than 8 characters is one that an endpoint does not look at ("none", "EMPTY"), and a
  // word that answers may contain: it is left.
  std::string scrub(std::string text) const;

 private:
  std::string key_;
};

// The key of `key_file` when it is given, else of the environment variable `key_env`; nullopt when
// the variable is the default one and not set: many endpoints in the house need none. Throws
// Failure: another variable that is not set; a file that is missing, or that others than its owner
// may read.
std::optional<ApiKey> find_key(const LlmOptions& options);

}  // namespace l2a
