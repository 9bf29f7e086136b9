#include "tokenizer/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/utf8.h"
#include "tokenizer/jinja_syntax.h"

namespace l2a::jinja {
namespace {

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (!text.substr(i).starts_with("\r\n")) text_ += text[i];
    }
    if (text_.ends_with('\n')) text_.pop_back();  // as Jinja does
  }

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      lex_text();
      if (at_ == text_.size()) break;
      const std::string tag = text_.substr(at_, 2);
      at_ += 2;
      if (peek() == '-' || peek() == '+') ++at_;
      if (tag == "{#") {
        skip_comment();
      } else {
        lex_tag(tag);
      }
    }
    add(Token::Kind::kEnd, "the end");
    return std::move(tokens_);
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void add(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  static bool opens_tag(std::string_view text) {
    return text.starts_with("{{") || text.starts_with("{%") || text.starts_with("{#");
  }

  void lex_text() {
    const size_t start = at_;
    while (at_ < text_.size() && !opens_tag(std::string_view(text_).substr(at_))) ++at_;
    const std::string_view whole = std::string_view(text_).substr(start, at_ - start);
    std::string_view text = whole;
    if (strip_left_) {
      while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    } else if (after_block_ && text.starts_with('\n')) {
      text.remove_prefix(1);
    }
    if (at_ < text_.size()) {
      const char kind = text_[at_ + 1], mark = at_ + 2 < text_.size() ? text_[at_ + 2] : '\0';
      if (mark == '-') {
        while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
      } else if (kind != '{' && mark != '+') {
        text.remove_suffix(std::min(text.size(), indent_at_end(whole, start == 0)));
      }
    }
    if (!text.empty()) add(Token::Kind::kText, std::string(text));
    line_ += static_cast<size_t>(std::count(whole.begin(), whole.end(), '\n'));
  }

  // A block that is the first thing on its line loses the white space before it.
  static size_t indent_at_end(std::string_view text, bool is_first) {
    size_t end = text.size();
    while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\t')) --end;
    const bool starts_line = end > 0 ? text[end - 1] == '\n' : is_first;
    return starts_line ? text.size() - end : 0;
  }

  void skip_comment() {
    const size_t end = text_.find("#}", at_);
    if (end == std::string::npos) refuse(line_, "a comment that is not closed");
    line_ +=
        static_cast<size_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                       text_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    strip_left_ = end > at_ && text_[end - 1] == '-';
    after_block_ = true;
    at_ = end + 2;
  }

  void lex_tag(const std::string& tag) {
    const std::string close = tag == "{{" ? "}}" : "%}";
    add(Token::Kind::kOpen, tag);
    size_t braces = 0;  // of dictionaries, whose "}}" closes no tag
    while (true) {
      while (is_blank(peek())) line_ += text_[at_++] == '\n';
      if (at_ >= text_.size()) refuse(line_, "a tag that is not closed");
      const std::string_view rest = std::string_view(text_).substr(at_);
      const bool marked = rest.substr(1).starts_with(close) && (rest[0] == '-' || rest[0] == '+');
      if (braces == 0 && (marked || rest.starts_with(close))) {
        at_ += marked ? 3 : 2;
        strip_left_ = marked && rest[0] == '-';
        after_block_ = tag == "{%" && !marked;
        return add(Token::Kind::kClose, close);
      }
      braces += rest[0] == '{';
      if (rest[0] == '}' && braces > 0) --braces;
      lex_token(rest);
    }
  }

  void lex_token(std::string_view rest) {
    size_t end = 0;
    if (is_name_start(rest[0])) {
      while (end < rest.size() && (is_name_start(rest[end]) || is_digit(rest[end]))) ++end;
      add(Token::Kind::kName, std::string(rest.substr(0, end)));
    } else if (is_digit(rest[0])) {
      while (end < rest.size() && is_digit(rest[end])) ++end;
      add(Token::Kind::kInteger, std::string(rest.substr(0, end)));
    } else if (rest[0] == '\'' || rest[0] == '"') {
      return lex_string(rest[0]);
    } else {
      constexpr std::array<std::string_view, 6> kPairs = {"==", "!=", "<=", ">=", "//", "**"};
      end = 1;
      for (const std::string_view pair : kPairs) end = rest.starts_with(pair) ? 2 : end;
      if (end == 1 && std::string_view("<>+-*/%~=|()[]{}.,:").find(rest[0]) == rest.npos) {
        refuse(line_, "'" + shown(rest, 1) + "' is not Jinja");
      }
      add(Token::Kind::kOperator, std::string(rest.substr(0, end)));
    }
    at_ += end;
  }

  void lex_string(char quote) {
    std::string text;
    for (++at_; peek() != quote; ++at_) {
      if (at_ >= text_.size()) refuse(line_, "a string that is not closed");
      line_ += text_[at_] == '\n';
      if (text_[at_] != '\\') {
        text += text_[at_];
        continue;
      }
      ++at_;
      switch (peek()) {
        case 'n':
          text += '\n';
          break;
        case 't':
          text += '\t';
          break;
        case 'r':
          text += '\r';
          break;
        case '\\':
        case '\'':
        case '"':
          text += peek();
          break;
        default:
          refuse(line_, "an escape in a string that we do not know");
      }
    }
    ++at_;
    add(Token::Kind::kString, std::move(text));
  }

  std::string text_;
  size_t at_ = 0, line_ = 1;
  bool strip_left_ = false, after_block_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> cut_into_tokens(std::string_view text) { return Lexer(text).run(); }

}  // namespace l2a::jinja
