// Distillation: trains one gate per layer of a frozen model on what the model itself attends to.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "trainer/sequences.h"

namespace longhaul::trainer {

// The defaults are the published recipe, but for the length of a run (0.4B tokens there), the target
// and the first block, which is always read and not ranked.
struct DistillOptions {
  std::string model;            // a GGUF file
  std::string out;              // folder of the run: "checkpoint", "log.txt", "gates.gguf"
  std::string resume;           // a checkpoint to go on from
  std::string device = "cpu";   // or cuda
  std::string type = "F16";     // of the gate file's matrices; or F32
  int64_t block_size = 64;      // tokens
  std::string target = "mass";  // what gates learn, see GateTarget: mass or largest
  int64_t key_length = 0;       // dg; 0: 128, or the model's head size if that is smaller
  bool qk_norm = true;          // RMSNorm of gate queries and keys
  int64_t n_steps = 800;        // of the whole run
  int64_t n_sequences = 1;      // a step
  double learning_rate = 1e-3;  // after 20 steps, falling as a cosine to a hundredth
  int64_t recall_every = 100;   // steps between measurements of recall on held-out sequences
  int64_t n_held_out = 4;       // sequences
  int64_t recall_budget = 0;    // tokens; 0: a tenth of the length
  int64_t save_every = 100;     // steps between checkpoints
  int64_t stop_after = 0;       // leave the run at this step, to be resumed; 0: go to the end
  SequenceOptions data;
};

// Trains, prints a line every 20 steps and recall every `recall_every`, and writes the gate file at
// the end. A resumed run must have the options it was begun with.
Status distill(const DistillOptions& options);

}  // namespace longhaul::trainer
