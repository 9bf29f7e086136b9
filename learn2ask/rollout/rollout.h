// Sampling replies for the expert turns of sessions: each session's transcript is prefilled once,
// the system prompt once for several sessions, then the replies of all their turns are decoded as
// one ragged batch.
#pragma once

#include <cstdint>
#include <functional>
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
  std::vector<std::vector<int32_t>>
      contexts;                // ids of C_t for each turn, ending in the reply header
  std::vector<uint64_t> keys;  // one a context: its rows' random numbers (stable_hash of the id)
};

// One sampled reply, with the exact ids it was sampled with.
struct Rollout {
  std::vector<int32_t> ids;      // reply, end-of-turn token included unless truncated
  std::vector<float> log_probs;  // one an id, nats, of the distribution sampled from
  std::string text;              // without the end-of-turn token; ill-formed UTF-8 as U+FFFD
  bool truncated = false;
};

// The key that reply `reply` of a context draws its random numbers by; reply 0: the context's own.
uint64_t reply_key(uint64_t context_key, uint64_t reply);

// A sampled byte may end in the middle of a character, or be none: U+FFFD stands for it then.
std::string repair_utf8(std::string text);

// What a call of sample_rollouts took.
struct RolloutCost {
  int64_t steps = 0;         // of decoding
  int64_t most_replies = 0;  // at a time
  int64_t most_bytes = 0;    // of keys and values, before or after a step
};

// Told of a context once all replies to it are complete, while others are still being written:
// session, context, replies.
using OnReplies = std::function<void(size_t, size_t, const std::vector<Rollout>&)>;

// [session][context][reply]. Replies to one context are decoded once as far as they say the same.
// At most `max_rows` replies are decoded at a time (but all of one context), which bounds the
// memory of their keys and values: replies that are complete leave, and once half of the room is
// free the next sessions are read. The replies do not depend on it but by rounding, with
// batch-invariant products not at all. `on_replies` is called on this thread; what it throws ends
// the sampling. Throws Failure when context and reply exceed the model's positions.
std::vector<std::vector<std::vector<Rollout>>> sample_rollouts(
    const Transformer& model, const TrainedWeights* trained, const ChatTemplate& chat,
    std::span<const RolloutSession> sessions, const DecodingOptions& options,
    int64_t max_rows = 256, RolloutCost* cost = nullptr, const OnReplies& on_replies = {});

}  // namespace l2a
