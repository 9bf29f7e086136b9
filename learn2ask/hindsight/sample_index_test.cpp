#include "hindsight/sample_index.h"

#include <algorithm>
#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;

LabelledSession labelled(const std::string& id, const std::vector<std::string>& lines) {
  Session session = session_of(lines);
  session.id = id;
  return label_by_rules(session);
}

// Few words, so that conversations begin alike.
LabelledSession random_session(const std::string& id, Rng& rng) {
  const std::vector<std::string> says = {"u: I cough.", "u: I cough. ", "u: i cough.",
                                         "u: Monday."};
  const std::vector<std::string> asks = {"a: Since when?", "a: Any fever?"};
  std::vector<std::string> lines;
  const size_t exchanges = 1 + rng.below(4);
  for (size_t i = 0; i < exchanges; ++i) {
    for (size_t messages = 1 + rng.below(2); messages > 0; --messages) {
      lines.push_back(rng.pick(says));
    }
    lines.push_back(i + 1 < exchanges ? rng.pick(asks) : "a: Take this.");
  }
  LabelledSession session = labelled(id, lines);
  for (Sample& sample : session.samples) {
    if (rng.chance(0.1)) sample.decision.reset();
  }
  return session;
}

bool says_the_same(std::span<const Turn> a, std::span<const Turn> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Turn& x, const Turn& y) {
    return x.role == y.role && x.text == y.text;
  });
}

std::vector<SamplePlace> going_on_from(const std::vector<LabelledSession>& sessions,
                                       std::span<const Turn> turns) {
  std::vector<SamplePlace> places;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      const auto context = std::span(session.turns).first(sample.turn);
      if (sample.decision && says_the_same(context, turns)) places.push_back({&session, &sample});
    }
  }
  return places;
}

void expect_found(const SampleIndex& index, const std::vector<LabelledSession>& sessions,
                  std::span<const Turn> turns, std::array<size_t, 3>& seen) {
  const auto expected = going_on_from(sessions, turns);
  const auto found = index.find_context(turns);
  ASSERT_EQ(static_cast<bool>(found), expected.size() == 1);
  ++seen[std::min<size_t>(expected.size(), 2)];
  if (found) {
    EXPECT_EQ(found->session, expected[0].session);
    EXPECT_EQ(found->sample, expected[0].sample);
  } else {
    EXPECT_EQ(found.error().code,
              expected.empty() ? ErrorCode::kNotFound : ErrorCode::kInvalidInput);
  }
}

TEST(SampleIndex, FindsByIdAllThatHaveADecision) {
  Rng rng(1);
  std::vector<LabelledSession> sessions;
  for (int i = 0; i < 100; ++i) sessions.push_back(random_session(std::to_string(i) + "/x", rng));
  const SampleIndex index(sessions);
  size_t decided = 0, undecided = 0;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      const auto found = index.find(session.id + "/" + std::to_string(sample.turn));
      ASSERT_EQ(static_cast<bool>(found), sample.decision.has_value());
      ++(found ? decided : undecided);
      if (!found) continue;
      EXPECT_EQ(found->session, &session);
      EXPECT_EQ(found->sample, &sample);
    }
  }
  EXPECT_GT(decided, 100u);
  EXPECT_GT(undecided, 5u);
}

TEST(SampleIndex, SaysWhichIdItDoesNotHave) {
  const std::vector<LabelledSession> sessions = {
      labelled("s", {"u: I cough.", "a: Since when?", "u: Monday.", "a: Take this."})};
  const SampleIndex index(sessions);
  for (const std::string id : {"s/1", "s/3"}) EXPECT_TRUE(index.find(id)) << id;
  for (const std::string id : {"s/0", "s/2", "s/01", "s/1 ", "S/1", "s", "", "t/1"}) {
    const auto found = index.find(id);
    ASSERT_FALSE(found) << id;
    EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
    EXPECT_THAT(found.error().message, HasSubstr("'" + id + "'"));
  }
}

TEST(SampleIndex, FindsByContextWhatAnExhaustiveSearchFinds) {
  Rng rng(2);
  std::array<size_t, 3> seen{};  // none, one, several
  for (int round = 0; round < 40; ++round) {
    std::vector<LabelledSession> sessions;
    for (int i = 0; i < 8; ++i) sessions.push_back(random_session(std::to_string(i), rng));
    const SampleIndex index(sessions);
    for (const LabelledSession& session : sessions) {
      for (size_t n = 0; n <= session.turns.size(); ++n) {
        expect_found(index, sessions, std::span(session.turns).first(n), seen);
      }
    }
    for (int i = 0; i < 8; ++i) {
      const auto other = random_session("other", rng);
      expect_found(index, sessions, other.turns, seen);
      expect_found(index, sessions, std::span(other.turns).first(1), seen);
    }
  }
  for (const size_t times : seen) EXPECT_GT(times, 100u);
}

// Which turns a text is of, and where one ends, is part of what was said.
TEST(SampleIndex, TellsTurnsApart) {
  const std::vector<LabelledSession> sessions = {
      labelled("s", {"u: A", "a: B?", "u: C", "a: Take this."})};
  const SampleIndex index(sessions);
  const auto user = [](std::string text) { return Turn{.role = Role::kUser, .text = text}; };
  const auto expert = [](std::string text) { return Turn{.role = Role::kAssistant, .text = text}; };
  const std::vector<Turn> right = {user("A"), expert("B?"), user("C")};
  ASSERT_TRUE(index.find_context(right));
  EXPECT_EQ(index.find_context(right)->sample->turn, 3u);
  const std::vector<std::vector<Turn>> others = {{},
                                                 {user("A"), expert("B?")},
                                                 {user("A"), user("B?"), user("C")},
                                                 {expert("A"), user("B?"), expert("C")},
                                                 {user("A"), expert("B?\nC")},
                                                 {user("A\nassistant\nB?"), user("C")},
                                                 {user("A"), expert("B?"), user("C"), user("")},
                                                 {user("A"), expert("B? "), user("C")}};
  for (const auto& turns : others) EXPECT_FALSE(index.find_context(turns));
}

TEST(SampleIndex, SaysWhereSeveralGoOn) {
  const std::vector<std::string> lines = {"u: I cough.", "a: Since when?", "u: Monday.",
                                          "a: Take this."};
  const std::vector<std::string> longer = {"u: I cough.",   "a: Since when?", "u: Monday.",
                                           "a: Any fever?", "u: No.",         "a: Take this."};
  const std::vector<LabelledSession> sessions = {labelled("s", lines), labelled("t", longer)};
  const SampleIndex index(sessions);
  const auto found = index.find_context(std::span(sessions[0].turns).first(3));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(found.error().message, HasSubstr("name the sample"));
  EXPECT_TRUE(index.find_context(std::span(sessions[1].turns).first(5)));
}

}  // namespace
}  // namespace l2a
