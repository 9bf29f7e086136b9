// Token rows as a trie: rows of one session share their transcript, so it is computed once.
//
// Built from token ids by longest common prefix, never from message equality; rows keep the
// exact ids they were given. Position ids follow the path from the root, not the packed index;
// a token attends to itself and its ancestors only. Pure C++, no torch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace l2a {

// A run of tokens without a branch inside. Its tokens stand at [begin, end) of the packed order.
struct TreeSegment {
  int64_t parent = -1;  // index of the segment it continues; -1 for a root
  int64_t begin = 0, end = 0;
  int64_t first_position = 0;  // position id of its first token
};

struct TokenTree {
  std::vector<int32_t> ids;           // packed
  std::vector<TreeSegment> segments;  // parents before children
  std::vector<int64_t> row_segment;   // for each row, the segment its last token is in
  std::vector<int64_t> row_length;    // tokens of each row

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
};

// The trie of `rows` (none empty). The longest shared path (the trunk) is laid out first and
// contiguous, so that a prefix of it is one slice. Duplicate rows share all their tokens.
TokenTree build_token_tree(std::span<const std::vector<int32_t>> rows);

// A contiguous run of packed tokens.
struct TokenRange {
  int64_t begin = 0, end = 0;
};
// The first `length` tokens of row `row`, root first, neighbours merged.
std::vector<TokenRange> row_path(const TokenTree& tree, int64_t row, int64_t length);
// The same of the path that ends in `segment`.
std::vector<TokenRange> segment_path(const TokenTree& tree, int64_t segment, int64_t length);
// Where the longest path through `segment` ends: the paths to all segments on its way are prefixes
// of it. The contexts of a session lie on one way.
int64_t last_continuation(const TokenTree& tree, int64_t segment);
// Packed indices of tokens [from, to) of row `row`.
std::vector<int64_t> row_tokens(const TokenTree& tree, int64_t row, int64_t from, int64_t to);

}  // namespace l2a
