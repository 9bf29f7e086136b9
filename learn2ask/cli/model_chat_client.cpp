#include "cli/model_chat_client.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <torch/autograd.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/rng.h"
#include "cli/model_files.h"
#include "cli/openai_dialogue.h"
#include "llm/wire.h"
#include "model/decode_batch.h"
#include "rollout/rollout.h"
#include "rollout/sampler.h"

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
      tokens_(tokenizer_, chat_.end_of_turn()),
      model_(Transformer::load(files, {.compute = ComputeType::kBfloat16})) {
  std::string hashes;
  for (const auto& file : model_files(files)) hashes += sha256_file(file);
  model_sha256_ = sha256_hex(hashes);
  const std::filesystem::path path = std::filesystem::path(model_path(options_)) / "";
  name_ = path.parent_path().filename().string() + " " + model_sha256_.substr(0, 8) + " in process";
}

ModelChatClient::~ModelChatClient() = default;

std::string ModelChatClient::name() const { return name_; }

void ModelChatClient::submit(ChatRequest request, OnReply on_reply) {
  LlmOptions all_of_it;  // what decides the answer, whatever an endpoint would be sent
  std::string key = call_key("held to its schema\n" + model_sha256_,
                             request_body(request, all_of_it), request.sample);
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
  const auto start = std::chrono::steady_clock::now();
  ledger_.sent(call.key, 1, 0);
  auto reply = decode(call.request, *ids, stable_hash(call.key));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!reply) {
    ledger_.done(call.key, 1, {.outcome = "refused", .seconds = took.count()});
    return reply;
  }
  KeptReply kept{call.key, std::move(*reply)};
  if (cache_ != nullptr) cache_->put({&kept, 1});
  ledger_.done(call.key, 1,
               {.outcome = "reply", .usage = kept.reply.usage, .seconds = took.count()});
  return std::move(kept.reply);
}

Result<ChatReply> ModelChatClient::decode(const ChatRequest& request,
                                          const std::vector<int32_t>& context, uint64_t key) const {
  const at::NoGradGuard no_grad;
  const DecodingOptions decoding{.temperature = request.temperature};
  std::optional<AnswerShape> shape;
  if (!request.schema.is_null()) shape.emplace(request.schema);
  auto place = shape ? shape->begin() : AnswerShape::Place();
  DecodeBatch batch(model_, nullptr, request.max_tokens);
  batch.add(
      std::make_shared<const TreeCache>(model_.prefill(build_token_tree({&context, 1}), nullptr)),
      0);
  at::Tensor logits_rv = batch.first();
  std::vector<int32_t> ids;
  bool ended = false;
  while (true) {
    throw_if_interrupted();
    logits_rv = logits_rv.to(at::kCPU, at::kFloat).contiguous();
    const auto width = static_cast<size_t>(logits_rv.size(1));
    if (shape && !tokens_.mask(*shape, place, {logits_rv.mutable_data_ptr<float>(), width})) {
      return Error{ErrorCode::kUnsupported,
                   "the model's vocabulary has no token to go on with an answer"};
    }
    const TokenDraws draws{{token_uniform(decoding.seed, key, ids.size())}, {}};
    const int32_t id = sample_tokens(logits_rv, decoding, {&draws, 1})[0][0].id;
    ended = id == chat_.end_of_turn();
    if (ended) break;
    ids.push_back(id);
    if (shape) place = shape->after(std::move(place), tokens_.bytes(id));
    if (static_cast<int64_t>(ids.size()) == request.max_tokens) break;
    logits_rv = batch.step({&id, 1});
  }
  const auto said = static_cast<int64_t>(ids.size()) + (ended ? 1 : 0);
  return ChatReply{.text = repair_utf8(tokenizer_.decode(ids)),
                   .truncated = !ended && !(shape && shape->is_whole(place)),
                   .usage = TokenUsage{static_cast<int64_t>(context.size()), said}};
}

}  // namespace l2a
