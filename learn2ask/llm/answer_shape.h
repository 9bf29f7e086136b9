// The texts that an answer under a JSON schema may be, byte by byte: what holds a model in process
// to the schema.
//
// Of the ways to write a value only one counts: keys in the order of "required", ", " and ": "
// between, no other white space, no \u escapes. Understood is what this program's own schemas
// need: objects all of whose properties are required, arrays, strings, integers, booleans, and
// "enum". Source: JSON Schema 2020-12.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace l2a {

// Immutable once made; thread-safe.
class AnswerShape {
 public:
  // Throws Failure (kUnsupported) for another type, and for properties that are not required. Other
  // keywords are passed over.
  explicit AnswerShape(const Json& schema);

  // One way in which an answer may have come so far: the parts that are still to come, the next one
  // last, and how much of that one is there.
  struct Way {
    std::vector<uint32_t> parts;
    uint32_t progress = 0;
  };
  using Place = std::vector<Way>;  // all of them

  Place begin() const { return {{{root_}}}; }
  // After `bytes` more. Empty where no answer goes on so.
  Place after(Place place, std::string_view bytes) const;
  // Whether what came is an answer, and a whole one.
  bool is_whole(const Place& place) const;
  // Inside of a string: any bytes may follow, but for quotes, backslashes and control characters.
  bool is_in_text(const Place& place) const;

 private:
  enum class Kind { kLiteral, kText, kInteger, kEither };
  struct Part {
    Kind kind;
    std::string literal = {};
    std::vector<std::vector<uint32_t>> ways = {};  // of kEither, each in the order of its text
  };
  uint32_t add(Part part);
  uint32_t literal(std::string text);
  uint32_t sequence(std::vector<uint32_t> parts);
  uint32_t add_schema(const Json& schema);
  uint32_t add_object(const Json& schema);
  uint32_t add_array(const Json& schema);
  void step(Way way, char byte, Place& next) const;

  std::vector<Part> parts_;
  uint32_t root_ = 0;
};

}  // namespace l2a
