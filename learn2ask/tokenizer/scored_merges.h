// SentencePiece's BPE without a list of merges: the vocabulary's scores say what merges first.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace l2a {

// Every way to put a token together from two others is a merge; the better its token's score, the
// sooner. `tokens` by id, with an empty text where one takes part in no merge; one score each.
// In the order of transformers' generate_merges.
std::vector<std::pair<std::string, std::string>> merges_by_score(
    const std::vector<std::string>& tokens, const std::vector<double>& scores);

}  // namespace l2a
