#include "weights/gguf_writer.h"

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <variant>

#include "base/error.h"
#include "base/file.h"
#include "weights/gguf_value_types.h"

namespace l2a {
namespace {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string raw_text(const std::string& text) { return raw<uint64_t>(text.size()) + text; }

template <class T>
bool all_fit(std::span<const T> values) {
  for (const T value : values) {
    using Narrow = std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>;
    if (value > std::numeric_limits<Narrow>::max()) return false;
    if (std::is_signed_v<T> && value < static_cast<T>(std::numeric_limits<Narrow>::min())) {
      return false;
    }
  }
  return true;
}

// The type of some values, and their bytes.
struct Encoded {
  GgufValueType type;
  std::string bytes;
};

Encoded encode(std::span<const uint64_t> values) {
  const bool narrow = all_fit(values);
  Encoded result{narrow ? kUint32 : kUint64, ""};
  for (const uint64_t v : values) result.bytes += narrow ? raw(static_cast<uint32_t>(v)) : raw(v);
  return result;
}
Encoded encode(std::span<const int64_t> values) {
  const bool narrow = all_fit(values);
  Encoded result{narrow ? kInt32 : kInt64, ""};
  for (const int64_t v : values) result.bytes += narrow ? raw(static_cast<int32_t>(v)) : raw(v);
  return result;
}
Encoded encode(std::span<const double> values) {
  Encoded result{kFloat32, ""};
  for (const double value : values) result.bytes += raw(static_cast<float>(value));
  return result;
}
Encoded encode(const std::vector<bool>& values) {
  Encoded result{kBool, ""};
  for (const bool value : values) result.bytes += raw(static_cast<uint8_t>(value));
  return result;
}
Encoded encode(std::span<const std::string> values) {
  Encoded result{kString, ""};
  for (const std::string& value : values) result.bytes += raw_text(value);
  return result;
}

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

std::string raw_value(const GgufValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (IsVector<T>::value) {
          const Encoded encoded = encode(v);
          return raw<uint32_t>(kArray) + raw<uint32_t>(encoded.type) + raw<uint64_t>(v.size()) +
                 encoded.bytes;
        } else if constexpr (std::is_same_v<T, bool>) {
          return raw<uint32_t>(kBool) + raw(static_cast<uint8_t>(v));
        } else {
          const Encoded encoded = encode(std::span<const T>(&v, 1));
          return raw<uint32_t>(encoded.type) + encoded.bytes;
        }
      },
      value);
}

uint64_t padding(uint64_t size) { return (kAlignment - size % kAlignment) % kAlignment; }

}  // namespace

void write_gguf(const std::filesystem::path& path, const std::map<std::string, GgufValue>& metadata,
                std::span<const PlannedTensor> tensors, const TensorBytes& bytes) {
  std::string header =
      "GGUF" + raw(kVersion) + raw<uint64_t>(tensors.size()) + raw<uint64_t>(metadata.size());
  for (const auto& [key, value] : metadata) header += raw_text(key) + raw_value(value);
  uint64_t offset = 0;
  for (const PlannedTensor& tensor : tensors) {
    header += raw_text(tensor.name) + raw(static_cast<uint32_t>(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i > 0; --i) {  // innermost first
      header += raw(static_cast<uint64_t>(tensor.shape[i - 1]));
    }
    header += raw(static_cast<uint32_t>(tensor.type)) + raw(offset);
    const uint64_t size = planned_bytes(tensor);
    offset += size + padding(size);
  }
  header.append(padding(header.size()), '\0');

  AtomicFile file(path);
  file.write(header);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::vector<std::byte> data = bytes(i);
    check(data.size() == planned_bytes(tensors[i]),
          "write_gguf: bytes of another size than planned");
    file.write({reinterpret_cast<const char*>(data.data()), data.size()});
    file.write(std::string(padding(data.size()), '\0'));
  }
  file.commit();
}

}  // namespace l2a
