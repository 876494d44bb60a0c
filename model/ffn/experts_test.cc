// Experts against a direct computation in f64, and that a row's bits do not depend on the others.
#include "model/ffn/experts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "model/cpu/backend.h"

namespace longhaul {
namespace {

constexpr size_t kDModel = 64;
constexpr size_t kDFf = 96;
constexpr size_t kExperts = 6;
constexpr size_t kActive = 2;

using Numbers = std::vector<float>;

Numbers normal(std::mt19937_64& random, size_t n, float deviation) {
  std::normal_distribution<float> draw(0, deviation);
  Numbers numbers(n);
  for (float& x : numbers) x = draw(random);
  return numbers;
}

// A layer of experts with its weights in both forms.
struct Rig {
  explicit Rig(bool normalises) : pool(2), backend(pool) {
    spec.each = {.activation = Activation::kSilu, .d_ff = kDFf};
    spec.n_experts = kExperts;
    spec.n_active = kActive;
    spec.normalises = normalises;
    plan.d_model = kDModel;
    plan.layers.push_back({.mixer = AttentionSpec{}, .ffn = spec});
    std::mt19937_64 random(5);
    router = normal(random, kExperts * kDModel, 0.5F);
    weights.router = pack(router, kExperts, kDModel);
    for (size_t i = 0; i < kExperts; ++i) {
      gate.push_back(normal(random, kDFf * kDModel, 0.125F));
      up.push_back(normal(random, kDFf * kDModel, 0.125F));
      down.push_back(normal(random, kDModel * kDFf, 0.1F));
      weights.w_gate.push_back(pack(gate[i], kDFf, kDModel));
      weights.w_up.push_back(pack(up[i], kDFf, kDModel));
      weights.w_down.push_back(pack(down[i], kDModel, kDFf));
    }
  }

  MatrixPtr pack(const Numbers& numbers, size_t n_out, size_t n_in) {
    return backend
        .matrix(TensorType::kF32, reinterpret_cast<const std::byte*>(numbers.data()), n_out, n_in)
        .value();
  }

  // The experts of rows [n, d_model], in one pass.
  Numbers run(const Numbers& rows) {
    const size_t n = rows.size() / kDModel;
    Pass pass(backend, plan, {}, 64);
    Experts experts(plan, backend, 64);
    pass.n_rows = n;
    std::copy(rows.begin(), rows.end(), pass.normed.data());
    experts.run(pass, spec, weights);
    return Numbers(pass.product.data(), pass.product.data() + rows.size());
  }

  static double dot(const float* a, const double* b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  }

  std::vector<double> expected(const float* row) const {
    const std::vector<double> x(row, row + kDModel);
    std::vector<double> share(kExperts);
    double sum = 0;
    for (size_t e = 0; e < kExperts; ++e) {
      share[e] = std::exp(dot(router.data() + e * kDModel, x.data(), kDModel));
      sum += share[e];
    }
    for (double& s : share) s /= sum;
    std::vector<size_t> order(kExperts);
    for (size_t e = 0; e < kExperts; ++e) order[e] = e;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return share[a] > share[b]; });
    double total = 0;
    for (size_t i = 0; i < kActive; ++i) total += share[order[i]];
    std::vector<double> out(kDModel);
    for (size_t i = 0; i < kActive; ++i) {
      const size_t e = order[i];
      std::vector<double> hidden(kDFf);
      for (size_t j = 0; j < kDFf; ++j) {
        const double g = dot(gate[e].data() + j * kDModel, x.data(), kDModel);
        hidden[j] = g / (1 + std::exp(-g)) * dot(up[e].data() + j * kDModel, x.data(), kDModel);
      }
      const double weight = share[e] / (spec.normalises ? total : 1);
      for (size_t j = 0; j < kDModel; ++j)
        out[j] += weight * dot(down[e].data() + j * kDFf, hidden.data(), kDFf);
    }
    return out;
  }

  ThreadPool pool;
  CpuBackend backend;
  ExpertsSpec spec;
  ModelPlan plan;
  ExpertsWeights weights;
  Numbers router;
  std::vector<Numbers> gate, up, down;
};

TEST(Experts, AreTheDirectComputation) {
  for (const bool normalises : {false, true}) {
    Rig rig(normalises);
    std::mt19937_64 random(9);
    const Numbers rows = normal(random, 40 * kDModel, 1);
    const Numbers found = rig.run(rows);
    for (size_t r = 0; r < 40; ++r) {
      const auto expected = rig.expected(rows.data() + r * kDModel);
      double error = 0, norm = 0;
      for (size_t i = 0; i < kDModel; ++i) {
        const double d = static_cast<double>(found[r * kDModel + i]) - expected[i];
        error += d * d;
        norm += expected[i] * expected[i];
      }
      EXPECT_LT(std::sqrt(error / norm), 1e-5) << r;
    }
  }
}

TEST(Experts, ARowHasTheSameBitsAloneAndAmongOthers) {
  Rig rig(true);
  std::mt19937_64 random(10);
  const Numbers rows = normal(random, 40 * kDModel, 1);
  const Numbers together = rig.run(rows);
  for (size_t r = 0; r < 40; ++r) {
    const auto first = rows.begin() + static_cast<std::ptrdiff_t>(r * kDModel);
    const Numbers alone = rig.run(Numbers(first, first + kDModel));
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + r * kDModel, kDModel * sizeof(float)), 0)
        << r;
  }
}

TEST(ChooseExperts, TakesTheLargestAndTheLowerOfEquals) {
  ExpertsSpec spec;
  spec.n_experts = 5;
  spec.n_active = 3;
  Numbers logits = {1, 2, 1, 3, 1};
  std::vector<ExpertChoice> chosen(3);
  choose_experts(spec, logits.data(), chosen.data());
  EXPECT_EQ(chosen[0].expert, 0U);
  EXPECT_EQ(chosen[1].expert, 1U);
  EXPECT_EQ(chosen[2].expert, 3U);
  const double sum = 3 * std::exp(1) + std::exp(2) + std::exp(3);
  EXPECT_NEAR(chosen[2].weight, std::exp(3) / sum, 1e-6);
  spec.normalises = true;
  logits = {1, 2, 1, 3, 1};
  choose_experts(spec, logits.data(), chosen.data());
  EXPECT_NEAR(chosen[0].weight + chosen[1].weight + chosen[2].weight, 1, 1e-6);
}

}  // namespace
}  // namespace longhaul
