#include "weights/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "weights/gguf_names.h"
#include "weights/head_pairs.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

// A tensor and what makes its values Hugging Face's.
struct Source {
  const StoredTensor* tensor = nullptr;
  int64_t paired_heads = 0;  // > 0: the rows of so many heads pair up neighbours
  double offset = 0;         // added to each value
};

}  // namespace

struct Checkpoint::Impl {
  fs::path path;
  std::vector<fs::path> files;
  Json config;
  std::map<std::string, Source> sources;
  std::vector<std::string> names;
  std::optional<GgufFile> gguf;
  std::vector<SafetensorsFile> shards;

  void add(const std::string& name, const Source& source, const std::string& where) {
    if (!sources.emplace(name, source).second) {
      fail_input(where + "tensor '" + shown(name) + "': given twice");
    }
  }
  void open_gguf();
  void open_folder();
  void add_shard(const std::string& file);
};

namespace {

Json read_json_object(const fs::path& path) {
  auto json = parse_json(read_file(path));
  if (!json) fail_input("model: " + path.string() + ": " + json.error().message);
  if (!json->is_object()) fail_input("model: " + path.string() + ": expected an object");
  return *std::move(json);
}

// The files that an index names, each once.
std::set<std::string> shard_names(const fs::path& index_path) {
  const Json index = read_json_object(index_path);
  const std::string where = "model: " + index_path.string() + ": ";
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object())
    fail_input(where + "'weight_map': expected an object");
  std::set<std::string> files;
  for (const auto& [tensor, file] : map->items()) {
    const std::string* name = file.get_ptr<const std::string*>();
    // Nothing outside the folder is opened because a file says so.
    if (!name || name->empty() || *name == ".." || *name == "." || name->find('/') != name->npos) {
      fail_input(where + "'weight_map': '" + shown(tensor) + "': expected a file name");
    }
    files.insert(*name);
  }
  if (files.empty()) fail_input(where + "'weight_map': no files");
  return files;
}

// The rows of `columns` values each that follow one another from `first_row` on.
void dequantize_rows(const StoredTensor& tensor, int64_t first_row, size_t columns,
                     std::span<float> out) {
  const auto rows = static_cast<int64_t>(out.size() / columns);
  const size_t row_bytes = tensor.data.size() / (tensor.shape.size() < 2 ? 1 : tensor.shape[0]);
  const StoredTensor part{
      tensor.name,
      tensor.type,
      {rows, static_cast<int64_t>(columns)},
      tensor.data.subspan(static_cast<size_t>(first_row) * row_bytes, rows * row_bytes)};
  dequantize(part, out);
}

}  // namespace

void Checkpoint::Impl::open_gguf() {
  gguf = GgufFile::open(path);
  files = {path};
  config = config_from_gguf(*gguf);
  const GgufArchitecture& architecture = architecture_of(*gguf);
  const std::string where = "model: " + path.string() + ": ";
  for (const StoredTensor& tensor : gguf->tensors()) {
    const auto name = hugging_face_name(architecture, tensor.name);
    if (!name) {
      fail(ErrorCode::kUnsupported, where + "tensor '" + shown(tensor.name) +
                                        "': not a part of the architecture " + architecture.gguf);
    }
    Source source{.tensor = &tensor};
    if (architecture.neighbour_pairs && name->find(".q_proj.") != name->npos) {
      source.paired_heads = config["num_attention_heads"];
    } else if (architecture.neighbour_pairs && name->find(".k_proj.") != name->npos) {
      source.paired_heads = config.value("num_key_value_heads", config["num_attention_heads"]);
    }
    if (architecture.gemma_norms && name->ends_with("norm.weight")) source.offset = -1;
    add(*name, source, where);
  }
}

void Checkpoint::Impl::add_shard(const std::string& file) {
  files.push_back(path / file);
  shards.push_back(SafetensorsFile::open(files.back()));
  for (const StoredTensor& tensor : shards.back().tensors()) {
    add(tensor.name, {.tensor = &tensor}, "model: " + files.back().string() + ": ");
  }
}

void Checkpoint::Impl::open_folder() {
  files = {path / "config.json"};
  config = read_json_object(files.front());
  const fs::path index = path / "model.safetensors.index.json";
  if (!fs::exists(index)) return add_shard("model.safetensors");
  for (const std::string& file : shard_names(index)) add_shard(file);
}

Checkpoint Checkpoint::open(const fs::path& path) {
  auto impl = std::make_shared<Impl>();
  impl->path = path;
  if (fs::is_directory(path)) {
    impl->open_folder();
  } else {
    impl->open_gguf();
  }
  for (const auto& [name, source] : impl->sources) impl->names.push_back(name);
  Checkpoint checkpoint;
  checkpoint.impl_ = std::move(impl);
  return checkpoint;
}

const Json& Checkpoint::config() const { return impl_->config; }
const std::vector<std::string>& Checkpoint::names() const { return impl_->names; }
const fs::path& Checkpoint::path() const { return impl_->path; }
const std::vector<fs::path>& Checkpoint::files() const { return impl_->files; }
const GgufFile* Checkpoint::gguf() const { return impl_->gguf ? &*impl_->gguf : nullptr; }

bool Checkpoint::has(const std::string& name) const { return impl_->sources.contains(name); }

const StoredTensor& Checkpoint::stored(const std::string& name) const {
  const auto found = impl_->sources.find(name);
  if (found == impl_->sources.end()) {
    fail_input("model: " + impl_->path.string() + ": tensor '" + shown(name) + "': missing");
  }
  return *found->second.tensor;
}

void Checkpoint::read(const std::string& name, std::span<float> out) const {
  check(out.size() == static_cast<size_t>(element_count(stored(name))),
        "checkpoint: output of another size than the tensor");
  read_rows(name, 0, out);
}

void Checkpoint::read_rows(const std::string& name, int64_t first_row, std::span<float> out) const {
  const std::string where = "model: " + impl_->path.string() + ": tensor '" + shown(name) + "': ";
  const StoredTensor& tensor = stored(name);
  const Source& source = impl_->sources.at(name);
  if (tensor.type == ElementType::kI64) fail_input(where + "whole numbers where weights belong");
  const int64_t rows = tensor.shape.size() < 2 ? 1 : tensor.shape[0];
  if (source.paired_heads > 0 && rows % (2 * source.paired_heads) != 0) {
    fail_input(where + std::to_string(rows) + " rows are no pairs of " +
               std::to_string(source.paired_heads) + " heads");
  }
  if (out.empty()) return;
  const size_t columns = static_cast<size_t>(element_count(tensor) / rows);
  const int64_t last_row = first_row + static_cast<int64_t>(out.size() / columns);
  check(out.size() % columns == 0 && first_row >= 0 && last_row <= rows,
        "checkpoint: rows that the tensor does not have");
  if (source.paired_heads == 0) {
    dequantize_rows(tensor, first_row, columns, out);
  } else {
    const int64_t head = rows / source.paired_heads;
    for (int64_t row = first_row; row < last_row; ++row) {
      dequantize_rows(tensor, row - row % head + neighbour_place(row % head, head), columns,
                      out.subspan(static_cast<size_t>(row - first_row) * columns, columns));
    }
  }
  for (const float value : out) {
    if (!std::isfinite(value)) fail_input(where + "a value that is not finite");
  }
  if (source.offset != 0) {
    for (float& value : out) value += static_cast<float>(source.offset);
  }
}

}  // namespace l2a
