// Small random models of every architecture, live against transformers and peft
// (tests/reference/tiny_models.py).

#include <filesystem>
#include <sstream>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "model/decode_batch.h"
#include "model/full_weights.h"
#include "model/testing.h"
#include "model/transformer.h"
#include "weights/checkpoint.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

using Rows = std::vector<std::vector<int32_t>>;

// The models with adapters, and what the reference makes of them; written once.
class Architectures : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    if (!testing::has_python()) return;
    folder_ = fs::temp_directory_path() / ("l2a_architectures_" + std::to_string(getpid()));
    fs::create_directories(folder_);
    reference("write " + folder_.string());
    Rng rng(3);
    // Long enough to cross every window many times, and past the length of llama3's scaling.
    while (rows_.size() < 4) {
      for (auto& row : testing::random_rows(rng, 4, 90, 101)) {
        if (row.size() > 30 && rows_.size() < 4) rows_.push_back(row);
      }
    }
    write_file_atomic(folder_ / "rows.json", Json(rows_).dump());
    uint64_t seed = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (!entry.is_directory()) continue;
      const auto config = load(entry.path()).config();
      testing::random_adapter(config, {.rank = 3, .alpha = 5}, ++seed)
          .save(entry.path() / "adapter", "tiny");
    }
    reference("run " + folder_.string() + " " + (folder_ / "rows.json").string());
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  void SetUp() override {
    if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  }

  static void reference(const std::string& arguments) {
    testing::run_reference("tiny_models.py", arguments, folder_ / "log");
  }
  static Transformer load(const fs::path& path, bool keep_quantized = false) {
    ModelOptions options = testing::float32_options();
    options.keep_quantized = keep_quantized;
    return Transformer::load(Checkpoint::open(path), options);
  }
  void SetUpModel() {
    path_ = folder_ / GetParam();
    expected_ =
        std::make_unique<SafetensorsFile>(SafetensorsFile::open(path_ / "expected.safetensors"));
    model_ = std::make_unique<Transformer>(load(path_));
    adapter_ =
        std::make_unique<LoraAdapter>(LoraAdapter::load(path_ / "adapter", model_->config()));
  }
  at::Tensor expected(const std::string& name) const {
    return testing::tensor_of(*expected_, name);
  }

  static inline fs::path folder_;
  static inline Rows rows_;
  fs::path path_;
  std::unique_ptr<SafetensorsFile> expected_;
  std::unique_ptr<Transformer> model_;
  std::unique_ptr<LoraAdapter> adapter_;
};

// Mean over all rows' tokens of -log p(next token).
at::Tensor mean_nll(const Transformer& model, const TrainedWeights& trained, const Rows& rows) {
  const TokenTree tree = build_token_tree(rows);
  const auto hidden = model.hidden(tree, &trained);
  auto nll = at::zeros({});
  size_t count = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto places = row_tokens(tree, r, 0, tree.row_length[r] - 1);
    const std::vector<int64_t> targets(rows[r].begin() + 1, rows[r].end());
    const auto row = testing::rows_at(hidden, places);
    nll = nll - model.head(row, at::tensor(targets), 1, &trained).log_prob_n.sum();
    count += targets.size();
  }
  return nll / static_cast<double>(count);
}

TEST_P(Architectures, HaveTheLogitsOfTransformersAndPeft) {
  SetUpModel();
  const torch::NoGradGuard no_grad;
  const TokenTree tree = build_token_tree(rows_);
  const auto hidden = model_->hidden(tree, adapter_.get());
  for (size_t r = 0; r < rows_.size(); ++r) {
    const auto places = row_tokens(tree, r, 0, tree.row_length[r]);
    const auto row = testing::rows_at(hidden, places);
    const auto want = expected("logits." + std::to_string(r));
    const double norm = want.norm().item<double>();
    EXPECT_LE((model_->logits(row.detach()).cpu() - want).norm().item<double>(),
              testing::kTolerance * norm)
        << "row " << r;
    const std::vector<int64_t> targets(rows_[r].begin() + 1, rows_[r].end());
    const auto out = model_->head(row.slice(0, 0, row.size(0) - 1), at::tensor(targets));
    testing::expect_head(out, want.slice(0, 0, want.size(0) - 1), at::tensor(targets),
                         testing::kTolerance * norm);
  }
}

TEST_P(Architectures, HaveTheGradientsOfTransformersAndPeft) {
  SetUpModel();
  const auto parameters = adapter_->named_parameters();
  const auto grads =
      torch::autograd::grad({mean_nll(*model_, *adapter_, rows_)}, adapter_->parameters());
  for (size_t i = 0; i < grads.size(); ++i) {
    const auto want = expected("base_model.model." + parameters[i].name + ".weight");
    EXPECT_LE((grads[i].cpu() - want).norm().item<double>(),
              testing::kGradientTolerance * want.norm().item<double>())
        << parameters[i].name;
  }
}

// A parameter is one tensor of theirs, or several, one below the other.
TEST_P(Architectures, HaveTransformersGradientsOfEveryWeight) {
  SetUpModel();
  const FullWeights weights(*model_);
  const auto parameters = weights.named_parameters();
  const auto grads =
      torch::autograd::grad({mean_nll(*model_, weights, rows_)}, weights.parameters());
  size_t found = 0;
  for (size_t i = 0; i < grads.size(); ++i) {
    std::vector<at::Tensor> wanted;
    std::istringstream names(parameters[i].name);
    for (std::string name; std::getline(names, name, '+'); ++found) {
      wanted.push_back(expected("gradient." + name));
    }
    const auto want = at::cat(wanted);
    EXPECT_LE((grads[i].cpu() - want).norm().item<double>(),
              testing::kGradientTolerance * want.norm().item<double>())
        << parameters[i].name;
  }
  size_t theirs = 0;
  for (const auto& tensor : expected_->tensors()) theirs += tensor.name.starts_with("gradient.");
  EXPECT_EQ(found, theirs);
}

TEST_P(Architectures, ContinueGreedilyAsTransformersDoes) {
  SetUpModel();
  const auto ids = testing::continue_greedily(*model_, rows_);
  for (size_t r = 0; r < rows_.size(); ++r) {
    EXPECT_TRUE(at::equal(ids[static_cast<int64_t>(r)], expected("greedy." + std::to_string(r))))
        << "row " << r;
  }
}

TEST_P(Architectures, AreTheSameInAGgufFile) {
  const fs::path file = folder_ / (std::string(GetParam()) + ".gguf");
  if (!fs::exists(file)) GTEST_SKIP() << "GGUF cannot say all of this model";
  const torch::NoGradGuard no_grad;
  const TokenTree tree = build_token_tree(rows_);
  const Transformer folder = load(folder_ / GetParam()), gguf = load(file);
  const auto want = folder.logits(folder.hidden(tree, nullptr));
  EXPECT_LE((gguf.logits(gguf.hidden(tree, nullptr)) - want).norm().item<double>(),
            testing::kTolerance * want.norm().item<double>());
}

// Kept in the file's element types and widened for each pass: the same bits everywhere.
TEST_P(Architectures, AreTheSameWhenKeptQuantized) {
  SetUpModel();
  const Transformer kept = load(path_, true);
  const TokenTree tree = build_token_tree(rows_);
  const auto gradients = [&](const Transformer& model) {
    const auto hidden = model.hidden(tree, adapter_.get());
    auto grads = torch::autograd::grad({hidden.square().sum()}, adapter_->parameters());
    grads.push_back(hidden.detach());
    return grads;
  };
  const auto want = gradients(*model_), got = gradients(kept);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_TRUE(at::equal(got[i], want[i])) << i;

  const auto next = [&](const Transformer& model) {
    DecodeBatch batch(model, adapter_.get(), 2);
    batch.add(std::make_shared<const TreeCache>(model.prefill(tree, adapter_.get())), 0);
    return batch.step(std::vector<int32_t>{7});
  };
  EXPECT_TRUE(at::equal(next(kept), next(*model_)));
}

INSTANTIATE_TEST_SUITE_P(Tiny, Architectures,
                         ::testing::Values("llama", "llama-odd", "llama3-long", "llama-linear",
                                           "llama-yarn", "mistral", "mistral-window", "qwen2",
                                           "qwen2-yarn", "qwen2-window", "qwen3", "qwen3-gqa",
                                           "gemma3", "gemma3-cap"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace l2a
