#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSums = "SHA256SUMS";
constexpr const char* kState = "state.json";
constexpr const char* kOptimizer = "optimizer.safetensors";

// One line a file, "<sha256>  <name>", by name.
std::string checksums(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename() != kSums) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  std::string sums;
  for (const auto& name : names) {
    sums += fmt::format("{}  {}\n", sha256_file(directory / name), name);
  }
  return sums;
}

Error broken(const fs::path& checkpoint, const std::string& why) {
  return {ErrorCode::kInvalidInput, fmt::format("checkpoint: {}: {}", checkpoint.string(), why)};
}

}  // namespace

fs::path checkpoint_path(const fs::path& directory, int64_t step) {
  return directory / fmt::format("step-{}", step);
}

void save_checkpoint(const fs::path& directory, int64_t step, const TrainedWeights& trained,
                     const AdamW& optimizer, const Json& state, const std::string& base_name) {
  const fs::path target = checkpoint_path(directory, step);
  const fs::path temporary = directory / ".partial";
  try {
    fs::remove_all(temporary);
    make_private_directory(temporary);
    trained.save(temporary, base_name);
    optimizer.save(temporary / kOptimizer);
    write_file_atomic(temporary / kState, dump_json(state) + "\n");
    write_file_atomic(temporary / kSums, checksums(temporary));
    fs::remove_all(target);
    fs::rename(temporary, target);
  } catch (const fs::filesystem_error& e) {
    fail(ErrorCode::kIo,
         fmt::format("checkpoint: {}: cannot write: {}", target.string(), e.code().message()));
  }
}

std::vector<int64_t> list_checkpoints(const fs::path& directory) {
  std::vector<int64_t> steps;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(directory, missing)) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view kPrefix = "step-";
    if (!name.starts_with(kPrefix)) continue;
    int64_t step = 0;
    const auto [end, error] =
        std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
    if (error == std::errc() && end == name.data() + name.size()) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

Result<Json> read_checkpoint_state(const fs::path& checkpoint) {
  try {
    const std::string sums = read_file(checkpoint / kSums);
    for (size_t begin = 0; begin < sums.size();) {
      const size_t end = sums.find('\n', begin);
      const std::string line = sums.substr(begin, end - begin);
      if (end == sums.npos || line.size() < 67) return broken(checkpoint, "SHA256SUMS is cut");
      const std::string name = line.substr(66);
      if (sha256_file(checkpoint / name) != line.substr(0, 64)) {
        return broken(checkpoint, fmt::format("{}: checksum does not match", name));
      }
      begin = end + 1;
    }
    if (sums.find(kState) == sums.npos) return broken(checkpoint, "SHA256SUMS is cut");
    return parse_json(read_file(checkpoint / kState));
  } catch (const Failure& failure) {
    return broken(checkpoint, failure.error.message);
  }
}

std::optional<FoundCheckpoint> find_newest_checkpoint(
    const fs::path& directory, const std::function<void(const std::string&)>& note) {
  const auto steps = list_checkpoints(directory);
  std::vector<std::string> passed_over;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const fs::path checkpoint = checkpoint_path(directory, *step);
    const auto state = read_checkpoint_state(checkpoint);
    if (!state) {
      passed_over.push_back(state.error().message);
      continue;
    }
    for (const std::string& why : passed_over) {
      note(why + " (passed over: the checkpoint before it is used)");
    }
    return FoundCheckpoint{checkpoint, *state};
  }
  if (passed_over.empty()) return std::nullopt;
  fail_input(passed_over.front() +
             ": and there is no sound one before it (start in another run directory, or move this "
             "one away)");
}

void load_checkpoint(const fs::path& checkpoint, TrainedWeights& trained, AdamW& optimizer) {
  trained.restore(checkpoint);
  optimizer.load(checkpoint / kOptimizer);
}

void prune_checkpoints(const fs::path& directory, int64_t step, size_t newest,
                       std::optional<int64_t> best) {
  auto steps = list_checkpoints(directory);
  std::erase_if(steps, [&](int64_t s) { return s > step; });
  steps.resize(steps.size() - std::min(newest, steps.size()));
  for (const int64_t s : steps) {
    if (s != best) fs::remove_all(checkpoint_path(directory, s));
  }
}

}  // namespace l2a
