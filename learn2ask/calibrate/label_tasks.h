// Prompts tried on what people labelled: how far a grader's verdicts are from theirs, and how far
// what an extractor finds is from what they say was said.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "calibrate/calibration_item.h"
#include "calibrate/gold_label.h"
#include "calibrate/prompt_search.h"
#include "hindsight/label.h"
#include "hindsight/llm_extractor.h"
#include "llm/chat.h"
#include "reward/grader.h"
#include "reward/llm_grader.h"

namespace l2a {

// A view of a grade item, as graders take it.
GradeRequest grade_request(const CalibrationItem& item);

// The prompt of the grader `llm`. Loss: the distance of its verdict from people's; 1 where the
// judge gave none that can be read, or would not take this call. run() throws Failure where nothing
// answers, and where five calls or more are asked for and all are refused.
class GradingTask final : public PromptTask {
 public:
  // Takes the grade items that people graded. `judges` must outlive it.
  GradingTask(std::vector<ChatClient*> judges, LlmGradingOptions options,
              std::span<const CalibrationItem> items, const GoldLabels& labels);
  std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) override;

  std::vector<SearchItem> search_items() const;        // strata: people's grades
  std::string describe(const Mistake& mistake) const;  // one JSON object

 private:
  std::vector<ChatClient*> judges_;
  LlmGradingOptions options_;
  std::vector<CalibrationItem> items_;
  std::vector<double> gold_;
};

// The prompt of the extractor `llm`. Loss: 1 less the F1 of what it finds for the item's turn; 1
// where nothing came that can be read, or the call was refused. run() throws Failure as the
// grader's.
class ExtractionTask final : public PromptTask {
 public:
  // Takes the extract items whose claims people judged; where several did, the first by name
  // counts. `sessions`: those that the items are of. All references must outlive it. Throws
  // Failure for an item whose session is not there, or says something else.
  ExtractionTask(ChatClient& client, LlmExtractionOptions options, LabelOptions label_options,
                 const QuestionForms& forms, std::span<const CalibrationItem> items,
                 const GoldLabels& labels, const std::vector<Session>& sessions);
  std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) override;

  std::vector<SearchItem> search_items() const;  // strata: how much there is to find
  std::string describe(const Mistake& mistake) const;

 private:
  void require_session_of(const CalibrationItem& item) const;
  Result<Outcome> reading_of(size_t item, const LabelOutcome& labelled) const;
  ChatClient& client_;
  LlmExtractionOptions options_;
  LabelOptions label_options_;
  const QuestionForms& forms_;
  std::vector<CalibrationItem> items_;
  std::vector<std::vector<SaidRange>> truth_;
  std::map<std::string, const Session*> sessions_;
};

}  // namespace l2a
