// The dataset of veRL as a Parquet file. Columns as its documentation has them (0.9.1,
// prepare_data): data_source, prompt, ability, reward_model {style, ground_truth}, extra_info
// {split, index}.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace l2a {

// Not thread-safe.
class VerlDataset {
 public:
  VerlDataset();
  ~VerlDataset();
  VerlDataset(const VerlDataset&) = delete;
  VerlDataset& operator=(const VerlDataset&) = delete;

  // `prompt`: roles and texts; `sample`: what its reward is asked for by.
  void add(const std::vector<std::pair<std::string, std::string>>& prompt,
           const std::string& sample, const std::string& split);
  // The bytes of the file, zstd-compressed. Throws Failure (kUnsupported) in a build without Arrow.
  std::string parquet() const;

 private:
  struct Row;
  std::vector<std::unique_ptr<Row>> rows_;
};

}  // namespace l2a
