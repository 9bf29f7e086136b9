// The part of Jinja that chat templates are written in. It finds out what a template writes, so
// that a model's own text decides which of our formats it is (chat_format.h).
//
// Semantics: Jinja2's with the settings of transformers' apply_chat_template, held against it by
// the tests. Left out: macros, imports, blocks, `break`, and filters that no chat template uses.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace l2a {

// Immutable, thread-safe. The text may come from anyone: depth, steps and the sizes of all values
// are bounded.
class JinjaTemplate {
 public:
  // kUnsupported, naming the line, for what is not Jinja or not known here.
  static Result<JinjaTemplate> parse(std::string_view text);
  // What it writes for `variables`, an object. kInvalidInput: the template raised an exception
  // itself; kUnsupported: it comes to something that is not known here.
  Result<std::string> render(const Json& variables) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// Without the characters of Python's str.strip() at its ends: what `| trim` does.
std::string strip_like_python(std::string_view text);

}  // namespace l2a
