#include "reward/thresholds.h"

#include <algorithm>

namespace l2a {

GraderThresholds load_thresholds(const std::filesystem::path& path) {
  ConfigSource source;
  source.add_file(path.string());
  GraderThresholds thresholds;
  for (const ConfigField& field : list_config(thresholds)) {
    const bool present = std::any_of(source.entries.begin(), source.entries.end(),
                                     [&](const auto& entry) { return entry.key == field.key; });
    if (!present) fail_input("thresholds: " + path.string() + ": '" + field.key + "': missing");
  }
  read_config(thresholds, source);
  for (const auto& [name, pair] :
       {std::pair("match", thresholds.match), {"words", thresholds.words}}) {
    if (pair.near > pair.same) {
      fail_input("thresholds: " + path.string() + ": '" + name + ".near' is above '" + name +
                 ".same'");
    }
  }
  return thresholds;
}

}  // namespace l2a
