#include "tokenizer/jinja_values.h"

#include <algorithm>

#include "base/utf8.h"

namespace l2a::jinja {
namespace {

std::string phrase(const Json& value) {
  return is_undefined(value) ? "something undefined" : type_phrase(value);
}

constexpr size_t kMaxItems = 10'000;               // of one value, nested ones too
constexpr size_t kMaxValueBytes = 16 * kMaxBytes;  // of all its texts
constexpr int kMaxValueDepth = 16;

bool is_python_space(char32_t c) { return is_space(c) || (c >= 0x1C && c <= 0x1F); }

}  // namespace

bool truth(const Json& value) {
  if (is_undefined(value) || value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.empty();
}

bool equal(const Json& a, const Json& b) {
  return is_undefined(a) || is_undefined(b) ? is_undefined(a) && is_undefined(b) : a == b;
}

const std::string& text_of(const Json& value) {
  if (!value.is_string()) refuse("text expected, got " + phrase(value));
  return value.get_ref<const std::string&>();
}

int64_t integer_of(const Json& value) {
  if (!value.is_number_integer()) refuse("an integer expected, got " + phrase(value));
  return value.get<int64_t>();
}

void append(std::string& text, std::string_view more) {
  if (text.size() + more.size() > kMaxBytes) refuse("too long a text");
  text += more;
}

void ValueBound::add(const Json& value, int depth) {
  if (depth > kMaxValueDepth) refuse("a value nested too deeply");
  if (value.is_string()) bytes_ += value.get_ref<const std::string&>().size();
  if (++items_ > kMaxItems || bytes_ > kMaxValueBytes) refuse("too large a value");
  if (!value.is_structured()) return;
  for (const Json& item : value) add(item, depth + 1);
}

Json bounded(Json value) {
  ValueBound().add(value);
  return value;
}

Json bounded(std::string text) {
  if (text.size() > kMaxBytes) refuse("too long a text");
  return text;
}

std::string written(const Json& value) {
  if (is_undefined(value)) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_number_integer()) return dump_json(value);
  refuse("writing " + phrase(value) + " is not known");
}

std::string strip(std::string_view text, Ends ends, const std::string* characters) {
  const std::u32string all = decode_utf8(text).value_or_throw();
  const std::u32string given = characters ? decode_utf8(*characters).value_or_throw() : U"";
  const auto goes = [&](char32_t c) {
    return characters ? given.find(c) != given.npos : is_python_space(c);
  };
  size_t from = 0, to = all.size();
  if (ends != Ends::kRight) {
    while (from < to && goes(all[from])) ++from;
  }
  if (ends != Ends::kLeft) {
    while (to > from && goes(all[to - 1])) --to;
  }
  return encode_utf8(std::u32string_view(all).substr(from, to - from));
}

namespace {

Json split(const std::string& text, const std::string& separator) {
  if (separator.empty()) refuse("split by an empty separator");
  Json parts = Json::array();
  size_t from = 0;
  for (size_t at; (at = text.find(separator, from)) != text.npos; from = at + separator.size()) {
    parts.push_back(text.substr(from, at - from));
  }
  parts.push_back(text.substr(from));
  return bounded(std::move(parts));
}

std::string replace(const std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) refuse("replacing an empty text");
  std::string out;
  size_t begin = 0;
  for (size_t at; (at = text.find(from, begin)) != text.npos; begin = at + from.size()) {
    append(out, std::string_view(text).substr(begin, at - begin));
    append(out, to);
  }
  append(out, std::string_view(text).substr(begin));
  return out;
}

std::string with_case(std::string text, bool upper) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) refuse("the case of letters beyond ASCII");
    if (upper && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!upper && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

Json pairs_of(const Json& object) {
  Json pairs = Json::array();
  for (const auto& [key, value] : object.items()) pairs.push_back(Json::array({key, value}));
  return bounded(std::move(pairs));
}

// Python's length of a text is that of its code points.
size_t length(const Json& value) {
  if (value.is_string()) return decode_utf8(text_of(value)).value_or_throw().size();
  if (!value.is_structured()) refuse("the length of " + phrase(value));
  return value.size();
}

}  // namespace

bool contains(const Json& whole, const Json& part) {
  if (whole.is_string()) return text_of(whole).find(text_of(part)) != std::string::npos;
  if (whole.is_object()) return part.is_string() && whole.contains(text_of(part));
  if (!whole.is_array()) refuse("'in' " + phrase(whole));
  return std::any_of(whole.begin(), whole.end(), [&](const Json& x) { return equal(x, part); });
}

Json item_of(const Json& value, const Json& key) {
  if (is_undefined(value)) refuse("a member of something undefined");
  if (value.is_object() && key.is_string()) {
    const auto found = value.find(text_of(key));
    return found == value.end() ? kUndefined : *found;
  }
  if (value.is_array() && key.is_number_integer()) {
    const auto size = static_cast<int64_t>(value.size());
    const int64_t i = integer_of(key), at = i < 0 ? i + size : i;
    return at < 0 || at >= size ? kUndefined : value[static_cast<size_t>(at)];
  }
  if (value.is_string() && key.is_number_integer()) refuse("a character of a text");
  return kUndefined;
}

Json slice(const Json& value, const Json& from, const Json& to, const Json& step) {
  if (!value.is_array()) refuse("a slice of " + phrase(value));
  const int64_t by = step.is_null() ? 1 : integer_of(step);
  if (by == 0) refuse("a slice of step 0");
  const auto size = static_cast<int64_t>(value.size());
  const int64_t lowest = by > 0 ? 0 : -1, highest = by > 0 ? size : size - 1;
  const auto place = [&](const Json& bound, int64_t absent) {
    if (bound.is_null()) return absent;
    const int64_t given = integer_of(bound);
    return std::clamp(given < 0 ? given + size : given, lowest, highest);
  };
  const int64_t end = place(to, by > 0 ? size : -1);
  Json part = Json::array();
  for (int64_t i = place(from, by > 0 ? 0 : size - 1); by > 0 ? i < end : i > end;) {
    part.push_back(value[static_cast<size_t>(i)]);
    if (by > size || by < -size) break;
    i += by;
  }
  return part;
}

bool passes_test(const std::string& name, const Json& value, const std::vector<Json>& arguments) {
  if (name == "defined") return !is_undefined(value);
  if (name == "undefined") return is_undefined(value);
  if (name == "none") return value.is_null();
  if (name == "string") return value.is_string();
  if (name == "mapping") return value.is_object();
  if (name == "iterable" || name == "sequence") return value.is_structured() || value.is_string();
  if (name == "boolean") return value.is_boolean();
  if (name == "number") return value.is_number() || value.is_boolean();
  if (name == "integer") return value.is_number_integer();
  if (name == "true") return value == true;
  if (name == "false") return value == false;
  if ((name == "equalto" || name == "eq" || name == "==") && arguments.size() == 1) {
    return equal(value, arguments[0]);
  }
  refuse("the test '" + shown(name) + "' is not known");
}

namespace {

// `values | selectattr(name, test, argument ...)`, or rejectattr.
Json with_attribute(const Json& values, const std::vector<Json>& arguments, bool wanted) {
  if (!values.is_array() || arguments.empty()) refuse("selectattr of " + phrase(values));
  Json selected = Json::array();
  for (const Json& value : values) {
    const Json attribute = item_of(value, arguments[0]);
    const bool passes = arguments.size() == 1
                            ? truth(attribute)
                            : passes_test(text_of(arguments[1]), attribute,
                                          {arguments.begin() + 2, arguments.end()});
    if (passes == wanted) selected.push_back(value);
  }
  return selected;
}

}  // namespace

Json filtered(const std::string& name, const Json& value, const std::vector<Json>& arguments) {
  if (name == "trim" && arguments.empty()) return strip(written(value), Ends::kBoth, nullptr);
  if (name == "length" || name == "count") return length(value);
  if (name == "string") return written(value);
  if (name == "upper" || name == "lower") return with_case(text_of(value), name == "upper");
  if (name == "default" || name == "d") {
    const bool replaced =
        arguments.size() > 1 && truth(arguments[1]) ? !truth(value) : is_undefined(value);
    return replaced ? arguments.empty() ? Json("") : arguments[0] : value;
  }
  if (name == "list" && value.is_array()) return value;
  if (name == "first") return item_of(value, 0);
  if (name == "last") return item_of(value, -1);
  if (name == "items" && value.is_object()) return pairs_of(value);
  if (name == "selectattr" || name == "rejectattr") {
    return with_attribute(value, arguments, name == "selectattr");
  }
  if (name == "replace" && arguments.size() == 2) {
    return replace(text_of(value), text_of(arguments[0]), text_of(arguments[1]));
  }
  if (name == "join" && value.is_array() && arguments.size() < 2) {
    std::string joined;
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0 && !arguments.empty()) append(joined, text_of(arguments[0]));
      append(joined, written(value[i]));
    }
    return joined;
  }
  refuse("the filter '" + shown(name) + "' is not known");
}

Json text_method(const std::string& text, const std::string& name,
                 const std::vector<Json>& arguments) {
  const auto argument = [&](size_t i) -> const std::string& {
    if (i >= arguments.size()) refuse("'" + shown(name) + "' needs an argument");
    return text_of(arguments[i]);
  };
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const Ends ends = name == "strip" ? Ends::kBoth : name == "lstrip" ? Ends::kLeft : Ends::kRight;
    return strip(text, ends, arguments.empty() ? nullptr : &argument(0));
  }
  if (name == "split") return split(text, argument(0));
  if (name == "startswith") return text.starts_with(argument(0));
  if (name == "endswith") return text.ends_with(argument(0));
  if (name == "replace") return replace(text, argument(0), argument(1));
  if (name == "upper" || name == "lower") return with_case(text, name == "upper");
  refuse("the method '" + shown(name) + "' of a text is not known");
}

Json object_method(const Json& object, const std::string& name,
                   const std::vector<Json>& arguments) {
  if (name == "items") return pairs_of(object);
  if (name == "get" && !arguments.empty()) {
    const Json found = item_of(object, arguments[0]);
    return !is_undefined(found) ? found : arguments.size() > 1 ? arguments[1] : Json(nullptr);
  }
  refuse("the method '" + shown(name) + "' of a mapping is not known");
}

}  // namespace l2a::jinja
