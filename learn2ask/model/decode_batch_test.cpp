#include "model/decode_batch.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/testing.h"

namespace l2a {
namespace {

using testing::random_adapter;
using testing::random_rows;
using testing::tiny_config;
using testing::with_all_parts;

using Rows = std::vector<std::vector<int32_t>>;

constexpr double kTolerance = 64 * std::numeric_limits<float>::epsilon();

class Decoding : public ::testing::TestWithParam<TransformerConfig> {
 protected:
  TransformerConfig config_ = GetParam();
  Transformer model_ = Transformer::random(config_, testing::float32_options(), 1);
  LoraAdapter adapter_ = random_adapter(config_, {.rank = 4, .alpha = 8}, 2);

  // Logits after the last token, from a pass over the whole row.
  at::Tensor full(const std::vector<int32_t>& row) const {
    const torch::NoGradGuard no_grad;
    const auto hidden = model_.hidden(build_token_tree(Rows{row}), &adapter_);
    return model_.logits(hidden.slice(0, hidden.size(0) - 1)).squeeze(0);
  }
  void expect_next(const at::Tensor& logits_v, const std::vector<int32_t>& row) const {
    const auto expected = full(row);
    EXPECT_LE((logits_v - expected).norm().item<double>(),
              kTolerance * expected.norm().item<double>());
  }
};

TEST_P(Decoding, LetsGoOfWhatNoRowNeeds) {
  Rng rng(5);
  DecodeBatch batch(model_, &adapter_, 4);
  std::vector<std::weak_ptr<const TreeCache>> caches;
  for (int tree = 0; tree < 2; ++tree) {
    const auto cache = std::make_shared<const TreeCache>(
        model_.prefill(build_token_tree(random_rows(rng, 3, 30, 101)), &adapter_));
    caches.push_back(cache);
    for (int64_t r = 0; r < 3; ++r) batch.add(cache, r);
  }
  batch.step(std::vector<int32_t>{1, 2, 3, 4, 5, 6});
  const int64_t both = batch.bytes();
  batch.keep(std::vector<int64_t>{0, 1, 5});
  EXPECT_FALSE(caches[0].expired());
  EXPECT_LT(batch.bytes(), both);
  batch.keep(std::vector<int64_t>{2});
  EXPECT_TRUE(caches[0].expired());
  EXPECT_FALSE(caches[1].expired());
  batch.step(std::vector<int32_t>{7});
  batch.keep({});
  EXPECT_TRUE(caches[1].expired());
}

TEST_P(Decoding, EqualsTheFullPassForRowsOfManyTreesAddedDroppedAndSplitOnTheWay) {
  Rng rng(3);
  DecodeBatch batch(model_, &adapter_, 12);
  Rows rows;
  const auto add_tree = [&] {
    const Rows prefixes = random_rows(rng, 5, 30, 101);
    const auto cache =
        std::make_shared<const TreeCache>(model_.prefill(build_token_tree(prefixes), &adapter_));
    for (size_t r = 0; r < prefixes.size(); ++r) {
      batch.add(cache, static_cast<int64_t>(r));
      rows.push_back(prefixes[r]);
    }
  };
  add_tree();
  add_tree();
  const auto first = batch.first();
  for (size_t i = 0; i < rows.size(); ++i) expect_next(first[i], rows[i]);

  for (int step = 0; step < 12; ++step) {
    std::vector<int64_t> positions;  // each row goes on none to three ways
    Rows kept;
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t ways = i == 0 ? 1 : rng.below(rows.size() < 30 ? 4 : 2);
      positions.insert(positions.end(), ways, static_cast<int64_t>(i));
      kept.insert(kept.end(), ways, rows[i]);
    }
    batch.keep(positions);
    rows = std::move(kept);
    if (step == 4) add_tree();
    ASSERT_EQ(batch.rows(), static_cast<int64_t>(rows.size()));
    std::vector<int32_t> ids;
    for (auto& row : rows) {
      ids.push_back(static_cast<int32_t>(rng.below(101)));
      row.push_back(ids.back());
    }
    const auto logits = batch.step(ids);
    ASSERT_EQ(logits.size(0), static_cast<int64_t>(ids.size()));
    for (size_t i = 0; i < ids.size(); ++i) expect_next(logits[i], rows[i]);
  }
}

TEST_P(Decoding, ARowIsTheSameAloneAndAmongSixtyFour) {
  Rng rng(4);
  const Rows prefixes = random_rows(rng, 16, 30, 101);
  const auto cache =
      std::make_shared<const TreeCache>(model_.prefill(build_token_tree(prefixes), &adapter_));
  DecodeBatch many(model_, &adapter_, 8), alone(model_, &adapter_, 8);
  for (int64_t i = 0; i < 64; ++i) many.add(cache, i / 4);
  alone.add(cache, 9);
  for (int step = 0; step < 8; ++step) {
    std::vector<int32_t> ids(64);
    for (auto& id : ids) id = static_cast<int32_t>(rng.below(101));
    const auto one = alone.step(std::vector<int32_t>{ids[37]})[0];
    const auto same = many.step(ids)[37];
    EXPECT_LE((one - same).norm().item<double>(), kTolerance * one.norm().item<double>());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Decoding,
                         ::testing::Values(tiny_config(6, 6), tiny_config(6, 1), tiny_config(9, 3),
                                           with_all_parts(tiny_config(6, 3))));

}  // namespace
}  // namespace l2a
