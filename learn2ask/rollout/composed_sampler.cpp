#include <torch/types.h>

#include "rollout/sampler.h"
#include "rollout/sampler_mass.h"

// Shape suffixes: r rows, d draws, v vocabulary, b runs of a row's tokens, t tokens of a run.

namespace l2a {
namespace {

constexpr int64_t kRun = 256;

// Sums up to and including each, by the product with a triangle: cumsum's order is not fixed on
// CUDA.
at::Tensor running_sums(const at::Tensor& x) {
  return at::mm(x, at::ones({x.size(1), x.size(1)}, x.options()).triu());
}

// The first place in each row at which the sums pass `threshold_d`.
at::Tensor first_above(const at::Tensor& sums, const at::Tensor& threshold_d) {
  return (sums <= threshold_d.unsqueeze(1)).sum(1).clamp_max(sums.size(1) - 1);
}

// Each draw's token: the run of tokens that its threshold falls into, then the token.
at::Tensor pick(const at::Tensor& weight_rbt, const at::Tensor& sums_rb, const at::Tensor& row_d,
                const at::Tensor& threshold_d) {
  const auto sums_db = sums_rb.index_select(0, row_d);
  const auto run_d = first_above(sums_db, threshold_d);
  const auto before_db = at::constant_pad_nd(sums_db, {1, 0});
  const auto before_d = before_db.gather(1, run_d.unsqueeze(1)).squeeze(1);
  const auto flat_d = row_d * sums_rb.size(1) + run_d;
  const auto sums_dt =
      running_sums(weight_rbt.flatten(0, 1).index_select(0, flat_d).to(at::kDouble));
  // Roundings may leave the threshold above all of the run: its last token with any weight then.
  const auto inside_d =
      at::minimum(threshold_d - before_d, sums_dt.select(1, kRun - 1) * (1 - 0x1p-40));
  return run_d * kRun + first_above(sums_dt, inside_d);
}

}  // namespace

bool can_sample_composed(const DecodingOptions& options) {
  const bool whole = options.top_p >= 1 || options.temperature == 0;
  return whole && options.repetition_penalty == 1;
}

std::vector<std::vector<SampledToken>> composed_sample_tokens(const at::Tensor& logits_rv,
                                                              const DecodingOptions& options,
                                                              std::span<const TokenDraws> draws_r) {
  const bool greedy = options.temperature == 0;
  const int64_t rows = logits_rv.size(0), vocabulary = logits_rv.size(1);
  std::vector<int64_t> row_of_draw;
  std::vector<double> uniforms;
  for (size_t r = 0; r < draws_r.size(); ++r) {
    row_of_draw.insert(row_of_draw.end(), draws_r[r].uniforms.size(), static_cast<int64_t>(r));
    uniforms.insert(uniforms.end(), draws_r[r].uniforms.begin(), draws_r[r].uniforms.end());
  }
  const auto device = logits_rv.device();
  const auto row_d = at::tensor(row_of_draw).to(device);

  const double scale = greedy ? 1 : 1 / options.temperature;
  auto weight_rv = logits_rv.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  weight_rv.sub_(weight_rv.amax(1, true)).mul_(scale).exp_();
  const int64_t padding = (kRun - vocabulary % kRun) % kRun;
  const auto padded_rv = padding > 0 ? at::constant_pad_nd(weight_rv, {0, padding}) : weight_rv;
  const auto weight_rbt = padded_rv.view({rows, -1, kRun});
  const auto sums_rb = running_sums(weight_rbt.sum(2, false, at::kDouble));
  const auto mass_d = sums_rb.select(1, -1).index_select(0, row_d);
  const auto id_d = greedy ? logits_rv.argmax(1).index_select(0, row_d)
                           : pick(weight_rbt, sums_rb, row_d,
                                  at::tensor(uniforms, at::kDouble).to(device) * mass_d);
  const auto chosen_d = weight_rv.flatten().index_select(0, row_d * vocabulary + id_d);
  const auto log_prob_d = (chosen_d.to(at::kDouble) / mass_d).log();

  const auto host = at::stack({id_d.to(at::kDouble), log_prob_d, mass_d}).cpu();
  const auto place = host.accessor<double, 2>();
  std::vector<std::vector<SampledToken>> tokens(draws_r.size());
  for (size_t d = 0; d < row_of_draw.size(); ++d) {
    const auto i = static_cast<int64_t>(d);
    check_mass(place[2][i]);
    tokens[static_cast<size_t>(row_of_draw[d])].push_back(
        {static_cast<int32_t>(place[0][i]), static_cast<float>(place[1][i])});
  }
  return tokens;
}

}  // namespace l2a
