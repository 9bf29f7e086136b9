// What a search for a prompt would ask language models, before it is begun.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "calibrate/prompt_search.h"
#include "llm/counting_client.h"

namespace l2a {

// About. How far a search goes depends on what its models answer: nobody has asked them yet.
struct SearchEstimate {
  CallEstimate
      short_race;     // where no candidate is better than the prompt in use on its first items
  CallEstimate most;  // where search.max_outcomes are tried
};

// `trying_all`: the calls of trying the prompt in use on every item; `criticising`: those of having
// it criticised for the candidates of one round. (Writing them shows the model about as much.)
SearchEstimate estimate_search(std::span<const SearchItem> items,
                               const PromptSearchOptions& options, const CallEstimate& trying_all,
                               const CallEstimate& criticising);

// What `ask` has counted, by clients that count and whose estimate is `so_far`: every call ends in
// an error there, and so does what needs its answer.
CallEstimate counted_by(const std::function<void()>& ask,
                        const std::function<CallEstimate()>& so_far);

std::string to_text(const SearchEstimate& estimate);

}  // namespace l2a
