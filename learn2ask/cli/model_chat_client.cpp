#include "cli/model_chat_client.h"

#include <chrono>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/rng.h"
#include "cli/model_files.h"
#include "cli/openai_dialogue.h"
#include "llm/wire.h"
#include "rollout/rollout.h"

namespace l2a {
namespace {

constexpr const char* kEmbedded = "embedded";

std::string model_path(const LlmOptions& options) {
  return options.in_process == kEmbedded ? embedded_policy_model() : options.in_process;
}

Result<std::vector<int32_t>> ids_of(const ChatRequest& request, const ChatTemplate& chat,
                                    int64_t positions) {
  Json messages = Json::array();
  for (const ChatMessage& message : request.messages) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  const auto dialogue = dialogue_from_json(messages);
  if (!dialogue) return dialogue.error();
  if (const auto why = chat.refusal(dialogue->system, dialogue->turns)) {
    return Error{ErrorCode::kInvalidInput, *why};
  }
  auto ids = chat.context_ids(dialogue->system, dialogue->turns);
  if (static_cast<int64_t>(ids.size()) + request.max_tokens > positions) {
    return Error{ErrorCode::kInvalidInput,
                 std::to_string(ids.size()) + " tokens and an answer of " +
                     std::to_string(request.max_tokens) + " exceed the model's " +
                     std::to_string(positions) + " positions"};
  }
  return ids;
}

}  // namespace

struct ModelChatClient::Call {
  ChatRequest request;
  OnReply on_reply;
  std::string key;
};

ModelChatClient::ModelChatClient(LlmOptions options, ReplyCache* cache, Ledger& ledger)
    : ModelChatClient(options, cache, ledger, open_model(model_path(options))) {}

ModelChatClient::ModelChatClient(LlmOptions options, ReplyCache* cache, Ledger& ledger,
                                 const Checkpoint& files)
    : options_(std::move(options)),
      cache_(cache),
      ledger_(ledger),
      tokenizer_(load_tokenizer(files)),
      chat_(load_chat_template(files, tokenizer_)),
      model_(Transformer::load(files, {.compute = ComputeType::kBfloat16})) {
  std::string hashes;
  for (const auto& file : model_files(files)) hashes += sha256_file(file);
  model_sha256_ = sha256_hex(hashes);
  name_ = std::filesystem::path(model_path(options_)).filename().string() + " in process";
}

ModelChatClient::~ModelChatClient() = default;

std::string ModelChatClient::name() const { return name_; }

void ModelChatClient::submit(ChatRequest request, OnReply on_reply) {
  std::string key = call_key(model_sha256_, request_body(request, options_), request.sample);
  queued_.push_back({std::move(request), std::move(on_reply), std::move(key)});
}

void ModelChatClient::run() {
  while (!queued_.empty()) {
    for (Call& call : std::exchange(queued_, {})) {
      throw_if_interrupted();
      call.on_reply(reply_to(call));
    }
  }
}

Result<ChatReply> ModelChatClient::reply_to(const Call& call) {
  if (cache_ != nullptr) {
    if (auto reply = cache_->find(call.key)) {
      ledger_.cached();
      return std::move(*reply);
    }
  }
  auto ids = ids_of(call.request, chat_, model_.config().max_positions);
  if (!ids) return ids.error();
  const auto prompt_tokens = static_cast<int64_t>(ids->size());
  const auto start = std::chrono::steady_clock::now();
  ledger_.sent(call.key, 1, 0);
  const std::vector<RolloutSession> sessions = {
      {.contexts = {std::move(*ids)}, .keys = {stable_hash(call.key)}}};
  const DecodingOptions decoding{.temperature = call.request.temperature,
                                 .max_reply_tokens = call.request.max_tokens};
  const auto replies = sample_rollouts(model_, nullptr, chat_, sessions, decoding);
  const Rollout& rollout = replies.at(0).at(0).at(0);
  std::vector<KeptReply> kept = {
      {call.key,
       {.text = rollout.text,
        .truncated = rollout.truncated,
        .usage = TokenUsage{prompt_tokens, static_cast<int64_t>(rollout.ids.size())}}}};
  if (cache_ != nullptr) cache_->put(kept);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ledger_.done(call.key, 1,
               {.outcome = "reply", .usage = kept[0].reply.usage, .seconds = took.count()});
  return kept[0].reply;
}

}  // namespace l2a
