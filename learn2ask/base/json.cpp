#include "base/json.h"

#include <cmath>
#include <cstring>
#include <iterator>
#include <unordered_set>
#include <vector>

#include "base/utf8.h"

namespace l2a {
namespace {

Error at_byte(size_t position, const std::string& why) {
  return {ErrorCode::kInvalidInput, "byte " + std::to_string(position) + ": " + why};
}

// An input iterator that counts what the lexer has read, so that the events below know where
// they are. The lexer reads nothing past a bracket or a closing quote.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* count_;
};

// The reason in one of the library's messages, without its prefix and without the token that
// was read last (which may be megabytes of hostile text).
std::string reason_of(const nlohmann::detail::exception& e) {
  if (e.id == 406) return "number too large";
  std::string what = e.what();
  if (const size_t dash = what.find(" - "); dash != what.npos) what.erase(0, dash + 3);
  if (const size_t last = what.find("; last read: "); last != what.npos) what.erase(last);
  return "not JSON: " + what;
}

// Builds the value from the library's events; refuses depth, repeated keys and NUL on the way.
// The library's event parser does not recurse.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(const size_t* read, bool allows_nul) : read_(read), allows_nul_(allows_nul) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool v) override { return add(v); }
  bool number_integer(Json::number_integer_t v) override { return add(v); }
  bool number_unsigned(Json::number_unsigned_t v) override { return add(v); }
  bool number_float(Json::number_float_t v, const std::string&) override { return add(v); }
  bool binary(Json::binary_t&) override { return refuse("binary value"); }
  bool string(std::string& v) override {
    const bool refused = !allows_nul_ && v.find('\0') != v.npos;
    return refused ? refuse("escaped NUL in a string") : add(std::move(v));
  }
  bool key(std::string& v) override {
    if (v.find('\0') != v.npos) return refuse("escaped NUL in a key");
    Level& level = open_.back();
    if (!level.keys.insert(v).second) return refuse("repeated key '" + shown(v) + "'");
    // emplace_back, since ordered_map's own insertion looks through all keys again.
    auto& members = level.value->get_ref<Json::object_t&>();
    members.emplace_back(std::move(v), nullptr);
    slot_ = &members.back().second;
    return true;
  }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    error = at_byte(position, reason_of(e));
    return false;
  }

  Json root;
  Error error;

 private:
  struct Level {
    Json* value;
    std::unordered_set<std::string> keys;
  };

  bool refuse(const std::string& why) {
    error = at_byte(*read_, why);
    return false;
  }

  bool add(Json value) {
    put(std::move(value));
    return true;
  }

  // Stores a value where the parser stands. The address holds until its container is closed:
  // containers grow only while they are the innermost one.
  Json* put(Json value) {
    Json* place = &root;
    if (!open_.empty()) {
      Json& parent = *open_.back().value;
      if (parent.is_array()) {
        parent.push_back(nullptr);
        place = &parent.back();
      } else {
        place = slot_;
      }
    }
    *place = std::move(value);
    return place;
  }

  bool open(Json empty) {
    if (open_.size() == kMaxJsonDepth) {
      return refuse("nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    }
    open_.push_back({put(std::move(empty)), {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const size_t* read_;
  bool allows_nul_;
  std::vector<Level> open_;
  Json* slot_ = nullptr;  // of the key read last
};

// The member, or an error when it is absent or `object` is no object.
Result<const Json*> member(const Json& object, const std::string& key) {
  if (!object.is_object()) {
    return Error{ErrorCode::kInvalidInput, "expected an object, got " + type_phrase(object)};
  }
  const auto found = object.find(key);
  if (found == object.end()) return Error{ErrorCode::kInvalidInput, "'" + key + "': missing"};
  return &*found;
}

Error wrong_type(const std::string& key, const char* expected, const Json& got) {
  return {ErrorCode::kInvalidInput,
          "'" + key + "': expected " + expected + ", got " + type_phrase(got)};
}

bool absent_in(const Json& object, const std::string& key) {
  return object.is_object() && !object.contains(key);
}

Result<Json> parse(std::string_view text, bool allows_nul) {
  if (const auto bad = find_bad_utf8(text)) return at_byte(*bad + 1, "invalid UTF-8");
  if (const size_t nul = text.find('\0'); nul != text.npos) return at_byte(nul + 1, "NUL");
  size_t read = 0;
  Builder builder(&read, allows_nul);
  const char* begin = text.data();
  const CountingIterator first(begin, &read), last(begin + text.size(), &read);
  if (!Json::sax_parse(first, last, &builder)) return std::move(builder.error);
  return std::move(builder.root);
}

}  // namespace

Result<Json> parse_json(std::string_view text) { return parse(text, false); }
Result<Json> parse_json_with_nul(std::string_view text) { return parse(text, true); }

std::string dump_json(const Json& value) { return value.dump(); }

std::string type_phrase(const Json& value) {
  const std::string name = value.type_name();
  if (name == "null") return name;
  return (name == "object" || name == "array" ? "an " : "a ") + name;
}

Result<std::string> get_string(const Json& object, const std::string& key) {
  const auto found = member(object, key);
  if (!found) return found.error();
  if (!(*found)->is_string()) return wrong_type(key, "a string", **found);
  return (*found)->get_ref<const std::string&>();
}

Result<std::string> get_string_or(const Json& object, const std::string& key, std::string absent) {
  if (absent_in(object, key)) return absent;
  return get_string(object, key);
}

Result<double> get_number(const Json& object, const std::string& key) {
  const auto found = member(object, key);
  if (!found) return found.error();
  if (!(*found)->is_number()) return wrong_type(key, "a number", **found);
  return (*found)->get<double>();
}

Result<size_t> get_index(const Json& object, const std::string& key, size_t end) {
  const auto found = member(object, key);
  if (!found) return found.error();
  const Json& value = **found;
  const double number = value.is_number() ? value.get<double>() : -1;
  if (!(number >= 0 && number < static_cast<double>(end)) || number != std::floor(number)) {
    return Error{ErrorCode::kInvalidInput, "'" + key + "': expected a whole number below " +
                                               std::to_string(end) + ", got " +
                                               shown(dump_json(value))};
  }
  return static_cast<size_t>(number);
}

Result<const Json*> get_list(const Json& object, const std::string& key) {
  const auto found = member(object, key);
  if (found && !(*found)->is_array()) return wrong_type(key, "a list", **found);
  return found;
}

Result<const Json*> get_object(const Json& object, const std::string& key) {
  const auto found = member(object, key);
  if (found && !(*found)->is_object()) return wrong_type(key, "an object", **found);
  return found;
}

Result<bool> get_bool_or(const Json& object, const std::string& key, bool absent) {
  if (absent_in(object, key)) return absent;
  const auto found = member(object, key);
  if (!found) return found.error();
  if (!(*found)->is_boolean()) return wrong_type(key, "true or false", **found);
  return (*found)->get<bool>();
}

}  // namespace l2a
