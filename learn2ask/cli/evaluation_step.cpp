#include "cli/evaluation_step.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include <torch/version.h>
#include <yaml-cpp/yaml.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/file_lock.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/evaluation_results.h"
#include "cli/recipe.h"
#include "eval/evaluate.h"
#include "eval/policies.h"
#include "model/lora.h"
#include "rollout/model_policy.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

// What a run trained, its adapter or its model, or the directory itself.
fs::path trained_in(const std::string& directory) {
  for (const char* trained : {"adapter", "model"}) {
    const fs::path in_run = fs::path(directory) / trained;
    if (fs::is_directory(in_run)) return in_run;
  }
  return directory;
}

struct LoadedModel {
  std::string name;
  std::unique_ptr<PolicySetup> own;    // none: the base model's
  std::optional<LoraAdapter> adapter;  // none: the model alone
  std::string content_sha256;          // of what decides its replies besides its name and prompt
  std::string trained_by;              // the kind of grader that rewarded it, where that is known
};

// What a run's config.yaml says of it; nothing of a folder without one.
struct TrainedUnder {
  std::string grader;  // of RL
  std::optional<std::string> model, reply_format;
};

TrainedUnder trained_under(const std::string& run) {
  const fs::path path = fs::path(run) / "config.yaml";
  if (run.empty() || !fs::exists(path)) return {};
  try {
    YAML::Node config = YAML::Load(read_file(path, 1 << 20));
    const auto said = [&](const char* group, const char* key) {
      const YAML::Node value = config[group][key];
      return value ? std::optional(value.as<std::string>()) : std::nullopt;
    };
    return {said("reward", "grader").value_or(""), said("policy", "model"),
            said("policy", "reply_format")};
  } catch (const YAML::Exception& e) {
    fail_input("eval: " + path.string() + ": " + e.what());
  }
}

// An adapter belongs to the model that it was trained on, as far as its run says which and that is
// still there.
LoadedModel load_model(const NamedPolicy& named, const EvaluationSettings& settings,
                       const PolicySetup& setup) {
  const TrainedUnder run = trained_under(named.directory);
  if (run.reply_format && *run.reply_format != settings.policy.reply_format) {
    fail_input("eval: --policy: " + named.name + ": was trained to reply as " + *run.reply_format +
               " (set policy.reply_format=" + *run.reply_format + ")");
  }
  LoadedModel loaded{named.name, nullptr, std::nullopt, "", run.grader};
  const auto open_own = [&](const std::string& model) {
    PolicyOptions options = settings.policy;
    options.model = model;
    loaded.own =
        std::make_unique<PolicySetup>(options, fusion_from_name(settings.fusion).value_or_throw());
    loaded.content_sha256 = loaded.own->model_sha256();
  };
  const fs::path directory = trained_in(named.directory);
  if (!named.directory.empty() && fs::exists(directory / "config.json")) {  // a model's
    open_own(directory.string());
    return loaded;
  }
  loaded.content_sha256 = setup.model_sha256();
  if (named.directory.empty()) return loaded;
  if (run.model && *run.model != settings.policy.model) {
    const bool is_there = run.model->empty() || fs::exists(*run.model);
    if (is_there) open_own(*run.model);
    std::fprintf(stderr, "eval %s: its adapter was trained on %s, %s\n", named.name.c_str(),
                 run.model->empty() ? "the embedded model" : run.model->c_str(),
                 is_there ? "and is evaluated on that"
                          : "which is not there: it is evaluated on the table's model");
  }
  const PolicySetup& base = loaded.own ? *loaded.own : setup;
  loaded.adapter = LoraAdapter::load(directory, base.model.config());
  std::string content = loaded.content_sha256;
  for (const char* file : {"adapter_config.json", "adapter_model.safetensors"}) {
    content += sha256_file(directory / file);
  }
  loaded.content_sha256 = sha256_hex(content);
  return loaded;
}

// The work of one call, step by step; run() is the table of contents. The constructor reads all
// inputs: what is wrong shows before anything is written, and not after an hour.
class EvaluationRun {
 public:
  EvaluationRun(const EvaluationSettings& settings, const EvaluationFiles& files)
      : settings_(settings),
        files_(files),
        policy_(settings.policy, fusion_from_name(settings.fusion).value_or_throw()),
        sessions_(read_labels(files.labels)),
        forms_(QuestionForms::load(data_path("prompts/questions"))),
        factory_(forms_, grader_inputs()),
        scoring_(checked({.format = policy_.format,
                          .fusion = fusion_from_name(settings.fusion).value_or_throw(),
                          .compat = settings.compat})),
        baselines_(make_baselines()),
        commands_(files.history.empty() ? std::vector<std::string>()
                                        : read_history(files.history)) {
    for (const auto& name : files.graders) graders_.push_back(factory_.make(name));
    factory_.require_sessions_of(sessions_);
    check_names();
    check_lengths();
    for (const auto& named : files.policies) {
      models_.push_back(load_model(named, settings_, policy_));
    }
    make_private_directory(fs::path(files.out) / "rows");
    lock_.emplace(files.out);
  }

  std::string run() {
    for (const LoadedModel& model : models_) {
      const PolicySetup& setup = model.own ? *model.own : policy_;
      ModelPolicy policy(model.name, setup.model, model.adapter ? &*model.adapter : nullptr,
                         setup.window());
      evaluate_policy(policy, PolicyRole::kModel, model.content_sha256, model.trained_by);
    }
    for (auto& baseline : baselines_) evaluate_policy(*baseline, PolicyRole::kBaseline);
    ExpertPolicy expert(sessions_, policy_.format);
    evaluate_policy(expert, PolicyRole::kExpert);
    const EvaluationResults results(std::move(evaluations_), sessions_, settings_, files_);
    results.write({prompts_of_graders(), facts(), commands_});
    std::error_code ignored;  // a journal that stays is read back, or refused, as any other
    for (const auto& journal : journals_) fs::remove(journal, ignored);
    const std::string costs = factory_.costs();
    return results.text() + (costs.empty() ? "" : "\n" + costs + "\n");
  }

 private:
  GraderInputs grader_inputs() const {
    GraderInputs inputs = files_.grader_inputs;
    inputs.llm = settings_.llm;
    inputs.grading = settings_.grading;
    inputs.ledger = fs::path(files_.out) / "ledger.jsonl";
    return inputs;
  }

  std::vector<std::unique_ptr<Policy>> make_baselines() const {
    const auto source = files_.train_labels.empty() ? sessions_ : read_labels(files_.train_labels);
    std::vector<std::unique_ptr<Policy>> baselines;
    baselines.push_back(
        std::make_unique<ConstantPolicy>(ConstantPolicy::always_stop(policy_.format)));
    baselines.push_back(std::make_unique<ConstantPolicy>(
        ConstantPolicy::always_ask(most_frequent_question(source, forms_), policy_.format)));
    if (!files_.train_labels.empty()) {
      baselines.push_back(std::make_unique<NearestContextPolicy>(source, forms_, policy_.format));
    }
    return baselines;
  }

  // `content`: what decides the policy's replies besides its name, hashed.
  void evaluate_policy(Policy& policy, PolicyRole role, const std::string& content = "",
                       const std::string& trained_by = "") {
    EvaluationOptions options;
    options.role = role;
    options.trained_by = trained_by;
    options.split = files_.split;
    if (role == PolicyRole::kModel) options.prompts = {policy_.prompt_hash()};
    options.decoding = settings_.decoding;
    options.scoring = scoring_;
    options.max_failure_rate = settings_.max_failure_rate;
    const std::vector<Grader*> graders = graders_in_order();

    const fs::path journal_path = rows_path(policy.name(), "journal");
    EvaluationJournal journal(journal_path, journal_header(policy.name(), content),
                              graders_.size());
    journals_.push_back(journal_path);
    options.journal = &journal;
    if (journal.sessions_found() > 0) {
      std::fprintf(stderr, "eval %s: goes on after %zu sessions (%s)\n", policy.name().c_str(),
                   journal.sessions_found(), journal_path.c_str());
    }

    Progress progress("eval " + policy.name(), sessions_.size(), "sessions");
    progress.skip(journal.sessions_found());
    size_t left_to_find = journal.sessions_found();
    auto evaluated =
        evaluate(policy, sessions_, graders, forms_, options, [&](size_t sessions_done) {
          throw_if_interrupted();
          const size_t found = std::min(left_to_find, sessions_done);
          left_to_find -= found;
          progress.advance(sessions_done - found);
        });
    for (size_t g = 0; g < evaluated.size(); ++g) {
      write_scored_rows(rows_path(policy.name(), files_.graders[g]), evaluated[g], header());
      evaluations_.push_back(std::move(evaluated[g]));
    }
  }

  // Every policy has rows of its own: file names must differ, those of the baselines included.
  void check_names() const {
    std::set<std::string> taken = {"expert"};
    for (const auto& baseline : baselines_) taken.insert(file_name(baseline->name()));
    for (const auto& named : files_.policies) {
      if (taken.insert(file_name(named.name)).second) continue;
      fail_input("--policy: '" + named.name +
                 "': another policy or a baseline has this name: give another one");
    }
  }

  // Before an hour's work, not after it.
  void check_lengths() const {
    const ContextWindow window = policy_.window();
    for (const LabelledSession& session : sessions_) {
      for (const Sample& sample : session.samples) {
        if (!is_labelled(sample)) continue;  // as evaluate() passes it over
        const auto view = window.view(std::span(session.turns).first(sample.turn),
                                      settings_.decoding.max_reply_tokens);
        if (!view) fail_input("eval: " + sample_id(session, sample) + ": " + view.error().message);
      }
    }
  }

  static std::string file_name(std::string policy) {
    const auto stays = [](unsigned char c) { return c >= 0x80 || std::isalnum(c) || c == '-'; };
    std::replace_if(policy.begin(), policy.end(), std::not_fn(stays), '_');
    return policy;
  }

  fs::path rows_path(const std::string& policy, const std::string& grader) const {
    return fs::path(files_.out) / "rows" / (file_name(policy) + "." + grader + ".jsonl");
  }

  std::vector<Grader*> graders_in_order() const {
    std::vector<Grader*> graders;
    for (const auto& grader : graders_) graders.push_back(grader.get());
    return graders;
  }
  Json prompts_of_graders() const { return grading_prompts(graders_in_order()); }

  FileHeader header() const {
    FileHeader header;
    header.command = "learn2ask eval " + files_.labels;
    header.config_sha256 = sha256_hex(config_to_yaml(deciding_fields(list_config(settings_))));
    header.input_sha256 = sha256_file(files_.labels);
    header.extra = {{"grading_prompts", prompts_of_graders()}};
    return header;
  }

  // Names all that decides a policy's rows.
  FileHeader journal_header(const std::string& policy, const std::string& content) const {
    std::string inputs = forms_.phrases().sha256();
    inputs += files_.grader_inputs.sha256();
    if (!files_.train_labels.empty()) inputs += sha256_file(files_.train_labels);
    for (const auto& grader : graders_) inputs += grader->name();
    inputs += prompts_of_graders().dump();
    FileHeader named = header();
    named.extra = {{"policy", policy},
                   {"policy_sha256", content},
                   {"prompt", policy_.prompt_hash().second},
                   {"split", files_.split},
                   {"graders", files_.graders},
                   {"grader_inputs_sha256", sha256_hex(inputs)},
                   {"sessions_per_batch", EvaluationOptions().sessions_per_batch}};
    return named;
  }

  std::vector<std::pair<std::string, std::string>> facts() const {
    std::vector<std::pair<std::string, std::string>> facts = {
        {"made", utc_timestamp()},
        {"model", policy_.model_name},
        {"labels", files_.labels + " (SHA-256 " + sha256_file(files_.labels).substr(0, 12) + ")"},
        {"sessions", std::to_string(sessions_.size())},
        {"prompt",
         policy_.prompt.name + " (SHA-256 " + policy_.prompt_hash().second.substr(0, 12) + ")"},
        {"LibTorch", TORCH_VERSION}};
    if (const std::string costs = factory_.costs(); !costs.empty()) {
      facts.emplace_back("calls", costs);
    }
    return facts;
  }

  const EvaluationSettings& settings_;
  const EvaluationFiles& files_;
  PolicySetup policy_;
  std::vector<LabelledSession> sessions_;
  QuestionForms forms_;
  GraderFactory factory_;
  const ScoringOptions scoring_;
  std::vector<std::unique_ptr<Policy>> baselines_;
  std::vector<std::string> commands_;
  std::vector<std::unique_ptr<Grader>> graders_;
  std::vector<LoadedModel> models_;
  std::vector<fs::path> journals_;
  std::optional<DirectoryLock> lock_;    // of the output folder
  std::vector<Evaluation> evaluations_;  // policy after policy, grader after grader
};

}  // namespace

std::string evaluate_step(const EvaluationSettings& settings, const EvaluationFiles& files) {
  return EvaluationRun(settings, files).run();
}

CallEstimate estimate_evaluation(const EvaluationSettings& settings, const EvaluationFiles& files) {
  if (std::find(files.graders.begin(), files.graders.end(), "llm") == files.graders.end()) {
    return {};
  }
  // Of the expert, of the baseline that always asks, and of the one that follows the nearest
  // context.
  const int64_t others = files.train_labels.empty() ? 2 : 3;
  const int64_t replies =
      static_cast<int64_t>(files.policies.size()) * settings.decoding.replies + others;
  return times(estimate_grading(read_labels(files.labels), settings.llm, settings.grading),
               static_cast<double>(replies));
}

}  // namespace l2a
