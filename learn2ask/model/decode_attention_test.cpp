#include "model/decode_attention.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/testing.h"
#include "model/transformer_weights.h"

namespace l2a {
namespace {

using testing::random_rows;
using testing::tiny_config;
using testing::with_all_parts;

TreeCache at_device(TreeCache cache, at::Device device) {
  for (auto* layers : {&cache.keys, &cache.values}) {
    for (at::Tensor& x : *layers) x = x.to(device);
  }
  return cache;
}

// What is read for all turns of a session is held once.
TEST(DecodeAttention, ContextsOfASessionShareTheirKeysAndValues) {
  const auto config = tiny_config(9, 3);
  const auto model = Transformer::random(config, testing::float32_options(), 1);
  std::vector<std::vector<int32_t>> contexts = {{1, 2, 3}};
  while (contexts.size() < 8) {
    contexts.push_back(contexts.back());
    for (int32_t i = 0; i < 20; ++i) contexts.back().push_back(i);
  }
  const auto cache = std::make_shared<const TreeCache>(
      at_device(model.prefill(build_token_tree(contexts), nullptr), at::kCPU));
  auto all = make_cpu_decode_attention(config, at::kFloat, 4);
  for (size_t r = 0; r < contexts.size(); ++r) all->add_prefix(cache, static_cast<int64_t>(r));
  auto longest = make_cpu_decode_attention(config, at::kFloat, 4);
  longest->add_prefix(cache, static_cast<int64_t>(contexts.size()) - 1);
  EXPECT_GT(longest->bytes(), 0);
  EXPECT_EQ(all->bytes(), longest->bytes());
}

// The kernels of the CPU against torch's operators, wherever these run: prefixes of several trees,
// rows of any number of new tokens, slots in any order.
TEST(DecodeAttention, RowLoopsEqualTheComposedOperators) {
  const at::Device device(testing::device());
  constexpr int64_t kMaxNew = 20;
  for (const auto& [compute, tolerance] :
       {std::pair{ComputeType::kFloat32, 64.0 * std::numeric_limits<float>::epsilon()},
        std::pair{ComputeType::kBfloat16, 0x1p-7}}) {
    const auto config = with_all_parts(tiny_config(9, 3));
    const auto model = Transformer::random(config, {.compute = compute, .device = "cpu"}, 1);
    const auto options = at::TensorOptions(scalar_type(compute));
    auto loops = make_cpu_decode_attention(config, scalar_type(compute), kMaxNew);
    auto composed = make_composed_decode_attention(config, options.device(device), kMaxNew);

    Rng rng(5);
    at::manual_seed(5);
    std::vector<DecodeRow> rows;
    size_t prefix = 0;
    for (int tree = 0; tree < 2; ++tree) {
      const auto contexts = random_rows(rng, 4, 40, 101);
      const auto cache =
          std::make_shared<const TreeCache>(model.prefill(build_token_tree(contexts), nullptr));
      const auto cache_there = std::make_shared<const TreeCache>(at_device(*cache, device));
      for (size_t r = 0; r < contexts.size(); ++r, ++prefix) {
        loops->add_prefix(cache, static_cast<int64_t>(r));
        composed->add_prefix(cache_there, static_cast<int64_t>(r));
        for (uint64_t i = 1 + rng.below(3); i > 0; --i) {
          rows.push_back({static_cast<int64_t>(rows.size()), 0, prefix});
        }
      }
    }
    const auto slots = static_cast<int64_t>(rows.size());
    for (DecodeRow& row : rows) row.slot = slots - 1 - row.slot;
    loops->make_slots(slots);
    composed->make_slots(slots);

    for (int64_t step = 0; step < kMaxNew; ++step) {
      if (step == 7) rows.erase(rows.begin() + 1);
      if (step == 11) {  // one row goes on two ways
        DecodeRow way = rows[3];
        way.slot = slots;
        for (auto* attention : {loops.get(), composed.get()}) {
          attention->make_slots(slots + 1);
          attention->copy_slots({rows[3].slot}, {way.slot});
        }
        rows.insert(rows.begin() + 4, way);
      }
      const auto n = static_cast<int64_t>(rows.size());
      const AttentionInput now{at::randn({3, n, 3, 8}, options), at::randn({3, n, 8}, options),
                               at::randn({3, n, 8}, options)};
      for (size_t layer = 0; layer < 2; ++layer) {
        const auto got = loops->attend(layer, now, rows).to(at::kFloat);
        const AttentionInput there{now.q_kngh.to(device), now.k_knh.to(device),
                                   now.v_knh.to(device)};
        const auto expected = composed->attend(layer, there, rows).to(at::kCPU, at::kFloat);
        ASSERT_LE((got - expected).norm().item<double>(),
                  tolerance * expected.norm().item<double>());
      }
      for (DecodeRow& row : rows) ++row.new_tokens;
    }
  }
}

}  // namespace
}  // namespace l2a
