#include "model/tree_plan.h"

#include <algorithm>

#include <torch/types.h>

#include "model/simd.h"

namespace l2a {
namespace {

// The path from the root to the first `tokens` tokens of segment `s`, neighbours merged.
std::vector<TokenRange> path_to(const TokenTree& tree, int64_t s, int64_t tokens) {
  std::vector<TokenRange> path;  // last first
  int64_t end = s < 0 ? 0 : tree.segments[s].begin + tokens;
  for (; s >= 0; s = tree.segments[s].parent) {
    const int64_t begin = tree.segments[s].begin;
    if (end > begin) {
      if (!path.empty() && path.back().begin == end) {
        path.back().begin = begin;
      } else {
        path.push_back({begin, end});
      }
    }
    if (tree.segments[s].parent >= 0) end = tree.segments[tree.segments[s].parent].end;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

class Planner {
 public:
  Planner(const TokenTree& tree, const PlanOptions& options)
      : tree_(tree), max_queries_(options.max_queries), join_siblings_(options.join_siblings) {}

  std::vector<AttentionTask> plan() {
    const auto& segments = tree_.segments;
    const auto count = static_cast<int64_t>(segments.size());
    for (int64_t first = 0; first < count;) {
      int64_t last = first;  // of the chain: each segment continues the one before it
      while (last + 1 < count && segments[last + 1].parent == last) ++last;
      const int64_t tokens = segments[last].end - segments[first].begin;
      if (first == last && joins_last_task(segments[first])) {
        append(segments[first]);
      } else {
        for (int64_t cut = 0; cut < tokens; cut += max_queries_) {
          start_task(first, cut, std::min(cut + max_queries_, tokens));
        }
      }
      open_parent_ = first == last && tokens <= max_queries_ ? segments[first].parent : kNone;
      first = last + 1;
    }
    return std::move(tasks_);
  }

 private:
  static constexpr int64_t kNone = -2;

  bool joins_last_task(const TreeSegment& segment) const {
    if (!join_siblings_ || segment.parent < 0 || segment.parent != open_parent_) return false;
    return tasks_.back().queries() + segment.end - segment.begin <= max_queries_;
  }

  void append(const TreeSegment& segment) {
    AttentionTask& task = tasks_.back();
    const auto start = static_cast<int32_t>(segment.begin - task.begin);
    task.own_start.insert(task.own_start.end(), segment.end - segment.begin, start);
    task.prefix_start.resize(task.own_start.size(), 0);
    task.end = segment.end;
  }

  // Tokens [from, to) of the chain that starts with segment `first`: causal among themselves.
  void start_task(int64_t first, int64_t from, int64_t to) {
    const TreeSegment& segment = tree_.segments[first];
    AttentionTask task;
    task.prefix = path_to(tree_, segment.parent,
                          segment.parent < 0 ? 0
                                             : tree_.segments[segment.parent].end -
                                                   tree_.segments[segment.parent].begin);
    if (from > 0) {
      if (!task.prefix.empty() && task.prefix.back().end == segment.begin) {
        task.prefix.back().end += from;
      } else {
        task.prefix.push_back({segment.begin, segment.begin + from});
      }
    }
    for (const TokenRange& range : task.prefix) task.prefix_tokens += range.end - range.begin;
    task.begin = segment.begin + from;
    task.end = segment.begin + to;
    task.own_start.assign(to - from, 0);
    task.prefix_start.assign(to - from, 0);
    tasks_.push_back(std::move(task));
  }

  const TokenTree& tree_;
  int64_t max_queries_;
  bool join_siblings_;
  std::vector<AttentionTask> tasks_;
  int64_t open_parent_ = kNone;  // siblings under it may join the last task
};

// Leaves out the first `count` tokens of the prefix.
void drop_first(AttentionTask& task, int64_t count) {
  task.prefix_tokens -= count;
  size_t gone = 0;
  for (TokenRange& range : task.prefix) {
    const int64_t cut = std::min(count, range.end - range.begin);
    range.begin += cut;
    count -= cut;
    gone += range.begin == range.end;
  }
  task.prefix.erase(task.prefix.begin(), task.prefix.begin() + static_cast<int64_t>(gone));
}

// Query i stands prefix_tokens + i - own_start[i] tokens down its path.
void apply_window(AttentionTask& task, int64_t window) {
  int64_t unseen = task.prefix_tokens;
  for (int64_t i = 0; i < task.queries(); ++i) {
    const int64_t first = task.prefix_tokens + i - task.own_start[i] - window + 1;
    task.prefix_start[i] = static_cast<int32_t>(std::clamp<int64_t>(first, 0, task.prefix_tokens));
    task.own_start[i] = std::max(task.own_start[i], static_cast<int32_t>(i - window + 1));
    unseen = std::min<int64_t>(unseen, task.prefix_start[i]);
  }
  unseen -= unseen % kLanes;
  drop_first(task, unseen);
  for (int32_t& start : task.prefix_start) start -= static_cast<int32_t>(unseen);
}

}  // namespace

std::vector<AttentionTask> plan_attention(const TokenTree& tree, const PlanOptions& options,
                                          at::Device device) {
  std::vector<AttentionTask> tasks = Planner(tree, options).plan();
  if (options.window > 0) {
    for (AttentionTask& task : tasks) apply_window(task, options.window);
  }
  if (device.is_cpu()) return tasks;
  const auto column = [&](const std::vector<int32_t>& values) {
    return at::tensor(values, at::kInt).to(device).unsqueeze(1);
  };
  for (AttentionTask& task : tasks) {
    task.prefix_start_m1 = column(task.prefix_start);
    task.own_start_m1 = column(task.own_start);
  }
  return tasks;
}

std::vector<int64_t> token_positions(const TokenTree& tree) {
  std::vector<int64_t> positions(tree.ids.size());
  for (const TreeSegment& segment : tree.segments) {
    for (int64_t i = segment.begin; i < segment.end; ++i) {
      positions[i] = segment.first_position + i - segment.begin;
    }
  }
  return positions;
}

}  // namespace l2a
