#include "model/lora.h"

#include <cmath>
#include <filesystem>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/file.h"
#include "base/json.h"
#include "model/testing.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

using testing::random_adapter;
using testing::tiny_config;

class AdapterFiles : public ::testing::Test {
 protected:
  AdapterFiles()
      : directory_(fs::temp_directory_path() / ("l2a_lora_" + std::to_string(getpid()))) {
    saved_.save(directory_, "base-model");
  }
  ~AdapterFiles() override { fs::remove_all(directory_); }

  void edit_config(const std::function<void(Json&)>& edit) const {
    const fs::path path = directory_ / "adapter_config.json";
    Json json = parse_json(read_file(path)).value_or_throw();
    edit(json);
    write_file_atomic(path, json.dump());
  }
  std::string load_error(const TransformerConfig& config) const {
    try {
      LoraAdapter::load(directory_, config);
    } catch (const Failure& failure) {
      return failure.what();
    }
    return "loaded";
  }

  TransformerConfig config_ = tiny_config(6, 3);
  LoraAdapter saved_ = random_adapter(config_, {.rank = 4, .alpha = 6}, 1);
  fs::path directory_;
};

TEST_F(AdapterFiles, ASavedAdapterIsReadBackBitForBit) {
  const LoraAdapter read = LoraAdapter::load(directory_, config_);
  EXPECT_EQ(read.options().rank, 4);
  EXPECT_EQ(read.options().alpha, 6);
  const auto a = saved_.parameters(), b = read.parameters();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(at::equal(a[i], b[i]));
    EXPECT_TRUE(b[i].requires_grad());
  }
}

TEST_F(AdapterFiles, SavingAgainWritesTheSameBytes) {
  const std::string bytes = read_file(directory_ / "adapter_model.safetensors");
  LoraAdapter::load(directory_, config_).save(directory_, "base-model");
  EXPECT_EQ(read_file(directory_ / "adapter_model.safetensors"), bytes);
}

TEST_F(AdapterFiles, SaysWhatDoesNotFit) {
  const std::string config_file = (directory_ / "adapter_config.json").string();
  const std::string weights = (directory_ / "adapter_model.safetensors").string();
  const struct {
    const char* key;
    Json value;
    std::string message;
  } cases[] = {
      {"peft_type", "LOHA", "adapter: " + config_file + ": peft_type 'LOHA': only LORA is read"},
      {"use_dora", true, "adapter: " + config_file + ": use_dora: only plain LoRA is read"},
      {"use_rslora", true, "adapter: " + config_file + ": use_rslora: only plain LoRA is read"},
      {"alpha_pattern",
       {{"q_proj", 3}},
       "adapter: " + config_file + ": alpha_pattern: only one rank and alpha is read"},
      {"r", 0, "adapter: " + config_file + ": r: expected a whole number from 1 to 512"},
      {"r", "4", "adapter: " + config_file + ": 'r': expected a number, got a string"},
      {"r", 2.5, "adapter: " + config_file + ": r: expected a whole number from 1 to 512"},
      {"lora_alpha", -1, "adapter: " + config_file + ": lora_alpha: expected a positive number"},
      {"r", 8,
       "adapter: " + weights +
           ": base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight: expected [8, 48]: "
           "the adapter is not one of this model"},
  };
  for (const auto& c : cases) {
    saved_.save(directory_, "base-model");
    edit_config([&](Json& json) { json[c.key] = c.value; });
    EXPECT_EQ(load_error(config_), c.message);
  }
}

TEST_F(AdapterFiles, AnAdapterOfADeeperModelIsRefused) {
  TransformerConfig shallow = config_;
  shallow.layers = 1;
  EXPECT_EQ(load_error(shallow), "adapter: " + (directory_ / "adapter_model.safetensors").string() +
                                     ": holds 28 tensors, this model's adapter has 14");
  TransformerConfig deep = config_;
  deep.layers = 3;
  EXPECT_THAT(load_error(deep),
              ::testing::HasSubstr("layers.2.self_attn.q_proj.lora_A.weight: missing"));
}

TEST_F(AdapterFiles, NumbersThatAreNotFiniteAreRefused) {
  {
    const torch::NoGradGuard no_grad;
    saved_.pairs()[3].b_or[2][1] = NAN;
  }
  saved_.save(directory_, "base-model");
  EXPECT_THAT(load_error(config_), ::testing::HasSubstr("o_proj.lora_B.weight: not finite"));
}

TEST(LoraAdapter, StartsAsPeftDoes) {
  const LoraAdapter adapter(tiny_config(6, 3), {.rank = 64, .alpha = 32}, 1);
  for (const LoraPair& pair : adapter.pairs()) {
    EXPECT_EQ(pair.b_or.abs().max().item<float>(), 0) << pair.module;
    // Uniform in +-1/sqrt(in): its deviation is the bound over sqrt 3.
    const double bound = 1 / std::sqrt(static_cast<double>(pair.a_ri.size(1)));
    EXPECT_LE(pair.a_ri.abs().max().item<double>(), bound);
    EXPECT_NEAR(pair.a_ri.std().item<double>(), bound / std::sqrt(3.0), 0.05 * bound);
    EXPECT_NEAR(pair.a_ri.mean().item<double>(), 0, 0.05 * bound);
  }
}

TEST(LoraAdapter, IsDrawnFromItsSeedAlone) {
  const TransformerConfig config = tiny_config(6, 3);
  const LoraAdapter a(config, {}, 1), b(config, {}, 1), c(config, {}, 2);
  EXPECT_TRUE(at::equal(a.pairs()[5].a_ri, b.pairs()[5].a_ri));
  EXPECT_FALSE(at::equal(a.pairs()[5].a_ri, c.pairs()[5].a_ri));
  EXPECT_FALSE(at::equal(a.pairs()[4].a_ri, a.pairs()[5].a_ri));
}

TEST(LoraAdapter, ACloneSharesNothingAndCopyFromCopiesValues) {
  const TransformerConfig config = tiny_config(6, 3);
  LoraAdapter a = random_adapter(config, {.rank = 4, .alpha = 8}, 1);
  const auto b = a.clone();
  const size_t some = 5;  // the third pair's B
  EXPECT_TRUE(at::equal(a.parameters()[some], b->parameters()[some]));
  a.copy_from(LoraAdapter(config, {.rank = 4, .alpha = 8}, 2));
  EXPECT_EQ(a.parameters()[some].abs().max().item<float>(), 0);
  EXPECT_GT(b->parameters()[some].abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace l2a
