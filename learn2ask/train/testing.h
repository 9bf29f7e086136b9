// Small labelled sessions and a trainer's setup for tests.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "hindsight/sample.h"
#include "rollout/testing.h"
#include "train/reward_fn.h"
#include "train/training_run.h"

namespace l2a::testing {

// Turns alternate, the user's first. Every expert turn asks, and one item is still open; the last
// one stops, with nothing open.
inline LabelledSession labelled_session(std::string id, const std::vector<std::string>& texts) {
  LabelledSession session;
  session.id = std::move(id);
  for (size_t t = 0; t < texts.size(); ++t) {
    const bool expert = t % 2 == 1, last = t + 2 > texts.size() - texts.size() % 2;
    session.turns.push_back({.role = expert ? Role::kAssistant : Role::kUser, .text = texts[t]});
    if (!expert) continue;
    Sample sample;
    sample.turn = t;
    sample.kind = {last ? TurnKind::kStop : TurnKind::kAsk, "test"};
    sample.decision = {last ? Decision::kStop : Decision::kContinue, "test"};
    sample.wanted.emplace();
    if (!last) sample.wanted->push_back({.fact = texts[t + 1], .question = texts[t]});
    session.samples.push_back(std::move(sample));
  }
  return session;
}

// `count` sessions of 2 to 4 expert turns with words drawn from `seed`.
inline std::vector<LabelledSession> labelled_sessions(size_t count, uint64_t seed = 1) {
  const std::vector<std::string> words = {"head", "since", "fever", "no", "two", "days", "when"};
  Rng rng(seed);
  std::vector<LabelledSession> sessions;
  for (size_t i = 0; i < count; ++i) {
    std::vector<std::string> texts(2 * (2 + rng.below(3)));
    for (auto& text : texts) text = rng.pick(words) + " " + rng.pick(words);
    sessions.push_back(labelled_session(std::to_string(i), texts));
  }
  return sessions;
}

// The share of the reply's bytes below '@', which a random reply has about one in six of.
inline std::vector<RewardResult> reward_low_bytes(std::span<const RewardRequest> requests) {
  std::vector<RewardResult> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::string& text = requests[i].reply.text;
    const auto low = std::count_if(text.begin(), text.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < '@'; });
    results[i].reward =
        text.empty() ? 0 : static_cast<double>(low) / static_cast<double>(text.size());
  }
  return results;
}

// An empty directory of its own, removed at the end.
struct TemporaryDirectory {
  TemporaryDirectory() {
    std::string name = ::testing::TempDir() + "l2a-train-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::filesystem::path path;
};

inline std::vector<Json> lines_of(const std::filesystem::path& path) {
  std::vector<Json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(parse_json(line).value_or_throw());
  }
  return lines;
}

inline TrainerSetup tiny_setup(const TinyChat& tiny, const std::filesystem::path& directory) {
  return {.model = tiny.model,
          .window = tiny.window(),
          .format = ReplyFormat::kPlain,
          .base_name = "tiny",
          .directory = directory,
          .config_sha256 = "c0ffee"};
}

inline LoraAdapter tiny_adapter(const TinyChat& tiny, uint64_t seed = 5) {
  return random_adapter(tiny.config(), {.rank = 4, .alpha = 8}, seed);
}

// What a script of tests/reference says to `cases`.
inline Json reference_answers(const std::string& script, const Json& cases) {
  const TemporaryDirectory directory;
  const auto in = directory.path / "cases.json", out = directory.path / "answers.json";
  write_file_atomic(in, cases.dump());
  run_reference(script, in.string() + " " + out.string(), directory.path / "log");
  return parse_json(read_file(out)).value_or_throw();
}

// Adapter values as one flat tensor.
inline at::Tensor flat(const LoraAdapter& adapter) {
  std::vector<at::Tensor> parts;
  for (const auto& p : adapter.parameters()) parts.push_back(p.detach().flatten());
  return at::cat(parts);
}

}  // namespace l2a::testing
