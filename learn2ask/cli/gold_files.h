// Files of gold labels as commands take them: several of them, JSONL.
#pragma once

#include <string>
#include <vector>

#include "calibrate/gold_label.h"

namespace l2a {

// All of them as one, the later file last. Throws Failure: what read_gold_labels throws.
GoldLabels read_gold_files(const std::vector<std::string>& paths, const ItemIndex& items);

// SHA-256 of the files' hashes.
std::string gold_sha256(const std::vector<std::string>& paths);

}  // namespace l2a
