#include "cli/prompt_calibration.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>

#include <fmt/format.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "calibrate/label_tasks.h"
#include "calibrate/search_journal.h"
#include "cli/agreement_check.h"
#include "cli/command.h"
#include "cli/gold_files.h"
#include "cli/grading_estimate.h"
#include "cli/policy_task.h"
#include "dialogue/session_file.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestPrompt = 16 << 10;  // some 4,000 tokens
// Counted up when searches ask otherwise: a journal is good for one that asks the same.
constexpr const char* kSearchVersion = "3";

const std::string& needed(const std::string& file, const char* flag, const std::string& what) {
  if (file.empty()) fail_input("calibrate run --what " + what + ": needs " + flag);
  return file;
}

// The models that are asked: judges (or the one reader) first, then the writer.
class Models {
 public:
  Models(const PromptCalibrationSettings& settings, const std::string& what,
         const std::string& sent, const fs::path& ledger, Calls calls)
      : names_(names_of(settings, what)),
        writer_(settings.writer.model.empty() ? settings.llm.model : settings.writer.model),
        setup_(settings.llm, settings.llm.in_process.empty() ? with_writer() : names_, sent, ledger,
               calls) {}

  std::vector<ChatClient*> judges() const {
    auto clients = setup_.clients();
    clients.resize(std::max<size_t>(1, names_.size()));
    return clients;
  }
  ChatClient& writer() const {
    const auto clients = setup_.clients();
    if (clients.size() == 1) return *clients[0];
    const auto models = with_writer();
    const auto at = std::find(models.begin(), models.end(), writer_) - models.begin();
    return *clients[static_cast<size_t>(at)];
  }
  std::string totals() const { return setup_.totals(); }
  LedgerTotals spent() const { return setup_.spent(); }
  CallEstimate estimate() const { return setup_.estimate(); }
  std::shared_ptr<Ledger> ledger() const { return setup_.ledger(); }

 private:
  static std::vector<std::string> names_of(const PromptCalibrationSettings& settings,
                                           const std::string& what) {
    if (what == "grade" && !settings.grading.models.empty()) return settings.grading.models;
    return settings.llm.in_process.empty() ? std::vector{settings.llm.model}
                                           : std::vector<std::string>();
  }
  std::vector<std::string> with_writer() const {
    auto models = names_;
    if (std::find(models.begin(), models.end(), writer_) == models.end()) models.push_back(writer_);
    return models;
  }

  std::vector<std::string> names_;
  std::string writer_;
  LlmSetup setup_;
};

// What is searched with: a task, its items, its prompt in use.
struct Problem {
  std::string in_use;
  std::vector<SearchItem> items;
  LlmPromptWriter::Describe describe;
  LlmPromptWriter::Refuse refuse;
  std::string inputs_sha256;  // of the files that decide
  std::unique_ptr<PromptTask> task;
};

LlmPromptWriter::Refuse refuse_without(std::vector<std::string> places) {
  return [places = std::move(places)](const std::string& text) -> std::optional<Error> {
    if (text.size() > kLongestPrompt) return Error{ErrorCode::kInvalidInput, "too long"};
    try {
      Prompt::parse(text, "prompt", places);
      return std::nullopt;
    } catch (const Failure& failure) {
      return failure.error;
    }
  };
}

std::optional<Error> refuse_blank(const std::string& text) {
  if (trim(text).empty()) return Error{ErrorCode::kInvalidInput, "the prompt is empty"};
  if (text.size() > kLongestPrompt) return Error{ErrorCode::kInvalidInput, "too long"};
  return std::nullopt;
}

template <class Task>
void take_task(Problem& problem, std::unique_ptr<Task> task) {
  problem.items = task->search_items();
  problem.describe = [&its = *task](const Mistake& mistake) { return its.describe(mistake); };
  problem.task = std::move(task);
}

Problem grading_problem(const PromptCalibrationSettings& settings,
                        const PromptCalibrationFiles& files, const Models& models) {
  const auto items = read_calibration_items(needed(files.items, "--items", "grade"));
  const GoldLabels labels = read_gold_files(files.labels, ItemIndex(items));
  Problem problem;
  problem.in_use = read_file(prompt_path(settings.grading.prompt, "grading/question"));
  problem.refuse = refuse_without(LlmGrader::places());
  problem.inputs_sha256 = sha256_file(files.items) + gold_sha256(files.labels);
  take_task(problem,
            std::make_unique<GradingTask>(models.judges(), settings.grading, items, labels));
  return problem;
}

Problem extraction_problem(const PromptCalibrationSettings& settings,
                           const PromptCalibrationFiles& files, const Models& models,
                           const QuestionForms& forms, const std::vector<Session>& sessions) {
  const auto items = read_calibration_items(needed(files.items, "--items", "extract"));
  const GoldLabels labels = read_gold_files(files.labels, ItemIndex(items));
  const LlmExtractionOptions& extraction = settings.extraction;
  Problem problem;
  problem.in_use = read_file(prompt_path(extraction.prompt, "extraction/" + extraction.per));
  problem.refuse = refuse_without(LlmExtractor::places(extraction));
  problem.inputs_sha256 =
      sha256_file(files.items) + gold_sha256(files.labels) + sha256_file(files.sessions);
  take_task(problem,
            std::make_unique<ExtractionTask>(*models.judges()[0], extraction, settings.label, forms,
                                             items, labels, sessions));
  return problem;
}

Problem policy_problem(const PromptCalibrationSettings& settings,
                       const PromptCalibrationFiles& files, PolicySetup& policy,
                       RewardSetup& reward) {
  Problem problem;
  problem.in_use = policy.prompt.text;
  problem.refuse = refuse_blank;
  problem.inputs_sha256 = sha256_file(files.contexts) + policy.model_sha256() +
                          settings.reward.grader_inputs().sha256() + dump_json(reward.prompts());
  take_task(problem, std::make_unique<PolicyTask>(
                         policy, reward.reward_fn(), settings.reward.fusion_kind(),
                         read_labels(files.contexts), static_cast<size_t>(settings.contexts),
                         settings.decoding, settings.search.seed));
  return problem;
}

Json to_json(const CallSpending& spending) {
  return {{"calls", spending.calls}, {"cost", spending.cost}};
}

Json to_json(const PromptSearchResult& result, const SearchJournal& journal,
             const std::string& what, const Prompt& critique, const Prompt& rewrite) {
  Json trials = Json::array();
  for (const PromptTrial& trial : result.trials) {
    trials.push_back({{"round", trial.round},
                      {"items", trial.items},
                      {"loss", trial.loss ? Json(*trial.loss) : Json()},
                      {"spent", to_json(journal.spent_on(trial.prompt))},
                      {"prompt_sha256", sha256_hex(trial.prompt)},
                      {"prompt", trial.prompt}});
  }
  Json refused = Json::array();
  for (const RefusedTrial& trial : result.refused) {
    refused.push_back({{"round", trial.round},
                       {"reason", trial.refused.reason},
                       {"prompt", trial.refused.prompt}});
  }
  return {{"what", what},
          {"improved", result.improved},
          {"prompt_sha256", sha256_hex(result.prompt)},
          {"best_sha256", sha256_hex(result.best)},
          {"critique_sha256", critique.sha256()},
          {"rewrite_sha256", rewrite.sha256()},
          {"gain", l2a::to_json(result.gain)},
          {"outcomes", result.outcomes},
          {"held_out", result.held_out},
          {"writing", to_json(journal.spent_on_writing())},
          {"trials", std::move(trials)},
          {"refused", std::move(refused)}};
}

std::string to_text(const PromptSearchResult& result, const fs::path& out) {
  const auto tried = std::count_if(result.trials.begin(), result.trials.end(),
                                   [](const PromptTrial& trial) { return trial.items > 0; });
  std::string text = fmt::format("{} prompts tried on {} items in all, {} items held out\n", tried,
                                 result.outcomes, result.held_out);
  if (!result.gain) {
    return text +
           "none did better than the one in use on the items that were searched with: it "
           "is kept\n";
  }
  text += fmt::format(
      "the best one against the one in use, on the items held out: loss lower by {:.3f} "
      "[{:.3f}, {:.3f}]\n",
      result.gain->value, result.gain->low, result.gain->high);
  return text + (result.improved
                     ? "it is better: " + (out / "prompt.txt").string() +
                           " (read it before you use it: a model wrote it from your data)\n"
                     : "that may be luck: the one in use is kept\n");
}

// What writes candidates, and what it is told.
struct Writing {
  Writing(const Problem& problem, const PromptCalibrationSettings& settings, const Models& models)
      : critique(told(settings, "critique", LlmPromptWriter::critique_places())),
        rewrite(told(settings, "rewrite", LlmPromptWriter::rewrite_places())),
        writer(models.writer(), critique, rewrite, settings.writer, settings.search.seed,
               problem.describe, problem.refuse) {}

  static Prompt told(const PromptCalibrationSettings& settings, const std::string& stem,
                     const std::vector<std::string>& places) {
    return Prompt::load(prompt_path(settings.writer.prompt, "optimiser/" + stem), places);
  }

  const Prompt critique, rewrite;
  LlmPromptWriter writer;
};

void search(const std::string& what, Problem& problem, const PromptCalibrationSettings& settings,
            const Models& models, const fs::path& out) {
  require_searchable(problem.items, settings.search);
  Writing writing(problem, settings, models);
  SearchJournal journal(
      out / "search.jsonl",
      sha256_hex(kSearchVersion + what + config_to_yaml(deciding_fields(list_config(settings))) +
                 problem.inputs_sha256 + problem.in_use + writing.critique.sha256() +
                 writing.rewrite.sha256()),
      [&] {
        const LedgerTotals spent = models.spent();
        return CallSpending{.calls = spent.replies, .cost = spent.cost};
      });
  Progress progress("calibrate " + what, std::nullopt, "items");
  RecordedTask task(*problem.task, journal, [&](size_t items) {
    progress.advance(items);
    throw_if_interrupted();
  });
  RecordedWriter recorded(writing.writer, journal);
  const auto result = search_prompt(problem.in_use, problem.items, task, recorded, settings.search);
  progress.finish();
  if (result.improved) write_file_atomic(out / "prompt.txt", result.prompt);
  write_file_atomic(
      out / "search.json",
      to_json(result, journal, what, writing.critique, writing.rewrite).dump(2) + "\n");
  std::printf("%s%s\n", to_text(result, out).c_str(), models.totals().c_str());
}

SearchEstimate estimate(const Problem& problem, const PromptCalibrationSettings& settings,
                        const Models& models, const CallEstimate& trying_all) {
  std::vector<Mistake> mistakes;  // as if each item were one
  for (size_t i = 0; i < problem.items.size(); ++i) {
    mistakes.push_back({i, {.loss = 1, .said = ""}});
  }
  Writing writing(problem, settings, models);
  const auto criticise = [&] {
    writing.writer.rewrite(problem.in_use, mistakes,
                           static_cast<size_t>(settings.search.candidates), 1);
  };
  return estimate_search(problem.items, settings.search, trying_all,
                         counted_by(criticise, [&] { return models.estimate(); }));
}

// Judging a reply to each of the contexts that are tried, about.
CallEstimate grading_of(const PromptCalibrationSettings& settings, const std::string& contexts,
                        size_t items) {
  if (settings.reward.grader != "llm") return {};
  const auto sessions = read_labels(contexts);
  size_t labelled = 0;
  for (const LabelledSession& session : sessions) {
    labelled += static_cast<size_t>(
        std::count_if(session.samples.begin(), session.samples.end(), is_replied_to));
  }
  return times(estimate_grading(sessions, settings.llm, settings.grading),
               static_cast<double>(items) / static_cast<double>(labelled));
}

// Calls `use(problem, models, reward)`; `reward` is null but for the policy.
template <class Use>
void with_problem(const std::string& what, const PromptCalibrationSettings& settings,
                  const PromptCalibrationFiles& files, Calls calls, const Use& use) {
  const fs::path ledger = fs::path(files.out) / "ledger.jsonl";
  const bool on_policy = what == "policy";
  if (on_policy) {
    require_measured(settings.reward);
    needed(files.contexts, "--contexts", what);
  } else {
    needed(files.items, "--items", what);
    needed(files.labels.empty() ? "" : files.labels.front(), "--labels", what);
  }
  if (what == "extract") needed(files.sessions, "--sessions", what);
  const Models models(settings, what, "the labelled cases with their conversations", ledger, calls);
  if (calls == Calls::kMake) make_private_directory(files.out);
  if (on_policy) {
    PolicySetup policy(settings.policy, settings.reward.fusion_kind());
    RewardSetup reward(settings, ledger, policy.format, calls, models.ledger());
    check_agreement(settings.reward, reward.grader_name());
    if (!settings.reward.sessions.empty()) reward.require_sessions_of(read_labels(files.contexts));
    Problem problem = policy_problem(settings, files, policy, reward);
    return use(problem, models, &reward);
  }
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  const auto sessions = what == "extract" ? read_sessions(files.sessions) : std::vector<Session>();
  Problem problem = what == "grade" ? grading_problem(settings, files, models)
                                    : extraction_problem(settings, files, models, forms, sessions);
  use(problem, models, nullptr);
}

}  // namespace

void calibrate_prompt(const std::string& what, const PromptCalibrationSettings& settings,
                      const PromptCalibrationFiles& files) {
  with_problem(what, settings, files, Calls::kMake,
               [&](Problem& problem, const Models& models, const RewardSetup* reward) {
                 search(what, problem, settings, models, files.out);
                 if (!reward || reward->prefiltered().empty()) return;
                 std::printf("%s\n", reward->prefiltered().c_str());
               });
}

SearchEstimate estimate_prompt_calibration(const std::string& what,
                                           const PromptCalibrationSettings& settings,
                                           const PromptCalibrationFiles& files) {
  SearchEstimate estimated;
  PromptCalibrationSettings not_cached = settings;  // answers to the prompt in use are of no other
  not_cached.llm.cache.clear();
  with_problem(what, not_cached, files, Calls::kCount,
               [&](Problem& problem, const Models& models, const RewardSetup*) {
                 require_searchable(problem.items, settings.search);
                 std::vector<size_t> all(problem.items.size());
                 std::iota(all.begin(), all.end(), size_t{0});
                 const auto try_all = [&] { problem.task->run(problem.in_use, all); };
                 const CallEstimate trying =
                     what == "policy" ? grading_of(settings, files.contexts, all.size())
                                      : counted_by(try_all, [&] { return models.estimate(); });
                 estimated = estimate(problem, settings, models, trying);
               });
  return estimated;
}

}  // namespace l2a
