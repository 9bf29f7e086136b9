// With batch_invariant a row's logits are the same bits alone and in any company, on any number of
// threads.

#include <algorithm>
#include <memory>
#include <vector>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/decode_batch.h"
#include "model/testing.h"

namespace l2a {
namespace {

using testing::random_adapter;
using testing::tiny_config;
using testing::with_all_parts;

using Rows = std::vector<std::vector<int32_t>>;

struct Case {
  ComputeType compute;
  bool all_parts;
  bool int8_generation = false;
};

class BatchInvariance : public ::testing::TestWithParam<Case> {
 protected:
  static TransformerConfig config() {
    TransformerConfig c = tiny_config(9, 3);
    c.width = 72;
    c.vocabulary = 1003;
    if (!GetParam().all_parts) return c;
    c = with_all_parts(c);
    c.window = 37;
    return c;
  }
  void TearDown() override { at::set_num_threads(threads_); }

  // Rows that share beginnings of any length, to past where tasks are cut.
  static Rows rows() {
    Rng rng(3);
    Rows rows = testing::random_rows(rng, 12, 150, 1003);
    std::erase_if(rows, [](const auto& row) { return row.empty(); });
    rows.push_back(rows.back());
    rows.back().resize(1);
    return rows;
  }

  // Logits of the last token of row `index` of a tree of `rows`, and after each of some more, where
  // every row of the tree goes on `ways` times.
  std::vector<at::Tensor> logits(const Rows& rows, size_t index, int64_t ways) const {
    constexpr int64_t kNew = 24;
    const auto cache =
        std::make_shared<const TreeCache>(model_.prefill(build_token_tree(rows), &adapter_));
    DecodeBatch batch(model_, &adapter_, kNew);
    const auto count = static_cast<int64_t>(rows.size()) * ways;
    for (int64_t i = 0; i < count; ++i) batch.add(cache, i / ways);
    const int64_t mine = static_cast<int64_t>(index) * ways;
    std::vector<at::Tensor> all = {batch.first()[mine]};
    Rng others(5);
    for (int64_t step = 0; step < kNew; ++step) {
      std::vector<int32_t> ids(static_cast<size_t>(count));
      for (auto& id : ids) id = static_cast<int32_t>(others.below(1003));
      ids[static_cast<size_t>(mine)] = static_cast<int32_t>(step * 31 % 1003);
      all.push_back(batch.step(ids)[mine]);
    }
    return all;
  }

  const int threads_ = at::get_num_threads();
  Transformer model_ = Transformer::random(config(),
                                           {.compute = GetParam().compute,
                                            .device = "cpu",
                                            .batch_invariant = true,
                                            .int8_generation = GetParam().int8_generation},
                                           1);
  LoraAdapter adapter_ = random_adapter(config(), {.rank = 3, .alpha = 6}, 2);
};

TEST_P(BatchInvariance, OfRepliesInAnyCompanyOnAnyThreads) {
  const Rows all = rows();
  for (size_t i = 0; i < all.size(); ++i) {
    at::set_num_threads(1);
    const auto alone = logits({all[i]}, 0, 1);
    const auto few = logits({all[i], all[(i + 5) % all.size()]}, 0, 3);
    at::set_num_threads(2);
    const auto many = logits(all, i, 5);
    for (size_t step = 0; step < alone.size(); ++step) {
      EXPECT_TRUE(at::equal(alone[step], few[step])) << "row " << i << " step " << step;
      EXPECT_TRUE(at::equal(alone[step], many[step])) << "row " << i << " step " << step;
    }
  }
}

TEST_P(BatchInvariance, OfLogProbabilities) {
  const Rows all = rows();
  const auto scores = [&](const Rows& of, size_t index) {
    const TokenTree tree = build_token_tree(of);
    const auto hidden = model_.hidden(tree, &adapter_);
    const auto places = row_tokens(tree, index, 0, tree.row_length[index]);
    const auto out = model_.head(hidden.index_select(0, at::tensor(places)),
                                 at::arange(static_cast<int64_t>(places.size())), 0.7);
    return at::stack({out.log_prob_n, out.entropy_n}).detach();
  };
  for (size_t i = 0; i < all.size(); ++i) {
    at::set_num_threads(1);
    const auto alone = scores({all[i]}, 0);
    at::set_num_threads(2);
    EXPECT_TRUE(at::equal(alone, scores(all, i))) << "row " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, BatchInvariance,
                         ::testing::Values(Case{ComputeType::kFloat32, false},
                                           Case{ComputeType::kFloat32, true},
                                           Case{ComputeType::kBfloat16, false},
                                           Case{ComputeType::kBfloat16, true},
                                           Case{ComputeType::kBfloat16, true, true}));

}  // namespace
}  // namespace l2a
