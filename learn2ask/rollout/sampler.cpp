#include "rollout/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <torch/torch.h>

#include "base/error.h"

namespace l2a {
namespace {

// One round of SplitMix64 (Steele, Lea and Flood, 2014; constants of the public reference).
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// A logit that is NaN or +inf makes every probability of its row NaN.
void check_finite(double probability) {
  if (!std::isfinite(probability)) {
    fail_input("sampling: logits: not finite (the weights or the adapter are broken)");
  }
}

// Each id of the history counts once, however often it stands there.
void penalise(std::span<float> logits, std::span<const int32_t> history, double penalty) {
  std::vector<int32_t> seen(history.begin(), history.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const int32_t id : seen) {
    float& logit = logits[static_cast<size_t>(id)];
    logit = static_cast<float>(logit < 0 ? logit * penalty : logit / penalty);
  }
}

// The fewest most probable tokens that hold `top_p` of the mass, best first; on ties, the
// smaller id. `mass` becomes theirs.
std::vector<size_t> nucleus(std::span<const float> probs, double top_p, double& mass) {
  // Tokens below this hold less than 1 - top_p together: none of them is in the nucleus.
  const double floor = mass * (1 - top_p) / static_cast<double>(probs.size());
  std::vector<size_t> ids;
  for (size_t id = 0; id < probs.size(); ++id) {
    if (probs[id] >= floor) ids.push_back(id);
  }
  std::stable_sort(ids.begin(), ids.end(), [&](size_t x, size_t y) { return probs[x] > probs[y]; });
  double sum = 0;
  size_t kept = 0;
  while (kept < ids.size() && sum < top_p * mass) sum += probs[ids[kept++]];
  ids.resize(kept);
  mass = sum;
  return ids;
}

// The first id, in the order of `ids`, at which the summed probability passes `threshold`.
size_t pick(std::span<const float> probs, const std::vector<size_t>& ids, double threshold) {
  double sum = 0;
  for (const size_t id : ids) {
    sum += probs[id];
    if (sum > threshold) return id;
  }
  return ids.back();
}

// The same in the order of the vocabulary, without a list of ids.
size_t pick(std::span<const float> probs, double threshold) {
  double sum = 0;
  size_t last = 0;
  for (size_t id = 0; id < probs.size() && sum <= threshold; ++id) {
    if (probs[id] == 0) continue;
    sum += probs[id];
    last = id;
  }
  return last;
}

SampledToken sample_row(std::span<const float> probs, double top_p, double uniform) {
  const double all = std::accumulate(probs.begin(), probs.end(), 0.0);
  check_finite(all);
  size_t id = 0;
  if (top_p < 1) {
    double mass = all;
    const auto ids = nucleus(probs, top_p, mass);
    id = pick(probs, ids, uniform * mass);
  } else {
    id = pick(probs, uniform * all);
  }
  return {static_cast<int32_t>(id), static_cast<float>(std::log(probs[id] / all))};
}

SampledToken greedy_row(std::span<const float> logits, std::span<const float> probs) {
  check_finite(probs[0]);
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  return {static_cast<int32_t>(best), std::log(probs[static_cast<size_t>(best)])};
}

}  // namespace

double token_uniform(uint64_t seed, uint64_t row_key, uint64_t token_index) {
  const uint64_t bits = mix(mix(mix(seed) ^ row_key) ^ token_index);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

std::vector<SampledToken> sample_tokens(const at::Tensor& logits_rv, const DecodingOptions& options,
                                        std::span<const double> uniform_r,
                                        std::span<const std::span<const int32_t>> history_r) {
  const auto rows = static_cast<size_t>(logits_rv.size(0));
  const auto width = static_cast<size_t>(logits_rv.size(1));
  const bool greedy = options.temperature == 0, penalised = options.repetition_penalty != 1;
  check(greedy || uniform_r.size() == rows, "sample_tokens: one random number a row");
  check(!penalised || history_r.size() == rows, "sample_tokens: one history a row");

  auto scores_rv = logits_rv.to(at::kCPU, at::kFloat).contiguous();
  const auto row_of = [width](const at::Tensor& t_rv, size_t r) {
    return std::span<float>(t_rv.data_ptr<float>() + r * width, width);
  };
  if (penalised) {
    scores_rv = scores_rv.clone();
    for (size_t r = 0; r < rows; ++r) {
      penalise(row_of(scores_rv, r), history_r[r], options.repetition_penalty);
    }
  }
  const auto probs_rv = at::softmax(greedy ? scores_rv : scores_rv / options.temperature, 1);

  std::vector<SampledToken> tokens(rows);
  for (size_t r = 0; r < rows; ++r) {
    const auto probs = row_of(probs_rv, r);
    tokens[r] = greedy ? greedy_row(row_of(scores_rv, r), probs)
                       : sample_row(probs, options.top_p, uniform_r[r]);
  }
  return tokens;
}

}  // namespace l2a
