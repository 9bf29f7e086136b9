// How far the distributions that replies are sampled from are from those of float32, in bfloat16
// and in eight bits: for every token of the dialogues, decoded one by one as a reply's are.
//
// usage: generation_accuracy_bench MODEL DIALOGUES.jsonl THREADS

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/json.h"
#include "cli/json_lines.h"
#include "cli/model_files.h"
#include "cli/openai_dialogue.h"
#include "model/decode_batch.h"
#include "run_bench.h"

namespace l2a {
namespace {

constexpr size_t kPrefix = 16;  // tokens that are prefilled; the others are decoded

struct Gap {
  double kl = 0, largest_kl = 0;  // of float32's distribution from this one, nats
  double same_choice = 0, loss = 0;
  int64_t tokens = 0;
};

// log p of each next token, float32 [tokens, v].
at::Tensor decoded(const Transformer& model, const std::vector<int32_t>& ids) {
  const std::vector<std::vector<int32_t>> prefix = {{ids.begin(), ids.begin() + kPrefix}};
  const auto cache =
      std::make_shared<const TreeCache>(model.prefill(build_token_tree(prefix), nullptr));
  DecodeBatch batch(model, nullptr, static_cast<int64_t>(ids.size()));
  batch.add(cache, 0);
  std::vector<at::Tensor> logits = {batch.first()};
  for (size_t i = kPrefix; i + 1 < ids.size(); ++i) logits.push_back(batch.step({&ids[i], 1}));
  return at::cat(logits).to(at::kFloat).log_softmax(1);
}

void add(const at::Tensor& exact, const at::Tensor& got, const at::Tensor& next, Gap& gap) {
  const auto kl = (exact.exp() * (exact - got)).sum(1);
  gap.kl += kl.sum().item<double>();
  gap.largest_kl = std::max(gap.largest_kl, kl.max().item<double>());
  gap.same_choice += static_cast<double>((exact.argmax(1) == got.argmax(1)).sum().item<int64_t>());
  gap.loss -= got.gather(1, next.unsqueeze(1)).sum().item<double>();
  gap.tokens += exact.size(0);
}

void print(const char* name, const Gap& gap) {
  const auto tokens = static_cast<double>(gap.tokens);
  std::printf("%-30s %12.5f %12.4f %14.1f%% %10.4f\n", name, gap.kl / tokens, gap.largest_kl,
              100 * gap.same_choice / tokens, gap.loss / tokens);
}

int run(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: generation_accuracy_bench MODEL DIALOGUES.jsonl THREADS\n");
    return 2;
  }
  at::set_num_threads(std::atoi(argv[3]));
  const torch::NoGradGuard no_grad;
  const Checkpoint files = open_model(argv[1]);
  const BpeTokenizer tokenizer = load_tokenizer(files);
  const ChatTemplate chat = load_chat_template(files, tokenizer);
  ModelOptions options;
  const Transformer bf16 = Transformer::load(files, options);
  options.int8_generation = true;
  const Transformer int8 = Transformer::load(files, options);
  const Transformer exact = Transformer::load(files, {.compute = ComputeType::kFloat32});

  Gap of_exact, of_bf16, of_int8;
  for_each_json_line(argv[2], [&](const Json& line) -> std::optional<Error> {
    const auto dialogue = dialogue_from_json(line);
    if (!dialogue) return dialogue.error();
    const auto ids = chat.context_ids(dialogue->system, dialogue->turns);
    if (ids.size() <= kPrefix) return Error{ErrorCode::kInvalidInput, "dialogue: too short"};
    const auto next = at::tensor(at::ArrayRef<int32_t>(ids), at::kLong).slice(0, kPrefix);
    const auto log_p = decoded(exact, ids);
    add(log_p, log_p, next, of_exact);
    add(log_p, decoded(bf16, ids), next, of_bf16);
    add(log_p, decoded(int8, ids), next, of_int8);
    return std::nullopt;
  });
  std::printf("%ld tokens\n%-30s %12s %12s %15s %10s\n", of_exact.tokens, "", "mean KL",
              "largest KL", "same likeliest", "loss");
  print("float32", of_exact);
  print("bfloat16", of_bf16);
  print("bfloat16, int8_generation", of_int8);
  return 0;
}

}  // namespace
}  // namespace l2a

int main(int argc, char** argv) { return l2a::run_bench(l2a::run, argc, argv); }
