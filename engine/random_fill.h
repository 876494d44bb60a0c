// Keys and values at random: a depth to measure speed at, without computing it.
#pragma once

#include "cache/kv_cache.h"
#include "model/config.h"
#include "parallel/thread_pool.h"

namespace longhaul {

// Appends n_new tokens. What a position gets depends on the seed and the position alone. Error: no
// room in the cache.
Status fill_random(KvSequence& sequence, const ModelConfig& config, ThreadPool& pool, size_t n_new,
                   uint64_t seed);

}  // namespace longhaul
