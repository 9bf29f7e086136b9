// Cuts a chat template's Jinja text into tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace l2a::jinja {

struct Token {
  enum class Kind { kText, kOpen, kClose, kName, kInteger, kString, kOperator, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  // of kOpen and kClose: "{{", "{%", "}}", "%}"
  size_t line = 1;
};

// The last token is kEnd. What stands between tags is one kText, its white space already cut where
// the tags beside it say so. Throws Problem (jinja_syntax.h), naming the line.
std::vector<Token> cut_into_tokens(std::string_view text);

}  // namespace l2a::jinja
