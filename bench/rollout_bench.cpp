// Seconds that replies to dialogues take, decoded as rollouts are (replies to one dialogue as one
// row while they say the same) but never ended before their last token, so that each engine that
// rollout_peers.py measures has the same to do.
//
// usage: rollout_bench MODEL DIALOGUES.jsonl REPLIES TOKENS ROUNDS THREADS [batch_invariant|int8]
// Prints a line of JSON: seconds to load, seconds of each round, peak memory.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include "base/json.h"
#include "cli/json_lines.h"
#include "cli/model_files.h"
#include "cli/openai_dialogue.h"
#include "model/decode_batch.h"
#include "rollout/sampler.h"
#include "run_bench.h"

namespace l2a {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<std::vector<int32_t>> read_contexts(const char* path, const ChatTemplate& chat) {
  std::vector<std::vector<int32_t>> contexts;
  for_each_json_line(path, [&](const Json& line) -> std::optional<Error> {
    const auto dialogue = dialogue_from_json(line);
    if (!dialogue) return dialogue.error();
    contexts.push_back(chat.context_ids(dialogue->system, dialogue->turns));
    return std::nullopt;
  });
  return contexts;
}

// `replies` to each context, of `tokens` each, sampled at temperature 1.
void reply(const Transformer& model, const std::vector<std::vector<int32_t>>& contexts,
           size_t replies, int64_t tokens, uint64_t seed) {
  const auto cache =
      std::make_shared<const TreeCache>(model.prefill(build_token_tree(contexts), nullptr));
  DecodeBatch batch(model, nullptr, tokens);
  for (size_t i = 0; i < contexts.size(); ++i) batch.add(cache, static_cast<int64_t>(i));
  DecodingOptions decoding;
  decoding.temperature = 1;
  std::vector<size_t> replies_of_row(contexts.size(), replies);
  at::Tensor logits = batch.first();
  for (int64_t token = 0; token < tokens; ++token) {
    std::vector<TokenDraws> draws(replies_of_row.size());
    uint64_t key = 0;
    for (size_t row = 0; row < draws.size(); ++row) {
      for (size_t i = 0; i < replies_of_row[row]; ++i) {
        draws[row].uniforms.push_back(token_uniform(seed, key++, static_cast<uint64_t>(token)));
      }
    }
    std::vector<int64_t> parents;
    std::vector<int32_t> ids;
    replies_of_row.clear();
    const auto sampled = sample_tokens(logits, decoding, draws);
    for (size_t row = 0; row < sampled.size(); ++row) {
      std::map<int32_t, size_t> ways;
      for (const SampledToken& drawn : sampled[row]) ++ways[drawn.id];
      for (const auto& [id, count] : ways) {
        parents.push_back(static_cast<int64_t>(row));
        ids.push_back(id);
        replies_of_row.push_back(count);
      }
    }
    if (token + 1 == tokens) break;
    batch.keep(parents);
    logits = batch.step(ids);
  }
}

int run(int argc, char** argv) {
  if (argc < 7) {
    std::fprintf(stderr,
                 "usage: rollout_bench MODEL DIALOGUES.jsonl REPLIES TOKENS ROUNDS THREADS "
                 "[batch_invariant|int8]\n");
    return 2;
  }
  const auto number = [&](int i) { return std::atoi(argv[i]); };
  at::set_num_threads(number(6));
  const auto start = std::chrono::steady_clock::now();
  const Checkpoint files = open_model(argv[1]);
  ModelOptions options;
  const std::string_view way = argc > 7 ? argv[7] : "";
  options.batch_invariant = way == "batch_invariant";
  options.int8_generation = way == "int8";
  if (argc > 7 && !options.batch_invariant && !options.int8_generation) {
    fail_input("rollout_bench: " + std::string(way) + ": expected batch_invariant or int8");
  }
  const Transformer model = Transformer::load(files, options);
  const BpeTokenizer tokenizer = load_tokenizer(files);
  const ChatTemplate chat = load_chat_template(files, tokenizer);
  const double load_seconds = seconds_since(start);

  const auto contexts = read_contexts(argv[2], chat);
  std::vector<double> seconds;
  for (int round = 0; round < number(5); ++round) {
    const auto begin = std::chrono::steady_clock::now();
    reply(model, contexts, static_cast<size_t>(number(3)), number(4), static_cast<uint64_t>(round));
    seconds.push_back(seconds_since(begin));
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%s\n", dump_json({{"load_seconds", load_seconds},
                                 {"seconds", seconds},
                                 {"peak_mib", static_cast<double>(usage.ru_maxrss) / 1024}})
                          .c_str());
  return 0;
}

}  // namespace
}  // namespace l2a

int main(int argc, char** argv) { return l2a::run_bench(l2a::run, argc, argv); }
