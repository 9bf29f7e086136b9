#include "reward/llm_grader.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/utf8.h"
#include "llm/json_answer.h"

namespace l2a {
namespace {

constexpr double kSamplingTemperature = 0.7;
constexpr size_t kReasonBytes = 300;

const Json& answer_schema() {
  static const Json kSchema = [] {
    const Json score = {{"type", "number"}, {"enum", {0, 0.5, 1}}};
    return Json{
        {"type", "object"},
        {"properties", {{"reason", {{"type", "string"}}}, {"content", score}, {"format", score}}},
        {"required", {"reason", "content", "format"}},
        {"additionalProperties", false}};
  }();
  return kSchema;
}

Result<double> score_in(const Json& answer, const char* key) {
  const auto score = get_number(answer, key);
  if (!score) return score.error();
  if (*score != 0 && *score != 0.5 && *score != 1) {
    return Error{ErrorCode::kInvalidInput, fmt::format("'{}': expected 0, 0.5 or 1", key)};
  }
  return *score;
}

Result<JudgeAnswer> read_answer(const Json& answer) {
  const auto content = score_in(answer, "content");
  if (!content) return content.error();
  const auto format = score_in(answer, "format");
  if (!format) return format.error();
  const auto reason = get_string(answer, "reason");
  if (!reason) return reason.error();
  return JudgeAnswer{*content, *format, shown(*reason, kReasonBytes)};
}

// One JSON object a line: no text can look like another line.
std::string lines_of(std::span<const Turn> turns) {
  std::string lines;
  for (const Turn& turn : turns) {
    lines +=
        dump_json({{"from", turn.role == Role::kUser ? "user" : "expert"}, {"text", turn.text}}) +
        "\n";
  }
  return lines.empty() ? "(nothing was said yet)\n" : lines;
}
std::string lines_of(std::span<const Item> items) {
  std::string lines;
  for (const Item& item : items) {
    lines += dump_json({{"question", item.question}, {"answer", item.fact}}) + "\n";
  }
  return lines;
}

// All that came of asking one judge about one question: an answer a sample, in the order of the
// samples, in whatever order they came.
using Verdicts = std::vector<Result<JudgeAnswer>>;

// Medians of content and format; the reason of the first answer whose content is the median.
Result<JudgeAnswer> middle_of(const std::vector<JudgeAnswer>& answers) {
  std::vector<double> contents, formats;
  for (const JudgeAnswer& answer : answers) {
    contents.push_back(answer.content);
    formats.push_back(answer.format);
  }
  const auto content = lower_median(contents), format = lower_median(formats);
  if (!content) return Error{ErrorCode::kUnavailable, "no verdict"};
  const auto said = std::find_if(answers.begin(), answers.end(), [&](const JudgeAnswer& answer) {
    return answer.content == *content;
  });
  return JudgeAnswer{*content, *format, said->reason};
}

void keep_graver(std::optional<Error>& kept, const Error& error) {
  if (!kept || gravity_of(error) > gravity_of(*kept)) kept = error;
}

}  // namespace

std::optional<double> lower_median(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

LlmGrader::LlmGrader(std::vector<ChatClient*> judges, Prompt prompt, LlmGradingOptions options,
                     uint64_t repeat)
    : judges_(std::move(judges)),
      prompt_(std::move(prompt)),
      options_(std::move(options)),
      first_sample_(repeat * static_cast<uint64_t>(options_.samples)) {
  if (options_.samples % 2 == 0) {
    fail_input("grading.samples: " + std::to_string(options_.samples) +
               ": expected an odd number, so that there is a middle");
  }
  if (options_.quorum > static_cast<int64_t>(judges_.size())) {
    fail_input(fmt::format("grading.quorum: {} verdicts of {} judges: name more grading.models",
                           options_.quorum, judges_.size()));
  }
}

std::string LlmGrader::name() const {
  std::string names;
  for (const ChatClient* judge : judges_) names += (names.empty() ? "" : ", ") + judge->name();
  return fmt::format("llm ({}; {} answers, prompt {})", names, options_.samples,
                     prompt_.sha256().substr(0, 8));
}

std::vector<Result<Grade>> LlmGrader::grade(std::span<const GradeRequest> requests) {
  const size_t judges = judges_.size();
  const bool is_asked_once = options_.samples == 1 && first_sample_ == 0;
  const Verdicts nothing(static_cast<size_t>(options_.samples),
                         Error{ErrorCode::kUnavailable, "not asked"});
  std::vector<Verdicts> asked(requests.size() * judges, nothing);
  for (size_t j = 0; j < judges; ++j) {
    for (size_t i = 0; i < requests.size(); ++i) {
      const GradeRequest& request = requests[i];
      if (request.wanted.empty()) continue;
      ChatRequest call{
          .messages = prompt_.messages({{"context", lines_of(request.context)},
                                        {"open", lines_of(request.wanted)},
                                        {"question", dump_json(Json(request.question))}}),
          .temperature = is_asked_once ? 0 : kSamplingTemperature,
          .max_tokens = options_.max_answer_tokens,
          .schema = answer_schema()};
      Verdicts& verdicts = asked[i * judges + j];
      for (int64_t k = 0; k < options_.samples; ++k) {
        call.sample = first_sample_ + static_cast<uint64_t>(k);
        auto& verdict = verdicts[static_cast<size_t>(k)];
        ask_json<JudgeAnswer>(
            *judges_[j], call, prompt_.correction(), read_answer,
            [&verdict](Result<JudgeAnswer> answer) { verdict = std::move(answer); });
      }
    }
    judges_[j]->run();
  }

  std::vector<Result<Grade>> grades;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].wanted.empty()) {
      grades.emplace_back(Grade{.content = 0, .reason = "nothing is open"});
      continue;
    }
    std::vector<JudgeAnswer> verdicts;
    std::optional<Error> why;  // there is none
    for (size_t j = 0; j < judges; ++j) {
      std::vector<JudgeAnswer> answers;
      for (const auto& verdict : asked[i * judges + j]) {
        if (verdict) {
          answers.push_back(*verdict);
        } else {
          keep_graver(why, verdict.error());
        }
      }
      if (2 * answers.size() > static_cast<size_t>(options_.samples)) {
        verdicts.push_back(middle_of(answers).value_or_throw());
      }
    }
    if (verdicts.size() < static_cast<size_t>(options_.quorum)) {
      grades.emplace_back(why.value());
      continue;
    }
    const JudgeAnswer verdict = middle_of(verdicts).value_or_throw();
    grades.emplace_back(
        Grade{.content = verdict.content, .reason = verdict.reason, .format = verdict.format});
  }
  return grades;
}

}  // namespace l2a
