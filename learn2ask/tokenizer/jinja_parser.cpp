#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/utf8.h"
#include "tokenizer/jinja_lexer.h"
#include "tokenizer/jinja_syntax.h"

namespace l2a::jinja {
namespace {

constexpr int kMaxDepth = 64;  // of expressions and blocks: both are walked by recursion

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::vector<Statement> run() {
    auto statements = block({});
    if (now().kind != Token::Kind::kEnd) refuse(now().line, "'" + now().text + "' without a start");
    return statements;
  }

 private:
  using Kind = Expression::Kind;

  // Depth of the recursion that the object's life spans.
  struct Deeper {
    explicit Deeper(Parser& p) : parser(p) {
      if (++parser.depth_ > kMaxDepth) refuse(parser.now().line, "nested too deeply");
    }
    ~Deeper() { --parser.depth_; }
    Parser& parser;
  };

  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }

  bool is(Token::Kind kind, std::string_view text) const {
    return now().kind == kind && now().text == text;
  }
  bool accept(Token::Kind kind, std::string_view text) {
    const bool found = is(kind, text);
    at_ += found;
    return found;
  }
  bool accept_operator(std::string_view text) { return accept(Token::Kind::kOperator, text); }
  bool accept_word(std::string_view text) { return accept(Token::Kind::kName, text); }

  void expect(Token::Kind kind, std::string_view text) {
    if (!accept(kind, text)) {
      refuse(now().line, "'" + std::string(text) + "' expected before '" + shown(now().text) + "'");
    }
  }
  std::string expect_name() {
    if (now().kind != Token::Kind::kName) {
      refuse(now().line, "a name expected before '" + shown(now().text) + "'");
    }
    return tokens_[at_++].text;
  }

  // Whether the tag at hand is a statement that opens with `word`.
  bool at_statement(std::string_view word) const {
    return is(Token::Kind::kOpen, "{%") && next().kind == Token::Kind::kName && next().text == word;
  }

  // Statements up to the end, or up to a tag that opens with one of `ends`.
  std::vector<Statement> block(std::initializer_list<std::string_view> ends) {
    const Deeper deeper(*this);
    std::vector<Statement> statements;
    while (now().kind != Token::Kind::kEnd) {
      for (const std::string_view end : ends) {
        if (at_statement(end)) return statements;
      }
      if (now().kind == Token::Kind::kText) {
        statements.push_back({Statement::Kind::kText, tokens_[at_++].text, {}, {}, {}, {}, {}});
      } else if (accept(Token::Kind::kOpen, "{{")) {
        Statement output{Statement::Kind::kOutput, {}, {}, expression(), {}, {}, {}};
        expect(Token::Kind::kClose, "}}");
        statements.push_back(std::move(output));
      } else {
        statement(statements);
      }
    }
    if (ends.size() > 0) refuse(now().line, "'" + std::string(*ends.begin()) + "' is missing");
    return statements;
  }

  void end_statement() { expect(Token::Kind::kClose, "%}"); }
  void end_block(std::string_view word) {
    expect(Token::Kind::kOpen, "{%");
    expect(Token::Kind::kName, word);
    end_statement();
  }

  void statement(std::vector<Statement>& out) {
    expect(Token::Kind::kOpen, "{%");
    const size_t line = now().line;
    const std::string word = expect_name();
    if (word == "set") {
      out.push_back(set_statement());
    } else if (word == "for") {
      out.push_back(for_statement());
    } else if (word == "if") {
      out.push_back(if_statement());
    } else if (word == "generation" || word == "endgeneration") {
      end_statement();  // marks what a model wrote: transformers' own, writes nothing
    } else {
      refuse(line, "'" + shown(word) + "' is a statement that we do not know");
    }
  }

  Statement set_statement() {
    Statement set{Statement::Kind::kSet, {}, {expect_name()}, {}, {}, {}, {}};
    if (accept_operator(".")) set.names.push_back(expect_name());
    expect(Token::Kind::kOperator, "=");
    set.value = expression();
    end_statement();
    return set;
  }

  Statement for_statement() {
    Statement loop{Statement::Kind::kFor, {}, {expect_name()}, {}, {}, {}, {}};
    while (accept_operator(",")) loop.names.push_back(expect_name());
    expect(Token::Kind::kName, "in");
    loop.value = alternatives();  // no condition: an `if` filters
    if (accept_word("if")) loop.condition.push_back(expression());
    end_statement();
    loop.body = block({"endfor", "else"});
    if (at_statement("else")) {
      end_block("else");
      loop.otherwise = block({"endfor"});
    }
    end_block("endfor");
    return loop;
  }

  // After the `if` or `elif`; takes in the `endif`.
  Statement if_statement() {
    const Deeper deeper(*this);
    Statement branch{Statement::Kind::kIf, {}, {}, expression(), {}, {}, {}};
    end_statement();
    branch.body = block({"endif", "elif", "else"});
    if (at_statement("elif")) {
      at_ += 2;
      branch.otherwise.push_back(if_statement());
      return branch;
    }
    if (at_statement("else")) {
      end_block("else");
      branch.otherwise = block({"endif"});
    }
    end_block("endif");
    return branch;
  }

  static Expression make(Kind kind, std::string text, std::vector<Expression> operands) {
    return {kind, std::move(text), {}, std::move(operands), {}};
  }
  static Expression literal(Json value) { return {Kind::kLiteral, {}, std::move(value), {}, {}}; }

  Expression expression() {
    const Deeper deeper(*this);
    Expression value = alternatives();
    for (size_t links = 0; accept_word("if"); ++links) {
      if (links == kMaxLinks) refuse(now().line, "too long an expression");
      Expression condition = alternatives();
      Expression otherwise = literal(Json(Json::value_t::discarded));
      if (accept_word("else")) otherwise = expression();
      value = make(Kind::kConditional, "",
                   {std::move(value), std::move(condition), std::move(otherwise)});
    }
    return value;
  }

  // Left-associative: operand (operator operand)*.
  template <class Operand, class Operator>
  Expression chain(Operand operand, Operator accepted) {
    Expression left = operand();
    size_t links = 0;
    for (std::string op = accepted(); !op.empty(); op = accepted()) {
      if (++links > kMaxLinks) refuse(now().line, "too long an expression");
      left = make(Kind::kBinary, op, {std::move(left), operand()});
    }
    return left;
  }

  std::string accept_any(std::initializer_list<std::string_view> operators) {
    for (const std::string_view op : operators) {
      if (accept_operator(op)) return std::string(op);
    }
    return "";
  }

  Expression alternatives() {
    return chain([&] { return conjunction(); },
                 [&] { return std::string(accept_word("or") ? "or" : ""); });
  }
  Expression conjunction() {
    return chain([&] { return negation(); },
                 [&] { return std::string(accept_word("and") ? "and" : ""); });
  }
  Expression negation() {
    const Deeper deeper(*this);
    if (accept_word("not")) return make(Kind::kUnary, "not", {negation()});
    return chain([&] { return sum(); },
                 [&]() -> std::string {
                   if (accept_word("in")) return "in";
                   if (is(Token::Kind::kName, "not") && next().text == "in") {
                     at_ += 2;
                     return "not in";
                   }
                   return accept_any({"==", "!=", "<=", ">=", "<", ">"});
                 });
  }
  Expression sum() {
    return chain([&] { return concatenation(); }, [&] { return accept_any({"+", "-"}); });
  }
  Expression concatenation() {
    return chain([&] { return product(); }, [&] { return accept_any({"~"}); });
  }
  Expression product() {
    return chain([&] { return unary(); }, [&] { return accept_any({"*", "//", "/", "%"}); });
  }

  Expression unary() {
    const Deeper deeper(*this);
    if (accept_operator("-")) return make(Kind::kUnary, "-", {unary()});
    Expression value = primary();
    for (size_t links = 0;; ++links) {
      if (links > kMaxLinks) refuse(now().line, "too long an expression");
      if (accept_operator(".")) {
        value = make(Kind::kItem, "", {std::move(value), literal(expect_name())});
      } else if (accept_operator("[")) {
        value = subscript(std::move(value));
      } else if (accept_operator("(")) {
        value = make(Kind::kCall, "", {std::move(value)});
        arguments(value);
      } else if (accept_operator("|")) {
        value = make(Kind::kFilter, expect_name(), {std::move(value)});
        if (accept_operator("(")) arguments(value);
      } else if (accept_word("is")) {
        value = test(std::move(value));
      } else {
        return value;
      }
    }
  }

  Expression test(Expression value) {
    const bool negated = accept_word("not");
    Expression test = make(Kind::kTest, expect_name(), {std::move(value)});
    if (accept_operator("(")) {
      arguments(test);
    } else if (now().kind == Token::Kind::kString || now().kind == Token::Kind::kInteger) {
      test.operands.push_back(primary());
    }
    return negated ? make(Kind::kUnary, "not", {std::move(test)}) : test;
  }

  // What follows a "[".
  Expression subscript(Expression value) {
    std::vector<Expression> parts(1);
    bool slice = false;
    while (!accept_operator("]")) {
      if (accept_operator(":")) {
        slice = true;
        parts.emplace_back();
      } else {
        parts.back() = expression();
      }
      if (parts.size() > 3) refuse(now().line, "a slice of more than three parts");
    }
    if (!slice) return make(Kind::kItem, "", {std::move(value), std::move(parts[0])});
    parts.resize(3);
    return make(Kind::kSlice, "",
                {std::move(value), std::move(parts[0]), std::move(parts[1]), std::move(parts[2])});
  }

  // What follows a "(", added to the operands.
  void arguments(Expression& call) {
    call.keywords.resize(call.operands.size());
    while (!accept_operator(")")) {
      const bool named = now().kind == Token::Kind::kName && next().text == "=" &&
                         next().kind == Token::Kind::kOperator;
      call.keywords.push_back(named ? now().text : "");
      at_ += named ? 2 : 0;
      call.operands.push_back(expression());
      if (!is(Token::Kind::kOperator, ")")) expect(Token::Kind::kOperator, ",");
    }
  }

  Expression primary() {
    const Token token = now();
    ++at_;
    switch (token.kind) {
      case Token::Kind::kName:
        return name_or_constant(token.text);
      case Token::Kind::kInteger:
        return literal(integer(token));
      case Token::Kind::kString: {
        std::string text = token.text;
        while (now().kind == Token::Kind::kString) text += tokens_[at_++].text;
        return literal(std::move(text));
      }
      case Token::Kind::kOperator:
        if (token.text == "(") {
          Expression inner = expression();
          expect(Token::Kind::kOperator, ")");
          return inner;
        }
        if (token.text == "[") return list();
        if (token.text == "{") return dict();
        break;
      default:
        break;
    }
    --at_;
    refuse(token.line, "a value expected before '" + shown(token.text) + "'");
  }

  static Expression name_or_constant(const std::string& name) {
    if (name == "true" || name == "True") return literal(true);
    if (name == "false" || name == "False") return literal(false);
    if (name == "none" || name == "None") return literal(nullptr);
    return make(Kind::kName, name, {});
  }

  static int64_t integer(const Token& token) {
    int64_t value = 0;
    const char* end = token.text.data() + token.text.size();
    if (std::from_chars(token.text.data(), end, value).ec != std::errc()) {
      refuse(token.line, "too large a number");
    }
    return value;
  }

  Expression list() {
    Expression list = make(Kind::kList, "", {});
    while (!accept_operator("]")) {
      list.operands.push_back(expression());
      if (!is(Token::Kind::kOperator, "]")) expect(Token::Kind::kOperator, ",");
    }
    return list;
  }

  Expression dict() {
    Expression dict = make(Kind::kDict, "", {});
    while (!accept_operator("}")) {
      dict.operands.push_back(expression());
      expect(Token::Kind::kOperator, ":");
      dict.operands.push_back(expression());
      if (!is(Token::Kind::kOperator, "}")) expect(Token::Kind::kOperator, ",");
    }
    return dict;
  }

  static constexpr size_t kMaxLinks = 40;  // of one chain: its tree is as deep
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

void refuse(size_t line, const std::string& why) {
  throw Problem("line " + std::to_string(line) + ": " + why);
}

std::vector<Statement> parse(std::string_view text) { return Parser(cut_into_tokens(text)).run(); }

}  // namespace l2a::jinja
