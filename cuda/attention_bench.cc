// Speed of attention on the device, beside the bandwidth of a large copy. Prints a table; writes
// JSON to the file named by the first argument.
//
// A measurement is the median over replays of a graph that visits the K and V of enough layers that
// no layer is still in the cache when its turn comes; times are per layer.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "cuda/attention.h"

namespace longhaul::cuda {
namespace {

constexpr size_t kLeastBytes = size_t{1} << 30;  // of all layers: many times the second-level cache
constexpr int kReplays = 15;
constexpr uint32_t kBlockSize = 16;

struct Heads {
  std::string name;
  uint32_t n_group, n_kv_heads, dim;
  uint32_t n_heads() const { return n_group * n_kv_heads; }
};

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + x.size() / 2, x.end());
  return x[x.size() / 2];
}

// Microseconds of one of the n_calls calls that `enqueue` puts on a stream.
double time_us(cudaStream_t stream, size_t n_calls, const std::function<void()>& enqueue) {
  enqueue();
  LH_CUDA(cudaStreamSynchronize(stream));
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  LH_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  enqueue();
  LH_CUDA(cudaStreamEndCapture(stream, &graph));
  LH_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  cudaEvent_t begin;
  cudaEvent_t end;
  LH_CUDA(cudaEventCreate(&begin));
  LH_CUDA(cudaEventCreate(&end));
  std::vector<double> times;
  for (int i = -2; i < kReplays; ++i) {
    LH_CUDA(cudaEventRecord(begin, stream));
    LH_CUDA(cudaGraphLaunch(exec, stream));
    LH_CUDA(cudaEventRecord(end, stream));
    LH_CUDA(cudaEventSynchronize(end));
    float ms = 0.0F;
    LH_CUDA(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 0) times.push_back(double{ms} * 1e3 / static_cast<double>(n_calls));
  }
  LH_CUDA(cudaEventDestroy(begin));
  LH_CUDA(cudaEventDestroy(end));
  LH_CUDA(cudaGraphExecDestroy(exec));
  LH_CUDA(cudaGraphDestroy(graph));
  return median(times);
}

// Bytes read and written per second by copies within the device.
double copy_bandwidth(cudaStream_t stream) {
  const size_t n = size_t{1} << 31;
  const auto from = DeviceBuffer<std::byte>::create(n).value();
  const auto to = DeviceBuffer<std::byte>::create(n).value();
  LH_CUDA(cudaMemset(from.data(), 0x5A, n));
  const double us = time_us(stream, 1, [&] {
    LH_CUDA(cudaMemcpyAsync(to.data(), from.data(), n, cudaMemcpyDeviceToDevice, stream));
  });
  return 2.0 * static_cast<double>(n) / us * 1e6;
}

// Fills memory with random halves, a pattern of an odd size over and over.
void fill(const DeviceBuffer<std::byte>& to, const DeviceBuffer<std::byte>& pattern) {
  for (size_t at = 0; at < to.size(); at += pattern.size())
    LH_CUDA(cudaMemcpy(to.data() + at, pattern.data(), std::min(pattern.size(), to.size() - at),
                       cudaMemcpyDeviceToDevice));
}
DeviceBuffer<std::byte> random_pattern() {
  std::mt19937 rng(1);
  std::vector<std::byte> bytes((size_t{8} << 20) + 4096 + 32);
  for (size_t i = 0; i < bytes.size(); i += 2) {
    // A random sign and fraction, magnitudes from 1/8 to below 2.
    const auto bits = static_cast<uint32_t>(rng());
    const uint32_t half = (bits & 0x83FFU) | (12U + (bits >> 16) % 4) << 10;
    bytes[i] = static_cast<std::byte>(half & 0xFFU);
    bytes[i + 1] = static_cast<std::byte>(half >> 8);
  }
  auto pattern = DeviceBuffer<std::byte>::create(bytes.size()).value();
  pattern.upload(bytes, nullptr);
  return pattern;
}

template <class T>
DeviceBuffer<T> upload(const std::vector<T>& from) {
  auto buffer = DeviceBuffer<T>::create(from.size()).value();
  buffer.upload(from, nullptr);
  return buffer;
}

// `batch` sequences of `context` tokens in every layer, on shuffled pages, and a pass over the last
// n_rows tokens of each.
class Scene {
 public:
  Scene(const Heads& heads, uint32_t context, uint32_t batch, uint32_t n_rows,
        const DeviceBuffer<std::byte>& pattern)
      : heads_(heads), context_(context), batch_(batch), n_rows_(n_rows) {
    const uint32_t page_tokens = kBlockSize * kGroupLanes;
    const uint32_t n_pages = (context - 1) / page_tokens + 1;
    make_layers(n_pages * batch, pattern);
    std::vector<uint32_t> pages(n_pages * batch);
    std::iota(pages.begin(), pages.end(), 0U);
    std::shuffle(pages.begin(), pages.end(), std::mt19937(2));
    pages_ = upload(pages);
    set_all_bounds(n_pages);
    const size_t width = size_t{heads.n_heads()} * heads.dim;
    std::mt19937 rng(3);
    std::normal_distribution<float> normal;
    std::vector<float> q(batch * n_rows * width);
    for (float& x : q) x = normal(rng);
    q_ = upload(q);
    out_ = DeviceBuffer<float>::create(q.size()).value();
    make_steps(n_pages, n_rows);
    rows_ = {.q = q_.data(),
             .q_stride = width,
             .n_group = heads.n_group,
             .scale = 1.0F / std::sqrt(static_cast<float>(heads.dim)),
             .out = out_.data(),
             .out_stride = width};
    const AttentionLimits limits = {.n_kv_heads = heads.n_kv_heads,
                                    .n_group = heads.n_group,
                                    .dim = heads.dim,
                                    .block_size = kBlockSize,
                                    .max_context = context,
                                    .max_steps = batch,
                                    .max_rows = batch * n_rows};
    attend_ = AttendWorkspace::create(limits).value();
    select_ = SelectWorkspace::create(limits).value();
  }

  size_t n_layers() const { return layers_.size(); }
  void attend_all(cudaStream_t stream) const {
    for (const KvLayer& kv : layers_) attend(stream, pass_, kv, rows_, attend_);
  }
  void select_all(cudaStream_t stream) const {
    for (const KvLayer& kv : layers_) select_layer(stream, kv);
  }
  void scores_all(cudaStream_t stream) const {
    const SelectArgs args = {pass_,   layers_[0],     select_.lists(),
                             rows_.q, rows_.q_stride, rows_.n_group};
    for (const KvLayer& kv : layers_) {
      SelectArgs of_layer = args;
      of_layer.kv = kv;
      launch_scores(stream, of_layer);
    }
  }
  void attend_chosen(cudaStream_t stream) const {
    for (const KvLayer& kv : layers_) attend(stream, pass_, kv, rows_, attend_, &select_);
  }
  void select_and_attend(cudaStream_t stream) const {
    for (const KvLayer& kv : layers_) {
      select_layer(stream, kv);
      attend(stream, pass_, kv, rows_, attend_, &select_);
    }
  }
  // Bytes of K and V that a dense pass of one row per sequence reads in a layer.
  double dense_bytes() const { return 4.0 * batch_ * context_ * heads_.n_kv_heads * heads_.dim; }
  // Operations of a layer.
  double flops() const {
    const double seen = n_rows_ * (context_ - (n_rows_ - 1) / 2.0);
    return 4.0 * batch_ * seen * heads_.n_heads() * heads_.dim;
  }

 private:
  void select_layer(cudaStream_t stream, const KvLayer& kv) const {
    select(stream, pass_, kv, rows_.q, rows_.q_stride, rows_.n_group, select_);
  }
  void make_layers(uint32_t n_pages, const DeviceBuffer<std::byte>& pattern) {
    KvLayer kv;
    kv.n_kv_heads = heads_.n_kv_heads;
    kv.dim = heads_.dim;
    kv.block_size = kBlockSize;
    kv.tile_page_stride = page_tile_bytes(kv.dim, kBlockSize);
    kv.tile_head_stride = n_pages * kv.tile_page_stride;
    kv.bounds_page_stride = page_bounds_bytes(kv.dim);
    kv.bounds_head_stride = n_pages * kv.bounds_page_stride;
    const size_t tile_bytes = kv.n_kv_heads * kv.tile_head_stride;
    const size_t bounds_bytes = kv.n_kv_heads * kv.bounds_head_stride;
    // A sparse step reads a tenth and must find none of it in the cache either.
    const size_t n_layers = std::clamp<size_t>(2 * kLeastBytes / tile_bytes, 2, 512);
    tiles_ = DeviceBuffer<std::byte>::create(n_layers * tile_bytes).value();
    bounds_ = DeviceBuffer<std::byte>::create(n_layers * bounds_bytes).value();
    fill(tiles_, pattern);
    for (size_t i = 0; i < n_layers; ++i) {
      kv.tiles = tiles_.data() + i * tile_bytes;
      kv.bounds = bounds_.data() + i * bounds_bytes;
      layers_.push_back(kv);
    }
  }
  void set_steps(std::vector<StepRows> steps, uint32_t n_rows) {
    std::vector<uint32_t> row_steps;
    for (uint32_t i = 0; i < steps.size(); ++i)
      row_steps.insert(row_steps.end(), steps[i].n_rows, i);
    steps_ = upload(steps);
    row_steps_ = upload(row_steps);
    pass_ = {steps_.data(), row_steps_.data(), pages_.data(), batch_, n_rows * batch_, context_};
  }
  void make_steps(uint32_t n_pages, uint32_t n_rows) {
    const uint32_t n_blocks = (context_ - 1) / kBlockSize + 1;
    std::vector<StepRows> steps;
    for (uint32_t i = 0; i < batch_; ++i)
      steps.push_back({.first_row = i * n_rows,
                       .n_rows = n_rows,
                       .first_pos = context_ - n_rows,
                       .first_page = i * n_pages,
                       .n_selected = n_rows == 1 ? (n_blocks + 9) / 10 : 0,
                       .n_local = 1});
    set_steps(steps, n_rows);
  }
  void set_all_bounds(uint32_t n_pages) {
    std::vector<StepRows> steps;
    for (uint32_t i = 0; i < batch_; ++i)
      steps.push_back({.first_row = i * context_, .n_rows = context_, .first_page = i * n_pages});
    set_steps(steps, context_);
    for (const KvLayer& kv : layers_) launch_bounds(nullptr, pass_, kv);
    LH_CUDA(cudaDeviceSynchronize());
  }

  Heads heads_;
  uint32_t context_, batch_, n_rows_;
  DeviceBuffer<std::byte> tiles_, bounds_;
  std::vector<KvLayer> layers_;
  DeviceBuffer<uint32_t> pages_, row_steps_;
  DeviceBuffer<StepRows> steps_;
  DeviceBuffer<float> q_, out_;
  Pass pass_;
  AttendRows rows_;
  AttendWorkspace attend_;
  SelectWorkspace select_;
};

using Json = nlohmann::json;

Json decode(cudaStream_t stream, const Heads& heads, uint32_t context, uint32_t batch, bool early,
            double copy_rate, const DeviceBuffer<std::byte>& pattern) {
  const Scene scene(heads, context, batch, 1, pattern);
  allow_early_launches(early);
  const size_t n = scene.n_layers();
  const double dense = time_us(stream, n, [&] { scene.attend_all(stream); });
  const double scores = time_us(stream, n, [&] { scene.scores_all(stream); });
  const double select = time_us(stream, n, [&] { scene.select_all(stream); });
  const double listed = time_us(stream, n, [&] { scene.attend_chosen(stream); });
  const double sparse = time_us(stream, n, [&] { scene.select_and_attend(stream); });
  const double rate = scene.dense_bytes() / dense * 1e6;
  fmt::print(
      "{:<10}{:>9}{:>6} |{:>9.1f}{:>9.0f}{:>7.0f}% |{:>8.1f}{:>8.1f}{:>9.1f}{:>9.1f} |"
      "{:>7.2f}{:>7.2f}\n",
      heads.name + (early ? "" : " 1"), context, batch, dense, rate / 1e9, 100 * rate / copy_rate,
      scores, select, listed, sparse, dense / listed, dense / sparse);
  std::fflush(stdout);
  return {{"kind", "decode"},
          {"heads", heads.name},
          {"n_heads", heads.n_heads()},
          {"n_kv_heads", heads.n_kv_heads},
          {"dim", heads.dim},
          {"context", context},
          {"batch", batch},
          {"rows", 1},
          {"early", early},
          {"dense_us", dense},
          {"dense_gb_s", rate / 1e9},
          {"share_of_copy", rate / copy_rate},
          {"scores_us", scores},
          {"select_us", select},
          {"listed_us", listed},
          {"sparse_us", sparse}};
}

Json chunk(cudaStream_t stream, const Heads& heads, uint32_t context, uint32_t n_rows,
           const DeviceBuffer<std::byte>& pattern) {
  const Scene scene(heads, context, 1, n_rows, pattern);
  const double us = time_us(stream, scene.n_layers(), [&] { scene.attend_all(stream); });
  const double rate = scene.flops() / us * 1e6;
  fmt::print("{:<10}{:>9}{:>6} |{:>9.1f}{:>9.1f}\n", heads.name, context, n_rows, us, rate / 1e12);
  std::fflush(stdout);
  return {{"kind", "chunk"},
          {"heads", heads.name},
          {"n_heads", heads.n_heads()},
          {"n_kv_heads", heads.n_kv_heads},
          {"dim", heads.dim},
          {"context", context},
          {"batch", 1},
          {"rows", n_rows},
          {"dense_us", us},
          {"tflop_s", rate / 1e12}};
}

int run(const char* json_path) {
  int n_devices = 0;
  if (cudaGetDeviceCount(&n_devices) != cudaSuccess || n_devices == 0) {
    fmt::print("no CUDA device: nothing measured\n");
    return 0;
  }
  cudaDeviceProp properties;
  LH_CUDA(cudaGetDeviceProperties(&properties, 0));
  cudaStream_t stream;
  LH_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const double copy_rate = copy_bandwidth(stream);
  fmt::print("{}, {} multiprocessors, copies {:.0f} GB/s\n\n", properties.name,
             properties.multiProcessorCount, copy_rate / 1e9);
  const auto pattern = random_pattern();
  const Heads qwen = {"32/8/128", 4, 8, 128};
  const Heads small = {"14/2/64", 7, 2, 64};
  Json results = Json::array();

  fmt::print("{:<10}{:>9}{:>6} |{:>9}{:>9}{:>8} |{:>8}{:>8}{:>9}{:>9} |{:>14}\n", "decode",
             "context", "batch", "dense us", "GB/s", "of copy", "scores", "select", "listed",
             "sparse", "dense / l, s");
  for (const Heads& heads : {qwen, small}) {
    for (const uint32_t batch : {1U, 8U}) {
      for (const uint32_t context : {8192U, 32768U, 131072U, 262144U})
        results.push_back(decode(stream, heads, context, batch, true, copy_rate, pattern));
    }
  }
  fmt::print("\n{:<10}{:>9}{:>6} |{:>9}{:>9}\n", "chunk", "context", "rows", "us", "TFLOP/s");
  for (const Heads& heads : {qwen, small}) {
    for (const auto& [context, rows] : std::vector<std::pair<uint32_t, uint32_t>>{
             {512, 512}, {32768 + 512, 512}, {32768, 8}, {32768, 32}, {131072, 32}, {131072, 64}})
      results.push_back(chunk(stream, heads, context, rows, pattern));
  }
  const auto write = [&] {
    if (json_path == nullptr) return;
    const Json all = {
        {"device", properties.name}, {"copy_gb_s", copy_rate / 1e9}, {"results", results}};
    std::ofstream(json_path) << all.dump(1) << "\n";
  };
  write();
  if (properties.major < 9) return 0;
  fmt::print("\none launch after the other\n");
  for (const Heads& heads : {qwen, small}) {
    for (const uint32_t context : {8192U, 32768U, 131072U, 262144U})
      results.push_back(decode(stream, heads, context, 1, false, copy_rate, pattern));
  }
  allow_early_launches(true);
  write();
  return 0;
}

}  // namespace
}  // namespace longhaul::cuda

int main(int argc, char** argv) { return longhaul::cuda::run(argc > 1 ? argv[1] : nullptr); }
