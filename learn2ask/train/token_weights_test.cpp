#include "train/token_weights.h"

#include <gtest/gtest.h>

namespace l2a {
namespace {

const std::vector<int64_t> kTokens = {3, 7, 1, 5};
const std::vector<bool> kCounts = {true, false, true, true};

TEST(RowTokenWeights, OfTokensThatCountSumToOne) {
  const auto by_row = row_token_weights("row", kTokens, kCounts, 10);
  const auto by_token = row_token_weights("token", kTokens, kCounts, 10);
  EXPECT_DOUBLE_EQ(by_row[0], 1.0 / 9);
  EXPECT_DOUBLE_EQ(by_row[2], 1.0 / 3);
  EXPECT_DOUBLE_EQ(by_token[0], 1.0 / 9);
  EXPECT_DOUBLE_EQ(by_token[3], 1.0 / 9);
  EXPECT_EQ(by_row[1], 0);
  EXPECT_EQ(by_token[1], 0);
  for (const auto& weights : {by_row, by_token}) {
    double sum = 0;
    for (size_t r = 0; r < kTokens.size(); ++r) {
      sum += weights[r] * static_cast<double>(kTokens[r]);
    }
    EXPECT_DOUBLE_EQ(sum, 1);
  }
}

// Each reply's weight grows with its length, to a share of the replies for one that is cut.
TEST(RowTokenWeights, OfAConstantAreTheSameForEveryToken) {
  const auto weights = row_token_weights("constant", kTokens, kCounts, 10);
  for (size_t r = 0; r < kTokens.size(); ++r) {
    EXPECT_DOUBLE_EQ(weights[r], kCounts[r] ? 1.0 / 30 : 0);
  }
}

}  // namespace
}  // namespace l2a
