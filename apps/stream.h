// What a person watches while the engine works: text as it becomes final, a progress bar before and
// beside it.
#pragma once

#include <optional>
#include <string_view>

#include "apps/interrupt.h"
#include "base/progress.h"
#include "longhaul/engine.h"

namespace longhaul {

class Stream {
 public:
  // `show_text`: print final text to standard output. Without it a bar shows the decoding.
  explicit Stream(bool show_text) : show_text_(show_text) {}

  // Sets the callbacks of a request; both stop the work once Ctrl-C was pressed. The stream must
  // outlive the request.
  void attach(GenerateRequest& request, const Interrupt& interrupt);
  // Wipes the bar.
  void finish() { bar_.reset(); }

 private:
  bool print(std::string_view text);
  void draw(size_t prompt_done, size_t prompt_total, size_t generated, size_t max_tokens);

  bool show_text_;
  bool decoding_ = false;
  std::optional<ProgressBar> bar_;
};

}  // namespace longhaul
