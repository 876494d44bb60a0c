#include "cuda/attention_test_world.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "quant/half.h"

namespace longhaul::cuda {
namespace {

constexpr cudaStream_t kStream = nullptr;
constexpr uint32_t kSparePages = 3;

template <class T>
DeviceBuffer<T> upload(const std::vector<T>& from) {
  auto buffer = DeviceBuffer<T>::create(from.size()).value();
  buffer.upload(from, kStream);
  return buffer;
}

template <class T>
DeviceBuffer<T> poisoned(size_t size) {
  auto buffer = DeviceBuffer<T>::create(size).value();
  LH_CUDA(cudaMemset(buffer.data(), 0xFF, size * sizeof(T)));  // NaN in f16 and f32
  return buffer;
}

std::vector<float> random_floats(size_t n, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& e : x) e = normal(rng);
  return x;
}

std::vector<float> halves(const std::vector<float>& x) {
  std::vector<float> y(x.size());
  std::transform(x.begin(), x.end(), y.begin(), [](float e) { return f16_to_f32(f32_to_f16(e)); });
  return y;
}

}  // namespace

void CudaTest::SetUp() {
  int n_devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&n_devices);
  if (status != cudaSuccess || n_devices == 0)
    GTEST_SKIP() << "no CUDA device: " << cudaGetErrorString(status);
}

World::World(const Shape& s, std::vector<uint32_t> lengths, unsigned seed, unsigned page_seed)
    : shape(s) {
  const uint32_t page_tokens = shape.block_size * kGroupLanes;
  uint32_t n_pages = kSparePages;
  for (const uint32_t n : lengths) n_pages += (n - 1) / page_tokens + 1;
  std::vector<uint32_t> order(n_pages);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), std::mt19937(page_seed));
  for (size_t i = 0; i < lengths.size(); ++i) {
    std::mt19937 rng(seed * 1000 + static_cast<unsigned>(i));
    const uint32_t n = lengths[i];
    Sequence sequence;
    sequence.n_tokens = n;
    sequence.first_page = static_cast<uint32_t>(page_table_.size());
    sequence.k = random_floats(n * shape.kv_width(), rng);
    // Some dimensions lie far from zero, as those of trained models do.
    for (size_t j = 0; j < sequence.k.size(); j += 9) sequence.k[j] += j % shape.dim < 40 ? 3 : 0;
    sequence.v = random_floats(n * shape.kv_width(), rng);
    sequence.q = random_floats(n * shape.q_width(), rng);
    sequence.k_half = halves(sequence.k);
    sequence.v_half = halves(sequence.v);
    for (uint32_t page = 0; page <= (n - 1) / page_tokens; ++page)
      page_table_.push_back(order[page_table_.size()]);
    max_context_ = std::max(max_context_, n);
    sequences_.push_back(std::move(sequence));
  }
  kv_.n_kv_heads = shape.n_kv_heads;
  kv_.dim = shape.dim;
  kv_.block_size = shape.block_size;
  kv_.window = shape.window;
  kv_.tile_page_stride = page_tile_bytes(shape.dim, shape.block_size);
  kv_.tile_head_stride = n_pages * kv_.tile_page_stride;
  kv_.bounds_page_stride = page_bounds_bytes(shape.dim);
  kv_.bounds_head_stride = n_pages * kv_.bounds_page_stride;
  tiles_ = poisoned<std::byte>(shape.n_kv_heads * kv_.tile_head_stride);
  bounds_ = poisoned<std::byte>(shape.n_kv_heads * kv_.bounds_head_stride);
  kv_.tiles = tiles_.data();
  kv_.bounds = bounds_.data();
  pages_ = upload(page_table_);
  AttentionLimits limits = {.n_kv_heads = shape.n_kv_heads,
                            .n_group = shape.n_group,
                            .dim = shape.dim,
                            .block_size = shape.block_size,
                            .max_context = max_context_,
                            .max_steps = kMaxSteps,
                            .max_rows = kMaxRows};
  split_ = AttendWorkspace::create(limits).value();
  limits.max_split_bytes = 0;
  walk_ = AttendWorkspace::create(limits).value();
  select_ = SelectWorkspace::create(limits).value();
}

float World::scale() const { return 1.0F / std::sqrt(static_cast<float>(shape.dim)); }
const float* World::key(uint32_t s, uint32_t pos, uint32_t head) const {
  return &at(s).k_half[pos * shape.kv_width() + head * shape.dim];
}
const float* World::value(uint32_t s, uint32_t pos, uint32_t head) const {
  return &at(s).v_half[pos * shape.kv_width() + head * shape.dim];
}
const float* World::query(uint32_t s, uint32_t pos) const {
  return &at(s).q[pos * shape.q_width()];
}

World::DevicePass World::make_pass(const std::vector<Rows>& steps) const {
  std::vector<StepRows> device_steps;
  std::vector<uint32_t> row_steps;
  std::vector<float> q;
  for (const Rows& rows : steps) {
    device_steps.push_back({.first_row = static_cast<uint32_t>(row_steps.size()),
                            .n_rows = rows.n_rows,
                            .first_pos = rows.first_pos,
                            .first_page = at(rows.sequence).first_page,
                            .n_selected = rows.n_selected,
                            .n_sinks = rows.n_sinks,
                            .n_local = rows.n_local});
    row_steps.insert(row_steps.end(), rows.n_rows, static_cast<uint32_t>(device_steps.size() - 1));
    const float* from = query(rows.sequence, rows.first_pos);
    q.insert(q.end(), from, from + rows.n_rows * shape.q_width());
  }
  LH_CHECK(steps.size() <= kMaxSteps && row_steps.size() <= kMaxRows);
  DevicePass made;
  made.steps = upload(device_steps);
  made.row_steps = upload(row_steps);
  made.q = upload(q);
  made.out = poisoned<float>(q.size());
  made.pass = {made.steps.data(),
               made.row_steps.data(),
               pages_.data(),
               static_cast<uint32_t>(steps.size()),
               static_cast<uint32_t>(row_steps.size()),
               max_context_};
  made.rows = {.q = made.q.data(),
               .q_stride = shape.q_width(),
               .n_group = shape.n_group,
               .scale = scale(),
               .out = made.out.data(),
               .out_stride = shape.q_width()};
  return made;
}

std::vector<float> World::DevicePass::download(cudaStream_t stream) const {
  std::vector<float> result(out.size());
  out.download(result, stream);
  return result;
}

void World::store(const std::vector<Rows>& steps) {
  const DevicePass made = make_pass(steps);
  std::vector<float> k;
  std::vector<float> v;
  for (const Rows& rows : steps) {
    const size_t first = rows.first_pos * shape.kv_width();
    const size_t end = first + rows.n_rows * shape.kv_width();
    const Sequence& s = at(rows.sequence);
    k.insert(k.end(), &s.k[first], s.k.data() + end);
    v.insert(v.end(), &s.v[first], s.v.data() + end);
  }
  const auto device_k = upload(k);
  const auto device_v = upload(v);
  cuda::store(kStream, made.pass, kv_, device_k.data(), shape.kv_width(), device_v.data(),
              shape.kv_width());
  LH_CUDA(cudaDeviceSynchronize());
}

void World::store_all(uint32_t n_rows) {
  for (uint32_t s = 0; s < sequences_.size(); ++s) {
    for (uint32_t pos = 0; pos < at(s).n_tokens; pos += n_rows)
      store({{.sequence = s, .first_pos = pos, .n_rows = std::min(n_rows, at(s).n_tokens - pos)}});
  }
}

std::vector<float> World::attend(const std::vector<Rows>& steps, bool split) {
  const DevicePass made = make_pass(steps);
  cuda::attend(kStream, made.pass, kv_, made.rows, workspace(split));
  return made.download(kStream);
}

std::vector<float> World::attend_all(const std::vector<Rows>& steps, bool split) {
  std::vector<float> all;
  std::vector<Rows> some;
  uint32_t n_rows = 0;
  const auto flush = [&] {
    const std::vector<float> out = attend(some, split);
    all.insert(all.end(), out.begin(), out.end());
    some.clear();
    n_rows = 0;
  };
  for (const Rows& rows : steps) {
    if (some.size() == kMaxSteps || n_rows + rows.n_rows > kMaxRows) flush();
    some.push_back(rows);
    n_rows += rows.n_rows;
  }
  flush();
  return all;
}

std::vector<std::vector<uint32_t>> World::select(const std::vector<Rows>& steps) {
  const DevicePass made = make_pass(steps);
  cuda::select(kStream, made.pass, kv_, made.q.data(), shape.q_width(), shape.n_group, *select_);
  const BlockLists lists = select_->lists();
  std::vector<std::vector<uint32_t>> chosen;
  for (size_t step = 0; step < steps.size(); ++step) {
    for (uint32_t head = 0; head < shape.n_kv_heads; ++head) {
      chosen.emplace_back(steps[step].n_selected);
      LH_CUDA(cudaMemcpy(chosen.back().data(),
                         lists.ids + (step * shape.n_kv_heads + head) * lists.stride,
                         chosen.back().size() * sizeof(uint32_t), cudaMemcpyDeviceToHost));
    }
  }
  return chosen;
}

std::vector<float> World::attend_chosen(const std::vector<Rows>& steps) {
  const DevicePass made = make_pass(steps);
  cuda::attend(kStream, made.pass, kv_, made.rows, workspace(true), &*select_);
  return made.download(kStream);
}

std::vector<float> World::scores(size_t step, uint32_t kv_head, size_t n_blocks) const {
  const BlockLists lists = select_->lists();
  std::vector<float> result(n_blocks);
  LH_CUDA(cudaMemcpy(result.data(),
                     lists.scores + (step * shape.n_kv_heads + kv_head) * lists.stride,
                     n_blocks * sizeof(float), cudaMemcpyDeviceToHost));
  return result;
}

// Roundings: of q to f16 is in the reference too. Scores are sums of dim products in f32, on tensor
// cores truncated rather than rounded: 2^-20 of the sum of magnitudes covers them. p is rounded to
// f16: 2^-11 of itself, or 2^-25 where it is smaller than halves are; o is a sum in f32 over 2^8
// tokens on tensor cores, of 2^8 segments and spans beyond.
Expected World::expected(uint32_t sequence, uint32_t pos, uint32_t head,
                         const std::vector<uint32_t>* blocks) const {
  const uint32_t kv_head = head / shape.n_group;
  const float factor = scale() * 1.44269504F;
  std::vector<double> q(shape.dim);
  for (size_t j = 0; j < q.size(); ++j)
    q[j] = f16_to_f32(f32_to_f16(query(sequence, pos)[head * shape.dim + j] * factor));
  std::vector<uint32_t> tokens;
  for (uint32_t t = first_visible(pos, shape.window); t <= pos; ++t) {
    const bool is_read = blocks == nullptr ||
                         std::binary_search(blocks->begin(), blocks->end(), t / shape.block_size);
    if (is_read) tokens.push_back(t);
  }
  std::vector<double> s(tokens.size());
  double largest = 0.0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const float* k = key(sequence, tokens[i], kv_head);
    double magnitude = 0.0;
    for (size_t j = 0; j < q.size(); ++j) {
      s[i] += q[j] * k[j];
      magnitude += std::fabs(q[j] * k[j]);
    }
    largest = std::max(largest, magnitude);
  }
  const double m = *std::max_element(s.begin(), s.end());
  double l = 0.0;
  for (double& x : s) l += x = std::exp2(x - m);
  const double relative = 0x1p-11 + 4.0 * largest * 0x1p-20 + 0x1p-16;
  Expected result = {std::vector<double>(shape.dim), std::vector<double>(shape.dim)};
  for (size_t i = 0; i < tokens.size(); ++i) {
    const float* v = value(sequence, tokens[i], kv_head);
    for (size_t j = 0; j < q.size(); ++j) {
      result.out[j] += s[i] * v[j] / l;
      result.error[j] += (s[i] * relative + 0x1p-24) * std::fabs(v[j]) / l;
    }
  }
  return result;
}

void World::check_row(const float* out, uint32_t sequence, uint32_t pos) const {
  for (uint32_t head = 0; head < shape.n_heads(); ++head) {
    const Expected e = expected(sequence, pos, head);
    for (uint32_t j = 0; j < shape.dim; ++j) {
      const double difference = std::fabs(out[head * shape.dim + j] - e.out[j]);
      if (difference <= e.error[j]) continue;  // not so for NaN
      FAIL() << "sequence " << sequence << " pos " << pos << " head " << head << " dim " << j
             << ": " << out[head * shape.dim + j] << " expected " << e.out[j] << " +- "
             << e.error[j];
    }
  }
}

std::vector<std::byte> World::page_bytes(const std::byte* from, size_t n_bytes) const {
  std::vector<std::byte> bytes(n_bytes);
  LH_CUDA(cudaMemcpy(bytes.data(), from, n_bytes, cudaMemcpyDeviceToHost));
  return bytes;
}
std::vector<std::byte> World::tiles_of_page(uint32_t sequence, uint32_t kv_head,
                                            uint32_t page) const {
  const size_t number = page_table_[at(sequence).first_page + page];
  return page_bytes(tiles_.data() + kv_head * kv_.tile_head_stride + number * kv_.tile_page_stride,
                    kv_.tile_page_stride);
}
std::vector<std::byte> World::bounds_of_page(uint32_t sequence, uint32_t kv_head,
                                             uint32_t page) const {
  const size_t number = page_table_[at(sequence).first_page + page];
  return page_bytes(
      bounds_.data() + kv_head * kv_.bounds_head_stride + number * kv_.bounds_page_stride,
      kv_.bounds_page_stride);
}
std::vector<std::byte> World::all_tiles() const { return page_bytes(tiles_.data(), tiles_.size()); }

}  // namespace longhaul::cuda
