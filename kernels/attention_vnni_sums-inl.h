// The sums of products that the AVX-512 kernels of attention keep in registers. A fragment of
// attention_vnni.cc.

// The integer sums of one query for kVectors vectors. Recursive, because compilers keep structs of
// vectors in registers but not arrays of them.
template <size_t kVectors>
struct Sums {
  __m512i head;
  Sums<kVectors - 1> tail;

  LH_VNNI_INLINE void set(__m512i start) {
    head = start;
    tail.set(start);
  }
  // += unsigned vectors times the signed bytes of every lane of `q`
  LH_VNNI_INLINE void add_keys(const Sums& k, __m512i q) {
    add_products(head, k.head, q);
    tail.add_keys(k.tail, q);
  }
  // += the unsigned bytes of every lane of `p` times signed vectors
  LH_VNNI_INLINE void add_values(const Sums& v, __m512i p) {
    add_products(head, p, v.head);
    tail.add_values(v.tail, p);
  }
  LH_VNNI_INLINE void add(const Sums& other) {
    head = _mm512_add_epi32(head, other.head);
    tail.add(other.tail);
  }
  // scores += the sums times k_scale times scale; `first` overwrites.
  LH_VNNI_INLINE void add_to_scores(const float* k_scale, __m512 scale, bool first,
                                    float* scores) const {
    const __m512 unit = _mm512_mul_ps(_mm512_loadu_ps(k_scale), scale);
    const __m512 x = _mm512_cvtepi32_ps(head);
    _mm512_storeu_ps(
        scores, first ? _mm512_mul_ps(x, unit) : _mm512_fmadd_ps(x, unit, _mm512_loadu_ps(scores)));
    tail.add_to_scores(k_scale + 16, scale, first, scores + 16);
  }
  // o = o * keep + the sums * unit
  LH_VNNI_INLINE void add_to_output(__m512 keep, __m512 unit, float* o) const {
    const __m512 old = _mm512_mul_ps(_mm512_loadu_ps(o), keep);
    _mm512_storeu_ps(o, _mm512_fmadd_ps(_mm512_cvtepi32_ps(head), unit, old));
    tail.add_to_output(keep, unit, o + 16);
  }
};
template <>
struct Sums<0> {
  LH_VNNI_INLINE void set(__m512i) {}
  LH_VNNI_INLINE void add_keys(const Sums&, __m512i) {}
  LH_VNNI_INLINE void add_values(const Sums&, __m512i) {}
  LH_VNNI_INLINE void add(const Sums&) {}
  LH_VNNI_INLINE void add_to_scores(const float*, __m512, bool, float*) const {}
  LH_VNNI_INLINE void add_to_output(__m512, __m512, float*) const {}
};

// The sums of kQueries queries.
template <size_t kQueries, size_t kVectors>
struct Block {
  Sums<kVectors> head;
  Block<kQueries - 1, kVectors> tail;

  LH_VNNI_INLINE void set(const int32_t* start) {
    head.set(_mm512_set1_epi32(*start));
    tail.set(start + 1);
  }
  LH_VNNI_INLINE void set_zero() {
    head.set(_mm512_setzero_si512());
    tail.set_zero();
  }
  // Queries lie 4 bytes apart.
  LH_VNNI_INLINE void add_keys(const Sums<kVectors>& k, const int8_t* q) {
    head.add_keys(k, broadcast4(q));
    tail.add_keys(k, q + 4);
  }
  // Probabilities lie 64 bytes apart.
  LH_VNNI_INLINE void add_values(const Sums<kVectors>& v, const uint8_t* p) {
    head.add_values(v, broadcast4(p));
    tail.add_values(v, p + kGroupTokens);
  }
  LH_VNNI_INLINE void add(const Block& other) {
    head.add(other.head);
    tail.add(other.tail);
  }
  LH_VNNI_INLINE void add_to_scores(const float* k_scale, const float* q_scale, bool first,
                                    float* scores) const {
    head.add_to_scores(k_scale, _mm512_set1_ps(*q_scale), first, scores);
    tail.add_to_scores(k_scale, q_scale + 1, first, scores + kGroupTokens);
  }
  // A group of weight 0 changes no bit.
  LH_VNNI_INLINE void add_to_output(const ValueScales* const* scales, size_t c, const float* keep,
                                    const float* add, size_t value_dim, float* o) const {
    if (*add != 0.0F) {
      head.add_to_output(_mm512_set1_ps(*keep), _mm512_set1_ps((*scales)->units[c] * *add), o);
    }
    tail.add_to_output(scales + 1, c, keep + 1, add + 1, value_dim, o + value_dim);
  }
};
template <size_t kVectors>
struct Block<0, kVectors> {
  LH_VNNI_INLINE void set(const int32_t*) {}
  LH_VNNI_INLINE void set_zero() {}
  LH_VNNI_INLINE void add_keys(const Sums<kVectors>&, const int8_t*) {}
  LH_VNNI_INLINE void add_values(const Sums<kVectors>&, const uint8_t*) {}
  LH_VNNI_INLINE void add(const Block&) {}
  LH_VNNI_INLINE void add_to_scores(const float*, const float*, bool, float*) const {}
  LH_VNNI_INLINE void add_to_output(const ValueScales* const*, size_t, const float*, const float*,
                                    size_t, float*) const {}
};
