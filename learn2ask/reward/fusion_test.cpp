#include "reward/fusion.h"

#include <gtest/gtest.h>

namespace l2a {
namespace {

constexpr Fusion kAll[] = {Fusion::kProduct, Fusion::kSum, Fusion::kMacroOnly, Fusion::kMicroOnly};

// Every value by hand from DESIGN's formulas, beta = 2.
TEST(Fuse, GivesTheTableOfTheFormulas) {
  const struct {
    double macro, micro, format, product, sum, macro_only, micro_only;
  } table[] = {
      {1, 1, 1, 4, 3, 4, 3},            // a perfect reply, a right stop
      {1, 1, 0.5, 3.5, 2.5, 3.5, 2.5},  // two questions, both to the point
      {1, 0.5, 1, 3, 2.5, 4, 2},       {1, 0.5, 0, 2, 1.5, 3, 1},
      {1, 0, 1, 2, 2, 4, 1},  // an irrelevant question
      {1, 0, 0, 1, 1, 3, 0},  // no question
      {0, 0, 0, 0, 0, 0, 0},  // a wrong decision
  };
  for (const auto& row : table) {
    const RewardParts parts{row.macro, row.micro, row.format};
    EXPECT_EQ(fuse(Fusion::kProduct, parts), row.product);
    EXPECT_EQ(fuse(Fusion::kSum, parts), row.sum);
    EXPECT_EQ(fuse(Fusion::kMacroOnly, parts), row.macro_only);
    EXPECT_EQ(fuse(Fusion::kMicroOnly, parts), row.micro_only);
  }
}

TEST(Fuse, WrongDecisionForfeitsEverything) {
  for (const Fusion fusion : kAll)
    EXPECT_EQ(fuse(fusion, {.macro = 0, .micro = 1, .format = 1}), 0);
}

TEST(Fuse, StaysInRangeAndNeverFallsWhenAPartRises) {
  for (const Fusion fusion : kAll) {
    for (double micro = 0; micro <= 1; micro += 0.125) {
      for (const double format : {0.0, 0.5, 1.0}) {
        const double reward = fuse(fusion, {1, micro, format});
        EXPECT_GE(reward, 0);
        EXPECT_LE(reward, max_reward(fusion));
        EXPECT_GE(reward, fuse(fusion, {0, micro, format}));
        if (micro > 0) {
          EXPECT_GE(reward, fuse(fusion, {1, micro - 0.125, format}));
        }
        if (format > 0) {
          EXPECT_GE(reward, fuse(fusion, {1, micro, format - 0.5}));
        }
      }
    }
  }
}

TEST(FusionName, RoundTripsAndRefusesOthers) {
  for (const Fusion fusion : kAll) {
    const auto read = fusion_from_name(fusion_name(fusion));
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, fusion);
  }
  for (const char* name : {"", "Product", "product ", "micro", "macro_only"}) {
    const auto read = fusion_from_name(name);
    ASSERT_FALSE(read) << name;
    EXPECT_EQ(read.error().message, "fusion: '" + std::string(name) +
                                        "': expected product, sum, macro-only or micro-only");
  }
}

}  // namespace
}  // namespace l2a
