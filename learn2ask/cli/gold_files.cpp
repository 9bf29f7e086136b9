#include "cli/gold_files.h"

#include "base/file.h"

namespace l2a {

GoldLabels read_gold_files(const std::vector<std::string>& paths, const ItemIndex& items) {
  GoldLabels labels;
  for (const std::string& path : paths) read_gold_labels(path, items, labels);
  return labels;
}

std::string gold_sha256(const std::vector<std::string>& paths) {
  std::string hashes;
  for (const std::string& path : paths) hashes += sha256_file(path);
  return sha256_hex(hashes);
}

}  // namespace l2a
