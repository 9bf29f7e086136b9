#include "eval/curves.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/jsonl.h"

namespace l2a {
namespace {

struct Line {
  const char* key;   // in metrics.jsonl
  const char* name;  // in the chart
};
struct Chart {
  const char* title;
  std::vector<Line> lines;
};

const std::vector<Chart>& charts() {
  static const std::vector<Chart> all = {
      {"reward", {{"reward", "reward"}}},
      {"parts of the reward",
       {{"macro", "decision right"}, {"micro", "question reaches its aim"}, {"format", "format"}}},
      {"loss", {{"loss", "loss"}}},
      {"score of held-out sessions, higher is better", {{"held_out", "score"}}},
      {"entropy of the replies trained on, nats a token", {{"entropy", "entropy"}}},
      {"distance from the start model, nats a token", {{"kl", "KL"}}},
      {"distance from the start model, nats a reply", {{"reply_kl", "KL"}}},
      {"share of replies", {{"stops", "stop"}, {"malformed", "malformed"}}},
      {"groups without variance", {{"zero_variance_groups", "share"}}},
      {"reply length, tokens", {{"reply_tokens", "tokens"}}},
  };
  return all;
}

struct Row {
  double step;
  Json values;
};

std::vector<Row> read_rows(const std::filesystem::path& path) {
  std::vector<Row> rows;
  for_each_row(path, "metrics", [&](JsonLine&& line) {
    const double step = get_number(line.value, "step").value_or_throw();
    rows.push_back({step, std::move(line.value)});
  });
  return rows;
}

std::optional<double> value_at(const Row& row, const char* key) {
  const auto found = row.values.find(key);
  if (found == row.values.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

}  // namespace

std::vector<Curve> learning_curves(const std::filesystem::path& metrics_jsonl,
                                   const std::string& stage) {
  const std::vector<Row> rows = read_rows(metrics_jsonl);
  std::vector<double> steps;
  for (const Row& row : rows) steps.push_back(row.step);

  std::vector<Curve> curves;
  for (const Chart& chart : charts()) {
    Curve curve{stage + ": " + chart.title, steps, {}};
    for (const Line& line : chart.lines) {
      Series series{line.name, {}};
      for (const Row& row : rows) series.values.push_back(value_at(row, line.key));
      const bool any = std::any_of(series.values.begin(), series.values.end(),
                                   [](const auto& value) { return value.has_value(); });
      if (any) curve.series.push_back(std::move(series));
    }
    if (!curve.series.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

Json to_json(const Curve& curve) {
  Json series = Json::array();
  for (const Series& line : curve.series) {
    Json values = Json::array();
    for (const auto& value : line.values) values.push_back(value ? Json(*value) : Json(nullptr));
    series.push_back({{"name", line.name}, {"values", values}});
  }
  return {{"title", curve.title}, {"steps", curve.steps}, {"series", series}};
}

}  // namespace l2a
