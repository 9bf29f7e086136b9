#include "weights/safetensors.h"

#include <cstdlib>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weights/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using testing::raw;
using ::testing::StartsWith;
using testing::TemporaryFolder;

std::string file_bytes(const std::string& header, const std::string& data) {
  return raw<uint64_t>(header.size()) + header + data;
}

constexpr char kHeader[] =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
    R"("a":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},"e":{"dtype":"I64","shape":[0,3],"data_offsets":[10,10]}})";

std::vector<std::byte> some_bytes(size_t count) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 37);
  return bytes;
}

TEST(SafetensorsFile, ReadsAFileMadeByHand) {
  const TemporaryFolder folder;
  testing::write_quickly(folder / "file", file_bytes(std::string(kHeader) + "  ", "12345678ab"));
  const auto file = SafetensorsFile::open(folder / "file");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_EQ(file.find("b")->shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(file.find("a")->shape, (std::vector<int64_t>{}));
  EXPECT_EQ(std::memcmp(file.find("a")->data.data(), "ab", 2), 0);
  EXPECT_TRUE(file.find("e")->data.empty());
  EXPECT_EQ(file.find("absent"), nullptr);
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
}

TEST(SafetensorsFile, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder;
  const auto data = some_bytes(64);
  const std::span<const std::byte> bytes = data;
  const std::vector<StoredTensor> tensors = {
      {"w.2", ElementType::kI64, {2, 2}, bytes.first(32)},
      {"w.1", ElementType::kF32, {3}, bytes.subspan(32, 12)},
      {"\u00FC", ElementType::kF16, {1, 4}, bytes.subspan(44, 8)},
      {"none", ElementType::kBf16, {0}, {}}};
  for (const std::map<std::string, std::string>& metadata :
       {std::map<std::string, std::string>{}, {{"format", "pt"}, {"r", "16"}}}) {
    write_safetensors(folder / "file", tensors, metadata);
    const auto file = SafetensorsFile::open(folder / "file");
    EXPECT_EQ(file.metadata(), metadata);
    ASSERT_EQ(file.tensors().size(), tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto &got = file.tensors()[i], &want = tensors[i];
      EXPECT_EQ(got.name, want.name);
      EXPECT_EQ(got.type, want.type);
      EXPECT_EQ(got.shape, want.shape);
      EXPECT_TRUE(std::ranges::equal(got.data, want.data));
    }
  }
}

// The package reads our file; we read what it makes of it.
TEST(SafetensorsFile, AgreesWithTheSafetensorsPackage) {
  if (!std::filesystem::exists(L2A_PYTHON)) {
    GTEST_SKIP() << "no private Python environment (tools/dev)";
  }
  const TemporaryFolder folder;
  const auto data = some_bytes(24);
  const std::span<const std::byte> bytes = data;
  const std::vector<StoredTensor> tensors = {{"f32", ElementType::kF32, {1, 2}, bytes.first(8)},
                                             {"f16", ElementType::kF16, {4}, bytes.subspan(8, 8)},
                                             {"i64", ElementType::kI64, {}, bytes.subspan(16, 8)}};
  write_safetensors(folder / "ours", tensors, {{"format", "pt"}});
  testing::run_reference("reread " + (folder / "ours") + " " + (folder / "theirs"));
  const auto theirs = SafetensorsFile::open(folder / "theirs");
  EXPECT_EQ(theirs.metadata().at("format"), "pt");
  ASSERT_EQ(theirs.tensors().size(), tensors.size());
  for (const auto& want : tensors) {
    const auto* got = theirs.find(want.name);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->type, want.type);
    EXPECT_EQ(got->shape, want.shape);
    EXPECT_TRUE(std::ranges::equal(got->data, want.data));
  }
}

TEST(SafetensorsFile, RefusesAFileCutAtAnyByte) {
  const TemporaryFolder folder;
  const std::string whole = file_bytes(kHeader, "12345678ab");
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(testing::refusal<SafetensorsFile>(folder, whole.substr(0, length)), "") << length;
  }
  EXPECT_EQ(testing::refusal<SafetensorsFile>(folder, whole), "");
}

TEST(SafetensorsFile, StandsAnyByteChanged) {
  const TemporaryFolder folder;
  const std::string whole = file_bytes(kHeader, "12345678ab");
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char byte : {'\x00', '"', '9', '-', '}', '\xff'}) {
      std::string changed = whole;
      changed[at] = byte;
      testing::refusal<SafetensorsFile>(folder, changed);
    }
  }
}

TEST(SafetensorsFile, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& bytes) {
    return testing::refusal<SafetensorsFile>(folder, bytes);
  };
  EXPECT_EQ(refusal("1234567"), "header: 7 bytes are too few for its length");
  EXPECT_EQ(refusal(raw<uint64_t>(uint64_t{1} << 60) + "{}"),
            "header: 1152921504606846976 bytes where at most 100000000 are allowed");
  EXPECT_EQ(refusal(raw<uint64_t>(3) + "{}"),
            "header: 3 bytes do not fit into the file's 10 (cut short?)");
  EXPECT_THAT(refusal(file_bytes("{", "")), StartsWith("header: byte "));
  EXPECT_THAT(refusal(file_bytes("{\"\xff\":1}", "")), HasSubstr("UTF-8"));
  EXPECT_EQ(refusal(file_bytes("[]", "")), "header: expected an object");

  const struct {
    const char *entries, *message;
  } cases[] = {
      {R"("__metadata__":1)", "'__metadata__': expected an object"},
      {R"("__metadata__":{"k":1})", "'__metadata__': 'k' is no text"},
      {R"("t":1)", "tensor 't': expected an object"},
      {R"("t":{})", "tensor 't': 'dtype': missing"},
      {R"("t":{"dtype":"Q9"})", "tensor 't': dtype 'Q9' where F32, F16, BF16 and I64 are known"},
      {R"("t":{"dtype":"F32"})", "tensor 't': 'shape': expected an array"},
      {R"("t":{"dtype":"F32","shape":[-1]})", "tensor 't': 'shape': expected whole numbers"},
      {R"("t":{"dtype":"F32","shape":[1.5]})", "tensor 't': 'shape': expected whole numbers"},
      {R"("t":{"dtype":"F32","shape":[18446744073709551615]})",
       "tensor 't': 'shape': expected whole numbers"},
      {R"("t":{"dtype":"F32","shape":[1152921504606846976,16]})",
       "tensor 't': more bytes than can be counted"},
      {R"("t":{"dtype":"F32","shape":[1]})",
       "tensor 't': 'data_offsets': expected two whole numbers"},
      {R"("t":{"dtype":"F32","shape":[1],"data_offsets":[0]})",
       "tensor 't': 'data_offsets': expected two whole numbers"},
      {R"("t":{"dtype":"F32","shape":[1],"data_offsets":[0,"4"]})",
       "tensor 't': 'data_offsets': expected two whole numbers"},
      {R"("t":{"dtype":"F32","shape":[1],"data_offsets":[4,0]})",
       "tensor 't': 'data_offsets': 4 to 0 is no part of the 8 bytes of data (cut short?)"},
      {R"("t":{"dtype":"F32","shape":[3],"data_offsets":[0,12]})",
       "tensor 't': 'data_offsets': 0 to 12 is no part of the 8 bytes of data (cut short?)"},
      {R"("t":{"dtype":"F32","shape":[1],"data_offsets":[0,8]})",
       "tensor 't': 'data_offsets': 8 bytes where the shape needs 4"},
      {R"("t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})",
       "4 bytes of no tensor at the end"},
      {R"("t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]})",
       "tensor 't': bytes of no tensor before its data"},
      {R"("t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("u":{"dtype":"F32","shape":[1],"data_offsets":[4,8]})",
       "tensor 'u': its data overlaps another tensor's"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(refusal(file_bytes("{" + std::string(c.entries) + "}", "12345678")), c.message);
  }
  EXPECT_THAT(refusal(file_bytes(R"({"t":{"dtype":"F32"},"t":{}})", "")),
              HasSubstr("repeated key 't'"));
}

TEST(WriteSafetensors, LeavesNoFileWhereItCannotWrite) {
  const auto data = some_bytes(4);
  const std::vector<StoredTensor> tensors = {{"t", ElementType::kF32, {1}, data}};
  EXPECT_THROW(write_safetensors("/nonexistent/folder/file", tensors, {}), Failure);
}

}  // namespace
}  // namespace l2a
