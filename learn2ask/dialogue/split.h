// Which split a session belongs to: a function of its words alone, so that a session and its
// copies never straddle two splits, in whatever order or file they come.
#pragma once

#include <cstdint>

#include "dialogue/session.h"

namespace l2a {

// kHeldOut: set apart from train to stop and choose training by, where dev is to be read but once.
enum class Split { kTrain, kDev, kTest, kHeldOut };
inline constexpr Split kSplits[] = {Split::kTrain, Split::kDev, Split::kTest, Split::kHeldOut};
const char* split_name(Split split);  // "train", "dev", "test", "held_out"

// Hash of the roles and the normalised texts of the session's turns; ids, labels, letter case,
// spacing and the cut of a turn into messages do not enter.
uint64_t text_hash(const Session& session);

// Of all sessions, in [0, 1], the sum too; `held_out` of those that neither dev nor test gets.
struct SplitShares {
  double dev = 0, test = 0, held_out = 0;
};
Split split_of(uint64_t text_hash, const SplitShares& shares);

}  // namespace l2a
