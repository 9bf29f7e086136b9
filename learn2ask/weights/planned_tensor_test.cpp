#include "weights/planned_tensor.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "weights/gguf_writer.h"
#include "weights/head_pairs.h"
#include "weights/safetensors.h"
#include "weights/testing.h"

namespace l2a {
namespace {

using testing::run_reference;
using testing::TemporaryFolder;

std::vector<std::byte> bytes_of(std::span<const float> values) {
  return quantize(ElementType::kF32, values);
}

// Values of every size that the types round differently: whole ranges of bit patterns, blocks of
// zeros, ties.
std::vector<float> trying_values() {
  Rng rng = Rng::stream(5, "quantize");
  std::vector<float> values;
  for (int i = 0; i < 1 << 16; ++i) {
    const auto exponent = static_cast<uint32_t>(90 + rng.below(52));  // 2^-37 .. 2^14
    const auto mantissa = static_cast<uint32_t>(rng.below(1 << 23));
    const auto sign = static_cast<uint32_t>(rng.below(2)) << 31;
    values.push_back(std::bit_cast<float>(sign | exponent << 23 | mantissa));
  }
  for (int half = 0; half < 1 << 15; ++half) {  // half-way between two halves
    const float tie = std::ldexp(static_cast<float>(2 * (half % 2048) + 1), half / 2048 - 25);
    values.push_back(half % 2 == 0 ? tie : -tie);
  }
  values.insert(values.end(), 64, 0.0f);
  for (int i = 0; i < 1 << 12; ++i) values.push_back(static_cast<float>(rng.uniform() - 0.5));
  return values;
}

TEST(Quantize, GivesTheBytesOfTheGgufPackage) {
  if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  const TemporaryFolder folder;
  const std::vector<float> values = trying_values();
  const auto raw = bytes_of(values);
  const std::vector<int64_t> shape = {static_cast<int64_t>(values.size()) / 32, 32};
  const std::vector<StoredTensor> stored = {{"x", ElementType::kF32, shape, raw}};
  write_safetensors(folder / "x.safetensors", stored, {});
  run_reference("quantize " + (folder / "x.safetensors") + " " + (folder / "x.gguf"));
  const auto file = GgufFile::open(folder / "x.gguf");
  ASSERT_EQ(file.tensors().size(), 4u);
  for (const StoredTensor& expected : file.tensors()) {
    const auto ours = quantize(expected.type, values);
    ASSERT_EQ(ours.size(), expected.data.size()) << expected.name;
    for (size_t i = 0; i < ours.size(); ++i) {
      ASSERT_EQ(ours[i], expected.data[i]) << expected.name << " byte " << i;
    }
  }
}

TEST(Quantize, RefusesWhatAHalfCannotHold) {
  EXPECT_NO_THROW(quantize(ElementType::kF16, std::vector{65519.0f, -65519.0f}));
  for (const float value : {65520.0f, -1e9f, INFINITY, NAN}) {
    EXPECT_THROW(quantize(ElementType::kF16, std::vector{value}), Failure) << value;
  }
}

TEST(HeadPairs, HalvesBecomeNeighbours) {
  // Two heads of four rows of one: (0,2), (1,3).
  std::vector<float> values = {0, 1, 2, 3, 4, 5, 6, 7};
  neighbours_from_halves(values, 2, 8);
  EXPECT_EQ(values, (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
}

const std::map<std::string, GgufValue> kMetadata = {
    {"a.count", uint64_t{7}},
    {"a.huge", uint64_t{1} << 40},
    {"a.sign", int64_t{-7}},
    {"a.number", 0.5},
    {"a.flag", true},
    {"a.text", std::string("Gr\u00fc\u00dfe")},
    {"a.texts", std::vector<std::string>{"a", "", "\u4e2d"}},
    {"a.types", std::vector<int64_t>{1, -3}},
    {"a.scores", std::vector<double>{0.25, -1}},
    {"a.none", std::vector<std::string>{}},
    {"general.architecture", std::string("llama")}};

TEST(WriteGguf, IsReadBackByUsAndByTheGgufPackage) {
  const TemporaryFolder folder;
  const std::vector<float> values(3 * 32, 0.5f);
  const std::vector<PlannedTensor> plan = {{"first", ElementType::kQ8_0, {3, 32}},
                                           {"second", ElementType::kF32, {5}},
                                           {"third", ElementType::kF16, {2, 3}}};
  const auto bytes = [&](size_t i) {
    const size_t counts[] = {96, 5, 6};
    return quantize(plan[i].type, std::span(values).first(counts[i]));
  };
  write_gguf(folder / "made.gguf", kMetadata, plan, bytes);
  const auto file = GgufFile::open(folder / "made.gguf");
  EXPECT_EQ(file.metadata(), kMetadata);
  ASSERT_EQ(file.tensors().size(), plan.size());
  for (size_t i = 0; i < plan.size(); ++i) {
    EXPECT_EQ(file.tensors()[i].name, plan[i].name);
    EXPECT_EQ(file.tensors()[i].shape, plan[i].shape);
    const auto expected = bytes(i);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), file.tensors()[i].data.begin()));
  }
  if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  run_reference("metadata " + (folder / "made.gguf") + " > " + (folder / "lines"));
  std::stringstream lines;
  lines << std::ifstream(folder / "lines").rdbuf();
  for (const char* line :
       {"a.count UINT32 7\n", "a.huge UINT64 1099511627776\n", "a.sign INT32 -7\n",
        "a.number FLOAT32 0.5\n", "a.flag BOOL true\n", "a.text STRING \"Gr\\u00fc\\u00dfe\"\n",
        "a.texts ARRAY/STRING [\"a\", \"\", \"\\u4e2d\"]\n", "a.types ARRAY/INT32 [1, -3]\n",
        "a.scores ARRAY/FLOAT32 [0.25, -1.0]\n"}) {
    EXPECT_NE(lines.str().find(line), std::string::npos) << line << lines.str();
  }
}

TEST(WriteGguf, LeavesNothingWhenATensorCannotBeMade) {
  const TemporaryFolder folder;
  const std::vector<PlannedTensor> plan = {{"x", ElementType::kF32, {1}}};
  EXPECT_THROW(write_gguf(folder / "x.gguf", {}, plan,
                          [](size_t) -> std::vector<std::byte> { fail_input("no"); }),
               Failure);
  EXPECT_TRUE(std::filesystem::is_empty(folder / ""));
}

}  // namespace
}  // namespace l2a
