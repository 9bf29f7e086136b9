#include "weights/checkpoint.h"

#include <limits>

#include <gtest/gtest.h>

#include "weights/gguf_writer.h"
#include "weights/safetensors.h"
#include "weights/testing.h"

namespace l2a {
namespace {

using testing::TemporaryFolder;
using testing::write_quickly;

using Tensors = std::map<std::string, std::vector<float>>;

void write_shard(const std::string& path, const Tensors& tensors) {
  std::vector<StoredTensor> stored;
  for (const auto& [name, values] : tensors) {
    stored.push_back({name,
                      ElementType::kF32,
                      {static_cast<int64_t>(values.size())},
                      std::as_bytes(std::span(values))});
  }
  write_safetensors(path, stored, {});
}

// A folder of two shards, as `change` leaves it.
class Folder {
 public:
  Folder() {
    write_quickly(folder_ / "config.json", R"({"model_type": "llama"})");
    write_shard(folder_ / "1.safetensors", {{"a", {1, 2}}, {"b", {3}}});
    write_shard(folder_ / "2.safetensors", {{"c", {4, 5, 6}}});
    index({{"a", "1.safetensors"}, {"b", "1.safetensors"}, {"c", "2.safetensors"}});
  }
  void index(const Json& weight_map) {
    write_quickly(*this / "model.safetensors.index.json", Json{{"weight_map", weight_map}}.dump());
  }
  std::string operator/(const std::string& name) const { return folder_ / name; }
  std::filesystem::path path() const { return folder_ / ""; }

  // The message with which it is refused, less the part that names the folder.
  std::string refusal() const {
    try {
      Checkpoint::open(path());
    } catch (const Failure& e) {
      const size_t at = e.error.message.find(path().string());
      EXPECT_NE(at, std::string::npos) << e.error.message;
      return e.error.message.substr(at + path().string().size());
    }
    return "";
  }

 private:
  TemporaryFolder folder_;
};

std::vector<float> values_of(const Checkpoint& files, const std::string& name) {
  std::vector<float> values(static_cast<size_t>(element_count(files.stored(name))));
  files.read(name, values);
  return values;
}

TEST(Checkpoint, ReadsTheTensorsOfEachShard) {
  const Folder folder;
  const Checkpoint files = Checkpoint::open(folder.path());
  EXPECT_EQ(files.names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(values_of(files, "b"), std::vector<float>{3});
  EXPECT_EQ(values_of(files, "c"), (std::vector<float>{4, 5, 6}));
  EXPECT_EQ(files.config().at("model_type"), "llama");
  EXPECT_EQ(files.gguf(), nullptr);
  EXPECT_EQ(files.files().size(), 3u);
  EXPECT_FALSE(files.has("d"));
  EXPECT_THROW(files.stored("d"), Failure);
}

TEST(Checkpoint, OpensNoFileOutsideItsFolder) {
  Folder folder;
  for (const Json& name :
       {Json("../1.safetensors"), Json("/etc/passwd"), Json(".."), Json("."), Json(""), Json(1)}) {
    folder.index({{"a", name}});
    EXPECT_EQ(folder.refusal(),
              "model.safetensors.index.json: 'weight_map': 'a': expected a file name");
  }
}

TEST(Checkpoint, SaysWhatIsWrongWithAFolder) {
  Folder folder;
  folder.index(Json::object());
  EXPECT_EQ(folder.refusal(), "model.safetensors.index.json: 'weight_map': no files");
  folder.index(3);
  EXPECT_EQ(folder.refusal(), "model.safetensors.index.json: 'weight_map': expected an object");
  folder.index({{"a", "3.safetensors"}});
  EXPECT_EQ(folder.refusal(), "3.safetensors: No such file or directory");
  write_shard(folder / "2.safetensors", {{"a", {1}}});
  folder.index({{"a", "1.safetensors"}, {"c", "2.safetensors"}});
  EXPECT_EQ(folder.refusal(), "2.safetensors: tensor 'a': given twice");
  write_quickly(folder / "config.json", "[]");
  EXPECT_EQ(folder.refusal(), "config.json: expected an object");
}

TEST(Checkpoint, ReadsRowsInHuggingFacesOrder) {
  const TemporaryFolder folder;
  const std::string path = folder / "model.gguf";
  // Rows of Q8_0 blocks, each of its own number; two heads of four rows.
  constexpr int64_t kRows = 8, kColumns = 64;
  const std::vector<PlannedTensor> plan = {
      {"token_embd.weight", ElementType::kQ8_0, {kRows, kColumns}},
      {"blk.0.attn_q.weight", ElementType::kQ8_0, {kRows, kColumns}},
      {"blk.0.attn_v.weight", ElementType::kQ8_0, {kRows, kColumns}}};
  std::vector<float> values;
  for (int64_t i = 0; i < kRows * kColumns; ++i) values.push_back(static_cast<float>(i / kColumns));
  std::map<std::string, GgufValue> metadata = {{"general.architecture", std::string("llama")},
                                               {"llama.attention.layer_norm_rms_epsilon", 1e-5}};
  for (const char* count : {"block_count", "embedding_length", "feed_forward_length",
                            "context_length", "attention.head_count"}) {
    metadata["llama." + std::string(count)] = uint64_t{2};
  }
  write_gguf(path, metadata, plan, [&](size_t) { return quantize(ElementType::kQ8_0, values); });
  const Checkpoint files = Checkpoint::open(path);
  const std::string attention = "model.layers.0.self_attn.";
  for (const auto& [name, order] :
       {std::pair(attention + "q_proj.weight", std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}),
        std::pair(attention + "v_proj.weight", std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7})}) {
    for (int64_t first = 0; first <= kRows; ++first) {
      for (int64_t last = first; last <= kRows; ++last) {
        std::vector<float> rows(static_cast<size_t>((last - first) * kColumns));
        files.read_rows(name, first, rows);
        for (size_t i = 0; i < rows.size(); ++i) {
          ASSERT_NEAR(rows[i], order[first + i / kColumns], 0.01) << name << first << "-" << last;
        }
      }
    }
  }
}

TEST(Checkpoint, RefusesAValueThatIsNotFinite) {
  const Folder folder;
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    write_shard(folder / "2.safetensors", {{"c", {1, value}}});
    const Checkpoint files = Checkpoint::open(folder.path());
    EXPECT_EQ(values_of(files, "a"), (std::vector<float>{1, 2}));
    EXPECT_THROW(values_of(files, "c"), Failure);
  }
}

}  // namespace
}  // namespace l2a
