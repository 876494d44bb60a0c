#include "apps/eval/shared_prefix.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/answer.h"
#include "base/result.h"

namespace longhaul::eval {

namespace fs = std::filesystem;

Result<Session> SharedPrefixes::fork(Engine& engine, const Item& item,
                                     const std::function<bool()>& go_on) {
  const std::lock_guard lock(mutex_);
  const std::pair<const Engine*, std::string> key{&engine, item.task};
  auto found = sessions_.find(key);
  if (found == sessions_.end()) {
    LH_ASSIGN_OR_RETURN(Session session, read(engine, item, go_on));
    found = sessions_.emplace(key, std::move(session)).first;
  }
  return found->second.fork();
}

void SharedPrefixes::forget() {
  std::error_code error;  // one that stays costs room on the disk and nothing else
  for (const std::string& path : kept_) fs::remove(path, error);
}

Result<Session> SharedPrefixes::read(Engine& engine, const Item& item,
                                     const std::function<bool()>& go_on) {
  const std::string path = path_of(engine, item);
  if (!path.empty()) kept_.push_back(path);
  std::error_code error;
  if (!path.empty() && fs::exists(path, error)) return restore(engine, item, path);
  LH_ASSIGN_OR_RETURN(Session session, engine.new_session());
  GenerateRequest request;
  request.prompt.assign(item.context.begin(),
                        item.context.begin() + static_cast<std::ptrdiff_t>(item.n_shared));
  request.max_tokens = 0;
  request.on_progress = [&](size_t, size_t, size_t) { return go_on(); };
  LH_RETURN_IF_ERROR(finished(session.generate(request)));
  n_read_ += item.n_shared;
  if (!path.empty()) LH_RETURN_IF_ERROR(session.save(path));
  return session;
}

Result<Session> SharedPrefixes::restore(Engine& engine, const Item& item,
                                        const std::string& path) const {
  LH_ASSIGN_OR_RETURN(Session session, engine.new_session());
  LH_RETURN_IF_ERROR(session.restore(path));
  const auto tokens = session.tokens();
  if (tokens.size() == item.n_shared &&
      std::equal(tokens.begin(), tokens.end(), item.context.begin())) {
    return session;
  }
  return bad_input("{}: expected the first {} tokens of {}, found others: was the file changed?",
                   path, item.n_shared, item.task);
}

// Empty where nothing is kept: without a directory, and on a device, which saves no states.
std::string SharedPrefixes::path_of(const Engine& engine, const Item& item) const {
  const EngineOptions& options = engine.options();
  if (directory_.empty() || options.device != "cpu") return "";
  const std::string name = fmt::format("prefix-{}-b{}-{}.state", to_string(options.k_type),
                                       options.block_size, item.task);
  return (fs::path(directory_) / name).string();
}

}  // namespace longhaul::eval
