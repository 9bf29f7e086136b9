// Gold labels as a spreadsheet (CSV), for people who would rather label there.
//
// A row an item: item, kind, context, said later, to judge, by, label, missing, note. What people
// fill in is the last three: `label` is 1, 0.5 (or 0,5), 0 or unsure (grade); stop, continue or
// unsure (stop); a word right or wrong for each numbered fact (extract), and `missing` has a
// quotation a line. A text that a spreadsheet would take for a formula has an apostrophe before it.
#pragma once

#include <istream>
#include <span>
#include <string>
#include <vector>

#include "calibrate/gold_label.h"

namespace l2a {

// With what `by` said so far.
std::string gold_sheet(std::span<const CalibrationItem> items, const GoldLabels& labels,
                       const std::string& by);

// Rows with a label, by whoever the row names, or else `by`. Columns are found by their names, in
// any order; only item, by, label, missing and note are read. Throws Failure naming `name` and the
// line.
std::vector<GoldLabel> read_gold_sheet(std::istream& in, const std::string& name,
                                       const ItemIndex& items, const std::string& by);

}  // namespace l2a
