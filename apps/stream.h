// What a person watches while the engine works: text as it becomes final, a progress bar before and
// beside it.
#pragma once

#include <atomic>
#include <optional>
#include <string>
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
  // Wipes the bar. Error: the text could not be written, which stopped the work.
  Status finish();

  // What was done by now, for any thread: "512 of 3000 tokens of the prompt read".
  std::string progress() const;
  bool is_decoding() const { return decoding_; }

 private:
  bool print(std::string_view text);
  void draw(size_t max_tokens);

  bool show_text_;
  int write_error_ = 0;  // errno
  std::atomic<bool> decoding_ = false;
  std::atomic<size_t> prompt_done_ = 0, prompt_total_ = 0, generated_ = 0;
  std::optional<ProgressBar> bar_;
};

}  // namespace longhaul
