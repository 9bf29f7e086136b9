#include "model/config_reader.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace l2a {
namespace {

Json llama() {
  return {{"model_type", "llama"},    {"num_hidden_layers", 2},         {"hidden_size", 48},
          {"num_attention_heads", 6}, {"num_key_value_heads", 2},       {"intermediate_size", 80},
          {"vocab_size", 101},        {"max_position_embeddings", 128}, {"rms_norm_eps", 1e-6}};
}

Json with(Json json, const Json& changes) {
  json.update(changes);
  return json;
}

TransformerConfig read(const Json& changes) { return config_from_json(with(llama(), changes), ""); }

std::string refusal(const Json& changes) {
  try {
    read(changes);
  } catch (const Failure& e) {
    return e.error.message;
  }
  return "";
}

TEST(ConfigReader, ReadsAPlainLlama) {
  const TransformerConfig c = read(Json::object());
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_EQ(c.rotary.theta, 10000);
  EXPECT_FALSE(c.tied_head);
  EXPECT_EQ(c.window_of(0), 0);
  EXPECT_DOUBLE_EQ(c.attention_scale(), 1 / std::sqrt(8.0));
}

TEST(ConfigReader, ReadsBothFormsOfTheRotarySettings) {
  const Json scaling = {{"rope_type", "linear"}, {"factor", 4}};
  for (const Json& changes : {Json{{"rope_theta", 5e5}, {"rope_scaling", scaling}},
                              Json{{"rope_parameters", with(scaling, {{"rope_theta", 5e5}})}}}) {
    const RotaryConfig rotary = read(changes).rotary;
    EXPECT_EQ(rotary.theta, 5e5);
    EXPECT_EQ(rotary.scaling, RotaryScaling::kLinear);
    EXPECT_EQ(rotary.factor, 4);
  }
  EXPECT_EQ(read({{"rope_theta", 7}, {"rope_scaling", nullptr}}).rotary.theta, 7);
}

TEST(ConfigReader, ReadsYarnWithAndWithoutItsOptions) {
  const auto yarn = [](const Json& more) {
    return read({{"rope_scaling", with({{"rope_type", "yarn"}}, more)}}).rotary;
  };
  const RotaryConfig least = yarn({{"original_max_position_embeddings", 32}});
  EXPECT_EQ(least.factor, 4);  // of 128 positions
  EXPECT_NEAR(least.attention_factor, 1.1386294, 1e-6);
  EXPECT_EQ(least.fast_turns, 32);
  EXPECT_TRUE(least.whole_places);
  const Json all = {{"factor", 8},          {"original_max_position_embeddings", 64},
                    {"beta_fast", 16},      {"beta_slow", 2},
                    {"truncate", false},    {"mscale", 2},
                    {"mscale_all_dim", 0.5}};
  const RotaryConfig most = yarn(all);
  EXPECT_EQ(most.original_positions, 64);
  EXPECT_EQ(most.slow_turns, 2);
  EXPECT_FALSE(most.whole_places);
  EXPECT_NEAR(most.attention_factor, 1.4158883 / 1.1039721, 1e-6);
  EXPECT_EQ(yarn(with(all, {{"attention_factor", 0.75}})).attention_factor, 0.75);
}

TEST(ConfigReader, KnowsWhichLayersHaveAWindow) {
  const auto windows = [](const Json& changes) {
    const TransformerConfig c = read(with({{"num_hidden_layers", 3}}, changes));
    return std::vector<int64_t>{c.window_of(0), c.window_of(1), c.window_of(2)};
  };
  using Windows = std::vector<int64_t>;
  const Json mistral = {{"model_type", "mistral"}}, qwen = {{"model_type", "qwen2"}};
  EXPECT_EQ(windows(with(mistral, {{"sliding_window", 9}})), (Windows{9, 9, 9}));
  EXPECT_EQ(windows(with(mistral, {{"sliding_window", nullptr}})), (Windows{0, 0, 0}));
  EXPECT_EQ(windows(mistral), (Windows{4096, 4096, 4096}));  // the default of transformers
  const Json sliding = with(qwen, {{"sliding_window", 9}, {"max_window_layers", 1}});
  EXPECT_EQ(windows(sliding), (Windows{0, 0, 0}));
  EXPECT_EQ(windows(with(sliding, {{"use_sliding_window", true}})), (Windows{0, 9, 9}));
  const Json types = {"sliding_attention", "full_attention", "sliding_attention"};
  EXPECT_EQ(windows(with(sliding, {{"use_sliding_window", true}, {"layer_types", types}})),
            (Windows{9, 0, 9}));
  const Json gemma = {{"model_type", "gemma3_text"}, {"sliding_window", 9}};
  EXPECT_EQ(windows(with(gemma, {{"sliding_window_pattern", 2}})), (Windows{9, 0, 9}));
}

TEST(ConfigReader, SaysWhatItCannotRead) {
  EXPECT_EQ(refusal({{"model_type", "bert"}}),
            "'model_type': 'bert' where one of llama, mistral, qwen2, qwen3, gemma3_text is "
            "supported");
  EXPECT_EQ(refusal({{"hidden_size", nullptr}}), "'hidden_size': missing");
  EXPECT_EQ(refusal({{"hidden_size", int64_t{1} << 60}}),
            "'hidden_size': expected a whole number from 1 to 16777216, got 1152921504606846976");
  EXPECT_EQ(refusal({{"hidden_size", 49}}), "'hidden_size': 49 is no multiple of the 6 heads");
  EXPECT_EQ(refusal({{"num_key_value_heads", 4}}),
            "'num_key_value_heads': 4 does not divide the 6 heads");
  EXPECT_EQ(refusal({{"head_dim", 7}}), "'head_dim': expected an even number");
  EXPECT_EQ(refusal({{"rms_norm_eps", 0}}), "'rms_norm_eps': expected a positive number, got 0");
  EXPECT_EQ(refusal({{"attention_bias", true}}), "'attention_bias': true where false is supported");
  EXPECT_EQ(refusal({{"hidden_act", "gelu"}}), "'hidden_act': 'gelu' where silu is supported");
  EXPECT_EQ(
      refusal({{"rope_scaling", {{"type", "longrope"}}}}),
      "'rope_scaling': 'rope_type': 'longrope' where default, linear, llama3 or yarn is supported");
  EXPECT_EQ(refusal({{"rope_scaling", {{"type", "linear"}, {"factor", -1}}}}),
            "'rope_scaling': 'factor': expected a positive number, got -1");
  EXPECT_EQ(refusal({{"quantization_config", {{"bits", 4}}}}),
            "'quantization_config': an already quantised model where an unquantised one or GGUF is "
            "supported");
  EXPECT_EQ(refusal({{"model_type", "mistral"}, {"sliding_window", 9}, {"layer_types", {"x"}}}),
            "'layer_types': expected one for each of the 2 layers");
}

}  // namespace
}  // namespace l2a
