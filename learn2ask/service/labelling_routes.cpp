#include "service/labelling_routes.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"

namespace l2a {
namespace {

constexpr size_t kMostAtOnce = 100;

std::string param(const HttpRequest& request, const std::string& name) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) fail_input("'" + name + "': missing");
  return found->second;
}

std::string name_param(const HttpRequest& request) {
  const std::string name = trim(param(request, "by"));
  if (name.empty() || name.size() > kLongestName) {
    fail_input("'by': expected a name of at most " + std::to_string(kLongestName) + " bytes");
  }
  return name;
}

// A whole number from -1 on, which stands for "before the first".
int64_t number_param(const HttpRequest& request, const std::string& name) {
  const std::string text = param(request, name);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < -1) {
    fail_input("'" + name + "': expected a whole number, got '" + shown(text) + "'");
  }
  return number;
}

// What a person sees of an item.
Json shown_item(const CalibrationItem& item) {
  Json json = to_json(item);
  for (const char* hidden : {"context", "verdicts", "why", "decision"}) json.erase(hidden);
  if (json.contains("items")) {
    for (Json& claim : json["items"]) {
      for (const char* hidden : {"turn", "begin", "end"}) claim.erase(hidden);
    }
  }
  return json;
}

Json shown_label(const GoldLabel* label) {
  if (label == nullptr) return nullptr;
  Json json = to_json(*label);
  json.erase("item");
  json.erase("by");
  return json;
}

}  // namespace

LabellingRoutes::LabellingRoutes(const std::vector<CalibrationItem>& items, GoldLabelFile& labels)
    : items_(items), index_(items), labels_(labels) {}

void LabellingRoutes::add_to(HttpServer& server) {
  const auto route = [this](HttpResponse (LabellingRoutes::*method)(const HttpRequest&)) {
    return [this, method](const HttpRequest& request) {
      const std::lock_guard lock(mutex_);
      return (this->*method)(request);
    };
  };
  server.get("/api/items", route(&LabellingRoutes::get_items));
  server.get("/api/next", route(&LabellingRoutes::get_next));
  server.get("/api/progress", route(&LabellingRoutes::get_progress));
  server.post("/api/labels", route(&LabellingRoutes::post_label));
}

bool LabellingRoutes::is_done(const CalibrationItem& item, const std::string& by) const {
  const GoldLabel* label = labels_.labels().find(item.id, by);
  return label != nullptr && label->is_complete();
}

Json LabellingRoutes::progress_of(const std::string& by) {
  const auto [done, unknown] = done_.try_emplace(by, 0);
  if (unknown) {
    done->second = static_cast<size_t>(
        std::count_if(items_.begin(), items_.end(),
                      [&](const CalibrationItem& item) { return is_done(item, by); }));
  }
  return {{"labelled", done->second}, {"total", items_.size()}};
}

HttpResponse LabellingRoutes::get_items(const HttpRequest& request) {
  const std::string by = name_param(request);
  const auto from = static_cast<size_t>(std::max<int64_t>(0, number_param(request, "from")));
  const auto count = static_cast<size_t>(std::max<int64_t>(0, number_param(request, "count")));
  Json list = Json::array();
  for (size_t i = from; i < items_.size() && i - from < std::min(count, kMostAtOnce); ++i) {
    Json item = {{"index", i}};
    item.update(shown_item(items_[i]));
    item["label"] = shown_label(labels_.labels().find(items_[i].id, by));
    list.push_back(std::move(item));
  }
  return json_response({{"total", items_.size()}, {"items", std::move(list)}});
}

HttpResponse LabellingRoutes::get_next(const HttpRequest& request) {
  const std::string by = name_param(request);
  const size_t start = static_cast<size_t>(number_param(request, "after")) + 1;  // -1: 0
  for (size_t step = 0; step < items_.size(); ++step) {
    const size_t i = (start + step) % items_.size();
    if (!is_done(items_[i], by)) return json_response({{"index", i}});
  }
  return json_response({{"index", nullptr}});
}

HttpResponse LabellingRoutes::get_progress(const HttpRequest& request) {
  return json_response(progress_of(name_param(request)));
}

HttpResponse LabellingRoutes::post_label(const HttpRequest& request) {
  const Json line = parse_json(request.body).value_or_throw();
  GoldLabel label = gold_label_from_json(line, index_).value_or_throw();
  const CalibrationItem& item = *index_.find(label.item);
  const std::string by = label.by;
  progress_of(by);  // counted before the label changes it
  const bool before = is_done(item, by);
  labels_.put(std::move(label));
  const bool after = is_done(item, by);
  size_t& done = done_.at(by);
  if (after && !before) ++done;
  if (before && !after) --done;
  return json_response(progress_of(by));
}

}  // namespace l2a
