// The optimizer step on one step's judged replies.
#pragma once

#include "base/json.h"
#include "train/preferences.h"

namespace l2a {

// One optimizer step on `trained`; none without replies. The loss is the weighted mean over pairs,
// with kto over replies, plus sft_weight times the mean over all tokens of good ones. With kto the
// policy's distance from `reference` is estimated by the replies given, as the policy itself
// sampled them, and their log-probabilities at sampling.
//
// Returns what metrics.jsonl says of it: good and bad replies' beta times log-ratio, the share of
// pairs whose chosen reply has the higher one, loss, gradient norm, learning rate, tokens; null
// where there was nothing to compare and no step was taken.
Json update_preferences(const JudgedReplies& judged, const TrainerSetup& setup,
                        const TrainedWeights& reference, const DpoOptions& options,
                        TrainedWeights& trained, TrainingRun& run);

}  // namespace l2a
