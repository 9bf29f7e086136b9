// Weights of stop and continue samples.
//
// They multiply a sample's advantages (in SFT: its token losses; in DPO the loss of its pair),
// never its reward: inside a group of replies to one context the factor would cancel. Nor do they
// weigh what sft_weight imitates beside these.
#pragma once

#include "base/config.h"
#include "dialogue/action.h"

namespace l2a {

struct SampleWeights {
  double on_stop = 1;      // where the expert stopped
  double on_continue = 1;  // where the expert went on

  double of(Decision decision) const { return decision == Decision::kStop ? on_stop : on_continue; }

  template <class Visitor>
  void visit(Visitor& v) {
    v("on_stop", on_stop, Range{0, 100}, "weight of samples where the expert stopped");
    v("on_continue", on_continue, Range{0, 100}, "weight of samples where the expert went on");
  }
};

}  // namespace l2a
