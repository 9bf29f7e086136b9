#include "synth/generate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/rng.h"
#include "synth/template.h"
#include "synth/typing.h"

namespace l2a {
namespace {

constexpr double kGreeting = 0.35;      // of first messages
constexpr double kAside = 0.3;          // of a chatty user's messages
constexpr uint64_t kMaxAttempts = 100;  // to draw a session that is not there yet

// What is true of the user for one slot.
struct Fact {
  std::optional<size_t> answer;  // index into Slot::classes; nullopt: the user does not know
  std::string value;
};

enum class Noise { kNone, kIrrelevant, kEarly, kLate };
const char* noise_name(Noise noise) {
  switch (noise) {
    case Noise::kIrrelevant:
      return "irrelevant";
    case Noise::kEarly:
      return "early";
    case Noise::kLate:
      return "late";
    default:
      return "none";
  }
}

std::string capitalised(std::string text) {
  if (!text.empty() && text.front() >= 'a' && text.front() <= 'z') text.front() += 'A' - 'a';
  return text;
}

// One session in the making: the user's facts, what of them is known, and the words so far.
class SessionMaker {
 public:
  SessionMaker(const Domain& domain, const GenerateOptions& options, Rng rng)
      : domain_(domain), options_(options), rng_(rng) {}

  Session make(std::string id) {
    session_.id = std::move(id);
    complaint_ = &rng_.pick(domain_.complaints);
    chatty_ = rng_.chance(options_.chatty);
    typos_ = rng_.chance(options_.typos);
    second_expert_ = options_.conflicting_experts && rng_.chance(0.5);
    draw_facts();
    if (rng_.chance(options_.noisy) && !needed_.empty()) plan_noise();

    open_conversation();
    while (expert_turn()) {
    }
    note_session_truth();
    return std::move(session_);
  }

 private:
  // ---- the user's facts --------------------------------------------------------------------

  void draw_facts() {
    for (const auto& [slot, answer] : complaint_->known) {
      facts_[slot] = {answer, domain_.slots[slot].classes[answer].name};
      known_.insert(slot);
    }
    for (const size_t slot : complaint_->slots) {
      const auto& conditions = domain_.slots[slot].when;
      const bool matters = std::all_of(conditions.begin(), conditions.end(),
                                       [&](const Condition& c) { return holds(c); });
      if (!matters) continue;
      facts_[slot] = draw_fact(slot);
      needed_.push_back(slot);
    }
  }

  // Slots that do not matter have no fact, and a condition on them does not hold.
  bool holds(const Condition& condition) const {
    const auto found = facts_.find(condition.slot);
    if (found == facts_.end() || !found->second.answer) return false;
    return std::count(condition.classes.begin(), condition.classes.end(), *found->second.answer) >
           0;
  }

  Fact draw_fact(size_t slot_index) {
    const Slot& slot = domain_.slots[slot_index];
    if (slot.may_be_unsure && rng_.chance(options_.unsure)) return {std::nullopt, "unknown"};
    double total = 0;
    for (const auto& answer : slot.classes) total += answer.weight;
    double at = rng_.uniform() * total;
    size_t drawn = 0;
    while (drawn + 1 < slot.classes.size() && at >= slot.classes[drawn].weight) {
      at -= slot.classes[drawn++].weight;
    }
    const auto& answer = slot.classes[drawn];
    return {drawn, answer.of.empty() ? answer.name : rng_.pick(answer.of)};
  }

  const AnswerClass* class_of(size_t slot) const {
    const Fact& fact = facts_.at(slot);
    return fact.answer ? &domain_.slots[slot].classes[*fact.answer] : nullptr;
  }

  // ---- what is open ------------------------------------------------------------------------

  bool urgent_known() const {
    return std::any_of(known_.begin(), known_.end(), [&](size_t slot) {
      const AnswerClass* answer = class_of(slot);
      return answer && answer->urgent;
    });
  }

  // What matters and is not known, in the complaint's order; nothing once an urgent fact is known.
  std::vector<size_t> open_slots() const {
    if (urgent_known()) return {};
    std::vector<size_t> open;
    for (const size_t slot : needed_) {
      if (!known_.count(slot)) open.push_back(slot);
    }
    return open;
  }

  // What its conditions need is known, so the question makes sense.
  bool can_be_raised(size_t slot) const {
    const auto& conditions = domain_.slots[slot].when;
    return std::all_of(conditions.begin(), conditions.end(),
                       [&](const Condition& c) { return known_.count(c.slot) > 0; });
  }

  size_t next_slot(const std::vector<size_t>& open) const {
    const auto raisable = [&](size_t slot) { return can_be_raised(slot); };
    if (!second_expert_) return *std::find_if(open.begin(), open.end(), raisable);
    return *std::find_if(open.rbegin(), open.rend(), raisable);
  }

  // ---- the expert --------------------------------------------------------------------------

  void plan_noise() {
    const std::vector<Noise> kinds = {Noise::kIrrelevant, Noise::kEarly, Noise::kLate};
    noise_ = rng_.pick(kinds);
    noise_at_ = noise_ == Noise::kLate ? 1 + rng_.below(2) : rng_.below(needed_.size());
    if (noise_ == Noise::kEarly) noise_at_ = std::max<size_t>(noise_at_, 1);
  }

  // A slot that has nothing to do with the user's complaint.
  std::optional<size_t> foreign_slot() {
    std::vector<size_t> foreign;
    for (size_t slot = 0; slot < domain_.slots.size(); ++slot) {
      const auto& mine = complaint_->slots;
      const bool of_complaint = std::find(mine.begin(), mine.end(), slot) != mine.end();
      if (!of_complaint && !known_.count(slot) && domain_.slots[slot].when.empty()) {
        foreign.push_back(slot);
      }
    }
    if (foreign.empty()) return std::nullopt;
    return rng_.pick(foreign);
  }

  // What the expert asks; nullopt: closes. `open` is what would be right to ask for.
  std::optional<size_t> choose(const std::vector<size_t>& open) {
    if (open.empty()) {
      if (noise_ != Noise::kLate || noise_at_ == 0) return std::nullopt;
      --noise_at_;
      return foreign_slot();
    }
    if (noise_ == Noise::kEarly && questions_ >= noise_at_) return std::nullopt;
    if (noise_ == Noise::kIrrelevant && questions_ == noise_at_) {
      if (const auto foreign = foreign_slot()) return foreign;
    }
    return next_slot(open);
  }

  // One expert turn and the user's answer. False when the expert has closed.
  bool expert_turn() {
    const auto open = open_slots();
    const auto asked = choose(open);
    Json truth = Json::object();
    if (asked) truth["asked"] = domain_.slots[*asked].name;
    truth["open"] = names(open);
    truth["decision"] = open.empty() ? "stop" : "continue";
    const bool right =
        asked ? std::find(open.begin(), open.end(), *asked) != open.end() : open.empty();
    if (!right) truth["noisy"] = true;
    add(Role::kAssistant,
        asked ? fill_template(rng_.pick(domain_.slots[*asked].ask), "", rng_) : closing(),
        std::move(truth));
    if (!asked) return false;
    ++questions_;
    answer(*asked);
    return true;
  }

  std::string closing() {
    if (urgent_known()) return fill_template(rng_.pick(domain_.referrals), "", rng_);
    const std::string advice = fill_template(rng_.pick(complaint_->advice), "", rng_);
    return capitalised(fill_template(rng_.pick(domain_.closings), advice, rng_));
  }

  // ---- the user ----------------------------------------------------------------------------

  // A sentence with the slot whose fact it gives, if any.
  struct Piece {
    std::string text;
    std::optional<size_t> gives;
  };

  void open_conversation() {
    std::vector<Piece> pieces;
    if (rng_.chance(kGreeting))
      pieces.push_back({fill_template(rng_.pick(domain_.greetings), "", rng_), {}});
    pieces.push_back({fill_template(rng_.pick(complaint_->say), "", rng_), {}});
    for (int tries = 0; tries < 2; ++tries) maybe_volunteer(options_.volunteer, pieces);
    say(pieces);
  }

  void answer(size_t slot) {
    if (!facts_.count(slot)) facts_[slot] = draw_fact(slot);
    const AnswerClass* answer = class_of(slot);
    const auto& wordings = answer ? answer->say : domain_.unsure;
    std::vector<Piece> pieces = {
        {fill_template(rng_.pick(wordings), facts_[slot].value, rng_), slot}};
    known_.insert(slot);
    maybe_volunteer(options_.volunteer / 4, pieces);
    say(pieces);
  }

  // Adds a sentence with an open fact that was not asked for.
  void maybe_volunteer(double chance, std::vector<Piece>& pieces) {
    if (!rng_.chance(chance)) return;
    std::vector<size_t> candidates;
    for (const size_t slot : open_slots()) {
      const AnswerClass* answer = class_of(slot);
      if (answer && !answer->volunteer.empty() && can_be_raised(slot)) candidates.push_back(slot);
    }
    if (candidates.empty()) return;
    const size_t slot = rng_.pick(candidates);
    const std::string& wording = rng_.pick(class_of(slot)->volunteer);
    pieces.push_back({fill_template(wording, facts_[slot].value, rng_), slot});
    known_.insert(slot);
  }

  // Chatty users send every sentence as its own message.
  void say(std::vector<Piece> pieces) {
    if (chatty_ && rng_.chance(kAside)) {
      pieces.push_back({fill_template(rng_.pick(domain_.asides), "", rng_), {}});
    }
    std::string text;
    Json given = Json::object();
    for (size_t i = 0; i < pieces.size(); ++i) {
      text += (text.empty() ? "" : " ") + capitalised(pieces[i].text);
      if (const auto slot = pieces[i].gives) given[domain_.slots[*slot].name] = facts_[*slot].value;
      if (!chatty_ && i + 1 < pieces.size()) continue;
      add(Role::kUser, typos_ ? mistype(text, rng_) : text, {{"given", given}});
      text.clear();
      given = Json::object();
    }
  }

  // ---- the record --------------------------------------------------------------------------

  void add(Role role, std::string text, Json truth) {
    session_.messages.push_back({role, std::move(text), {{"truth", std::move(truth)}}});
  }

  Json names(const std::vector<size_t>& slots) const {
    Json list = Json::array();
    for (const size_t slot : slots) list.push_back(domain_.slots[slot].name);
    return list;
  }

  void note_session_truth() {
    Json truth = {{"complaint", complaint_->name},
                  {"slots", names(needed_)},
                  {"expert", second_expert_ ? "second" : "first"}};
    if (noise_ != Noise::kNone) truth["noise"] = noise_name(noise_);
    session_.extra["truth"] = std::move(truth);
  }

  const Domain& domain_;
  const GenerateOptions& options_;
  Rng rng_;
  Session session_;
  const Complaint* complaint_ = nullptr;
  bool chatty_ = false, typos_ = false, second_expert_ = false;
  std::map<size_t, Fact> facts_;  // of slots that matter, and of foreign ones once asked for
  std::vector<size_t> needed_;    // slots that matter for this user, in the complaint's order
  std::set<size_t> known_;
  Noise noise_ = Noise::kNone;
  size_t noise_at_ = 0;  // the question to replace; questions before an early close; late ones left
  size_t questions_ = 0;
};

// What makes two sessions alike: who says what; not their ids.
uint64_t hash_of_words(const Session& session) {
  std::string words;
  for (const auto& message : session.messages) {
    words += std::string(role_name(message.role)) + '\n' + message.text + '\n';
  }
  return stable_hash(words);
}

void count(const Session& session, GenerateSummary& summary) {
  ++summary.sessions;
  summary.turns += turns_of(session).size();
  for (const auto& message : session.messages) {
    if (message.role != Role::kAssistant) continue;
    const Json& truth = message.extra["truth"];
    ++summary.expert_turns;
    summary.stops += truth["decision"] == "stop";
    summary.noisy_turns += truth.contains("noisy");
  }
}

}  // namespace

Session generate_session(const Domain& domain, const GenerateOptions& options, uint64_t seed,
                         uint64_t index, uint64_t attempt) {
  const std::string stream = attempt == 0 ? "session" : "session " + std::to_string(attempt);
  std::string id = domain.name + "-" + std::to_string(seed) + "-" + std::to_string(index);
  return SessionMaker(domain, options, Rng::stream(seed, stream, index)).make(std::move(id));
}

GenerateSummary generate_file(const Domain& domain, const GenerateOptions& options, uint64_t seed,
                              uint64_t sessions, const FileHeader& header,
                              const std::filesystem::path& path,
                              const std::function<void()>& on_session) {
  require_replaceable(path, "learn2ask generate");
  AtomicFile out(path);
  out.write_line(dump_json(to_json(header)));
  GenerateSummary summary;
  std::unordered_set<uint64_t> seen;
  for (uint64_t index = 0; index < sessions; ++index) {
    throw_if_interrupted();
    Session session = generate_session(domain, options, seed, index);
    for (uint64_t attempt = 1; !seen.insert(hash_of_words(session)).second; ++attempt) {
      if (attempt == kMaxAttempts) {
        fail_input("generate: domain '" + domain.name + "': no new session in " +
                   std::to_string(kMaxAttempts) + " draws after " + std::to_string(index) +
                   ": ask for fewer sessions or add wordings");
      }
      session = generate_session(domain, options, seed, index, attempt);
      ++summary.redrawn;
    }
    out.write_line(dump_json(to_json(session)));
    count(session, summary);
    on_session();
  }
  out.commit();
  return summary;
}

}  // namespace l2a
