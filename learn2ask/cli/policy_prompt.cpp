#include "cli/policy_prompt.h"

#include <filesystem>

#include "base/file.h"
#include "base/utf8.h"
#include "cli/command.h"

namespace l2a {

PolicyPrompt read_policy_prompt(const std::string& path, const std::string& reply_format,
                                Fusion fusion) {
  if (path.empty() && fusion == Fusion::kMicroOnly && reply_format == "tuple") {
    fail_input(
        "policy.reply_format: tuple: the prompt for reward.fusion micro-only asks for plain "
        "replies "
        "(set policy.prompt to one of your own, or leave the format at plain)");
  }
  const std::string shipped = fusion == Fusion::kMicroOnly ? "micro_only" : reply_format;
  const std::filesystem::path file =
      path.empty() ? data_path("prompts/policy_" + shipped + ".txt") : path;
  return {file.filename().string(), trim(read_file(file))};
}

}  // namespace l2a
