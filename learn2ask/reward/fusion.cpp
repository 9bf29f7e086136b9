#include "reward/fusion.h"

#include <array>
#include <string>
#include <utility>

#include "base/utf8.h"

namespace l2a {
namespace {

constexpr std::array<std::pair<Fusion, const char*>, 4> kNames = {{
    {Fusion::kProduct, "product"},
    {Fusion::kSum, "sum"},
    {Fusion::kMacroOnly, "macro-only"},
    {Fusion::kMicroOnly, "micro-only"},
}};

}  // namespace

Result<Fusion> fusion_from_name(std::string_view name) {
  for (const auto& [fusion, known] : kNames) {
    if (name == known) return fusion;
  }
  return Error{ErrorCode::kInvalidInput,
               "fusion: '" + shown(name) + "': expected product, sum, macro-only or micro-only"};
}

const char* fusion_name(Fusion fusion) {
  for (const auto& [known, name] : kNames) {
    if (fusion == known) return name;
  }
  check(false, "fusion_name: not a fusion");
  return "";
}

double fuse(Fusion fusion, const RewardParts& parts) {
  if (parts.macro == 0) return 0;  // a wrong decision forfeits everything
  switch (fusion) {
    case Fusion::kProduct:
      return parts.macro * (1 + kBeta * parts.micro) + parts.format;
    case Fusion::kSum:
      return parts.macro + parts.micro + parts.format;
    case Fusion::kMacroOnly:
      return 3 * parts.macro + parts.format;
    case Fusion::kMicroOnly:
      return kBeta * parts.micro + parts.format;
  }
  check(false, "fuse: not a fusion");
  return 0;
}

double max_reward(Fusion fusion) { return fuse(fusion, {.macro = 1, .micro = 1, .format = 1}); }

}  // namespace l2a
