// How the parts of a model name their tensors: one visit for each weight, which serves the list of
// tensors (model/tensors.h) and binding (model/weights.h) alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/tensor_type.h"
#include "model/backend.h"

namespace longhaul {

enum class TensorKind : uint8_t {
  kTable,    // [n_out, n_in], read a row at a time where it is mapped
  kMatrix,   // [n_out, n_in], packed for the kernels
  kExperts,  // [n_experts, n_out, n_in], each packed as a matrix of its own
  kVector,   // [n_out], in f32
  kNumbers,  // [n_out, n_in], in f32
};

// Where a weight stands in a tensor that holds several, one behind the other.
struct TensorPart {
  size_t n_rows = 0;  // of the whole tensor; 0: the weight is the whole
  size_t first = 0;
  // Rows of a head, where the file has the even heads of the part before the odd ones, which are to
  // take turns; 0: rows stay as they are.
  size_t head_rows = 0;
};

struct TensorSpec {
  std::string name;
  TensorKind kind = TensorKind::kMatrix;
  size_t n_out = 0;
  size_t n_in = 1;
  size_t n_experts = 1;
  size_t n_active = 1;           // of the experts, those that a row is multiplied with
  std::string alternative = {};  // stands in where a file has no tensor of that name
  bool stays_f32 = false;        // converters do not quantise it
  TensorPart part = {};

  std::vector<uint64_t> shape() const;  // in the file's order: the fastest-running extent first
  uint64_t n_elements() const { return uint64_t{n_out} * n_in * n_experts; }
  bool is_packed() const { return kind == TensorKind::kMatrix || kind == TensorKind::kExperts; }
};

// The weights of a part of a layer, by the spec of the part.
template <class Spec>
struct WeightsOfSpec;
template <class Spec>
using WeightsOf = typename WeightsOfSpec<Spec>::Type;

class TensorVisitor {
 public:
  virtual ~TensorVisitor() = default;

  void table(std::string name, size_t n_out, size_t n_in, EmbeddingPtr& weight);
  // `alternative`: see TensorSpec.
  void matrix(std::string name, size_t n_out, size_t n_in, MatrixPtr& weight,
              std::string alternative = {});
  void router(std::string name, size_t n_out, size_t n_in, MatrixPtr& weight);
  void experts(std::string name, size_t n_experts, size_t n_active, size_t n_out, size_t n_in,
               std::vector<MatrixPtr>& weights);
  void vector(std::string name, size_t size, Floats& weight);
  void numbers(std::string name, size_t n_out, size_t n_in, Floats& weight);
  void matrix_part(std::string name, const TensorPart& part, size_t n_out, size_t n_in,
                   MatrixPtr& weight);
  void vector_part(std::string name, const TensorPart& part, size_t size, Floats& weight);

 protected:
  virtual void visit(const TensorSpec& spec, EmbeddingPtr& weight) = 0;
  virtual void visit(const TensorSpec& spec, MatrixPtr& weight) = 0;
  virtual void visit(const TensorSpec& spec, std::vector<MatrixPtr>& weights) = 0;
  virtual void visit(const TensorSpec& spec, Floats& weight) = 0;
};

}  // namespace longhaul
