// What a policy is asked and what it answers. Everything that replies to a context implements
// Policy: the model, the baselines, the logged expert.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "dialogue/session.h"

namespace l2a {

// One context to act in: the turns before an expert turn. Views; the owner outlives the call.
struct Context {
  std::string id;               // "<session>/<turn>"
  std::span<const Turn> turns;  // C_t, cumulative; may be empty (an expert who opens)
};

// One reply, exactly as the policy gave it.
struct Reply {
  std::string text;
  bool truncated = false;  // cut at the token limit: malformed, whatever it says
  size_t turns_cut = 0;    // oldest turns of the context that the policy did not see
};

struct DecodingOptions {
  double temperature = 0;         // 0: greedy
  double top_p = 1;               // in (0, 1]
  double repetition_penalty = 1;  // >= 1; 1 is off
  int64_t max_reply_tokens = 64;
  int64_t replies = 1;  // per context
  uint64_t seed = 1;

  template <class Visitor>
  void visit(Visitor& v) {
    v("temperature", temperature, Range{0, 10}, "0: the likeliest token (greedy)");
    v("top_p", top_p, Range{0.01, 1}, "sampling from the likeliest tokens of this mass");
    v("repetition_penalty", repetition_penalty, Range{1, 10}, "of tokens said before; 1: none");
    v("max_reply_tokens", max_reply_tokens, Range{1, 4096}, "a longer reply is cut: malformed");
    v("replies", replies, Range{1, 64}, "replies to each context");
    v("seed", seed, Range{0, 1e15}, "of the sampling");
  }
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string name() const = 0;
  // `options.replies` replies for each context, in the order of `contexts`. Contexts of one
  // session stand together. Throws Failure when a context is longer than the policy takes.
  virtual std::vector<std::vector<Reply>> reply(std::span<const Context> contexts,
                                                const DecodingOptions& options) = 0;
};

}  // namespace l2a
