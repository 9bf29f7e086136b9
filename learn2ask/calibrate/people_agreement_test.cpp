#include "calibrate/people_agreement.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "calibrate/testing.h"

namespace l2a {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Lists = std::vector<std::vector<Verdict>>;

double random_grade(Rng& rng) { return static_cast<double>(rng.below(3)) / 2; }
size_t class_of(double grade) { return static_cast<size_t>(2 * grade); }

// Grade items "0", "1"... in sessions of `a_session` items each.
std::vector<CalibrationItem> grade_items(size_t count, size_t a_session) {
  std::vector<CalibrationItem> items;
  for (size_t i = 0; i < count; ++i) {
    items.push_back(grade_item(std::to_string(i), std::to_string(i / a_session) + "/1"));
  }
  return items;
}

// What two judges said of the same items, both of them something.
struct Pairs {
  std::vector<std::pair<double, double>> grades;

  double equal() const {
    double sum = 0;
    for (const auto& [a, b] : grades) sum += a == b;
    return sum / static_cast<double>(grades.size());
  }
  // One less the distance of a's grade and b's over that of any of a's and any of b's.
  double linear_kappa() const {
    double observed = 0, crossed = 0;
    for (const auto& [a, b] : grades) {
      observed += std::abs(a - b);
      for (const auto& other : grades) crossed += std::abs(a - other.second);
    }
    return 1 - observed / (crossed / static_cast<double>(grades.size()));
  }
  double alpha() const {
    std::vector<std::vector<size_t>> items;
    for (const auto& [a, b] : grades) items.push_back({class_of(a), class_of(b)});
    return literal_alpha(items).value();
  }
};

void expect_measured(const JudgeAgreement& agreement, const Pairs& pairs) {
  ASSERT_TRUE(agreement.rate && agreement.linear_kappa && agreement.alpha);
  EXPECT_NEAR(agreement.rate->value, pairs.equal(), 1e-12);
  EXPECT_NEAR(agreement.linear_kappa->value, pairs.linear_kappa(), 1e-9);
  EXPECT_NEAR(agreement.alpha->value, pairs.alpha(), 1e-9);
  for (const auto& estimate : {agreement.rate, agreement.linear_kappa, agreement.alpha}) {
    EXPECT_EQ(estimate->count, pairs.grades.size());
    EXPECT_LE(estimate->low, estimate->value);
    EXPECT_GE(estimate->high, estimate->value);
  }
}

TEST(PeopleAgreement, IsThatOfThePairsOneByOne) {
  Rng rng(1);
  const auto items = grade_items(90, 3);
  GoldLabels labels;
  Lists said(items.size());
  Pairs people, with_grader;
  ConfusionTable table{};
  std::vector<std::vector<size_t>> given(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const double truth = random_grade(rng);
    const auto says = [&] { return rng.chance(0.6) ? truth : random_grade(rng); };
    const double ann = says(), bea = says(), cem = says();
    if (rng.chance(0.9)) labels.put(graded(items[i].id, "Ann", ann));
    if (rng.chance(0.7)) labels.put(graded(items[i].id, "Bea", bea));
    if (rng.chance(0.3)) labels.put(graded(items[i].id, "Cem", cem));
    if (rng.chance(0.2)) labels.put(GoldLabel{.item = items[i].id, .by = "Dan", .unsure = true});
    for (size_t times = rng.below(4); times > 0; --times) {
      said[i].push_back(rng.chance(0.15) ? Verdict() : says());
    }
    for (const GoldLabel* label : labels.of(items[i].id)) {
      if (label->grade) given[i].push_back(class_of(*label->grade));
    }
    if (labels.find(items[i].id, "Ann") && labels.find(items[i].id, "Bea")) {
      people.grades.emplace_back(ann, bea);
    }
    const auto gold = labels.grade_of(items[i].id);
    if (!gold || said[i].empty()) continue;
    const Verdict first = said[i].front();
    ++table[class_of(*gold)][first ? class_of(*first) : size_t{3}];
    if (first) with_grader.grades.emplace_back(*gold, *first);
  }
  const auto report = measure_people_agreement(items, labels, {{"llm", said}});
  EXPECT_THAT(report.people, ElementsAre("Ann", "Bea", "Cem", "Dan"));
  ASSERT_EQ(report.graders.size(), 1u);
  EXPECT_EQ(report.graders[0].a + " " + report.graders[0].b, "people llm");
  EXPECT_EQ(report.graders[0].table, table);
  EXPECT_GT(table[0][3] + table[1][3] + table[2][3], 0u);  // some were unscored
  expect_measured(report.graders[0], with_grader);
  ASSERT_EQ(report.between_people.size(), 3u);  // Dan gave no grade
  EXPECT_EQ(report.between_people[0].a + " " + report.between_people[0].b, "Ann Bea");
  expect_measured(report.between_people[0], people);
  EXPECT_NEAR(report.people_alpha.value().value, literal_alpha(given).value(), 1e-9);
}

TEST(PeopleAgreement, IsOneWhereAllSayTheSame) {
  const auto items = grade_items(30, 2);
  GoldLabels labels;
  Lists said;
  for (size_t i = 0; i < items.size(); ++i) {
    const double grade = static_cast<double>(i % 3) / 2;
    labels.put(graded(items[i].id, "Ann", grade));
    labels.put(graded(items[i].id, "Bea", grade));
    said.push_back({grade});
  }
  const auto report = measure_people_agreement(items, labels, {{"llm", said}});
  for (const JudgeAgreement* agreement : {&report.graders.at(0), &report.between_people.at(0)}) {
    for (const auto& estimate : {agreement->rate, agreement->linear_kappa, agreement->alpha}) {
      ASSERT_TRUE(estimate);
      EXPECT_THAT((std::vector{estimate->value, estimate->low, estimate->high}), Each(1));
    }
  }
  EXPECT_EQ(report.people_alpha.value().value, 1);
}

// A grader that says what people say on every second session, and elsewhere something else.
AgreementReport half_right(size_t sessions, size_t a_session) {
  const auto items = grade_items(sessions * a_session, a_session);
  GoldLabels labels;
  Lists said;
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t grade = i % 3;
    labels.put(graded(items[i].id, "Ann", static_cast<double>(grade) / 2));
    const size_t says = i / a_session % 2 == 0 ? grade : (grade + 1) % 3;
    said.push_back({static_cast<double>(says) / 2});
  }
  return measure_people_agreement(items, labels, {{"llm", said}});
}

TEST(PeopleAgreement, HasIntervalsThatShrinkWithTheSessionsAndNotWithTheirItems) {
  const auto width = [](const std::optional<Estimate>& e) { return e->high - e->low; };
  const JudgeAgreement few = half_right(40, 3).graders.at(0),
                       longer = half_right(40, 12).graders.at(0),
                       many = half_right(160, 3).graders.at(0);
  const auto by_theory = [](double sessions) { return 2 * 1.96 * std::sqrt(0.25 / sessions); };
  EXPECT_NEAR(width(few.rate), by_theory(40), 0.15 * by_theory(40));
  EXPECT_NEAR(width(longer.rate), by_theory(40), 0.15 * by_theory(40));
  EXPECT_NEAR(width(many.rate), by_theory(160), 0.15 * by_theory(160));
  EXPECT_NEAR(width(many.linear_kappa) / width(few.linear_kappa), 0.5, 0.1);
  EXPECT_NEAR(width(many.alpha) / width(few.alpha), 0.5, 0.1);
}

TEST(PeopleAgreement, CountsWhatAGraderSaysOtherwiseWhenAskedAgain) {
  const auto items = grade_items(7, 1);
  const Lists said = {{0, 0, 0},                 // the same
                      {0, 1},                    // changed by 1
                      {0.5, 1, 0.5},             // changed by 0.5
                      {std::nullopt, 0.5, 0.5},  // the same, as far as it answered
                      {std::nullopt, 1},
                      {1},
                      {}};  // not asked again, or no answer
  const auto report = measure_people_agreement(
      items, {}, {{"again", said}, {"once", Lists(7, std::vector<Verdict>{1})}});
  ASSERT_EQ(report.graders.size(), 2u);
  EXPECT_EQ(report.graders[0].changed, 2.0 / 4);
  EXPECT_EQ(report.graders[0].spread, (1 + 0.5) / 4);
  EXPECT_EQ(report.graders[1].changed, std::nullopt);
}

TEST(CountClaims, CountsWhatIsFoundOfTruthsThatDoNotTouch) {
  Rng rng(1);
  for (int round = 0; round < 500; ++round) {
    std::vector<SaidRange> truth, claims;
    ClaimCounts counts;
    for (size_t i = 0; i < 12; ++i) {
      // Bytes [10, 20) of each 30 of three turns; a claim of it may begin and end outside.
      const size_t turn = i % 3, at = 30 * (i / 3);
      const bool is_true = rng.chance(0.5), is_claimed = rng.chance(0.5);
      if (is_true) truth.push_back({.turn = turn, .bytes = {at + 10, at + 20}});
      if (is_claimed) {
        claims.push_back({.turn = turn, .bytes = {at + rng.below(20), at + 21 + rng.below(10)}});
      }
      counts.right += is_true && is_claimed;
      counts.wrong += !is_true && is_claimed;
      counts.missed += is_true && !is_claimed;
    }
    rng.shuffle(claims);
    const auto counted = count_claims(claims, truth);
    ASSERT_EQ(counted.right, counts.right);
    ASSERT_EQ(counted.wrong, counts.wrong);
    ASSERT_EQ(counted.missed, counts.missed);
  }
}

TEST(CountClaims, UsesNoTruthAndNoClaimTwice) {
  const SaidRange truth{.turn = 1, .bytes = {10, 20}}, next{.turn = 1, .bytes = {20, 30}};
  const auto of = [](const std::vector<SaidRange>& claims, const std::vector<SaidRange>& truths) {
    const ClaimCounts counts = count_claims(claims, truths);
    return std::vector<size_t>{counts.right, counts.wrong, counts.missed};
  };
  EXPECT_THAT(of({truth, truth}, {truth}), ElementsAre(1, 1, 0));
  EXPECT_THAT(of({{.turn = 1, .bytes = {15, 25}}}, {truth, next}), ElementsAre(1, 0, 1));
  EXPECT_THAT(of({next}, {truth}), ElementsAre(0, 1, 1));  // they only touch
  EXPECT_THAT(of({{.turn = 2, .bytes = {10, 20}}}, {truth}), ElementsAre(0, 1, 1));
  EXPECT_THAT(of({}, {}), ElementsAre(0, 0, 0));
}

TEST(ClaimCounts, GivePrecisionRecallAndF1) {
  const ClaimCounts counts{.right = 3, .wrong = 1, .missed = 2};
  EXPECT_EQ(counts.precision(), 3.0 / 4);
  EXPECT_EQ(counts.recall(), 3.0 / 5);
  EXPECT_NEAR(counts.f1().value(), 2 * 0.75 * 0.6 / (0.75 + 0.6), 1e-12);
  EXPECT_EQ(ClaimCounts().f1(), std::nullopt);
  EXPECT_EQ(ClaimCounts{.missed = 1}.precision(), std::nullopt);
  EXPECT_EQ(ClaimCounts{.wrong = 1}.recall(), std::nullopt);
  EXPECT_EQ(ClaimCounts{.missed = 1}.f1(), 0.0);
}

TEST(SaidAccordingTo, IsWhatIsRightAndWhatIsMissing) {
  const CalibrationItem item = extract_item("e", {"34", "I smoke"});
  GoldLabel label = judged("e", "Ann", {true, false});
  label.missing_said = {said_at(item, "since Monday")};
  EXPECT_THAT(said_according_to(label, item).value(),
              ElementsAre(said_at(item, "34"), said_at(item, "since Monday")));
  EXPECT_EQ(said_according_to(judged("e", "Ann", {true, std::nullopt}), item), std::nullopt);
  EXPECT_EQ(said_according_to(GoldLabel{.item = "e", .by = "Ann", .undone = true}, item),
            std::nullopt);
}

TEST(PeopleAgreement, CountsClaimsOverItemsAndPeople) {
  const std::vector<CalibrationItem> items = {extract_item("e", {"34", "I smoke"}),
                                              extract_item("f", {"34"}), extract_item("h", {"34"})};
  GoldLabels labels;
  GoldLabel ann = judged("e", "Ann", {true, false});  // 1 right, 1 wrong, 1 missed
  ann.missing_said = {said_at(items[0], "since Monday")};
  labels.put(ann);
  labels.put(judged("e", "Bea", {true, true}));          // 2 right
  labels.put(judged("e", "Cem", {true, std::nullopt}));  // not complete
  labels.put(judged("f", "Ann", {false}));               // 1 wrong
  labels.put(judged("h", "Cem", {std::nullopt}));
  const auto report = measure_people_agreement(items, labels, {});
  EXPECT_EQ(report.extract_items, 2u);
  EXPECT_EQ(report.labelled, 2u);
  EXPECT_NEAR(report.claims_f1.value().value, 6.0 / 9, 1e-12);
  EXPECT_THAT(to_text(report), HasSubstr("(3 right, 2 wrong, 1 missed)"));
}

TEST(PeopleAgreement, HoldsWhatPeopleSayWasSaidAgainstEachOther) {
  const std::vector<CalibrationItem> items = {extract_item("e", {"34", "I smoke"}, "s/1"),
                                              extract_item("f", {"34"}, "s/3"),
                                              extract_item("h", {"34"}, "t/1")};
  GoldLabels labels;
  GoldLabel ann = judged("e", "Ann", {true, false});
  ann.missing_said = {said_at(items[0], "since Monday")};
  labels.put(ann);
  labels.put(judged("e", "Bea", {true, true}));  // 1 in common, 1 of hers, 1 of Ann's
  labels.put(judged("f", "Ann", {true}));
  labels.put(judged("f", "Bea", {false}));  // 1 of Ann's
  labels.put(judged("h", "Ann", {true}));
  labels.put(judged("h", "Bea", {std::nullopt}));  // not complete
  labels.put(judged("h", "Cem", {true}));          // all in common
  const auto report = measure_people_agreement(items, labels, {});
  ASSERT_EQ(report.claims_between_people.size(), 2u);  // Bea and Cem have no item in common
  const ClaimAgreement &ann_bea = report.claims_between_people[0],
                       &ann_cem = report.claims_between_people[1];
  EXPECT_EQ(ann_bea.a + " " + ann_bea.b + " " + ann_cem.b, "Ann Bea Cem");
  EXPECT_EQ(ann_bea.items, 2u);
  EXPECT_NEAR(ann_bea.f1.value().value, 2 * 1.0 / (3 + 2), 1e-12);
  EXPECT_EQ(ann_cem.items, 1u);
  EXPECT_EQ(ann_cem.f1.value().value, 1);
  const Json json = to_json(report)["extraction"]["between_people"][0];
  EXPECT_EQ(json.at("items"), 2);
  EXPECT_EQ(json.at("b"), "Bea");
  EXPECT_NEAR(json.at("f1").at("value").get<double>(), 0.4, 1e-12);
  EXPECT_THAT(to_text(report), HasSubstr("Ann against Bea, 2 items: F1 0.400"));
}

// Cohen's kappa of two who decide between two things, by its definition.
double plain_kappa(double both_go_on, double only_a_stops, double only_b_stops, double both_stop) {
  const double all = both_go_on + only_a_stops + only_b_stops + both_stop;
  const double a_stops = (only_a_stops + both_stop) / all,
               b_stops = (only_b_stops + both_stop) / all;
  const double by_chance = a_stops * b_stops + (1 - a_stops) * (1 - b_stops);
  return ((both_go_on + both_stop) / all - by_chance) / (1 - by_chance);
}

TEST(PeopleAgreement, HoldsDecisionsAgainstEachOtherAndAgainstTheLabels) {
  Rng rng(3);
  std::vector<CalibrationItem> items;
  GoldLabels labels;
  std::array<std::array<double, 2>, 2> people{}, with_labels{};
  const auto decision = [](bool stops) { return stops ? Decision::kStop : Decision::kContinue; };
  for (size_t i = 0; i < 80; ++i) {
    const std::string id = std::to_string(i);
    const bool truth = rng.chance(0.3);
    const auto says = [&] { return rng.chance(0.8) ? truth : !truth; };
    const bool labelled = says(), ann = says(), bea = says();
    items.push_back(stop_item(id, decision(labelled), id + "/1"));
    labels.put(decided(id, "Ann", decision(ann)));
    if (i % 2 == 0) labels.put(decided(id, "Bea", decision(bea)));
    if (i % 2 == 0) ++people[ann][bea];
    const auto of_people = labels.decision_of(id);
    if (of_people) ++with_labels[*of_people == Decision::kStop][labelled];
  }
  const auto report = measure_people_agreement(items, labels, {});
  ASSERT_EQ(report.stops_between_people.size(), 1u);
  const auto expect_kappa = [](const JudgeAgreement& agreement, const auto& table) {
    EXPECT_NEAR(agreement.linear_kappa.value().value,
                plain_kappa(table[0][0], table[1][0], table[0][1], table[1][1]), 1e-12);
  };
  expect_kappa(report.stops_between_people[0], people);
  expect_kappa(report.stops, with_labels);
  EXPECT_TRUE(report.between_people.empty());  // no grades
  EXPECT_THAT(to_text(report), HasSubstr("\nAnn and Bea: 40 items, kappa "));
}

TEST(VerdictsOnItem, AreWhatEachGraderSaidEachTime) {
  const auto items = grade_items(2, 1);
  GoldLabels labels;
  labels.put(graded("1", "Ann", 0.5));
  const VerdictsByGrader verdicts = {{"llm", {{0}, {1, std::nullopt, 0.5}}}, {"match", {{}, {0}}}};
  EXPECT_EQ(dump_json(verdicts_on_item(items[1], labels, verdicts, 1)),
            R"({"item":"1","people":0.5,"verdicts":{"llm":[1.0,null,0.5],"match":[0.0]},)"
            R"("spread":{"llm":0.5}})");
}

TEST(PeopleAgreement, TablesTheStopsWherePeopleDecideAndTheLabelsDo) {
  constexpr Decision kContinue = Decision::kContinue, kStop = Decision::kStop;
  const std::vector<CalibrationItem> items = {
      stop_item("1", kStop),     stop_item("2", kStop), stop_item("3", kContinue),
      stop_item("4", kContinue), stop_item("5", kStop), stop_item("6", std::nullopt),
      stop_item("7", kContinue)};
  GoldLabels labels;
  for (const char* id : {"1", "3", "5", "6", "7"}) labels.put(decided(id, "Ann", kStop));
  for (const char* id : {"2", "4"}) labels.put(decided(id, "Ann", kContinue));
  labels.put(decided("5", "Bea", kContinue));  // as many say the one as the other
  labels.put(decided("3", "Bea", kStop));
  const auto report = measure_people_agreement(items, labels, {});
  // People go on at 4 and 2 and stop at 3, 7 and 1; the labels stop at 2 and 1.
  EXPECT_EQ(dump_json(to_json(report)["stops"]["table"]),
            "[[1,0,1,0],[0,0,0,0],[2,0,1,0],[0,0,0,0]]");
  EXPECT_THAT(to_text(report), HasSubstr("both go on 1, both stop 1, only people stops 2, only "
                                         "labels 1\n"));
}

TEST(AgreementReport, HasNullWhereNothingIsDefined) {
  const auto items = grade_items(4, 1);
  GoldLabels labels;
  for (const auto& item : items) labels.put(graded(item.id, "Ann", 1));
  const auto report =
      measure_people_agreement(items, labels, {{"llm", Lists(4, std::vector<Verdict>{1})}});
  const Json json = to_json(report);
  const Json& grader = json["graders"][0];
  EXPECT_EQ(dump_json(grader["equal"]), R"({"value":1.0,"low":1.0,"high":1.0,"count":4})");
  for (const char* key : {"linear_kappa", "alpha", "changed", "spread"}) {
    EXPECT_TRUE(grader.at(key).is_null()) << key;
  }
  EXPECT_TRUE(json.at("people_alpha").is_null());
  EXPECT_TRUE(json.at("extraction").at("f1").is_null());
  EXPECT_EQ(dump_json(grader["table"]), "[[0,0,0,0],[0,0,0,0],[0,0,4,0],[0,0,0,0]]");
}

TEST(AgreementReport, AsksForASecondPersonUntilThereIsOne) {
  const auto items = grade_items(4, 1);
  GoldLabels labels;
  labels.put(graded("0", "Ann", 1));
  EXPECT_THAT(to_text(measure_people_agreement(items, labels, {})), HasSubstr("no ceiling"));
  labels.put(graded("0", "Bea", 1));
  EXPECT_THAT(to_text(measure_people_agreement(items, labels, {})), Not(HasSubstr("ceiling")));
}

}  // namespace
}  // namespace l2a
