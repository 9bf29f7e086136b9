// Tokens a second of prefill, decoding and training on the embedded model's shape, and the time
// that the same matrix products take alone: the limit, measured in the same run.
//
// usage: model_bench [threads]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/rng.h"
#include "gemm_limit.h"
#include "model/decode_batch.h"
#include "model/lora.h"
#include "model/transformer.h"

namespace l2a {
namespace {

using Rows = std::vector<std::vector<int32_t>>;

TransformerConfig smollm2_135m() {
  TransformerConfig c;
  c.layers = 30;
  c.width = 576;
  c.heads = 9;
  c.kv_heads = 3;
  c.head_dim = 64;
  c.mlp_width = 1536;
  c.vocabulary = 49152;
  c.max_positions = 8192;
  c.rotary.theta = 100000;
  return c;
}

void report(const std::string& what, double tokens, double seconds, const GemmLimit& limit) {
  std::printf("%-50s %8.0f tokens %8.2f s %8.0f tokens/s  limit %7.2f s (%4.0f GF/s)  %3.0f%%\n",
              what.c_str(), tokens, seconds, tokens / seconds, limit.seconds(), limit.gigaflops(),
              100 * limit.seconds() / seconds);
  std::fflush(stdout);
}

std::vector<int32_t> draw(Rng& rng, size_t count) {
  std::vector<int32_t> ids(count);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(49152));
  return ids;
}

struct Session {
  TokenTree tree;
  std::vector<int64_t> reply_places;  // of each token before a reply token
  std::vector<int64_t> reply_targets;
};

// About 300 tokens of transcript, 6 expert turns, 8 replies of 20 to 29 tokens each.
Session make_session(Rng& rng) {
  Rows rows;
  std::vector<size_t> context;
  std::vector<int32_t> transcript = draw(rng, 60);
  for (int turn = 0; turn < 6; ++turn) {
    const auto more = draw(rng, 30 + rng.below(21));
    transcript.insert(transcript.end(), more.begin(), more.end());
    for (int reply = 0; reply < 8; ++reply) {
      rows.push_back(transcript);
      const auto ids = draw(rng, 20 + rng.below(10));
      rows.back().insert(rows.back().end(), ids.begin(), ids.end());
      context.push_back(transcript.size());
    }
  }
  Session session{build_token_tree(rows), {}, {}};
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto from = static_cast<int64_t>(context[r]), to = static_cast<int64_t>(rows[r].size());
    for (const int64_t place : row_tokens(session.tree, r, from - 1, to - 1)) {
      session.reply_places.push_back(place);
    }
    session.reply_targets.insert(session.reply_targets.end(), rows[r].begin() + from,
                                 rows[r].end());
  }
  return session;
}

std::string name_of(const Transformer& model, const char* what) {
  return std::string(model.options().batch_invariant ? "batch-invariant " : "") + what;
}

void bench_prefill(const Transformer& model, const LoraAdapter& adapter) {
  const TransformerConfig& c = model.config();
  Rng rng(1);
  const TokenTree tree = build_token_tree(Rows{draw(rng, 2048)});
  GemmLimit limit;
  add_linear_layers(c, tree.tokens(), 1, limit);
  limit.add_flops(visible_pairs(tree) * 4.0 * c.heads * c.head_dim * c.layers);
  const double seconds = median_seconds(at::kCPU, [&] { model.prefill(tree, &adapter); });
  report(name_of(model, "prefill, one row of 2048"), tree.tokens(), seconds, limit);
}

void bench_decode(const Transformer& model, const LoraAdapter& adapter) {
  constexpr int64_t kPrompts = 16, kReplies = 8, kNewTokens = 40;
  const TransformerConfig& c = model.config();
  Rng rng(2);
  Rows prompts;
  for (int64_t i = 0; i < kPrompts; ++i) prompts.push_back(draw(rng, 250 + rng.below(101)));
  const TokenTree tree = build_token_tree(prompts);
  GemmLimit limit;
  add_linear_layers(c, tree.tokens(), 1, limit);
  add_linear_layers(c, kPrompts * kReplies, kNewTokens - 1, limit);
  limit.add(kPrompts * kReplies, c.vocabulary, c.width, kNewTokens);
  const double pairs =
      visible_pairs(tree) + static_cast<double>(kReplies * kNewTokens * tree.tokens());
  limit.add_flops(pairs * 4.0 * c.heads * c.head_dim * c.layers);
  const double seconds = median_seconds(at::kCPU, [&] {
    const auto cache = std::make_shared<const TreeCache>(model.prefill(tree, &adapter));
    DecodeBatch batch(model, &adapter, kNewTokens);
    for (int64_t i = 0; i < kPrompts * kReplies; ++i) batch.add(cache, i / kReplies);
    auto logits = batch.first();
    for (int64_t step = 1; step < kNewTokens; ++step) {
      const auto ids = logits.argmax(1).to(at::kInt);
      logits = batch.step({ids.const_data_ptr<int32_t>(), static_cast<size_t>(ids.numel())});
    }
  });
  report(name_of(model, "decode, 16 prompts x 8 x 40 tokens"), kPrompts * kReplies * kNewTokens,
         seconds, limit);
}

void bench_training(const Transformer& model, const LoraAdapter& adapter) {
  const TransformerConfig& c = model.config();
  Rng rng(3);
  std::vector<Session> sessions;
  for (int i = 0; i < 16; ++i) sessions.push_back(make_session(rng));
  GemmLimit limit;
  double tokens = 0;
  for (const Session& session : sessions) {
    tokens += static_cast<double>(session.tree.tokens());
    add_training(c, session.tree, static_cast<int64_t>(session.reply_places.size()), limit);
  }
  std::vector<double> forward, head, backward;  // of each repeat
  const auto add = [](std::vector<double>& to, auto begin, auto end) {
    to.back() += std::chrono::duration<double>(end - begin).count();
  };
  const double seconds = median_seconds(at::kCPU, [&] {
    for (auto* part : {&forward, &head, &backward}) part->push_back(0);
    for (const Session& session : sessions) {
      const auto start = std::chrono::steady_clock::now();
      const auto hidden = model.hidden(session.tree, &adapter);
      const auto middle = std::chrono::steady_clock::now();
      const auto out = model.head(hidden.index_select(0, at::tensor(session.reply_places)),
                                  at::tensor(session.reply_targets));
      const auto end = std::chrono::steady_clock::now();
      (-out.log_prob_n.mean()).backward();
      add(forward, start, middle);
      add(head, middle, end);
      add(backward, end, std::chrono::steady_clock::now());
    }
  });
  report(name_of(model, "train, 16 session trees"), tokens, seconds, limit);
  std::printf("  medians: forward %.2f s, head forward %.2f s, backward %.2f s\n", median(forward),
              median(head), median(backward));
}

}  // namespace
}  // namespace l2a

int main(int argc, char** argv) {
  at::set_num_threads(argc > 1 ? std::atoi(argv[1]) : 2);
  const auto model = l2a::Transformer::random(l2a::smollm2_135m(), {}, 1);
  const l2a::LoraAdapter adapter(model.config(), {.rank = 16, .alpha = 32}, 2);
  std::printf("SmolLM2-135M's shape, bfloat16, LoRA rank 16, %d threads\n", at::get_num_threads());
  const auto invariant =
      l2a::Transformer::random(l2a::smollm2_135m(), {.batch_invariant = true}, 1);
  for (const l2a::Transformer* each : {&model, &invariant}) {
    l2a::bench_prefill(*each, adapter);
    l2a::bench_decode(*each, adapter);
    l2a::bench_training(*each, adapter);
  }
}
