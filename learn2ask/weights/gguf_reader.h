// Takes the bytes of a GGUF file apart from front to back.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "weights/gguf.h"

namespace l2a {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

// Every length is held against what is left of the file before anything is read or allocated by
// it. All functions throw Failure (kInvalidInput) "model: FILE: PART: why". Not thread-safe.
class GgufReader {
 public:
  // `where` opens the messages: "model: FILE: ". Both must outlive the reader.
  GgufReader(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  // Names the part that is read from here on, for messages.
  void enter(std::string part) { part_ = std::move(part); }
  size_t position() const { return at_; }

  [[noreturn]] void refuse(const std::string& why) const {
    fail_input(where_ + part_ + ": " + why);
  }
  // Refuses a file in whose rest `count` things of at least `each` bytes do not fit.
  void need(uint64_t count, uint64_t each, const char* things) const;

  template <class T>
  T number() {
    need(sizeof(T), 1, "bytes");
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::string string();
  // A metadata value of the type that the file gives as a number.
  GgufValue value(uint32_t type);

 private:
  bool boolean();
  GgufValue array();

  template <class Stored, class Kept>
  std::vector<Kept> numbers(uint64_t count) {
    need(count, sizeof(Stored), "numbers");
    std::vector<Kept> values(count);
    for (auto& value : values) value = static_cast<Kept>(number<Stored>());
    return values;
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  size_t at_ = 0;
  std::string part_;
};

}  // namespace l2a
