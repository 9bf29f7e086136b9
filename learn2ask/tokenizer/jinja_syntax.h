// The syntax tree of a chat template's Jinja text.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace l2a::jinja {

// What is wrong with a template, or what it raised itself. Neither leaves jinja*.cpp.
struct Problem : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Raised : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void refuse(size_t line, const std::string& why);

struct Expression {
  enum class Kind {
    kLiteral,      // value
    kName,         // text
    kList,         // operands
    kDict,         // operands: key, value, key, value ...
    kItem,         // operands[0] [operands[1]], and a.b as a["b"]
    kSlice,        // operands[0] [from : to : step], the missing ones literal nulls
    kCall,         // operands[0] (operands[1..])
    kFilter,       // operands[0] | text(operands[1..])
    kTest,         // operands[0] is text(operands[1..])
    kUnary,        // text operands[0]
    kBinary,       // operands[0] text operands[1]
    kConditional,  // operands[0] if operands[1] else operands[2]
  };
  Kind kind = Kind::kLiteral;
  std::string text;
  Json value;
  std::vector<Expression> operands;
  // Of kCall and kFilter: the keyword of each operand, empty where it has none.
  std::vector<std::string> keywords;
};

struct Statement {
  enum class Kind {
    kText,    // text
    kOutput,  // {{ value }}
    kSet,     // names[0] = value, or names[0].names[1] = value
    kFor,     // names in value, those for which `condition` holds
    kIf,      // value: body, else otherwise
  };
  Kind kind = Kind::kText;
  std::string text;
  std::vector<std::string> names;
  Expression value;
  std::vector<Expression> condition;  // none or one
  std::vector<Statement> body, otherwise;
};

// As transformers reads chat templates: trim_blocks and lstrip_blocks are on. Throws Problem,
// naming the line, for what is not Jinja or is a part of it that we do not know.
std::vector<Statement> parse(std::string_view text);

}  // namespace l2a::jinja
