#include "tasks/path.h"

#include <span>
#include <string>
#include <vector>

#include "tasks/random.h"
#include "tasks/task_kind.h"

namespace longhaul {
namespace {

// The edges of one path through `nodes`, in order: " u v ;", the last one to "end".
std::vector<std::string> path_edges(std::span<const std::string> nodes) {
  std::vector<std::string> edges;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const std::string& next = i + 1 < nodes.size() ? nodes[i + 1] : "end";
    edges.push_back(" " + nodes[i] + " " + next + " ;");
  }
  return edges;
}

}  // namespace

Result<Task> make_path_task(const PathTaskOptions& options, uint64_t seed) {
  std::vector<std::string> names = task_names();
  const auto n_names = static_cast<int64_t>(names.size());
  if (options.n_nodes < 1 || options.n_other < 0 ||
      int64_t{options.n_nodes} + options.n_other > n_names) {
    return bad_input("path task: {} nodes and {} others asked for; need 1 to {} together",
                     options.n_nodes, options.n_other, n_names);
  }
  TaskRandom random(seed);
  random.shuffle(names);
  std::span<const std::string> rest(names);

  const std::vector<std::string> answer = path_edges(rest.first(size_t(options.n_nodes)));
  std::vector<std::string> edges = answer;
  std::span<const std::string> others =
      rest.subspan(size_t(options.n_nodes), size_t(options.n_other));
  while (!others.empty()) {
    const size_t length = 1 + random.below(others.size());
    const std::vector<std::string> path = path_edges(others.first(length));
    edges.insert(edges.end(), path.begin(), path.end());
    others = others.subspan(length);
  }
  random.shuffle(edges);

  Task task;
  task.prompt = "path:";
  for (const std::string& edge : edges) task.prompt += edge;
  task.prompt += " from " + names[0] + " :";
  for (const std::string& edge : answer) task.answer += edge;
  return task;
}

extern const TaskKind kPathTaskKind;
const TaskKind kPathTaskKind = {
    .name = "path",
    .about = "follow a chain of shuffled edges, one look-up a step",
    .most_units = 1023,
    .make =
        [](const TaskSpec& spec) {
          return make_path_task({.n_nodes = static_cast<int>(spec.n_units)}, spec.seed);
        },
    .score = score_answer,
};

}  // namespace longhaul
