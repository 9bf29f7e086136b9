// Samples of labelled sessions by what names them: "<session>/<turn>", or the conversation before
// them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "hindsight/sample.h"

namespace l2a {

struct SamplePlace {
  const LabelledSession* session = nullptr;
  const Sample* sample = nullptr;
};

// Of the samples with a decision target. Immutable, thread-safe.
class SampleIndex {
 public:
  explicit SampleIndex(const std::vector<LabelledSession>& sessions);  // which must outlive it

  // kNotFound when there is none.
  Result<SamplePlace> find(const std::string& id) const;
  // The one whose context has these turns, to the letter. kNotFound when there is none;
  // kInvalidInput where several have, whose targets may differ.
  Result<SamplePlace> find_context(std::span<const Turn> turns) const;

 private:
  std::unordered_map<std::string, SamplePlace> by_id_;
  // By the hash of a context; nullopt: of several.
  std::unordered_map<std::string, std::optional<SamplePlace>> by_context_;
};

}  // namespace l2a
