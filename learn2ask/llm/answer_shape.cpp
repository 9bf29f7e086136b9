#include "llm/answer_shape.h"

#include <algorithm>
#include <utility>

namespace l2a {
namespace {

// How much of an integer is there; each digit more is one more.
enum : uint32_t { kNothing, kSign, kZero, kOneDigit };
constexpr uint32_t kMostDigits = 15;  // that a double holds

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

AnswerShape::AnswerShape(const Json& schema) { root_ = add_schema(schema); }

uint32_t AnswerShape::add(Part part) {
  parts_.push_back(std::move(part));
  return static_cast<uint32_t>(parts_.size() - 1);
}

uint32_t AnswerShape::literal(std::string text) {
  return add({.kind = Kind::kLiteral, .literal = std::move(text)});
}

uint32_t AnswerShape::sequence(std::vector<uint32_t> parts) {
  return add({.kind = Kind::kEither, .ways = {std::move(parts)}});
}

uint32_t AnswerShape::add_schema(const Json& schema) {
  if (schema.contains("enum")) {
    Part either{.kind = Kind::kEither};
    for (const Json& value : schema["enum"]) either.ways.push_back({literal(dump_json(value))});
    return add(std::move(either));
  }
  const std::string type = get_string_or(schema, "type", "").value_or_throw();
  if (type == "object") return add_object(schema);
  if (type == "array") return add_array(schema);
  if (type == "string") return sequence({literal("\""), add({.kind = Kind::kText})});
  if (type == "integer") return add({.kind = Kind::kInteger});
  if (type == "boolean") {
    return add({.kind = Kind::kEither, .ways = {{literal("true")}, {literal("false")}}});
  }
  fail(ErrorCode::kUnsupported, "schema: not understood: " + dump_json(schema));
}

uint32_t AnswerShape::add_object(const Json& schema) {
  const Json& properties = *get_object(schema, "properties").value_or_throw();
  const Json& required = *get_list(schema, "required").value_or_throw();
  if (required.size() != properties.size()) {
    fail(ErrorCode::kUnsupported, "schema: properties that are not required: " + dump_json(schema));
  }
  std::vector<uint32_t> parts;
  for (const Json& key : required) {
    parts.push_back(literal((parts.empty() ? "{" : ", ") + dump_json(key) + ": "));
    parts.push_back(add_schema(*get_object(properties, key.get<std::string>()).value_or_throw()));
  }
  parts.push_back(literal(parts.empty() ? "{}" : "}"));
  return sequence(std::move(parts));
}

uint32_t AnswerShape::add_array(const Json& schema) {
  const uint32_t item = add_schema(*get_object(schema, "items").value_or_throw());
  const uint32_t close = literal("]"), comma = literal(", ");
  const uint32_t more = add({.kind = Kind::kEither});
  parts_[more].ways = {{close}, {comma, item, more}};
  const uint32_t inside = add({.kind = Kind::kEither, .ways = {{close}, {item, more}}});
  return sequence({literal("["), inside});
}

AnswerShape::Place AnswerShape::after(Place place, std::string_view bytes) const {
  for (const char byte : bytes) {
    Place next;
    for (Way& way : place) step(std::move(way), byte, next);
    place = std::move(next);
  }
  return place;
}

// Adds to `next` the ways in which `way` goes on after `byte`.
void AnswerShape::step(Way way, char byte, Place& next) const {
  if (way.parts.empty()) return;
  const Part& part = parts_[way.parts.back()];
  const auto go_on = [&](uint32_t progress) {
    way.progress = progress;
    next.push_back(std::move(way));
  };
  const auto finish = [&] {
    way.parts.pop_back();
    go_on(0);
  };
  switch (part.kind) {
    case Kind::kEither:
      way.parts.pop_back();
      for (const auto& parts : part.ways) {
        Way one = way;
        one.parts.insert(one.parts.end(), parts.rbegin(), parts.rend());
        step(std::move(one), byte, next);
      }
      return;
    case Kind::kLiteral:
      if (part.literal[way.progress] != byte) return;
      if (way.progress + 1 == part.literal.size()) return finish();
      return go_on(way.progress + 1);
    case Kind::kText: {
      constexpr std::string_view kEscapes = "\"\\/bfnrt";
      if (way.progress == 1) {  // after a backslash
        if (kEscapes.find(byte) != kEscapes.npos) go_on(0);
        return;
      }
      if (byte == '"') return finish();
      if (static_cast<unsigned char>(byte) >= 0x20) go_on(byte == '\\' ? 1 : 0);
      return;
    }
    case Kind::kInteger: {
      const bool begins = way.progress == kNothing || way.progress == kSign;
      if (begins && is_digit(byte)) return go_on(byte == '0' ? kZero : kOneDigit);
      if (way.progress == kNothing && byte == '-') return go_on(kSign);
      if (begins) return;
      const bool has_room = way.progress >= kOneDigit && way.progress < kOneDigit + kMostDigits - 1;
      if (is_digit(byte)) {
        if (has_room) go_on(way.progress + 1);
        return;
      }
      way.parts.pop_back();
      way.progress = 0;
      return step(std::move(way), byte, next);
    }
  }
}

bool AnswerShape::is_whole(const Place& place) const {
  return std::any_of(place.begin(), place.end(), [&](const Way& way) {
    if (way.parts.empty()) return true;
    const bool is_integer = parts_[way.parts.back()].kind == Kind::kInteger;
    return way.parts.size() == 1 && is_integer && way.progress >= kZero;
  });
}

bool AnswerShape::is_in_text(const Place& place) const {
  if (place.size() != 1 || place[0].parts.empty() || place[0].progress != 0) return false;
  return parts_[place[0].parts.back()].kind == Kind::kText;
}

}  // namespace l2a
