#include "train/sft.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "train/meter.h"
#include "train/verify_tree.h"

namespace l2a {
namespace {

// Each target token's share of the mean, by row.
std::vector<double> token_weights(const SftRows& rows) {
  double total = 0;
  for (size_t r = 0; r < rows.rows.size(); ++r) {
    total += rows.weights[r] * static_cast<double>(rows.rows[r].targets());
  }
  check(total > 0, "token_weights: no row has weight");
  std::vector<double> weights;
  for (const double w : rows.weights) weights.push_back(w / total);
  return weights;
}

// Whether a row has weight.
bool teaches(const SftRows& rows) {
  return std::any_of(rows.weights.begin(), rows.weights.end(), [](double w) { return w > 0; });
}

// Negative log-likelihood of one tree's share.
at::Tensor tree_loss(const Transformer& model, const TrainedWeights* trained, const SftRows& rows,
                     std::span<const double> token_weight, std::vector<size_t> chosen) {
  const auto tree = make_row_tree(rows.rows, std::move(chosen));
  const auto log_prob_n = target_log_probs(model, trained, tree, 1).log_prob_n;
  return -(log_prob_n * spread_to_targets(tree, rows.rows, token_weight, log_prob_n.device()))
              .sum();
}

Json train_step(const TrainerSetup& setup, const SftRows& rows, const SftOptions& options,
                TrainedWeights& trained, TrainingRun& run, Json& time) {
  Stopwatch watch(setup.clock);
  const auto plan = plan_trees(rows.rows, options.loop.token_budget);
  if (run.must_verify()) {
    verify_tree(setup.model, trained, rows.rows, options.loop.token_budget);
  }
  const auto token_weight = token_weights(rows);
  double loss = 0;
  int64_t targets = 0;
  for (const auto& chosen : plan.trees) {
    const auto tree = tree_loss(setup.model, &trained, rows, token_weight, chosen);
    tree.backward();
    loss += tree.item<double>();
  }
  for (const auto& row : rows.rows) targets += row.targets();
  const auto update = run.update(loss);
  time["trained_tokens_per_s"] = static_cast<double>(plan.tokens) / watch.lap();
  return {{"step", run.step() + 1},
          {"loss", loss},
          {"target_tokens", targets},
          {"tokens", plan.tokens},
          {"recharged_tokens", plan.recharged_tokens},
          {"trees", plan.trees.size()},
          {"grad_norm", update.grad_norm},
          {"lr", update.lr}};
}

}  // namespace

void append_sft_rows(const LabelledSession& session, const TrainerSetup& setup,
                     const SftOptions& options, SftRows& out) {
  const size_t first = out.rows.size();
  for (const Sample& sample : session.samples) {
    const auto expert = expert_reply(session, sample, setup, options.turns);
    if (!expert) continue;
    const std::vector<int32_t>& reply = expert->ids;
    auto view = setup.window.view(std::span(session.turns).first(sample.turn),
                                  static_cast<int64_t>(reply.size()));
    if (!view) {
      fail_input(
          fmt::format("train sft: {}: {}", sample_id(session, sample), view.error().message));
    }
    TrainingRow row;
    row.ids = std::move(view->ids);
    row.context = static_cast<int64_t>(row.ids.size());
    row.group = out.rows.empty() ? 0 : out.rows.back().group + 1;
    row.ids.insert(row.ids.end(), reply.begin(), reply.end());
    if (options.targets == "all") {
      const int64_t before =
          out.rows.size() > first ? common_prefix(out.rows.back().ids, row.ids) : 0;
      row.context = std::clamp<int64_t>(before, 1, row.context);
    }
    out.rows.push_back(std::move(row));
    out.contexts_cut += view->turns_cut > 0;
    out.weights.push_back(options.weights.of(sample.decision->value));
  }
}

double mean_nll(const Transformer& model, const TrainedWeights* trained, const SftRows& rows,
                int64_t token_budget) {
  const at::NoGradGuard no_grad;
  const auto token_weight = token_weights(rows);
  double nll = 0;
  for (const auto& chosen : plan_trees(rows.rows, token_budget).trees) {
    nll += tree_loss(model, trained, rows, token_weight, chosen).item<double>();
  }
  return nll;
}

TrainResult train_sft(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                      std::span<const LabelledSession> held_out, const SftOptions& options,
                      TrainedWeights& trained) {
  std::vector<const LabelledSession*> used;
  size_t contexts_cut = 0;
  for (const auto& session : sessions) {  // one that is too long shows before the first step
    SftRows rows;
    append_sft_rows(session, setup, options, rows);
    if (teaches(rows)) used.push_back(&session);
    contexts_cut += rows.contexts_cut;
  }
  if (used.empty()) {
    fail_input("train sft: sessions: none has a labelled asking turn or stop that has weight");
  }
  note_cut_contexts(setup, "training", contexts_cut);
  SftRows held_out_rows;
  for (const auto& session : held_out) append_sft_rows(session, setup, options, held_out_rows);
  HeldOutScore evaluate;
  check_held_out(options.loop, !held_out.empty(), teaches(held_out_rows));
  note_cut_contexts(setup, "held-out", held_out_rows.contexts_cut);
  if (!held_out.empty()) {
    evaluate = [&](Json&) {
      return -mean_nll(setup.model, &trained, held_out_rows, options.loop.token_budget);
    };
  }

  const auto per_epoch = (static_cast<int64_t>(used.size()) + options.sessions_per_step - 1) /
                         options.sessions_per_step;
  AdamW optimizer(trained.parameters(), options.optimizer);
  TrainingRun run(setup, options.loop, options.optimizer, options.epochs * per_epoch, trained,
                  optimizer);
  while (run.goes_on()) {
    SftRows rows;
    for (const size_t i :
         sessions_of_step(used.size(), options.sessions_per_step, options.loop.seed, run.step())) {
      append_sft_rows(*used[i], setup, options, rows);
    }
    Json time = Json::object();
    Json metrics = train_step(setup, rows, options, trained, run, time);
    run.end_step(std::move(metrics), std::move(time), evaluate);
  }
  return run.finish();
}

}  // namespace l2a
