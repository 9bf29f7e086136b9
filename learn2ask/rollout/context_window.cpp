#include "rollout/context_window.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace l2a {
namespace {

constexpr int64_t kPieces = 8;  // of the room; one is freed at a time

}  // namespace

// The turns, begun by the user where that is asked for.
std::vector<Turn> ContextWindow::opened(std::span<const Turn> turns) const {
  std::vector<Turn> all(turns.begin(), turns.end());
  if (!options_.user_opens.empty() && (all.empty() || all[0].role != Role::kUser)) {
    all.insert(all.begin(), {Role::kUser, options_.user_opens, 0, 0});
  }
  return all;
}

Result<ContextWindow::View> ContextWindow::view(std::span<const Turn> turns,
                                                int64_t reply_tokens) const {
  const auto refusal = [&](std::span<const Turn> some) {
    return chat_->refusal(options_.system_prompt, opened(some));
  };
  const auto ids_of = [&](std::span<const Turn> some) {
    return chat_->context_ids(options_.system_prompt, opened(some));
  };
  const auto size = [](const std::vector<int32_t>& ids) {
    return static_cast<int64_t>(ids.size());
  };
  if (const auto why = refusal(turns)) return Error{ErrorCode::kInvalidInput, *why};
  const int64_t room = options_.max_positions - reply_tokens;
  View all{ids_of(turns)};
  if (size(all.ids) <= room) return all;
  const auto too_long = [&](const char* remedy) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{} tokens and a reply of {} exceed the model's {} positions ({})",
                             size(all.ids), reply_tokens, options_.max_positions, remedy)};
  };
  if (!options_.cut_oldest_turns) {
    return too_long("leave the session out, or set policy.cut_oldest_turns=true");
  }

  const int64_t excess = size(all.ids) - room;
  const int64_t rest = size(all.ids) - std::accumulate(turns.begin(), turns.end(), int64_t{0},
                                                       [&](int64_t sum, const Turn& turn) {
                                                         return sum + chat_->turn_tokens(turn);
                                                       });
  const int64_t piece = std::max<int64_t>(1, (room - rest) / kPieces);
  const int64_t to_free = (excess + piece - 1) / piece * piece;
  size_t enough = 0;  // oldest turns without which it fits
  int64_t freed = 0;
  for (size_t cut = 0; cut + 1 < turns.size() && freed < to_free;) {
    freed += chat_->turn_tokens(turns[cut]);
    ++cut;
    if (freed >= excess) enough = cut;
  }
  // What a turn takes may depend on its place, and not each may come first.
  for (size_t cut = enough; cut > 0 && cut < turns.size(); ++cut) {
    if (refusal(turns.subspan(cut))) continue;
    View view{ids_of(turns.subspan(cut)), cut};
    if (size(view.ids) <= room) return view;
  }
  return too_long("its last turn alone is too long: leave it out");
}

}  // namespace l2a
