// The error vocabulary of the whole program.
//
// Four cases: bad input or environment throws Failure; a failure that the caller must decide
// about is a Result; a bug of ours is check(), which aborts; and a failure is never a value of
// the success type (no 0.0, "" or -1 standing in for something that went wrong).
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace l2a {

enum class ErrorCode { kInvalidInput, kNotFound, kIo, kUnavailable, kTimeout, kUnsupported };

struct Error {
  ErrorCode code = ErrorCode::kInvalidInput;
  std::string message;  // "what: where: why", one line, no trailing period
};

// Thrown when the current command or request cannot go on. Caught only in main() and in
// the HTTP handler wrapper.
class Failure : public std::runtime_error {
 public:
  explicit Failure(Error e) : std::runtime_error(e.message), error(std::move(e)) {}
  Error error;
};

// Throws Failure. Shorthand for the commonest cases.
[[noreturn]] void fail(ErrorCode code, std::string message);
[[noreturn]] void fail_input(std::string message);  // kInvalidInput

// A value or an Error, for failures the *caller* must decide about (retry, skip, count).
// The subset of C++23 std::expected that we use; drop this once the compiler has it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  const T& operator*() const { return std::get<0>(state_); }
  T& operator*() { return std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const Error& error() const { return std::get<1>(state_); }

  // The value, or throws Failure. For callers with nothing to decide.
  T value_or_throw() && {
    if (!*this) throw Failure(error());
    return std::get<0>(std::move(state_));
  }

 private:
  std::variant<T, Error> state_;
};

// Aborts with the message if `ok` is false. For bugs in this program only, never for input.
void check(bool ok, const char* message, const char* file = __builtin_FILE(),
           int line = __builtin_LINE());

}  // namespace l2a
