#include "rollout/rollout.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/utf8.h"
#include "rollout/sampler.h"

namespace l2a {
namespace {

// A context, and where its replies go.
struct Prompt {
  size_t session = 0, index = 0;  // of the context in its session
  const std::vector<int32_t>& context;
  uint64_t key;
  std::vector<Rollout>& replies;
};

// A prompt whose context has been read.
struct Prefilled {
  std::shared_ptr<const TreeCache> cache;
  size_t row = 0;
  Prompt prompt;
};

// A context whose replies are being written, and how many of them.
struct OpenPrompt {
  Prompt prompt;
  size_t open = 0;
};

// A reply that is being written, and where its random numbers come from.
struct OpenReply {
  OpenPrompt* of = nullptr;
  Rollout* out = nullptr;
  uint64_t key = 0;
};

// A row of the batch: replies to one context that have said the same so far. They read the same
// logits, so they are decoded once; they part where their tokens do.
struct Branch {
  std::vector<OpenReply> replies;
  std::vector<int32_t> history;  // context and reply so far; kept for the repetition penalty only
};

void check_length(const Transformer& model, size_t context, const DecodingOptions& options) {
  const int64_t positions = model.config().max_positions;
  if (static_cast<int64_t>(context) + options.max_reply_tokens <= positions) return;
  fail_input(fmt::format(
      "rollout: context of {} tokens: with a reply of {} it exceeds the model's {} positions "
      "(leave out the longest sessions)",
      context, options.max_reply_tokens, positions));
}

// Decodes replies to many contexts; those that are complete make room for others.
class ContinuousBatch {
 public:
  ContinuousBatch(const Transformer& model, const TrainedWeights* trained, const ChatTemplate& chat,
                  const DecodingOptions& options, const OnReplies& on_replies)
      : batch_(model, trained, options.max_reply_tokens),
        chat_(chat),
        options_(options),
        on_replies_(on_replies) {}

  size_t replies() const { return replies_; }  // that are being written
  int64_t bytes() const { return batch_.bytes(); }

  // All replies to one context.
  void add(const Prefilled& prefilled) {
    const Prompt& prompt = prefilled.prompt;
    prompts_.push_back({prompt, prompt.replies.size()});
    OpenPrompt& open = prompts_.back();
    Branch branch;
    for (size_t g = 0; g < prompt.replies.size(); ++g) {
      branch.replies.push_back({&open, &prompt.replies[g], reply_key(prompt.key, g)});
    }
    if (penalises()) branch.history = prompt.context;
    branches_.push_back(std::move(branch));
    batch_.add(prefilled.cache, static_cast<int64_t>(prefilled.row));
    replies_ += prompt.replies.size();
  }

  // One token more of each reply.
  void step() {
    const auto [parents, tokens] = branch_out(sample_tokens(logits(), options_, draws()));
    batch_.keep(parents);
    next_rv_ = tokens.empty() ? at::Tensor() : batch_.step(tokens);
  }

 private:
  bool penalises() const { return options_.repetition_penalty != 1; }

  // Of all rows: those that have been fed a token, then those that were added since.
  at::Tensor logits() const {
    const int64_t fed = next_rv_.defined() ? next_rv_.size(0) : 0;
    if (fed == batch_.rows()) return next_rv_;
    const auto added_rv = batch_.first(fed);
    return fed == 0 ? added_rv : at::cat({next_rv_, added_rv});
  }

  std::vector<TokenDraws> draws() const {
    std::vector<TokenDraws> out;
    for (const Branch& branch : branches_) {
      out.push_back({{}, branch.history});
      const uint64_t index = branch.replies.front().out->ids.size();
      for (const OpenReply& reply : branch.replies) {
        out.back().uniforms.push_back(token_uniform(options_.seed, reply.key, index));
      }
    }
    return out;
  }

  // Writes each reply's token down; the branches are from now on those of the replies that go on.
  // Returns the row each comes from, and its token.
  std::pair<std::vector<int64_t>, std::vector<int32_t>> branch_out(
      const std::vector<std::vector<SampledToken>>& sampled) {
    std::vector<Branch> branches;
    std::vector<int64_t> parents;
    std::vector<int32_t> tokens;
    for (size_t r = 0; r < branches_.size(); ++r) {
      const auto first = static_cast<std::ptrdiff_t>(tokens.size());  // of this row's ways
      for (size_t i = 0; i < branches_[r].replies.size(); ++i) {
        const SampledToken& token = sampled[r][i];
        OpenReply& reply = branches_[r].replies[i];
        if (!append(*reply.out, token)) {
          close(*reply.of);
          continue;
        }
        const auto same = std::find(tokens.begin() + first, tokens.end(), token.id);
        const auto way = static_cast<size_t>(same - tokens.begin());
        if (same == tokens.end()) {
          branches.push_back({{}, branches_[r].history});
          if (penalises()) branches.back().history.push_back(token.id);
          parents.push_back(static_cast<int64_t>(r));
          tokens.push_back(token.id);
        }
        branches[way].replies.push_back(reply);
      }
    }
    branches_ = std::move(branches);
    return {std::move(parents), std::move(tokens)};
  }

  // One reply less to be written.
  void close(OpenPrompt& of) {
    --replies_;
    if (--of.open > 0 || !on_replies_) return;
    on_replies_(of.prompt.session, of.prompt.index, of.prompt.replies);
  }

  // False when the reply is complete.
  bool append(Rollout& out, const SampledToken& token) {
    out.ids.push_back(token.id);
    out.log_probs.push_back(token.log_prob);
    const bool ended = token.id == chat_.end_of_turn();
    const bool full = static_cast<int64_t>(out.ids.size()) == options_.max_reply_tokens;
    if (!ended && !full) return true;
    out.truncated = !ended;
    const size_t length = out.ids.size() - (ended ? 1 : 0);
    out.text = repair_utf8(chat_.tokenizer().decode(std::span(out.ids).first(length)));
    return false;
  }

  DecodeBatch batch_;
  const ChatTemplate& chat_;
  const DecodingOptions& options_;
  const OnReplies& on_replies_;
  std::deque<OpenPrompt> prompts_;  // all that were added: their places do not change
  std::vector<Branch> branches_;    // as the rows of the batch
  at::Tensor next_rv_;              // logits of the rows that have been fed a token
  size_t replies_ = 0;
};

using Replies = std::vector<std::vector<std::vector<Rollout>>>;  // [session][context][reply]

// The sessions' prompts, in order. Sessions are read several at a time, which costs less: they
// share the system prompt.
class PromptQueue {
 public:
  PromptQueue(const Transformer& model, const TrainedWeights* trained,
              std::span<const RolloutSession> sessions, Replies& out)
      : model_(model), trained_(trained), sessions_(sessions), out_(out) {}

  bool empty() const { return waiting_.empty(); }

  Prefilled pop() {
    Prefilled first = waiting_.front();
    waiting_.pop_front();
    return first;
  }

  // Where nothing is waiting, reads as many sessions as have `room` replies together, or one.
  void refill(size_t room) {
    if (!waiting_.empty()) return;
    std::vector<Prompt> prompts;
    size_t replies = 0;
    for (; next_ < sessions_.size(); ++next_) {
      const RolloutSession& session = sessions_[next_];
      for (const auto& of_context : out_[next_]) replies += of_context.size();
      if (!prompts.empty() && replies > room) break;
      for (size_t c = 0; c < session.contexts.size(); ++c) {
        prompts.push_back({next_, c, session.contexts[c], session.keys[c], out_[next_][c]});
      }
    }
    if (!prompts.empty()) prefill(prompts);
  }

 private:
  void prefill(const std::vector<Prompt>& prompts) {
    std::vector<std::vector<int32_t>> rows;
    for (const Prompt& prompt : prompts) rows.push_back(prompt.context);
    const auto cache =
        std::make_shared<const TreeCache>(model_.prefill(build_token_tree(rows), trained_));
    for (size_t i = 0; i < prompts.size(); ++i) waiting_.push_back({cache, i, prompts[i]});
  }

  const Transformer& model_;
  const TrainedWeights* trained_;
  std::span<const RolloutSession> sessions_;
  Replies& out_;
  size_t next_ = 0;  // session
  std::deque<Prefilled> waiting_;
};

}  // namespace

std::string repair_utf8(std::string text) {
  while (const auto bad = find_bad_utf8(text)) text.replace(*bad, 1, "\xEF\xBF\xBD");
  return text;
}

uint64_t reply_key(uint64_t context_key, uint64_t reply) {
  return context_key + 0x9E3779B97F4A7C15 * reply;
}

std::vector<std::vector<std::vector<Rollout>>> sample_rollouts(
    const Transformer& model, const TrainedWeights* trained, const ChatTemplate& chat,
    std::span<const RolloutSession> sessions, const DecodingOptions& options, int64_t max_rows,
    RolloutCost* cost, const OnReplies& on_replies) {
  const at::NoGradGuard no_grad;
  const auto replies = static_cast<size_t>(options.replies);
  Replies out;
  for (const RolloutSession& session : sessions) {
    check(session.keys.size() == session.contexts.size(), "sample_rollouts: one key a context");
    for (const auto& context : session.contexts) check_length(model, context.size(), options);
    out.emplace_back(session.contexts.size(), std::vector<Rollout>(replies));
  }

  const auto most = static_cast<size_t>(max_rows);
  PromptQueue queue(model, trained, sessions, out);
  ContinuousBatch batch(model, trained, chat, options, on_replies);
  RolloutCost spent;
  while (true) {
    if (2 * batch.replies() <= most) queue.refill(most - batch.replies());
    while (!queue.empty() && (batch.replies() == 0 || batch.replies() + replies <= most)) {
      batch.add(queue.pop());
    }
    if (batch.replies() == 0) break;
    spent.most_replies = std::max(spent.most_replies, static_cast<int64_t>(batch.replies()));
    const int64_t read = batch.bytes();  // before replies that end with this step let go of theirs
    batch.step();
    spent.most_bytes = std::max({spent.most_bytes, read, batch.bytes()});
    ++spent.steps;
  }
  if (cost != nullptr) *cost = spent;
  return out;
}

}  // namespace l2a
