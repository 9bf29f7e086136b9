// Sampling replies for the expert turns of sessions: each session's transcript is prefilled once,
// then the replies of all turns of all sessions are decoded as one ragged batch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dialogue/policy.h"
#include "model/decode_batch.h"
#include "model/transformer.h"
#include "tokenizer/chat_template.h"

namespace l2a {

// The token rows of one session's contexts, to be replied to.
struct RolloutSession {
  std::vector<std::vector<int32_t>> contexts;  // ids of C_t for each turn, ending in the reply header
  std::vector<uint64_t> keys;                  // one a context: its rows' random numbers (stable_hash of the id)
};

// One sampled reply, with the exact ids it was sampled with.
struct Rollout {
  std::vector<int32_t> ids;      // reply, end-of-turn token included unless truncated
  std::vector<float> log_probs;  // one an id, nats, of the distribution sampled from
  std::string text;              // without the end-of-turn token
  bool truncated = false;
};

// [session][context][reply]. Throws Failure when context and reply exceed the model's positions.
std::vector<std::vector<std::vector<Rollout>>> sample_rollouts(
    const Transformer& model, const LoraAdapter* adapter, const ChatTemplate& chat,
    std::span<const RolloutSession> sessions, const DecodingOptions& options);

}  // namespace l2a
