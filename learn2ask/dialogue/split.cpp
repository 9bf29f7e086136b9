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
      return "test";
    case Split::kHeldOut:
      break;
  }
  return "held_out";
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

Split split_of(uint64_t text_hash, const SplitShares& shares) {
  const double kept = shares.dev + shares.test;
  check(shares.dev >= 0 && shares.test >= 0 && kept <= 1, "split shares");
  check(shares.held_out >= 0 && shares.held_out <= 1, "share held out of train");
  const double place = static_cast<double>(text_hash >> 11) * 0x1p-53;  // in [0, 1)
  if (place < shares.dev) return Split::kDev;
  if (place < kept) return Split::kTest;
  if (place < kept + (1 - kept) * shares.held_out) return Split::kHeldOut;
  return Split::kTrain;
}

}  // namespace l2a
