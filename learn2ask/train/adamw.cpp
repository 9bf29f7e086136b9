#include "train/adamw.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>

#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/safetensors_writer.h"
#include "weights/safetensors.h"

namespace l2a {

double learning_rate(const OptimizerOptions& options, int64_t step, int64_t total) {
  if (step < options.warmup_steps) {
    return options.lr * static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  }
  if (options.schedule == "constant") return options.lr;
  const auto span = static_cast<double>(std::max<int64_t>(total - options.warmup_steps, 1));
  const double done = std::min(1.0, static_cast<double>(step - options.warmup_steps) / span);
  if (options.schedule == "linear") return options.lr * (1 - done);
  check(options.schedule == "cosine", "learning_rate: unknown schedule");
  return options.lr * (1 + std::cos(std::numbers::pi * done)) / 2;
}

double gradient_norm(const std::vector<at::Tensor>& parameters) {
  constexpr int64_t kTogether = 1 << 24;  // numbers in float64 at once
  std::vector<at::Tensor> sums;
  for (const auto& p : parameters) {
    if (!p.grad().defined()) continue;
    for (const auto& part : p.grad().flatten().split(kTogether)) {
      sums.push_back(part.to(at::kDouble).square_().sum());
    }
  }
  if (sums.empty()) return 0;
  const auto host = at::stack(sums).cpu();  // waits for the device once
  const auto* const values = host.const_data_ptr<double>();
  return std::sqrt(std::accumulate(values, values + host.numel(), 0.0));
}

void clip_gradients(const std::vector<at::Tensor>& parameters, double norm, double max_norm) {
  if (norm <= max_norm) return;
  const at::NoGradGuard no_grad;
  for (const auto& p : parameters) {
    if (p.grad().defined()) p.mutable_grad().mul_(max_norm / (norm + 1e-6));
  }
}

AdamW::AdamW(std::vector<at::Tensor> parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const auto& p : parameters_) {
    check(p.scalar_type() == at::kFloat && p.is_leaf(), "AdamW: float32 leaf tensors only");
    mean_.push_back(at::zeros_like(p, at::TensorOptions().requires_grad(false)));
    mean_square_.push_back(at::zeros_like(p, at::TensorOptions().requires_grad(false)));
    if (options_.average_decay > 0) average_.push_back(p.detach().clone());
  }
}

void AdamW::step(double lr) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(steps_));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& grad = parameters_[i].grad();
    if (!grad.defined()) continue;
    parameters_[i].mul_(1 - lr * options_.weight_decay);
    mean_[i].lerp_(grad, 1 - options_.beta1);
    mean_square_[i].mul_(options_.beta2).addcmul_(grad, grad, 1 - options_.beta2);
    const auto root = mean_square_[i].sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon);
    parameters_[i].addcdiv_(mean_[i], root, -lr / correction1);
  }
  const auto t = static_cast<double>(steps_);
  const double decay = std::min(options_.average_decay, (1 + t) / (10 + t));
  for (size_t i = 0; i < average_.size(); ++i) average_[i].lerp_(parameters_[i], 1 - decay);
}

void AdamW::swap_average() {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < average_.size(); ++i) {
    const auto kept = parameters_[i].clone();
    parameters_[i].copy_(average_[i]);
    average_[i].copy_(kept);
  }
}

void AdamW::zero_grad() {
  for (const auto& p : parameters_) p.mutable_grad() = at::Tensor();
}

void AdamW::save(const std::filesystem::path& path) const {
  SafetensorsWriter writer;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    writer.add(fmt::format("exp_avg.{}", i), mean_[i]);
    writer.add(fmt::format("exp_avg_sq.{}", i), mean_square_[i]);
    if (!average_.empty()) writer.add(fmt::format("average.{}", i), average_[i]);
  }
  writer.write(path, {{"steps", std::to_string(steps_)}});
}

void AdamW::load(const std::filesystem::path& path) {
  const auto file = SafetensorsFile::open(path);
  const auto refuse = [&](const std::string& why) {
    fail_input(fmt::format("optimizer: {}: {}", path.string(), why));
  };
  const auto read = [&](const char* name, size_t i, at::Tensor& into) {
    const auto key = fmt::format("{}.{}", name, i);
    const auto* tensor = file.find(key);
    if (tensor == nullptr) refuse(fmt::format("'{}': missing", key));
    if (tensor->type != ElementType::kF32 || tensor->shape != into.sizes().vec()) {
      refuse(fmt::format("'{}': not of the parameter's shape and type", key));
    }
    auto host = at::empty(into.sizes(), at::kFloat);
    std::memcpy(host.data_ptr(), tensor->data.data(), tensor->data.size());
    into.copy_(host);
  };
  const auto steps = file.metadata().find("steps");
  if (steps == file.metadata().end()) refuse("'steps': missing");
  const size_t kinds = average_.empty() ? 2 : 3;
  if (file.tensors().size() != kinds * parameters_.size()) refuse("made with other parameters");
  for (size_t i = 0; i < parameters_.size(); ++i) {
    read("exp_avg", i, mean_[i]);
    read("exp_avg_sq", i, mean_square_[i]);
    if (!average_.empty()) read("average", i, average_[i]);
  }
  steps_ = std::stoll(steps->second);
}

}  // namespace l2a
