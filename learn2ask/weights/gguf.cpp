#include "weights/gguf.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "base/utf8.h"
#include "weights/element_layout.h"
#include "weights/gguf_reader.h"
#include "weights/mapped_file.h"

namespace l2a {

struct GgufFile::Impl {
  explicit Impl(const std::filesystem::path& path) : file("model", path) {}

  MappedFile file;
  std::map<std::string, GgufValue> metadata;
  std::vector<StoredTensor> tensors;
  std::unordered_map<std::string, size_t> index;  // tensor name -> place in `tensors`
  std::string where;                              // "model: FILE: "
};

namespace {

constexpr uint64_t kMaxDims = 4;
constexpr uint64_t kDefaultAlignment = 32;

struct Header {
  uint64_t tensor_count, metadata_count;
};

Header read_header(GgufReader& in) {
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

std::map<std::string, GgufValue> read_metadata(GgufReader& in, uint64_t count) {
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

uint64_t read_alignment(GgufReader& in, const std::map<std::string, GgufValue>& metadata) {
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
  StoredTensor tensor;
  uint64_t offset = 0, bytes = 0;
};

std::vector<int64_t> read_shape(GgufReader& in) {
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

TensorInfo read_tensor_info(GgufReader& in, uint64_t number, const std::string& where) {
  in.enter("tensor " + std::to_string(number));
  TensorInfo info;
  info.tensor.name = in.string();
  const std::string name = "tensor '" + shown(info.tensor.name) + "'";
  in.enter(name);
  if (info.tensor.name.empty()) in.refuse("an empty name");
  info.tensor.shape = read_shape(in);
  const auto type = in.number<uint32_t>();
  const ElementLayout* layout = find_layout(type);
  if (!layout) {
    fail(ErrorCode::kUnsupported, where + name + ": element type " + std::to_string(type) +
                                      " where " + layout_names() + " are known");
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
  GgufReader in(bytes, impl->where);
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
const std::vector<StoredTensor>& GgufFile::tensors() const { return impl_->tensors; }

const StoredTensor* GgufFile::find(const std::string& name) const {
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

std::optional<bool> GgufFile::find_bool(const std::string& key) const {
  const auto* value = find_value<bool>(*this, impl_->where, key, "true or false");
  return value ? std::optional(*value) : std::nullopt;
}

const std::vector<double>& GgufFile::get_floats(const std::string& key) const {
  return present(find_value<std::vector<double>>(*this, impl_->where, key, "an array of numbers"),
                 impl_->where, key);
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
