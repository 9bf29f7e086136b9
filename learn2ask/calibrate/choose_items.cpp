#include "calibrate/choose_items.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/rng.h"
#include "calibrate/people_agreement.h"

namespace l2a {

double doubt_of(const CalibrationItem& item) {
  std::vector<Verdict> verdicts;
  for (const auto& [grader, verdict] : item.verdicts) verdicts.push_back(verdict);
  return spread_of(verdicts).value_or(0);
}

std::vector<CalibrationItem> choose_items(std::vector<Candidate> candidates, size_t count,
                                          uint64_t seed) {
  Rng rng = Rng::stream(seed, "calibration items");
  rng.shuffle(candidates);
  std::set<std::string> ids;
  std::erase_if(candidates, [&](Candidate& candidate) {
    candidate.item.id = item_id(candidate.item);
    return !ids.insert(candidate.item.id).second;
  });
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.doubt > b.doubt; });

  std::vector<CalibrationItem> chosen;
  size_t next = 0;
  for (; next < candidates.size() && chosen.size() < count / 2; ++next) {
    Candidate& candidate = candidates[next];
    if (candidate.doubt == 0) break;
    candidate.item.why = fmt::format("judges differ by {:.2g}", candidate.doubt);
    chosen.push_back(std::move(candidate.item));
  }
  std::map<std::string, std::vector<Candidate>> strata;
  for (; next < candidates.size(); ++next) {
    strata[candidates[next].stratum].push_back(std::move(candidates[next]));
  }
  for (auto& [stratum, of_stratum] : strata) rng.shuffle(of_stratum);
  while (chosen.size() < count && !strata.empty()) {
    for (auto it = strata.begin(); it != strata.end() && chosen.size() < count;) {
      CalibrationItem& item = it->second.back().item;
      item.why = "one of " + it->first;
      chosen.push_back(std::move(item));
      it->second.pop_back();
      it = it->second.empty() ? strata.erase(it) : std::next(it);
    }
  }
  rng.shuffle(chosen);
  return chosen;
}

}  // namespace l2a
