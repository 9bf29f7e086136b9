// Checkpoints of a run: DIRECTORY/step-N/ with what is trained, the optimizer, the state and the
// checksums of all of them.
//
//   adapter_config.json, adapter_model.safetensors   an adapter, as peft loads it
//   full_weights.safetensors                         or all of a model's weights
//   optimizer.safetensors                            AdamW's moments and step count
//   state.json                                       where the run stands
//   SHA256SUMS                                       `sha256sum -c` checks it
//
// A checkpoint is written to a temporary directory and renamed: it is there whole, or not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "model/trained_weights.h"
#include "train/adamw.h"

namespace l2a {

std::filesystem::path checkpoint_path(const std::filesystem::path& directory, int64_t step);

// Writes DIRECTORY/step-N, replacing one that is there. Throws Failure (kIo).
void save_checkpoint(const std::filesystem::path& directory, int64_t step,
                     const TrainedWeights& trained, const AdamW& optimizer, const Json& state,
                     const std::string& base_name);

// Steps that have a checkpoint, ascending. Whether they are sound is another question.
std::vector<int64_t> list_checkpoints(const std::filesystem::path& directory);

// The state of a checkpoint whose files all match their checksums; an Error naming the first
// that does not otherwise.
Result<Json> read_checkpoint_state(const std::filesystem::path& checkpoint);

struct FoundCheckpoint {
  std::filesystem::path path;
  Json state;
};
// The newest sound checkpoint; nullopt where there is none at all. Each broken one after it is
// passed over, with a line to `note`. Throws Failure where all are broken: to begin anew would cost
// the run.
std::optional<FoundCheckpoint> find_newest_checkpoint(
    const std::filesystem::path& directory, const std::function<void(const std::string&)>& note);

// Restores trained weights and optimizer. Throws Failure when they are of another model or rank.
void load_checkpoint(const std::filesystem::path& checkpoint, TrainedWeights& trained,
                     AdamW& optimizer);

// Of the checkpoints up to `step` removes all but the newest `newest` and that of step `best` (if
// any). Later ones are broken, or the run would have gone on from there.
void prune_checkpoints(const std::filesystem::path& directory, int64_t step, size_t newest,
                       std::optional<int64_t> best);

}  // namespace l2a
