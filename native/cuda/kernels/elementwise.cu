// Functions of one element of each operand. Operations are numbered as in ../kernels.h.

// Where an element of the result takes its operands from.
__device__ inline void OperandsAt(const Broadcasting& b, uint64 index, uint64* a_at, uint64* b_at) {
  *a_at = *b_at = 0;
  for (int d = b.rank - 1; d > 0; d--) {
    const uint64 here = TakeIndex(index, b.sizes[d]);
    *a_at += here * b.a_strides[d];
    *b_at += here * b.b_strides[d];
  }
  *a_at += index * b.a_strides[0];
  *b_at += index * b.b_strides[0];
}

template <typename In, typename Out, typename Function>
__device__ void ForEachPair(const Broadcasting& broadcasting, uint64 count, const In* a, const In* b,
                            Out* out, const Function& function) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    uint64 a_at, b_at;
    OperandsAt(broadcasting, i, &a_at, &b_at);
    out[i] = function(a[a_at], b[b_at]);
  }
}

__device__ inline float Pair(int operation, float x, float y) {
  switch (operation) {
    case 0: return x + y;
    case 1: return x - y;
    case 2: return x * y;
    case 3: return x / y;
    case 4: return x > y || x != x ? x : y;
    case 5: return x < y || x != x ? x : y;
    case 6: return (x - y) * (x - y);
    default: return powf(x, y);
  }
}

// int32 arithmetic wraps around.
__device__ inline int Pair(int operation, int x, int y) {
  const uint32 u = x, v = y;
  switch (operation) {
    case 0: return int(u + v);
    case 1: return int(u - v);
    case 2: return int(u * v);
    case 4: return x > y ? x : y;
    case 5: return x < y ? x : y;
    default: return int((u - v) * (u - v));
  }
}

template <typename T>
__device__ uint8 Compare(int operation, T x, T y) {
  switch (operation) {
    case 8: return x == y;
    case 9: return x != y;
    case 10: return x > y;
    case 11: return x >= y;
    case 12: return x < y;
    case 13: return x <= y;
    case 14: return x && y;
    default: return x || y;
  }
}

KERNEL BinaryFloat32(int operation, Broadcasting broadcasting, uint64 count, const float* a,
                     const float* b, float* out) {
  ForEachPair(broadcasting, count, a, b, out,
              [=](float x, float y) { return Pair(operation, x, y); });
}

KERNEL BinaryInt32(int operation, Broadcasting broadcasting, uint64 count, const int* a,
                   const int* b, int* out) {
  ForEachPair(broadcasting, count, a, b, out, [=](int x, int y) { return Pair(operation, x, y); });
}

KERNEL CompareFloat32(int operation, Broadcasting broadcasting, uint64 count, const float* a,
                      const float* b, uint8* out) {
  ForEachPair(broadcasting, count, a, b, out,
              [=](float x, float y) { return Compare(operation, x, y); });
}

KERNEL CompareInt32(int operation, Broadcasting broadcasting, uint64 count, const int* a,
                    const int* b, uint8* out) {
  ForEachPair(broadcasting, count, a, b, out, [=](int x, int y) { return Compare(operation, x, y); });
}

KERNEL CompareBool(int operation, Broadcasting broadcasting, uint64 count, const uint8* a,
                   const uint8* b, uint8* out) {
  ForEachPair(broadcasting, count, a, b, out,
              [=](uint8 x, uint8 y) { return Compare(operation, x, y); });
}

// Comparisons are written so that NaN is kept.
__device__ inline float Single(int operation, float v, float p, float q) {
  switch (operation) {
    case 0: return Relu(v);
    case 1: return v < 0 ? 0.f : v > 6 ? 6.f : v;
    case 2: return v > 0 ? 1.f : v != v ? v : p;
    case 3: return v < 0 ? p * v : v;
    case 4: return v >= 0 ? v : expm1f(v);
    case 5: return v < p ? p : v > q ? q : v;
    case 6: return 1.f / (1.f + expf(-v));
    case 7: return tanhf(v);
    // Above 20, log(1 + e^x) is x in float32.
    case 8: return v > 20 ? v : log1pf(expf(v));
    case 9: return sqrtf(v);
    case 10: return 1.f / sqrtf(v);
    case 11: return v * v;
    case 12: return 1.f / v;
    case 13: return expf(v);
    case 14: return expm1f(v);
    case 15: return logf(v);
    case 16: return log1pf(v);
    case 17: return -v;
    case 18: return fabsf(v);
    case 19: return v > 0 ? 1.f : v < 0 ? -1.f : 0.f;
    case 20: return floorf(v);
    case 21: return ceilf(v);
    // Halves round to even.
    case 22: return rintf(v);
    case 23: return sinf(v);
    default: return cosf(v);
  }
}

KERNEL Unary(int operation, uint64 count, const float* x, float* out, float p, float q) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) out[i] = Single(operation, x[i], p, q);
}

KERNEL ReluGradient(uint64 count, const float* dy, const float* y, float* dx) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) dx[i] = y[i] <= 0 ? 0.f : dy[i];
}

KERNEL AddToChannels(uint64 count, uint64 width, uint64 first, uint64 channels, const float* all,
                     const float* term, float* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    const uint64 row = Quotient(i, channels);
    out[i] = all[row * width + first + (i - row * channels)] + term[i];
  }
}

template <typename Element>
__device__ void SelectEach(uint64 count, const uint8* condition, const Element* a, const Element* b,
                           Element* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    out[i] = condition[i] != 0 ? a[i] : b[i];
  }
}

KERNEL SelectWords(uint64 count, const uint8* condition, const uint32* a, const uint32* b,
                   uint32* out) {
  SelectEach(count, condition, a, b, out);
}

KERNEL SelectBytes(uint64 count, const uint8* condition, const uint8* a, const uint8* b,
                   uint8* out) {
  SelectEach(count, condition, a, b, out);
}

KERNEL FillWords(uint64 count, uint32 value, uint32* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) out[i] = value;
}

KERNEL FillBytes(uint64 count, uint8 value, uint8* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) out[i] = value;
}

// ECMAScript's ToInt32.
__device__ inline int ToInt32(double value) {
  if (value > -2147483649.0 && value < 2147483648.0) return int(value);
  if (!isfinite(value)) return 0;
  return int(uint32((long long)(fmod(trunc(value), 4294967296.0))));
}

__device__ inline float ConvertTo(float, double v) { return float(v); }
__device__ inline int ConvertTo(int, double v) { return ToInt32(v); }
__device__ inline uint8 ConvertTo(uint8, double v) { return v != 0; }

template <typename From, typename To>
__device__ void CastEach(uint64 count, const From* x, To* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) out[i] = ConvertTo(To(), double(x[i]));
}

KERNEL CastFloat32ToFloat32(uint64 n, const float* x, float* out) { CastEach(n, x, out); }
KERNEL CastFloat32ToInt32(uint64 n, const float* x, int* out) { CastEach(n, x, out); }
KERNEL CastFloat32ToBool(uint64 n, const float* x, uint8* out) { CastEach(n, x, out); }
KERNEL CastInt32ToFloat32(uint64 n, const int* x, float* out) { CastEach(n, x, out); }
KERNEL CastInt32ToInt32(uint64 n, const int* x, int* out) { CastEach(n, x, out); }
KERNEL CastInt32ToBool(uint64 n, const int* x, uint8* out) { CastEach(n, x, out); }
KERNEL CastBoolToFloat32(uint64 n, const uint8* x, float* out) { CastEach(n, x, out); }
KERNEL CastBoolToInt32(uint64 n, const uint8* x, int* out) { CastEach(n, x, out); }
KERNEL CastBoolToBool(uint64 n, const uint8* x, uint8* out) { CastEach(n, x, out); }
