// What the labelling page asks for (web/labelling.js):
//
// - GET /api/items?by=NAME&from=0&count=20: {"total", "items": [{"index", "id", "kind", ...,
//   "label"}]}
// - GET /api/next?by=NAME&after=-1: {"index": 7 or null}, the next one without a whole label
// - GET /api/progress?by=NAME: {"labelled", "total"}
// - POST /api/labels, a label (calibrate/gold_label.h): {"labelled", "total"}
//
// What machines said of an item, and why it was chosen, is not shown to whoever labels it.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "calibrate/gold_label.h"
#include "service/http_server.h"

namespace l2a {

// Thread-safe.
class LabellingRoutes {
 public:
  // Both must outlive it.
  LabellingRoutes(const std::vector<CalibrationItem>& items, GoldLabelFile& labels);
  void add_to(HttpServer& server);

 private:
  HttpResponse get_items(const HttpRequest& request);
  HttpResponse get_next(const HttpRequest& request);
  HttpResponse get_progress(const HttpRequest& request);
  HttpResponse post_label(const HttpRequest& request);
  bool is_done(const CalibrationItem& item, const std::string& by) const;
  Json progress_of(const std::string& by);

  const std::vector<CalibrationItem>& items_;
  const ItemIndex index_;
  std::mutex mutex_;
  GoldLabelFile& labels_;
  std::map<std::string, size_t> done_;  // by name, counted once and then kept
};

}  // namespace l2a
