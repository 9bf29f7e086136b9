#include "hindsight/sample_index.h"

#include "base/file.h"
#include "base/utf8.h"

namespace l2a {
namespace {

// A context's hash from that of the context before its last turn.
std::string extended(const std::string& hash, const Turn& turn) {
  return sha256_hex(hash + role_name(turn.role) + "\n" + turn.text);
}

}  // namespace

SampleIndex::SampleIndex(const std::vector<LabelledSession>& sessions) {
  for (const LabelledSession& session : sessions) {
    std::string hash;
    size_t turn = 0;
    for (const Sample& sample : session.samples) {  // in turn order
      if (!sample.decision) continue;
      const SamplePlace place{&session, &sample};
      by_id_.emplace(sample_id(session, sample), place);
      for (; turn < sample.turn; ++turn) hash = extended(hash, session.turns[turn]);
      const auto [known, added] = by_context_.try_emplace(hash, place);
      if (!added) known->second.reset();
    }
  }
}

Result<SamplePlace> SampleIndex::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  if (found != by_id_.end()) return found->second;
  return Error{ErrorCode::kNotFound, "the labels have no sample '" + shown(id) + "' to decide in"};
}

Result<SamplePlace> SampleIndex::find_context(std::span<const Turn> turns) const {
  std::string hash;
  for (const Turn& turn : turns) hash = extended(hash, turn);
  const auto found = by_context_.find(hash);
  if (found == by_context_.end()) {
    return Error{ErrorCode::kNotFound, "no labelled session goes on from this conversation"};
  }
  if (!found->second) {
    return Error{ErrorCode::kInvalidInput,
                 "several labelled sessions go on from this conversation: name the sample"};
  }
  return *found->second;
}

}  // namespace l2a
