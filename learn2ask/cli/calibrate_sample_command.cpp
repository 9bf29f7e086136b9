// `learn2ask calibrate sample`: picks what is worth a person's time.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "calibrate/choose_items.h"
#include "calibrate/label_tasks.h"
#include "cli/ask_graders.h"
#include "cli/calibrate_command.h"
#include "cli/command.h"
#include "hindsight/sample.h"

namespace l2a {
namespace {

struct SampleSettings {
  int64_t count = 60;
  int64_t pool = 600;
  uint64_t seed = 1;
  std::string reply_format = "plain";
  LlmGradingOptions grading;
  LlmOptions llm;

  template <class Visitor>
  void visit(Visitor& v) {
    v("count", count, Range{1, 1e6}, "items to pick");
    v("pool", pool, Range{1, 1e7}, "candidates to pick from, drawn at random");
    v("seed", seed, Range{0, 1e15}, "of all that is drawn");
    v.choice("reply_format", reply_format, {"plain", "tuple"}, "the form of --replies");
    v.group("grading", grading);
    v.group("llm", llm);
  }
};

struct SampleArguments {
  std::string labels, other_labels, what = "grade", out;
  std::vector<std::string> replies;
  GraderList graders{.names = {"match", "words"}, .prompts = {}};
  GraderInputs inputs;
  bool dry_run = false;
};

// A labelled turn.
struct Place {
  const LabelledSession* session;
  const Sample* sample;
};
using Places = std::vector<Place>;

std::vector<Turn> turns_before(const Place& place) {
  return {place.session->turns.begin(),
          place.session->turns.begin() + static_cast<std::ptrdiff_t>(place.sample->turn)};
}
std::vector<Turn> turns_from(const Place& place) {
  return {place.session->turns.begin() + static_cast<std::ptrdiff_t>(place.sample->turn),
          place.session->turns.end()};
}

CalibrationItem item_at(const Place& place, ItemKind kind) {
  return {.id = {},
          .kind = kind,
          .context_id = sample_id(*place.session, *place.sample),
          .context = turns_before(place)};
}

// Those for which `fits`, at most `count`, drawn at random.
template <class Fits>
Places draw_places(const std::vector<LabelledSession>& sessions, size_t count, Rng& rng,
                   const Fits& fits) {
  Places places;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      if (fits(sample)) places.push_back({&session, &sample});
    }
  }
  rng.shuffle(places);
  places.resize(std::min(places.size(), count));
  return places;
}

CalibrationItem grade_item(const Place& place, std::string question) {
  CalibrationItem item = item_at(place, ItemKind::kGrade);
  item.open = *place.sample->wanted;
  item.reply = std::move(question);
  return item;
}

bool has_something_open(const Sample& sample) {
  return is_labelled(sample) && sample.decision->value == Decision::kContinue &&
         !sample.wanted->empty();
}

// Replies of policies: those that continue where something was open.
std::vector<CalibrationItem> items_of_replies(const SampleArguments& arguments,
                                              const SampleSettings& settings,
                                              const std::vector<LabelledSession>& sessions,
                                              Rng& rng) {
  std::unordered_map<std::string, Place> places;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      if (has_something_open(sample)) places[sample_id(session, sample)] = {&session, &sample};
    }
  }
  const auto format = reply_format_from_name(settings.reply_format).value_or_throw();
  std::vector<std::pair<Place, std::string>> questions;
  for (const std::string& path : arguments.replies) {
    for_each_row(path, "graded_replies", [&](JsonLine&& line) {
      const auto place = places.find(get_string(line.value, "context").value_or_throw());
      const auto action =
          parse_reply({.text = get_string(line.value, "text").value_or_throw(),
                       .truncated = get_bool_or(line.value, "truncated", false).value_or_throw()},
                      format);
      if (place == places.end() || !action || action->decision == Decision::kStop) return;
      questions.emplace_back(place->second, action->question);
    });
  }
  rng.shuffle(questions);
  questions.resize(std::min(questions.size(), static_cast<size_t>(settings.pool)));
  std::vector<CalibrationItem> items;
  for (const auto& [place, question] : questions) items.push_back(grade_item(place, question));
  return items;
}

// Questions of the logs themselves: what the expert asks next, what was answered before, what the
// expert of another session asks.
std::vector<CalibrationItem> items_of_logs(const std::vector<LabelledSession>& sessions,
                                           const QuestionForms& forms, size_t count, Rng& rng) {
  const Places places = draw_places(sessions, count, rng, has_something_open);
  const auto question_of = [](const Place& place) {
    return place.session->turns[place.sample->turn].text;
  };
  std::vector<CalibrationItem> items;
  for (size_t i = 0; i < places.size(); ++i) {
    const Place& place = places[i];
    const auto known = known_questions(place.session->turns, place.sample->turn, forms);
    const size_t kind = rng.below(3);
    if (kind == 0 && place.sample->kind.value == TurnKind::kAsk) {
      items.push_back(grade_item(place, question_of(place)));
    } else if (kind == 1 && !known.empty()) {
      items.push_back(grade_item(place, rng.pick(known).question));
    } else {
      items.push_back(grade_item(place, question_of(rng.pick(places))));
    }
  }
  return items;
}

std::vector<CalibrationItem> items_to_grade(const SampleArguments& arguments,
                                            const SampleSettings& settings,
                                            const std::vector<LabelledSession>& sessions,
                                            const QuestionForms& forms) {
  Rng rng = Rng::stream(settings.seed, "grade candidates");
  auto items = arguments.replies.empty()
                   ? items_of_logs(sessions, forms, static_cast<size_t>(settings.pool), rng)
                   : items_of_replies(arguments, settings, sessions, rng);
  if (items.empty()) fail_input("calibrate sample: no question to grade where something is open");
  return items;
}

AskedGraders ask_about(std::span<const CalibrationItem> items, const SampleArguments& arguments,
                       GraderFactory& factory) {
  std::vector<GradeRequest> requests;
  for (const CalibrationItem& item : items) requests.push_back(grade_request(item));
  return ask_graders(factory, arguments.graders, requests);
}

GraderInputs grader_inputs(const SampleArguments& arguments, const SampleSettings& settings) {
  GraderInputs inputs = arguments.inputs;
  inputs.grading = settings.grading;
  inputs.llm = settings.llm;
  inputs.ledger = beside(arguments.out, ".ledger.jsonl");
  if (arguments.dry_run) inputs.calls = Calls::kCount;
  return inputs;
}

std::vector<Candidate> grade_candidates(const SampleArguments& arguments,
                                        const SampleSettings& settings,
                                        const std::vector<LabelledSession>& sessions,
                                        Json& prompts) {
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  auto items = items_to_grade(arguments, settings, sessions, forms);
  GraderFactory factory(forms, grader_inputs(arguments, settings));
  const AskedGraders asked = ask_about(items, arguments, factory);
  prompts = asked.prompts;
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < items.size(); ++i) {
    Candidate candidate{.item = std::move(items[i]), .stratum = {}};
    for (const auto& [grader, of_items] : asked.verdicts) {
      for (size_t r = 0; r < of_items[i].size(); ++r) {
        candidate.item.verdicts[r == 0 ? grader : fmt::format("{} #{}", grader, r + 1)] =
            of_items[i][r];
      }
    }
    const auto& first = candidate.item.verdicts.begin()->second;
    candidate.doubt = doubt_of(candidate.item);
    candidate.stratum = first ? fmt::format("verdict {:g}", *first) : "no verdict";
    candidates.push_back(std::move(candidate));
  }
  std::printf("%s", asked.failures_text().c_str());
  if (!factory.costs().empty()) std::printf("%s\n", factory.costs().c_str());
  return candidates;
}

// The calls that picking would make.
void count_calls(const SampleArguments& arguments, const SampleSettings& settings,
                 const std::vector<LabelledSession>& sessions) {
  if (arguments.what != "grade" || !settings.llm.in_process.empty()) {
    std::printf("%s\n", kNoCalls);
    return;
  }
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  GraderFactory factory(forms, grader_inputs(arguments, settings));
  ask_about(items_to_grade(arguments, settings, sessions, forms), arguments, factory);
  std::printf("%s\n", factory.counted().c_str());
}

// Samples of a second labelling of the same sessions, by id; empty without one.
class OtherLabels {
 public:
  explicit OtherLabels(const std::string& path) {
    if (!path.empty()) sessions_ = read_labels(path);
    for (const LabelledSession& session : sessions_) {
      for (const Sample& sample : session.samples) {
        places_[sample_id(session, sample)] = {&session, &sample};
      }
    }
  }
  const Place* find(const std::string& id) const {
    const auto found = places_.find(id);
    return found == places_.end() ? nullptr : &found->second;
  }

 private:
  std::vector<LabelledSession> sessions_;
  std::unordered_map<std::string, Place> places_;
};

std::vector<SaidRange> said_at(const Place& place) {
  std::vector<SaidRange> said;
  for (const Item& item : *place.sample->wanted) said.push_back(said_range(item, *place.session));
  return said;
}

// 1 less the F1 of the two labellings' items; 0 where the other one failed.
double extraction_doubt(const Place& place, const Place* other) {
  if (other == nullptr || !other->sample->wanted) return 0;
  return 1 - count_claims(said_at(place), said_at(*other)).f1().value_or(1);
}

std::vector<Candidate> extract_candidates(const SampleSettings& settings,
                                          const std::vector<LabelledSession>& sessions,
                                          const OtherLabels& others) {
  Rng rng = Rng::stream(settings.seed, "extract candidates");
  const auto places = draw_places(sessions, static_cast<size_t>(settings.pool), rng,
                                  [](const Sample& sample) { return !!sample.wanted; });
  std::vector<Candidate> candidates;
  for (const Place& place : places) {
    CalibrationItem item = item_at(place, ItemKind::kExtract);
    item.future = turns_from(place);
    const auto said = said_at(place);
    for (size_t i = 0; i < said.size(); ++i) {
      const Item& wanted = (*place.sample->wanted)[i];
      item.claims.push_back({wanted.question, wanted.fact, said[i]});
    }
    const std::string stratum = fmt::format("{} facts", std::min<size_t>(said.size(), 3));
    const double doubt = extraction_doubt(place, others.find(item.context_id));
    candidates.push_back({.item = std::move(item), .doubt = doubt, .stratum = stratum});
  }
  return candidates;
}

std::vector<Candidate> stop_candidates(const SampleSettings& settings,
                                       const std::vector<LabelledSession>& sessions,
                                       const OtherLabels& others) {
  Rng rng = Rng::stream(settings.seed, "stop candidates");
  const auto places = draw_places(sessions, static_cast<size_t>(settings.pool), rng,
                                  [](const Sample& sample) { return !!sample.decision; });
  std::vector<Candidate> candidates;
  for (const Place& place : places) {
    CalibrationItem item = item_at(place, ItemKind::kStop);
    item.future = turns_from(place);
    item.decision = place.sample->decision->value;
    const Place* other = others.find(item.context_id);
    const bool differs = other != nullptr && other->sample->decision &&
                         other->sample->decision->value != *item.decision;
    candidates.push_back({.item = std::move(item),
                          .doubt = differs ? 1.0 : 0.0,
                          .stratum = std::string(decision_name(place.sample->decision->value)) +
                                     " by " + place.sample->decision->rule});
  }
  return candidates;
}

// `prompts`: takes grading_prompts() of who was asked.
std::vector<Candidate> candidates_for(const SampleArguments& arguments,
                                      const SampleSettings& settings,
                                      const std::vector<LabelledSession>& sessions, Json& prompts) {
  if (arguments.what == "grade") return grade_candidates(arguments, settings, sessions, prompts);
  const OtherLabels others(arguments.other_labels);
  return arguments.what == "extract" ? extract_candidates(settings, sessions, others)
                                     : stop_candidates(settings, sessions, others);
}

void sample_items(const SampleArguments& arguments, const SampleSettings& settings) {
  const auto sessions = read_labels(arguments.labels);
  if (arguments.dry_run) return count_calls(arguments, settings, sessions);
  refuse_overwriting("calibrate sample", arguments.out);  // labels name its items
  Json prompts = Json::object();
  auto candidates = candidates_for(arguments, settings, sessions, prompts);
  const size_t pool = candidates.size();
  const auto items =
      choose_items(std::move(candidates), static_cast<size_t>(settings.count), settings.seed);
  if (items.empty()) fail_input("calibrate sample: " + arguments.labels + ": nothing to pick from");
  AtomicFile out(arguments.out);
  out.write_line(dump_json(to_json(FileHeader{
      .format = "calibration_items",
      .command = "learn2ask calibrate sample " + arguments.labels + " --what " + arguments.what,
      .config_sha256 = sha256_hex(config_to_yaml(deciding_fields(list_config(settings)))),
      .input_sha256 = sha256_file(arguments.labels),
      .extra = {{"grading_prompts", prompts}}})));
  for (const CalibrationItem& item : items) out.write_line(dump_json(to_json(item)));
  out.commit();
  const auto doubtful = std::count_if(items.begin(), items.end(), [](const CalibrationItem& item) {
    return item.why.starts_with("judges differ");
  });
  std::printf("%zu items of %zu candidates, %td of them because judges differ\n", items.size(),
              pool, doubtful);
  std::printf("written to %s; label them: learn2ask calibrate ui %s --labels gold.jsonl\n",
              arguments.out.c_str(), arguments.out.c_str());
}

// Options that say nothing about what is picked are slips, and would be passed over in silence.
void refuse_options_of_others(const CLI::App& command, const std::string& what) {
  const std::vector<const char*> of_grade = {"--replies", "--grader", "--grading-prompt",
                                             "--repeats", "--thresholds"};
  const std::vector<const char*> of_labels = {"--other-labels"};
  refuse_options(command, "calibrate sample", what == "grade" ? of_labels : of_grade,
                 "not with --what " + what);
}

}  // namespace

void add_calibrate_sample(CLI::App& calibrate) {
  auto* command = calibrate.add_subcommand("sample", "Pick what is worth a person's time");
  auto arguments = std::make_shared<SampleArguments>();
  command->add_option("LABELS", arguments->labels, "labelled sessions")->required();
  command
      ->add_option("--what", arguments->what,
                   "grade: how well a question reaches what is open; extract: what was read off a "
                   "log; stop: whether the expert has gathered all")
      ->check(CLI::IsMember({"grade", "extract", "stop"}))
      ->capture_default_str();
  command
      ->add_option("--replies", arguments->replies,
                   "grade: replies of policies, such as rollouts.jsonl of a run; else questions of "
                   "the logs")
      ->type_name("FILE");
  command
      ->add_option("--grader", arguments->graders.names,
                   "grade: who judges first, so that what they differ about is picked")
      ->check(CLI::IsMember(kGradersOfQuestions))
      ->capture_default_str();
  command
      ->add_option("--grading-prompt", arguments->graders.prompts,
                   "grade: further prompts of the grader llm")
      ->type_name("PROMPT");
  command->add_option("--repeats", arguments->graders.repeats, "grade: how often llm is asked")
      ->check(CLI::Range(1, 99))
      ->capture_default_str();
  command->add_option("--thresholds", arguments->inputs.thresholds, "of match and words")
      ->capture_default_str();
  command
      ->add_option("--other-labels", arguments->other_labels,
                   "extract, stop: the same sessions labelled in another way, so that what differs "
                   "is picked")
      ->type_name("LABELS");
  command->add_option("--out", arguments->out, "items to write")->required()->type_name("FILE");
  add_dry_run(*command, arguments->dry_run);
  auto settings = Settings::add<SampleSettings>(*command);
  command->callback([=] {
    refuse_options_of_others(*command, arguments->what);
    if (!arguments->graders.asks_llm()) {
      refuse_options(*command, "calibrate sample", {"--repeats"}, kRepeatsAreOfLlm);
    }
    sample_items(*arguments, settings->read<SampleSettings>());
  });
}

}  // namespace l2a
