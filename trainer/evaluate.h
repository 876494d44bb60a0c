// Accuracy of a checkpoint by task, length and way of attending.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "trainer/vocabulary.h"

namespace longhaul::trainer {

struct EvaluateOptions {
  std::string checkpoint;  // a run's folder, or a GGUF file
  std::vector<int> lengths{2048};
  std::vector<double> ratios{0.1};  // sparse ratios to measure beside dense attention
  int n_examples = 8;
  int text_length = 1024;
  bool oracle = false;
};

// Prints one line per task, length and way of attending: right steps, exact answers, attention mass
// kept at look-ups. Answers are judged under teacher forcing, which for greedy decoding says the
// same about whole answers: every token right given the right ones before it. Seeds are 1, 2, ...
// First, if there is `text`, its loss in nats a token, in rows of text_length tokens.
Status evaluate(const EvaluateOptions& options, const Vocabulary& vocabulary,
                const std::vector<int32_t>& text);

}  // namespace longhaul::trainer
