// The numbers of the evaluation: intervals, quantiles, distances between distributions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace longhaul::eval {

struct Interval {
  double low = 0;
  double high = 1;
};

// Wilson's score interval at 95% for n_right of n (E. B. Wilson, 1927); [0, 1] for n = 0.
Interval wilson(size_t n_right, size_t n);

// The 95% interval of the difference of two shares measured on the same n items, of which one side
// lost n_lost and won n_won (A. Agresti and Y. Min, 2005: half an item is added to each of the four
// cells); [-1, 1] for n = 0.
Interval paired_difference(size_t n_lost, size_t n_won, size_t n);

// Student's 95% interval of the mean; of fewer than four values none: both ends are the mean.
Interval mean_interval(std::span<const double> values);

// The value below which a share p of the values lies, by linear interpolation between the two
// nearest; 0 of nothing.
double quantile(std::vector<double> values, double p);

double mean(std::span<const double> values);

// What the logits of a tested run say beside those of a reference, at one position. In nats.
struct LogitsCompared {
  double kl = 0;         // sum_i p_i (log p_i - log q_i), p the reference's softmax, q the tested
  double nll = 0;        // -log q of the token that follows
  bool same_top = true;  // ties go to the lower id
};
LogitsCompared compare_logits(std::span<const float> reference, std::span<const float> tested,
                              size_t next_token);

}  // namespace longhaul::eval
