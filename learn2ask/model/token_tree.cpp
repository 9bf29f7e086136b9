#include "model/token_tree.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/error.h"

namespace l2a {
namespace {

using Rows = std::span<const std::vector<int32_t>>;

// A run of tokens of the trie before it has a place: tokens [depth, depth + length) of `row`.
struct Node {
  size_t row = 0;
  int64_t depth = 0, length = 0;
  int64_t shared_tokens = 0;  // on the longest path from here down that several rows share
  std::vector<size_t> children;
};

class Builder {
 public:
  explicit Builder(Rows rows) : rows_(rows), order_(rows.size()), row_node_(rows.size()) {
    // Sorted, the rows of a subtree are neighbours; stable, so that equal rows keep their order.
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(),
                     [&](size_t a, size_t b) { return rows[a] < rows[b]; });
  }

  TokenTree build() {
    std::vector<size_t> roots = split(0, order_.size(), 0);
    sort_by_first_row(roots);
    for (const size_t root : roots) place(root, -1);
    for (size_t row = 0; row < rows_.size(); ++row) {
      tree_.row_segment.push_back(segment_of_.at(row_node_[row]));
      tree_.row_length.push_back(static_cast<int64_t>(rows_[row].size()));
    }
    return std::move(tree_);
  }

 private:
  const std::vector<int32_t>& row(size_t sorted) const { return rows_[order_[sorted]]; }

  // The nodes below depth `depth` of the sorted rows [begin, end), which agree up to there.
  std::vector<size_t> split(size_t begin, size_t end, int64_t depth) {
    std::vector<size_t> nodes;
    while (begin < end) {
      const auto at = static_cast<size_t>(depth);
      size_t stop = begin + 1;
      while (stop < end && row(stop)[at] == row(begin)[at]) ++stop;
      nodes.push_back(make_node(begin, stop, depth));
      begin = stop;
    }
    return nodes;
  }

  // The sorted rows [begin, end) agree on the token at `depth`.
  size_t make_node(size_t begin, size_t end, int64_t depth) {
    // In sorted order the first and the last row have the shortest common prefix.
    const auto &first = row(begin), &last = row(end - 1);
    const auto branch = std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first;
    const int64_t stop = branch - first.begin();
    const size_t id = nodes_.size();
    nodes_.emplace_back();
    size_t ended = begin;  // rows that end here come first
    while (ended < end && static_cast<int64_t>(row(ended).size()) == stop) {
      row_node_[order_[ended++]] = id;
    }
    std::vector<size_t> children = split(ended, end, stop);
    sort_by_first_row(children);
    Node& node = nodes_[id];
    node.depth = depth;
    node.length = stop - depth;
    node.row = *std::min_element(order_.begin() + begin, order_.begin() + end);
    for (const size_t child : children) {
      node.shared_tokens = std::max(node.shared_tokens, nodes_[child].shared_tokens);
    }
    if (end - begin > 1) node.shared_tokens += node.length;
    node.children = std::move(children);
    return id;
  }

  // Siblings stand in the order of their first rows.
  void sort_by_first_row(std::vector<size_t>& ids) const {
    std::sort(ids.begin(), ids.end(),
              [&](size_t a, size_t b) { return nodes_[a].row < nodes_[b].row; });
  }

  // Lays out the subtree of `node`: its trunk in one run, then, along the trunk, the leaves of
  // each branching point side by side, then the subtrees that branch again.
  void place(size_t node, int64_t parent) {
    std::vector<std::pair<size_t, size_t>> branches;  // trunk node, its child on the trunk
    while (true) {
      parent = emit(node, parent);
      const size_t next = trunk_child(node);
      branches.emplace_back(node, next);
      if (next == kNone) break;
      node = next;
    }
    for (const auto& [at, next] : branches) {
      const int64_t segment = segment_of_.at(at);
      for (const size_t child : nodes_[at].children) {
        if (child != next && nodes_[child].children.empty()) emit(child, segment);
      }
      for (const size_t child : nodes_[at].children) {
        if (child != next && !nodes_[child].children.empty()) place(child, segment);
      }
    }
  }

  // The child with most shared tokens below it; kNone when no child is shared.
  size_t trunk_child(size_t node) const {
    size_t best = kNone;
    for (const size_t child : nodes_[node].children) {
      const int64_t least = best == kNone ? 0 : nodes_[best].shared_tokens;
      if (nodes_[child].shared_tokens > least) best = child;
    }
    return best;
  }

  int64_t emit(size_t id, int64_t parent) {
    const Node& node = nodes_[id];
    const int64_t begin = tree_.tokens();
    const auto from = rows_[node.row].begin() + node.depth;
    tree_.ids.insert(tree_.ids.end(), from, from + node.length);
    tree_.segments.push_back({parent, begin, begin + node.length, node.depth});
    return segment_of_[id] = static_cast<int64_t>(tree_.segments.size()) - 1;
  }

  static constexpr size_t kNone = static_cast<size_t>(-1);
  Rows rows_;
  std::vector<size_t> order_;     // sorted
  std::vector<size_t> row_node_;  // the node each row ends in
  std::vector<Node> nodes_;
  std::map<size_t, int64_t> segment_of_;
  TokenTree tree_;
};

}  // namespace

TokenTree build_token_tree(std::span<const std::vector<int32_t>> rows) {
  for (const auto& row : rows) check(!row.empty(), "token tree: a row is empty");
  return Builder(rows).build();
}

std::vector<TokenRange> row_path(const TokenTree& tree, int64_t row, int64_t length) {
  check(length >= 0 && length <= tree.row_length.at(row), "token tree: path longer than its row");
  return segment_path(tree, tree.row_segment.at(row), length);
}

int64_t last_continuation(const TokenTree& tree, int64_t segment) {
  std::vector<int64_t> tokens_below(tree.segments.size(), 0), longest(tree.segments.size(), -1);
  for (auto s = static_cast<int64_t>(tree.segments.size()) - 1; s > 0; --s) {
    const TreeSegment& here = tree.segments[s];
    const int64_t tokens = here.end - here.begin + tokens_below[s];
    if (here.parent < 0 || tokens < tokens_below[here.parent]) continue;
    tokens_below[here.parent] = tokens;
    longest[here.parent] = s;
  }
  while (longest[segment] >= 0) segment = longest[segment];
  return segment;
}

std::vector<TokenRange> segment_path(const TokenTree& tree, int64_t segment, int64_t length) {
  std::vector<TokenRange> path;  // leaf first
  for (int64_t s = segment; s >= 0; s = tree.segments[s].parent) {
    const TreeSegment& here = tree.segments[s];
    const int64_t tokens = std::min(here.end - here.begin, length - here.first_position);
    if (tokens <= 0) continue;
    const TokenRange range{here.begin, here.begin + tokens};
    if (!path.empty() && path.back().begin == range.end) {
      path.back().begin = range.begin;
    } else {
      path.push_back(range);
    }
  }
  std::reverse(path.begin(), path.end());
  return path;
}

std::vector<int64_t> row_tokens(const TokenTree& tree, int64_t row, int64_t from, int64_t to) {
  check(from >= 0 && from <= to, "token tree: row range reversed");
  std::vector<int64_t> tokens;
  tokens.reserve(static_cast<size_t>(to));
  for (const TokenRange& range : row_path(tree, row, to)) {
    for (int64_t i = range.begin; i < range.end; ++i) tokens.push_back(i);
  }
  tokens.erase(tokens.begin(), tokens.begin() + from);
  return tokens;
}

}  // namespace l2a
