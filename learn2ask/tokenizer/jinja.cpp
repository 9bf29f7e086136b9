#include "tokenizer/jinja.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <vector>

#include "base/utf8.h"
#include "tokenizer/jinja_syntax.h"
#include "tokenizer/jinja_values.h"

namespace l2a {
namespace jinja {
namespace {

constexpr size_t kMaxSteps = 200'000;  // expressions evaluated in one rendering
constexpr size_t kMaxArguments = 32;   // of one call, with what is called
constexpr size_t kMaxVariables = 100;  // that it sets in one scope: its body, and each loop's

class Renderer {
 public:
  explicit Renderer(const Json& variables) {
    scopes_.emplace_back();
    for (const auto& [name, value] : variables.items()) scopes_.back()[name] = value;
  }

  std::string render(const std::vector<Statement>& statements) {
    run(statements);
    return std::move(out_);
  }

 private:
  using Kind = Expression::Kind;

  void run(const std::vector<Statement>& statements) {
    for (const Statement& statement : statements) {
      count_step();
      switch (statement.kind) {
        case Statement::Kind::kText:
          write(statement.text);
          break;
        case Statement::Kind::kOutput:
          write(written(value_of(statement.value)));
          break;
        case Statement::Kind::kSet:
          set(statement);
          break;
        case Statement::Kind::kFor:
          loop(statement);
          break;
        case Statement::Kind::kIf:
          run(truth(value_of(statement.value)) ? statement.body : statement.otherwise);
          break;
      }
    }
  }

  void count_step(size_t steps = 1) {
    steps_ += steps;
    if (steps_ > kMaxSteps) refuse("too many steps");
  }

  // A copy, which takes the longer the larger the value is.
  Json copied(const Json& value) {
    ValueBound size;
    size.add(value);
    count_step(size.steps());
    return value;
  }

  void write(std::string_view text) { append(out_, text); }

  Json* find(const std::string& name) {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      const auto found = scope->find(name);
      if (found != scope->end()) return &found->second;
    }
    return nullptr;
  }

  void set(const Statement& statement) {
    Json value = value_of(statement.value);
    if (statement.names.size() == 1) {
      auto& scope = scopes_.back();
      scope[statement.names[0]] = std::move(value);
      if (scope.size() > kMaxVariables) refuse("too many variables");
      return;
    }
    Json* space = find(statement.names[0]);
    if (!space || !space->is_object()) refuse("'" + shown(statement.names[0]) + "': no namespace");
    (*space)[statement.names[1]] = std::move(value);
    bounded(*space);
  }

  void bind(const std::vector<std::string>& names, const Json& item) {
    if (names.size() == 1) {
      scopes_.back()[names[0]] = item;
      return;
    }
    if (!item.is_array() || item.size() != names.size()) refuse("a loop over several names");
    for (size_t i = 0; i < names.size(); ++i) scopes_.back()[names[i]] = item[i];
  }

  void loop(const Statement& statement) {
    const Json values = value_of(statement.value);
    if (!is_undefined(values) && !values.is_array()) refuse("a loop over " + type_phrase(values));
    std::vector<Json> items;
    scopes_.emplace_back();
    for (size_t i = 0; i < values.size() && !is_undefined(values); ++i) {
      bind(statement.names, values[i]);
      if (statement.condition.empty() || truth(value_of(statement.condition[0]))) {
        items.push_back(values[i]);
      }
    }
    scopes_.pop_back();
    if (items.empty()) return run(statement.otherwise);
    for (size_t i = 0; i < items.size(); ++i) {
      scopes_.emplace_back();
      bind(statement.names, items[i]);
      scopes_.back()["loop"] = {{"index", i + 1},
                                {"index0", i},
                                {"first", i == 0},
                                {"last", i + 1 == items.size()},
                                {"length", items.size()},
                                {"previtem", i > 0 ? items[i - 1] : kUndefined},
                                {"nextitem", i + 1 < items.size() ? items[i + 1] : kUndefined}};
      run(statement.body);
      scopes_.pop_back();
    }
  }

  std::vector<Json> arguments_of(const std::vector<Expression>& expressions) {
    if (expressions.size() > kMaxArguments) refuse("too many arguments");
    std::vector<Json> values;
    for (size_t i = 1; i < expressions.size(); ++i) values.push_back(value_of(expressions[i]));
    return values;
  }

  Json list_of(const std::vector<Expression>& expressions) {
    Json list = Json::array();
    ValueBound bound;
    for (const Expression& expression : expressions) {
      list.push_back(value_of(expression));
      bound.add(list.back(), 1);
    }
    return list;
  }

  Json value_of(const Expression& e) {
    count_step();
    const auto operand = [&](size_t i) { return value_of(e.operands.at(i)); };
    switch (e.kind) {
      case Kind::kLiteral:
        return copied(e.value);
      case Kind::kName: {
        const Json* found = find(e.text);
        return found ? copied(*found) : kUndefined;
      }
      case Kind::kList:
        return list_of(e.operands);
      case Kind::kDict:
        return dict(e);
      case Kind::kItem:
        return item_of(operand(0), operand(1));
      case Kind::kSlice:
        return slice(operand(0), operand(1), operand(2), operand(3));
      case Kind::kCall:
        return call(e);
      case Kind::kFilter:
        return filtered(e.text, operand(0), arguments_of(e.operands));
      case Kind::kTest:
        return passes_test(e.text, operand(0), arguments_of(e.operands));
      case Kind::kUnary:
        if (e.text == "not") return !truth(operand(0));
        return -integer_of(operand(0));
      case Kind::kBinary:
        return binary(e);
      case Kind::kConditional:
        return truth(operand(1)) ? operand(0) : operand(2);
    }
    return kUndefined;
  }

  Json dict(const Expression& e) {
    Json made = Json::object();
    ValueBound bound;
    for (size_t i = 0; i < e.operands.size(); i += 2) {
      Json& value = made[text_of(value_of(e.operands[i]))];
      value = value_of(e.operands[i + 1]);
      bound.add(value, 1);
    }
    return made;
  }

  Json call(const Expression& e) {
    const Expression& callee = e.operands[0];
    const auto arguments = arguments_of(e.operands);
    if (callee.kind == Kind::kItem && callee.operands[1].kind == Kind::kLiteral) {
      const Json object = value_of(callee.operands[0]);
      const std::string name = written(callee.operands[1].value);
      if (object.is_string()) return text_method(text_of(object), name, arguments);
      if (object.is_object()) return object_method(object, name, arguments);
      refuse("the method '" + shown(name) + "' of " + type_phrase(object));
    }
    if (callee.kind == Kind::kName && callee.text == "namespace") {
      Json space = Json::object();
      for (size_t i = 0; i < arguments.size(); ++i) space[e.keywords[i + 1]] = arguments[i];
      return bounded(std::move(space));
    }
    if (callee.kind == Kind::kName && callee.text == "raise_exception") {
      throw Raised(arguments.empty() ? "an exception" : shown(written(arguments[0]), 200));
    }
    refuse("the function '" + shown(callee.text) + "' is not known");
  }

  Json binary(const Expression& e) {
    const Json left = value_of(e.operands[0]);
    if (e.text == "and") return truth(left) ? value_of(e.operands[1]) : left;
    if (e.text == "or") return truth(left) ? left : value_of(e.operands[1]);
    const Json right = value_of(e.operands[1]);
    if (e.text == "==") return equal(left, right);
    if (e.text == "!=") return !equal(left, right);
    if (e.text == "in") return contains(right, left);
    if (e.text == "not in") return !contains(right, left);
    if (e.text == "~") return bounded(written(left) + written(right));
    if (e.text == "+" && left.is_string()) return bounded(text_of(left) + text_of(right));
    if (e.text == "+" && left.is_array() && right.is_array()) {
      Json both = left;
      both.insert(both.end(), right.begin(), right.end());
      return bounded(std::move(both));
    }
    return arithmetic(e.text, integer_of(left), integer_of(right));
  }

  static Json arithmetic(const std::string& op, int64_t a, int64_t b) {
    constexpr int64_t kLimit = int64_t{1} << 31;  // sums and products of such fit
    if (std::max(std::abs(a), std::abs(b)) > kLimit) refuse("too large a number");
    if (op == "<") return a < b;
    if (op == ">") return a > b;
    if (op == "<=") return a <= b;
    if (op == ">=") return a >= b;
    if (op == "+") return a + b;
    if (op == "-") return a - b;
    if (op == "*") return a * b;
    if ((op == "%" || op == "//") && b == 0) refuse("a division by 0");
    const int64_t remainder = op == "%" || op == "//" ? ((a % b) + b) % b : 0;
    if (op == "%") return remainder;
    if (op == "//") return (a - remainder) / b;
    refuse("the operator '" + op + "' is not known");
  }

  std::vector<std::map<std::string, Json>> scopes_;
  std::string out_;
  size_t steps_ = 0;
};

}  // namespace
}  // namespace jinja

struct JinjaTemplate::Impl {
  std::vector<jinja::Statement> statements;
};

Result<JinjaTemplate> JinjaTemplate::parse(std::string_view text) {
  if (find_bad_utf8(text)) return Error{ErrorCode::kInvalidInput, "not valid UTF-8"};
  if (text.size() > jinja::kMaxBytes) return Error{ErrorCode::kUnsupported, "too long a text"};
  try {
    JinjaTemplate result;
    result.impl_ = std::make_shared<Impl>(Impl{jinja::parse(text)});
    return result;
  } catch (const jinja::Problem& problem) {
    return Error{ErrorCode::kUnsupported, problem.what()};
  }
}

Result<std::string> JinjaTemplate::render(const Json& variables) const {
  try {
    return jinja::Renderer(variables).render(impl_->statements);
  } catch (const jinja::Raised& raised) {
    return Error{ErrorCode::kInvalidInput, raised.what()};
  } catch (const jinja::Problem& problem) {
    return Error{ErrorCode::kUnsupported, problem.what()};
  }
}

std::string strip_like_python(std::string_view text) {
  return jinja::strip(text, jinja::Ends::kBoth, nullptr);
}

}  // namespace l2a
