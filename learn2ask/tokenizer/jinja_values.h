// What Jinja expressions come to: values, and the tests, filters and methods of chat templates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/jinja_syntax.h"

namespace l2a::jinja {

inline constexpr size_t kMaxBytes = 1 << 20;  // of one text

// All of these throw Problem for what they do not know. An undefined value is a discarded one.
[[noreturn]] inline void refuse(const std::string& why) { throw Problem(why); }
inline const Json kUndefined(Json::value_t::discarded);
inline bool is_undefined(const Json& value) { return value.is_discarded(); }

bool truth(const Json& value);
bool equal(const Json& a, const Json& b);
const std::string& text_of(const Json& value);  // `value` must be one
int64_t integer_of(const Json& value);          // likewise
std::string written(const Json& value);         // as `{{ }}` writes it

// Appends to a text that stays within kMaxBytes.
void append(std::string& text, std::string_view more);

// How much a value that is being made holds; throws when that is too much.
class ValueBound {
 public:
  void add(const Json& value, int depth = 0);
  // What copying it all takes, in steps of a template.
  size_t steps() const { return items_ / 16 + bytes_ / 1024; }

 private:
  size_t items_ = 0, bytes_ = 0;  // nested ones too; of texts
};

// The value, its size checked: whatever is made bigger than its parts goes through here.
Json bounded(Json value);
Json bounded(std::string text);

Json item_of(const Json& value, const Json& key);
// Python's a[from:to:step] of an array; null for what is left out.
Json slice(const Json& value, const Json& from, const Json& to, const Json& step);
bool contains(const Json& whole, const Json& part);

bool passes_test(const std::string& name, const Json& value, const std::vector<Json>& arguments);
Json filtered(const std::string& name, const Json& value, const std::vector<Json>& arguments);
Json text_method(const std::string& text, const std::string& name,
                 const std::vector<Json>& arguments);
Json object_method(const Json& object, const std::string& name, const std::vector<Json>& arguments);

enum class Ends { kBoth, kLeft, kRight };
// Python's str.strip(characters), lstrip and rstrip; white space without `characters`.
std::string strip(std::string_view text, Ends ends, const std::string* characters);

}  // namespace l2a::jinja
