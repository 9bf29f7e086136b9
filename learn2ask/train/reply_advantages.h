// What the replies of a GRPO step are worth beside their siblings.
#pragma once

#include <vector>

#include "train/grpo.h"
#include "train/reply_group.h"

namespace l2a {

// Sets the advantages and zero_variance of graded groups: of rewards and their shaping, times the
// weight of stop or continue samples.
void set_advantages(std::vector<ReplyGroup>& groups, const GrpoOptions& options);

}  // namespace l2a
