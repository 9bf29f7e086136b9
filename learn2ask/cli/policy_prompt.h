// The policy's system prompt: a file of one's own, or the shipped one.
#pragma once

#include <string>

#include "reward/fusion.h"

namespace l2a {

struct PolicyPrompt {
  std::string name;  // of the file
  std::string text;  // trimmed
};

// `path`: empty for the shipped one of the reply format ("plain", "tuple"); micro-only rewards go
// with a prompt that has no stop rule. Throws Failure.
PolicyPrompt read_policy_prompt(const std::string& path, const std::string& reply_format,
                                Fusion fusion);

}  // namespace l2a
