// What the expert did at a turn, as a reply of the policy: what SFT imitates and DPO may prefer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "hindsight/sample.h"
#include "train/training_run.h"

namespace l2a {

struct ExpertTurns {
  // Informing turns are no targets: they would teach advice instead of questions.
  bool train_inform = false;
  // Turns that count as asking but have no question ("Restart it.") earn no format reward later.
  bool train_without_question = false;

  template <class Visitor>
  void visit(Visitor& v) {
    v("train_inform", train_inform, "also train on turns that neither ask nor stop");
    v("train_without_question", train_without_question,
      "also train on asking turns that have no question in them");
  }
};

struct ExpertReply {
  std::string text;  // in the policy's reply format
  std::vector<int32_t> ids;
};

// nullopt where the sample is no target: unlabelled, or a turn of a kind that is left out. Without
// setup.forms none is left out for having no question.
std::optional<ExpertReply> expert_reply(const LabelledSession& session, const Sample& sample,
                                        const TrainerSetup& setup, const ExpertTurns& turns);

}  // namespace l2a
