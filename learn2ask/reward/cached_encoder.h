// Sentence vectors kept by text, so that items and known questions, which come again with every
// reply of a group and every turn of a session, are encoded once.
#pragma once

#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "reward/grader.h"

namespace l2a {

// Keeps the `capacity` texts used last; a vector of MiniLM is 1.5 kB. Gives the same vectors as
// the encoder it wraps, which must outlive it. Not thread-safe.
class CachedEncoder : public TextEncoder {
 public:
  CachedEncoder(TextEncoder& encoder, size_t capacity);
  size_t width() const override { return encoder_.width(); }
  std::vector<float> encode(std::span<const std::string> texts) override;

 private:
  struct Entry {
    std::string text;
    std::vector<float> vector;
  };
  using Entries = std::list<Entry>;  // used last first
  void encode_missing(std::span<const std::string> texts);
  TextEncoder& encoder_;
  size_t capacity_;
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_text_;  // keys live in entries_
};

}  // namespace l2a
