#include "trainer/evaluate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "tasks/path.h"
#include "tasks/recall.h"
#include "tasks/sum.h"
#include "trainer/batch.h"
#include "trainer/import.h"
#include "trainer/selection.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

struct Way {
  std::string name;
  bool dense = true;
  SparseOptions sparse{};
};

struct Counts {
  double n_steps = 0, n_right_steps = 0, n_answers = 0, n_exact = 0;
  SelectionStats selection;
};

// A batch of one row, and where its answer starts.
struct Example {
  Batch batch;
  int64_t first_answer = 0;
};

// The largest task of a kind that fits `length`; recall asks for half of its keys.
Task largest_task(const TaskShape& shape, int length, uint64_t seed) {
  if (&shape == &kPathShape) return *make_path_task({.n_nodes = max_path_nodes(length)}, seed);
  if (&shape == &kSumShape) return *make_sum_task({.n_entries = max_sum_entries(length)}, seed);
  const int n_pairs = max_recall_pairs(length);
  const int n_queries = max_recall_queries(length, n_pairs);
  return *make_recall_task({.n_pairs = size_t(n_pairs), .n_queries = size_t(n_queries)}, seed);
}

Example make_example(const TaskShape& shape, int length, uint64_t seed,
                     const Vocabulary& vocabulary) {
  const Task task = largest_task(shape, length, seed);
  const auto used = static_cast<int>(1 + vocabulary.encode(task.prompt + task.answer).size());
  Example example{Batch::empty(1, (used + 16) / 16 * 16, vocabulary), 0};
  example.batch.set_task(0, task, shape, vocabulary);
  while (example.batch.kinds[size_t(example.first_answer)] == TargetKind::kNone) {
    ++example.first_answer;
  }
  ++example.first_answer;  // kinds mark the position before the answer's first token
  return example;
}

void judge(const Example& example, const TaskShape& shape, const Checkpoint& model, const Way& way,
           Counts& counts) {
  SparseOptions sparse = way.sparse;
  sparse.first_query = example.first_answer;
  const Attention attention = [&](int64_t, const Tensor& q, const Tensor& k, const Tensor& v) {
    if (way.dense) return dense_attention(q, k, v);
    return sparse_attention(q, k, v, sparse, &counts.selection);
  };
  const Tensor ids = at::tensor(at::ArrayRef<int64_t>(example.batch.ids)).unsqueeze(0);
  const Tensor hidden = forward(model.config, model.weights, ids, attention)[0];
  const Tensor best = at::linear(hidden, model.weights.output_matrix()).argmax(-1).contiguous();
  const int64_t* chosen = best.const_data_ptr<int64_t>();
  bool exact = true;
  for (size_t i = 0; i < example.batch.kinds.size(); ++i) {
    const TargetKind kind = example.batch.kinds[i];
    if (kind == TargetKind::kNone) continue;
    const bool right = chosen[i] == example.batch.targets[i];
    exact = exact && right;
    if (kind != shape.hard) continue;
    counts.n_steps += 1;
    counts.n_right_steps += right ? 1 : 0;
  }
  counts.n_answers += 1;
  counts.n_exact += exact ? 1 : 0;
}

std::vector<Way> ways_of(const EvaluateOptions& options) {
  std::vector<Way> ways{{.name = "dense"}};
  for (const double ratio : options.ratios) {
    ways.push_back({fmt::format("minmax {:.2f}", ratio), false, {.ratio = ratio}});
    if (!options.oracle) continue;
    ways.push_back({fmt::format("oracle {:.2f}", ratio), false, {.ratio = ratio, .oracle = true}});
  }
  return ways;
}

// Mean loss of all of `text`, read in rows that start with the mark.
double text_loss(const Checkpoint& model, const std::vector<int32_t>& text, int length,
                 const Vocabulary& vocabulary) {
  double total = 0;
  const Attention attention = [](int64_t, const Tensor& q, const Tensor& k, const Tensor& v) {
    return dense_attention(q, k, v);
  };
  for (size_t first = 0; first < text.size(); first += size_t(length)) {
    const auto n = static_cast<int>(std::min(size_t(length), text.size() - first));
    Batch batch = Batch::empty(1, n, vocabulary);
    batch.set_text(0, text, first, vocabulary);
    const Tensor ids = at::tensor(at::ArrayRef<int64_t>(batch.ids)).unsqueeze(0);
    const Tensor hidden = forward(model.config, model.weights, ids, attention)[0];
    const Tensor logits = at::linear(hidden, model.weights.output_matrix());
    const Tensor targets = at::tensor(at::ArrayRef<int64_t>(batch.targets));
    total += at::cross_entropy_loss(logits, targets).item<double>() * n;
  }
  return total / static_cast<double>(text.size());
}

}  // namespace

Status evaluate(const EvaluateOptions& options, const Vocabulary& vocabulary,
                const std::vector<int32_t>& text) {
  LH_ASSIGN_OR_RETURN(const Checkpoint model, load_model(options.checkpoint));
  if (model.config.vocab_size != vocabulary.size()) {
    return bad_input("{}: a model of {} tokens, but the vocabulary has {}", options.checkpoint,
                     model.config.vocab_size, vocabulary.size());
  }
  const at::NoGradGuard no_grad;
  if (!text.empty()) {
    fmt::print("text {} tokens, rows of {}: {:.4f} nats a token\n", text.size(),
               options.text_length, text_loss(model, text, options.text_length, vocabulary));
  }
  for (const int length : options.lengths) {
    for (const TaskShape* shape : {&kPathShape, &kSumShape, &kRecallShape}) {
      for (const Way& way : ways_of(options)) {
        Counts counts;
        for (int i = 1; i <= options.n_examples; ++i) {
          judge(make_example(*shape, length, static_cast<uint64_t>(i), vocabulary), *shape, model,
                way, counts);
        }
        fmt::print("{:6} length {:5} steps {:4.0f} {:12} right {:.4f} exact {:.3f}", shape->name,
                   length, counts.n_steps / counts.n_answers, way.name,
                   counts.n_right_steps / counts.n_steps, counts.n_exact / counts.n_answers);
        if (!way.dense) fmt::print(" mass {:.4f}", counts.selection.mass / counts.selection.n);
        fmt::print("\n");
        std::fflush(stdout);
      }
    }
  }
  return {};
}

}  // namespace longhaul::trainer
