// Element-wise functions beside those of unary.cc and binary.cc: selection, conversion, filling, and two of training.

#include <algorithm>

#include "../kernels.h"
#include "costs.h"
#include "../numbers.h"
#include "parallel.h"

namespace twotower {

void ReluGradient(size_t length, const float* dy, const float* y, float* dx) {
  // Load dy unconditionally: a conditional load prevents vectorization, and the branch is unpredictable.
  Parallel(length, kCheap, [=](size_t begin, size_t end) {
#pragma omp simd
    for (size_t i = begin; i < end; i++) {
      const float gradient = dy[i];
      dx[i] = y[i] <= 0 ? 0.f : gradient;
    }
  });
}

void AddToChannels(size_t rows, size_t width, size_t first, size_t channels, const float* all,
                   const float* term, float* out) {
  Parallel(rows, kCheap * channels, [=](size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
      const float* own = all + row * width + first;
      const float* given = term + row * channels;
      float* sum = out + row * channels;
#pragma omp simd
      for (size_t c = 0; c < channels; c++) sum[c] = own[c] + given[c];
    }
  });
}

namespace {

// Copies bits, so that one loop serves all types of one size.
template <typename Element>
void SelectLoop(const uint8_t* condition, const Values& a, const Values& b, const Values& out) {
  const Element* x = a.As<Element>();
  const Element* y = b.As<Element>();
  Element* z = out.As<Element>();
  Parallel(out.length, kCheap, [&](size_t begin, size_t end) {
#pragma omp simd
    for (size_t i = begin; i < end; i++) z[i] = condition[i] != 0 ? x[i] : y[i];
  });
}

template <typename From, typename To, typename Convert>
void CastLoop(const Values& x, const Values& out, const Convert& convert) {
  const From* from = x.As<From>();
  To* to = out.As<To>();
  Parallel(x.length, kCheap, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) to[i] = convert(from[i]);
  });
}

template <typename From>
void CastFrom(const Values& x, const Values& out) {
  switch (out.type) {
    case Type::kFloat32:
      return CastLoop<From, float>(x, out, [](From v) { return static_cast<float>(v); });
    case Type::kInt32:
      return CastLoop<From, int32_t>(x, out, [](From v) { return ToInt32(v); });
    case Type::kBool:
      return CastLoop<From, uint8_t>(x, out, [](From v) -> uint8_t { return v != 0; });
  }
}

template <typename Element>
void FillLoop(const Values& out, Element value) {
  Parallel(out.length, 1, [&](size_t begin, size_t end) {
    std::fill(out.As<Element>() + begin, out.As<Element>() + end, value);
  });
}

}  // namespace

void Select(const uint8_t* condition, const Values& a, const Values& b, const Values& out) {
  if (a.type == Type::kBool) {
    SelectLoop<uint8_t>(condition, a, b, out);
  } else if (a.type == Type::kInt32) {
    SelectLoop<int32_t>(condition, a, b, out);
  } else {
    SelectLoop<float>(condition, a, b, out);
  }
}

void Fill(const Values& out, double value) {
  switch (out.type) {
    case Type::kFloat32:
      FillLoop(out, static_cast<float>(value));
      break;
    case Type::kInt32:
      FillLoop(out, ToInt32(value));
      break;
    case Type::kBool:
      FillLoop(out, static_cast<uint8_t>(ToInt32(value)));
      break;
  }
}

void Cast(const Values& x, const Values& out) {
  switch (x.type) {
    case Type::kFloat32:
      CastFrom<float>(x, out);
      break;
    case Type::kInt32:
      CastFrom<int32_t>(x, out);
      break;
    case Type::kBool:
      CastFrom<uint8_t>(x, out);
      break;
  }
}

}  // namespace twotower
