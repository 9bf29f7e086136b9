#include "eval/report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "eval/html.h"
#include "eval/report_sections.h"

namespace l2a {
namespace {

// Style and script that stand in the page.
struct Assets {
  std::string css, js;
  std::string chart_css, chart_js;  // empty: not installed
};

Assets load_assets(const std::filesystem::path& web) {
  Assets assets{read_file(web / "report.css"), read_file(web / "report.js"), "", ""};
  const auto uplot = web / "node_modules" / "uplot" / "dist";
  if (std::filesystem::exists(uplot / "uPlot.iife.min.js")) {
    assets.chart_css = read_file(uplot / "uPlot.min.css");
    assets.chart_js = read_file(uplot / "uPlot.iife.min.js");
  }
  return assets;
}

std::string style_element(const std::string& css) { return "<style>\n" + css + "</style>\n"; }
std::string script_element(const std::string& js) { return "<script>" + js + "</script>\n"; }

// Nothing is fetched, and only the two scripts of these very bytes run.
std::string security_policy(const Assets& assets) {
  std::string scripts = "'" + csp_hash(assets.js) + "'";
  if (!assets.chart_js.empty()) scripts += " '" + csp_hash(assets.chart_js) + "'";
  return fmt::format(
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src {}; base-uri 'none'; form-action 'none'\">\n",
      scripts);
}

std::vector<const Summary*> find_journey(const Report& report) {
  std::vector<const Summary*> journey;
  for (const std::string& policy : report.journey) {
    const auto found =
        std::find_if(report.summaries.begin(), report.summaries.end(),
                     [&](const Summary& summary) { return summary.facts.policy == policy; });
    if (found == report.summaries.end()) {
      fail_input(fmt::format("report: journey: '{}': no such policy in the tables", policy));
    }
    journey.push_back(&*found);
  }
  return journey;
}

std::string curve_data(const std::vector<Curve>& curves) {
  Json data = Json::array();
  for (const Curve& curve : curves) data.push_back(to_json(curve));
  return "<script type=\"application/json\" id=\"curve-data\">" + script_json(data) + "</script>\n";
}

}  // namespace

std::string render_report(const Report& report, const std::filesystem::path& web_directory) {
  const Assets assets = load_assets(web_directory);
  std::string page = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += security_policy(assets);
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  page += "<meta name=\"color-scheme\" content=\"light dark\">\n";
  page += "<title>" + html_escape(report.title) + "</title>\n";
  page += style_element(assets.chart_css) + style_element(assets.css);
  page += "</head>\n<body>\n<main>\n";
  page += hero_section(report.title, find_journey(report));
  page += results_section(report.summaries, report.comparisons);
  page += agreements_section(report.agreements);
  page += curves_section(report.curves);
  page += dialogues_section(report.dialogues);
  page += facts_section(report);
  page += "</main>\n" + curve_data(report.curves);
  if (!assets.chart_js.empty()) page += script_element(assets.chart_js);
  page += script_element(assets.js) + "</body>\n</html>\n";
  return page;
}

}  // namespace l2a
