// The time that a pass's matrix products take alone, each shape timed by itself in the same run:
// what a pass over the model is measured against.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include <torch/types.h>

#include "device_time.h"
#include "model/linear.h"
#include "model/transformer.h"
#include "model/tree_plan.h"

namespace l2a {

inline double median(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

// Of three calls.
inline double median_seconds(at::Device device, const std::function<void()>& work) {
  constexpr size_t kRepeats = 3;
  std::vector<double> seconds;
  for (size_t i = 0; i < kRepeats; ++i) {
    const Stopwatch watch(device);
    work();
    seconds.push_back(watch.seconds());
  }
  return median(std::move(seconds));
}

// out = left * right, bfloat16, by the library. Where it has none (model/linear.h): the quicker of
// its products of float32 and ours of bfloat16.
class GemmLimit {
 public:
  enum class Timing { kEachShape, kNone };  // without, only flops() means something
  explicit GemmLimit(Timing timing = Timing::kEachShape, at::Device device = at::kCPU)
      : timing_(timing), device_(device) {}

  void add(int64_t m, int64_t n, int64_t k, double times) {
    flops_ += times * 2.0 * m * n * k;
    if (timing_ == Timing::kNone) return;
    double& one = seconds_of_[{m, n, k}];
    if (one == 0) {
      const auto left = at::randn({m, k}).to(device_, at::kBFloat16);
      const auto right = at::randn({n, k}).to(device_, at::kBFloat16);
      auto out = at::empty({m, n}, left.options());
      if (library_multiplies(at::kBFloat16, device_)) {
        one = seconds_of({m, n, k}, [&] { at::mm_out(out, left, right.t()); });
      } else {
        const auto wide_left = left.to(at::kFloat), wide_right = right.to(at::kFloat);
        auto wide_out = out.to(at::kFloat);
        one = std::min(
            seconds_of({m, n, k}, [&] { at::mm_out(wide_out, wide_left, wide_right.t()); }),
            seconds_of({m, n, k}, [&] { linear(left, right, {}, Products::kBatchInvariant); }));
      }
    }
    seconds_ += times * one;
  }
  // A product of attention: its multiplications at the rate of the others.
  void add_flops(double flops) { attention_flops_ += flops; }

  double seconds() const { return seconds_ * (1 + attention_flops_ / flops_); }
  double gigaflops() const { return flops_ / seconds_ / 1e9; }
  double flops() const { return flops_ + attention_flops_; }

 private:
  // Of one product of that shape.
  double seconds_of(const std::array<int64_t, 3>& mnk, const std::function<void()>& product) const {
    product();
    const double flops_a_try = device_.is_cpu() ? 1e10 : 1e13;
    const double flops = 2.0 * mnk[0] * mnk[1] * mnk[2];
    const int rounds = static_cast<int>(std::clamp(flops_a_try / flops, 1.0, 50.0));
    const auto repeat = [&] {
      for (int i = 0; i < rounds; ++i) product();
    };
    return median_seconds(device_, repeat) / rounds;
  }

  const Timing timing_;
  const at::Device device_;
  std::map<std::array<int64_t, 3>, double> seconds_of_;
  double seconds_ = 0, flops_ = 0, attention_flops_ = 0;
};

inline void add_linear_layers(const TransformerConfig& c, int64_t tokens, double times,
                              GemmLimit& limit) {
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const double layers = times * static_cast<double>(c.layers);
  limit.add(tokens, q + 2 * kv, c.width, layers);
  limit.add(tokens, c.width, q, layers);
  limit.add(tokens, 2 * c.mlp_width, c.width, layers);
  limit.add(tokens, c.width, c.mlp_width, layers);
}

// Query-key pairs that may see each other.
inline double visible_pairs(const TokenTree& tree) {
  double pairs = 0;
  for (const int64_t position : token_positions(tree)) pairs += static_cast<double>(position + 1);
  return pairs;
}

// Forward and backward of a tree, the loss on `targets` of its tokens; the frozen model's products
// only, not the adapter's.
inline void add_training(const TransformerConfig& c, const TokenTree& tree, int64_t targets,
                         GemmLimit& limit) {
  add_linear_layers(c, tree.tokens(), 2, limit);  // forward; gradient of the input
  limit.add(targets, c.vocabulary, c.width, 2);   // the same
  // Two products forward, five backward.
  limit.add_flops(visible_pairs(tree) * 14.0 * c.heads * c.head_dim * c.layers);
}

}  // namespace l2a
