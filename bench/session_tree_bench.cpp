// What the session tree saves: seconds of an update's forward and backward pass, and of a whole
// GRPO step. session_tree.py runs it beside Hugging Face and TRL.
//
// usage: session_tree_bench [--model FOLDER] [--device DEVICE] [--rounds N] COMMAND, one of:
//        session_tree_bench contexts LABELS.jsonl SESSIONS [PROMPT]
//          prints the contexts of the first sessions' expert turns, a line of JSON each; PROMPT: a
//          file of the system prompt
//        session_tree_bench update ROWS.jsonl ADAPTER tree|prompt|rows THREADS [TOKENS]
//          one pass to warm up, N (1) that are measured, over rows of {"group", "context",
//          "reply", "weight"}: minus the weighted sum of the replies' log-probabilities. Computed
//          together are a session's rows as far as the budget of TOKENS goes, those of a context,
//          or one
//        session_tree_bench size TOKENS ADAPTER THREADS
//          the same of one tree of about TOKENS: a transcript that grows by 50 a turn, 8 replies of
//          29 at each
//        session_tree_bench step LABELS.jsonl SESSIONS ADAPTER TOKENS THREADS exact|int8 [BUDGET]
//          a GRPO step to warm up, N that are measured, on all contexts of the first sessions, 8
//          replies of at most TOKENS each, a reward that costs nothing

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/json.h"
#include "base/rng.h"
#include "cli/json_lines.h"
#include "cli/policy_setup.h"
#include "device_time.h"
#include "gemm_limit.h"
#include "model/lora.h"
#include "run_bench.h"
#include "train/adamw.h"
#include "train/grpo.h"
#include "train/reply_group.h"
#include "train/rows.h"

namespace l2a {
namespace {

// Set once, by main().
struct Place {
  PolicyOptions policy;
  int rounds = 1;
  at::Device device() const { return at::Device(policy.device); }
};
Place place;

LoraAdapter read_adapter(const char* path, const TransformerConfig& config) {
  LoraAdapter adapter = LoraAdapter::load(path, config);
  adapter.move_to(place.device());
  return adapter;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print(const Json& line) { std::printf("%s\n", dump_json(line).c_str()); }

TrainerSetup trainer_setup(const PolicySetup& policy, const std::filesystem::path& directory = {}) {
  return {.model = policy.model,
          .window = policy.window(),
          .base_name = policy.model_name,
          .directory = directory,
          .config_sha256 = "bench"};
}

std::vector<LabelledSession> first_sessions(const char* labels, const char* count) {
  auto sessions = read_labels(labels);
  sessions.resize(std::min(sessions.size(), static_cast<size_t>(std::atoi(count))));
  return sessions;
}

int print_contexts(int argc, char** argv) {
  PolicyOptions options = place.policy;
  if (argc == 5) options.prompt = argv[4];
  const PolicySetup policy(options, Fusion::kProduct);
  const auto sessions = first_sessions(argv[2], argv[3]);
  const TrainerSetup setup = trainer_setup(policy);
  for (size_t s = 0; s < sessions.size(); ++s) {
    for (const ReplyGroup& group : make_groups({&sessions[s]}, setup, {})) {
      print({{"session", s}, {"context", group.context}});
    }
  }
  return 0;
}

struct Rows {
  std::vector<TrainingRow> rows;
  std::vector<double> weights;
};

Rows read_rows(const char* path) {
  Rows out;
  for_each_json_line(path, [&](const Json& line) -> std::optional<Error> {
    TrainingRow row{.ids = line.at("context"), .group = line.at("group")};
    row.context = static_cast<int64_t>(row.ids.size());
    const std::vector<int32_t> reply = line.at("reply");
    row.ids.insert(row.ids.end(), reply.begin(), reply.end());
    out.rows.push_back(std::move(row));
    out.weights.push_back(line.at("weight"));
    return std::nullopt;
  });
  return out;
}

std::vector<std::vector<size_t>> plan(const Rows& rows, std::string_view sharing, int64_t budget) {
  if (sharing == "tree") return plan_trees(rows.rows, budget).trees;
  std::vector<std::vector<size_t>> out;
  for (size_t r = 0; r < rows.rows.size(); ++r) {
    const bool joins = sharing == "prompt" && r > 0 && rows.rows[r].group == rows.rows[r - 1].group;
    if (!joins) out.emplace_back();
    out.back().push_back(r);
  }
  return out;
}

// One pass to warm up, then those that are measured; rows that share a plan's tree are computed
// together.
Json measure_update(const Transformer& model, const LoraAdapter& adapter, const Rows& rows,
                    std::vector<std::vector<size_t>> planned, GemmLimit& limit) {
  std::vector<RowTree> trees;
  int64_t tokens = 0, targets = 0;
  for (auto& chosen : planned) {
    trees.push_back(make_row_tree(rows.rows, std::move(chosen)));
    const auto of_tree = static_cast<int64_t>(trees.back().targets.size());
    tokens += trees.back().tree.tokens();
    targets += of_tree;
    add_training(model.config(), trees.back().tree, of_tree, limit);
  }

  const auto pass = [&](size_t count) {
    double loss = 0;
    for (size_t i = 0; i < count; ++i) {
      const auto log_prob_n = target_log_probs(model, &adapter, trees[i], 1).log_prob_n;
      const auto weight_n =
          spread_to_targets(trees[i], rows.rows, rows.weights, log_prob_n.device());
      const auto of_tree = -(log_prob_n * weight_n).sum();
      of_tree.backward();
      loss += of_tree.item<double>();
    }
    return loss;
  };
  pass(place.device().is_cpu() ? std::min<size_t>(2, trees.size()) : trees.size());
  std::vector<double> seconds;
  double loss = 0;
  for (int round = 0; round < place.rounds; ++round) {
    for (const auto& p : adapter.parameters()) p.mutable_grad() = at::Tensor();
    const Stopwatch watch(place.device());
    loss = pass(trees.size());
    seconds.push_back(watch.seconds());
  }
  return {{"seconds", median(seconds)},
          {"each", seconds},
          {"tokens", tokens},
          {"targets", targets},
          {"trees", trees.size()},
          {"flops", limit.flops()},
          {"loss", loss},
          {"gradient_norm", gradient_norm(adapter.parameters())},
          {"peak_mib", peak_mib(place.device())}};
}

void add_limit(const GemmLimit& limit, Json& out) {
  out["limit_seconds"] = limit.seconds();
  out["limit_gigaflops"] = limit.gigaflops();
}

int update(int argc, char** argv) {
  const std::string_view sharing = argv[4];
  if (sharing != "tree" && sharing != "prompt" && sharing != "rows") {
    fail_input("session_tree_bench: expected tree, prompt or rows");
  }
  at::set_num_threads(std::atoi(argv[5]));
  const PolicySetup policy(place.policy, Fusion::kProduct);
  const LoraAdapter adapter = read_adapter(argv[3], policy.model.config());
  const Rows rows = read_rows(argv[2]);
  const bool tree = sharing == "tree";
  const int64_t budget = argc == 7 ? std::atoll(argv[6]) : LoopOptions().token_budget;
  GemmLimit limit(tree ? GemmLimit::Timing::kEachShape : GemmLimit::Timing::kNone, place.device());
  Json out = measure_update(policy.model, adapter, rows, plan(rows, sharing, budget), limit);
  if (tree) add_limit(limit, out);
  print(out);
  return 0;
}

Rows growing_transcript(int64_t tokens, int64_t vocabulary) {
  constexpr int64_t kTurn = 50, kReplies = 8, kReply = 29;
  Rng rng(1);
  const auto append = [&](std::vector<int32_t>& ids, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      ids.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocabulary))));
    }
  };
  Rows out;
  std::vector<int32_t> transcript;
  const int64_t turns = std::max<int64_t>(1, tokens / (kTurn + kReplies * kReply));
  for (int64_t turn = 0; turn < turns; ++turn) {
    append(transcript, kTurn);
    for (int64_t reply = 0; reply < kReplies; ++reply) {
      TrainingRow row{.ids = transcript, .group = turn};
      row.context = static_cast<int64_t>(row.ids.size());
      append(row.ids, kReply);
      out.rows.push_back(std::move(row));
      out.weights.push_back(rng.uniform() - 0.5);
    }
  }
  return out;
}

int size(char** argv) {
  at::set_num_threads(std::atoi(argv[4]));
  const PolicySetup policy(place.policy, Fusion::kProduct);
  const TransformerConfig& config = policy.model.config();
  const LoraAdapter adapter = read_adapter(argv[3], config);
  const Rows rows = growing_transcript(std::atoi(argv[2]), config.vocabulary);
  std::vector<size_t> all(rows.rows.size());
  std::iota(all.begin(), all.end(), size_t{0});
  GemmLimit limit(GemmLimit::Timing::kEachShape, place.device());
  Json out = measure_update(policy.model, adapter, rows, {all}, limit);
  add_limit(limit, out);
  print(out);
  return 0;
}

std::vector<RewardResult> reward_lengths(std::span<const RewardRequest> requests) {
  std::vector<RewardResult> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    results[i].reward = static_cast<double>(requests[i].reply.text.size() % 7);
  }
  return results;
}

int step(int argc, char** argv) {
  at::set_num_threads(std::atoi(argv[6]));
  const auto sessions = first_sessions(argv[2], argv[3]);
  const std::string_view generation = argv[7];
  if (generation != "exact" && generation != "int8") {
    fail_input("session_tree_bench: expected exact or int8");
  }
  PolicyOptions policy_options = place.policy;
  policy_options.int8_generation = generation == "int8";
  const PolicySetup policy(policy_options, Fusion::kProduct);
  LoraAdapter adapter = read_adapter(argv[4], policy.model.config());
  const auto directory = std::filesystem::temp_directory_path() / "l2a-session-tree-bench";
  std::filesystem::remove_all(directory);
  TrainerSetup setup = trainer_setup(policy, directory);
  Stopwatch watch(place.device());
  std::vector<double> seconds;
  Json out;
  setup.events.step = [&](int64_t done, int64_t, const Json& metrics) {
    if (done > 1) seconds.push_back(watch.seconds());  // the first warms up
    out = {{"groups", metrics.at("groups")},
           {"replies", metrics.at("replies")},
           {"reply_tokens", metrics.at("reply_tokens")},
           {"tokens", metrics.at("tokens")},
           {"time", metrics.at("time")}};
    watch.restart();
  };
  GrpoOptions options{.steps = 1 + place.rounds,
                      .replies = {.sessions_per_step = static_cast<int64_t>(sessions.size()),
                                  .max_reply_tokens = std::atoi(argv[5])}};
  options.loop.verify_tree = "never";
  options.loop.checkpoint_every = options.steps;
  if (argc == 9) options.loop.token_budget = std::atoll(argv[8]);
  train_grpo(setup, sessions, {}, reward_lengths, options, adapter);
  std::filesystem::remove_all(directory);
  out.update(
      {{"seconds", median(seconds)}, {"each", seconds}, {"peak_mib", peak_mib(place.device())}});
  print(out);
  return 0;
}

// Takes the options off the front.
void read_place(int& argc, char**& argv) {
  while (argc > 2 && std::string_view(argv[1]).starts_with("--")) {
    const std::string_view name = argv[1];
    if (name == "--model") {
      place.policy.model = argv[2];
    } else if (name == "--device") {
      place.policy.device = argv[2];
    } else if (name == "--rounds") {
      place.rounds = std::max(1, std::atoi(argv[2]));
    } else {
      fail_input("session_tree_bench: unknown option " + std::string(name));
    }
    argc -= 2;
    argv += 2;
  }
}

int run(int argc, char** argv) {
  read_place(argc, argv);
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "contexts" && (argc == 4 || argc == 5)) return print_contexts(argc, argv);
  if (what == "update" && (argc == 6 || argc == 7)) return update(argc, argv);
  if (what == "size" && argc == 5) return size(argv);
  if (what == "step" && (argc == 8 || argc == 9)) return step(argc, argv);
  std::fprintf(
      stderr,
      "usage: session_tree_bench [--model FOLDER] [--device DEVICE] [--rounds N] COMMAND\n"
      "       session_tree_bench contexts LABELS.jsonl SESSIONS [PROMPT]\n"
      "       session_tree_bench update ROWS.jsonl ADAPTER tree|prompt|rows THREADS [TOKENS]\n"
      "       session_tree_bench size TOKENS ADAPTER THREADS\n"
      "       session_tree_bench step LABELS.jsonl SESSIONS ADAPTER TOKENS THREADS exact|int8 "
      "[BUDGET]\n");
  return 2;
}

}  // namespace
}  // namespace l2a

int main(int argc, char** argv) { return l2a::run_bench(l2a::run, argc, argv); }
