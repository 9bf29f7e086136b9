// Learning curves read from the metrics.jsonl of a training run.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace l2a {

struct Series {
  std::string name;
  std::vector<std::optional<double>> values;  // one a step; nullopt where the row has none
};

// One chart.
struct Curve {
  std::string title;  // "GRPO: reward"
  std::vector<double> steps;
  std::vector<Series> series;
};

// The charts of one run: reward and its parts, loss, entropy, KL and the like, as far as the
// rows have them (numbers under other keys are not drawn). `stage` stands before each title.
// Throws Failure naming the line for a row without a numeric "step".
std::vector<Curve> learning_curves(const std::filesystem::path& metrics_jsonl,
                                   const std::string& stage);

// {"title", "steps", "series": [{"name", "values"}]} with null for a missing value.
Json to_json(const Curve& curve);

}  // namespace l2a
