// Speed of products with weight matrices on the device: cuda_linear_bench [results.json]
//
// Each number is the median over replays of a CUDA graph that runs the product once with each of
// several copies of the weights, more than the second-level cache holds. GB/s counts the bytes of
// the weights alone; "of copy" is their share of what a large copy moves, read and written.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cuda/linear_tuning.h"
#include "quant/registry.h"

namespace longhaul::cuda {
namespace {

constexpr size_t kRotatedBytes = 300 << 20;  // several times the second-level cache
constexpr size_t kMaxCopies = 128;
constexpr size_t kDistinctRows = 64;
constexpr size_t kMaxRows = 2048;

struct Product {
  const char* name;
  size_t n_in;
  std::vector<size_t> n_out;  // of tasks that share one launch
  bool prefill;
};

const std::vector<Product> kProducts = {
    {"8B q", 4096, {4096}, true},
    {"8B k", 4096, {1024}, true},
    {"8B q+k+v", 4096, {4096, 1024, 1024}, true},
    {"8B gate+up", 4096, {12288, 12288}, true},
    {"8B down", 12288, {4096}, true},
    {"8B head", 4096, {151936}, false},
    {"small gate+up", 1024, {3072, 3072}, true},
    {"small down", 3072, {1024}, true},
};
const std::vector<TensorType> kTypes = {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_K,
                                        TensorType::kQ6_K, TensorType::kF16};

// How the products are made; "" is what matmul() does.
struct Variant {
  const char* name;
  Tuning tuning;
};
const Variant kDefault = {"", {}};
const Variant kNoPrefetch = {"no prefetch",
                             {.many_from_rows = 1 << 20, .prefetch = Prefetch::kNone}};
const Variant kAhead = {"prefetch ahead",
                        {.many_from_rows = 1 << 20, .prefetch = Prefetch::kAhead}};
const Variant kOneTile = {"one tile",
                          {.many_from_rows = 1 << 20, .two_tiles_from_blocks = 1 << 20}};
const Variant kTwoTiles = {"two tiles", {.many_from_rows = 1 << 20, .two_tiles_from_blocks = 1}};
const Variant kFew = {"few", {.many_from_rows = 1 << 20}};
const Variant kMany = {"many", {.many_from_rows = 1, .many_from_blocks = 1}};

struct Line {
  std::string product;
  std::string type;
  std::string variant;
  size_t n_rows;
  double us;
  double gb_per_s;
  double share;
  double tflop_per_s;
};

template <class T>
T must(Result<T> result) {
  if (!result.has_value()) {
    fmt::print(stderr, "{}\n", result.error().message);
    std::exit(1);
  }
  return std::move(*result);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Microseconds of the work that `run` puts on the stream, as a graph.
double time_graph(cudaStream_t stream, int n_replays, const std::function<void()>& run) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  LH_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  run();
  LH_CUDA(cudaStreamEndCapture(stream, &graph));
  LH_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  LH_CUDA(cudaEventCreate(&begin));
  LH_CUDA(cudaEventCreate(&end));
  for (int i = 0; i < 3; ++i) LH_CUDA(cudaGraphLaunch(exec, stream));
  std::vector<double> times;
  for (int i = 0; i < n_replays; ++i) {
    LH_CUDA(cudaEventRecord(begin, stream));
    LH_CUDA(cudaGraphLaunch(exec, stream));
    LH_CUDA(cudaEventRecord(end, stream));
    LH_CUDA(cudaEventSynchronize(end));
    float ms = 0;
    LH_CUDA(cudaEventElapsedTime(&ms, begin, end));
    times.push_back(ms * 1e3);
  }
  LH_CUDA(cudaEventDestroy(begin));
  LH_CUDA(cudaEventDestroy(end));
  LH_CUDA(cudaGraphExecDestroy(exec));
  LH_CUDA(cudaGraphDestroy(graph));
  return median(times);
}

// GB/s, bytes read and bytes written.
double copy_bandwidth(cudaStream_t stream) {
  constexpr size_t kBytes = size_t{1} << 30;
  const auto from = must(DeviceBuffer<std::byte>::create(kBytes));
  const auto to = must(DeviceBuffer<std::byte>::create(kBytes));
  LH_CUDA(cudaMemsetAsync(from.data(), 0x5A, kBytes, stream));
  const double us = time_graph(stream, 15, [&] {
    LH_CUDA(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, stream));
  });
  return 2.0 * kBytes / us * 1e-3;
}

std::vector<float> random_floats(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& v : out) v = normal(random);
  return out;
}

// n_out rows in the file's layout: some random ones, repeated.
std::vector<std::byte> random_rows(TensorType type, size_t n_out, size_t n_in) {
  const TensorTypeInfo& info = tensor_type_info(type);
  const std::vector<float> values = random_floats(kDistinctRows * n_in, 1);
  const size_t pattern = kDistinctRows * n_in / info.block_len * info.block_bytes;
  std::vector<std::byte> rows(std::max(n_out, kDistinctRows) * (pattern / kDistinctRows));
  find_quant(type)->quantize(values.data(), rows.data(), values.size());
  for (size_t at = pattern; at < rows.size(); at += pattern)
    std::copy_n(rows.data(), std::min(pattern, rows.size() - at), rows.data() + at);
  return rows;
}

class Bench {
 public:
  explicit Bench(cudaStream_t stream) : stream_(stream), copy_(copy_bandwidth(stream)) {
    activations_ = must(Activations::create(kMaxRows, 12288, stream));
    const std::vector<float> x = random_floats(kMaxRows * 12288, 2);
    x_ = must(DeviceBuffer<float>::create(x.size()));
    x_.upload(x, stream);
    y_ = must(DeviceBuffer<float>::create(std::max<size_t>(kMaxRows * 24576, 32 * 151936)));
  }

  void run(const Product& product, TensorType type) {
    load(product, type);
    for (const size_t n_rows : {1, 2, 4, 8, 16, 32}) measure(product, type, n_rows, kDefault);
    for (const size_t n_rows : {1, 8, 32}) measure(product, type, n_rows, kNoPrefetch);
    for (const size_t n_rows : {1, 8, 32}) measure(product, type, n_rows, kAhead);
    measure(product, type, 32, kOneTile);
    measure(product, type, 32, kTwoTiles);
    if (!product.prefill) return;
    for (const size_t n_rows : {64, 128, 256, 512}) {
      measure(product, type, n_rows, kFew);
      measure(product, type, n_rows, kMany);
    }
    measure(product, type, 2048, kDefault);
  }

  // Rounding the activations, which the products share.
  void run_prepare(size_t n_cols, size_t n_rows, ActivationForm form) {
    constexpr int kTimes = 20;
    const double us = time_graph(stream_, 15, [&] {
      for (int i = 0; i < kTimes; ++i)
        prepare(stream_, x_.data(), n_cols, n_rows, n_cols, activations_, form);
    });
    add({fmt::format("prepare {}", n_cols), form == kFormQ8 ? "8 bits" : "f16", "", n_rows,
         us / kTimes, 0, 0, 0});
  }

  void write_json(const char* path, const std::string& device) const {
    FILE* file = std::fopen(path, "w");
    if (file == nullptr) {
      fmt::print(stderr, "{}: cannot be written\n", path);
      std::exit(1);
    }
    fmt::print(file, "{{\"device\": \"{}\", \"copy_gb_per_s\": {:.1f}, \"results\": [", device,
               copy_);
    for (size_t i = 0; i < lines_.size(); ++i) {
      const Line& line = lines_[i];
      fmt::print(file,
                 "{}\n{{\"product\": \"{}\", \"type\": \"{}\", \"variant\": \"{}\", \"rows\": {}, "
                 "\"us\": {:.3f}, "
                 "\"gb_per_s\": {:.1f}, \"share_of_copy\": {:.4f}, \"tflop_per_s\": {:.2f}}}",
                 i == 0 ? "" : ",", line.product, line.type, line.variant, line.n_rows, line.us,
                 line.gb_per_s, line.share, line.tflop_per_s);
    }
    fmt::print(file, "\n]}}\n");
    std::fclose(file);
  }

  double copy() const { return copy_; }

 private:
  void load(const Product& product, TensorType type) {
    copies_.clear();
    bytes_ = 0;
    for (const size_t n_out : product.n_out) bytes_ += Matrix::bytes(type, n_out, product.n_in);
    const size_t n_copies = std::clamp<size_t>(kRotatedBytes / bytes_, 2, kMaxCopies);
    const size_t most = *std::max_element(product.n_out.begin(), product.n_out.end());
    const std::vector<std::byte> rows = random_rows(type, most, product.n_in);
    copies_.resize(n_copies);
    for (auto& copy : copies_) {
      for (const size_t n_out : product.n_out)
        copy.push_back(must(Matrix::load(type, rows.data(), n_out, product.n_in, stream_)));
    }
  }

  void measure(const Product& product, TensorType type, size_t n_rows, const Variant& variant) {
    prepare(stream_, x_.data(), product.n_in, n_rows, product.n_in, activations_, form_of(type));
    const size_t most = n_rows > 256 ? 2 : n_rows > 32 ? 8 : kMaxCopies;
    const size_t n_copies = std::min(most, copies_.size());
    const auto pass = [&] {
      for (size_t i = 0; i < n_copies; ++i) {
        std::vector<MatmulTask> tasks;
        float* y = y_.data();
        for (const Matrix& w : copies_[i]) {
          tasks.push_back({&w, y, w.n_out(), nullptr});
          y += n_rows * w.n_out();
        }
        matmul_with(stream_, variant.tuning, activations_, tasks);
      }
    };
    const double us =
        time_graph(stream_, n_rows > 32 ? 7 : 15, pass) / static_cast<double>(n_copies);
    double n_out = 0;
    for (const size_t n : product.n_out) n_out += static_cast<double>(n);
    const double flop = 2.0 * n_out * static_cast<double>(product.n_in * n_rows);
    const double gb_per_s = static_cast<double>(bytes_) / us * 1e-3;
    add({product.name, std::string(tensor_type_info(type).name), variant.name, n_rows, us, gb_per_s,
         gb_per_s / copy_, flop / us * 1e-6});
  }

  void add(const Line& line) {
    fmt::print("{:<14} {:<6} {:<11} {:>5} {:>10.2f} {:>8.0f} {:>7.1f}% {:>9.2f}\n", line.product,
               line.type, line.variant, line.n_rows, line.us, line.gb_per_s, 100 * line.share,
               line.tflop_per_s);
    std::fflush(stdout);
    lines_.push_back(line);
  }

  cudaStream_t stream_;
  double copy_;
  Activations activations_;
  DeviceBuffer<float> x_;
  DeviceBuffer<float> y_;
  std::vector<std::vector<Matrix>> copies_;  // [copies][tasks]
  size_t bytes_ = 0;                         // of one copy
  std::vector<Line> lines_;
};

int main_of(int argc, char** argv) {
  int n_devices = 0;
  if (cudaGetDeviceCount(&n_devices) != cudaSuccess || n_devices == 0) {
    fmt::print("no CUDA device here: nothing measured\n");
    return 0;
  }
  cudaDeviceProp device = {};
  LH_CUDA(cudaGetDeviceProperties(&device, 0));
  cudaStream_t stream = nullptr;
  LH_CUDA(cudaStreamCreate(&stream));
  {
    Bench bench(stream);
    fmt::print("{}, {} multiprocessors, a copy moves {:.0f} GB/s\n", device.name,
               device.multiProcessorCount, bench.copy());
    fmt::print("{:<14} {:<6} {:<11} {:>5} {:>10} {:>8} {:>8} {:>9}\n", "product", "type", "variant",
               "rows", "us", "GB/s", "of copy", "TFLOP/s");
    for (const TensorType type : kTypes) {
      for (const Product& product : kProducts) bench.run(product, type);
    }
    for (const size_t n_rows : {1, 32, 2048}) {
      bench.run_prepare(4096, n_rows, kFormQ8);
      bench.run_prepare(4096, n_rows, kFormF16);
    }
    if (argc > 1) bench.write_json(argv[1], device.name);
  }
  LH_CUDA(cudaStreamDestroy(stream));
  return 0;
}

}  // namespace
}  // namespace longhaul::cuda

int main(int argc, char** argv) { return longhaul::cuda::main_of(argc, argv); }
