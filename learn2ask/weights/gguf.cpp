#include "weights/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <unordered_map>

#include "base/utf8.h"
#include "weights/ggml_blocks.h"
#include "weights/mapped_file.h"

namespace l2a {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

struct GgufFile::Impl {
  explicit Impl(const std::filesystem::path& path) : file("model", path) {}

  MappedFile file;
  std::map<std::string, GgufValue> metadata;
  std::vector<GgufTensor> tensors;
  std::unordered_map<std::string, size_t> index;  // tensor name -> place in `tensors`
  std::string where;                              // "model: FILE: "
};

namespace {

constexpr uint64_t kMaxDims = 4;
constexpr uint64_t kDefaultAlignment = 32;

// Value types of the metadata; the numbers are the file format's.
enum ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Takes the file apart from front to back. Every length is held against what is left of the file
// before anything is read or allocated by it.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  // What is being read, for messages.
  void enter(std::string part) { part_ = std::move(part); }
  size_t position() const { return at_; }

  [[noreturn]] void refuse(const std::string& why) const {
    fail_input(where_ + part_ + ": " + why);
  }

  // Refuses a file in which `count` things of at least `each` bytes no longer fit.
  void need(uint64_t count, uint64_t each, const char* things) const {
    const uint64_t left = bytes_.size() - at_;
    if (count <= left / each) return;
    refuse(std::to_string(count) + " " + things + " at byte " + std::to_string(at_) +
           " do not fit into the file's " + std::to_string(bytes_.size()) + " bytes (cut short?)");
  }

  template <class T>
  T number() {
    need(sizeof(T), 1, "bytes");
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  bool boolean() {
    const auto value = number<uint8_t>();
    if (value > 1) refuse("a truth value of " + std::to_string(value));
    return value == 1;
  }

  std::string string() {
    const auto length = number<uint64_t>();
    need(length, 1, "bytes of text");
    std::string text(reinterpret_cast<const char*>(bytes_.data() + at_), length);
    if (const auto bad = find_bad_utf8(text)) {
      refuse("text that is not UTF-8 at byte " + std::to_string(at_ + *bad));
    }
    at_ += length;
    return text;
  }

  template <class Stored, class Kept>
  std::vector<Kept> numbers(uint64_t count) {
    need(count, sizeof(Stored), "numbers");
    std::vector<Kept> values(count);
    for (auto& value : values) value = static_cast<Kept>(number<Stored>());
    return values;
  }

  GgufValue value(uint32_t type) {
    switch (type) {
      case kUint8:
        return uint64_t{number<uint8_t>()};
      case kUint16:
        return uint64_t{number<uint16_t>()};
      case kUint32:
        return uint64_t{number<uint32_t>()};
      case kUint64:
        return number<uint64_t>();
      case kInt8:
        return int64_t{number<int8_t>()};
      case kInt16:
        return int64_t{number<int16_t>()};
      case kInt32:
        return int64_t{number<int32_t>()};
      case kInt64:
        return number<int64_t>();
      case kFloat32:
        return double{number<float>()};
      case kFloat64:
        return number<double>();
      case kBool:
        return boolean();
      case kString:
        return string();
      case kArray:
        return array();
      default:
        refuse("unknown value type " + std::to_string(type));
    }
  }

 private:
  GgufValue array() {
    const auto type = number<uint32_t>();
    const auto count = number<uint64_t>();
    switch (type) {
      case kUint8:
        return numbers<uint8_t, uint64_t>(count);
      case kUint16:
        return numbers<uint16_t, uint64_t>(count);
      case kUint32:
        return numbers<uint32_t, uint64_t>(count);
      case kUint64:
        return numbers<uint64_t, uint64_t>(count);
      case kInt8:
        return numbers<int8_t, int64_t>(count);
      case kInt16:
        return numbers<int16_t, int64_t>(count);
      case kInt32:
        return numbers<int32_t, int64_t>(count);
      case kInt64:
        return numbers<int64_t, int64_t>(count);
      case kFloat32:
        return numbers<float, double>(count);
      case kFloat64:
        return numbers<double, double>(count);
      case kBool: {
        need(count, 1, "truth values");
        std::vector<bool> values(count);
        for (auto&& value : values) value = boolean();
        return values;
      }
      case kString: {
        need(count, sizeof(uint64_t), "texts");
        std::vector<std::string> values(count);
        for (auto& value : values) value = string();
        return values;
      }
      case kArray:
        refuse("an array of arrays");
      default:
        refuse("unknown value type " + std::to_string(type));
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  size_t at_ = 0;
  std::string part_;
};

struct Header {
  uint64_t tensor_count, metadata_count;
};

Header read_header(Reader& in) {
  in.enter("header");
  if (in.number<uint32_t>() != 0x46554747) in.refuse("not a GGUF file");  // "GGUF"
  const auto version = in.number<uint32_t>();
  if (version == __builtin_bswap32(2) || version == __builtin_bswap32(3)) {
    in.refuse("a big-endian file (convert it with gguf-convert-endian)");
  }
  if (version != 2 && version != 3) {
    in.refuse("version " + std::to_string(version) + " where 2 and 3 are known");
  }
  Header header{};
  header.tensor_count = in.number<uint64_t>();
  header.metadata_count = in.number<uint64_t>();
  // The shortest metadata: key length, type, one byte. The shortest tensor: name length, number of
  // dimensions, type, offset.
  in.need(header.metadata_count, 8 + 4 + 1, "metadata entries");
  in.need(header.tensor_count, 8 + 4 + 4 + 8, "tensors");
  return header;
}

std::map<std::string, GgufValue> read_metadata(Reader& in, uint64_t count) {
  std::map<std::string, GgufValue> metadata;
  for (uint64_t i = 0; i < count; ++i) {
    in.enter("metadata " + std::to_string(i));
    std::string key = in.string();
    in.enter("metadata '" + shown(key) + "'");
    if (key.empty()) in.refuse("an empty key");
    const auto type = in.number<uint32_t>();
    if (!metadata.emplace(std::move(key), in.value(type)).second) in.refuse("given twice");
  }
  return metadata;
}

uint64_t read_alignment(Reader& in, const std::map<std::string, GgufValue>& metadata) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kDefaultAlignment;
  const auto* value = std::get_if<uint64_t>(&found->second);
  if (!value || !std::has_single_bit(*value) || *value < 8 || *value > (1 << 20)) {
    in.enter("metadata 'general.alignment'");
    in.refuse("no power of two from 8 to 1048576");
  }
  return *value;
}

// A tensor as the file describes it; its bytes are looked up once the data's start is known.
struct TensorInfo {
  GgufTensor tensor;
  uint64_t offset = 0, bytes = 0;
};

std::vector<int64_t> read_shape(Reader& in) {
  const auto dims = in.number<uint32_t>();
  if (dims == 0 || dims > kMaxDims)
    in.refuse(std::to_string(dims) + " dimensions where 1 to 4 are known");
  std::vector<int64_t> shape(dims);
  int64_t elements = 1;
  for (size_t d = 0; d < dims; ++d) {
    const auto length = in.number<uint64_t>();
    if (length == 0) in.refuse("a dimension of 0");
    if (length > INT64_MAX ||
        __builtin_mul_overflow(elements, static_cast<int64_t>(length), &elements)) {
      in.refuse("more elements than can be counted");
    }
    shape[dims - 1 - d] = static_cast<int64_t>(length);
  }
  return shape;
}

TensorInfo read_tensor_info(Reader& in, uint64_t number, const std::string& where) {
  in.enter("tensor " + std::to_string(number));
  TensorInfo info;
  info.tensor.name = in.string();
  const std::string name = "tensor '" + shown(info.tensor.name) + "'";
  in.enter(name);
  if (info.tensor.name.empty()) in.refuse("an empty name");
  info.tensor.shape = read_shape(in);
  const auto type = in.number<uint32_t>();
  const GgmlLayout* layout = find_layout(type);
  if (!layout) {
    fail(ErrorCode::kUnsupported, where + name + ": element type " + std::to_string(type) +
                                      " where F32, F16, BF16, Q4_0, Q4_1 and Q8_0 are known");
  }
  info.tensor.type = layout->type;
  const auto row = static_cast<uint64_t>(info.tensor.shape.back());
  if (row % layout->block_values != 0) {
    in.refuse("rows of " + std::to_string(row) + " values are no whole blocks of " +
              std::to_string(layout->block_values));
  }
  uint64_t blocks = row / layout->block_values;
  for (size_t d = 0; d + 1 < info.tensor.shape.size(); ++d) {
    blocks *= static_cast<uint64_t>(info.tensor.shape[d]);  // fits, as read_shape() saw
  }
  if (__builtin_mul_overflow(blocks, uint64_t{layout->block_bytes}, &info.bytes)) {
    in.refuse("more bytes than can be counted");
  }
  info.offset = in.number<uint64_t>();
  return info;
}

void refuse_overlaps(std::vector<TensorInfo>& infos, const std::string& where) {
  std::vector<const TensorInfo*> by_offset;
  for (const auto& info : infos) by_offset.push_back(&info);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const auto &before = *by_offset[i - 1], &after = *by_offset[i];
    if (after.offset - before.offset >= before.bytes) continue;
    fail_input(where + "tensor '" + shown(before.tensor.name) + "': its data overlaps that of '" +
               shown(after.tensor.name) + "'");
  }
}

}  // namespace

GgufFile GgufFile::open(const std::filesystem::path& path) {
  auto impl = std::make_shared<Impl>(path);
  impl->where = "model: " + path.string() + ": ";
  const auto bytes = impl->file.bytes();
  Reader in(bytes, impl->where);
  const Header header = read_header(in);
  impl->metadata = read_metadata(in, header.metadata_count);
  const uint64_t alignment = read_alignment(in, impl->metadata);

  in.enter("tensors");
  in.need(header.tensor_count, 8 + 4 + 4 + 8, "tensors");
  std::vector<TensorInfo> infos;
  infos.reserve(header.tensor_count);
  for (uint64_t i = 0; i < header.tensor_count; ++i) {
    infos.push_back(read_tensor_info(in, i, impl->where));
    if (!impl->index.emplace(infos.back().tensor.name, i).second) in.refuse("given twice");
  }

  const uint64_t start = (in.position() + alignment - 1) / alignment * alignment;
  for (auto& info : infos) {
    in.enter("tensor '" + shown(info.tensor.name) + "'");
    if (info.offset % alignment != 0) {
      in.refuse("its offset " + std::to_string(info.offset) + " is no multiple of " +
                std::to_string(alignment));
    }
    if (start > bytes.size() || info.offset > bytes.size() - start ||
        info.bytes > bytes.size() - start - info.offset) {
      in.refuse(std::to_string(info.bytes) + " bytes of data at offset " +
                std::to_string(info.offset) + " end past the file's " +
                std::to_string(bytes.size()) + " bytes (cut short?)");
    }
    info.tensor.data = bytes.subspan(start + info.offset, info.bytes);
  }
  refuse_overlaps(infos, impl->where);
  for (auto& info : infos) impl->tensors.push_back(std::move(info.tensor));

  GgufFile file;
  file.impl_ = std::move(impl);
  return file;
}

const std::map<std::string, GgufValue>& GgufFile::metadata() const { return impl_->metadata; }
const std::vector<GgufTensor>& GgufFile::tensors() const { return impl_->tensors; }

const GgufTensor* GgufFile::find(const std::string& name) const {
  const auto found = impl_->index.find(name);
  return found == impl_->index.end() ? nullptr : &impl_->tensors[found->second];
}

namespace {

// The value under `key` as an alternative of GgufValue, null when absent.
template <class T>
const T* find_value(const GgufFile& file, const std::string& where, const std::string& key,
                    const char* expected) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (!value) fail_input(where + "metadata '" + key + "': expected " + expected);
  return value;
}

template <class T>
const T& present(const T* value, const std::string& where, const std::string& key) {
  if (!value) fail_input(where + "metadata '" + key + "': missing");
  return *value;
}

}  // namespace

std::optional<std::string> GgufFile::find_string(const std::string& key) const {
  const auto* value = find_value<std::string>(*this, impl_->where, key, "a text");
  return value ? std::optional(*value) : std::nullopt;
}

const std::string& GgufFile::get_string(const std::string& key) const {
  return present(find_value<std::string>(*this, impl_->where, key, "a text"), impl_->where, key);
}

std::optional<int64_t> GgufFile::find_int(const std::string& key) const {
  const auto found = metadata().find(key);
  if (found == metadata().end()) return std::nullopt;
  if (const auto* value = std::get_if<uint64_t>(&found->second)) {
    if (*value > INT64_MAX) fail_input(impl_->where + "metadata '" + key + "': too large");
    return static_cast<int64_t>(*value);
  }
  return *find_value<int64_t>(*this, impl_->where, key, "a whole number");
}

int64_t GgufFile::get_int(const std::string& key) const {
  const auto value = find_int(key);
  return present(value ? &*value : nullptr, impl_->where, key);
}

double GgufFile::get_float(const std::string& key) const {
  return present(find_value<double>(*this, impl_->where, key, "a number"), impl_->where, key);
}

const std::vector<std::string>& GgufFile::get_strings(const std::string& key) const {
  return present(
      find_value<std::vector<std::string>>(*this, impl_->where, key, "an array of texts"),
      impl_->where, key);
}

std::vector<int64_t> GgufFile::get_ints(const std::string& key) const {
  const auto found = metadata().find(key);
  if (found != metadata().end()) {
    if (const auto* values = std::get_if<std::vector<uint64_t>>(&found->second)) {
      if (std::any_of(values->begin(), values->end(), [](uint64_t v) { return v > INT64_MAX; })) {
        fail_input(impl_->where + "metadata '" + key + "': too large");
      }
      return {values->begin(), values->end()};
    }
  }
  return present(
      find_value<std::vector<int64_t>>(*this, impl_->where, key, "an array of whole numbers"),
      impl_->where, key);
}

}  // namespace l2a
