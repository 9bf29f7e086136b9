#include "weights/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "weights/element_layout.h"
#include "weights/mapped_file.h"

namespace l2a {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

struct SafetensorsFile::Impl {
  explicit Impl(const std::filesystem::path& path) : file("safetensors", path) {}

  MappedFile file;
  std::map<std::string, std::string> metadata;
  std::vector<StoredTensor> tensors;              // in the order of their data
  std::unordered_map<std::string, size_t> index;  // tensor name -> place in `tensors`
};

namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the reference implementation
constexpr char kMetadataKey[] = "__metadata__";

// The types of safetensors that we read and write; their names are those of the layouts.
constexpr ElementType kTypes[] = {ElementType::kF32, ElementType::kF16, ElementType::kBf16,
                                  ElementType::kI64};

// Whole and not negative; nullopt otherwise.
std::optional<uint64_t> as_count(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<uint64_t>();
}

uint64_t read_header_length(std::span<const std::byte> bytes, const std::string& where) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    fail_input(where + "header: " + std::to_string(bytes.size()) +
               " bytes are too few for its length");
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kMaxHeaderBytes) {
    fail_input(where + "header: " + std::to_string(length) + " bytes where at most " +
               std::to_string(kMaxHeaderBytes) + " are allowed");
  }
  if (length > bytes.size() - sizeof length) {
    fail_input(where + "header: " + std::to_string(length) + " bytes do not fit into the file's " +
               std::to_string(bytes.size()) + " (cut short?)");
  }
  return length;
}

std::map<std::string, std::string> read_metadata(const Json& value, const std::string& where) {
  if (!value.is_object()) fail_input(where + "'__metadata__': expected an object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) fail_input(where + "'__metadata__': '" + shown(key) + "' is no text");
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

// One entry of the header. `where` names the file and the tensor; `data` is what offsets refer to.
StoredTensor read_tensor(std::string name, const Json& entry, std::span<const std::byte> data,
                         const std::string& where) {
  if (!entry.is_object()) fail_input(where + "expected an object");
  StoredTensor tensor;
  tensor.name = std::move(name);

  const auto dtype = get_string(entry, "dtype");
  if (!dtype) fail_input(where + dtype.error().message);
  const auto* known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](ElementType type) { return element_name(type) == *dtype; });
  if (known == std::end(kTypes)) {
    fail(ErrorCode::kUnsupported,
         where + "dtype '" + shown(*dtype) + "' where F32, F16, BF16 and I64 are known");
  }
  tensor.type = *known;

  const auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array()) fail_input(where + "'shape': expected an array");
  uint64_t size = layout_of(*known).block_bytes;
  for (const auto& length : *shape) {
    const auto count = as_count(length);
    if (!count || *count > INT64_MAX) fail_input(where + "'shape': expected whole numbers");
    if (__builtin_mul_overflow(size, *count, &size)) {
      fail_input(where + "more bytes than can be counted");
    }
    tensor.shape.push_back(static_cast<int64_t>(*count));
  }

  const auto offsets = entry.find("data_offsets");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2) {
    fail_input(where + "'data_offsets': expected two whole numbers");
  }
  const auto begin = as_count((*offsets)[0]), end = as_count((*offsets)[1]);
  if (!begin || !end) fail_input(where + "'data_offsets': expected two whole numbers");
  if (*begin > *end || *end > data.size()) {
    fail_input(where + "'data_offsets': " + std::to_string(*begin) + " to " + std::to_string(*end) +
               " is no part of the " + std::to_string(data.size()) + " bytes of data (cut short?)");
  }
  if (*end - *begin != size) {
    fail_input(where + "'data_offsets': " + std::to_string(*end - *begin) +
               " bytes where the shape needs " + std::to_string(size));
  }
  tensor.data = data.subspan(*begin, size);
  return tensor;
}

// Sorts the tensors by where their data lies, and refuses data that is shared or of no tensor:
// such bytes could hide anything.
void refuse_overlaps_and_holes(std::vector<StoredTensor>& tensors, std::span<const std::byte> data,
                               const std::string& where) {
  const auto end_of = [](const StoredTensor& t) { return t.data.data() + t.data.size(); };
  std::stable_sort(tensors.begin(), tensors.end(), [&](const auto& a, const auto& b) {
    return std::pair(a.data.data(), end_of(a)) < std::pair(b.data.data(), end_of(b));
  });
  const std::byte* expected = data.data();
  for (const auto& tensor : tensors) {
    const std::string name = where + "tensor '" + shown(tensor.name) + "': ";
    if (tensor.data.data() < expected) fail_input(name + "its data overlaps another tensor's");
    if (tensor.data.data() > expected) fail_input(name + "bytes of no tensor before its data");
    expected = end_of(tensor);
  }
  if (expected != data.data() + data.size()) {
    fail_input(where + std::to_string(data.data() + data.size() - expected) +
               " bytes of no tensor at the end");
  }
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  const std::string where = "safetensors: " + path.string() + ": ";
  auto impl = std::make_shared<Impl>(path);
  const auto bytes = impl->file.bytes();
  const uint64_t length = read_header_length(bytes, where);
  const auto header =
      parse_json({reinterpret_cast<const char*>(bytes.data()) + sizeof length, length});
  if (!header) fail_input(where + "header: " + header.error().message);
  if (!header->is_object()) fail_input(where + "header: expected an object");

  const auto data = bytes.subspan(sizeof length + length);
  for (const auto& [name, entry] : header->items()) {
    if (name == kMetadataKey) {
      impl->metadata = read_metadata(entry, where);
    } else {
      impl->tensors.push_back(
          read_tensor(name, entry, data, where + "tensor '" + shown(name) + "': "));
    }
  }
  refuse_overlaps_and_holes(impl->tensors, data, where);
  for (size_t i = 0; i < impl->tensors.size(); ++i) impl->index.emplace(impl->tensors[i].name, i);

  SafetensorsFile file;
  file.impl_ = std::move(impl);
  return file;
}

const std::vector<StoredTensor>& SafetensorsFile::tensors() const { return impl_->tensors; }

const StoredTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found = impl_->index.find(name);
  return found == impl_->index.end() ? nullptr : &impl_->tensors[found->second];
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return impl_->metadata;
}

void write_safetensors(const std::filesystem::path& path, std::span<const PlannedTensor> tensors,
                       const TensorBytes& bytes,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  uint64_t offset = 0;
  for (const auto& tensor : tensors) {
    check(std::count(std::begin(kTypes), std::end(kTypes), tensor.type) == 1,
          "write_safetensors: a type that the format lacks");
    check(!header.contains(tensor.name), "write_safetensors: a name given twice");
    const uint64_t size = planned_bytes(tensor);
    header[tensor.name] = {{"dtype", element_name(tensor.type)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + size}}};
    offset += size;
  }
  std::string text = dump_json(header);
  text.append((8 - text.size() % 8) % 8, ' ');  // the data starts aligned
  const uint64_t length = text.size();

  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), sizeof length});
  file.write(text);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::vector<std::byte> data = bytes(i);
    check(data.size() == planned_bytes(tensors[i]),
          "write_safetensors: data of another size than the shape");
    file.write({reinterpret_cast<const char*>(data.data()), data.size()});
  }
  file.commit();
}

void write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<PlannedTensor> plan;
  for (const StoredTensor& tensor : tensors)
    plan.push_back({tensor.name, tensor.type, tensor.shape});
  const auto bytes = [&](size_t i) {
    return std::vector<std::byte>(tensors[i].data.begin(), tensors[i].data.end());
  };
  write_safetensors(path, plan, bytes, metadata);
}

}  // namespace l2a
