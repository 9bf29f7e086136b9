#include "train/sft.h"

#include <optional>
#include <string>

#include <fmt/format.h>
#include <torch/torch.h>

#include "train/meter.h"
#include "train/verify_tree.h"

namespace l2a {
namespace {

// What the policy is taught to say at this sample; nullopt when it is no target.
std::optional<Action> target_of(const LabelledSession& session, const Sample& sample,
                                const QuestionForms* forms, const SftOptions& options) {
  if (!is_labelled(sample)) return std::nullopt;
  if (sample.decision->value == Decision::kStop) return Action{Decision::kStop, ""};
  const std::string& text = session.turns[sample.turn].text;
  if (sample.kind.value == TurnKind::kAsk) {
    const bool asks = options.train_without_question || !forms || !forms->questions(text).empty();
    if (!asks) return std::nullopt;
  } else if (!options.train_inform) {
    return std::nullopt;
  }
  return Action{Decision::kContinue, text};
}

bool has_target(const LabelledSession& session, const QuestionForms* forms,
                const SftOptions& options) {
  for (const Sample& sample : session.samples) {
    if (target_of(session, sample, forms, options)) return true;
  }
  return false;
}

// Each target token's share of the mean, by row.
std::vector<double> token_weights(const SftRows& rows) {
  double total = 0;
  for (size_t r = 0; r < rows.rows.size(); ++r) {
    total += rows.weights[r] * static_cast<double>(rows.rows[r].targets());
  }
  std::vector<double> weights;
  for (const double w : rows.weights) weights.push_back(total > 0 ? w / total : 0);
  return weights;
}

// Negative log-likelihood of one tree's share.
at::Tensor tree_loss(const Transformer& model, const LoraAdapter* adapter, const SftRows& rows,
                     std::span<const double> token_weight, std::vector<size_t> chosen) {
  const auto tree = make_row_tree(rows.rows, std::move(chosen));
  const auto log_prob_n = target_log_probs(model, adapter, tree, 1).log_prob_n;
  return -(log_prob_n * spread_to_targets(tree, rows.rows, token_weight, log_prob_n.device()))
              .sum();
}

Json train_step(const TrainerSetup& setup, const SftRows& rows, const SftOptions& options,
                LoraAdapter& adapter, TrainingRun& run, Json& time) {
  Stopwatch watch(setup.clock);
  const auto plan = plan_trees(rows.rows, options.loop.token_budget);
  if (run.verifies()) verify_tree(setup.model, adapter, rows.rows, rows.weights);
  const auto token_weight = token_weights(rows);
  double loss = 0;
  int64_t targets = 0;
  for (const auto& chosen : plan.trees) {
    const auto tree = tree_loss(setup.model, &adapter, rows, token_weight, chosen);
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
  for (const Sample& sample : session.samples) {
    const auto target = target_of(session, sample, setup.forms, options);
    if (!target) continue;
    const auto reply = setup.window.chat().reply_ids(render_action(*target, setup.format));
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
    out.rows.push_back(std::move(row));
    out.contexts_cut += view->turns_cut > 0;
    out.weights.push_back(options.weights.of(target->decision));
  }
}

double mean_nll(const Transformer& model, const LoraAdapter* adapter, const SftRows& rows,
                int64_t token_budget) {
  const at::NoGradGuard no_grad;
  const auto token_weight = token_weights(rows);
  double nll = 0;
  for (const auto& chosen : plan_trees(rows.rows, token_budget).trees) {
    nll += tree_loss(model, adapter, rows, token_weight, chosen).item<double>();
  }
  return nll;
}

TrainResult train_sft(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                      std::span<const LabelledSession> held_out, const SftOptions& options,
                      LoraAdapter& adapter) {
  std::vector<const LabelledSession*> trained;
  for (const auto& session : sessions) {
    if (has_target(session, setup.forms, options)) trained.push_back(&session);
  }
  if (trained.empty()) fail_input("train sft: sessions: none has a labelled asking turn or stop");
  size_t contexts_cut = 0;
  for (const auto* session : trained) {  // one that is too long shows before the first step
    SftRows rows;
    append_sft_rows(*session, setup, options, rows);
    contexts_cut += rows.contexts_cut;
  }
  note_cut_contexts(setup, contexts_cut);
  SftRows held_out_rows;
  for (const auto& session : held_out) append_sft_rows(session, setup, options, held_out_rows);
  std::function<double()> evaluate;
  if (!held_out_rows.rows.empty()) {
    evaluate = [&] {
      return -mean_nll(setup.model, &adapter, held_out_rows, options.loop.token_budget);
    };
  }

  const auto per_epoch = (static_cast<int64_t>(trained.size()) + options.sessions_per_step - 1) /
                         options.sessions_per_step;
  AdamW optimizer(adapter.parameters(), options.optimizer);
  TrainingRun run(setup, options.loop, options.optimizer, options.epochs * per_epoch, adapter,
                  optimizer);
  while (run.goes_on()) {
    SftRows rows;
    for (const size_t i : sessions_of_step(trained.size(), options.sessions_per_step,
                                           options.loop.seed, run.step())) {
      append_sft_rows(*trained[i], setup, options, rows);
    }
    Json time = Json::object();
    Json metrics = train_step(setup, rows, options, adapter, run, time);
    run.end_step(std::move(metrics), std::move(time), evaluate);
  }
  return run.finish();
}

}  // namespace l2a
