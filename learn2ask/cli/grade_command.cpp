// `learn2ask grade`: replies in, rewards with their parts and reasons out.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/failure_log.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/jsonl.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/reward_setup.h"
#include "hindsight/sample_index.h"

namespace l2a {
namespace {

constexpr size_t kTogether = 512;  // replies graded at once

struct GradeSettings : RewardSettings {
  std::string reply_format = "plain";
  double max_failure_rate = 0.05;

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("reply_format", reply_format, {"plain", "tuple"}, "the form of the replies");
    v("max_failure_rate", max_failure_rate, Range{0, 1},
      "end past this share of replies that could not be graded, of all or of the last 200");
    RewardSettings::visit(v);
  }
};

struct GradeArguments {
  std::string labels, replies, out;
  bool dry_run = false;
};

// One line of the replies: {"context": "<session>/<turn>", "text": ..., "truncated"?: bool}.
Result<RewardRequest> request_of(const Json& line, const SampleIndex& samples) {
  const auto context = get_string(line, "context");
  if (!context) return context.error();
  auto text = get_string(line, "text");
  if (!text) return text.error();
  const auto truncated = get_bool_or(line, "truncated", false);
  if (!truncated) return truncated.error();
  const auto place = samples.find(*context);
  if (!place) return Error{ErrorCode::kNotFound, "'context': " + place.error().message};
  return RewardRequest{
      place->session, place->sample, {.text = std::move(*text), .truncated = *truncated}};
}

Json graded_row(const RewardRequest& request, const RewardResult& result) {
  const auto part = [&](double value) { return result.reward ? Json(value) : Json(nullptr); };
  return {{"context", sample_id(*request.session, *request.sample)},
          {"text", request.reply.text},
          {"truncated", request.reply.truncated},
          {"reward", result.reward ? Json(*result.reward) : Json(nullptr)},
          {"macro", part(result.macro)},
          {"micro", part(result.micro)},
          {"format", part(result.format)},
          {"malformed", result.malformed},
          {"reason", result.note}};
}

// All requests of the file. Throws Failure at the first line that is none.
std::vector<RewardRequest> read_requests(const std::string& path, const SampleIndex& samples) {
  std::vector<RewardRequest> requests;
  for_each_row(path, "graded_replies", [&](JsonLine&& line) {
    requests.push_back(request_of(line.value, samples).value_or_throw());
  });
  if (requests.empty()) fail_input("grade: " + path + ": no reply in it");
  return requests;
}

// The calls that grading would make.
void count_calls(std::span<const RewardRequest> requests, const GradeSettings& settings,
                 ReplyFormat format) {
  if (settings.reward.grader != "llm" || !settings.llm.in_process.empty()) {
    std::printf("%s\n", kNoCalls);
    return;
  }
  RewardSetup reward(settings, "", format, Calls::kCount);
  grade(reward.reward_fn(), requests);
  std::printf("%s\n", reward.costs().c_str());
}

void grade_file(const GradeArguments& arguments, const GradeSettings& settings) {
  const auto sessions = read_labels(arguments.labels);
  const auto requests = read_requests(arguments.replies, SampleIndex(sessions));
  const auto format = reply_format_from_name(settings.reply_format).value_or_throw();
  if (arguments.dry_run) return count_calls(requests, settings, format);
  require_replaceable(arguments.out, "learn2ask grade");
  RewardSetup reward(settings, beside(arguments.out, ".ledger.jsonl"), format);
  reward.require_sessions_of(sessions);
  const RewardFn grade_replies = reward.reward_fn();

  AtomicFile out(arguments.out);
  FailureLog failures(failures_path(arguments.out), "grade", "replies", settings.max_failure_rate);
  out.write_line(dump_json(to_json(FileHeader{
      .format = "graded_replies",
      .command = "learn2ask grade " + arguments.labels + " --replies " + arguments.replies,
      .config_sha256 = sha256_hex(config_to_yaml(deciding_fields(list_config(settings)))),
      .input_sha256 = sha256_file(arguments.replies),
      .extra = {{"grader", reward.grader_name()}, {"grading_prompts", reward.prompts()}}})));
  Progress progress("grade", requests.size(), "replies");
  double sum = 0;
  for (size_t at = 0; at < requests.size(); at += kTogether) {
    throw_if_interrupted();
    const auto some = std::span(requests).subspan(at, std::min(kTogether, requests.size() - at));
    const auto results = grade(grade_replies, some);
    for (size_t i = 0; i < some.size(); ++i) {
      sum += results[i].reward.value_or(0);
      out.write_line(dump_json(graded_row(some[i], results[i])));
      if (!results[i].reward) {
        failures.add(sample_id(*some[i].session, *some[i].sample), results[i].note);
      }
      failures.end_one(!results[i].reward);
    }
    progress.advance(some.size());
  }
  progress.finish();
  failures.finish();
  out.commit();
  const size_t scored = requests.size() - failures.failed();
  std::printf("%zu replies graded by %s, %zu unscored", requests.size(),
              reward.grader_name().c_str(), failures.failed());
  if (scored > 0) std::printf("; mean reward %.3f", sum / static_cast<double>(scored));
  std::printf("\nwritten to %s\n", arguments.out.c_str());
  if (!reward.costs().empty()) std::printf("%s\n", reward.costs().c_str());
}

}  // namespace

void add_grade_command(CLI::App& app) {
  auto* command = app.add_subcommand("grade", "Grade replies to the contexts of labelled sessions");
  auto arguments = std::make_shared<GradeArguments>();
  command->add_option("LABELS", arguments->labels, "labelled sessions")->required();
  command
      ->add_option("--replies", arguments->replies,
                   "a line a reply: {\"context\": \"SESSION/TURN\", \"text\": ...}, as in the "
                   "rollouts.jsonl of a run")
      ->required()
      ->type_name("FILE");
  command->add_option("--out", arguments->out, "graded replies to write")
      ->required()
      ->type_name("FILE");
  add_dry_run(*command, arguments->dry_run);
  auto settings = Settings::add<GradeSettings>(*command);
  command->callback([=] { grade_file(*arguments, settings->read<GradeSettings>()); });
}

}  // namespace l2a
