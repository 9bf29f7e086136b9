#include "rollout/rollout.h"

#include <memory>
#include <utility>

#include <fmt/format.h>
#include <torch/torch.h>

#include "base/error.h"
#include "base/utf8.h"
#include "rollout/sampler.h"

namespace l2a {
namespace {

// A row of the batch: the reply it writes, and where its random numbers and history come from.
struct Row {
  Rollout* out = nullptr;
  uint64_t key = 0;
  std::vector<int32_t> history;  // context and reply so far; kept for the repetition penalty only
  bool done = false;
};

// A sampled byte may end in the middle of a character, or be none.
std::string repair_utf8(std::string text) {
  while (const auto bad = find_bad_utf8(text)) text.replace(*bad, 1, "\xEF\xBF\xBD");
  return text;
}

void check_length(const Transformer& model, size_t context, const DecodingOptions& options) {
  const int64_t positions = model.config().max_positions;
  if (static_cast<int64_t>(context) + options.max_reply_tokens <= positions) return;
  fail_input(fmt::format(
      "rollout: context of {} tokens: with a reply of {} it exceeds the model's {} positions "
      "(leave out the longest sessions)",
      context, options.max_reply_tokens, positions));
}

class Wave {
 public:
  Wave(const Transformer& model, const LoraAdapter* adapter, const ChatTemplate& chat,
       const DecodingOptions& options)
      : batch_(model, adapter, options.max_reply_tokens), chat_(chat), options_(options) {}

  int64_t rows() const { return static_cast<int64_t>(rows_.size()); }

  // All replies to one context, which is row `context` of the cache's tree.
  void add(const std::shared_ptr<const TreeCache>& cache, const RolloutSession& session,
           size_t context, std::vector<Rollout>& replies) {
    batch_.add(cache, static_cast<int64_t>(context), options_.replies);
    for (size_t g = 0; g < replies.size(); ++g) {
      Row row;
      row.out = &replies[g];
      row.key = session.keys[context] + 0x9E3779B97F4A7C15 * g;
      if (options_.repetition_penalty != 1) row.history = session.contexts[context];
      rows_.push_back(std::move(row));
    }
  }

  void decode() {
    auto logits_rv = batch_.first();
    for (uint64_t index = 0; take_tokens(logits_rv, index); ++index) {
      drop_finished();
      std::vector<int32_t> last;
      for (const int64_t r : batch_.live())
        last.push_back(rows_[static_cast<size_t>(r)].out->ids.back());
      logits_rv = batch_.step(last);
    }
  }

 private:
  // Samples token `index` of every live row. False when no row goes on.
  bool take_tokens(const at::Tensor& logits_rv, uint64_t index) {
    const auto& live = batch_.live();
    std::vector<double> uniforms;
    std::vector<std::span<const int32_t>> histories;
    for (const int64_t r : live) {
      const Row& row = rows_[static_cast<size_t>(r)];
      uniforms.push_back(token_uniform(options_.seed, row.key, index));
      histories.push_back(row.history);
    }
    const auto tokens = sample_tokens(logits_rv, options_, uniforms, histories);
    bool any = false;
    for (size_t i = 0; i < live.size(); ++i) {
      Row& row = rows_[static_cast<size_t>(live[i])];
      if (row.done) continue;
      append(row, tokens[i]);
      any |= !row.done;
    }
    return any;
  }

  void append(Row& row, const SampledToken& token) {
    Rollout& out = *row.out;
    out.ids.push_back(token.id);
    out.log_probs.push_back(token.log_prob);
    if (options_.repetition_penalty != 1) row.history.push_back(token.id);
    const bool ended = token.id == chat_.end_of_turn();
    const bool full = static_cast<int64_t>(out.ids.size()) == options_.max_reply_tokens;
    if (!ended && !full) return;
    row.done = true;
    out.truncated = !ended;
    const size_t length = out.ids.size() - (ended ? 1 : 0);
    out.text = repair_utf8(chat_.tokenizer().decode(std::span(out.ids).first(length)));
  }

  // Matrix products of a new shape are set up anew, so it waits until a quarter of the rows are
  // done.
  void drop_finished() {
    const auto& live = batch_.live();
    std::vector<int64_t> open;
    for (size_t i = 0; i < live.size(); ++i) {
      if (!rows_[static_cast<size_t>(live[i])].done) open.push_back(static_cast<int64_t>(i));
    }
    if (open.size() * 4 <= live.size() * 3) batch_.keep(open);
  }

  DecodeBatch batch_;
  const ChatTemplate& chat_;
  const DecodingOptions& options_;
  std::vector<Row> rows_;
};

}  // namespace

std::vector<std::vector<std::vector<Rollout>>> sample_rollouts(
    const Transformer& model, const LoraAdapter* adapter, const ChatTemplate& chat,
    std::span<const RolloutSession> sessions, const DecodingOptions& options, int64_t max_rows) {
  const at::NoGradGuard no_grad;
  const auto replies = static_cast<size_t>(options.replies);
  std::vector<std::vector<std::vector<Rollout>>> out;
  for (const RolloutSession& session : sessions) {
    check(session.keys.size() == session.contexts.size(), "sample_rollouts: one key a context");
    for (const auto& context : session.contexts) check_length(model, context.size(), options);
    out.emplace_back(session.contexts.size(), std::vector<Rollout>(replies));
  }

  auto wave = std::make_unique<Wave>(model, adapter, chat, options);
  for (size_t s = 0; s < sessions.size(); ++s) {
    if (sessions[s].contexts.empty()) continue;
    const auto cache = std::make_shared<const TreeCache>(
        model.prefill(build_token_tree(sessions[s].contexts), adapter));
    for (size_t c = 0; c < sessions[s].contexts.size(); ++c) {
      if (wave->rows() > 0 && wave->rows() + options.replies > max_rows) {
        wave->decode();
        wave = std::make_unique<Wave>(model, adapter, chat, options);
      }
      wave->add(cache, sessions[s], c, out[s][c]);
    }
  }
  if (wave->rows() > 0) wave->decode();
  return out;
}

}  // namespace l2a
