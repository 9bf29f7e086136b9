#include "rollout/context_window.h"

#include <algorithm>

#include <fmt/format.h>

namespace l2a {
namespace {

constexpr int64_t kPieces = 8;  // of the room; one is freed at a time

}  // namespace

Result<ContextWindow::View> ContextWindow::view(std::span<const Turn> turns,
                                                int64_t reply_tokens) const {
  const auto ids_of = [&](std::span<const Turn> some) {
    return chat_->context_ids(options_.system_prompt, some);
  };
  const auto size = [](const std::vector<int32_t>& ids) {
    return static_cast<int64_t>(ids.size());
  };
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

  // A turn's tokens do not depend on its neighbours.
  const int64_t none = size(ids_of({})), excess = size(all.ids) - room;
  const int64_t piece = std::max<int64_t>(1, (room - none) / kPieces);
  const int64_t to_free = (excess + piece - 1) / piece * piece;
  size_t enough = 0;  // oldest turns without which it fits
  int64_t freed = 0;
  for (size_t cut = 0; cut + 1 < turns.size() && freed < to_free;) {
    freed += size(ids_of(turns.subspan(cut, 1))) - none;
    ++cut;
    if (freed >= excess) enough = cut;
  }
  if (enough == 0) return too_long("its last turn alone is too long: leave it out");
  return View{ids_of(turns.subspan(enough)), enough};
}

}  // namespace l2a
