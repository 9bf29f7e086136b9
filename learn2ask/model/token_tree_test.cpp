#include "model/token_tree.h"

#include <set>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "model/tree_plan.h"

namespace l2a {
namespace {

using Rows = std::vector<std::vector<int32_t>>;

// Few token values, so that rows meet by chance; prefixes of earlier rows, so that they meet late.
Rows random_rows(Rng& rng) {
  Rows rows;
  const size_t count = 1 + rng.below(12);
  while (rows.size() < count) {
    std::vector<int32_t> row;
    if (!rows.empty() && rng.chance(0.7)) {
      row = rng.pick(rows);
      row.resize(rng.below(row.size() + 1));
    }
    const size_t length = row.size() + rng.below(9);
    while (row.size() < length) row.push_back(static_cast<int32_t>(rng.below(3)));
    if (!row.empty()) rows.push_back(row);
  }
  return rows;
}

std::vector<int32_t> tokens_of(const TokenTree& tree, const std::vector<int64_t>& places) {
  std::vector<int32_t> ids;
  for (const int64_t place : places) ids.push_back(tree.ids.at(place));
  return ids;
}

std::set<std::vector<int32_t>> distinct_prefixes(const Rows& rows) {
  std::set<std::vector<int32_t>> prefixes;
  for (const auto& row : rows) {
    for (size_t length = 1; length <= row.size(); ++length) {
      prefixes.emplace(row.begin(), row.begin() + length);
    }
  }
  return prefixes;
}

TEST(TokenTree, IsTheTrieOfItsRows) {
  Rng rng(1);
  for (int trial = 0; trial < 500; ++trial) {
    const Rows rows = random_rows(rng);
    const TokenTree tree = build_token_tree(rows);
    ASSERT_EQ(tree.ids.size(), distinct_prefixes(rows).size());
    ASSERT_EQ(tree.row_length.size(), rows.size());
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto length = static_cast<int64_t>(rows[r].size());
      ASSERT_EQ(tree.row_length[r], length);
      ASSERT_EQ(tokens_of(tree, row_tokens(tree, r, 0, length)), rows[r]);
    }
  }
}

TEST(TokenTree, SegmentsTileThePackedOrderParentsFirst) {
  Rng rng(2);
  for (int trial = 0; trial < 300; ++trial) {
    const TokenTree tree = build_token_tree(random_rows(rng));
    int64_t end = 0;
    for (size_t s = 0; s < tree.segments.size(); ++s) {
      const TreeSegment& segment = tree.segments[s];
      ASSERT_EQ(segment.begin, end);
      ASSERT_GT(segment.end, segment.begin);
      ASSERT_LT(segment.parent, static_cast<int64_t>(s));
      const int64_t depth = segment.parent < 0 ? 0
                                               : tree.segments[segment.parent].first_position +
                                                     tree.segments[segment.parent].end -
                                                     tree.segments[segment.parent].begin;
      ASSERT_EQ(segment.first_position, depth);
      end = segment.end;
    }
    ASSERT_EQ(end, tree.tokens());
  }
}

TEST(TokenTree, RowTokensTakesAnyPartOfARow) {
  const TokenTree tree = build_token_tree(Rows{{1, 2, 3, 4}, {1, 2, 5}, {1, 2, 3, 6, 7}});
  EXPECT_EQ(tokens_of(tree, row_tokens(tree, 2, 1, 4)), (std::vector<int32_t>{2, 3, 6}));
  EXPECT_TRUE(row_tokens(tree, 0, 2, 2).empty());
}

// A session: the transcript runs through, replies hang off it at each turn.
TEST(TokenTree, TheTranscriptOfASessionIsOneSlice) {
  Rng rng(3);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<int32_t> transcript;
    Rows rows;
    for (int turn = 0; turn < 5; ++turn) {
      for (int i = 0; i < 7; ++i) transcript.push_back(static_cast<int32_t>(rng.below(1000)));
      for (int reply = 0; reply < 4; ++reply) {
        rows.push_back(transcript);
        for (int i = 0; i < 3; ++i) rows.back().push_back(static_cast<int32_t>(rng.below(1000)));
      }
    }
    rng.shuffle(rows);
    const TokenTree tree = build_token_tree(rows);
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto shared = static_cast<int64_t>(rows[r].size()) - 3;
      const auto path = row_path(tree, r, shared);
      ASSERT_EQ(path.size(), 1);
      EXPECT_EQ(path[0].begin, 0);
      EXPECT_EQ(path[0].end, shared);
    }
  }
}

TEST(TokenTree, PathsArePrefixesOfThePathToTheLastContinuation) {
  Rng rng(7);
  for (int trial = 0; trial < 300; ++trial) {
    const Rows rows = random_rows(rng);
    const TokenTree tree = build_token_tree(rows);
    for (size_t r = 0; r < rows.size(); ++r) {
      const int64_t last = last_continuation(tree, tree.row_segment[r]);
      const auto path = segment_path(tree, last, tree.row_length[r]);
      std::vector<int64_t> tokens;
      for (const TokenRange& range : path) {
        for (int64_t i = range.begin; i < range.end; ++i) tokens.push_back(i);
      }
      ASSERT_EQ(tokens, row_tokens(tree, static_cast<int64_t>(r), 0, tree.row_length[r]));
    }
  }
}

// Contexts of a session are prefixes of one another.
TEST(TokenTree, TheContextsOfASessionHaveOneLastContinuation) {
  const TokenTree tree =
      build_token_tree(Rows{{1, 2}, {1, 2, 3, 4, 5}, {1, 2, 3}, {1, 7, 8}, {1, 7}, {1, 2, 3, 4}});
  const auto last = [&](int64_t row) { return last_continuation(tree, tree.row_segment[row]); };
  for (const int64_t row : {2, 5, 0}) EXPECT_EQ(last(row), tree.row_segment[1]);
  EXPECT_EQ(last(4), tree.row_segment[3]);
  EXPECT_NE(last(4), last(0));
}

TEST(TokenTree, DuplicateRowsShareEverything) {
  const TokenTree tree = build_token_tree(Rows{{4, 5, 6}, {4, 5, 6}, {4, 5}});
  EXPECT_EQ(tree.tokens(), 3);
  EXPECT_EQ(row_tokens(tree, 0, 0, 3), row_tokens(tree, 1, 0, 3));
}

TEST(TokenTreeDeathTest, AnEmptyRowIsABug) {
  EXPECT_DEATH(build_token_tree(Rows{{1}, {}}), "a row is empty");
}

// Each token's keys by the plan are the tokens on its path, in order, and no others; with a window
// the last of them.
TEST(AttentionPlan, EveryTokenSeesItsAncestorsAndItself) {
  Rng rng(4);
  for (int trial = 0; trial < 1200; ++trial) {
    const int64_t max_queries = rng.pick(std::vector<int64_t>{1, 2, 3, 5, 8, 128});
    const int64_t window = rng.pick(std::vector<int64_t>{0, 0, 1, 2, 7, 30});
    const bool join = rng.chance(0.5);
    const Rows rows = random_rows(rng);
    const TokenTree tree = build_token_tree(rows);
    const auto positions = token_positions(tree);
    std::vector<std::vector<int64_t>> keys;
    for (const AttentionTask& task : plan_attention(
             tree, {.window = window, .max_queries = max_queries, .join_siblings = join})) {
      ASSERT_EQ(task.begin, static_cast<int64_t>(keys.size()));
      ASSERT_LE(task.queries(), max_queries);
      std::vector<int64_t> prefix;
      for (const TokenRange& range : task.prefix) {
        for (int64_t j = range.begin; j < range.end; ++j) prefix.push_back(j);
      }
      ASSERT_EQ(static_cast<int64_t>(prefix.size()), task.prefix_tokens);
      if (!prefix.empty()) {
        ASSERT_EQ(positions[prefix[0]] % 16, 0);
      }
      for (int64_t i = 1; !join && i < task.queries(); ++i) {
        ASSERT_EQ(positions[task.begin + i], positions[task.begin] + i);
      }
      for (int64_t i = 0; i < task.queries(); ++i) {
        keys.emplace_back(prefix.begin() + task.prefix_start.at(i), prefix.end());
        for (int64_t j = task.own_start.at(i); j <= i; ++j) keys.back().push_back(task.begin + j);
      }
    }
    ASSERT_EQ(static_cast<int64_t>(keys.size()), tree.tokens());
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto path = row_tokens(tree, r, 0, tree.row_length[r]);
      for (size_t t = 0; t < path.size(); ++t) {
        const size_t seen = window > 0 ? std::min(t + 1, static_cast<size_t>(window)) : t + 1;
        const auto end = path.begin() + static_cast<int64_t>(t) + 1;
        ASSERT_EQ(keys[path[t]], std::vector(end - static_cast<int64_t>(seen), end));
        ASSERT_EQ(positions[path[t]], static_cast<int64_t>(t));
      }
    }
  }
}

}  // namespace
}  // namespace l2a
