#include "dialogue/split.h"

#include "base/rng.h"
#include "base/utf8.h"

namespace l2a {

const char* split_name(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kDev:
      return "dev";
    case Split::kTest:
      break;
  }
  return "test";
}

uint64_t text_hash(const Session& session) {
  std::string text;
  for (const Turn& turn : turns_of(session)) {
    // A normalised text holds no newline: nothing said can look like the start of a turn.
    text += role_name(turn.role);
    text += ':';
    text += normalise_text(turn.text);
    text += '\n';
  }
  return stable_hash(text);
}

Split split_of(uint64_t text_hash, double dev_share, double test_share) {
  check(dev_share >= 0 && test_share >= 0 && dev_share + test_share <= 1, "split shares");
  const double place = static_cast<double>(text_hash >> 11) * 0x1p-53;  // in [0, 1)
  if (place < dev_share) return Split::kDev;
  if (place < dev_share + test_share) return Split::kTest;
  return Split::kTrain;
}

}  // namespace l2a
