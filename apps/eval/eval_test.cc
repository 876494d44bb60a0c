// The evaluation on a tiny random model: every answer is wrong, but every number is there, an
// interrupted run goes on to the same end, and files are what they should be.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/eval/plot.h"
#include "apps/eval/report.h"
#include "apps/eval/run.h"
#include "apps/eval/svg.h"
#include "apps/options.h"
#include "tests/tiny_model.h"

namespace longhaul::eval {
namespace {

namespace fs = std::filesystem;

class EvalTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) /
        ("eval_test_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    plan_.engine.model_path = write_tiny_model({});
    plan_.engine.n_threads = 2;
    plan_.engine.ctx_size = 2048;
    plan_.n_jobs = 2;
    plan_.tasks = {"path"};
    plan_.lengths = {400};
    plan_.n_items = 3;
    plan_.n_score = 40;
    plan_.measures = {Measure::kAnswers, Measure::kForced, Measure::kRecall};
    plan_.selectors = {"minmax", "window"};
    plan_.block_sizes = {4};
    plan_.periods = {8};
    plan_.attention.min_blocks = 4;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    return path;
  }

  Result<std::vector<Item>> items() const {
    const auto engine = Engine::load(plan_.engine);
    EXPECT_TRUE(engine);
    return make_items(plan_, **engine);
  }

  Status run_all(
      Store& store, const std::function<bool()>& go_on = [] { return true; }) const {
    LH_RETURN_IF_ERROR(run(plan_, *items(), *make_settings(plan_), go_on, store));
    return {};
  }

  Summary summary(const Store& store) const {
    return summarize(store.records(), *items(), *make_settings(plan_), make_recall_settings(plan_));
  }

  void expect_refused(const std::string& part) const {
    const auto made = items();
    ASSERT_FALSE(made);
    EXPECT_EQ(exit_code(made.error()), 2);
    EXPECT_NE(made.error().message.find(part), std::string::npos) << made.error().message;
  }
  static int exit_code(const Error& error) { return error.code == ErrorCode::kBadInput ? 2 : 1; }

  fs::path folder_;
  Plan plan_;
};

// What does not depend on the clock.
nlohmann::ordered_json without_speed(const Summary& summary) {
  auto json = to_json(summary);
  for (auto& row : json["answers"]) row.erase("tokens_per_s");
  return json;
}

TEST_F(EvalTest, EveryMeasureOfEverySetting) {
  const auto store = Store::open(plan_);
  ASSERT_TRUE(run_all(**store));
  const Summary all = summary(**store);
  ASSERT_EQ(all.answers.size(), 7U);  // dense, and sparse, resa, exact by two selectors
  for (const AnswerRow& row : all.answers) {
    EXPECT_EQ(row.n, 3U);
    EXPECT_EQ(row.n_right, 0U);
    EXPECT_TRUE(row.beside_dense);
    EXPECT_GT(row.mean_tokens, 0);
  }
  EXPECT_DOUBLE_EQ(all.answers[0].blocks_read, 1);
  EXPECT_LT(all.answers[1].blocks_read, 0.5);
  ASSERT_EQ(all.forced.size(), 5U);  // exact says what dense says
  EXPECT_EQ(all.forced[0].mean_kl, 0);
  EXPECT_EQ(all.forced[0].same_top, 1);
  for (size_t i = 1; i < all.forced.size(); ++i) EXPECT_GT(all.forced[i].mean_kl, 0);
  ASSERT_EQ(all.recall.size(), 3U);  // minmax, window, oracle
  EXPECT_LE(all.recall[0].recall, all.recall[2].recall);
  EXPECT_LE(all.recall[1].recall, all.recall[2].recall);
}

TEST_F(EvalTest, ExactAnswersAreThoseOfDense) {
  plan_.measures = {Measure::kAnswers};
  const auto store = Store::open(plan_);
  ASSERT_TRUE(run_all(**store));
  std::map<size_t, std::string> dense;
  for (const Record& record : (*store)->records()) {
    if (record.setting == "dense f16") dense[record.item] = record.answer->text;
  }
  size_t n_compared = 0;
  for (const Record& record : (*store)->records()) {
    if (!record.setting.starts_with("exact")) continue;
    EXPECT_EQ(record.answer->text, dense[record.item]);
    ++n_compared;
  }
  EXPECT_EQ(n_compared, 6U);
}

TEST_F(EvalTest, AnInterruptedRunGoesOnToTheSameEnd) {
  plan_.attention.always_draft = true;  // else `exact` drafts by what was measured just now
  const auto whole = Store::open(plan_);
  ASSERT_TRUE(run_all(**whole));
  plan_.out = (folder_ / "out").string();
  {
    const auto part = Store::open(plan_);
    std::atomic<int> n_asked = 0;
    const Status status = run_all(**part, [&] { return ++n_asked < 1200; });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
    EXPECT_FALSE((*part)->records().empty());
    EXPECT_LT((*part)->records().size(), (*whole)->records().size());
  }
  // As if it had been killed in the middle of a line.
  std::ofstream(folder_ / "out" / "results.jsonl", std::ios::app) << R"({"measure":"answ)";
  const auto rest = Store::open(plan_);
  ASSERT_TRUE(rest) << rest.error().message;
  ASSERT_TRUE(run_all(**rest));
  EXPECT_EQ((*rest)->records().size(), (*whole)->records().size());
  const auto again = Store::open(plan_);
  EXPECT_EQ(without_speed(summary(**again)), without_speed(summary(**whole)));
}

TEST_F(EvalTest, ADirectoryOfAnotherPlanIsRefused) {
  plan_.out = (folder_ / "out").string();
  ASSERT_TRUE(Store::open(plan_));
  plan_.n_jobs = 1;  // changes no result
  ASSERT_TRUE(Store::open(plan_));
  plan_.lengths = {500};
  const auto other = Store::open(plan_);
  ASSERT_FALSE(other);
  for (const char* part : {"lengths", "400", "500"}) {
    EXPECT_NE(other.error().message.find(part), std::string::npos) << other.error().message;
  }
  plan_.lengths = {400};
  TinyModelSpec trained_on;  // the same file name and size
  trained_on.seed = 2;
  fs::copy_file(write_tiny_model(trained_on), plan_.engine.model_path,
                fs::copy_options::overwrite_existing);
  const auto another = Store::open(plan_);
  ASSERT_FALSE(another);
  EXPECT_NE(another.error().message.find("model_hash"), std::string::npos);
}

// A store in `folder_`/out.
class StoreTest : public EvalTest {
 protected:
  void SetUp() override {
    EvalTest::SetUp();
    plan_.out = (folder_ / "out").string();
    ASSERT_TRUE(Store::open(plan_));
    results_ = folder_ / "out" / "results.jsonl";
  }

  void expect_io_error(const std::string& part) const {
    const auto store = Store::open(plan_);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, ErrorCode::kIo);
    EXPECT_NE(store.error().message.find(part), std::string::npos) << store.error().message;
  }

  fs::path results_;
};

TEST_F(StoreTest, ATornLineThatCannotBeCutIsAnError) {
  // A file that may grow and not shrink, also for root: a sealed one in memory.
  const int fd = ::memfd_create("results", MFD_ALLOW_SEALING);
  ASSERT_GE(fd, 0);
  const std::string torn = R"({"measure":"answ)";
  ASSERT_EQ(::write(fd, torn.data(), torn.size()), static_cast<ssize_t>(torn.size()));
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
    ::close(fd);
    GTEST_SKIP() << "skipped: this system does not seal files in memory";
  }
  fs::remove(results_);
  fs::create_symlink("/proc/self/fd/" + std::to_string(fd), results_);
  expect_io_error("results.jsonl: cannot cut off its torn last line");
  ::close(fd);
}

TEST_F(StoreTest, WhatTheSystemRefusesIsNoBadInput) {
  fs::remove(results_);
  fs::create_symlink(results_, results_);  // a loop: it cannot even be asked whether it is there
  expect_io_error("results.jsonl");
  fs::remove(results_);
  fs::create_directory(results_);
  expect_io_error("results.jsonl");
  fs::remove_all(folder_ / "out");
  write("out", "a file");
  expect_io_error("--out");
  fs::remove(folder_ / "out");
  fs::create_directories(folder_ / "out" / "plan.json");
  expect_io_error("plan.json");
}

// While it lives no file of this process grows beyond n_bytes, as if the disk were full.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t n_bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const struct rlimit limit { n_bytes, before_.rlim_max };
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~SmallFiles() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  struct rlimit before_ {};
};

TEST_F(StoreTest, AFileThatCannotBeWrittenWholeIsAnErrorAndTheOldOneStays) {
  const auto store = Store::open(plan_);
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->write_file("report.json", "{}\n"));
  Status status;
  {
    const SmallFiles full(8);
    status = (*store)->write_file("report.json", std::string(100, 'x'));
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_EQ(read_text_file((folder_ / "out" / "report.json").string()).value(), "{}\n");
  size_t n_files = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "out")) n_files += entry.exists();
  EXPECT_EQ(n_files, 3U);  // plan, results, report: no half of one
}

TEST_F(StoreTest, BehindHalfARecordNoneIsWritten) {
  Record record;
  record.task = "path";
  record.answer = AnswerRecord{};
  {
    const auto store = Store::open(plan_);
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->add(record));
    record.item = 1;
    {
      const SmallFiles full(fs::file_size(results_) + 8);
      const Status status = (*store)->add(record);
      ASSERT_FALSE(status);
      EXPECT_EQ(status.error().code, ErrorCode::kIo);
    }
    EXPECT_FALSE((*store)->has(record.key()));
    record.item = 2;
    EXPECT_FALSE((*store)->add(record));
  }
  const auto store = Store::open(plan_);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_TRUE((*store)->add(record));
}

TEST_F(EvalTest, TextsHaveAPerplexity) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "A line of text, number " + std::to_string(i) + ".\n";
  plan_.text_file = write("text.txt", text);
  plan_.tasks = {"text", "perplexity"};
  plan_.measures = {Measure::kAnswers};
  plan_.lengths = {200};
  plan_.stride = 50;
  plan_.n_windows = 4;
  plan_.modes = {AttentionMode::kDense, AttentionMode::kSparse};
  plan_.selectors = {"minmax"};
  const auto store = Store::open(plan_);
  ASSERT_TRUE(run_all(**store));
  const Summary all = summary(**store);
  EXPECT_TRUE(all.answers.empty());
  ASSERT_EQ(all.forced.size(), 4U);
  EXPECT_EQ(all.forced[0].n_tokens, 3U * 40);         // of `text`
  EXPECT_EQ(all.forced[2].n_tokens, 199U + 3U * 50);  // windows of `perplexity`
  EXPECT_GT(all.forced[2].perplexity, 1);
  plan_.text_file.clear();
  expect_refused("--text");
}

TEST_F(EvalTest, QuestionsOfTheUsersOwn) {
  plan_.tasks.clear();
  plan_.n_items = 10;
  plan_.questions = {
      write("q.jsonl",
            "{\"prompt\": \"2+2=\", \"answer\": \"4\"}\n\n"
            "{\"question\": \"How many?\", \"answer\": \"so 9\\n#### 18\"}\n"
            "{\"question\": \"Which?\", \"choices\": [\"x\", \"y\"], \"answer\": 1}\n")};
  const auto made = items();
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->size(), 3U);
  const auto right = [&](size_t i, const char* text) { return (*made)[i].score(text).exact; };
  EXPECT_TRUE(right(0, " 4"));
  EXPECT_FALSE(right(0, " 5"));
  EXPECT_FALSE(right(0, " 4 or 5"));
  EXPECT_TRUE(right(1, "I think \\boxed{18}."));
  EXPECT_TRUE(right(1, "That makes 18"));
  EXPECT_FALSE(right(1, "18 or \\boxed{9}"));
  EXPECT_TRUE(right(2, " B. y"));
  EXPECT_FALSE(right(2, " A. x"));
  EXPECT_FALSE(right(2, " y"));
}

TEST_F(EvalTest, CaseMattersOnlyAmongChoicesThatDifferByIt) {
  plan_.tasks.clear();
  plan_.questions = {
      write("q.jsonl",
            "{\"prompt\": \"a\", \"answer\": \"Paris\"}\n"
            "{\"prompt\": \"a\", \"choices\": [\"x\", \"y\"], \"answer\": \"Y\"}\n"
            "{\"prompt\": \"a\", \"choices\": [\"x\", \"X\"], \"answer\": \"X\"}\n")};
  const auto made = items();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE((*made)[0].score(" paris.").exact);
  EXPECT_FALSE((*made)[0].score(" pari").exact);
  EXPECT_TRUE((*made)[1].score(" b").exact);
  EXPECT_FALSE((*made)[1].score(" a").exact);
  EXPECT_EQ((*made)[2].answer, "B");
}

// Questions of the user's own with the last two as worked examples, whose tokens all prompts share.
class ShotsTest : public EvalTest {
 protected:
  void SetUp() override {
    EvalTest::SetUp();
    plan_.tasks.clear();
    plan_.n_items = 20;
    plan_.n_shots = 2;
    plan_.max_tokens = 12;
    plan_.measures = {Measure::kAnswers, Measure::kForced};
    plan_.selectors = {"minmax"};
    std::string text;
    for (int i = 0; i < 5; ++i) {
      text += fmt::format(
          "{{\"question\": \"How much is {0} and {0}, counted twice over?\", \"answer\": \"It is "
          "{0} and "
          "{0},\\nso {1}.\\n#### {1}\"}}\n",
          i, 2 * i);
    }
    plan_.questions = {write("q.jsonl", text)};
  }

  std::string prompt_of(const Item& item) const {
    return Engine::load(plan_.engine).value()->detokenize(item.context);
  }
};

TEST_F(ShotsTest, AnAnswerWithAGapEndsWhereTheNextQuestionBegins) {
  plan_.questions = {write("gap.jsonl",
                           R"({"question": "How much is 1 and 1?", "answer": "Two.\n#### 2"}
{"question": "How many are 3?", "answer": "They are\n\nthree.\n#### 3"}
{"question": "How much is 2 and 2?", "answer": "Four.\n#### 4"})")};
  const auto made = items();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ((*made)[0].stop, std::vector<std::string>{"\n\nQuestion: How m"});
}

TEST_F(ShotsTest, TheLastLinesStandBeforeEveryQuestionAndAreNone) {
  const auto made = items();
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->size(), 3U);
  const std::string examples =
      "Question: How much is 3 and 3, counted twice over?\nAnswer: It is 3 and 3,\nso 6.\n#### "
      "6\n\n"
      "Question: How much is 4 and 4, counted twice over?\nAnswer: It is 4 and 4,\nso 8.\n#### "
      "8\n\n";
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(prompt_of((*made)[i]),
              examples + fmt::format(
                             "Question: How much is {0} and {0}, counted twice over?\nAnswer:", i));
    EXPECT_EQ((*made)[i].stop, std::vector<std::string>{"\n\n"});
    EXPECT_EQ((*made)[i].n_shared, (*made)[0].n_shared);
  }
  EXPECT_GT((*made)[0].n_shared, examples.size() / 8);
  plan_.n_items = 1;  // changes no prompt
  EXPECT_EQ((*items())[0].context, (*made)[0].context);
  EXPECT_EQ((*items())[0].n_shared, (*made)[0].n_shared);
  plan_.n_shots = 5;
  expect_refused("more than 5 for --shots, found 5");
  plan_.questions.clear();
  expect_refused("--shots 5");
}

TEST_F(ShotsTest, WhatIsSharedIsReadOnceAndChangesNothing) {
  std::vector<Item> shared = *items();
  std::vector<Item> apart = shared;
  for (Item& item : apart) item.n_shared = 0;
  const auto settings = *make_settings(plan_);
  const auto go_on = [] { return true; };
  const auto one = Store::open(plan_).value();
  const auto other = Store::open(plan_).value();
  const auto counts = run(plan_, shared, settings, go_on, *one);
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(counts->n_prefix_tokens, shared[0].n_shared);
  EXPECT_EQ(run(plan_, apart, settings, go_on, *other)->n_prefix_tokens, 0U);
  std::map<std::string, nlohmann::ordered_json> expected;
  const auto without_time = [](const Record& record) {
    auto json = to_json(record);
    if (record.answer) json["answer"].erase("decode_s");
    return json;
  };
  for (const Record& record : other->records()) expected[record.key()] = without_time(record);
  ASSERT_EQ(one->records().size(), expected.size());
  for (const Record& record : one->records()) {
    EXPECT_EQ(without_time(record), expected[record.key()]);
  }
}

TEST_F(ShotsTest, ARunThatGoesOnDoesNotReadItAgain) {
  plan_.out = (folder_ / "out").string();
  plan_.n_jobs = 1;
  const std::vector<Item> all = *items();
  const auto settings = *make_settings(plan_);
  const auto kept = folder_ / "out" / "prefix-f16-b4-q.jsonl.state";
  {
    const auto store = Store::open(plan_).value();
    const auto stopped = run(
        plan_, all, settings, [&] { return store->records().size() < 4; }, *store);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
    EXPECT_TRUE(fs::exists(kept));
  }
  {
    std::vector<Item> others = all;  // as if the file of questions had changed
    for (Item& item : others) --item.n_shared;
    const auto store = Store::open(plan_).value();
    const auto refused = run(
        plan_, others, settings, [] { return true; }, *store);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(kept.string()), std::string::npos);
  }
  const auto store = Store::open(plan_).value();
  const auto counts = run(
      plan_, all, settings, [] { return true; }, *store);
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(counts->n_prefix_tokens, 0U);
  EXPECT_EQ(store->records().size(), 3U * (4 + 3));
  EXPECT_FALSE(fs::exists(kept));
}

TEST_F(EvalTest, BadQuestionsAreNamedWithTheirLine) {
  plan_.tasks.clear();
  const auto refused = [&](const std::string& text, const std::string& part) {
    plan_.questions = {write("bad.jsonl", text)};
    expect_refused(part);
  };
  const std::string good = "{\"prompt\": \"a\", \"answer\": \"b\"}\n";
  refused(good + "nonsense\n", "bad.jsonl:2: expected a JSON object");
  refused(good + good + "{\"promt\": \"a\"}\n", "bad.jsonl:3: expected a field prompt or question");
  refused("{\"prompt\": [1], \"answer\": \"b\"}\n", "bad.jsonl:1: field 'prompt'");
  refused("{\"prompt\": \"a\", \"choices\": [\"x\"], \"answer\": \"x\"}\n", "2 to 26");
  refused("{\"prompt\": \"a\", \"choices\": [\"x\", \"y\"], \"answer\": \"z\"}\n", "'z'");
  refused("", "none");
  plan_.questions = {write("a.jsonl", good), write("a.jsonl", good)};
  expect_refused("two named a.jsonl");
  plan_.questions = {"/nonexistent.jsonl"};
  expect_refused("/nonexistent.jsonl");
}

TEST_F(EvalTest, LengthsBeyondTheContextOrTheTaskAreRefused) {
  plan_.lengths = {4096};
  expect_refused("2048");
  plan_.lengths = {3};
  expect_refused("smallest");
  plan_.lengths = {400};
  plan_.max_tokens = 2000;
  expect_refused("do not fit");
}

// A minimal reader: elements nest and close, attributes are quoted, nothing is fetched.
void expect_well_formed(const std::string& text) {
  std::vector<std::string> open;
  for (size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1)) {
    const size_t end = text.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = text.substr(at + 1, end - at - 1);
    EXPECT_EQ(tag.find('<'), std::string::npos) << tag;
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    if (tag[0] == '!') continue;
    const std::string name =
        tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), name);
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
  for (const char* outside : {"<script", "src=", "href=", "url("}) {
    EXPECT_EQ(text.find(outside), std::string::npos) << outside;
  }
}

TEST_F(EvalTest, TheReportIsWellFormedAndNeedsNothingElse) {
  plan_.tasks = {"needle"};
  plan_.lengths = {1200};
  plan_.depths = {0, 1};
  plan_.n_items = 2;
  plan_.questions = {write("<a&b>.jsonl", "{\"prompt\": \"a\", \"answer\": \"b\"}\n")};
  const auto store = Store::open(plan_);
  ASSERT_TRUE(run_all(**store));
  const Summary all = summary(**store);
  EXPECT_EQ(all.depths.size(), 14U);  // two depths of seven settings
  const auto settings = *make_settings(plan_);
  const auto recalls = make_recall_settings(plan_);
  const auto wrong = wrong_items((*store)->records(), *items(), settings);
  ASSERT_FALSE(wrong.empty());
  const auto asked = to_json(plan_);
  const std::string html = html_report(
      {asked, {}, all, settings, recalls, wrong, {"today", "1 <2>", "longhaul eval '&'"}});
  expect_well_formed(html);
  EXPECT_NE(html.find("&lt;a&amp;b&gt;.jsonl"), std::string::npos);
  for (const char* part : {"<svg", "polyline", "Recall of attention mass", "since the last dense",
                           "At a glance", "class=\"verdict\"", "1 &lt;2&gt;", "'&amp;'",
                           "<details>", "Got from dense f16", "prefers-color-scheme: dark"}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
}

TEST(Plot, DrawsNothingAndOnePoint) {
  expect_well_formed(svg(LinePlot{"<none>", "x", "y", {}}));
  expect_well_formed(svg(LinePlot{"one", "x", "y", {{"a & b", "dense", 0, {{1, 2, 1, 3}}}}}));
  expect_well_formed(svg(DotPlot{"none", "x", {}}));
  expect_well_formed(svg(DotPlot{"one", "x", {{"a & b", "dense", 1, 0, 2}}}));
}

TEST(Plot, NamesStandAtTheEndsOfFewLinesAndBelowMany) {
  LinePlot plot{"lines", "x", "y", {}};
  for (size_t i = 0; i < 8; ++i) {
    plot.series.push_back({"line " + std::to_string(i), "dense", i, {{1, 5, 5, 5}, {2, 5, 5, 5}}});
  }
  const auto count = [](const std::string& text, const std::string& part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count(svg(plot), "leader"), 8U);
  plot.series.push_back({"line 8", "dense", 8, {{1, 5, 5, 5}}});
  EXPECT_EQ(count(svg(plot), "leader"), 0U);
  EXPECT_EQ(count(svg(plot), ">line "), 9U);
}

TEST(Plot, AxesBeginAtZeroAndEndAtARoundNumber) {
  const Axis axis = axis_from_zero(0.034, 0, 100);
  EXPECT_DOUBLE_EQ(axis.first, 0);
  EXPECT_NEAR(axis.last, 0.04, 1e-12);
  EXPECT_EQ(axis.ticks.size(), 5U);
  EXPECT_NEAR(axis.at(0.01), 25, 1e-9);
  const Axis log = log_axis(512, 65536, 0, 70);
  EXPECT_EQ(log.ticks.front(), 512);
  EXPECT_EQ(log.ticks.back(), 32768);
  EXPECT_NEAR(log.at(1024), 10, 1e-9);
}

TEST(Plot, WhatAllNamesSayIsSaidOnce) {
  std::string a = "sparse b16 f16", b = "exact b16 f32 f16", c = "dense";
  EXPECT_EQ(take_common_words({&a, &b}), "b16 f16");
  EXPECT_EQ(a, "sparse");
  EXPECT_EQ(b, "exact f32");
  EXPECT_EQ(take_common_words({&c, &c}), "");
  EXPECT_EQ(c, "dense");
}

}  // namespace
}  // namespace longhaul::eval
