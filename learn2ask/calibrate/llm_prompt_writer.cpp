#include "calibrate/llm_prompt_writer.h"

#include <algorithm>

#include "base/rng.h"
#include "base/utf8.h"
#include "calibrate/prompt_changes.h"
#include "llm/json_answer.h"

namespace l2a {
namespace {

constexpr size_t kKeptOfRefused = 16 << 10;  // bytes: an answer may be megabytes

// An object with one text.
Json schema_of(const char* key) {
  return {{"type", "object"},
          {"properties", {{key, {{"type", "string"}}}}},
          {"required", {key}},
          {"additionalProperties", false}};
}

}  // namespace

LlmPromptWriter::LlmPromptWriter(ChatClient& client, Prompt critique, Prompt rewrite,
                                 PromptWriterOptions options, uint64_t seed, Describe describe,
                                 Refuse refuse)
    : client_(client),
      critique_(std::move(critique)),
      rewrite_(std::move(rewrite)),
      options_(std::move(options)),
      seed_(seed),
      describe_(std::move(describe)),
      refuse_(std::move(refuse)) {}

std::string LlmPromptWriter::some_of(std::span<const Mistake> mistakes, size_t round,
                                     size_t candidate) const {
  std::vector<const Mistake*> drawn;
  for (const Mistake& mistake : mistakes) drawn.push_back(&mistake);
  Rng rng = Rng::stream(seed_, "mistakes of round " + std::to_string(round), candidate);
  rng.shuffle(drawn);
  drawn.resize(std::min(drawn.size(), static_cast<size_t>(options_.mistakes_shown)));
  std::string text;
  for (const Mistake* mistake : drawn) text += describe_(*mistake) + "\n";
  return text;
}

Rewriting LlmPromptWriter::rewrite(const std::string& prompt, std::span<const Mistake> mistakes,
                                   size_t count, size_t round) {
  std::vector<std::optional<std::string>> written(count);
  std::vector<std::optional<RefusedPrompt>> refused(count);  // the last text of each
  std::optional<Error> last_error;
  const auto request_of = [&](std::vector<ChatMessage> messages, const char* key, size_t c) {
    return ChatRequest{.messages = std::move(messages),
                       .temperature = options_.temperature,
                       .max_tokens = options_.max_answer_tokens,
                       .schema = schema_of(key),
                       .sample = round * count + c};
  };
  for (size_t c = 0; c < count; ++c) {
    const auto write = [&, c](Result<std::string> critique) {
      if (!critique) {
        last_error = critique.error();
        return;
      }
      ask_json<std::string>(
          client_,
          request_of(rewrite_.messages({{"prompt", prompt}, {"critique", *critique}}), "prompt", c),
          rewrite_.correction(),
          [&, c](const Json& answer) -> Result<std::string> {
            auto text = get_string(answer, "prompt");
            if (!text) return text;
            const auto wrong = refuse_(*text);
            if (!wrong) return text;
            const bool is_long = text->size() > kKeptOfRefused;
            refused[c] = {is_long ? shown(*text, kKeptOfRefused) : *text, wrong->message};
            return *wrong;
          },
          [&, c](Result<std::string> text) {
            if (text) {
              written[c] = std::move(*text);
            } else {
              last_error = text.error();
            }
          });
    };
    ask_json<std::string>(
        client_,
        request_of(
            critique_.messages({{"prompt", prompt}, {"mistakes", some_of(mistakes, round, c)}}),
            "critique", c),
        critique_.correction(), [](const Json& answer) { return get_string(answer, "critique"); },
        write);
  }
  client_.run();
  const bool none =
      std::none_of(written.begin(), written.end(), [](const auto& text) { return !!text; });
  if (none && last_error) {
    fail(gravity_of(*last_error) == 0 ? ErrorCode::kUnavailable : last_error->code,
         "calibrate: the writer gave none of " + std::to_string(count) +
             " prompts that can be used, last: " + last_error->message +
             " (name another writer.model, or run the same command again)");
  }

  Rewriting rewriting;
  for (size_t c = 0; c < count; ++c) {
    if (written[c]) {
      if (*written[c] != prompt) rewriting.prompts.push_back(std::move(*written[c]));
    } else if (refused[c]) {
      rewriting.refused.push_back(std::move(*refused[c]));
    }
  }
  return rewriting;
}

std::vector<std::string> LlmPromptWriter::take_back_one(const std::string& prompt,
                                                        const std::string& in_use) const {
  auto prompts = take_back_one_change(prompt, in_use);
  std::erase_if(prompts, [this](const std::string& text) { return refuse_(text).has_value(); });
  return prompts;
}

}  // namespace l2a
