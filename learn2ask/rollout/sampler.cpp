#include "rollout/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/row_kernels.h"
#include "rollout/sampler_mass.h"

namespace l2a {
namespace {

// One round of SplitMix64 (Steele, Lea and Flood, 2014; constants of the public reference).
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
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

// A row's softmax before it is divided by its sum, and the sums of runs of tokens.
class Weights {
 public:
  template <class T>
  void assign(std::span<const T> logits, double scale) {
    each_.resize(logits.size());
    exp_logits(logits.data(), static_cast<float>(scale), static_cast<int64_t>(logits.size()),
               each_.data());
    runs_.clear();
    for (size_t begin = 0; begin < each_.size(); begin += kRun) {
      const size_t count = std::min(kRun, each_.size() - begin);
      runs_.push_back(sum(each_.data() + begin, static_cast<int64_t>(count)));
    }
    mass_ = std::accumulate(runs_.begin(), runs_.end(), 0.0);
    check_mass(mass_);
  }

  double mass() const { return mass_; }
  double operator[](size_t id) const { return each_[id]; }
  float log_prob(size_t id) const { return static_cast<float>(std::log(each_[id] / mass_)); }

  // The first id of the vocabulary at which the summed weight passes `threshold`.
  size_t pick(double threshold) const {
    double before = 0;
    size_t run = 0;
    while (run + 1 < runs_.size() && before + runs_[run] <= threshold) before += runs_[run++];
    size_t last = 0;  // with any weight: roundings may leave the threshold above all of them
    for (size_t id = run * kRun; id < each_.size() && before <= threshold; ++id) {
      if (each_[id] == 0) continue;
      before += each_[id];
      last = id;
    }
    return last;
  }

  // The same among the fewest weightiest tokens that hold `top_p` of the mass, weightiest first;
  // on ties, the smaller id.
  size_t pick_of_nucleus(double top_p, double uniform) const {
    // Tokens below this hold less than 1 - top_p together: none of them is in the nucleus.
    const double floor = mass_ * (1 - top_p) / static_cast<double>(each_.size());
    std::vector<size_t> ids;
    for (size_t id = 0; id < each_.size(); ++id) {
      if (each_[id] >= floor) ids.push_back(id);
    }
    std::stable_sort(ids.begin(), ids.end(),
                     [&](size_t x, size_t y) { return each_[x] > each_[y]; });
    double held = 0;
    size_t kept = 0;
    while (kept < ids.size() && held < top_p * mass_) held += each_[ids[kept++]];
    double before = 0;
    for (size_t i = 0; i < kept; ++i) {
      before += each_[ids[i]];
      if (before > uniform * held) return ids[i];
    }
    return ids[kept - 1];
  }

 private:
  static constexpr size_t kRun = 256;

  std::vector<float> each_, runs_;
  double mass_ = 0;
};

template <class T>
size_t first_of_the_highest(std::span<const T> logits) {
  const auto less = [](T x, T y) { return static_cast<float>(x) < static_cast<float>(y); };
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end(), less) - logits.begin());
}

template <class T>
std::vector<SampledToken> sample_row(std::span<const T> logits, const DecodingOptions& options,
                                     std::span<const double> uniforms, Weights& weights) {
  const bool greedy = options.temperature == 0;
  weights.assign(logits, greedy ? 1 : 1 / options.temperature);
  const size_t best = greedy ? first_of_the_highest(logits) : 0;
  std::vector<SampledToken> tokens;
  for (const double uniform : uniforms) {
    const size_t id = greedy              ? best
                      : options.top_p < 1 ? weights.pick_of_nucleus(options.top_p, uniform)
                                          : weights.pick(uniform * weights.mass());
    tokens.push_back({static_cast<int32_t>(id), weights.log_prob(id)});
  }
  return tokens;
}

}  // namespace

double token_uniform(uint64_t seed, uint64_t row_key, uint64_t token_index) {
  const uint64_t bits = mix(mix(mix(seed) ^ row_key) ^ token_index);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

std::vector<std::vector<SampledToken>> sample_tokens(const at::Tensor& logits_rv,
                                                     const DecodingOptions& options,
                                                     std::span<const TokenDraws> draws_r) {
  const auto rows = static_cast<size_t>(logits_rv.size(0));
  const auto width = static_cast<size_t>(logits_rv.size(1));
  check(draws_r.size() == rows, "sample_tokens: the draws of each row");
  if (!logits_rv.is_cpu() && can_sample_composed(options)) {
    return composed_sample_tokens(logits_rv, options, draws_r);
  }

  const auto cpu_rv = logits_rv.to(at::kCPU).contiguous();
  std::vector<std::vector<SampledToken>> tokens(rows);
  const auto sample_rows = [&]<class T>(int64_t begin, int64_t end, T) {
    Weights weights;
    for (auto r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r) {
      const std::span<const T> row(cpu_rv.const_data_ptr<T>() + r * width, width);
      const TokenDraws& draws = draws_r[r];
      if (options.repetition_penalty != 1) {
        std::vector<float> scores(row.begin(), row.end());
        penalise(scores, draws.history, options.repetition_penalty);
        tokens[r] = sample_row(std::span<const float>(scores), options, draws.uniforms, weights);
      } else {
        tokens[r] = sample_row(row, options, draws.uniforms, weights);
      }
    }
  };
  at::parallel_for(0, static_cast<int64_t>(rows), 1, [&](int64_t begin, int64_t end) {
    if (cpu_rv.scalar_type() == at::kFloat) {
      sample_rows(begin, end, float());
    } else {
      sample_rows(begin, end, at::BFloat16());
    }
  });
  return tokens;
}

}  // namespace l2a
