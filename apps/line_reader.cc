#include "apps/line_reader.h"

#include <histedit.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <filesystem>
#include <iostream>

#include "apps/prompt.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;

constexpr int kHistoryLines = 1000;
constexpr const char* kBeginPaste = "\033[?2004h";  // the terminal marks what is pasted
constexpr const char* kEndPaste = "\033[?2004l";

// The editor reads characters as the locale says. One that knows only ASCII would split all others.
void need_utf8() {
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1)
    std::setlocale(LC_CTYPE, "C.UTF-8");
}

// Where the history lies, made if need be. What people say to a model is their own.
bool make_folder_of(const std::string& path) {
  std::error_code error;
  const fs::path folder = fs::path(path).parent_path();
  if (fs::exists(folder, error)) return true;
  if (!fs::create_directories(folder, error)) return false;
  fs::permissions(folder, fs::perms::owner_all, error);
  return true;
}

}  // namespace

std::string history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state != '\0') return std::string(state) + "/longhaul/chat_history";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return "";
  return std::string(home) + "/.local/state/longhaul/chat_history";
}

struct LineReader::Editor {
  Editor(const Interrupt& its_interrupt, std::string history_path)
      : interrupt(its_interrupt), path(std::move(history_path)) {
    need_utf8();
    line = el_init("longhaul", stdin, stderr, stderr);
    past = history_init();
    HistEvent event;
    history(past, &event, H_SETSIZE, kHistoryLines);
    history(past, &event, H_SETUNIQUE, 1);
    if (!path.empty()) history(past, &event, H_LOAD, path.c_str());
    el_set(line, EL_CLIENTDATA, this);
    el_set(line, EL_GETCFN, &Editor::get);
    el_set(line, EL_PROMPT, &Editor::prompt_of);
    el_set(line, EL_HIST, history, past);
    el_set(line, EL_EDITOR, "emacs");
    el_set(line, EL_ADDFN, "lh-paste", "take pasted text as it is", &Editor::paste);
    el_set(line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_set(line, EL_BIND, "\033[200~", "lh-paste", nullptr);
  }
  ~Editor() {
    el_end(line);
    history_end(past);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  static Editor& of(EditLine* line) {
    void* self = nullptr;
    el_get(line, EL_CLIENTDATA, &self);
    return *static_cast<Editor*>(self);
  }
  static char* prompt_of(EditLine* line) { return of(line).prompt.data(); }

  // The next character: 1, or 0 at the end of input, or -1 after Ctrl-C. (The editor's own reading
  // takes one Ctrl-C for nothing.)
  static int get(EditLine* line, wchar_t* c) {
    constexpr int kStepMs = 100;  // another thread may have got the signal
    std::mbstate_t state = {};
    while (!of(line).interrupt.requested()) {
      pollfd input = {STDIN_FILENO, POLLIN, 0};
      if (poll(&input, 1, kStepMs) <= 0) continue;
      char byte = 0;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return static_cast<int>(n);
      const size_t n_used = std::mbrtowc(c, &byte, 1, &state);
      if (n_used == static_cast<size_t>(-2)) continue;  // more of the character follows
      if (n_used != static_cast<size_t>(-1)) return 1;
      state = {};  // no character: passed over, as the editor does
    }
    return -1;
  }

  // Nothing at the end of input, and after Ctrl-C.
  std::optional<std::string> read(const char* its_prompt) {
    prompt = its_prompt;
    std::fputs(kBeginPaste, stderr);
    int n_characters = 0;
    const char* text = el_gets(line, &n_characters);
    std::fputs(kEndPaste, stderr);
    return text == nullptr ? std::nullopt : std::optional<std::string>(text);
  }

  // Up to the mark behind it; line breaks in it end no message.
  static unsigned char paste(EditLine* line, int) {
    constexpr std::wstring_view kMark = L"\033[201~";
    std::wstring text;
    wchar_t c = 0;
    while (!text.ends_with(kMark) && el_wgetc(line, &c) == 1) text += c == L'\r' ? L'\n' : c;
    if (text.ends_with(kMark)) text.resize(text.size() - kMark.size());
    if (text.ends_with(L'\n')) text.pop_back();
    el_winsertstr(line, text.c_str());
    return CC_REFRESH;
  }

  const Interrupt& interrupt;
  std::string path;
  std::string prompt;
  EditLine* line = nullptr;
  History* past = nullptr;
};

LineReader::LineReader(Interrupt& interrupt, std::string path) : interrupt_(interrupt) {
  if (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1)
    editor_ = std::make_unique<Editor>(interrupt_, std::move(path));
}

LineReader::~LineReader() = default;

std::optional<LineReader::Line> LineReader::read(const char* prompt) {
  interrupt_.reset();
  std::optional<std::string> text = editor_ ? editor_->read(prompt) : read_pipe();
  if (!text && interrupt_.requested()) {
    interrupt_.reset();
    return Line{"", true};
  }
  if (!text) return std::nullopt;
  if (text->ends_with('\n')) text->pop_back();
  if (text->ends_with('\r')) text->pop_back();
  if (is_first_) text = without_transport(*text);
  is_first_ = false;
  return Line{std::move(*text), false};
}

std::optional<std::string> LineReader::read_pipe() {
  std::string text;
  if (std::getline(std::cin, text)) return text;
  if (interrupt_.requested()) {
    std::cin.clear();
    std::clearerr(stdin);
  }
  return std::nullopt;
}

void LineReader::remember(const std::string& message) {
  if (!editor_ || message.empty()) return;
  HistEvent event;
  history(editor_->past, &event, H_ENTER, message.c_str());
  if (editor_->path.empty() || !make_folder_of(editor_->path)) return;
  const mode_t before = umask(0077);
  history(editor_->past, &event, H_SAVE, editor_->path.c_str());
  umask(before);
}

}  // namespace longhaul
