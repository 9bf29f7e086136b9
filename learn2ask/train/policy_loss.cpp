#include "train/policy_loss.h"

#include <torch/types.h>

#include "base/error.h"
#include "train/kl_penalty.h"

namespace l2a {
namespace {

ObjectiveTerms terms_of(const PolicyTokens& tokens, const PolicyLossOptions& options) {
  if (options.objective == "clip") return clipped_objective(tokens, options.ratio_clip());
  if (options.objective == "gspo") return gspo_objective(tokens, options.ratio_clip());
  if (options.objective == "cispo") return cispo_objective(tokens, options.ratio_clip());
  check(options.objective == "reinforce", "policy_loss: unknown objective");
  return reinforce_objective(tokens);
}

}  // namespace

PolicyLossOutput policy_loss(const PolicyLossInputs& in, const PolicyLossOptions& options) {
  const ObjectiveTerms terms = terms_of(in.tokens, options);
  PolicyLossOutput out;
  out.clipped = (terms.clipped_n.to(in.weight_n.scalar_type()) * in.weight_n).sum().item<double>();
  auto term_n = terms.loss_n;
  if (options.kl_in_loss()) {
    const auto kl_n = kl_estimate(options.kl, in.tokens.log_prob_n, in.reference_n);
    out.kl = (kl_n.detach() * in.weight_n).sum().item<double>();
    term_n = term_n + options.kl_weight * kl_n;
  }
  if (options.entropy_weight > 0) term_n = term_n - options.entropy_weight * in.entropy_n;
  out.loss = (term_n * in.weight_n).sum();
  return out;
}

}  // namespace l2a
