#include "eval/report.h"

#include <cmath>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/rng.h"
#include "eval/html.h"
#include "eval/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::filesystem::path kWeb = L2A_SOURCE_DIR "/web";

// A policy that decides rightly with one probability and asks well with another.
Evaluation fake_evaluation(const std::string& policy, PolicyRole role, double decides,
                           double asks) {
  Evaluation evaluation;
  evaluation.facts = {.policy = policy,
                      .role = role,
                      .grader = "truth of the pharmacy desk",
                      .split = "test",
                      .prompts = {},
                      .decoding = {},
                      .scoring = {}};
  if (role == PolicyRole::kModel) {
    evaluation.facts.prompts = {{"policy_plain.txt", sha256_hex("policy")}};
  }
  Rng rng = Rng::stream(1, policy);
  for (int s = 0; s < 50; ++s) {
    for (size_t t = 0; t < 7; ++t) {
      const Decision truth = t == 6 ? Decision::kStop : Decision::kContinue;
      const bool right = rng.chance(decides);
      const bool ask = role == PolicyRole::kBaseline ? policy == "fixed question"
                                                     : (truth == Decision::kContinue) == right;
      const double micro = rng.chance(asks) ? 1 : 0.5 * static_cast<double>(rng.below(2));
      evaluation.rows.push_back(testing::make_row("s" + std::to_string(s), 2 * t + 1, truth,
                                                  ask ? "ask" : "stop", micro,
                                                  1 + rng.below(8) / 7));
    }
  }
  return evaluation;
}

Curve fake_curve(const std::string& title, const std::vector<std::string>& names, double start,
                 double end, size_t steps) {
  Curve curve{title, {}, {}};
  Rng rng = Rng::stream(2, title);
  for (size_t i = 0; i < steps; ++i) curve.steps.push_back(static_cast<double>(i + 1));
  for (size_t k = 0; k < names.size(); ++k) {
    Series series{names[k], {}};
    for (size_t i = 0; i < steps; ++i) {
      const double way = 1 - std::exp(-3.0 * static_cast<double>(i) / static_cast<double>(steps));
      const double level = start + (end - start) * way * (1 - 0.2 * static_cast<double>(k));
      series.values.push_back(level + 0.1 * std::abs(end - start) * (rng.uniform() - 0.5));
    }
    curve.series.push_back(std::move(series));
  }
  return curve;
}

DialogueSample fake_dialogue(bool stop) {
  DialogueSample dialogue;
  dialogue.context_id = stop ? "pharmacy-00412/13" : "pharmacy-00017/5";
  dialogue.truth = stop ? Decision::kStop : Decision::kContinue;
  const std::vector<std::string> turns = {
      "Hi, I have had a sore throat since Monday and would like something for it.",
      "Sorry to hear that. How old is the person it is for?",
      "It's for me, I'm 34.",
      "Do you have a fever?",
      "No, I checked this morning.\n36.9",
      "Are you allergic to anything?",
      "Penicillin, I had a rash once.",
      "Do you take any other medicines?",
      "Only the pill."};
  for (size_t i = 0; i < (stop ? turns.size() : 5); ++i) {
    dialogue.context.push_back({i % 2 ? Role::kAssistant : Role::kUser, turns[i], i, 1});
  }
  if (!stop) {
    dialogue.open = {
        {"Penicillin, I had a rash once.", "Are you allergic to anything?", 5, 6, 6, 0, 0},
        {"Only the pill.", "Do you take any other medicines?", 7, 8, 8, 0, 0}};
  }
  dialogue.expert = stop ? "Then these lozenges are fine for you, one every three hours."
                         : "Are you allergic to anything?";
  const auto answer = [&](const char* policy, const char* said, const char* text, double micro,
                          size_t questions) {
    ScoredRow row = testing::make_row("s", 5, dialogue.truth, said, micro, questions);
    if (row.action && *text) row.action->question = text;
    dialogue.answers.push_back({policy, row});
  };
  answer("base", "ask", "I would suggest that you drink plenty of water. Is there anything else?",
         0, 1);
  answer("SFT", "ask", "Do you have a fever? And is there a cough?", 0.5, 2);
  if (stop)
    answer("GRPO", "stop", "", 1, 1);
  else
    answer("GRPO", "ask", "Do you take any other medicines at the moment?", 1, 1);
  return dialogue;
}

Report fake_report() {
  Report report;
  report.title = "Pharmacy desk: what to ask next, and when to stop";
  report.journey = {"base", "SFT", "GRPO"};
  const Evaluation all[] = {fake_evaluation("always stop", PolicyRole::kBaseline, 0, 0),
                            fake_evaluation("fixed question", PolicyRole::kBaseline, 0.86, 0.18),
                            fake_evaluation("base", PolicyRole::kModel, 0.47, 0.12),
                            fake_evaluation("SFT", PolicyRole::kModel, 0.88, 0.55),
                            fake_evaluation("GRPO", PolicyRole::kModel, 0.95, 0.74),
                            fake_evaluation("expert", PolicyRole::kExpert, 1, 0.97)};
  for (const Evaluation& evaluation : all) {
    report.summaries.push_back(summarise(evaluation, {.resamples = 300}));
  }
  for (const Metric metric : {Metric::kReward, Metric::kWaGh, Metric::kBalancedAccuracy}) {
    const auto difference = compare(all[4], all[3], metric, {.resamples = 300});
    report.comparisons.push_back({"GRPO", "SFT", *difference});
  }
  Evaluation regraded[] = {all[2], all[4]};
  for (Evaluation& evaluation : regraded) evaluation.facts.grader = "another grader";
  report.agreements = measure_agreement(
      std::vector<Evaluation>{all[2], all[4], regraded[0], regraded[1]}, {.resamples = 300});
  report.curves = {
      fake_curve("SFT: loss", {"training", "held out"}, 3.2, 1.1, 24),
      fake_curve("GRPO: reward", {"reward"}, 2.1, 3.3, 160),
      fake_curve("GRPO: parts of the reward",
                 {"decision right", "question reaches its aim", "format"}, 0.4, 0.9, 160),
      fake_curve("GRPO: entropy of the replies trained on, nats a token", {"entropy"}, 1.4, 0.5,
                 160)};
  report.dialogues = {fake_dialogue(false), fake_dialogue(true)};
  report.facts = {{"Date", "2026-01-31T12:00:00Z"},
                  {"Machine", "2 cores, no GPU, 7.8 GB"},
                  {"Time", "13 min 20 s"},
                  {"Configuration", sha256_hex("configuration")}};
  report.commands = {"learn2ask generate --domain pharmacy --sessions 600 --out logs.jsonl",
                     "learn2ask label logs.jsonl --out labels.jsonl",
                     "learn2ask train grpo --data labels.jsonl --run runs/grpo"};
  report.notes = {"The sessions were made by rule: real users are less tidy.",
                  "50 sessions give wide intervals."};
  return report;
}

TEST(RenderReport, MakesOnePageThatFetchesNothing) {
  const std::string page = render_report(fake_report(), kWeb);
  write_file_atomic(std::filesystem::path(::testing::TempDir()) / "learn2ask_report_test.html",
                    page);
  const std::string markup =
      page.substr(page.find("</head>"), page.find("id=\"curve-data\"") - page.find("</head>"));
  for (const char* fetching : {"src=", "href=", "url(", "@import", "http:", "https:"}) {
    EXPECT_THAT(markup, Not(HasSubstr(fetching)));
  }
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, HasSubstr(csp_hash(read_file(kWeb / "report.js"))));
  EXPECT_THAT(page, HasSubstr("After training, the model rightly asks or stops <strong>"));
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">all models</th>"));
}

TEST(RenderReport, SaysNothingOfTrainingWhereNothingWasTrained) {
  Report report = fake_report();
  report.journey = {"SFT"};
  EXPECT_THAT(render_report(report, kWeb), Not(HasSubstr("After training")));
}

// One string in every place where data can stand.
TEST(RenderReport, ShowsHostileTextAndNeverObeysIt) {
  const std::string evil = "</script><img src=x onerror=alert(1)>\"' --><style>\u2028\u202E";
  Report report = fake_report();
  report.title = evil;
  for (Summary& row : report.summaries) {
    row.facts.policy += evil, row.facts.grader = evil, row.facts.split = evil;
    row.facts.prompts = {{evil, evil}};
  }
  for (std::string& name : report.journey) name += evil;
  for (auto& agreement : report.agreements) {
    agreement.a = agreement.b = agreement.split = evil;
    agreement.policies = {evil};
  }
  for (auto& comparison : report.comparisons) comparison.a = comparison.b = evil;
  for (Curve& curve : report.curves) {
    curve.title = evil;
    for (Series& series : curve.series) series.name = evil;
  }
  for (DialogueSample& dialogue : report.dialogues) {
    dialogue.context_id = dialogue.expert = evil;
    for (Turn& turn : dialogue.context) turn.text = evil;
    for (Item& item : dialogue.open) item.fact = item.question = evil;
    for (PolicyAnswer& answer : dialogue.answers) {
      answer.policy = answer.row.reason = answer.row.reply.text = evil;
      if (answer.row.action) answer.row.action->question = evil;
    }
  }
  report.facts = {{evil, evil}};
  report.commands = report.notes = {evil};
  const std::string page = render_report(report, kWeb), plain = render_report(fake_report(), kWeb);
  const auto count = [](const std::string& in, const std::string& what) {
    size_t n = 0;
    for (size_t at = in.find(what); at != in.npos; at = in.find(what, at + 1)) ++n;
    return n;
  };
  for (const char* tag : {"</script", "<script", "<img", "<style", "-->"}) {
    EXPECT_EQ(count(page, tag), count(plain, tag)) << tag;
  }
  // A quote that ended an attribute would leave the handler outside of any quotes.
  EXPECT_EQ(count(page, "onerror=alert(1)>"), 0u);
  EXPECT_GT(count(page, "&lt;img src=x onerror=alert(1)&gt;&quot;&#39;"), 50u);
}

TEST(RenderReport, WorksWithTablesAloneAndWithNothing) {
  Report report;
  report.title = "Empty";
  EXPECT_THAT(render_report(report, kWeb), HasSubstr("<h1>Empty</h1>"));
  report.summaries = fake_report().summaries;
  EXPECT_THAT(render_report(report, kWeb), Not(HasSubstr("class=\"headline\"")));
}

TEST(RenderReport, SaysWhatIsMissing) {
  Report report = fake_report();
  report.journey.push_back("DPO");
  try {
    render_report(report, kWeb);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_STREQ(failure.what(), "report: journey: 'DPO': no such policy in the tables");
  }
  EXPECT_THROW(render_report(fake_report(), "/nonexistent"), Failure);
}

TEST(HtmlEscape, EscapesMarkupAndReplacesControls) {
  const struct {
    const char* text;
    const char* html;
  } cases[] = {
      {"a<b>&\"c'", "a&lt;b&gt;&amp;&quot;c&#39;"},
      {"&amp;", "&amp;amp;"},
      {"line\nnext\ttab", "line\nnext\ttab"},
      {"bell\x07 esc\x1b", "bell\uFFFD esc\uFFFD"},
      {"\u202Eright to left\u2066", "\uFFFDright to left\uFFFD"},
      {"发烧 ٣ 🙂", "发烧 ٣ 🙂"},
  };
  for (const auto& c : cases) EXPECT_EQ(html_escape(c.text), c.html);
}

TEST(ScriptJson, IsTheSameValueWithoutACharacterThatHtmlReads) {
  const Json value = {{"</script>", "<!-- & -->"}, {"separators", "\u2028\u2029 \u2030 \u00E2"}};
  const std::string text = script_json(value);
  EXPECT_EQ(text,
            "{\"\\u003c/script\\u003e\":\"\\u003c!-- \\u0026 --\\u003e\","
            "\"separators\":\"\\u2028\\u2029 \u2030 \u00E2\"}");
  const auto back = parse_json(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, value);
}

TEST(CspHash, IsTheDigestInBase64) {
  // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
  EXPECT_EQ(csp_hash("alert(1)"), "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=");
  EXPECT_EQ(csp_hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

// A row's class is the role of its policy: the sheet has a rule for each but the models.
TEST(Report, StylesBaselinesAndTheExpert) {
  const std::string sheet = read_file(L2A_SOURCE_DIR "/web/report.css");
  for (const PolicyRole role : {PolicyRole::kBaseline, PolicyRole::kExpert}) {
    EXPECT_THAT(sheet, HasSubstr(std::string("tr.") + policy_role_name(role) + " "))
        << static_cast<int>(role);
  }
}

}  // namespace
}  // namespace l2a
