// The sections of the report page, each a piece of HTML with all text escaped.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/report.h"

namespace l2a {

// Title, one sentence with the key numbers, and the cards. `journey`: its summaries, in order;
// empty: title alone.
std::string hero_section(const std::string& title, std::span<const Summary* const> journey);

std::string results_section(std::span<const Summary> summaries,
                            std::span<const ReportComparison> comparisons);

// Kappa of each pair of graders, a table each; the confusion tables are in eval.md. "" without.
std::string agreements_section(std::span<const Agreement> agreements);

// Places for the charts, each with its ends in words; "" without curves.
std::string curves_section(std::span<const Curve> curves);

std::string dialogues_section(std::span<const DialogueSample> dialogues);

// Facts, commands, notes, and what each metric means.
std::string facts_section(const Report& report);

}  // namespace l2a
