// Which split a session belongs to: a function of its words alone, so that a session and its
// copies never straddle two splits, in whatever order or file they come.
#pragma once

#include <cstdint>

#include "dialogue/session.h"

namespace l2a {

enum class Split { kTrain, kDev, kTest };
inline constexpr Split kSplits[] = {Split::kTrain, Split::kDev, Split::kTest};
const char* split_name(Split split);  // "train", "dev", "test"

// Hash of the roles and the normalised texts of the session's turns; ids, labels, letter case,
// spacing and the cut of a turn into messages do not enter.
uint64_t text_hash(const Session& session);

// Shares are in [0, 1], their sum too; train gets the rest.
Split split_of(uint64_t text_hash, double dev_share, double test_share);

}  // namespace l2a
