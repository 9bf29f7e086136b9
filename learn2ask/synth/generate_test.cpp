#include "synth/generate.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "synth/testing.h"

namespace l2a {
namespace {

using testing::question_forms;
using testing::sessions_header;
using testing::shipped_domain;

std::string slurp(const std::filesystem::path& path) { return read_file(path); }

std::filesystem::path temporary(const std::string& name) {
  return std::filesystem::path(::testing::TempDir()) / ("l2a_generate_" + name);
}

std::string words_of(const Session& session) {
  std::string all;
  for (const auto& m : session.messages)
    all += std::string(role_name(m.role)) + ":" + m.text + "\n";
  return all;
}

const Complaint& complaint_of(const Domain& domain, const Session& session) {
  const auto name = session.extra["truth"]["complaint"].get<std::string>();
  const auto found = std::find_if(domain.complaints.begin(), domain.complaints.end(),
                                  [&](const Complaint& c) { return c.name == name; });
  EXPECT_NE(found, domain.complaints.end()) << name;
  return *found;
}

// The truth of a session worked out again from what the messages give, without the generator.
class Replay {
 public:
  Replay(const Domain& domain, const Session& session)
      : domain_(domain), session_(session), complaint_(complaint_of(domain, session)) {
    for (const auto& [slot, answer] : complaint_.known) classes_[slot] = answer;
    for (const auto& message : session.messages) {
      if (message.role == Role::kUser) learn(message, classes_);
    }
    if (!ended_by_urgent_fact()) {
      for (const size_t slot : complaint_.slots) {
        if (matters(slot)) needed_.push_back(domain.slots[slot].name);
      }
      EXPECT_EQ(session.extra["truth"]["slots"], Json(needed_));
    }
    needed_ = session.extra["truth"]["slots"].get<std::vector<std::string>>();
  }

  // Open before message `index`, and whether an urgent fact is known there.
  std::vector<std::string> open_before(size_t index) const {
    std::map<size_t, std::optional<size_t>> known;
    for (size_t m = 0; m < index; ++m) {
      if (session_.messages[m].role == Role::kUser) learn(session_.messages[m], known);
    }
    if (has_urgent(known)) return {};
    std::vector<std::string> open;
    for (const auto& name : needed_) {
      if (!known.count(*domain_.find_slot(name))) open.push_back(name);
    }
    return open;
  }

  bool ended_by_urgent_fact() const { return has_urgent(classes_); }

 private:
  void learn(const Message& message, std::map<size_t, std::optional<size_t>>& known) const {
    for (const auto& [name, value] : message.extra["truth"]["given"].items()) {
      const auto slot = domain_.find_slot(name);
      ASSERT_TRUE(slot) << name;
      ASSERT_FALSE(known.count(*slot)) << name << " is given twice in " << session_.id;
      std::optional<size_t> of;
      const auto& classes = domain_.slots[*slot].classes;
      for (size_t c = 0; c < classes.size(); ++c) {
        const auto& values = classes[c].of;
        const bool has = values.empty() ? value == classes[c].name
                                        : std::count(values.begin(), values.end(), value) > 0;
        if (has) of = c;
      }
      ASSERT_TRUE(of || value == "unknown") << name << " = " << value;
      known[*slot] = of;
    }
  }

  bool matters(size_t slot) const {
    for (const auto& condition : domain_.slots[slot].when) {
      const auto found = classes_.find(condition.slot);
      if (found == classes_.end() || !found->second) return false;
      const auto& wanted = condition.classes;
      if (!std::count(wanted.begin(), wanted.end(), *found->second)) return false;
    }
    return true;
  }

  bool has_urgent(const std::map<size_t, std::optional<size_t>>& known) const {
    for (const auto& [slot, answer] : known) {
      if (answer && domain_.slots[slot].classes[*answer].urgent) return true;
    }
    return false;
  }

  const Domain& domain_;
  const Session& session_;
  const Complaint& complaint_;
  std::map<size_t, std::optional<size_t>> classes_;  // all that the session gives
  std::vector<std::string> needed_;
};

class Generated : public ::testing::TestWithParam<const char*> {
 protected:
  Domain domain = shipped_domain(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Synth, Generated, ::testing::Values("pharmacy", "laptop"));

TEST_P(Generated, TruthIsWhatAReplayFinds) {
  GenerateOptions options;
  size_t urgent = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    const Session session = generate_session(domain, options, 7, i);
    const Replay replay(domain, session);
    urgent += replay.ended_by_urgent_fact();
    const auto& messages = session.messages;
    ASSERT_EQ(messages.front().role, Role::kUser);
    for (size_t m = 0; m < messages.size(); ++m) {
      if (messages[m].role != Role::kAssistant) continue;
      const Json& truth = messages[m].extra["truth"];
      const auto open = replay.open_before(m);
      ASSERT_EQ(truth["open"], Json(open)) << session.id << " message " << m;
      ASSERT_EQ(truth["decision"], open.empty() ? "stop" : "continue");
      ASSERT_FALSE(truth.contains("noisy"));
      // It stops exactly when nothing is open, and that is the end.
      ASSERT_EQ(m + 1 == messages.size(), open.empty()) << session.id;
      ASSERT_EQ(truth.contains("asked"), !open.empty());
      if (open.empty()) continue;
      // It asks for the first open slot, so never for a volunteered one; the answer follows.
      ASSERT_EQ(truth["asked"], open.front()) << session.id;
      ASSERT_TRUE(messages[m + 1].extra["truth"]["given"].contains(open.front())) << session.id;
    }
  }
  EXPECT_GT(urgent, 60u);
  EXPECT_LT(urgent, 500u);
}

TEST_P(Generated, NoisyAndConflictingExpertsKeepTheTruth) {
  GenerateOptions options;
  options.noisy = 0.6;
  options.conflicting_experts = true;
  std::map<std::string, size_t> noise, expert;
  size_t reversed = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    const Session session = generate_session(domain, options, 8, i);
    const Json& whole = session.extra["truth"];
    ++expert[whole["expert"]];
    ++noise[whole.value("noise", "none")];
    size_t wrong = 0;
    const auto& messages = session.messages;
    for (size_t m = 0; m < messages.size(); ++m) {
      if (messages[m].role != Role::kAssistant) continue;
      const Json& truth = messages[m].extra["truth"];
      const bool stops = !truth.contains("asked");
      ASSERT_EQ(stops, m + 1 == messages.size());
      const auto& open = truth["open"];
      const bool right =
          stops ? open.empty() : std::find(open.begin(), open.end(), truth["asked"]) != open.end();
      ASSERT_EQ(truth.contains("noisy"), !right) << session.id;
      ASSERT_EQ(truth["decision"], open.empty() ? "stop" : "continue");
      wrong += !right;
      reversed += right && !stops && whole["expert"] == "second" && truth["asked"] != open.front();
    }
    if (!whole.contains("noise")) {
      ASSERT_EQ(wrong, 0u) << session.id;
    }
  }
  EXPECT_NEAR(static_cast<double>(expert["first"]) / 2000, 0.5, 0.05);
  EXPECT_NEAR(static_cast<double>(noise["none"]) / 2000, 0.4, 0.05);
  for (const char* kind : {"irrelevant", "early", "late"}) EXPECT_GT(noise[kind], 300u) << kind;
  EXPECT_GT(reversed, 1000u);
}

TEST_P(Generated, EveryQuestionAsksForWhatTheTruthSaysAndNoClosingAsks) {
  const Recogniser recogniser(domain, question_forms());
  for (uint64_t i = 0; i < 1000; ++i) {
    for (const auto& message : generate_session(domain, {}, 9, i).messages) {
      if (message.role != Role::kAssistant) continue;
      const auto got = testing::recognised_name(domain, recogniser.recognise(message.text));
      ASSERT_EQ(got, message.extra["truth"].value("asked", "nothing")) << message.text;
    }
  }
}

TEST_P(Generated, TenThousandSessionsAreAllDifferent) {
  const auto path = temporary(std::string(GetParam()) + ".jsonl");
  const auto summary = generate_file(domain, {}, 1, 10'000, sessions_header(), path);
  EXPECT_EQ(summary.sessions, 10'000u);
  EXPECT_EQ(summary.stops, 10'000u);
  EXPECT_EQ(summary.noisy_turns, 0u);
  EXPECT_LT(summary.redrawn, 10u);
  std::set<std::string> seen, complaints;
  size_t expert_turns = 0, words = 0, read = 0;
  for_each_row(path, "sessions", [&](JsonLine&& line) {
    const auto session = session_from_json(line.value).value_or_throw();
    const std::string text = words_of(session);
    EXPECT_TRUE(seen.insert(text).second) << session.id;
    complaints.insert(session.extra["truth"]["complaint"].get<std::string>());
    for (const auto& m : session.messages) expert_turns += m.role == Role::kAssistant;
    words += static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\n'; }));
    ++read;
  });
  EXPECT_EQ(read, 10'000u);
  EXPECT_EQ(expert_turns, summary.expert_turns);
  EXPECT_EQ(complaints.size(), domain.complaints.size());
  // Short sessions: training costs grow with their tokens.
  EXPECT_GT(expert_turns, 35'000u);
  EXPECT_LT(expert_turns, 60'000u);
  EXPECT_LT(words, 700'000u);
  std::filesystem::remove(path);
}

TEST_P(Generated, ASessionDependsOnItsSeedAndNumberAlone) {
  const auto few = temporary("few"), many = temporary("many"), other = temporary("other");
  const FileHeader header = sessions_header();
  generate_file(domain, {}, 3, 20, header, few);
  generate_file(domain, {}, 3, 50, header, many);
  generate_file(domain, {}, 4, 20, header, other);
  EXPECT_EQ(slurp(many).substr(0, slurp(few).size()), slurp(few));
  EXPECT_NE(slurp(other), slurp(few));
  EXPECT_EQ(to_json(generate_session(domain, {}, 3, 41)),
            to_json(generate_session(domain, {}, 3, 41)));
  for (const auto& path : {few, many, other}) std::filesystem::remove(path);
}

TEST_P(Generated, OptionsDoWhatTheySay) {
  const auto share = [&](const GenerateOptions& options, auto&& holds) {
    double count = 0;
    for (uint64_t i = 0; i < 1500; ++i) count += holds(generate_session(domain, options, 5, i));
    return count / 1500;
  };
  const auto has_run_of_user_messages = [](const Session& s) {
    return std::adjacent_find(s.messages.begin(), s.messages.end(), [](auto& a, auto& b) {
             return a.role == Role::kUser && b.role == Role::kUser;
           }) != s.messages.end();
  };
  const auto starts_small = [](const Session& s) {
    return s.messages[0].text[0] >= 'a' && s.messages[0].text[0] <= 'z';
  };
  const auto volunteers = [](const Session& s) {
    return !s.messages[0].extra["truth"]["given"].empty();
  };
  const auto is_unsure = [](const Session& s) {
    return std::any_of(s.messages.begin(), s.messages.end(), [](const Message& m) {
      return dump_json(m.extra).find("unknown\"") != std::string::npos;
    });
  };
  GenerateOptions none{.chatty = 0, .typos = 0, .volunteer = 0, .unsure = 0};
  EXPECT_EQ(share(none, has_run_of_user_messages), 0);
  EXPECT_EQ(share(none, starts_small), 0);
  EXPECT_EQ(share(none, volunteers), 0);
  EXPECT_EQ(share(none, is_unsure), 0);
  GenerateOptions all{.chatty = 1, .typos = 1, .volunteer = 1, .unsure = 0.1};
  EXPECT_GT(share(all, has_run_of_user_messages), 0.9);
  EXPECT_EQ(share(all, starts_small), 1);
  EXPECT_GT(share(GenerateOptions{.chatty = 0, .volunteer = 1}, volunteers), 0.9);
  EXPECT_NEAR(share(all, is_unsure), 0.25, 0.15);
}

TEST(GenerateFile, SaysWhenTheDomainIsTooSmall) {
  const Domain tiny = parse_domain(R"(
domain: tiny
greetings: [Hi.]
unsure: [Dunno.]
asides: [Hm.]
closings: ["Take {advice}."]
referrals: [See a doctor.]
general: {ask: [More], cues: [more]}
slots:
  age: {ask: [How old], cues: [old], answers: {any: {say: [Old.]}}}
complaints:
  pain: {say: [Ouch.], slots: [age], advice: [it easy]}
)",
                                   "tiny.yaml");
  const auto path = temporary("tiny");
  std::filesystem::remove(path);
  try {
    generate_file(tiny, {}, 1, 1000, sessions_header(), path);
    FAIL() << "made 1000 different sessions of one sentence";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), ::testing::MatchesRegex(
                                    "generate: domain 'tiny': no new session in 100 draws after "
                                    "[0-9]+: ask for fewer sessions or add wordings"));
  }
  EXPECT_FALSE(std::filesystem::exists(path)) << "an unfinished file has appeared";
}

}  // namespace
}  // namespace l2a
